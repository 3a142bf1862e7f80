"""Small faultless data sets of 24 cats and 24 dogs in the layouts with boxes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from checks.messy import save, scene

Corners = tuple[float, float, float, float]
Boxes = dict[str, list[Corners]]

WIDTH, HEIGHT = 120, 90
NAMES = [f"{name}{number:02}" for name in ("cat", "dog") for number in range(24)]


def pictures(folder: Path, names: Sequence[str], seeds: count[int]) -> None:
    for name in names:
        save(scene(next(seeds), WIDTH, HEIGHT), folder / f"{name}.jpg")


def voc(root: Path, boxes: Boxes) -> Path:
    """Write Pascal's layout: corners count from 1, the last ones are inside."""
    pictures(root / "JPEGImages", NAMES, count())
    (root / "Annotations").mkdir()
    for name in NAMES:
        corners = [
            "<bndbox>"
            + "".join(
                f"<{key}>{value}</{key}>"
                for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
            )
            + "</bndbox>"
            for box in boxes.get(name, [(1, 1, 9, 9)])
        ]
        objects = "".join(f"<object><name>{name[:3]}</name>{box}</object>" for box in corners)
        (root / f"Annotations/{name}.xml").write_text(f"<annotation>{objects}</annotation>")
    return root


def coco(root: Path, boxes: Boxes) -> Path:
    """Write COCO's layout: left, top, width, height."""
    pictures(root / "images", NAMES, count())
    annotations = [
        {"image_id": number, "category_id": int(name[:3] == "dog"), "bbox": box, "area": 9}
        for number, name in enumerate(NAMES)
        for box in boxes.get(name, [(0, 0, 9, 9)])
    ]
    content = {
        "images": [{"id": n, "file_name": f"{name}.jpg"} for n, name in enumerate(NAMES)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(("cat", "dog"))],
        "annotations": annotations,
    }
    path = root / "annotations" / "instances.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    return root


def tiny_imagenet(root: Path, boxes: Boxes) -> Path:
    """Write Tiny ImageNet's layout: corners count from 0, the last ones are inside."""
    seeds = count()
    (root / "val").mkdir(parents=True)
    (root / "wnids.txt").write_text("cat\ndog\n")

    def lines(names: Sequence[str], between: str) -> str:
        one = {name: boxes.get(name, [(0, 0, 9, 9)])[0] for name in names}
        rows = [(f"{n}.jpg", *filter(None, [between and n[:3]]), *box) for n, box in one.items()]
        return "".join("\t".join(map(str, row)) + "\n" for row in rows)

    for wnid in ("cat", "dog"):
        train = [name for name in NAMES[:-1] if name.startswith(wnid)]
        pictures(root / "train" / wnid / "images", train, seeds)
        (root / f"train/{wnid}/{wnid}_boxes.txt").write_text(lines(train, ""))
    pictures(root / "val" / "images", NAMES[-1:], seeds)
    (root / "val/val_annotations.txt").write_text(lines(NAMES[-1:], "class"))
    return root


def ilsvrc(root: Path, boxes: Boxes) -> Path:
    """Write ILSVRC's layout: corners count from 0, the last ones are inside."""
    rows = ["ImageId,PredictionString"]
    for name in NAMES:
        pictures(root / "Data/CLS-LOC/train" / name[:3], [name], count(NAMES.index(name)))
        told = [f"{name[:3]} {' '.join(map(str, box))}" for box in boxes.get(name, [(0, 0, 9, 9)])]
        rows.append(f"{name},{' '.join(told)}")
    (root / "LOC_train_solution.csv").write_text("\n".join(rows))
    return root


def table(root: Path, boxes: Boxes) -> Path:
    """Write a table: corners count from 0, the last ones are outside."""
    pictures(root / "pictures", NAMES, count())
    rows = [
        f"pictures/{name}.jpg,{name[:3]},{' '.join(map(str, boxes.get(name, [(0, 0, 9, 9)])[0]))}"
        for name in NAMES
    ]
    (root / "table.csv").write_text("\n".join(["file,label,box", *rows]))
    return root / "table.csv"
