"""Check that the maps of a file have the sizes of a column's: its pools, padding and input.

The convolutions alone do not tell: the same weights with another pool are another net.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from verydeep.errors import ModelError, printable
from verydeep.models.folder import LARGEST_INPUT
from verydeep.models.weights.source import SourceFile, SourceLayer
from verydeep.nets.registry import SMALLEST_INPUT, Column, final_map, input_for_map


def check_maps(file: SourceFile, column: Column) -> None:
    """Refuse convolutions that shrink their maps, and pools at other places than the column's.

    What comes after the last convolution is not looked at; see :func:`fault_before_head`.

    Raises:
        ModelError: There are such, as far as the file tells.
    """
    count = len(column.layers)
    if file.convolutional is not None and file.convolutional < count:
        raise ModelError(
            f"is no net of the paper: {printable(str(file.layers[file.convolutional]))} has no "
            f"padding, where {column.layers[file.convolutional].name} of net {column.name} keeps "
            "the size of its maps"
        )
    wanted = Counter(column.pools[:-1])
    found = Counter(place for place in file.pools or () if place < count)
    if file.pools is None or found == wanted:
        return
    told = [
        f"{how} follows {_listed(places, file, column)}"
        for how, places in (
            ("a 2x2 max-pool too many", found - wanted),
            ("no 2x2 max-pool", wanted - found),
        )
        if places
    ]
    usual = ", ".join(column.layers[place - 1].name for place in column.pools)
    raise ModelError(
        f"is no net of the paper: its convolutions are those of net {column.name}, but "
        f"{' and '.join(told)}; net {column.name} has its pools after {usual}"
    )


def _listed(places: Iterable[int], file: SourceFile, column: Column) -> str:
    """Return the layers that so many layers end with, by both names."""
    return ", ".join(
        f"{column.layers[place - 1].name} ({printable(file.layers[place - 1].name)})"
        if place
        else "the input"
        for place in sorted(places)
    )


def fault_before_head(file: SourceFile, column: Column) -> str | None:
    """Return why the head does not read the last map of the column; None if nothing tells so."""
    count = len(column.layers)
    if file.convolutional is not None and file.convolutional > count:
        return "it goes on with a convolution, where the paper's head is fully connected"
    pools = _last_pools(file, column)
    if pools == 1:
        return None
    return f"it stands behind {pools or 'no'} max-pools of 2x2, where the paper's reads pool5"


def notes_of_pools(file: SourceFile, column: Column) -> Iterator[str]:
    """Yield what is to be known of other pools after the last convolution."""
    pools, last = _last_pools(file, column), column.layers[-1].name
    if pools == 0:
        yield f"no 2x2 max-pool follows {last} in the file; pool5 of the net is added"
    elif pools > 1:
        yield f"{pools} max-pools of 2x2 follow {last} in the file, one in the net"


def _last_pools(file: SourceFile, column: Column) -> int:
    """Return the number of pools after the last convolution; 1 if the file does not tell."""
    return 1 if file.pools is None else file.pools.count(len(column.layers))


def check_input(file: SourceFile, first: SourceLayer | None, side: int | None) -> None:
    """Refuse a size of images, as the file declares it, of which the head cannot come.

    Args:
        file: The file.
        first: First layer of the head; None without a head. In convolutional form it also reads
            larger maps.
        side: Side s of the map that it reads.

    Raises:
        ModelError: Five pools leave a map of another size, or the images are too large.
    """
    size = file.input_size
    if size is None:
        return
    if first is None or side is None:
        if size < SMALLEST_INPUT:
            raise ModelError(
                f"declares images of {size}x{size} pixels, of which five 2x2 pools leave nothing; "
                f"a net of the paper reads at least {SMALLEST_INPUT}x{SMALLEST_INPUT}"
            )
        if size > LARGEST_INPUT:
            raise ModelError(
                f"declares images of {size}x{size} pixels; nets are imported for at most "
                f"{LARGEST_INPUT}x{LARGEST_INPUT}"
            )
        return
    found = final_map(size) if size >= SMALLEST_INPUT else 0
    if found == side or (first.is_convolution and found > side):
        return
    least = input_for_map(side)
    raise ModelError(
        f"is no net of the paper: it declares images of {size}x{size} pixels, of which five 2x2 "
        f"pools leave a map of {found}x{found}, but {printable(first.name)} reads a map of "
        f"{side}x{side}, as of images of {least}x{least}"
    )
