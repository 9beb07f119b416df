"""Bars of eighths of a character."""

from __future__ import annotations

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(share: float, width: int) -> str:
    """Blocks for a share of the width, to an eighth of a character; something for everything that is there."""
    eighths = round(max(0.0, share) * width * 8)
    if share > 0:
        eighths = max(1, eighths)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
