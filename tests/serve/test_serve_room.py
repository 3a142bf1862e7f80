"""Memory of decoded images: a bound, turns, and nothing kept for clients that have gone."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import httpx2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from serving import LIMITS, Held, as_file, random_served, serving, until

from verydeep.serve.batching import ModelThread
from verydeep.serve.decoders import Decoders
from verydeep.serve.decoding import Decoded, DecodePlan, Fault, decode_for
from verydeep.serve.room import Room


@pytest.mark.parametrize("size", [(1280, 40), (40, 1280), (640, 427), (33, 33)])
def test_no_decoded_image_takes_more_than_its_plan_says(size: tuple[int, int]) -> None:
    plan = DecodePlan((32, 48), shown=100)
    found = decode_for(as_file(Image.new("RGB", size), "PNG"), plan)
    assert isinstance(found, Decoded)
    assert found.shown is not None
    assert found.nbytes == sum(len(one.tobytes()) for one in (*found.pixels, found.shown))
    assert found.nbytes <= plan.most_bytes
    longest = replace(plan, shown=None)
    if max(size) == 1280:  # the most elongated image that is read
        assert found.nbytes - found.shown.nbytes == longest.most_bytes
    assert isinstance(decode_for(as_file(Image.new("L", (1281, 40)), "PNG"), plan), Fault)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), max_size=12),
    st.integers(1, 60),
)
def test_a_room_is_never_overfull_and_serves_all_in_turn(
    wishes: list[tuple[int, int, bool]], most: int
) -> None:
    """Each wish is a size, what is kept of it, and whether its client goes away."""
    room, served = Room(most), list[int]()

    async def hold(number: int, size: int, kept: int) -> None:
        async with room.share(size) as share:
            served.append(number)
            # A wish above the whole is granted alone.
            assert room.used <= max(most, size)
            share.shrink(min(size, kept))
            done: Future[None] = Future()
            share.until(done)
            await asyncio.sleep(0)
            done.set_result(None)

    async def run() -> None:
        tasks = [
            asyncio.ensure_future(hold(number, size, kept))
            for number, (size, kept, _) in enumerate(wishes)
        ]
        await asyncio.sleep(0)
        for task, (_, _, gone) in zip(tasks, wishes, strict=True):
            if gone:
                task.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    assert room.used == 0
    assert served == sorted(served)
    assert {number for number, wish in enumerate(wishes) if not wish[2]} <= {*served}


def test_images_are_decoded_only_while_there_is_room(photograph: bytes) -> None:
    held = random_served("held", Held)
    small = decode_for(photograph, held.plan)
    assert isinstance(small, Decoded)
    most = held.plan.most_bytes + 2 * small.nbytes
    held.go.clear()
    with (
        serving([held], replace(LIMITS, decoded_bytes=most)) as (address, service),
        httpx2.Client(base_url=address, timeout=30) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = [pool.submit(client.post, "/v1/predict", content=photograph) for _ in range(8)]
        until(lambda: service.admission.images == 8 and held.begun.is_set())
        until(lambda: len(service.room._waiting) == 5 and service.room.used == 3 * small.nbytes)
        assert len(service.thread._waiting) <= 2  # one or more are in the model
        held.go.set()
        assert {one.result().status_code for one in answers} == {200}
        until(lambda: service.room.used == 0)


def test_a_client_that_has_gone_leaves_no_bytes_before_a_decoding_process() -> None:
    decoders = Decoders(1, seconds=20)
    decoders.start()
    (pid,) = decoders.pids
    first, second = (bytes(bytearray(10_000)) for _ in range(2))
    before = sys.getrefcount(second)

    async def leave() -> None:
        os.kill(pid, signal.SIGSTOP)
        try:
            busy = asyncio.ensure_future(decoders.decode(first, DecodePlan((32,))))
            await asyncio.sleep(0.05)
            waits = asyncio.ensure_future(decoders.decode(second, DecodePlan((32,))))
            await asyncio.sleep(0.05)
            assert sys.getrefcount(second) > before
            waits.cancel()
            await asyncio.wait([waits])
            del waits
            gc.collect()  # tracebacks of its end
            assert sys.getrefcount(second) == before
        finally:
            os.kill(pid, signal.SIGCONT)
        assert isinstance(await busy, Fault)

    try:
        asyncio.run(leave())
    finally:
        decoders.close()


def test_a_cancelled_image_or_call_leaves_no_pixels_in_the_queue() -> None:
    thread, go, begun = ModelThread(1, 4), threading.Event(), threading.Event()
    thread.start()

    def hold() -> bool:
        begun.set()
        return go.wait(20)

    busy = thread.call(hold)
    assert begun.wait(20)
    images = [np.zeros((4, 4, 3), np.uint8) for _ in range(2)]
    gone = [weakref.ref(one) for one in images]
    waiting = [thread.submit(random_served(), images[0], 1), thread.call(images[1].sum)]
    after = thread.call(lambda: "done")
    del images
    assert all(one() is not None for one in gone)
    assert all(one.cancel() for one in waiting)
    assert [one() for one in gone] == [None, None]
    go.set()
    assert busy.result(20)
    assert after.result(20) == "done"
    thread.close()
