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
    assert "torch" not in sys.modules


if __name__ == "__main__":
    sys.meta_path.insert(0, Refuse())
    run(*sys.argv[1:])
