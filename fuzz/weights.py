"""Let libFuzzer look for files of weights that the readers do not end well with.

    pip install atheris
    python fuzz/weights.py FORMAT -max_total_time=60 CORPUS

``FORMAT`` is one of the readers in ``verydeep/models/weights/formats/``: ``caffe``, ``matconvnet``,
``onnx``, ``pytorch`` or ``keras``; or ``any`` for the one that recognises the bytes.
``CORPUS`` is a folder to keep finds in, with small files of weights as seeds, of which
``python fuzz/weights.py seeds CORPUS`` writes some; without one nothing is kept. Whatever is
neither a list of layers nor a ``ModelError``, takes longer than 2 s or more than 1 GiB, ends the
search, and the bytes are left in the current folder.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

FORMATS = ("caffe", "matconvnet", "onnx", "pytorch", "keras")
LIMITS = ("-timeout=2", "-rss_limit_mb=2048", "-max_len=20000")
"""The GiB, and as much for the libraries."""


def one_file(path: Path, reader: Any, data: bytes) -> None:
    """Write bytes into a file and read it by one reader, or by the one that recognises them."""
    from verydeep.errors import ModelError
    from verydeep.models.weights.recognize import read_weights

    path.write_bytes(data)
    try:
        if reader is None:
            found = read_weights(path)
        else:
            reader.matches(data[:4096], path)
            found = reader.read(path)
    except ModelError as error:
        if not str(error).strip() or not str(error).isprintable():
            raise AssertionError(f"a message of nothing, or of several lines: {error!r}") from error
        return
    if any(not layer.weight.numel() for layer in found.layers):
        raise AssertionError(f"{found}")


def write_seeds(folder: Path) -> None:
    """Write small files of weights, as the tests make them."""
    root = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(root / "tests" / "models" / "weights")]
    folder.mkdir(parents=True, exist_ok=True)
    import caffe_files
    import matlab_files
    import onnx_files
    from scipy.io import savemat

    for kind in ("new", "2014", "oldest"):
        net, _ = caffe_files.small_net(caffe_files.Net(kind))
        (folder / f"caffe_{kind}").write_bytes(net.data())
    for name, graph in (("pytorch", onnx_files.pytorch()), ("keras", onnx_files.keras(True))):
        (folder / f"onnx_{name}").write_bytes(graph.data())
    for name, dag in (("simple", False), ("dag", True)):
        for packed in (False, True):
            path = folder / f"matlab_{name}_{packed}.mat"
            savemat(path, matlab_files.simple_net(dag=dag)[0], do_compression=packed)
    matlab_files.save_73(folder / "matlab_73", matlab_files.simple_net()[0])
    _write_torch(folder)


def _write_torch(folder: Path) -> None:
    """Write a small net of PyTorch and, if Keras is there, one of Keras."""
    import torch
    from safetensors.torch import save_file

    state = {
        "features.0.weight": torch.ones(2, 3, 3, 3),
        "features.0.bias": torch.ones(2),
        "classifier.0.weight": torch.ones(2, 2),
    }
    torch.save(state, folder / "torch_zip")
    torch.save(state, folder / "torch_old", _use_new_zipfile_serialization=False)
    save_file(state, folder / "safetensors")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with contextlib.suppress(ImportError):
        import keras

        layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, padding="same")]
        net = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(2)])
        net.save(folder / "net.keras")
        net.save(folder / "net.h5")


def main() -> None:
    """Search until told to end."""
    kind, *flags = sys.argv[1:] or [""]
    if kind == "seeds" and len(flags) == 1:
        write_seeds(Path(flags[0]))
        return
    if kind not in (*FORMATS, "any"):
        sys.exit(__doc__)
    try:
        import atheris
    except ImportError:
        sys.exit(
            "fuzz/weights.py needs atheris, which is not part of verydeep[dev]: pip install atheris"
        )
    for library in ("h5py", "onnx.numpy_helper"):  # imported by the readers, which takes a while
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    with atheris.instrument_imports(include=["verydeep.models.weights"]):
        from verydeep.models.weights import recognize  # noqa: F401

        name = f"verydeep.models.weights.formats.{kind}.reader"
        reader = None if kind == "any" else importlib.import_module(name)
    given = [flag.partition("=")[0] for flag in flags]
    limits = [flag for flag in LIMITS if flag.partition("=")[0] not in given]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights"
        atheris.Setup([sys.argv[0], *limits, *flags], lambda data: one_file(path, reader, data))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
