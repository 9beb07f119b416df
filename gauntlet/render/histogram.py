"""The distribution of the samples as columns of blocks.

  ▂█▅
 ▃███▇▃▁▁ ▁      ▁
└───┬──────────────
 428│    440      …
    median
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rich.text import Text

from gauntlet.render import units
from protos.gauntlet.v1 import measurement_pb2

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ROWS = 6
_LEVELS = _ROWS * 8
_INDENT = "  "


@dataclass(frozen=True)
class _Columns:
    counts: list[int]
    low: float
    high: float

    def index(self, value: float) -> int:
        """The column that holds `value`."""
        if self.high <= self.low:
            return 0
        place = (value - self.low) / (self.high - self.low) * len(self.counts)
        return min(max(int(place), 0), len(self.counts) - 1)


def render(histogram: measurement_pb2.Histogram, median_s: float | None, width: int) -> Text:
    """A picture of the histogram, with the median marked.

    Args:
        histogram: of seconds.
        median_s: None: not marked.
        width: characters that it may take.
    """
    columns = _fit(histogram, width - 2 * len(_INDENT))
    if not columns.counts or not any(columns.counts):
        return Text(f"{_INDENT}no samples", style="dim")
    heights, logarithmic = _heights(columns.counts)
    marked = None if median_s is None else columns.index(median_s)
    picture = Text()
    for row in reversed(range(_ROWS)):
        picture.append(_INDENT)
        for index, height in enumerate(heights):
            block = _BLOCKS[min(max(height - 8 * row, 0), 8)]
            picture.append(block, "bold green" if index == marked else "cyan")
        picture.append("\n")
    picture.append(_axis(columns, median_s, marked))
    notes = [f"counts on a logarithmic scale, highest {max(columns.counts):,}"] if logarithmic else []
    if histogram.overflow:
        notes.append(f"{units.count(histogram.overflow, 'sample')} above {units.duration(histogram.high)} not shown")
    if notes:
        picture.append("".join(f"\n{_INDENT}{note}" for note in notes), "dim")
    return picture


def _fit(histogram: measurement_pb2.Histogram, width: int) -> _Columns:
    """As many columns as fit: bins are widened evenly, or merged evenly."""
    counts = list(histogram.counts)
    width = max(width, 8)
    if not counts:
        return _Columns([], histogram.low, histogram.high)
    if len(counts) > width:
        merge = math.ceil(len(counts) / width)
        step = (histogram.high - histogram.low) / len(counts)
        merged = [sum(counts[start : start + merge]) for start in range(0, len(counts), merge)]
        # The last column may reach beyond the last bin.
        return _Columns(merged, histogram.low, histogram.low + step * merge * len(merged))
    repeat = min(width // len(counts), 3)
    return _Columns([count for count in counts for _ in range(repeat)], histogram.low, histogram.high)


def _heights(counts: list[int]) -> tuple[list[int], bool]:
    """Eighths of a row for each column, and whether the scale is logarithmic.

    A few very high bins would press all others flat: once most filled bins would be invisible, the scale is
    logarithmic.
    """
    highest = max(counts)
    filled = [count for count in counts if count]
    invisible = sum(count * _LEVELS < highest for count in filled)
    if logarithmic := invisible * 2 > len(filled):
        scaled = [math.log1p(count) / math.log1p(highest) for count in counts]
    else:
        scaled = [count / highest for count in counts]
    # A bin with one sample is not an empty bin.
    return [max(1, round(_LEVELS * share)) if share else 0 for share in scaled], logarithmic


def _axis(columns: _Columns, median_s: float | None, marked: int | None) -> Text:
    """The line below, its ends and the median named."""
    length = len(columns.counts)
    line = ["─"] * length
    if marked is not None:
        line[marked] = "┴"
    axis = Text(f"{_INDENT}{''.join(line)}\n", "dim")
    low, high = units.duration(columns.low), units.duration(columns.high)
    label = "" if median_s is None or marked is None else f"median {units.duration(median_s)}"
    start = 0 if marked is None else min(max(marked - len(label) // 2, 0), max(length - len(label), 0))
    labels = Text(_INDENT)
    # The ends give way to the median where they would touch it.
    if label and start < len(low) + 2:
        low = ""
    if label and start + len(label) + 2 > length - len(high):
        high = ""
    labels.append(low.ljust(start) if label else low, "dim")
    labels.append(label, "bold green")
    labels.append(high.rjust(length - max(start, len(low)) - len(label)), "dim")
    axis.append(labels)
    return axis
