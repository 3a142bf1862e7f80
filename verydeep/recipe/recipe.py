"""A recipe: every setting of a training, frozen, with the paper's values as defaults.

A recipe file is YAML and holds only the differences from the paper. One error reports all faults,
each with its dotted path, the value found, and the nearest known key.
"""

from __future__ import annotations

import copy
import difflib
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    BaseModel,
    ValidationError,
)

from verydeep.errors import RecipeError, did_you_mean
from verydeep.evaluation.protocol import (
    OWN_SCALES,
    TestProtocol,
    multiple_scales,
    own_scales,
    single_scale,
)
from verydeep.recipe.aliases import other_word
from verydeep.recipe.rules import impossible_combinations
from verydeep.recipe.sections import (
    Data,
    Initialize,
    Localization,
    Net,
    Plateau,
    Section,
    Test,
    Training,
    Transfer,
)
from verydeep.system.option_names import in_program
from verydeep.system.yaml import dump_yaml, parse_yaml


class Recipe(Section):
    """Every setting of a training; ``Recipe()`` is the paper's.

    >>> Recipe().training.batch, Recipe().data.train_scale
    (256, (256, 256))
    """

    net: Net = Net()
    initialize: Initialize = Initialize()
    data: Data = Data()
    training: Training = Training()
    plateau: Plateau = Plateau()
    test: Test = Test()
    localization: Localization | None = None
    transfer: Transfer | None = None

    @property
    def test_scales(self) -> tuple[int, ...]:
        """Test scales Q: those of the test section, else S if fixed, the middle if jittered."""
        match self.test.scales:
            case None | "single":
                return single_scale(self.data.train_scale)
            case "multi":
                return multiple_scales(self.data.train_scale, self.net.input_size)
            case scales:
                return scales

    @property
    def test_protocol(self) -> TestProtocol:
        """Protocol of the final test, at the recipe's scales or those of the protocol."""
        test = self.test
        own = own_scales(test.protocol, self.net.input_size) if test.scales is None else None
        scales = own or self.test_scales
        return TestProtocol(test.protocol, scales, test.flip, test.grid, test.average)

    def replace(self, **settings: Any) -> Recipe:
        """Return a recipe with other values, given by dotted path with ``__`` for the dot.

        Raises:
            RecipeError: A path or a value is invalid.

        >>> Recipe().replace(training__epochs=3).training.epochs
        3
        """
        # Only explicit settings, so that a model can still decide the others.
        tree = self.model_dump(mode="json", exclude_unset=True)
        for path, value in settings.items():
            _put(tree, path.split("__"), value)
        return check(tree)

    def to_yaml(self) -> str:
        """Return every setting as YAML, in the order of this file."""
        tree = self.model_dump(mode="json")
        return dump_yaml(tree)


def shipped() -> tuple[str, ...]:
    """Return the names of the recipes shipped with the package.

    >>> shipped()
    ('demo', 'demo-localization', 'demo-volumes', 'fine-tune', 'googlenet', 'lecun1989', \
'localization', 'paper', 'senet154', 'small', 'transfer')
    """
    folder = resources.files("verydeep.recipe") / "shipped"
    names = (Path(entry.name) for entry in folder.iterdir())
    return tuple(sorted(name.stem for name in names if name.suffix == ".yaml"))


def load_recipe(
    source: str | Path = "paper", settings: Iterable[str] | Mapping[str, Any] = ()
) -> Recipe:
    """Read a shipped recipe or a file, and change single settings.

    Args:
        source: Name of a shipped recipe (:func:`shipped`), or path of a YAML file.
        settings: Changes as ``"training.epochs=30"``, with the value in YAML, or as a mapping by
            dotted path, ``{"training.epochs": 30}``.

    Raises:
        RecipeError: Unknown keys, wrong types or impossible combinations, all in one message.
    """
    tree, faults = _read_and_set(source, settings)
    return check(tree, faults, origin=str(source))


def said_settings(
    source: Recipe | str | Path | None, settings: Iterable[str] | Mapping[str, Any] = ()
) -> dict[str, dict[str, Any]]:
    """Return only the settings given explicitly, by section and key.

    Args:
        source: A recipe, the name of a shipped one, or a file; None gives no settings.
        settings: As for :func:`load_recipe`.

    Raises:
        RecipeError: Unknown keys or wrong values, all in one message. Incompatible settings are
            left to :func:`check`.
    """
    if isinstance(source, Recipe):
        tree = source.model_dump(mode="json", exclude_unset=True)
        faults = _set(tree, settings)
    else:
        tree, faults = _read_and_set(source, settings)
    recipe = check(tree, faults, origin="" if source is None else str(source), together=False)
    said = recipe.model_dump(mode="json", exclude_unset=True)
    return {section: values for section, values in said.items() if values is not None}


