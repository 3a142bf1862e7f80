"""Verbs ``engines`` and ``quantize``: what answers for a model, and in which precision."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from verydeep.cli.groups import option_group
from verydeep.cli.options import Json, Layout
from verydeep.cli.output import print_result
from verydeep.models.path import check_models
from verydeep.system.settings import Compute

ENGINES_EXAMPLES = "Examples:  verydeep engines   |   verydeep engines runs/d --try"
QUANTIZE_EXAMPLES = (
    "Examples:  verydeep quantize runs/d   |   verydeep quantize runs/d --data pets --images 256 "
    "  |   then  verydeep predict runs/d photos/ --precision int8"
)


def engines(
    model: Annotated[
        str | None, typer.Argument(help="Model or run folder, or a name of published weights.")
    ] = None,
    try_now: Annotated[
        bool, typer.Option("--try", help="Try every installed engine on MODEL now.")
    ] = False,
    precision: Annotated[
        str | None, typer.Option(help="fp32, bf16 or int8; default: that of this machine.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the engines that can answer for a model, and how each did in its trial.

    An engine is tried in a child process before it is used: it must not crash, hang or differ from
    torch in fp32. The verdict is kept by machine, model and version.
    """
    check_models(model, torchvision="vgg")
    from verydeep.cli.text.engines import engines_as_text
    from verydeep.run.engines import engines as list_engines
    from verydeep.system.progress import console_progress

    states = list_engines(model, try_now=try_now, precision=precision, progress=console_progress())
    print_result(states.to_dict(), engines_as_text(states), as_json)


@option_group("compute", Compute, "engine", "workers")
def quantize(
    *,
    model: Annotated[str, typer.Argument(help="Model or run folder of a classifier.")],
    data: Annotated[str | None, typer.Option(help="Default: the data of the run.")] = None,
    images: Annotated[
        int, typer.Option(min=1, help="Images of train that measure the ranges of int8.")
    ] = 128,
    split: Annotated[
        str | None, typer.Option(help="Split to compare on; default: val, or test if none.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Test protocol of the comparison: dense, center, crops, …")
    ] = "dense",
    force: Annotated[
        bool, typer.Option("--force", help="Keep the variant even if it is worse.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    layout: Layout = None,
    compute: dict[str, Any],
    as_json: Json = False,
) -> None:
    """Write an int8 variant of a model into its folder, if it answers nearly as well as fp32.

    It is compared with fp32 image by image on a split that it was not calibrated with.
    """
    check_models(model)
    from verydeep.cli.text.engines import quantization_as_text
    from verydeep.run.testing.quantize import quantize as quantize_model
    from verydeep.system.progress import console_progress

    result = quantize_model(
        model,
        data,
        images=images,
        split=split,
        protocol=protocol,
        force=force,
        seed=seed,
        layout=layout,
        compute=Compute(**compute),
        progress=console_progress(),
    )
    value = result.to_dict()
    print_result(value, quantization_as_text(value), as_json)
    if not result.kept:
        raise typer.Exit(1)
