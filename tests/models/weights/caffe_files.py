"""Files of Caffe weights, written by hand: a net's layers as messages of protocol buffers."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

CODES = {"Convolution": 4, "InnerProduct": 14, "ReLU": 18, "Pooling": 17, "LRN": 15, "Dropout": 6}
CODES |= {"Softmax": 20, "Data": 5, "Flatten": 8, "Split": 22}
OLDEST = {"Convolution": "conv", "InnerProduct": "innerproduct", "ReLU": "relu", "Pooling": "pool"}
OLDEST |= {"LRN": "lrn", "Dropout": "dropout", "Softmax": "softmax", "Data": "data"}


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | float | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def blob(values: np.ndarray, *, packed: bool = True, legacy: bool = False) -> bytes:
    """Return parameters; legacy ones have four sides."""
    out = b""
    if legacy:
        sides = (1,) * (4 - values.ndim) + values.shape
        out += b"".join(field(number, side) for number, side in enumerate(sides, 1))
    number, kind = (8, "<f8") if values.dtype == np.float64 else (5, "<f4")
    data = np.ascontiguousarray(values, kind)
    if packed:
        out += field(number, data.tobytes())
    else:
        key = varint(number << 3 | (1 if kind == "<f8" else 5))
        out += b"".join(key + one.tobytes() for one in data.reshape(-1))
    if not legacy:
        out += field(7, field(1, b"".join(map(varint, values.shape))))
    return out


class Net:
    """Layers one after another, in one of the three generations of the format."""

    def __init__(self, generation: str = "new", *, packed: bool = True, wired: bool = True) -> None:
        self.generation, self.packed, self.wired = generation, packed, wired
        self.body = b""
        self.at = "data"

    def add(
        self,
        name: str,
        kind: str,
        blobs: Sequence[np.ndarray] = (),
        extra: bytes = b"",
        *,
        bottom: str | Sequence[str] | None = None,
        top: str | None = None,
    ) -> Net:
        """Append a layer that reads the last one's output; ``extra`` are further fields."""
        bottom = self.at if bottom is None else bottom
        bottoms = [bottom] if isinstance(bottom, str) else bottom
        top = top or (bottoms[0] if kind in ("ReLU", "Dropout") else name)
        values = [blob(one, packed=self.packed, legacy=self.generation != "new") for one in blobs]
        first = 3 if self.generation == "new" else 2
        ends = [*((first, end) for end in bottoms), (first + 1, top)] if self.wired else []
        wires = b"".join(field(number, end) for number, end in ends)
        if self.generation == "new":
            body = field(1, name) + field(2, kind) + wires
            self.body += field(100, body + b"".join(field(7, one) for one in values) + extra)
        elif self.generation == "2014":
            body = wires + field(4, name) + field(5, CODES[kind])
            self.body += field(2, body + b"".join(field(6, one) for one in values) + extra)
        else:
            body = field(1, name) + field(2, OLDEST.get(kind, kind)) + extra
            body += b"".join(field(50, one) for one in values)
            self.body += field(2, field(1, body) + wires)
        self.at = top
        return self

    def conv(
        self, name: str, weight: np.ndarray, bias: np.ndarray | None = None, pad: int = 1
    ) -> Net:
        outputs, side = len(weight), weight.shape[2]
        extra = field(7, pad) + field(8, side)
        if self.generation != "oldest":
            window = (
                field(1, outputs) + field(3, pad) + field(4, side) + field(2, int(bias is not None))
            )
            extra = field(106 if self.generation == "new" else 10, window)
        return self.add(name, "Convolution", [weight] if bias is None else [weight, bias], extra)

    def dense(self, name: str, weight: np.ndarray, bias: np.ndarray) -> Net:
        numbers = {"new": 117, "2014": 17}
        extra = field(3, len(weight))
        if self.generation in numbers:
            extra = field(numbers[self.generation], field(1, len(weight)))
        return self.add(name, "InnerProduct", [weight, bias], extra)

    def pool(self, name: str, side: int = 2, stride: int = 2) -> Net:
        numbers = {"new": 121, "2014": 19}
        extra = field(8, side) + field(10, stride)
        if self.generation in numbers:
            extra = field(numbers[self.generation], field(2, side) + field(3, stride))
        return self.add(name, "Pooling", (), extra)

    def relu(self) -> Net:
        return self.add(f"relu_{len(self.body)}", "ReLU")

    def data(self, name: str = "a net") -> bytes:
        """Return the file."""
        return field(1, name) + self.body


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def small_net(net: Net | None = None) -> tuple[Net, dict[str, np.ndarray]]:
    """Return a net with two convolutions, a pool and a head of two layers, and its weights."""
    net = net or Net()
    values = {
        **{"conv1": random(4, 3, 3, 3), "conv2": random(5, 4, 3, 3)},
        **{"fc1": random(6, 5 * 4 * 4), "fc2": random(3, 6)},
    }
    values |= {f"{name}_bias": random(len(weight), seed=1) for name, weight in values.items()}
    net.conv("conv1", values["conv1"], values["conv1_bias"]).relu()
    net.conv("conv2", values["conv2"], values["conv2_bias"]).relu().pool("pool")
    net.dense("fc1", values["fc1"], values["fc1_bias"]).relu()
    net.dense("fc2", values["fc2"], values["fc2_bias"])
    return net, values
