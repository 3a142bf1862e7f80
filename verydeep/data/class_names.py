"""What classes may be called, whatever a data set lies in: the one place that judges it.

Names stand in messages, on pages, in the model's folder, and in tables by which people compare
models; so every class has a name of its own that can be printed. Names are kept and compared in
Unicode's normal form NFC: macOS writes ``café`` with other code points than Linux and Windows do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from verydeep.data.name_forms import nfc
from verydeep.errors import DataError, did_you_mean, printable


def check_class_names(
    told: Iterable[tuple[str, str]], root: object, needs: str = "classes", least: int = 2
) -> tuple[str, ...]:
    """Return the names of the classes in NFC, in the order given.

    Args:
        told: Every name, and where it is told of.
        root: The data set, for messages.
        needs: What there must be two of, in words.
        least: How many classes there must be: one is enough where nothing is trained.

    Raises:
        DataError: There are too few, one cannot be printed, or one stands there twice.
    """
    places: dict[str, str] = {}
    for given, place in told:
        name = nfc(given)
        if not name.strip() or not name.isprintable():
            raise DataError(
                f"{printable(place)}: a class needs a name of printable characters, got {name!r}"
            )
        if name in places:
            raise DataError(
                f"{printable(place)}: two classes are called {name!r}; give each a name of its own"
            )
        places[name] = place
    if len(places) < least:
        raise DataError(
            f"{printable(str(root))}: a classifier needs at least two {needs}; "
            f"found {', '.join(places) or 'none'}"
        )
    return tuple(places)


def check_titles(titles: Mapping[str, str], place: object) -> None:
    """Refuse what cannot be printed as that which people are shown for a class.

    Raises:
        DataError: One cannot.
    """
    odd = next((title for title in titles.values() if not title.isprintable()), None)
    if odd is not None:
        raise DataError(
            f"{printable(str(place))}: what is shown for a class must be printable, got {odd!r}"
        )


def unknown_class(name: str, known: Iterable[str], place: object) -> DataError:
    """Return what to raise for an image of a class that training lacks."""
    hint = did_you_mean(name, known, "every class needs training images")
    return DataError(f"{printable(str(place))}: there is no training class {name!r}{hint}")
