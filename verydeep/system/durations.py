"""Durations in words."""

from __future__ import annotations


def in_words(seconds: float) -> str:
    """Return a duration with at most two digits.

    >>> [in_words(s) for s in (0.3, 8.4, 75, 260, 5400, 40 * 3600, 1e6)]
    ['under 1 s', '8 s', '75 s', '4 min', '1.5 h', '40 h', '12 days']
    """
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        hours = seconds / 3600
        return f"{hours:.1f} h" if hours < 9.95 else f"{hours:.0f} h"
    return f"{seconds / 86400:.0f} days"
