"""Shell completions, without importing torch."""

from __future__ import annotations

from collections.abc import Iterable

PROTOCOLS = ("center", "dense", "crops", "both", "ten-crop", "googlenet", "all")


def nets_beginning(incomplete: str) -> list[str]:
    """Return the names of nets that start with ``incomplete``."""
    from verydeep.nets.registry import NAMES

    return _beginning(NAMES, incomplete)


def weights_beginning(incomplete: str) -> list[str]:
    """Return the names of published weights that start with ``incomplete``."""
    from verydeep.models.weights.published import published

    return _beginning(published(), incomplete)


def recipes_beginning(incomplete: str) -> list[str]:
    """Return the names of shipped recipes that start with ``incomplete``."""
    from verydeep.recipe.recipe import shipped

    return _beginning(shipped(), incomplete)


def layouts_beginning(incomplete: str) -> list[str]:
    """Return the names of layouts that start with ``incomplete``."""
    from verydeep.data.registry import LAYOUTS

    return _beginning((layout.name for layout in LAYOUTS), incomplete)


def protocols_beginning(incomplete: str) -> list[str]:
    """Return the names of protocols that start with ``incomplete``."""
    return _beginning(PROTOCOLS, incomplete)


def _beginning(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.lower().startswith(incomplete.lower())]
