"""Choice of the engine that answers for a trained net."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from verydeep.errors import InputError, MachineError, VeryDeepError
from verydeep.models.engines.compiled import Compiled, pack
from verydeep.models.engines.foreign import Foreign
from verydeep.models.engines.interface import Engine
from verydeep.models.engines.net_files import NetFiles, files_of, passed_guard
from verydeep.models.engines.runner import RUNNERS, runner_type
from verydeep.models.engines.trial import Trial, run_trial
from verydeep.models.engines.verdicts import Verdict, find_verdict, keep_verdict, now
from verydeep.models.exported.session import SCORES
from verydeep.system.engine_names import AUTO, FOREIGN, KINDS, TORCH
from verydeep.system.group.distributed import joined
from verydeep.system.option_names import option
from verydeep.system.progress import Progress

if TYPE_CHECKING:
    from verydeep.models.trained_net import TrainedNet

PRODUCTS_PER_SECOND = 20e9
"""Assumed multiply-adds per second and thread of eager PyTorch, to estimate the length of a job."""

WORTH_LOADING = 5.0
"""Seconds of eager PyTorch above which ``auto`` takes an engine that passed its trial before."""

WORTH_A_TRIAL = 30.0
"""Seconds of eager PyTorch above which ``auto`` tries engines."""

WORTH_COMPILING = 600.0
"""Seconds of eager PyTorch above which ``auto`` also considers ``compile``."""

ALIKE = 1.1
"""Ratio of two speeds below which engines count as equally fast."""

LEAST_GAIN = 1.05
"""Speed, as a multiple of eager PyTorch's, below which ``auto`` stays with it."""


def named_engine(model: TrainedNet, progress: Progress | None = None) -> Engine:
    """Return the engine that the model's machine names; ``auto`` stands for eager PyTorch.

    Raises:
        InputError: The engine is not installed, or the model has no int8 variant.
        MachineError: The engine failed its trial on this machine.
    """
    name, precision = model.machine.engine, model.machine.precision
    if model.net.dimensions == 3 and (name not in (AUTO, TORCH) or precision == "int8"):
        raise InputError(f"nets for volumes are computed by {option('engine', TORCH)} alone")
    if precision == "int8" and name == AUTO:
        return _int8_engine(model, progress)
    if name in (AUTO, TORCH):
        return model.eager
    model.net.check_dense(f"the engine {name}")
    KINDS[name].check_installed()
    files = files_of(model, precision)
    verdict = verdict_on(model, name, precision, progress, files=files)
    if verdict.fault:
        raise MachineError(
            f"the engine {name} ({precision}) cannot be used on this machine: {verdict.fault}; "
            f"{option('engine', 'auto')} takes one that works"
        )
    return make_engine(model, name, precision, files)


def _int8_engine(model: TrainedNet, progress: Progress | None) -> Engine:
    """Return the fastest engine for int8 that works.

    Raises:
        MissingExtra: None is installed.
        MachineError: None works on this machine.
    """
    names = [name for name in FOREIGN if KINDS[name].version]
    if not names:
        KINDS[FOREIGN[0]].check_installed()
    files = files_of(model, "int8")
    known = [find_verdict(name, "int8", files.key) for name in names]
    # What made all of them fail earlier, such as a full disk, may be gone.
    again = not any(one and one.passed for one in known)
    verdicts = [
        verdict_on(model, name, "int8", progress, files=files, again=again) for name in names
    ]
    best = _best([verdict for verdict in verdicts if verdict.passed])
    if best is None:
        faults = "; ".join(f"{verdict.engine}: {verdict.fault}" for verdict in verdicts)
        raise MachineError(f"no engine computes int8 on this machine ({faults})")
    return make_engine(model, best.engine, "int8", files)


def fastest_engine(
    model: TrainedNet,
    pixels: float,
    progress: Progress | None = None,
    *,
    shapes_vary: bool = False,
) -> Engine:
    """Return the fastest engine for a job that works on this machine; eager PyTorch for small jobs.

    The model's own precision is kept. Several processes of one job stay with eager PyTorch, so that
    none computes in another way than the others.

    Args:
        model: The model.
        pixels: Pixels of all images and views of the job.
        progress: Told what was taken, and what failed.
        shapes_vary: Whether its images may have many shapes.
    """
    progress = progress or Progress()
    expected = eager_seconds(model, pixels)
    net = model.net
    here = model.machine.device.type == "cpu" and net.dimensions == 2 and net.any_size
    if expected < WORTH_LOADING or not here:
        return model.eager
    with joined() as group:
        if group.size > 1:
            return model.eager
    try:
        return _fastest(model, expected, progress, shapes_vary=shapes_vary)
    except (OSError, VeryDeepError) as error:
        progress.log(f"engine torch: no other could be tried ({error})")
        return model.eager


