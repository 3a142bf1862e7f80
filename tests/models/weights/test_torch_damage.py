"""Files of PyTorch with damage of every kind: read, or refused in one line."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import torch
from damage import assert_damage_named, encrypted, patient, refusal, try_to_read
from hostile import edits, mutate
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from verydeep.models.weights.formats.pytorch import reader as torch_file


def seeds() -> dict[str, bytes]:
    """Return a small net in every format."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2)
    )
    state = net.state_dict()
    zipped, old = io.BytesIO(), io.BytesIO()
    content = {"epoch": 3, "classes": ["a", "b"], "state_dict": state}
    torch.save(content, zipped)
    torch.save(content, old, _use_new_zipfile_serialization=False)
    return {"zip": zipped.getvalue(), "old": old.getvalue(), "safetensors": save(state)}


SEEDS = seeds()


@patient
@given(kind=st.sampled_from(list(SEEDS)), data=st.data())
def test_mutated_files(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    harm = data.draw(st.lists(edits([SEEDS[kind]]), min_size=1, max_size=6))
    (tmp_path / "w").write_bytes(mutate(SEEDS[kind], harm))
    try_to_read(torch_file, tmp_path / "w")


@patient
@given(data=st.data())
def test_mutated_pickles(tmp_path: Path, data: st.DataObject) -> None:
    """The pickle inside an archive whose checksums are right."""
    with zipfile.ZipFile(io.BytesIO(SEEDS["zip"])) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickle = next(name for name in members if name.endswith("data.pkl"))
    harm = data.draw(st.lists(edits([members[pickle]]), min_size=1, max_size=6))
    members[pickle] = mutate(members[pickle], harm)
    with zipfile.ZipFile(tmp_path / "w", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    try_to_read(torch_file, tmp_path / "w")


def test_encrypted_archive(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(encrypted(SEEDS["zip"]))
    assert_damage_named(torch_file, tmp_path / "w", "a file of torch.save")
    assert "is encrypted" in refusal(torch_file, tmp_path / "w")


@patient
@given(st.binary(max_size=60))
def test_any_pickle(tmp_path: Path, body: bytes) -> None:
    """Any bytes for instructions."""
    with zipfile.ZipFile(tmp_path / "w", "w") as archive:
        archive.writestr("a/version", "3")
        archive.writestr("a/data.pkl", b"\x80\x02" + body + b".")
    try_to_read(torch_file, tmp_path / "w")


@patient
@given(
    kind=st.sampled_from(list(SEEDS)),
    place=st.floats(0, 1, exclude_max=True),
    size=st.sampled_from([1, 2, 4, 8]),
    value=st.sampled_from([0, 1, 2**15, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1]),
)
def test_overwritten_lengths(
    tmp_path: Path, kind: str, place: float, size: int, value: int
) -> None:
    content = bytearray(SEEDS[kind])
    begin = int(place * len(content))
    content[begin : begin + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")
    (tmp_path / "w").write_bytes(content)
    try_to_read(torch_file, tmp_path / "w")
