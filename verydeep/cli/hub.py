"""Verb ``push``: models to the Hugging Face Hub."""

from __future__ import annotations

from typing import Annotated

import typer

from verydeep.cli.options import Json
from verydeep.cli.output import print_result

PUSH_EXAMPLES = (
    "Examples:  verydeep push runs/pets ada/pets   |   verydeep push runs/pets ada/pets --private "
    '--license mit --message "Second training"   |   verydeep predict '
    "hf:ada/pets cat.jpg"
)


def push(
    *,
    model: Annotated[
        str, typer.Argument(help="Model or run folder, or a name or file of weights.")
    ],
    repository: Annotated[
        str, typer.Argument(help="owner/name on the Hub; made if there is none.")
    ],
    private: Annotated[bool, typer.Option("--private", help="Make it private if it is new.")] = (
        False
    ),
    message: Annotated[str | None, typer.Option(help="Message of the commit.")] = None,
    license_: Annotated[
        str | None,
        typer.Option(
            "--license",
            help="Licence of the model, such as mit or cc-by-4.0; default: that of imported "
            "weights.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Upload a model to the Hugging Face Hub: weights, configuration and model card.

    Log in first with hf auth login, or set HF_TOKEN. The card tells classes, errors and
    preprocessing; neither images nor their names are uploaded.
    """
    from verydeep.models.path import check_models

    check_models(model, torchvision="vgg")
    from verydeep.run.push import push as upload
    from verydeep.system.progress import console_progress

    pushed = upload(
        model,
        repository,
        private=private,
        message=message,
        license=license_,
        progress=console_progress(),
    )
    text = (
        f"{pushed.url}\nfiles {', '.join(pushed.files)}\nuse  verydeep predict {pushed.name} FILE"
    )
    print_result(pushed.to_dict(), text, as_json)
