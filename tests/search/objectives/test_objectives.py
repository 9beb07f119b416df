"""Objectives and constraints: the text form, its errors, and violations."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import ObjectiveError
from search.objectives import Constraint, Direction, Objective, Quantity, check_consistent, total_violation
from search.values import Value


@pytest.mark.parametrize(
    ("text", "parts", "direction", "unit"),
    [
        ("accuracy", ("accuracy", "", ""), Direction.MAXIMIZE, ""),
        ("latency_s@pi4", ("latency_s", "pi4", ""), Direction.MINIMIZE, "s"),
        ("peak_memory_bytes@local", ("peak_memory_bytes", "local", ""), Direction.MINIMIZE, "B"),
        ("accuracy@iBF(p=0.001)", ("accuracy", "", "iBF(p=0.001)"), Direction.MAXIMIZE, ""),
        (" accuracy @ x86-1.b @ iBF( p = 0.001 )", ("accuracy", "x86-1.b", "iBF(p=0.001)"), Direction.MAXIMIZE, ""),
        ("macs", ("macs", "", ""), Direction.MINIMIZE, ""),
    ],
)
def test_an_objective_reads(text: str, parts: tuple[str, str, str], direction: Direction, unit: str) -> None:
    objective = Objective.parse(text)
    quantity = objective.quantity
    assert (quantity.kind, quantity.device, quantity.fault) == parts
    assert (objective.direction, objective.unit) == (direction, unit)
    assert Objective.parse(objective.name) == objective


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("latensy_s@pi4", "no such quantity as 'latensy_s'", "did you mean latency_s?"),
        ("", "no such quantity", "accuracy, latency_s"),
        ("latency_s", "does not say on which device", "latency_s@DEVICE"),
        ("macs@pi4", "does not depend on a device", "write macs"),
        ("latency_s@pi4@iBF(p=1)", "clean hardware", "write latency_s@pi4"),
        ("accuracy@", "nothing follows '@'", "name a device"),
        ("accuracy@pi 4", "'pi 4' is no device", "letters"),
        ("accuracy@pi4@pi5", "too many parts", "QUANTITY@DEVICE"),
        ("accuracy@iBF(p=1)@pi4", "too many parts", "QUANTITY@DEVICE"),
        ("accuracy@iBF(p=0.001", "no fault condition", "iBF(p=0.001)"),
    ],
)
def test_what_is_no_objective_says_why_and_what_to_do(text: str, message: str, remedy: str) -> None:
    with pytest.raises(ObjectiveError) as caught:
        Objective.parse(text)
    assert message in caught.value.message
    assert remedy in caught.value.remedy


def test_the_fault_condition_is_spelled_by_its_owner() -> None:
    assert Quantity.parse("accuracy@iBF(p=1e-3)", lambda text: "iBF(p=0.001)").name == "accuracy@iBF(p=0.001)"

    def refuse(text: str) -> str:
        raise ValueError("p must lie between 0 and 1")

    with pytest.raises(ObjectiveError, match="p must lie between 0 and 1"):
        Quantity.parse("accuracy@iBF(p=7)", refuse)


anything = st.text(alphabet="aclmosuy_@()=<>.0,/* ", max_size=40)


@given(
    anything | anything.map(lambda text: f"worst({text})") | anything.map(lambda text: f"average(energy_j@a/1,{text})")
)
def test_any_text_reads_or_is_refused_clearly(text: str) -> None:
    for parse in (Objective.parse, Constraint.parse):
        with contextlib.suppress(ObjectiveError):
            parsed = parse(text)
            assert parse(str(parsed) if isinstance(parsed, Constraint) else parsed.name) == parsed


def test_a_constraint_reads() -> None:
    assert str(Constraint.parse("latency_s@local<=0.5e-3")) == "latency_s@local <= 0.0005"
    under_faults = Constraint.parse("accuracy@iBF(p=0.001) >= 0.8")
    assert (under_faults.name, under_faults.upper, under_faults.bound) == ("accuracy@iBF(p=0.001)", False, 0.8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency_s@local", "is no constraint"),
        ("<= 3", "is no constraint"),
        ("macs < 3", "'<' is not supported"),
        ("macs == 3", "'==' is not supported"),
        ("latency_s@local <= 5 ms", "'5 ms' is no number"),
        ("macs <= nan", "'nan' is no number"),
        ("latensy_s@local <= 5", "no such quantity"),
    ],
)
def test_what_is_no_constraint_says_why(text: str, message: str) -> None:
    with pytest.raises(ObjectiveError, match=message):
        Constraint.parse(text)


def test_violations_are_shares_of_their_bounds_and_add_up() -> None:
    bounds = [Constraint.parse("macs <= 100"), Constraint.parse("accuracy >= 0.8")]
    values = {"macs": Value(150.0), "accuracy": Value(0.6)}
    assert total_violation(values, bounds) == pytest.approx(0.5 + 0.25)
    assert total_violation({"macs": Value(100.0), "accuracy": Value(0.8)}, bounds) == 0


def test_a_missing_figure_keeps_no_bound() -> None:
    bound = [Constraint.parse("energy_j@pi4 <= 1")]
    assert total_violation({}, bound) == math.inf
    assert total_violation({"energy_j@pi4": Value.missing("no sensor")}, bound) == math.inf


@pytest.mark.parametrize(
    ("objectives", "constraints", "message"),
    [
        (["macs", "macs"], [], "macs is named twice"),
        (["macs"], ["macs <= 5", "macs >= 6"], "both 'macs >= 6' and 'macs <= 5'"),
        (["macs"], ["accuracy >= 80"], "no value meets 'accuracy >= 80'"),
        (["macs"], ["latency_s@a <= -1"], "no value meets"),
    ],
)
def test_contradictions_are_named(objectives: list[str], constraints: list[str], message: str) -> None:
    with pytest.raises(ObjectiveError, match=message):
        check_consistent(map(Objective.parse, objectives), map(Constraint.parse, constraints))


def test_bounds_that_can_be_met_are_accepted() -> None:
    texts = ["macs <= 5", "macs >= 5", "accuracy >= 1", "latency_s@a <= 0"]
    check_consistent([Objective.parse("accuracy")], map(Constraint.parse, texts))