def _read_and_set(
    source: str | Path | None, settings: Iterable[str] | Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return a recipe's tree with single settings changed, and the faults found.

    The test scales of a shipped recipe are for its own protocol: they give way to those of a
    protocol that defines some.
    """
    tree = {} if source is None else _read(source)
    own = (tree.get("test") or {}).pop("scales", None) if str(source) in shipped() else None
    faults = _set(tree, settings)
    if own is not None:
        test = tree["test"]
        if test.get("protocol") not in [*OWN_SCALES]:
            test.setdefault("scales", own)
    return tree, faults


def _set(tree: dict[str, Any], settings: Iterable[str] | Mapping[str, Any]) -> list[str]:
    """Change settings in place, and return the faults found."""
    faults: list[str] = []
    parsed = settings.items() if isinstance(settings, Mapping) else _parsed(settings, faults)
    for path, value in parsed:
        try:
            _put(tree, path.strip().split("."), value)
        except RecipeError as error:
            faults.append(_changed(error))
    return faults


def _parsed(settings: Iterable[str], faults: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield path and value of settings given as text; add a fault for each invalid one."""
    for setting in settings:
        path, equals, text = setting.partition("=")
        try:
            if not equals:
                faults.append(_changed(f"{setting}: must be KEY=VALUE, like training.epochs=30"))
            else:
                yield path, parse_yaml(text)
        except yaml.YAMLError:
            faults.append(_changed(f"{path}: {text!r} is not a YAML value"))


def _changed(fault: object) -> str:
    """Return a fault in a single setting, with ``--set`` on the command line."""
    return f"--set {fault}" if in_program() else str(fault)


def check(
    tree: Mapping[str, Any],
    faults: Iterable[str] = (),
    *,
    origin: str = "",
    together: bool = True,
) -> Recipe:
    """Build a recipe from nested mappings, or raise one error that lists every fault.

    Args:
        tree: Settings by section and key.
        faults: Earlier faults to list as well.
        origin: Name of the recipe or file, for the message.
        together: Whether to check combinations of settings too.

    Raises:
        RecipeError: With a line for each fault.
    """
    found = list(faults)
    tree = {str(section): settings for section, settings in tree.items()}
    try:
        recipe = Recipe.model_validate(tree)
    except ValidationError as error:
        by_setting = {_setting(fault["loc"]): fault for fault in reversed(error.errors())}
        found += [_describe(dict(fault)) for fault in reversed(by_setting.values())]
        # Without the faulty settings, the others may still be incompatible: report that as well.
        recipe = Recipe.model_validate(_without(tree, (fault["loc"] for fault in error.errors())))
    if together:
        found += impossible_combinations(recipe)
    if found:
        place = f" in {origin}" if origin else ""
        lines = "".join(f"\n  {fault}" for fault in found)
        raise RecipeError(f"the recipe cannot be used; {len(found)} to mend{place}:{lines}")
    return recipe


def _read(source: str | Path) -> dict[str, Any]:
    if str(source) in shipped():
        text = (resources.files("verydeep.recipe") / "shipped" / f"{source}.yaml").read_text(
            "utf-8"
        )
    else:
        text = _read_file(Path(source))
    try:
        tree = parse_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source}: not valid YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise RecipeError(f"{source}: must hold sections like 'training:', got {tree!r} instead")
    return tree


def _read_file(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(shipped())
        hint = did_you_mean(str(path), shipped())
        raise RecipeError(
            f"recipe {str(path)!r} is neither one of {names} nor a file that can be read "
            f"({getattr(error, 'strerror', None) or error}){hint}"
        ) from error


def _put(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    path = ".".join(keys)
    if len(keys) != 2:
        raise RecipeError(f"{path}: must be SECTION.KEY{_nearest(path)}")
    if tree.get(keys[0]) is None:  # also a section that is switched off
        tree[keys[0]] = {}
    section = tree[keys[0]]
    if not isinstance(section, dict):
        raise RecipeError(f"{path}: {keys[0]} is no section in this recipe")
    section[keys[1]] = value


@cache
def known_keys() -> tuple[str, ...]:
    """Return the dotted path of every setting."""
    return tuple(
        f"{section}.{key}"
        for section, field in Recipe.model_fields.items()
        for key in _section_class(field.annotation).model_fields
    )


def _section_class(annotation: Any) -> type[BaseModel]:
    """Return the class of a section, which may be optional."""
    choices = (annotation, *typing.get_args(annotation))
    return next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))


def _describe(fault: Mapping[str, Any]) -> str:
    path = ".".join(str(part) for part in _setting(fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"{path}: unknown key{_nearest(path)}"
    message = str(fault["msg"])
    rule = message[0].lower() + message[1:].replace("Input should", "should")
    return f"{path}: {rule.replace('input should', 'must')}, got {fault['input']!r} instead"


def _nearest(path: str) -> str:
    """Return a hint at the setting that an unknown path probably means, or an empty string.

    Candidates in order: the same name in another section, another library's name, a similar
    section, a similar name in this section, a similar name anywhere.

    >>> _nearest("training.lr"), _nearest("epochs"), _nearest("trainig.momentum")
    ("; did you mean 'training.learning_rate'?", "; did you mean 'training.epochs'?", \
"; did you mean 'training.momentum'?")
    """
    section, _, key = path.rpartition(".")
    elsewhere = [known for known in known_keys() if known.partition(".")[2] == key]
    if elsewhere:
        return _these(sorted(elsewhere, key=lambda known: not known.startswith(section)))
    if word := other_word(key):
        return word
    if not section and (hint := did_you_mean(key, Recipe.model_fields)):
        return hint
    here = [known for known in known_keys() if known.startswith(f"{section}.")]
    for known in (here, known_keys()):
        by_key = {one.partition(".")[2]: one for one in known}
        if near := difflib.get_close_matches(key, by_key, n=1, cutoff=0.6):
            return f"; did you mean {by_key[near[0]]!r}?"
    return did_you_mean(path, known_keys())


def _these(keys: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(map(repr, keys))}?"


def _setting(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Cut pydantic's location to section and key."""
    return location[:2]


def _without(tree: Mapping[str, Any], locations: Iterable[tuple[int | str, ...]]) -> dict[str, Any]:
    left = copy.deepcopy(dict(tree))
    for location in locations:
        section, *key = _setting(location)
        inside = left.get(str(section))
        if key and isinstance(inside, dict):
            inside.pop(key[0], None)
        else:
            left = {name: value for name, value in left.items() if str(name) != str(section)}
    return left
