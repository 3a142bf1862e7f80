"""Teach a model when to abstain, and store that in its folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.data.read import Data
from verydeep.data.samples import Samples
from verydeep.errors import InputError, plural
from verydeep.evaluation.abstention.abstention import Abstention, Familiar
from verydeep.evaluation.abstention.familiarity import Familiarity, fit_familiarity
from verydeep.evaluation.abstention.fit import LearnedAbstention, fit_abstention
from verydeep.evaluation.abstention.promises import Promises
from verydeep.evaluation.evaluate import relabel
from verydeep.evaluation.feature_mixing import mix_features
from verydeep.evaluation.joint_tests import Test, block_size, rescaling
from verydeep.evaluation.posteriors import view_groups
from verydeep.evaluation.protocol import TestProtocol
from verydeep.run.testing.calibration_setup import Calibrating, calibrating, save_together
from verydeep.system.group.launch import in_several
from verydeep.system.option_names import option
from verydeep.system.progress import ProgressWish, choose_progress
from verydeep.system.settings import Compute

MOST_COMPARED, PER_CLASS = 5000, 20
"""Largest number of training images whose features are computed: so many, or so many a class."""

FEWEST = 30
"""Number of calibration images below which nothing worth a promise can be learned."""


@in_several
def learn_abstention(
    model: str | Path,
    split: str,
    data: Data | None = None,
    protocol: str | TestProtocol = "dense",
    *,
    promises: Promises | None = None,
    tested: str | None = None,
    layout: str | None = None,
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> LearnedAbstention:
    """Teach a model when to abstain, with promises, and keep that with the model.

    On the images of a split that the net was neither trained nor tested on, these are learned:

    - a temperature, as by :func:`verydeep.calibrate`;
    - a threshold on the probability of the most likely class, so that few of the answers are wrong;
    - sets of classes that contain the true one with a given probability;
    - a limit on the distance of an image's features from those of the training images, which are
      computed for that.

    The promises hold for images of the same kind as those of the split: drawn independently from
    the same distribution. See :mod:`verydeep.evaluation.abstention.fit` for the division of the
    images, :mod:`verydeep.evaluation.abstention.selective` and
    :mod:`verydeep.evaluation.abstention.conformal` for what exactly is promised.

    From then on :meth:`Classifier.predict` says which images the model does not know, and tests
    report the share of answered images and the error among them.

    Args:
        model: Model or run folder; it is modified.
        split: Split to learn on.
        data: As for :func:`verydeep.evaluate`. Its split ``train`` is what unlike images are
            compared with.
        protocol: Test protocol, as for :func:`verydeep.evaluate`; the promises hold for it alone.
        promises: What to promise; None takes the defaults of
            :class:`~verydeep.Promises`.
        tested: Split used to report errors; learning on it is refused. None takes the default test
            split, if the data have more than one.
        layout: Folder layout of ``data``; None detects it.
        compute: Device, precision and decoding processes; a string names the device.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.

    Raises:
        InputError: The split is the tested one, has too few images or images that the net was
            trained on, the model or the data cannot be used, or another process is writing to the
            model's folder.
    """
    with calibrating(
        model,
        split,
        data,
        protocol,
        tested=tested,
        layout=layout,
        compute=Compute.of(compute),
        progress=choose_progress(progress),
        abstaining=True,
    ) as given:
        _check_images(given)
        learned, familiarity = _learn(given, promises or Promises())
        kept = learned.calibration if learned.calibration and learned.calibration.kept else None
        changed = dataclasses.replace(
            given.model,
            calibration=kept,
            abstention=learned.abstention,
            familiarity=familiarity if learned.abstention.familiar else None,
        )
        save_together(model, changed, given.group)
        return learned


def _check_images(given: Calibrating) -> None:
    """Refuse images on which nothing can be promised.

    Raises:
        InputError: They are too few, or the net was trained on some.
    """
    count, known = len(given.samples), given.overlap.trained_on
    if known:
        raise InputError(
            f"the net was trained on {known:,} of the {plural(count, 'image')} of {given.split}, "
            "and errs less on them than on others, so nothing can be promised: learn on images "
            "that it has not seen"
        )
    if count < FEWEST:
        raise InputError(
            f"{given.split} has {plural(count, 'image')}; at least {FEWEST} are needed to promise "
            f"anything, and hundreds to promise a small error; {option('data')} names other images"
        )
    if chosen := given.overlap.validated_on:
        given.progress.log(
            f"{chosen:,} of these images also chose the epoch: errors on new images may be "
            "slightly larger than promised"
        )


def _learn(given: Calibrating, promises: Promises) -> tuple[LearnedAbstention, Familiarity | None]:
    model, protocol = given.model, str(given.how)
    train = given.dataset.splits.get("train")
    reference = _reference(given, train) if train is not None and len(train) else None
    asking = Abstention(given.split, protocol)
    layer = ""
    if reference:
        layer = model.feature_layer
        unlimited = Familiar(float("inf"), 0.0, 0, layer, reference.images)
        asking = dataclasses.replace(asking, familiar=unlimited)
    plain = dataclasses.replace(model, calibration=None, abstention=asking, familiarity=reference)
    answers = given.evaluate(plain).answers
    learned = fit_abstention(
        answers.posteriors,
        answers.labels,
        answers.distances,
        promises,
        split=given.split,
        protocol=protocol,
        layer=layer,
        reference=reference.images if reference else 0,
    )
    if reference is None:
        why = "unlike images are not told: the data have no split train to compare them with"
        learned = dataclasses.replace(learned, notes=(*learned.notes, why))
    return learned, reference


def _reference(given: Calibrating, train: Samples) -> Familiarity:
    """Return the features of training images, of all or of a random part."""
    samples = relabel(given.dataset, "train", given.model.classes)
    most = max(MOST_COMPARED, PER_CLASS * len(given.model.classes))
    if len(samples) > most:
        chosen = np.random.default_rng(0).choice(len(samples), most, replace=False)
        samples = samples.take(sorted(chosen.tolist()))
    features, read = _features(given, samples)
    return fit_familiarity(features[read], samples.labels[read])


def _features(
    given: Calibrating, samples: Samples
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the features of images, float32 (N, D), and the places of the readable ones."""
    group, block, groups = given.group, block_size(len(samples)), view_groups(given.how)
    mine = group.share(len(samples), block)
    paths = samples.take(mine).paths
    how = rescaling([given.model], [Test(((0, given.how),))])
    dimensions = given.model.dimensions
    pictures = TestPictures(
        paths, given.how.used_scales, given.compute.workers, *how, dimensions=dimensions
    )
    with given.progress.task("features of train", len(mine)) as task:
        _, own = mix_features(
            given.model,
            pictures,
            dict.fromkeys(groups, 1 / len(groups)),
            np.ascontiguousarray,
            block=block,
            task=task,
        )
    faults = group.join_values(pictures.unreadable, mine)
    features = group.join_rows(own, mine, len(samples))
    return features, np.array([i for i in range(len(samples)) if i not in faults], np.int64)
