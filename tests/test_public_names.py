"""The front door: these names, and no torch before one of them is used."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import metadata

import pytest

import verydeep

NAMES = [
    "BoxProtocol",
    "BulkResult",
    "CheckReport",
    "Classifier",
    "Cluster",
    "Compute",
    "CrossValidationResult",
    "Dataset",
    "Descriptor",
    "EvaluationResult",
    "EvaluationTable",
    "FeatureExtractor",
    "Features",
    "LabelErrors",
    "LocalizationResult",
    "Localizer",
    "Prediction",
    "ProbeResult",
    "Promises",
    "Recipe",
    "StudyResult",
    "TestProtocol",
    "VGG",
    "VeryDeepError",
    "__version__",
    "anatomy",
    "bulk_features",
    "bulk_predict",
    "calibrate",
    "check",
    "copy_layers",
    "cross_validate",
    "evaluate",
    "evaluate_all",
    "evaluate_localization",
    "explain",
    "export",
    "features",
    "find_label_errors",
    "googlenet",
    "initialize",
    "learn_abstention",
    "lecun1989",
    "load",
    "load_recipe",
    "localize",
    "probe",
    "push",
    "quantize",
    "ray_train",
    "read_dataset",
    "reproduce",
    "senet154",
    "serve_models",
    "train",
    "vgg",
]


def test_the_public_names_are_these() -> None:
    assert sorted(verydeep.__all__) == sorted(NAMES)
    assert sorted(dir(verydeep)) == sorted(NAMES)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"__version__"}))
def test_a_name_is_there_and_explained(name: str) -> None:
    thing = getattr(verydeep, name)
    assert thing.__name__ == name
    assert thing.__module__.startswith("verydeep.")
    assert inspect.getdoc(thing)


def test_the_version_is_the_installed_one() -> None:
    assert verydeep.__version__ == metadata.version("verydeep")


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'verydeep' has no attribute 'vgg16'"):
        verydeep.vgg16  # noqa: B018


HEAVY = ("torch", "torchvision", "numpy", "matplotlib", "sklearn")

LOADED = f"print(*sorted(set({HEAVY}) & set(sys.modules)))"


@pytest.mark.parametrize(
    "code",
    [
        "import verydeep",
        "import verydeep; dir(verydeep)",
        "import verydeep.cli.app",
        "from verydeep import anatomy; anatomy('D')",
        "from verydeep import load_recipe; load_recipe()",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; {LOADED}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\n"


def test_statistics_are_imported_where_they_are_used_alone() -> None:
    code = "import sys, verydeep.run.explain, verydeep.run.predict; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["check", "--help"],
        ["calibrate", "--help"],
        ["explain", "--help"],
        ["features", "--help"],
        ["probe", "--help"],
        ["bulk", "predict", "--help"],
        ["serve", "--help"],
        ["--version"],
        ["nets"],
    ],
)
def test_help_and_tables_come_without_torch(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from verydeep.cli.app import main\n"
        f"sys.argv = ['verydeep', *{arguments}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('loaded:', *sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"
