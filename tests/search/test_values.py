"""Figures: what they may hold, and that nothing is lost on the way to messages and JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import figures
from protos.gauntlet.v1 import figure_pb2
from search.values import Origin, Value

finite = st.floats(allow_nan=False, allow_infinity=False)
origins = st.sampled_from(Origin)


@st.composite
def values(draw: st.DrawFn) -> Value:
    """Any value that there can be."""
    if draw(st.booleans()):
        return Value.missing(draw(st.text(min_size=1)), draw(origins))
    samples = draw(st.integers(0, 2**63))
    if draw(st.booleans()):
        return Value(draw(finite), samples=samples, origin=draw(origins))
    low, high = sorted((draw(finite), draw(finite)))
    confidence = draw(st.floats(0.01, 0.999))
    return Value(draw(finite), low, high, confidence, draw(st.text()), samples, draw(origins))


@given(values())
def test_a_value_survives_json_and_the_message(value: Value) -> None:
    assert Value.from_json(json.loads(json.dumps(value.to_json(), allow_nan=False))) == value
    if "\ud800" <= max(value.method + value.unavailable + "a") <= "\udfff":
        return
    assert Value.from_figure(figure_pb2.Figure.FromString(value.to_figure().SerializeToString())) == value


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"value": 1.0, "unavailable": "why"},
        {"value": math.nan},
        {"value": 1.0, "low": 0.0},
        {"value": 1.0, "low": 2.0, "high": 0.0},
        {"unavailable": "why", "low": 0.0, "high": 1.0},
    ],
)
def test_a_contradictory_value_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"figure|interval"):
        Value(**arguments)  # type: ignore[arg-type]


def test_what_a_device_did_not_report_is_missing() -> None:
    assert Value.from_figure(figure_pb2.Figure()).unavailable == "not reported"
    assert Value.from_figure(figures.unavailable("no RAPL")).unavailable == "no RAPL"
    assert "nan" in Value.from_figure(figures.measured(math.nan)).unavailable
    open_ended = figure_pb2.Interval(low=1.0, high=math.inf, confidence=0.95)
    assert Value.from_figure(figures.measured(2.0, 5, open_ended)) == Value(2.0, samples=5)
