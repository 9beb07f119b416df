"""Make and read `Figure` messages: a value with its interval, or the reason why there is none."""

from __future__ import annotations

from typing import Optional

from protos.gauntlet.v1 import figure_pb2

Interval = figure_pb2.Interval


def measured(value: float, samples: int = 1, interval: Optional[Interval] = None) -> figure_pb2.Figure:
    """A figure read from a clock, counter or sensor on the device itself.

    Args:
        value: in the unit that the field's name tells.
        samples: number of observations behind it.
        interval: its confidence interval, if the sample allows one.
    """
    estimate = figure_pb2.Estimate(value=value, samples=samples, interval=interval)
    return figure_pb2.Figure(origin=figure_pb2.ORIGIN_MEASURED, estimate=estimate)


def unavailable(reason: str) -> figure_pb2.Figure:
    """A figure that could not be had, and why. Missing is never zero."""
    return figure_pb2.Figure(origin=figure_pb2.ORIGIN_MEASURED, unavailable=reason)


def value_of(figure: figure_pb2.Figure) -> Optional[float]:
    """The value, or None when the figure is unavailable or was never set."""
    return figure.estimate.value if figure.HasField("estimate") else None
