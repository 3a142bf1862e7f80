"""The VGG system whole: six networks, the training recipe, the test protocols.

Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2014).

Importing this package is quick: torch is imported when a name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verydeep.checks.check import check as check
    from verydeep.checks.label_errors import LabelErrors as LabelErrors
    from verydeep.checks.report import CheckReport as CheckReport
    from verydeep.data.dataset import Dataset as Dataset
    from verydeep.data.read import read_dataset as read_dataset
    from verydeep.errors import VeryDeepError as VeryDeepError
    from verydeep.evaluation.abstention.promises import Promises as Promises
    from verydeep.evaluation.all_protocols import EvaluationTable as EvaluationTable
    from verydeep.evaluation.protocol import TestProtocol as TestProtocol
    from verydeep.evaluation.result import EvaluationResult as EvaluationResult
    from verydeep.localization.localizer import Localizer as Localizer
    from verydeep.localization.predict import localize as localize
    from verydeep.localization.protocol import BoxProtocol as BoxProtocol
    from verydeep.localization.result import LocalizationResult as LocalizationResult
    from verydeep.models.classifier import Classifier as Classifier
    from verydeep.models.prediction import Prediction as Prediction
    from verydeep.nets.googlenet import googlenet as googlenet
    from verydeep.nets.initialize import copy_layers as copy_layers
    from verydeep.nets.initialize import initialize as initialize
    from verydeep.nets.lecun1989 import lecun1989 as lecun1989
    from verydeep.nets.registry import anatomy as anatomy
    from verydeep.nets.senet import senet154 as senet154
    from verydeep.nets.vgg import VGG as VGG
    from verydeep.nets.vgg import vgg as vgg
    from verydeep.recipe.recipe import Recipe as Recipe
    from verydeep.recipe.recipe import load_recipe as load_recipe
    from verydeep.run.bulk.features import bulk_features as bulk_features
    from verydeep.run.bulk.predict import bulk_predict as bulk_predict
    from verydeep.run.bulk.result import BulkResult as BulkResult
    from verydeep.run.bulk.settings import Cluster as Cluster
    from verydeep.run.explain import explain as explain
    from verydeep.run.export import export as export
    from verydeep.run.features import features as features
    from verydeep.run.import_weights import ImportResult as ImportResult
    from verydeep.run.import_weights import import_weights as import_weights
    from verydeep.run.label_errors import find_label_errors as find_label_errors
    from verydeep.run.load import load as load
    from verydeep.run.push import push as push
    from verydeep.run.reproduce.reproduce import reproduce as reproduce
    from verydeep.run.reproduce.result import StudyResult as StudyResult
    from verydeep.run.testing.abstain import learn_abstention as learn_abstention
    from verydeep.run.testing.boxes import evaluate_localization as evaluate_localization
    from verydeep.run.testing.calibrate import calibrate as calibrate
    from verydeep.run.testing.evaluate import evaluate as evaluate
    from verydeep.run.testing.evaluate import evaluate_all as evaluate_all
    from verydeep.run.testing.quantize import quantize as quantize
    from verydeep.run.training.cross_validate import cross_validate as cross_validate
    from verydeep.run.training.cross_validation_result import (
        CrossValidationResult as CrossValidationResult,
    )
    from verydeep.run.training.ray_train import ray_train as ray_train
    from verydeep.run.training.train import train as train
    from verydeep.serve.start import serve_models as serve_models
    from verydeep.system.settings import Compute as Compute
    from verydeep.transfer.descriptor import Descriptor as Descriptor
    from verydeep.transfer.features import Features as Features
    from verydeep.transfer.probe import ProbeResult as ProbeResult
    from verydeep.transfer.probe import probe as probe
    from verydeep.transfer.sklearn import FeatureExtractor as FeatureExtractor

from verydeep.system.version import __version__ as __version__

_HOMES = {
    "BoxProtocol": "verydeep.localization.protocol",
    "BulkResult": "verydeep.run.bulk.result",
    "CheckReport": "verydeep.checks.report",
    "Classifier": "verydeep.models.classifier",
    "Cluster": "verydeep.run.bulk.settings",
    "Compute": "verydeep.system.settings",
    "CrossValidationResult": "verydeep.run.training.cross_validation_result",
    "Dataset": "verydeep.data.dataset",
    "Descriptor": "verydeep.transfer.descriptor",
    "EvaluationResult": "verydeep.evaluation.result",
    "EvaluationTable": "verydeep.evaluation.all_protocols",
    "FeatureExtractor": "verydeep.transfer.sklearn",
    "Features": "verydeep.transfer.features",
    "ImportResult": "verydeep.run.import_weights",
    "LabelErrors": "verydeep.checks.label_errors",
    "LocalizationResult": "verydeep.localization.result",
    "Localizer": "verydeep.localization.localizer",
    "Prediction": "verydeep.models.prediction",
    "ProbeResult": "verydeep.transfer.probe",
    "Promises": "verydeep.evaluation.abstention.promises",
    "Recipe": "verydeep.recipe.recipe",
    "StudyResult": "verydeep.run.reproduce.result",
    "TestProtocol": "verydeep.evaluation.protocol",
    "VGG": "verydeep.nets.vgg",
    "VeryDeepError": "verydeep.errors",
    "anatomy": "verydeep.nets.registry",
    "bulk_features": "verydeep.run.bulk.features",
    "bulk_predict": "verydeep.run.bulk.predict",
    "calibrate": "verydeep.run.testing.calibrate",
    "check": "verydeep.checks.check",
    "copy_layers": "verydeep.nets.initialize",
    "cross_validate": "verydeep.run.training.cross_validate",
    "evaluate": "verydeep.run.testing.evaluate",
    "evaluate_all": "verydeep.run.testing.evaluate",
    "evaluate_localization": "verydeep.run.testing.boxes",
    "explain": "verydeep.run.explain",
    "export": "verydeep.run.export",
    "features": "verydeep.run.features",
    "import_weights": "verydeep.run.import_weights",
    "find_label_errors": "verydeep.run.label_errors",
    "googlenet": "verydeep.nets.googlenet",
    "initialize": "verydeep.nets.initialize",
    "learn_abstention": "verydeep.run.testing.abstain",
    "lecun1989": "verydeep.nets.lecun1989",
    "load": "verydeep.run.load",
    "load_recipe": "verydeep.recipe.recipe",
    "localize": "verydeep.localization.predict",
    "probe": "verydeep.transfer.probe",
    "push": "verydeep.run.push",
    "quantize": "verydeep.run.testing.quantize",
    "ray_train": "verydeep.run.training.ray_train",
    "read_dataset": "verydeep.data.read",
    "reproduce": "verydeep.run.reproduce.reproduce",
    "senet154": "verydeep.nets.senet",
    "serve_models": "verydeep.serve.start",
    "train": "verydeep.run.training.train",
    "vgg": "verydeep.nets.vgg",
}

__all__ = [
    "VGG",
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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'verydeep' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
