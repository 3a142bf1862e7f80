"""Rules for class names, shared by all layouts.

Names appear in messages, on pages, in the model's folder and in tables for comparing models, so
every class needs a unique, printable name. Names are kept and compared in Unicode's normal form
NFC: macOS writes ``café`` with other code points than Linux and Windows do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from verydeep.data.name_forms import nfc
from verydeep.errors import DataError, did_you_mean, printable


def check_class_names(
    names: Iterable[tuple[str, str]], root: object, needs: str = "classes", least: int = 2
) -> tuple[str, ...]:
    """Return the names of the classes in NFC, in the order given.

    Args:
        names: Every name, and where it was found.
        root: The data set, for messages.
        needs: What to call the classes in messages.
        least: Minimum number of classes: one is enough where nothing is trained.

    Raises:
        DataError: There are too few names, one cannot be printed, or one occurs twice.
    """
    places: dict[str, str] = {}
    for given, place in names:
        name = nfc(given)
        if not name.strip() or not name.isprintable():
            raise DataError(
                f"{printable(place)}: a class name must have printable characters, got {name!r}"
            )
        if name in places:
            raise DataError(
                f"{printable(place)}: two classes are called {name!r}; give them different names"
            )
        places[name] = place
    if len(places) < least:
        raise DataError(
            f"{printable(str(root))}: a classifier needs at least two {needs}; "
            f"found {', '.join(places) or 'none'}"
        )
    return tuple(places)


def check_titles(titles: Mapping[str, str], place: object) -> None:
    """Refuse class titles that cannot be printed.

    Raises:
        DataError: A title cannot be printed.
    """
    bad = next((title for title in titles.values() if not title.isprintable()), None)
    if bad is not None:
        raise DataError(
            f"{printable(str(place))}: the title of a class must be printable, got {bad!r}"
        )


def unknown_class(name: str, known: Iterable[str], place: object) -> DataError:
    """Return the error for an image of a class without training images."""
    hint = did_you_mean(name, known, "every class needs training images")
    return DataError(f"{printable(str(place))}: there is no training class {name!r}{hint}")
