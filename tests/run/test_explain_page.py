"""The page that explains: its files, its facts, its words, and what the program says of it."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from page_faults import page_faults
from PIL import Image
from tiny import Outcome, strict_json

import verydeep as package
from verydeep.errors import InputError, MissingExtra, PictureError
from verydeep.inspection.subject import find_class
from verydeep.localization.localizer import Localizer, load_localizer
from verydeep.localization.protocol import BoxProtocol
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.system.settings import Compute
from verydeep.visualization.inspection import sections as registry

pytestmark = pytest.mark.slow  # many whole runs, or drawings

Program = Callable[..., Outcome]
VOID = {"meta", "img", "br", "link", "hr", "input"}
NASTY = 'a "cat" & <b>.png'
ODD = "$x^ cat\n\udcff 猫.png"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small net that takes images from 32 pixels on."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "a"
    Classifier(
        net=vgg("A", 3, input_size=32, width=0.125, hidden=100).eval(),
        classes=("n01", "n02", "n03"),
        titles={"n01": "cat & co", "n02": "<dog>", "n03": "$\\frac$ 猫"},
        preprocessing=Preprocessing((120.0, 110.0, 100.0)),
        train_scale=(32, 40),
        test_scales=(40, 48),
    ).save(folder)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images of noise of different sizes, one of them with an odd name."""
    folder = tmp_path_factory.mktemp("photos") / ("a_folder_whose_name_does_not_end" * 2)
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, size in {NASTY: (40, 60), "b.png": (50, 50), "c.png": (90, 64)}.items():
        Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(folder / name)
    (folder / "more").mkdir()
    shutil.copy(folder / "b.png", folder / "more" / "b.png")
    Image.fromarray(random.integers(0, 256, (44, 44, 3), np.uint8)).save(folder / "more" / "d.png")
    return folder


