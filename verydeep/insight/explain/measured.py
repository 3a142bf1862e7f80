"""What is known of a model's errors, in words: tested, still in training, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def measured_in_words(measured: Mapping[str, Any] | None) -> str | None:
    """Return what a model's folder says of its errors; None if it says nothing.

    Args:
        measured: The result of a test; or, of a run that goes on or was interrupted, what the
            validation behind its best epoch found.

    >>> measured_in_words({"top1_error": 12.34, "protocol": "dense", "images": 1000})
    '12.3 % top-1 error (dense, 1,000 pictures)'
    >>> measured_in_words({"epoch": 3, "val_loss": 1.2, "val_top1_error": 40.0})
    'not tested yet; 40.0 % top-1 error of validation behind epoch 3'
    """
    if not measured:
        return None
    if "top1_error" in measured:
        how = [str(measured["protocol"])] if "protocol" in measured else []
        how += [f"{measured['images']:,} pictures"] if "images" in measured else []
        behind = f" ({', '.join(how)})" if how else ""
        return f"{measured['top1_error']:.1f} % top-1 error{behind}"
    if "val_top1_error" in measured:
        behind = f" behind epoch {measured['epoch']}" if "epoch" in measured else ""
        return (
            f"not tested yet; {measured['val_top1_error']:.1f} % top-1 error of validation{behind}"
        )
    return "not tested yet"
