"""What the figures of a fault campaign share: bands, whiskers, the level of the clean model, intervals in words."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from fault_injection.statistics import Estimate, Interval
from search.report.drawing import Trace

COLORS = tuple(f"@series-{number}" for number in range(1, 6))
DASHES = ("solid", "dash", "dot", "dashdot")


def band(x: Sequence[float], intervals: Iterable[Interval | None], color: str, group: str) -> Trace:
    """A shaded band between the limits, one pair for each place; it goes with the line of its group."""
    known = [interval for interval in intervals if interval is not None]
    return {
        "x": [*x, *reversed(x)],
        "y": [100 * i.low for i in known] + [100 * i.high for i in reversed(known)],
        "fill": "toself",
        "fillcolor": color,
        "opacity": 0.18,
        "mode": "lines",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": group,
    }


def whiskers(pairs: Iterable[tuple[float, Interval | None]], color: str) -> dict[str, Any]:
    """Error bars of values with their limits; none where there is no interval."""
    reach = [(0.0, 0.0) if i is None else (max(0.0, i.high - v), max(0.0, v - i.low)) for v, i in pairs]
    return {
        "type": "data",
        "array": [100 * up for up, _ in reach],
        "arrayminus": [100 * down for _, down in reach],
        "color": color,
        "thickness": 1.2,
        "width": 3,
    }


def level(accuracy: float, upright: bool = False) -> dict[str, Any]:
    """A dashed line at the clean accuracy."""
    at, line = 100 * accuracy, {"color": "@ink-soft", "width": 1.2, "dash": "dash"}
    label = {
        "text": "clean",
        "font": {"size": 11, "color": "@ink-soft"},
        "textposition": "start" if upright else "end",
        **({"textangle": 0, "xanchor": "right"} if upright else {}),
    }
    if upright:
        return {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1, "line": line, "label": label}
    return {"type": "line", "y0": at, "y1": at, "xref": "paper", "x0": 0, "x1": 1, "line": line, "label": label}


def vertical(title: str, figures: Iterable[Estimate], clean: float | None) -> dict[str, Any]:
    """An axis in percent on which figures, their limits and the word above the clean level have room."""
    ends = [] if clean is None else [clean]
    for figure in figures:
        ends += [figure.value] if figure.interval is None else [figure.interval.low, figure.interval.high]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    room = max(0.005, 0.08 * (high - low))
    return {"title": {"text": title}, "range": [100 * max(-room / 4, low - room), 100 * (high + room)]}


def escaped(text: str) -> str:
    """Text in which Plotly sees no tags; it knows no other entities than these."""
    return html.escape(text, quote=False)


def with_interval(estimate: Estimate) -> str:
    """A share in percent with its interval."""
    return f"{100 * estimate.value:.2f} % ({limits(estimate.interval)})"


def limits(interval: Interval | None) -> str:
    """An interval in percent."""
    if interval is None:
        return "no interval"
    return f"{100 * interval.low:.2f} – {100 * interval.high:.2f} at {100 * interval.confidence:g} %"
