"""What all figures share: Plotly's JSON, axes, markers, error bars, the text at the pointer.

Colours are names of CSS variables (`@accent`): the page fills them in, light or dark.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from search.evaluations import Evaluation
from search.objectives import Objective
from search.report.inputs import ReportInput
from search.report.units import Unit, base_of, better, heading
from search.values import Value

Trace = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """One figure.

    Attributes:
        identity: of its element in the page.
        title: over it.
        summary: what it shows, for those who cannot see it.
        data: Plotly's traces.
        layout: Plotly's layout.
        height: in CSS pixels.
    """

    identity: str
    title: str
    summary: str
    data: list[Trace]
    layout: dict[str, Any] = field(default_factory=dict)
    height: int = 380


def units_of(report: ReportInput) -> dict[str, Unit]:
    """One unit for each objective, the same all over the page."""
    found = {}
    for objective in report.objectives:
        values = [e.value(objective.name).value for e in report.succeeded]
        known = [value for value in values if value is not None]
        found[objective.name] = Unit.fitting(base_of(objective.quantity), known)
    return found


def objective_axis(objective: Objective, units: dict[str, Unit]) -> dict[str, Any]:
    """An axis named for people, with its unit and which way is better."""
    suffix = units[objective.name].suffix
    name = heading(objective.quantity) + (f", {suffix}" if suffix else "")
    return {"title": {"text": f"{html.escape(name)}<br>{remark(better(objective))}"}}


def remark(words: str) -> str:
    """A second, smaller line of an axis title."""
    return f'<span style="font-size:11px">{words}</span>'


def hover(report: ReportInput, evaluation: Evaluation, units: dict[str, Unit]) -> str:
    """What stands at the pointer."""
    lines = [f"<b>Candidate {evaluation.number}</b>", wrapped(evaluation.architecture)]
    for objective in report.objectives:
        figure = units[objective.name].figure(evaluation.value(objective.name))
        lines.append(html.escape(f"{heading(objective.quantity)}: {figure}"))
    return "<br>".join([*lines, f"MACs: {evaluation.macs:,}"])


def wrapped(architecture: str, width: int = 36) -> str:
    """A long text in lines: Plotly's hover boxes do not wrap."""
    pieces = [architecture[start : start + width] for start in range(0, len(architecture), width)]
    return "<br>".join(html.escape(piece) for piece in pieces)


def marker(color: str, size: int = 9, symbol: str = "circle") -> dict[str, Any]:
    """A dot with a thin rim of the paper's colour, so that dots on one another stay apart; or another symbol."""
    rim = {"color": color, "width": 1.5} if symbol.endswith("-thin") else {"color": "@paper", "width": 1}
    return {"color": color, "size": size, "symbol": symbol, "line": rim}


def bars(values: Sequence[Value], factor: float, color: str) -> dict[str, Any]:
    """Error bars from intervals, none where there is no interval; `factor` is the axis's unit."""
    ups, downs = zip(*(_reach(value) for value in values), strict=True) if values else ((), ())
    return {
        "type": "data",
        "array": [up / factor for up in ups],
        "arrayminus": [down / factor for down in downs],
        "color": color,
        "thickness": 1.2,
        "width": 0,
    }


def _reach(value: Value) -> tuple[float, float]:
    if value.value is None or value.low is None or value.high is None:
        return 0.0, 0.0
    return max(value.high - value.value, 0.0), max(value.value - value.low, 0.0)
