"""Predict and evaluate exported files where every import of torch fails.

Arguments: a file of crops, a dense file, an image, a data set.
"""

import sys


class Refuse:
    """Refuses to find torch."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ImportError(f"{name} is forbidden here")


def run(crops: str, dense: str, image: str, data: str) -> None:
    """Run the program several times in this process."""
    from verydeep.cli.app import main

    for arguments in (
        ["predict", crops, image],
        ["predict", dense, image],
        ["evaluate", crops, "--data", data],
        ["evaluate", dense, "--data", data, "--protocol", "both"],
    ):
        sys.argv = ["verydeep", *arguments]
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise
    serve(crops, image)
    assert "torch" not in sys.modules


def serve(model: str, image: str) -> None:
    """Answer for an image as the service does."""
    from pathlib import Path

    import verydeep.serve.process  # noqa: F401
    from verydeep.serve.decoding import decode_for
    from verydeep.serve.models import load_models

    (served,) = load_models({"crops": model})
    (answer,) = served.answer([decode_for(Path(image).read_bytes(), served.plan)], 1)
    assert answer.ranking


if __name__ == "__main__":
    sys.meta_path.insert(0, Refuse())
    run(*sys.argv[1:])
