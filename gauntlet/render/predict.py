"""Predicted figures as tables, each with what its model makes of figures that it was not shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from gauntlet.render import units
from gauntlet.render.device import heading, lines_table
from gauntlet.render.figures import Format
from search.objectives import Quantity
from search.predicting import CONFIDENCE, Forecast, Known, Trust
from search.replay.schema import figure_name
from search.spaces.base import Architecture
from search.values import Origin, Value

_FORMATS: dict[str, Format] = {"s": units.duration, "J": units.energy, "B": units.size}


def report(known: Known, architectures: Sequence[Architecture], forecasts: Sequence[Forecast]) -> RenderableType:
    """All figures of all architectures.

    Args:
        known: what they were predicted from.
        architectures: in the order of the values of each forecast.
        forecasts: one for each figure.
    """
    return Group(*_sections(known, architectures, forecasts))


def _sections(
    known: Known, architectures: Sequence[Architecture], forecasts: Sequence[Forecast]
) -> Iterator[RenderableType]:
    yield Text.assemble((known.title, "bold"), f"  {units.count(len(known.evaluations), 'architecture')} known")
    for forecast in forecasts:
        yield heading(forecast.name)
        if any(value.origin is Origin.PREDICTED for value in forecast.values):
            yield Padding(_trust(forecast.trust), (0, 0, 1, 2))
        yield _table(architectures, forecast)
    yield Text("")


def _table(architectures: Sequence[Architecture], forecast: Forecast) -> RenderableType:
    quantity = figure_name(forecast.name)
    text = _FORMATS.get(quantity.unit if isinstance(quantity, Quantity) else "", units.ratio)
    table = lines_table("architecture", "figure", f"{CONFIDENCE:.0%} interval".replace("%", " %"), "origin")
    for column in table.columns[1:3]:
        column.no_wrap, column.justify = True, "right"
    for architecture, value in zip(architectures, forecast.values, strict=True):
        if value.value is None:
            table.add_row(architecture.text, Text("–", "dim"), "", Text(value.unavailable, "yellow"))
            continue
        predicted = value.origin is Origin.PREDICTED
        table.add_row(
            architecture.text,
            Text(text(value.value), "bold" if not predicted else "bold cyan"),
            Text(_interval(value, text), "dim"),
            Text(value.origin.value, "cyan" if predicted else ""),
        )
    return Padding(table, (0, 0, 0, 2))


def _interval(value: Value, text: Format) -> str:
    if value.low is None or value.high is None:
        return "–"
    return units.span(value.low, value.high) if text is units.duration else f"{text(value.low)} – {text(value.high)}"


def _trust(trust: Trust) -> Text:
    """In one sentence what is predicted, and how well that went where it is known."""
    parts = []
    if trust.median_error is not None:
        parts.append(f"off by {units.ratio_short(trust.median_error)} (median)")
    if trust.tau is not None:
        parts.append(f"τ = {trust.tau:.2f}")
    if trust.covered is not None:
        parts.append(f"{trust.covered:,} of {trust.measurements:,} in their intervals")
    else:
        parts.append("too few for intervals")
    return Text(
        f"Learned from {units.count(trust.measurements, 'figure')}; held out, they are {', '.join(parts)}.", "dim"
    )
