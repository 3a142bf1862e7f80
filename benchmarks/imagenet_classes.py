"""Write the table of ImageNet's 1,000 classes from WordNet's words, as timm ships them.

    python benchmarks/imagenet_classes.py verydeep/models/weights/imagenet_classes.txt

The table holds facts of WordNet and ILSVRC: for each class its WordNet id and WordNet's words.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

HEAD = "# ImageNet's 1,000 classes: WordNet id, tab, WordNet's words; sorted by id.\n"


def main() -> None:
    """Write the table to the file in the first argument."""
    information = resources.files("timm.data").joinpath("_info")
    ids = information.joinpath("imagenet_synsets.txt").read_text().split()
    lines = information.joinpath("imagenet_synset_to_lemma.txt").read_text().splitlines()
    words = dict(line.split("\t") for line in lines)
    assert ids == sorted(set(ids))
    assert len(ids) == 1000
    table = "".join(f"{wnid}\t{words[wnid]}\n" for wnid in ids)
    Path(sys.argv[1]).write_text(HEAD + table, encoding="utf-8")


if __name__ == "__main__":
    main()
