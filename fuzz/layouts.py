"""Let libFuzzer look for files of annotations and shards that the readers do not end well with.

    pip install atheris
    python fuzz/layouts.py tar -max_total_time=60 CORPUS
    python fuzz/layouts.py layouts -max_total_time=60 CORPUS

``tar`` reads the bytes as a shard, from a file and from a pipe; checksums of headers are mended
first, or nearly every change would end at the first header. ``layouts`` takes the first byte for
the number of a file of annotations in :data:`FILES` and writes the others into it, among the
images of a small data set, and reads that. ``CORPUS`` is a folder to keep finds in; without one
nothing is kept. Whatever is neither a data set nor a ``DataError``, takes longer than 2 s or more
than 1 GiB, ends the search, and the bytes are left in the current folder.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit(
        "fuzz/layouts.py needs atheris, which is not part of verydeep[dev]: pip install atheris"
    )

with atheris.instrument_imports(include=["tarfile", "verydeep.data"]):
    from verydeep.data.read import read_dataset
    from verydeep.data.shards.tar import BLOCK, pictures_in_shard
    from verydeep.errors import DataError

LIMITS = ("-timeout=2", "-rss_limit_mb=2048", "-max_len=8000")
"""The GiB, and as much for the libraries."""

FILES = (
    ("t.csv", "t.csv"),
    ("t.jsonl", "t.jsonl"),
    ("c.json", "c.json"),
    ("voc/Annotations/p1.xml", "voc"),
    ("voc/ImageSets/Main/train.txt", "voc"),
    ("tiny/wnids.txt", "tiny"),
    ("tiny/val/val_annotations.txt", "tiny"),
    ("tiny/train/a/a_boxes.txt", "tiny"),
    ("tiny/words.txt", "tiny"),
    ("ils/LOC_val_solution.csv", "ils"),
    ("ils/LOC_synset_mapping.txt", "ils"),
    ("shards/dataset.json", "shards"),
    ("shards/train-0000.tar", "shards/train-0000.tar"),
)
"""Files that are written, and what is read then."""

PICTURES = (
    *("1.jpg", "2.jpg", "a/3.jpg", "voc/JPEGImages/p1.jpg", "voc/JPEGImages/p2.jpg"),
    *("tiny/train/a/images/1.jpg", "tiny/train/b/images/1.jpg", "tiny/val/images/1.jpg"),
    *("ils/Data/CLS-LOC/train/a/1.jpg", "ils/Data/CLS-LOC/train/b/1.jpg"),
    "ils/Data/CLS-LOC/val/1.jpg",
)

ANNOTATION = """<annotation><object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin>
<xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"""


class Pipe(io.BytesIO):
    """A stream that cannot go back or ahead."""

    def seekable(self) -> bool:
        """Say so."""
        return False


def one_shard(data: bytes) -> None:
    """Read bytes as a shard."""
    whole = bytearray(data)
    for start in range(0, len(whole) - BLOCK + 1, BLOCK):
        header = whole[start : start + BLOCK]
        if any(header):  # zeros are the end
            header[148:156] = b" " * 8
            whole[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    for stream in (io.BytesIO(whole), Pipe(whole)):
        try:
            found = list(pictures_in_shard(stream, "s.tar", lambda number: True))
        except DataError:
            continue
        if sum(len(one.data or b"") for one in found if one) > len(whole):
            raise AssertionError("more bytes than there are")


def one_file(root: Path, data: bytes) -> None:
    """Write bytes into a file of annotations and read the data set that it belongs to."""
    if not data:
        return
    name, read = FILES[data[0] % len(FILES)]
    path = root / name
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(data[1:])
    try:
        dataset = read_dataset(root / read, draw=False)
    except DataError as error:
        if not str(error).strip():
            raise AssertionError("a message of nothing") from error
    else:
        if len(set(dataset.classes)) < 2 or not all(map(str.isprintable, dataset.classes)):
            raise AssertionError(f"{dataset.classes}")
    finally:
        path.unlink()
        if before is not None:
            path.write_bytes(before)


def plant(root: Path) -> None:
    """Make small data sets, whose images nobody opens."""
    for name in (*PICTURES, *(name for name, _ in FILES)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        (root / name).touch()
    for number in (1, 2):
        text = ANNOTATION.replace("cat", "cat" if number == 1 else "dog")
        (root / f"voc/Annotations/p{number}.xml").write_text(text)
    (root / "tiny/wnids.txt").write_text("a\nb\n")


def main() -> None:
    """Search until told to end."""
    kind, *flags = sys.argv[1:] or [""]
    if kind not in ("tar", "layouts"):
        sys.exit(__doc__)
    given = [flag.partition("=")[0] for flag in flags]
    limits = [flag for flag in LIMITS if flag.partition("=")[0] not in given]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plant(root)
        one = one_shard if kind == "tar" else lambda data: one_file(root, data)
        atheris.Setup([sys.argv[0], *limits, *flags], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
