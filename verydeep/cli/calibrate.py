"""Verb ``calibrate``: temperature, thresholds with promises, sets of classes, unlike images."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from verydeep.cli.groups import option_group
from verydeep.cli.options import Json, Layout
from verydeep.cli.output import print_result, progress_of
from verydeep.errors import InputError
from verydeep.evaluation.abstention.promises import Promises
from verydeep.evaluation.protocol import TestProtocol
from verydeep.models.path import check_models
from verydeep.system.settings import Compute

CALIBRATE_EXAMPLES = (
    "Examples:  verydeep calibrate runs/d val   |   verydeep calibrate runs/d val --promise-error "
    "2 --confidence 99 --coverage 95   |   verydeep calibrate runs/d val --data pets   |   "
    "verydeep calibrate runs/d none"
)

NOTHING = "none"
"""Split that stands for forgetting."""


@option_group("compute", Compute, "device", "precision", "engine", "workers", "processes")
@option_group("promised", Promises, "promise_error", "confidence", "coverage", "refuse")
@option_group("views", TestProtocol, "scales", "flip", "grid", "average", "preset")
def calibrate(
    *,
    model: Annotated[str, typer.Argument(help="Model or run folder; it is modified.")],
    split: Annotated[
        str,
        typer.Argument(
            help="Split to learn on, neither trained nor tested on; none forgets what was learned."
        ),
    ] = "val",
    promised: dict[str, Any],
    data: Annotated[str | None, typer.Option(help="Default: the data of the run.")] = None,
    tested: Annotated[
        str | None, typer.Option(help="Split that errors are reported on; default: test.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Test that the promises are for: dense (default; center for a net that takes "
            "crops only, which predict uses), center, crops, both, ten-crop or googlenet."
        ),
    ] = None,
    views: dict[str, Any],
    layout: Layout = None,
    compute: dict[str, Any],
    as_json: Json = False,
) -> None:
    """Teach a model what it does not know, and keep that with it.

    It learns a temperature for its probabilities, a threshold that promises an error among the
    answered images, sets of classes that promise a coverage, and a distance that tells images
    unlike the training images. Predict, evaluate and exported files then say what is not known.
    """
    check_models(model)
    from verydeep.cli.text.abstention import learned_as_text, nothing_as_text
    from verydeep.models.loading import names_exported, takes_crops_only
    from verydeep.run.testing.abstain import learn_abstention
    from verydeep.run.testing.calibrate import forget_calibration
    from verydeep.system.group.distributed import joined

    if names_exported(model):
        raise InputError(f"{model}: an exported file; calibrate the model, and export it again")
    promises = Promises(**promised)
    if split == NOTHING:
        removed = forget_calibration(model)
        print_result({"removed": removed}, nothing_as_text(removed), as_json)
        return
    usual = "center" if takes_crops_only(model) else "dense"
    with joined() as group:
        learned = learn_abstention(
            model,
            split,
            data,
            TestProtocol(protocol or usual, **views),  # type: ignore[arg-type]
            promises=promises,
            tested=tested,
            layout=layout,
            compute=Compute(**compute),
            progress=progress_of(group.rank),
        )
    if group.rank == 0:
        value = asdict(learned)
        print_result(value, learned_as_text(value), as_json)
