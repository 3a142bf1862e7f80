"""Verbs ``report``, ``figures`` and ``nets``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from verydeep.cli.groups import option_group
from verydeep.cli.options import Json
from verydeep.cli.output import print_result
from verydeep.cli.text.columns import align
from verydeep.errors import InputError
from verydeep.models.path import check_models, check_run
from verydeep.nets.registry import in_words
from verydeep.system.option_names import option
from verydeep.system.settings import Compute
from verydeep.training.folds_folder import is_cross_validation

REPORT_EXAMPLES = "Examples:  verydeep report runs/a   |   verydeep report runs/old --test"
FIGURES_EXAMPLES = (
    "Examples:  verydeep figures --out figures   |   verydeep figures --out figures --dark "
    "--only soft-max --only loss   |   verydeep figures --out figures --model runs/a --image "
    "cat.jpg"
)
NETS_EXAMPLES = (
    "Examples:  verydeep nets   |   verydeep nets D --size 64 --classes 10   |   "
    "verydeep nets lecun1989"
)


def report(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    test: Annotated[
        bool,
        typer.Option(
            "--test",
            help="Test the model again first, for the images and the confusion; a run of an "
            "earlier version kept no answers.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Rewrite report.html of a run or a cross-validation."""
    if not is_cross_validation(run):
        check_run(run)
    from verydeep.run.report import report as write_again
    from verydeep.run.report import report_as_dict
    from verydeep.system.progress import console_progress

    page = write_again(run, test=test, progress=console_progress())
    print_result(report_as_dict(page), str(page), as_json)


@option_group("compute", Compute, "device")
def figures(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the figures and a page that shows them.")],
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Figure to draw, such as soft-max; repeatable."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Draw instead what a trained net does with a photograph: a model or run folder, "
            "or torchvision/vgg16 and the like.",
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="The photograph; default: a temple that scikit-learn brings along."
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="Class to explain; default: the most probable one."),
    ] = None,
    dark: Annotated[bool, typer.Option("--dark/--light", help="For dark or light pages.")] = False,
    compute: dict[str, Any],
    as_json: Json = False,
) -> None:
    """Draw the figures of the lecture: softmax, loss, parameters, receptive fields and more."""
    _check_model(model, image=image, label=label, device=compute["device"])
    from verydeep.system.progress import console_progress

    progress = console_progress()
    if model is None:
        from verydeep.visualization.lecture.write import write_figures

        value = write_figures(out, only or (), dark=dark, progress=progress)
    else:
        from verydeep.run.photograph_figures import photograph_figures

        value = photograph_figures(
            model,
            out,
            image,
            label=label,
            only=only or (),
            dark=dark,
            compute=Compute(**compute),
            progress=progress,
        )
    print_result(value, figures_as_text(value), as_json)


def _check_model(model: str | None, **others: str | None) -> None:
    """Check that options about a net come with one."""
    if model is not None:
        check_models(model, torchvision="vgg")
        return
    for name, value in others.items():
        if value is not None:
            raise InputError(
                f"{option(name)} is for the figures of a net: name it with {option('model')}"
            )


def nets(
    name: Annotated[str | None, typer.Argument(help=f"{in_words()}.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Side of the input, pixels; default: the net's, 224.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, help="Number of classes K; default: the net's, 1000.")
    ] = None,
    dimensions: Annotated[
        int, typer.Option(min=2, max=3, help="2: for images; 3: for volumes, with cubic kernels.")
    ] = 2,
    as_json: Json = False,
) -> None:
    """Show all nets (Tables 1 and 2), or one net layer by layer."""
    from verydeep.cli.text import nets as tables
    from verydeep.nets.registry import PAPER_NETS, anatomy

    sizes = {} if size is None else {"input_size": size}
    sizes |= {} if dimensions == 2 else {"dimensions": dimensions}
    if name is None:
        measured = [anatomy(net, classes, **sizes) for net in PAPER_NETS]
        print_result(tables.nets_as_json(measured), tables.nets_as_text(measured), as_json)
    else:
        one = anatomy(name, classes, **sizes)
        print_result(tables.layers_as_json(one), tables.layers_as_text(one), as_json)


def figures_as_text(value: dict[str, Any]) -> str:
    """Return the written and omitted figures, one per line."""
    rows = [(figure["name"], figure["title"]) for figure in value["figures"]]
    rows += [(name, f"left out: {why}") for name, why in value["left_out"].items()]
    return f"{align(rows, left=2)}\n\npage  {Path(value['out']) / 'index.html'}"
