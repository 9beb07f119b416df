"""Figures as table cells: a value with its interval, or the dimmed reason why there is none."""

from __future__ import annotations

from collections.abc import Callable

from rich.table import Table
from rich.text import Text

from gauntlet.render import units
from gauntlet.results_json import reason_of
from protos.gauntlet.v1 import figure_pb2

Format = Callable[[float], str]
_ORIGINS = {
    figure_pb2.ORIGIN_PREDICTED: "predicted",
    figure_pb2.ORIGIN_ESTIMATED: "estimated",
    figure_pb2.ORIGIN_REPLAYED: "replayed",
}


def grid() -> Table:
    """Three columns: name, value, remark."""
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=15, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def add(table: Table, name: str, figure: figure_pb2.Figure, text: Format, remark: str = "", bold: bool = False) -> None:
    """Add a row for `figure` to a table made by `grid`."""
    label = Text(f"  {name}", "bold" if bold else "")
    if not figure.HasField("estimate"):
        table.add_row(label, Text("–", "dim"), Text(reason_of(figure), "dim italic"))
        return
    parts = [_origin(figure), _interval(figure, text), remark]
    value = Text(text(figure.estimate.value), "bold green" if bold else "")
    table.add_row(label, value, Text("; ".join(part for part in parts if part), "dim"))


def short(figure: figure_pb2.Figure, text: Format) -> Text:
    """The value alone, or a dash."""
    if not figure.HasField("estimate"):
        return Text("–", "dim")
    return Text(text(figure.estimate.value))


def half_width(figure: figure_pb2.Figure) -> float | None:
    """Half the width of a figure's interval over its value; None without one."""
    estimate = figure.estimate
    if not estimate.value or not estimate.HasField("interval"):
        return None
    return (estimate.interval.high - estimate.interval.low) / 2 / estimate.value


def _origin(figure: figure_pb2.Figure) -> str:
    """Measured goes without saying."""
    return _ORIGINS.get(figure.origin, "")


def _interval(figure: figure_pb2.Figure, text: Format) -> str:
    if not figure.estimate.HasField("interval"):
        return ""
    interval = figure.estimate.interval
    if text is units.duration:
        between = units.span(interval.low, interval.high)
    else:
        between = f"{text(interval.low)} – {text(interval.high)}"
    half = (interval.high - interval.low) / 2
    value = figure.estimate.value
    # Of a ratio, a relative width would be a percentage of a percentage.
    width = f" (±{units.ratio_short(half / value)})" if value and text is not units.ratio else ""
    return f"{between} at {100 * interval.confidence:g} %{width}"
