"""Download of published weights: once, checked, continued after a break."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from verydeep.errors import DiskError, FolderInUse, ModelError
from verydeep.models.weights.caches import files_elsewhere, own_file
from verydeep.models.weights.checksum import MEGABYTE, digest_of, is_digest
from verydeep.models.weights.published import Published, checksum_in_words
from verydeep.models.weights.resumable_download import Limits, TransferFailed, transfer
from verydeep.system.files import explained_write_errors, write_text
from verydeep.system.locks import hold
from verydeep.system.option_names import in_program, option
from verydeep.system.progress import Progress

_SLACK = 2 * 2**20
"""Bytes by which a file may exceed its rounded size, besides a tenth of it."""

_PAUSE = 1.0
"""Seconds between two looks at a download by another process."""


class Fetched(NamedTuple):
    """A file with the published checksum.

    Attributes:
        path: The file.
        sha256: Its SHA-256, if that is what was published, or None.
    """

    path: Path
    sha256: str | None

    @classmethod
    def of(cls, path: Path, algorithm: str, digest: str) -> Fetched:
        """Return a file whose checksum by an algorithm has been computed."""
        return cls(path, digest if algorithm == "sha256" else None)


def fetch(published: Published, progress: Progress | None = None) -> Fetched:
    """Return the file of published weights, which is downloaded on first use.

    Files that torch, Keras or the Hugging Face hub have downloaded are used where they are, if
    their checksum is right. A second process waits for the first.

    Args:
        published: The weights.
        progress: Progress reporting.

    Returns:
        A file with the published checksum.

    Raises:
        ModelError: The file cannot be downloaded, or is another one than was published; the
            message tells how to bring it by hand.
        DiskError: The disk is full or failing.
        InputError: The cache folder is not writable.
    """
    progress = progress or Progress()
    found = _present(published, progress)
    if found is not None:
        return found
    file = own_file(published)
    with _turn(file.parent, progress):
        # Another process may have been faster.
        return _checked_own(published, Progress()) or _download(published, file, progress)


def _present(published: Published, progress: Progress) -> Fetched | None:
    """Return a file on this machine with the right checksum, or None."""
    own = _checked_own(published, progress)
    if own is not None:
        return own
    for file in files_elsewhere(published):
        expected = published.digest or _name_of_blob(file)
        if expected and (found := _matching(file, published.algorithm, expected, progress)):
            return found
        progress.log(f"{file}: not used, for it is not the file that was published")
    return None


def _checked_own(published: Published, progress: Progress) -> Fetched | None:
    """Return the file in our cache if its checksum is right; it may have been put there by hand."""
    file = own_file(published)
    if not file.is_file():
        return None
    expected = published.digest or _noted(file)
    if expected is None:
        progress.log(f"{file}: used unchecked, for the table has no checksum of these weights")
        return Fetched(file, None)
    if found := _matching(file, published.algorithm, expected, progress):
        return found
    progress.log(f"{file}: not the file that was published; it is downloaded again")
    return None


def _matching(file: Path, algorithm: str, expected: str, progress: Progress) -> Fetched | None:
    """Return a file if it can be read and has a checksum."""
    try:
        digest = digest_of(file, algorithm, progress)
    except OSError:
        return None
    return Fetched.of(file, algorithm, digest) if is_digest(digest, expected) else None


def _name_of_blob(file: Path) -> str | None:
    """Return the checksum by which the Hugging Face hub names a file in its cache."""
    name = file.resolve().name
    return name if len(name) == 64 and set(name) <= set("0123456789abcdef") else None


def _part(file: Path) -> Path:
    return file.with_name(f"{file.name}.part")


def _note(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")


def _noted(file: Path) -> str | None:
    """Return the checksum that the server stated when the file was downloaded."""
    try:
        return _note(file).read_text("ascii").strip() or None
    except (OSError, ValueError):
        return None


def _download(published: Published, file: Path, progress: Progress) -> Fetched:
    """Try every address; keep the first file with the right checksum."""
    failures = []
    for address in published.addresses:
        try:
            _check_room(published, _part(file))
            progress.log(f"downloading {published.name} from {address}")
            digest = _transfer_checked(published, address, file, progress)
            _keep(_part(file), file)
        except TransferFailed as error:
            failures.append(f"{address} ({error})")
        else:
            progress.log(f"{published.name} is stored in {file}")
            return Fetched.of(file, published.algorithm, digest)
    raise ModelError(_by_hand(published, failures))


def _transfer_checked(published: Published, address: str, file: Path, progress: Progress) -> str:
    """Transfer the file and return its checksum, which is right.

    One continued from another version starts over once.
    """
    part = _part(file)
    continued = part.exists()
    most = published.size_about + published.size_about // 10 + _SLACK
    stated = transfer(address, part, Limits(published.size, most), progress)
    expected = published.digest or stated
    if expected is None:
        part.unlink()
        raise TransferFailed("the server states no checksum, so that the file cannot be checked")
    found = digest_of(part, published.algorithm, progress)
    if is_digest(found, expected):
        if published.digest is None:
            write_text(_note(file), expected + "\n")
        return found
    part.unlink()  # nothing of a wrong file is kept
    if not continued:
        raise TransferFailed(
            f"sends another file: its {published.algorithm} is {found}, but "
            f"{checksum_in_words(published.algorithm, expected)} was published"
        )
    return _transfer_checked(published, address, file, progress)


def _check_room(published: Published, part: Path) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        DiskError: There is too little room.
    """
    there = part.stat().st_size if part.exists() else 0
    free = shutil.disk_usage(part.parent).free
    if free < published.size_about - there:
        raise DiskError(
            f"{part.parent}: no space on the disk: {published.name} needs "
            f"{published.size_about / MEGABYTE:,.0f} MB, {free / MEGABYTE:,.0f} MB are free; make "
            "room, or set VERYDEEP_CACHE to another folder"
        )


def _keep(part: Path, file: Path) -> None:
    with explained_write_errors(file):
        part.replace(file)
        descriptor = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _by_hand(published: Published, failures: list[str]) -> str:
    """Return the message for a failed download, with what to do without one."""
    command = (
        f"verydeep import FILE {option('out')} MODEL"
        if in_program()
        else "verydeep.import_weights('FILE')"
    )
    return (
        f"{published.name}: cannot be downloaded from {'; nor from '.join(failures)}. Check the "
        f"network and HTTPS_PROXY; or download that file elsewhere ({published.checksum}) and "
        f"import it, {command}, or put it at {own_file(published)}"
    )


@contextlib.contextmanager
def _turn(folder: Path, progress: Progress) -> Iterator[None]:
    """Wait until no other process or thread downloads into a folder."""
    with contextlib.ExitStack() as stack:
        told = False
        while True:
            try:
                stack.enter_context(hold(folder))
                break
            except FolderInUse as error:
                if not told:
                    progress.log(f"waiting for another download: {error}")
                told = True
                time.sleep(_PAUSE)
        yield
