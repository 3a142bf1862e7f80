"""The VGG system whole: six networks, the training recipe, the test protocols.

Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2014).

Importing this package is quick: torch is imported when a name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verydeep.checks.check import Report as Report
    from verydeep.checks.check import check as check
    from verydeep.classifier import Classifier as Classifier
    from verydeep.classifier import load as load
    from verydeep.data.read import read_dataset as read_dataset
    from verydeep.errors import VeryDeepError as VeryDeepError
    from verydeep.evaluation.protocol import Protocol as Protocol
    from verydeep.evaluation.result import Result as Result
    from verydeep.evaluation.table import Table as Table
    from verydeep.localization.localizer import Localizer as Localizer
    from verydeep.localization.localizer import load_localizer as load_localizer
    from verydeep.localization.predict import localize as localize
    from verydeep.localization.result import LocalizationResult as LocalizationResult
    from verydeep.nets.anatomy import anatomy as anatomy
    from verydeep.nets.initialize import copy_layers as copy_layers
    from verydeep.nets.initialize import initialize as initialize
    from verydeep.nets.vgg import VGG as VGG
    from verydeep.nets.vgg import vgg as vgg
    from verydeep.prediction import Prediction as Prediction
    from verydeep.recipe import Recipe as Recipe
    from verydeep.recipe import load_recipe as load_recipe
    from verydeep.run.boxes import evaluate_localization as evaluate_localization
    from verydeep.run.calibrate import calibrate as calibrate
    from verydeep.run.explain import explain as explain
    from verydeep.run.features import features as features
    from verydeep.run.test import evaluate as evaluate
    from verydeep.run.test import evaluate_all as evaluate_all
    from verydeep.run.train import train as train
    from verydeep.transfer.extractor import FeatureExtractor as FeatureExtractor
    from verydeep.transfer.probe import ProbeResult as ProbeResult
    from verydeep.transfer.probe import probe as probe
    from verydeep.transfer.table import Features as Features

__version__ = "0.1.0"

_HOMES = {
    "Classifier": "verydeep.classifier",
    "FeatureExtractor": "verydeep.transfer.extractor",
    "Features": "verydeep.transfer.table",
    "LocalizationResult": "verydeep.localization.result",
    "Localizer": "verydeep.localization.localizer",
    "Prediction": "verydeep.prediction",
    "ProbeResult": "verydeep.transfer.probe",
    "Protocol": "verydeep.evaluation.protocol",
    "Recipe": "verydeep.recipe",
    "Report": "verydeep.checks.check",
    "Result": "verydeep.evaluation.result",
    "Table": "verydeep.evaluation.table",
    "VGG": "verydeep.nets.vgg",
    "VeryDeepError": "verydeep.errors",
    "anatomy": "verydeep.nets.anatomy",
    "calibrate": "verydeep.run.calibrate",
    "check": "verydeep.checks.check",
    "copy_layers": "verydeep.nets.initialize",
    "evaluate": "verydeep.run.test",
    "evaluate_all": "verydeep.run.test",
    "evaluate_localization": "verydeep.run.boxes",
    "explain": "verydeep.run.explain",
    "features": "verydeep.run.features",
    "initialize": "verydeep.nets.initialize",
    "load": "verydeep.classifier",
    "load_localizer": "verydeep.localization.localizer",
    "load_recipe": "verydeep.recipe",
    "localize": "verydeep.localization.predict",
    "probe": "verydeep.transfer.probe",
    "read_dataset": "verydeep.data.read",
    "train": "verydeep.run.train",
    "vgg": "verydeep.nets.vgg",
}

__all__ = [
    "VGG",
    "Classifier",
    "FeatureExtractor",
    "Features",
    "LocalizationResult",
    "Localizer",
    "Prediction",
    "ProbeResult",
    "Protocol",
    "Recipe",
    "Report",
    "Result",
    "Table",
    "VeryDeepError",
    "__version__",
    "anatomy",
    "calibrate",
    "check",
    "copy_layers",
    "evaluate",
    "evaluate_all",
    "evaluate_localization",
    "explain",
    "features",
    "initialize",
    "load",
    "load_localizer",
    "load_recipe",
    "localize",
    "probe",
    "read_dataset",
    "train",
    "vgg",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'verydeep' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
