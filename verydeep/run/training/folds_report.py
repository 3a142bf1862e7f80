"""Page of a cross-validation, also written again."""

from __future__ import annotations

from pathlib import Path

from verydeep.errors import ModelError
from verydeep.evaluation.stored_posteriors import POSTERIORS, read_stored
from verydeep.run.data_record import recorded_dataset
from verydeep.run.picture_finder import PictureFinder
from verydeep.run.training.cross_validation_result import CrossValidationResult
from verydeep.system.option_names import option
from verydeep.training.folds_folder import SUMMARY
from verydeep.training.run_folder import RunFolder


def write_folds_report(folder: Path) -> Path:
    """Rewrite the page of a finished cross-validation.

    Raises:
        ModelError: It is not finished, or a file is damaged.
    """
    if not (folder / SUMMARY).is_file():
        raise ModelError(
            f"{folder}: the cross-validation is not finished; go on with {option('resume', True)}"
        )
    metrics = RunFolder(folder).read(SUMMARY)
    posteriors = read_stored([folder / POSTERIORS])
    result = CrossValidationResult(folder, metrics, posteriors)
    write_page_of(result)
    return result.report


def write_page_of(result: CrossValidationResult) -> None:
    """Write the page; the first fold says where the images are, and by which command it began."""
    from verydeep.visualization.report.folds import write_folds_page

    first = RunFolder(result.runs[0])
    record, environment = first.read("data.json"), first.read("environment.json")
    find = PictureFinder(Path(record["root"]), lambda: recorded_dataset(first))
    write_folds_page(
        result.to_dict(),
        result.posteriors.answers,
        result.report,
        titles=record.get("titles", {}),
        find=find,
        command=environment["command"],
    )
