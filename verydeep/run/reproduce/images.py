"""Names of the test images of a study, the same for all tests of a kind."""

from __future__ import annotations

import json
from collections.abc import Sequence

from verydeep.errors import DataError
from verydeep.run.reproduce.study import Study
from verydeep.study.conditions import Kind
from verydeep.study.results import NAMES
from verydeep.system.files import write_json


def check_images(study: Study, kind: Kind, names: Sequence[str]) -> None:
    """Write the names of the test images, or compare them with those of earlier tests.

    Raises:
        DataError: Other images could be read than before.
    """
    path = study.folder / NAMES[kind]
    if not path.is_file():
        write_json(path, list(names))
    elif json.loads(path.read_text("utf-8")) != list(names):
        data = study.transfer if kind == "transfer" else None
        raise DataError(
            f"{(data or study.dataset).place}: other test images can be read now than when the "
            f"study {study.folder} began; put them back as they were, or start a new study"
        )
