"""Reading of a data set to check, including those that training would refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verydeep.checks.findings import Finding
from verydeep.data.dataset import Dataset
from verydeep.data.group_rule import GroupRule
from verydeep.data.grouping import groups_of
from verydeep.data.images.image_files import pictures_in
from verydeep.data.label_sets import DataTask
from verydeep.data.read import Data, DataSource, read_dataset
from verydeep.data.registry import LAYOUTS
from verydeep.data.samples import SamplesBuilder
from verydeep.errors import DataError
from verydeep.system.device import without_secret
from verydeep.system.files import expanded
from verydeep.system.progress import Progress


def read(
    data: Data,
    layout: str | None,
    progress: Progress,
    group_by: str | None = None,
    task: DataTask | None = None,
) -> tuple[Dataset, str]:
    """Return the data set, and why it cannot be split (empty if it can).

    Args:
        data: As for :func:`verydeep.read_dataset`, like all arguments.
        layout: Folder layout.
        progress: Progress reporting.
        group_by: Rule for groups that drawn splits do not divide.
        task: Task of the data; None lets them decide.

    Raises:
        DataError: There is no such folder, no layout fits and it has no images, or its samples
            are volumes.
    """
    dataset, why = _read(data, layout, progress, group_by, task)
    if dataset.dimensions == 3:
        raise DataError(f"{dataset.place}: volumes, and only images are checked")
    return dataset, why


def _read(
    data: Data, layout: str | None, progress: Progress, group_by: str | None, task: DataTask | None
) -> tuple[Dataset, str]:
    how: dict[str, Any] = {"layout": layout, "stream": False, "task": task}
    try:
        return read_dataset(data, **how, group_by=group_by, progress=progress), ""
    except DataError as error:
        source = DataSource(data, layout)
        flat = None if layout or task or source.in_memory else _flat(expanded(source.name))
        if flat is not None:
            return flat, ""
        try:
            whole = read_dataset(data, draw=False, **how)
            if group_by:  # raises the same error if the rule itself is at fault
                for samples in whole.splits.values():
                    groups_of(GroupRule.parse(group_by), whole, samples)
            return whole, str(error)
        except DataError:
            raise error from None


def _flat(path: Path) -> Dataset | None:
    """Return the images in a folder without a layout; None if there are none."""
    try:
        if not path.is_dir() or any(layout.recognise(path) for layout in LAYOUTS):
            return None
        pictures = list(pictures_in(path))
    except (DataError, OSError):
        return None
    if not pictures:
        return None
    builder = SamplesBuilder(path)
    for picture in pictures:
        builder.add(picture, 0)
    splits = {"all": builder.samples()}
    what = "a folder of images without classes"
    return Dataset(path, what, ("",), splits, {"": "all images"}, folders=(path,))


def place_of(data: Data, dataset: Dataset) -> str:
    """Return the name of the data: the file if it is one, else the data set's folder or URL."""
    name = DataSource(data).name
    return name if expanded(name).is_file() else without_secret(dataset.place)


def refusal_as_dict(data: str | Path, error: DataError) -> dict[str, Any]:
    """Return a report, in the form of a data set's, on data that cannot be read as a data set."""
    advice = "fix it, and check again; nothing else was checked"
    finding = Finding("layout", "error", str(error), 1, advice)
    return {
        "data": str(data),
        "describe": "",
        "layout": None,
        "splits": {},
        "drawn_by_rule": False,
        "exit_code": error.exit_code,
        "verdict": "Not ready for training: it cannot be read as a data set",
        "findings": [finding.to_dict()],
        "statistics": None,
        "seconds": 0.0,
        "files_per_second": 0.0,
    }
