"""Words that a shell completes, found without torch."""

from __future__ import annotations

from collections.abc import Iterable

PROTOCOLS = ("center", "dense", "crops", "both", "ten-crop", "googlenet", "all")


def nets_beginning(incomplete: str) -> list[str]:
    """Return the nets whose names begin so."""
    from verydeep.nets.registry import NAMES

    return _beginning(NAMES, incomplete)


def recipes_beginning(incomplete: str) -> list[str]:
    """Return the recipes that come along whose names begin so."""
    from verydeep.recipe.recipe import shipped

    return _beginning(shipped(), incomplete)


def layouts_beginning(incomplete: str) -> list[str]:
    """Return the layouts whose names begin so."""
    from verydeep.data.registry import LAYOUTS

    return _beginning((layout.name for layout in LAYOUTS), incomplete)


def protocols_beginning(incomplete: str) -> list[str]:
    """Return the protocols whose names begin so."""
    return _beginning(PROTOCOLS, incomplete)


def _beginning(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.lower().startswith(incomplete.lower())]
