"""From encoded images to answers: decoding, batches, model. It knows no HTTP but its refusals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Literal

from verydeep.errors import MachineError, VeryDeepError, did_you_mean
from verydeep.serve.admission import Admission
from verydeep.serve.answers import ImageAnswer, LimitsInfo, ModelsAnswer, PredictAnswer
from verydeep.serve.batching import ModelThread
from verydeep.serve.decoders import Decoders
from verydeep.serve.decoding import Decoded, DecodePlan, Fault
from verydeep.serve.metrics import Metrics
from verydeep.serve.models import ServedModel
from verydeep.serve.problems import Problem
from verydeep.serve.room import Room
from verydeep.serve.settings import Limits
from verydeep.serve.uploads import Upload
from verydeep.system.device import usable_cores
from verydeep.system.memory import is_lack_of_memory

State = Literal["loading", "ready", "stopping", "failed"]

MOST_DECODERS = 4


class Service:
    """Models, decoding processes and the thread of the models.

    Args:
        load: Returns the models; called in the thread of the models.
        limits: Limits of requests.
        decoders: Number of decoding processes; None decides by the cores.
        log: Prints a line.
    """

    def __init__(
        self,
        load: Callable[[], Iterable[ServedModel]],
        limits: Limits | None = None,
        *,
        decoders: int | None = None,
        log: Callable[[str], object] = lambda line: None,
    ) -> None:
        self._load = load
        self.limits = limits or Limits()
        self.log = log
        self.state: State = "loading"
        self.models: dict[str, ServedModel] = {}
        self.admission = Admission(self.limits)
        self.metrics = Metrics(lambda: self.admission.images, lambda: self.state == "ready")
        count = min(MOST_DECODERS, usable_cores()) if decoders is None else decoders
        self.room = Room(self.limits.decoded_bytes)
        self.decoders = Decoders(count, on_lost=self._lost)
        self.thread = ModelThread(self.limits.wait, self.limits.batch, self._batch_done)

    async def start(self) -> None:
        """Load the models.

        Raises:
            VeryDeepError: A model or a process cannot be started.
        """
        self.thread.start()
        try:
            await asyncio.to_thread(self.decoders.start)
            loaded = await asyncio.wrap_future(self.thread.call(lambda: [*self._load()]))
        except BaseException:
            self.state = "failed"
            raise
        self.models = {one.name: one for one in loaded}
        if self.state == "loading":
            self.state = "ready"

    def close(self) -> None:
        """End the processes and the thread."""
        self.state = "stopping"
        self.decoders.close()
        self.thread.close()

    def find(self, name: str | None) -> ServedModel:
        """Return a model by name; None takes the first.

        Raises:
            Problem: There is no such model, or the models are not loaded.
        """
        self.check_ready()
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            known = ", ".join(self.models)
            shown = name[:64]
            raise Problem(
                404,
                "no-such-model",
                f"there is no model {shown!r} here, only {known}{did_you_mean(shown, self.models)}",
            )
        return self.models[name]

    def check_ready(self) -> None:
        """Refuse work while the models are being loaded or the server is stopping.

        Raises:
            Problem: It is not ready.
        """
        if self.state != "ready":
            doing = "stopping" if self.state == "stopping" else "loading its models"
            raise Problem(503, self.state, f"the server is {doing}", retry_after=2)

    def describe(self) -> ModelsAnswer:
        """Return the models and limits."""
        self.check_ready()
        limits = self.limits
        return ModelsAnswer(
            models=[one.full_info() for one in self.models.values()],
            default=next(iter(self.models)),
            limits=LimitsInfo(
                max_bytes=limits.max_bytes,
                max_pixels=limits.max_pixels,
                max_images=limits.max_images,
                max_seconds=limits.max_seconds,
            ),
        )

    async def predict(
        self, served: ServedModel, uploads: Sequence[Upload], top: int
    ) -> PredictAnswer:
        """Return the answer for images.

        A call that is cancelled leaves undone whatever has not begun.

        Args:
            served: The model.
            uploads: The images.
            top: Maximum number of classes in a ranking.
        """
        started = time.monotonic()
        tasks = [asyncio.ensure_future(self.answer(served, one, top)) for one in uploads]
        try:
            images = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        seconds = round(time.monotonic() - started, 6)
        return PredictAnswer(model=served.info(), images=images, seconds=seconds)

    async def answer(self, served: ServedModel, upload: Upload, top: int) -> ImageAnswer:
        """Return the answer for one image; one that cannot be read has a fault."""
        async with self.room.share(served.plan.most_bytes) as share:
            with self.thread.arriving(served):
                decoded = await self.decode(upload, served.plan)
                if isinstance(decoded, Fault):
                    self.metrics.images.labels(served.name, "unreadable").inc()
                    return ImageAnswer(name=upload.name, fault=decoded.reason)
                share.shrink(decoded.nbytes)
                computed = self.thread.submit(served, decoded, top)
                share.until(computed)
        answer = await asyncio.wrap_future(computed)
        self.metrics.images.labels(served.name, "answered").inc()
        ranking = answer.ranking[:top]
        ranked = {one.class_name for one in ranking}
        boxes = [one for one in answer.boxes if one.class_name in ranked]
        return answer.model_copy(update={"name": upload.name, "ranking": ranking, "boxes": boxes})

    async def decode(self, upload: Upload, plan: DecodePlan) -> Decoded | Fault:
        """Decode an image in another process; there must be room for it."""
        plan = replace(plan, max_pixels=self.limits.max_pixels)
        if not upload.data:
            return Fault("the file is empty")
        return await self.decoders.decode(upload.data, plan)

    def _batch_done(self, images: int, seconds: float) -> None:
        self.metrics.batch(images, seconds)
        self.admission.answered(images, seconds)

    def _lost(self, reason: str) -> None:
        self.metrics.lost.inc()
        self.log(f"{reason}; it is replaced")


def fault_of_server(error: BaseException) -> Problem:
    """Return the refusal for an error that is not the client's."""
    if isinstance(error, MachineError) or is_lack_of_memory(error):
        return Problem(503, "out-of-resources", "the server is short of resources", retry_after=5)
    if isinstance(error, VeryDeepError):
        return Problem(500, "model-failed", "the model cannot answer for this image")
    return Problem(500, "fault", "the server is at fault; its log says more")
