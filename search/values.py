"""A figure in the search: a value with its interval, or the reason why there is none."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protos.gauntlet.v1 import figure_pb2


class Origin(enum.StrEnum):
    """Where a figure comes from. Figures of different origins are never mixed in a ranking."""

    MEASURED = "measured"
    PREDICTED = "predicted"
    ESTIMATED = "estimated"
    REPLAYED = "replayed"


_TO_PROTO = {
    Origin.MEASURED: figure_pb2.ORIGIN_MEASURED,
    Origin.PREDICTED: figure_pb2.ORIGIN_PREDICTED,
    Origin.ESTIMATED: figure_pb2.ORIGIN_ESTIMATED,
    Origin.REPLAYED: figure_pb2.ORIGIN_REPLAYED,
}
_FROM_PROTO = {number: origin for origin, number in _TO_PROTO.items()}


@dataclass(frozen=True)
class Value:
    """One figure, as `gauntlet.v1.Figure` has it. Missing is a value with a reason, never zero.

    Attributes:
        value: in the SI unit that the figure's name tells; None when there is none.
        low: lower end of the interval, in the same unit; None without interval.
        high: its upper end.
        confidence: coverage of the interval, 0-1; 0 without interval.
        method: how the interval was computed, for example "order statistics".
        samples: number of observations behind the value.
        origin: where it comes from.
        unavailable: the reason why there is no value; empty when there is one.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.0
    method: str = ""
    samples: int = 1
    origin: Origin = Origin.MEASURED
    unavailable: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) == (not self.unavailable):
            raise ValueError("a figure has either a value or the reason why there is none")
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has two ends")
        if not all(math.isfinite(number) for number in (self.value, self.low, self.high) if number is not None):
            raise ValueError(f"a figure is finite: {self.value} [{self.low}, {self.high}]")
        if self.low is not None and self.high is not None and (self.value is None or self.low > self.high):
            raise ValueError(f"an interval has its lower end first, and a value: [{self.low}, {self.high}]")

    @classmethod
    def missing(cls, reason: str, origin: Origin = Origin.MEASURED) -> Value:
        """A figure that could not be had, and why."""
        return cls(unavailable=reason or "no reason was given", samples=0, origin=origin)

    @classmethod
    def from_figure(cls, figure: figure_pb2.Figure) -> Value:
        """Read a message; a figure that is not finite becomes a missing one that says so."""
        origin = _FROM_PROTO.get(figure.origin, Origin.MEASURED)
        if not figure.HasField("estimate"):
            return cls.missing(figure.unavailable or "not reported", origin)
        estimate = figure.estimate
        if not math.isfinite(estimate.value):
            return cls.missing(f"the device reported {estimate.value}", origin)
        interval = estimate.interval
        if not estimate.HasField("interval") or not math.isfinite(interval.low) or not math.isfinite(interval.high):
            return cls(estimate.value, samples=estimate.samples, origin=origin)
        return cls(
            estimate.value,
            interval.low,
            interval.high,
            interval.confidence,
            interval.method,
            estimate.samples,
            origin,
        )

    def to_figure(self) -> figure_pb2.Figure:
        """The message, for publishing."""
        origin = _TO_PROTO[self.origin]
        if self.value is None:
            return figure_pb2.Figure(origin=origin, unavailable=self.unavailable)
        estimate = figure_pb2.Estimate(value=self.value, samples=self.samples)
        if self.low is not None and self.high is not None:
            interval = figure_pb2.Interval(low=self.low, high=self.high, confidence=self.confidence, method=self.method)
            estimate.interval.CopyFrom(interval)
        return figure_pb2.Figure(origin=origin, estimate=estimate)

    def to_json(self) -> dict[str, Any]:
        """Plain data; keys that say nothing are left out."""
        document: dict[str, Any] = {"origin": self.origin.value}
        if self.value is None:
            return {**document, "unavailable": self.unavailable}
        document |= {"value": self.value, "samples": self.samples}
        if self.low is not None:
            document |= {"low": self.low, "high": self.high, "confidence": self.confidence, "method": self.method}
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Value:
        """Read what `to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        origin = Origin(document["origin"])
        if "unavailable" in document:
            return cls.missing(str(document["unavailable"]), origin)
        low, high = document.get("low"), document.get("high")
        return cls(
            float(document["value"]),
            None if low is None else float(low),
            None if high is None else float(high),
            float(document.get("confidence", 0.0)),
            str(document.get("method", "")),
            int(document["samples"]),
            origin,
        )
