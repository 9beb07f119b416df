"""The section of finalists: what they were searched with, and what training alone made of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search.objectives import Quantity
from search.report import render
from search.report.finalists import finalists, over_seeds
from search.report.inputs import FinalistInput, FinalistNetwork
from search.values import Value
from tests.search.report import sample

CLEAN, FAULTY = Quantity("accuracy"), Quantity("accuracy", fault="adSAF(p=0.08)")


def network(**changes: object) -> FinalistNetwork:
    seeds = [{"accuracy": Value(a), "accuracy@adSAF(p=0.08)": Value(a - 0.3)} for a in (0.70, 0.72, 0.74)]
    plain = FinalistNetwork(
        7, "16-c3", {"accuracy": Value(0.612, 0.59, 0.63)}, {"inherited": seeds, "scratch": seeds[:1]}
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def given(*networks: FinalistNetwork) -> FinalistInput:
    return FinalistInput(networks, (CLEAN, FAULTY), True, "3 epochs without faults")


def test_a_mean_over_seeds_has_students_interval() -> None:
    mean = over_seeds([Value(0.70), Value(0.72), Value(0.74)])
    assert mean.value == pytest.approx(0.72)
    assert mean.low == pytest.approx(0.72 - 4.303 * 0.02 / 3**0.5, abs=1e-4)
    assert mean.high == pytest.approx(0.72 + 4.303 * 0.02 / 3**0.5, abs=1e-4)
    assert mean.samples == 3


def test_one_seed_has_no_interval_and_what_is_missing_stays_missing() -> None:
    assert over_seeds([Value(0.7)]).low is None
    assert over_seeds([Value.missing("no device"), Value(0.7)]).samples == 1
    assert over_seeds([Value.missing("no device")]).unavailable == "no device"


def test_all_beginnings_stand_side_by_side() -> None:
    shown = finalists(given(network(files={"a.tflite": "winners/a.tflite"})))
    for words in ("61.2", "59.0 – 63.0", "72.0", "67.0 – 77.0", "3 seeds", "70.0", "1 seed", "42.0"):
        assert words in shown
    assert 'href="winners/a.tflite"' in shown
    assert "Accuracy under adSAF(p=0.08)" in shown


def test_what_failed_is_said_and_texts_cannot_break_the_page() -> None:
    evil = "</script><b>x</b>"
    shown = finalists(given(network(architecture=evil, failures=(f"training {evil} stopped.",), trained={})))
    assert evil not in shown
    assert "stopped." in shown
    assert "Trained" not in shown.split("<table")[1]  # no column for what there is not


def test_the_page_has_the_section_only_where_there_are_finalists() -> None:
    report = sample.report()
    assert "Finalists" not in render(report)
    assert "Finalists" in render(replace(report, finalists=given(network())))
