"""Evaluations: JSON, and what is known of a candidate that failed."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from search.evaluations import Evaluation, Failure
from search.values import Origin, Value
from tests.search.examples import evaluations


@given(evaluations(st.integers(0, 99), st.text(max_size=20)))
def test_an_evaluation_survives_json(evaluation: Evaluation) -> None:
    assert Evaluation.from_json(json.loads(json.dumps(evaluation.to_json(), allow_nan=False))) == evaluation


def test_what_the_architecture_alone_gives_is_a_figure_too() -> None:
    evaluation = Evaluation(0, "a", 500, 20)
    assert evaluation.value("macs") == Value(500.0, origin=Origin.ESTIMATED)
    assert evaluation.value("parameters").value == 20


def test_a_missing_figure_says_why() -> None:
    assert Evaluation(0, "a", 1, 1).value("accuracy").unavailable == "not measured"
    failed = Evaluation(0, "a", 1, 1, figures={"accuracy": Value(0.9)}, failure=Failure("timed out", "60 s were up"))
    assert failed.value("latency_s@pi4").unavailable == "timed out: 60 s were up"
    assert failed.value("accuracy").value == 0.9
