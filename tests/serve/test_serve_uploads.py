"""Bodies of JSON: what they may contain, and the memory that they take."""

from __future__ import annotations

import base64
import json
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from serving import LIMITS

from verydeep.serve import uploads
from verydeep.serve.problems import Problem
from verydeep.serve.uploads import Upload

SIZE = 2**21
"""Bytes of a body."""


def peak(data: bytes) -> float:
    """Return the memory that parsing a body takes, by its bytes."""
    tracemalloc.start()
    try:
        uploads._from_json(data, LIMITS)
    except Problem:
        pass
    finally:
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return size / len(data)


@pytest.mark.parametrize("part", ["[]", "{}", '"a"', "1", "[[[[[[[[1]]]]]]]]", '{"name":"a"}'])
def test_many_values_take_no_memory(part: str) -> None:
    body = f'{{"images":[{",".join([part] * (SIZE // (len(part) + 1)))}]}}'
    for encoding in ("utf-8", "utf-16", "utf-32"):
        assert peak(body.encode(encoding)) < 0.1


@pytest.mark.parametrize("blank", ["", " ", "\\n"])
def test_base64_takes_a_few_times_its_bytes(blank: str) -> None:
    text = blank.join("A" * (SIZE // (len(blank) + 1) // 4 * 4))
    assert peak(f'{{"images":["{text}"]}}'.encode()) < 6


def test_names_may_have_any_characters() -> None:
    name = "{a, b}, [c], d, e, f, g, h.jpg" * 3
    data = base64.encodebytes(bytes(range(256)) * 10)
    image = {"name": name, "data": f"data:image/jpeg;base64,{data.decode()}", "size": [3, 4]}
    body = json.dumps({"images": [image] * LIMITS.max_images, "more": {"a": [1, 2]}})
    found = uploads._from_json(body.encode(), LIMITS)
    assert found == [Upload(name, bytes(range(256)) * 10)] * LIMITS.max_images


def test_data_of_other_characters_is_refused() -> None:
    with pytest.raises(Problem, match="is not base64"):
        uploads._from_json('{"images": ["eA=\u00e9"]}'.encode(), LIMITS)


def test_one_body_is_parsed_at_a_time(
    client: httpx2.Client, photograph: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse, guard, most = uploads._from_json, threading.Lock(), [0, 0]

    def watched(*arguments: Any) -> list[Upload]:
        with guard:
            most[0] += 1
            most[1] = max(most)
        time.sleep(0.05)
        with guard:
            most[0] -= 1
        return parse(*arguments)

    monkeypatch.setattr(uploads, "_from_json", watched)
    body = {"images": [base64.b64encode(photograph).decode()]}
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(client.post, "/v1/predict", json=body) for _ in range(4)]
        assert {one.result().status_code for one in answers} == {200}
    assert most == [0, 1]
