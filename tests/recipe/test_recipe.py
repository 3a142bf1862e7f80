"""The recipe: the paper's numbers, every fault at once, and nothing lost on the way to YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from verydeep.errors import RecipeError
from verydeep.recipe.recipe import (
    Recipe,
    check,
    known_keys,
    load_recipe,
    said_settings,
    shipped,
)
from verydeep.recipe.sections import Localization
from verydeep.system.yaml import one_value

PAPER: dict[str, Any] = {
    "net.name": "D",
    "net.input_size": 224,
    "net.width": 1,
    "net.hidden": 4096,
    "net.dropout": 0.5,
    "net.norm": None,
    "initialize.variance": 0.01,
    "data.train_scale": (256, 256),
    "data.crop": "random",
    "data.flip": True,
    "data.colour_shift": 0.1,
    "training.batch": 256,
    "training.momentum": 0.9,
    "training.weight_decay": 0.0005,
    "training.learning_rate": 0.01,
    "training.schedule": "plateau",
    "training.epochs": 74,
    "training.label_smoothing": 0,
    "plateau.factor": 10,
    "plateau.drops": 3,
    "test.protocol": "dense",
    "test.flip": True,
}
"""Sections 2 and 3 of the paper, by hand."""


def get(recipe: Recipe, path: str) -> Any:
    section, key = path.split(".")
    return getattr(getattr(recipe, section), key, None)  # none of a section that is not there


def faults(error: pytest.ExceptionInfo[RecipeError]) -> list[str]:
    return [line.strip() for line in str(error.value).splitlines()[1:]]


def refused(*settings: str, source: str | Path = "paper") -> list[str]:
    with pytest.raises(RecipeError) as error:
        load_recipe(source, settings)
    head = str(error.value).splitlines()[0]
    assert f"{len(faults(error))} to mend" in head
    return faults(error)


# ---- the recipes that are shipped ----


@pytest.mark.parametrize(("path", "value"), PAPER.items())
def test_the_default_is_the_paper(path: str, value: object) -> None:
    assert get(Recipe(), path) == value
    assert get(load_recipe("paper"), path) == value


def test_the_shipped_paper_recipe_says_what_the_defaults_say() -> None:
    assert load_recipe("paper") == load_recipe() == Recipe()
    assert load_recipe("paper").test_scales == (256,)


def test_the_recipes_of_the_package_are_these() -> None:
    assert shipped() == (
        "demo",
        "demo-localization",
        "demo-volumes",
        "fine-tune",
        "googlenet",
        "lecun1989",
        "localization",
        "paper",
        "senet154",
        "small",
        "transfer",
    )


def test_a_recipe_without_boxes_says_so() -> None:
    assert yaml.safe_load(Recipe().to_yaml())["localization"] is None
    assert load_recipe("paper", ["localization.per_class=false"]).localization == Localization(
        per_class=False
    )


def test_what_is_not_said_is_still_not_said_after_a_change() -> None:
    """A box regressor takes it from its classifier."""
    changed = load_recipe("localization", ["net.name=E"]).replace(training__epochs=3)
    assert changed.net.model_fields_set == {"name"}
    assert changed.training.model_fields_set >= {"epochs", "schedule"}


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("localization.fine_tune=fc", "localization.fine_tune"),
        ("training.label_smoothing=0.1", "training.label_smoothing"),
        ("training.loss=squared-error", "training.loss: is of classifiers"),
        ("initialize.stages=[A]", "initialize.stages"),
        ("data.balance=weights", "data.balance"),
        ("localization.visible=1.5", "localization.visible"),
        ("localization.los=euclidean", "localization.los: unknown key; did you mean"),
    ],
)
def test_what_a_box_regressor_cannot_have_is_refused(setting: str, fault: str) -> None:
    (found,) = refused(setting, source="localization")
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("test.scales=[256,256]", "test.scales: each test scale once, got 256, 256"),
        ("test.scales=[]", "test.scales: a protocol needs at least one test scale"),
        ("test.grid=[0,5]", "test.grid: a grid has 1 to 100 rows and columns, got 0x5"),
        ("test.grid=[500,5]", "test.grid: a grid has 1 to 100 rows and columns, got 500x5"),
    ],
)
def test_a_test_that_cannot_be_is_refused_before_the_training(setting: str, fault: str) -> None:
    (found,) = refused(setting)
    assert found.startswith(fault)


@pytest.mark.parametrize(
    "setting", ["data.crop=area", "test.protocol=ten-crop", "test.protocol=googlenet"]
)
def test_what_volumes_cannot_have_is_refused(setting: str) -> None:
    (found,) = refused(setting, source="demo-volumes")
    assert "for volumes" in found
    assert found.startswith(setting.partition("=")[0])


@pytest.mark.parametrize(("protocol", "views"), [("googlenet", 144), ("ten-crop", 10)])
def test_the_final_test_has_the_scales_of_its_protocol(protocol: str, views: int) -> None:
    for size in (224, 96):
        settings = {"net.input_size": size, "test.protocol": protocol, "data.train_scale": 256}
        how = load_recipe("paper", settings).test_protocol
        shown = [kind(q, 2 * q, size) for q in how.used_scales for kind in how.kinds]
        assert sum(map(len, shown)) == views
    one = load_recipe("paper", {"test.protocol": protocol, "test.scales": [300]}).test_protocol
    assert one.used_scales == (300,)


@pytest.mark.parametrize("name", [name for name in shipped() if not load_recipe(name).localization])
def test_scales_of_a_shipped_recipe_give_way_to_those_of_a_protocol(name: str) -> None:
    wish = {"test.protocol": "ten-crop", "net.dimensions": 2}
    recipe = load_recipe(name, wish)
    assert recipe.test_protocol.used_scales == (round(256 * recipe.net.input_size / 224),)
    assert "scales" not in said_settings(name, wish)["test"]
    given = load_recipe(name, {**wish, "test.scales": [300]})
    assert given.test_protocol.used_scales == (300,)
    # Another protocol has none, so that the recipe's stay.
    usual, center = load_recipe(name), load_recipe(name, {"test.protocol": "center"})
    assert center.test.scales == usual.test.scales


@given(st.text(st.characters() | st.sampled_from("\udc80\u2028\x85\U0001f436\\\"'")))
def test_any_word_can_be_given_as_a_yaml_value(word: str) -> None:
    recipe = load_recipe("paper", [f"initialize.source={one_value(word)}"])
    assert recipe.initialize.source == word


def test_a_crop_size_that_a_classifier_will_tell_is_not_guessed() -> None:
    small = ["test.scales=[64]", "initialize.source=runs/a"]
    assert load_recipe("localization", small).test_scales == (64,)
    (fault,) = refused(*small, "net.input_size=96", source="localization")
    assert fault.startswith("test.scales: must be at least 96")
    assert refused(small[0], source="localization")


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_recipe_loads_and_survives_yaml(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    file = tmp_path / "copy.yaml"
    file.write_text(recipe.to_yaml(), "utf-8")
    assert load_recipe(file) == recipe


def test_single_scale_testing_takes_s_or_the_middle_of_its_range() -> None:
    assert load_recipe("paper", ["data.train_scale=384"]).test_scales == (384,)
    assert load_recipe("paper", ["data.train_scale=[256, 512]"]).test_scales == (384,)
    assert load_recipe("paper", ["test.scales=[256, 384, 512]"]).test_scales == (256, 384, 512)


# ---- values ----


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("training.learning_rate=1e-3", 0.001),  # a string to YAML 1.1
        ("training.learning_rate=1.0e-3", 0.001),
        ("training.weight_decay=0", 0.0),
        ("data.train_scale=[256, 512]", (256, 512)),
        ("data.train_scale=384", (384, 384)),
        ("data.colour_shift=null", None),
        ("data.flip=false", False),
        ("data.flip=off", False),
        ("net.norm=batch", "batch"),
        ('net.name="A-LRN"', "A-LRN"),
        ("initialize.stages=[A, B]", ("A", "B")),
        ("initialize.source=runs/a=b", "runs/a=b"),
        (" training.epochs = 30", 30),
        ("test.scales=[256]", (256,)),
    ],
)
def test_a_setting_is_a_key_and_a_value_in_yaml(setting: str, value: object) -> None:
    changed = load_recipe("paper", [setting])
    path = setting.partition("=")[0].strip()
    assert get(changed, path) == value
    assert type(get(changed, path)) is type(value)
    others = [key for key in known_keys() if key != path]
    assert [get(changed, key) for key in others] == [get(Recipe(), key) for key in others]


def test_the_last_of_two_settings_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("training:\n  epochs: 5\n  batch: 64\n")
    recipe = load_recipe(file, ["training.epochs=6", "training.epochs=7"])
    assert (recipe.training.epochs, recipe.training.batch) == (7, 64)
    assert recipe.net == Recipe().net


def test_replace_changes_a_copy() -> None:
    recipe = Recipe()
    other = recipe.replace(training__epochs=3, data__train_scale=[256, 512])
    assert (other.training.epochs, other.data.train_scale) == (3, (256, 512))
    assert recipe == Recipe()
    with pytest.raises(RecipeError, match=r"training\.epochs: .* got 'many'"):
        recipe.replace(training__epochs="many")


def test_a_recipe_is_frozen() -> None:
    recipe = Recipe()
    with pytest.raises(ValidationError):
        recipe.net = Recipe().net  # type: ignore[misc]
    with pytest.raises(ValidationError):
        recipe.training.epochs = 3  # type: ignore[misc]
    assert hash(recipe.training) == hash(Recipe().training)


# ---- YAML there and back ----


def test_a_fixed_scale_is_written_as_one_number() -> None:
    assert yaml.safe_load(Recipe().to_yaml())["data"]["train_scale"] == 256
    jittered = load_recipe("paper", ["data.train_scale=[256, 512]"])
    assert yaml.safe_load(jittered.to_yaml())["data"]["train_scale"] == [256, 512]


def test_yaml_holds_every_setting_in_order() -> None:
    trees = [yaml.safe_load(load_recipe(name).to_yaml()) for name in ("localization", "transfer")]
    tree = {key: trees[0][key] or trees[1][key] for key in trees[0]}
    written = tuple(f"{section}.{key}" for section, keys in tree.items() for key in keys)
    assert written == known_keys()


recipes = st.fixed_dictionaries(
    {},
    optional={
        "net": st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["A", "A-LRN", "B", "C", "D", "E"]),
                "input_size": st.integers(32, 224),
                "width": st.floats(1e-3, 8),
                "dropout": st.floats(0, 1, exclude_max=True),
                "norm": st.sampled_from([None, "batch"]),
            },
        ),
        "initialize": st.fixed_dictionaries(
            {},
            optional={"source": st.none() | st.text(st.characters(codec="utf-8"), max_size=20)},
        ),
        "data": st.fixed_dictionaries(
            {},
            optional={
                "train_scale": st.integers(224, 512)
                | st.tuples(st.integers(224, 300), st.integers(300, 512)).map(list),
                "colour_shift": st.none() | st.floats(1e-9, 1e9),
                "flip": st.booleans(),
            },
        ),
        "training": st.fixed_dictionaries(
            {},
            optional={
                "batch": st.integers(1, 2**40),
                "learning_rate": st.floats(1e-300, 1e300),
                "seed": st.integers(0, 2**32),
                "device": st.none() | st.text(st.characters(codec="utf-8"), max_size=9),
            },
        ),
        "test": st.fixed_dictionaries(
            {},
            optional={
                "scales": st.lists(st.integers(224, 999), min_size=1, unique=True).map(tuple)
            },
        ),
    },
)


@given(tree=recipes)
def test_nothing_is_lost_in_yaml(tree: dict[str, Any]) -> None:
    recipe = check(tree)
    assert check(yaml.safe_load(recipe.to_yaml())) == recipe


# ---- faults ----


def test_every_fault_is_listed_at_once_with_path_value_and_nearest_key(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "net: {name: F, dropout: 1.5}\n"
        "trainign: {epochs: 3}\n"
        "training: {bach: 256, momentum: much, learning_rate: -1}\n"
        "data: {train_scale: [300, 280], crop: left}\n"
        "test: {scales: [100]}\n"
    )
    found = refused("plateau.pateince=3", "momentum=0.9", "training.epochs", source=file)
    wanted = {
        "net.name": ["A, A-LRN, B, C, D, E, B-5x5, lecun1989", "got 'F'"],
        "net.dropout": ["less than 1", "got 1.5"],
        "trainign": ["unknown", "did you mean 'training'?"],
        "training.bach": ["unknown", "did you mean 'training.batch'?"],
        "training.momentum": ["number", "got 'much'"],
        "training.learning_rate": ["greater than 0", "got -1"],
        "data.train_scale": ["rise", "[300, 280]"],
        "data.crop": ["'random', 'center' or 'area'", "got 'left'"],
        "test.scales": ["224", "got 100"],
        "plateau.pateince": ["unknown", "did you mean 'plateau.patience'?"],
        "momentum": ["SECTION.KEY", "did you mean 'training.momentum'?"],
        "training.epochs": ["KEY=VALUE"],
    }
    assert {fault.partition(": ")[0] for fault in found} == set(wanted)
    assert len(found) == len(wanted)
    for fault in found:
        path, _, message = fault.partition(": ")
        for part in wanted[path]:
            assert part in message


def test_the_message_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("training: {epochs: 0}")
    with pytest.raises(RecipeError, match=r"mine\.yaml"):
        load_recipe(file)


def test_a_key_in_the_wrong_section_is_found_elsewhere() -> None:
    assert refused("data.momentum=0.8") == [
        "data.momentum: unknown key; did you mean 'training.momentum'?"
    ]


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        (["data.train_scale=[512, 256]"], "data.train_scale"),
        (["data.train_scale=200"], "data.train_scale"),
        (["net.input_size=300"], "data.train_scale"),
        (["training.batch=8", "training.micro_batch=9"], "training.micro_batch"),
        (["data.cache=device", "data.workers=2"], "data.workers"),
        (["data.validation_share=0.5", "data.test_share=0.5"], "data.validation_share"),
        (["net.name=B", "initialize.stages=[A, B]"], "initialize.stages"),
        (["test.scales=[256, 223]"], "test.scales"),
    ],
)
def test_what_cannot_go_together_is_refused(settings: list[str], path: str) -> None:
    (fault,) = refused(*settings)
    assert fault.startswith(f"{path}: ")
    together = refused(*settings, "plateau.factor=x")
    assert fault in together
    assert any(other.startswith("plateau.factor: ") for other in together)


@pytest.mark.parametrize(
    "settings",
    [
        ["data.train_scale=224"],
        ["training.batch=8", "training.micro_batch=8"],
        ["data.cache=device", "data.workers=0"],
        ["data.cache=ram"],
        ["data.validation_share=0.5", "data.test_share=0.4"],
        ["net.name=B", "initialize.stages=[A]"],
        ["test.scales=[224]"],
        ["plateau.drops=0"],
    ],
)
def test_what_just_goes_together_is_taken(settings: list[str]) -> None:
    load_recipe("paper", settings)


@pytest.mark.parametrize(
    "setting",
    [
        "net.input_size=31",
        "net.hidden=-1",
        "training.epochs=2.5",
        "training.epochs=",
        "training.seed=-1",
        "training.precision=fp16",
        "training.learning_rate=.nan",
        "initialize.stages=A",
        "initialize.scheme=xavier",
        "data.train_scale=[256, 384, 512]",
        "plateau.factor=1",
        "data.flip=perhaps",
        "training.device=3",
    ],
)
def test_a_wrong_value_is_shown(setting: str) -> None:
    path, _, text = setting.partition("=")
    (fault,) = refused(setting)
    assert fault.startswith(f"{path}: ")
    assert fault.endswith(f"got {yaml.safe_load(text)!r} instead")


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
trees = st.dictionaries(
    st.sampled_from(["net", "data", "training", "test", "plateau", "initialize", "x"]),
    scalars
    | st.lists(scalars, max_size=3)
    | st.dictionaries(
        st.sampled_from(sorted({key.partition(".")[2] for key in known_keys()})),
        scalars | st.lists(scalars, max_size=3),
        max_size=4,
    ),
    max_size=4,
)


@given(tree=trees)
def test_any_tree_is_a_recipe_or_refused(tree: dict[str, Any]) -> None:
    try:
        recipe = check(tree)
    except RecipeError as error:
        count = len(str(error).splitlines()) - 1
        assert count >= 1
    else:
        assert isinstance(recipe, Recipe)


@pytest.mark.parametrize(
    "text",
    [
        "1: {epochs: 3}",
        "3.5:",
        "on: 3",
    ],
)
def test_a_section_that_is_no_word_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError):
        load_recipe(file)


@pytest.mark.parametrize("text", ["training: {1: 2}", "training:\n", "training: [1]", "net: A"])
def test_a_section_that_holds_no_settings_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    (fault,) = refused(source=file)
    assert fault.startswith(text.partition(":")[0])


def test_a_wrong_scale_is_one_fault() -> None:
    assert len(refused("data.train_scale=large")) == 1


@pytest.mark.parametrize("key", ["training.learning_rate", "net.width", "data.divisor"])
def test_infinity_is_refused(key: str) -> None:
    (fault,) = refused(f"{key}=.inf")
    assert fault.startswith(f"{key}: ")


def test_true_is_no_number() -> None:
    refused("training.epochs=true")


def test_a_stage_is_named_once() -> None:
    refused("initialize.stages=[A, A]")


def test_a_seed_that_torch_cannot_take_is_refused() -> None:
    refused(f"training.seed={2**64}")


TWICE, NO_WORD = "is repeated in line", "the key in line 1 is a list or a mapping"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("training: {batch: 3, batch: 5}", TWICE),
        ("net: {}\nnet: {name: A}", TWICE),
        ("? [a]\n: 1\n", NO_WORD),
        ("training: {? {a: 1} : 2}", NO_WORD),
    ],
)
def test_a_key_that_stands_there_twice_or_is_no_word_is_refused(
    text: str, fault: str, tmp_path: Path
) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=fault):
        load_recipe(file)


# ---- files ----


def test_a_file_with_comments_alone_is_the_paper(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("# nothing yet\n")
    assert load_recipe(file) == Recipe()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"training: [1", "YAML"),
        (b"- 1\n- 2\n", "sections"),
        (b"just words", "sections"),
        (b"net: {name: \xff}", "read"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_bytes(content)
    with pytest.raises(RecipeError, match=words) as error:
        load_recipe(file)
    assert "odd.yaml" in str(error.value)


def test_a_name_that_is_no_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"demo, .*paper, .*small.*did you mean 'small'"):
        load_recipe("smal")
    with pytest.raises(RecipeError, match="directory"):
        load_recipe(tmp_path)


@pytest.mark.parametrize(
    ("setting", "meant"),
    [
        ("training.lr=0.1", "'training.learning_rate'"),
        ("lr=0.1", "'training.learning_rate'"),
        ("training.batch_size=8", "'training.batch'"),
        ("bs=8", "'training.batch'"),
        ("epochs=3", "'training.epochs'"),
        ("data.epochs=3", "'training.epochs'"),
        ("training.wd=0", "'training.weight_decay'"),
        ("net.img_size=64", "'net.input_size'"),
        ("imgsz=64", "'net.input_size'"),
        ("model=vgg16", "'net.name'"),
        ("net.backbone=vgg16", "'net.name'"),
        ("training.amp=true", "'training.precision'"),
        ("num_workers=2", "'data.workers'"),
        ("training.workers=2", "'data.workers'"),
        ("net.pretrained=true", "'initialize.source'"),
        ("training.optimizer=adam", "must be 'sgd' or 'adamw'"),
        ("num_classes=3", "follows from the data"),
        ("training.warmpu=0.1", "'training.warmup'"),
        ("flip=false", "'data.flip' or 'test.flip'"),
        ("traning.batch=3", "'training'"),
    ],
)
def test_the_words_of_other_libraries_are_told(setting: str, meant: str) -> None:
    with pytest.raises(RecipeError) as raised:
        load_recipe("paper", [setting])
    assert meant in str(raised.value)


def test_settings_outside_a_section_are_told_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("epochs: 3\nlr: 0.1\n")
    with pytest.raises(RecipeError, match=r"(?s)training\.epochs.*training\.learning_rate"):
        load_recipe(tmp_path / "mine.yaml")


def test_every_alias_leads_to_a_setting() -> None:
    from verydeep.recipe.aliases import KEYS, WORDS

    assert set(KEYS.values()) <= set(known_keys())
    # A name that is a setting here must not lead elsewhere.
    own = {key.partition(".")[2] for key in known_keys()}
    assert not own & set(WORDS)
    assert {name for name in KEYS if name in own} <= {"patience", "batch_norm"}