@pytest.fixture(scope="module")
def boxes(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a box regressor that goes with the model."""
    like = load_classifier(model, compute=Compute(precision="fp32"))
    torch.manual_seed(2)
    net = vgg("A", 4, input_size=32, width=0.125, hidden=100).eval()
    torch.nn.init.constant_(net.classifier.fc8.bias, 0.5)
    folder = tmp_path_factory.mktemp("models") / "boxes"
    Localizer(
        net=net,
        classes=like.classes,
        preprocessing=like.preprocessing,
        train_scale=(32, 40),
        test_scales=(40, 48),
        per_class=False,
    ).save(folder)
    return folder


@pytest.fixture(scope="module")
def written(
    model: Path, boxes: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A page about all of them with all sections, and what was said of it."""
    out = tmp_path_factory.mktemp("out") / "new" / "folder"
    value = package.explain(
        model,
        photos,
        out,
        layers=["conv3_1"],
        among=photos,
        top=2,
        boxes=[boxes],
        steps=2,
        compute=Compute(precision="fp32"),
    )
    for picture in value["pictures"]:
        names = {*picture["sections"], *value["net_sections"]}
        assert names == {entry.name for entry in registry.ENTRIES}
    return out, value


class Page(HTMLParser):
    """Checks that what is opened is closed, and collects what the page is made of."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.images: list[dict[str, str]] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.text = (folder / "index.html").read_text("utf-8")
        self.feed(self.text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(found)
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append(int(tag[1]))
        self.ids += [found["id"]] if "id" in found else []
        self.references += [found[key] for key in ("src", "href") if key in found]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


# ---- the page and its files ----


def test_every_drawing_is_a_file_that_the_page_shows_with_words(
    written: tuple[Path, dict[str, Any]],
) -> None:
    folder, value = written
    page = Page(folder)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert {unquote(image["src"]) for image in page.images} == files
    told = {file for picture in value["pictures"] for file in drawings(picture["sections"])}
    told |= set(drawings(value["net_sections"]))
    pictures = {f"{picture['folder']}/picture.png" for picture in value["pictures"]}
    dark = {file.replace(".png", "-dark.png") for file in told}
    assert told | pictures | dark == files
    for image in page.images:
        assert len(image["alt"]) > 20
        with Image.open(folder / image["src"]) as drawn:
            assert drawn.size == (int(image["width"]), int(image["height"]))
            if "picture.png" not in image["src"]:
                assert drawn.info["Description"] == image["alt"]


def drawings(sections: dict[str, Any]) -> list[str]:
    return [file for section in sections.values() for file in section["files"]]


def test_the_page_needs_nothing_else_and_its_links_lead_somewhere(
    written: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = written
    page = Page(folder)
    assert len(page.ids) == len(set(page.ids))
    for reference in page.references:
        if reference.startswith("#"):
            assert reference[1:] in page.ids
        else:
            assert (folder / unquote(reference)).is_file()
    for word in ("http:", "https:", "//", "url(", "@import", "<script"):
        assert word not in page.text.replace("</", "")
    assert not {"script", "link", "iframe", "object"} & set(page.tags)


def test_headings_go_down_one_by_one_and_landmarks_are_there(
    written: tuple[Path, dict[str, Any]],
) -> None:
    page = Page(written[0])
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    for above, below in zip(page.headings, page.headings[1:], strict=False):
        assert below <= above + 1
    assert {"main", "nav", "header", "section", "figure", "table"} <= set(page.tags)


def test_odd_names_are_shown_as_they_are_and_have_plain_folders(
    written: tuple[Path, dict[str, Any]],
) -> None:
    folder, value = written
    assert [picture["folder"] for picture in value["pictures"]] == [
        *("a-cat-b", "b", "c", "b-2", "d"),
    ]
    assert "a &#34;cat&#34; &amp; &lt;b&gt;.png" in Page(folder).text
    assert "<dog>" not in Page(folder).text


@pytest.mark.slow
def test_the_same_call_draws_the_same_files(model: Path, photos: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        package.explain(model, photos / "b.png", tmp_path / name, only=["maps", "receptive-field"])
    for path in (tmp_path / "one").rglob("*.png"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes()


def test_names_of_any_letters_are_drawn_as_they_are(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(photos / "b.png", tmp_path / "in" / ODD)
    value = package.explain(
        model, tmp_path / "in", tmp_path / "out", among=tmp_path / "in", label="n03"
    )
    (picture,) = value["pictures"]
    assert picture["folder"] == "x-cat-n-udcff"
    assert picture["name"] == repr(ODD)
    assert picture["sections"]["exciting"]["channels"][0]["patches"][0]["file"] == repr(ODD)
    Page(tmp_path / "out")


# ---- facts ----


def test_what_is_returned_is_what_the_file_holds(written: tuple[Path, dict[str, Any]]) -> None:
    folder, value = written
    assert strict_json((folder / "explain.json").read_text("utf-8")) == json.loads(
        json.dumps(value.to_dict())
    )


def test_the_ranking_is_that_of_one_plain_view(
    written: tuple[Path, dict[str, Any]], model: Path, photos: Path
) -> None:
    loaded = load_classifier(model, compute=Compute(precision="fp32"))
    for picture in written[1]["pictures"]:
        (expected,) = loaded.predict(picture["source"], scales=[40], flip=False)
        named = [(one["class"], one["probability"]) for one in picture["ranking"]]
        assert picture["class"] == expected.label
        if picture["positions"] == [1, 1]:  # else predict averages soft-maxes, not scores
            assert named == [(name, pytest.approx(p, abs=1e-5)) for name, p in expected.ranking]


def test_sizes_positions_and_facts_fit_together(written: tuple[Path, dict[str, Any]]) -> None:
    sizes = {"a-cat-b": (40, 60), "b": (40, 40), "c": (56, 40), "b-2": (40, 40), "d": (40, 40)}
    for picture in written[1]["pictures"]:
        height, width = sizes[picture["folder"]]
        assert (picture["height"], picture["width"]) == (height, width)
        assert picture["positions"] == [height // 32, width // 32]
        maps = {one["layer"]: one for one in picture["sections"]["maps"]["layers"]}
        assert [*maps] == ["pool1", "pool2", "conv3_1", "pool3", "pool4", "pool5", "relu7", "fc8"]
        assert (maps["pool2"]["height"], maps["pool2"]["width"]) == (height // 4, width // 4)
        fields = {one["layer"]: one for one in picture["sections"]["receptive-field"]["layers"]}
        for layer, one in fields.items():
            strongest = maps[layer]["strongest"][0]
            assert one["value"] == pytest.approx(strongest["value"], rel=1e-5)
            assert one["channel"] == strongest["channel"]
    assert written[1]["net_sections"]["filters"]["filters"] == 8


def test_the_strongest_channels_are_hunted_among_all(
    written: tuple[Path, dict[str, Any]],
) -> None:
    for picture in written[1]["pictures"]:
        exciting = picture["sections"]["exciting"]
        assert exciting["images"] == 5
        strongest = picture["sections"]["maps"]["layers"]
        first = {one["layer"]: one["strongest"][0] for one in strongest}
        for channel in exciting["channels"]:
            best = channel["patches"][0]
            assert channel["channel"] == first[channel["layer"]]["channel"]
            # The image itself is among them, so the best is at least as good.
            assert best["value"] >= first[channel["layer"]]["value"] - 1e-5
            assert len(channel["patches"]) == 2


def test_given_channels_stand_once_under_the_net(model: Path, photos: Path, tmp_path: Path) -> None:
    value = package.explain(
        model, photos, tmp_path, channels=["conv2_1:3", "pool5:0"], among=photos, only=["exciting"]
    )
    assert [picture["sections"] for picture in value["pictures"]] == [{}] * 5
    channels = value["net_sections"]["exciting"]["channels"]
    assert [(one["layer"], one["channel"]) for one in channels] == [("conv2_1", 3), ("pool5", 0)]


def test_the_centre_alone_can_be_shown(model: Path, photos: Path, tmp_path: Path) -> None:
    value = package.explain(model, photos / "c.png", tmp_path, center=True, scale=40, only="maps")
    (picture,) = value["pictures"]
    assert (picture["height"], picture["width"], picture["positions"]) == (32, 32, [1, 1])
    with Image.open(tmp_path / "c" / "picture.png") as shown, Image.open(photos / "c.png") as file:
        whole = file.resize((40, 56), Image.Resampling.BILINEAR)
        assert np.array_equal(np.array(shown), np.array(whole)[12:44, 4:36])


def test_pictures_from_memory_and_a_loaded_model(model: Path, tmp_path: Path) -> None:
    images = [Image.new("RGB", (40, 40), "red"), np.zeros((50, 40), np.uint8)]
    value = package.explain(
        load_classifier(model), iter(images), tmp_path, only=["maps"], label="n02"
    )
    assert [picture["name"] for picture in value["pictures"]] == ["image 1", "image 2"]
    assert [picture["source"] for picture in value["pictures"]] == ["memory"] * 2
    assert {picture["class"] for picture in value["pictures"]} == {"<dog>"}
    assert value["model"] == "net A in memory"


def test_a_class_model_is_made_once_for_each_class(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    value = package.explain(
        model, photos, tmp_path, label="n02", only=["class-model"], steps=2, seed=3
    )
    files = [picture["sections"]["class-model"]["files"] for picture in value["pictures"]]
    assert files == [files[0]] * 5
    assert files[0][0].startswith("a-cat-b/")
    added = package.explain(model, photos / "b.png", tmp_path / "more", steps=1)
    sections = added["pictures"][0]["sections"]
    assert [*sections] == [
        *("maps", "receptive-field", "saliency", "guided-backprop", "grad-cam", "occlusion"),
        "class-model",
    ]


def test_a_box_regressor_says_where_its_box_came_from(
    model: Path, boxes: Path, photos: Path, tmp_path: Path, verydeep: Program
) -> None:
    like = load_classifier(model, compute=Compute(precision="fp32"))
    files = ["explain", model, photos / "c.png", "--out", tmp_path / "x", "--precision", "fp32"]
    outcome = verydeep(*files, "--boxes", boxes, "--only", "boxes", "--json")
    assert outcome.code == 0, outcome.err
    (picture,) = strict_json(outcome.out)["pictures"]
    assert [*picture["sections"]] == ["boxes"]
    # The box is that of the whole file, whatever the scale at which the page looks inside.
    found = package.localize(
        like,
        [load_localizer(boxes, compute=Compute(precision="fp32"))],
        photos / "c.png",
        BoxProtocol("dense", top=1),
    )
    assert found[0].label == picture["class"]
    assert picture["sections"]["boxes"]["box"] == pytest.approx([*found[0].boxes[0]], abs=1e-3)
    scaled = verydeep(
        *(*files, "--boxes", boxes, "--only", "boxes", "--json", "--box-scales", "48,64,96")
    )
    facts = strict_json(scaled.out)["pictures"][0]["sections"]["boxes"]
    assert facts["scales"] == [48, 64, 96]
    assert {origin["scale"] for origin in facts["origins"]} <= {48, 64, 96}
    again = package.localize(
        like,
        load_localizer(boxes, Compute(precision="fp32")),
        photos / "c.png",
        BoxProtocol("dense", [48, 64, 96], top=1),
    )
    assert facts["box"] == pytest.approx([*again[0].boxes[0]], abs=1e-3)
    other = vgg("A", 4, input_size=64, width=0.125, hidden=100).eval()
    made = load_localizer(boxes)
    replace(made, net=other, train_scale=(64, 64), test_scales=(64,)).save(tmp_path / "large")
    outcome = verydeep(*files[:4], tmp_path / "y", "--boxes", tmp_path / "large")
    assert outcome.code == 2
    assert "64" in outcome.err
    assert not (tmp_path / "y").exists()


# ---- faults ----


def test_broken_pictures_are_listed_and_the_others_explained(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_text("no image")
    Image.new("RGB", (32 * 40000, 32)).save(tmp_path / "long.png")
    files = [tmp_path / "broken.png", photos / "b.png", tmp_path / "long.png"]
    value = package.explain(model, files, tmp_path / "out", only=["maps"], scale=32)
    assert [picture["name"] for picture in value["pictures"]] == ["b.png"]
    assert len(value["unreadable"]) == 2
    assert "broken.png" in value["unreadable"][0]
    assert "long.png: 1280000x32" in value["unreadable"][1]
    with pytest.raises(PictureError, match=r"none of the images can be looked into:\n.*broken"):
        package.explain(model, files[0], tmp_path / "none")


def test_classes_are_found_by_name_and_by_title(model: Path) -> None:
    loaded = load_classifier(model)
    assert [find_class(loaded, name) for name in ("n01", "cat & co", "<dog>", "n03")] == [
        *(0, 0, 1, 2),
    ]
    with pytest.raises(
        InputError, match=r"no class 'n04'; it knows cat & co, <dog>, .*; did you mean"
    ):
        find_class(loaded, "n04")


def test_a_title_of_two_classes_is_no_choice_between_them() -> None:
    cranes = Classifier(
        net=vgg("A", 3, input_size=32, width=0.125, hidden=10).eval(),
        classes=("n01", "n02", "crane"),
        titles={"n01": "crane", "n02": "crane", "crane": "bird"},
        preprocessing=Preprocessing((120.0, 110.0, 100.0)),
        train_scale=(32, 32),
        test_scales=(32,),
    )
    assert find_class(cranes, "crane") == 2  # a name, which goes before titles
    cranes = replace(cranes, classes=("n01", "n02", "n03"), titles={"n01": "crane", "n02": "crane"})
    with pytest.raises(InputError, match=r"2 classes are called 'crane'; .* of one: n01, n02$"):
        find_class(cranes, "crane")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "map"], "unknown section 'map'; available: maps, receptive-field"),
        (["--only", "map"], "did you mean 'maps'?"),
        (["--layer", "conv9_9"], "net A has no layer 'conv9_9'; it has conv1_1, relu1_1"),
        (["--channel", "conv1_1:2"], "with --among"),
        (["--only", "exciting"], "with --among"),
        (["--channel", "conv1_1", "--among", "."], "like conv3_3:17, got 'conv1_1' instead"),
        (["--channel", "conv1_1:8", "--among", "PHOTOS"], "the channels 0 to 7, got 8 instead"),
        (["--only", "boxes"], "name the box regressor with --boxes"),
        (["--boxes", "MODEL"], "where a box regressor is needed"),
        (["--box-scales", "64"], "name the box regressor with --boxes"),
        (["--box-scales", "64;96"], "--box-scales must be whole numbers like 256 or 256,384,512"),
        (["--boxes", "BOXES", "--box-scales", "16"], "test scale must be at least 32"),
        (["--label", "n1"], "the model knows no class 'n1'"),
        (["--size", "31"], "test scale must be at least 32"),
        (["--among", "nowhere"], "nowhere"),
        (["--precision", "fp64"], "precision must be bf16 or fp32"),
    ],
)
def test_faults_are_told_in_one_message(
    arguments: list[str],
    words: str,
    model: Path,
    boxes: Path,
    photos: Path,
    tmp_path: Path,
    verydeep: Program,
) -> None:
    folders = {"PHOTOS": photos, "MODEL": model, "BOXES": boxes}
    given = [folders.get(word, word) for word in arguments]
    outcome = verydeep("explain", model, photos / "b.png", "--out", tmp_path / "out", *given)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_among_the_pictures(
    model: Path, photos: Path, tmp_path: Path, verydeep: Program
) -> None:
    before = sorted(photos.rglob("*"))
    outcome = verydeep("explain", model, photos, "--out", photos / "inside")
    assert outcome.code == 2
    assert "lies within the images" in outcome.err
    assert sorted(photos.rglob("*")) == before
    outcome = verydeep("explain", model, photos / "b.png", "--out", photos)
    assert outcome.code == 2
    assert f"{photos} is the folder of {photos / 'b.png'}" in outcome.err
    assert f"such as {photos / 'inside'}" in outcome.err
    assert sorted(photos.rglob("*")) == before
    other = tmp_path / "other.png"
    other.write_bytes((photos / "b.png").read_bytes())
    outcome = verydeep("explain", model, other, "--out", photos / "inside", "--among", photos)
    assert outcome.code == 2
    assert f"lies within the images of {photos}" in outcome.err
    assert sorted(photos.rglob("*")) == before
    (tmp_path / "file").write_text("here already")
    outcome = verydeep("explain", model, photos / "b.png", "--out", tmp_path / "file")
    assert (outcome.code, outcome.out) == (2, "")
    assert "written" in outcome.err


def without_captum(name: str, *more: Any) -> Any:
    return None if name == "captum" else importlib.util.find_spec(name, *more)


def test_without_captum_its_sections_are_left_out_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    model: Path,
    photos: Path,
    tmp_path: Path,
    verydeep: Program,
) -> None:
    monkeypatch.setattr(registry, "find_spec", without_captum)
    outcome = verydeep("explain", model, photos / "b.png", "--out", tmp_path / "x", "--json")
    value = strict_json(outcome.out)
    assert [*value["pictures"][0]["sections"]] == ["maps", "receptive-field"]
    (reason,) = value["left_out"]
    assert reason == (
        "saliency, guided-backprop, grad-cam, occlusion: Captum is not installed "
        "(pip install 'verydeep[insight]')"
    )
    assert f"left out: {reason}" in outcome.err
    assert "Left out: saliency" in Page(tmp_path / "x").text
    for name in ("saliency", "guided-backprop", "grad-cam", "occlusion"):
        with pytest.raises(MissingExtra, match=rf"{name}: Captum.*install 'verydeep\[insight\]'"):
            package.explain(model, photos / "b.png", tmp_path / "y", only=["maps", name])
    assert not (tmp_path / "y").exists()


# ---- what is known of the model ----


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (
            {"epoch": 3, "val_loss": 1.2, "val_top1_error": 40.06, "val_top5_error": 0.0},
            "not tested yet; 40.06 % top-1 validation error after epoch 3",
        ),
        (
            {"top1_error": 12.34, "protocol": "dense", "images": 1234, "loss": 1.0},
            "12.34 % top-1 error (dense, 1,234 images)",
        ),
        ({"top1_error": 7.0}, "7.00 % top-1 error"),
        ({"mean_average_precision": 80.5}, "80.50 % mean average precision"),
        ({"loss": 1.0}, "not tested yet"),
        (None, None),
    ],
)
def test_the_page_says_what_was_measured_of_the_model_so_far(
    measured: dict[str, Any] | None, words: str | None, model: Path, photos: Path, tmp_path: Path
) -> None:
    replace(load_classifier(model), measured=measured).save(tmp_path / "model")
    value = package.explain(tmp_path / "model", photos / "b.png", tmp_path / "x", only=["filters"])
    assert value["measured"] == measured
    row = f"<dt>test</dt><dd>{words}</dd>"
    assert (row in Page(tmp_path / "x").text) == (words is not None)
    assert ("<dt>test</dt>" in Page(tmp_path / "x").text) == (words is not None)


# ---- the verb ----


def test_the_verb_prints_one_json_object(
    model: Path, photos: Path, tmp_path: Path, verydeep: Program
) -> None:
    arguments = ["explain", model, photos / "b.png", "--out", tmp_path, "--only", "maps", "--json"]
    outcome = verydeep(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    value = strict_json(outcome.out)
    assert value == strict_json((tmp_path / "explain.json").read_text("utf-8"))
    assert value["command"].startswith("verydeep explain ")
    assert {"net", "model", "precision", "pictures", "unreadable", "left_out", "seconds"} <= {
        *value
    }
    assert "verydeep explain " in (tmp_path / "index.html").read_text("utf-8")


def test_the_verb_speaks_to_people(
    model: Path, photos: Path, tmp_path: Path, verydeep: Program
) -> None:
    (tmp_path / "broken.png").write_text("no image")
    files = [photos / "b.png", tmp_path / "broken.png"]
    outcome = verydeep("explain", model, *files, "--out", tmp_path / "x", "--only", "filters")
    assert outcome.code == 0
    assert str(tmp_path / "x" / "index.html") in outcome.out
    assert "b.png" in outcome.out
    assert "1 image cannot be read" in outcome.err


def test_a_request_from_python_has_no_command(model: Path, photos: Path, tmp_path: Path) -> None:
    value = package.explain(model, photos / "b.png", tmp_path, only=["filters"])
    assert value["command"] is None
    assert "<dt>command</dt>" not in (tmp_path / "index.html").read_text("utf-8")


# ---- in a browser ----


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_a_fault(
    scheme: str, width: int, written: tuple[Path, dict[str, Any]], browser: Any
) -> None:
    said: list[str] = []
    asked: list[str] = []
    # A caption with a long path must not make the page wider than the screen.
    assert max(len(one["source"]) for one in written[1]["pictures"]) > 60
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    tab = context.new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto((written[0] / "index.html").as_uri())
    tab.evaluate("for (const image of document.images) image.loading = 'eager'")
    tab.evaluate("Promise.all([...document.images].map(image => image.decode()))")
    assert not tab.evaluate("document.documentElement.scrollWidth > innerWidth")
    # Of the light and the dark drawing one is shown; on a phone it fits the page.
    narrowest = tab.evaluate(
        "Math.min(...[...document.querySelectorAll('.card img')]"
        ".map(one => one.clientWidth).filter(Boolean))"
    )
    assert narrowest >= (300 if width == 390 else 390)
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 22, 22)")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "To the content"
    faults = page_faults(tab)
    context.close()
    assert said == []
    assert all(url.startswith("file://") for url in asked)
    assert faults == []