def _fastest(
    model: TrainedNet, expected: float, progress: Progress, *, shapes_vary: bool
) -> Engine:
    names = candidates(model.machine.precision, compiling=expected >= WORTH_COMPILING)
    if shapes_vary:  # a trial of one shape tells nothing about the others
        names = [name for name in names if not KINDS[name].compiles_shapes]
    if not names:
        return model.eager
    precision = model.machine.precision
    files = files_of(model, precision)
    trying = expected >= WORTH_A_TRIAL
    found = [
        verdict_on(model, name, precision, progress, files=files)
        if trying
        else find_verdict(name, precision, files.key)
        for name in names
    ]
    verdicts = [verdict for verdict in found if verdict]
    for verdict in verdicts:
        if verdict.fault and trying:
            progress.log(f"engine {verdict.engine} is not used: {verdict.fault}")
    best = _best(verdicts)
    if best is None or best.gain < LEAST_GAIN:
        return model.eager
    progress.log(
        f"engine {best.engine} {best.version}, {precision}: {best.gain:.1f} times as fast as torch"
    )
    return make_engine(model, best.engine, precision, files)


def _best(verdicts: Sequence[Verdict]) -> Verdict | None:
    """Return the fastest; of engines about equally fast, the first, as timings vary."""
    most = max((verdict.gain for verdict in verdicts), default=0.0)
    return next((one for one in verdicts if one.gain >= most / ALIKE), None)


def candidates(precision: str, *, compiling: bool) -> list[str]:
    """Return the installed engines, other than eager PyTorch, that have a precision."""
    names = (*FOREIGN, "compile") if compiling else FOREIGN
    return [name for name in names if precision in KINDS[name].precisions and KINDS[name].version]


def eager_seconds(model: TrainedNet, pixels: float) -> float:
    """Return the expected seconds of eager PyTorch for a number of pixels; 0 if it is not known."""
    try:
        net = model.net
        products: float = net.anatomy().multiply_adds / net.input_size**net.dimensions
    except NotImplementedError:  # a net of someone's own, which need not count
        return 0.0
    return pixels * products / PRODUCTS_PER_SECOND / torch.get_num_threads()


def verdict_on(
    model: TrainedNet,
    name: str,
    precision: str,
    progress: Progress | None = None,
    *,
    files: NetFiles | None = None,
    again: bool = False,
) -> Verdict:
    """Return the verdict on an engine, from an earlier trial on this machine or a new one.

    Args:
        model: The model.
        name: Name of the engine.
        precision: Precision.
        progress: Told of a new trial.
        files: Files of the net in this precision, if they are known: finding them hashes it.
        again: Try it again even if there is a verdict.
    """
    files = files or files_of(model, precision)
    known = None if again else find_verdict(name, precision, files.key)
    if known:
        return known
    if progress:
        progress.log(f"trying the engine {name} ({precision}) on this machine, once for this net")
    started = time.monotonic()
    exact = replace(model.machine, device=torch.device("cpu"), precision="fp32", engine=TORCH)
    usual = model.eager if model.machine.device.type == "cpu" else model.on(exact).eager
    same = usual if usual.precision == "fp32" else model.on(exact).eager
    with tempfile.TemporaryDirectory(prefix="verydeep-engine-") as folder:
        outcome = run_trial(_trial(model, name, precision, files, Path(folder)), same, usual)
    verdict = Verdict(
        name,
        precision,
        KINDS[name].version or "",
        files.key,
        outcome.fault,
        outcome.difference,
        outcome.speed,
        outcome.torch_speed,
        time.monotonic() - started,
        now(),
    )
    keep_verdict(verdict)
    if name in FOREIGN:
        files.tidy(name)
    return verdict


def _trial(model: TrainedNet, name: str, precision: str, files: NetFiles, folder: Path) -> Trial:
    """Return the trial of an engine, with the files that it reads."""
    output = SCORES if model.net.num_classes else model.net.last_map
    if name == "compile":
        file = folder / "net.pt"
        machine = replace(model.machine, precision=precision)  # type: ignore[arg-type]
        pack(file, model.net, model.preprocessing, machine, model.exact_answers)
        place = "verydeep.models.engines.compiled:CompiledRunner"
        return Trial(place, file, file, precision, output=output)
    files.prepare(model, name)
    compared = model.int8 is None or precision != "int8" or passed_guard(model.int8)
    return Trial(
        RUNNERS[name], files.file(name), files.graph, precision, compared=compared, output=output
    )


def make_engine(
    model: TrainedNet, name: str, precision: str, files: NetFiles | None = None
) -> Engine:
    """Return an engine for a model, without a trial; ``files`` as for :func:`verdict_on`."""
    if name == "compile":
        exact = model.exact_answers
        return Compiled(model.net, model.preprocessing, model.machine, exact_answers=exact)
    file = (files or files_of(model, precision)).ready(model, name)
    runner = runner_type(RUNNERS[name])(file, precision, torch.get_num_threads())
    return Foreign(
        name, precision, runner, input_size=model.net.input_size, eager=lambda: model.eager
    )
