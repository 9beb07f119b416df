"""Ratios of blocks, process by process, on one axis.

           0.99       1        1.01
process 1     ▂▅█▆▃▁  ┊             0.994
process 2       ▁▃█▄▂ ┊             0.996
together       ├──┼──┤┊             0.995
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from protos.gauntlet.v1 import measurement_pb2

_BLOCKS = " ▁▂▃▄▅▆▇█"
_LABEL = 14
_VALUE = 9
_MOST_COLUMNS = 72
_LEAST_COLUMNS = 20
#: A block beyond these ranks is drawn at the edge: one disturbed block must not squeeze all others into a column.
_RANKS = (0.05, 0.95)


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    columns: int

    def place(self, ratio: float) -> int:
        """The column of a ratio; the edge for one that lies outside."""
        place = int((ratio - self.low) / (self.high - self.low) * self.columns)
        return min(max(place, 0), self.columns - 1)

    @property
    def one(self) -> int | None:
        """The column of 1, if it is on the axis."""
        return self.place(1.0) if self.low <= 1.0 <= self.high else None


def render(result: measurement_pb2.ComparisonResult, width: int) -> RenderableType:
    """The blocks of each process, and the interval of all together."""
    axis = _axis(result, width)
    lines = [_scale(axis)]
    for number, run in enumerate(result.runs, start=1):
        cells = _density(run.block_ratios, axis)
        lines.append(_line(f"process {number}", cells, "cyan", run.ratio.estimate.value, axis))
    estimate = result.ratio.estimate
    lines.append(_line("together", _whisker(result, axis), "bold", estimate.value, axis))
    return Group(*lines)


def _axis(result: measurement_pb2.ComparisonResult, width: int) -> _Axis:
    blocks = np.array([ratio for run in result.runs for ratio in run.block_ratios])
    interval = result.ratio.estimate.interval
    edges = [*np.quantile(blocks, _RANKS), *(run.ratio.estimate.value for run in result.runs)]
    edges += [interval.low, interval.high]
    low, high = min(edges), max(edges)
    # 1 belongs into the picture if it is near.
    reach = max(high - low, 1e-4)
    if low - reach <= 1.0 <= high + reach:
        low, high = min(low, 1.0), max(high, 1.0)
    margin = 0.04 * max(high - low, 1e-4)
    columns = min(max(width - _LABEL - _VALUE - 2, _LEAST_COLUMNS), _MOST_COLUMNS)
    return _Axis(low - margin, high + margin, columns)


def _density(ratios: Sequence[float], axis: _Axis) -> list[str]:
    counts = np.bincount([axis.place(ratio) for ratio in ratios], minlength=axis.columns)
    top = len(_BLOCKS) - 1
    # Rounded up: a single block among hundreds must be seen.
    return [_BLOCKS[-(-int(count) * top // int(counts.max()))] for count in counts]


def _whisker(result: measurement_pb2.ComparisonResult, axis: _Axis) -> list[str]:
    interval = result.ratio.estimate.interval
    low, high = axis.place(interval.low), axis.place(interval.high)
    middle = axis.place(result.ratio.estimate.value)
    cells = [" "] * axis.columns
    for place in range(low, high + 1):
        cells[place] = "─"
    cells[low], cells[high], cells[middle] = "├", "┤", "┼"
    return cells


def _line(label: str, cells: list[str], style: str, value: float, axis: _Axis) -> Text:
    text = Text(f"  {label:<{_LABEL - 2}}", "dim" if style != "bold" else "bold", no_wrap=True)
    for place, cell in enumerate(cells):
        if place == axis.one and cell == " ":
            text.append("┊", "yellow")
        else:
            text.append(cell, style)
    return text.append(f"{value:>{_VALUE}.4f}", "bold" if style == "bold" else "")


def _scale(axis: _Axis) -> Text:
    """The ends of the axis, and 1 where there is room for it."""
    span = axis.high - axis.low
    digits = max(2, min(5, 2 - int(np.floor(np.log10(span)))))
    left, right = f"{axis.low:.{digits}f}", f"{axis.high:.{digits}f}"
    cells = list(left + " " * (axis.columns - len(left) - len(right)) + right)
    if axis.one is not None and len(left) + 1 < axis.one < axis.columns - len(right) - 2:
        cells[axis.one] = "1"
    return Text(" " * _LABEL + "".join(cells), "dim", no_wrap=True)
