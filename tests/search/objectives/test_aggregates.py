"""Aggregates over devices: one spelling, the right numbers, honest intervals, clear errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import ObjectiveError
from search.objectives import Aggregate, Constraint, Direction, Objective, check_consistent, derived, undeliverable
from search.values import Origin, Value

WORST = "worst(latency_s@pi4/0.02, latency_s@pixel3/0.01)"
AVERAGE = "average(0.7*latency_s@pi4/0.02, 0.3*latency_s@pixel3/0.01)"

weights = st.decimals(0, 1000, places=3).filter(lambda number: number > 0)
references = st.floats(1e-6, 1e6)


def figures(pi4: Value, pixel3: Value) -> dict[str, Value]:
    return {"latency_s@pi4": pi4, "latency_s@pixel3": pixel3}


def of(text: str, pi4: Value, pixel3: Value) -> Value:
    (found,) = derived(figures(pi4, pixel3), [Objective.parse("accuracy").quantity, Aggregate.parse(text)]).values()
    return found


def test_an_aggregate_reads_as_an_objective_and_as_a_bound() -> None:
    objective = Objective.parse(AVERAGE)
    assert (objective.direction, objective.unit, objective.quantity.is_static) == (Direction.MINIMIZE, "", False)
    assert [part.name for part in objective.quantity.parts] == ["latency_s@pi4", "latency_s@pixel3"]
    assert objective.name == "average(7*latency_s@pi4/0.02, 3*latency_s@pixel3/0.01)"
    bound = Constraint.parse(f"{WORST} <= 1")
    assert (bound.name, bound.upper, bound.bound) == (WORST, True, 1.0)


def test_a_plain_quantity_is_its_own_part() -> None:
    quantity = Objective.parse("accuracy@iBF(p=0.001)").quantity
    assert quantity.parts == (quantity,)


@pytest.mark.parametrize(
    "spelling",
    [
        "worst( latency_s @ pixel3 / 1e-2 ,latency_s@pi4/20e-3 )",
        "worst(latency_s@pixel3/0.010,\n  latency_s@pi4/.02)",
    ],
)
def test_spelling_does_not_matter(spelling: str) -> None:
    assert Objective.parse(spelling) == Objective.parse(WORST)
    assert Objective.parse(spelling).name == WORST


def test_weights_in_the_same_proportion_are_the_same() -> None:
    texts = (
        AVERAGE,
        AVERAGE.replace("0.7", "70").replace("0.3", "30"),
        AVERAGE.replace("0.7", "7").replace("0.3", "3"),
    )
    assert len({Objective.parse(text) for text in texts}) == 1
    alike = Objective.parse("average(0.1*energy_j@a/1, 0.1*energy_j@b/1)")
    assert alike == Objective.parse("average(energy_j@a/1, energy_j@b/1)")


@given(st.lists(st.tuples(weights, references), min_size=1, max_size=5), st.sampled_from(["worst", "average"]))
def test_the_name_reads_back_as_the_same(rows: list[tuple[float, float]], kind: str) -> None:
    factors = ["" if kind == "worst" else f"{weight}*" for weight, _ in rows]
    terms = [f"{factor}latency_s@d{n}/{rows[n][1]!r}" for n, factor in enumerate(factors)]
    aggregate = Aggregate.parse(f"{kind}({', '.join(terms)})")
    assert Aggregate.parse(aggregate.name) == aggregate


def test_the_formulas_by_hand() -> None:
    slow = (Value(0.03), Value(0.002))
    assert of(WORST, *slow) == Value(1.5)
    assert of(AVERAGE, *slow).value == pytest.approx(0.7 * 1.5 + 0.3 * 0.2)
    assert of("average(latency_s@pi4/0.02, latency_s@pixel3/0.01)", *slow).value == pytest.approx((1.5 + 0.2) / 2)


def test_intervals_by_hand() -> None:
    parts = (Value(0.02, 0.018, 0.022, 0.95, samples=9), Value(0.0095, 0.009, 0.0125, 0.9, samples=4))
    worst = of(WORST, *parts)
    assert (worst.value, worst.low, worst.high) == pytest.approx((1.0, 0.9, 1.25))
    average = of("average(latency_s@pi4/0.02, latency_s@pixel3/0.01)", *parts)
    assert average.low == pytest.approx(0.975 - np.hypot(0.1, 0.05) / 2)
    assert average.high == pytest.approx(0.975 + np.hypot(0.1, 0.3) / 2)
    assert (average.confidence, average.samples) == (0.9, 4)
    assert "half-widths" in average.method


def test_a_part_without_an_interval_is_exact_and_without_any_there_is_none() -> None:
    half = of("average(latency_s@pi4/0.02, latency_s@pixel3/0.01)", Value(0.02, 0.018, 0.022, 0.95), Value(0.01))
    assert (half.low, half.high) == pytest.approx((0.95, 1.05))
    assert of(WORST, Value(0.02), Value(0.01)).low is None


@pytest.mark.parametrize("kind", ["worst", "average"])
def test_intervals_hold_the_truth_as_often_as_they_say(kind: str) -> None:
    rng = np.random.default_rng(0)
    truth = {"a": 1.0, "b": 1.05, "c": 0.9}
    aggregate = Aggregate.parse(f"{kind}(latency_s@a/1, latency_s@b/1, latency_s@c/1)")
    expected = aggregate.combined(list(truth.values()))
    held = 0
    for _ in range(2000):
        seen = {name: value + float(rng.normal(0, 0.1)) for name, value in truth.items()}
        parts = {f"latency_s@{name}": Value(v, v - 0.196, v + 0.196, 0.95) for name, v in seen.items()}
        found = aggregate.of(parts)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= expected <= found.high
    # Three standard errors of 2,000 tries are 1.5 points. That of the average is exact.
    share = held / 2000
    assert share > 0.935
    assert kind == "worst" or share < 0.965


@given(st.lists(st.tuples(*[st.floats(0.001, 1.0)] * 3), min_size=1, max_size=4))
def test_the_worst_case_holds_the_truth_whenever_its_parts_do(rows: list[tuple[float, float, float]]) -> None:
    aggregate = Aggregate.parse(f"worst({', '.join(f'energy_j@d{n}/0.5' for n in range(len(rows)))})")
    ends = [(min(row), max(row)) for row in rows]
    parts = {f"energy_j@d{n}": Value(row[0], *ends[n], 0.95) for n, row in enumerate(rows)}
    found = aggregate.of(parts)
    for truth in itertools.product(*ends):
        assert found.low is not None
        assert found.high is not None
        assert found.low <= aggregate.combined(truth) <= found.high


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Origin.MEASURED, Origin.MEASURED, Origin.MEASURED),
        (Origin.REPLAYED, Origin.REPLAYED, Origin.REPLAYED),
        (Origin.MEASURED, Origin.REPLAYED, Origin.REPLAYED),
        (Origin.ESTIMATED, Origin.REPLAYED, Origin.ESTIMATED),
        (Origin.ESTIMATED, Origin.PREDICTED, Origin.PREDICTED),
    ],
)
def test_the_least_trustworthy_part_gives_the_origin(one: Origin, other: Origin, expected: Origin) -> None:
    assert of(WORST, Value(0.01, origin=one), Value(0.01, origin=other)).origin is expected


def test_a_missing_part_makes_it_missing_with_the_parts_reason() -> None:
    assert of(WORST, Value(0.1), Value.missing("the device was lost")).unavailable == (
        "latency_s@pixel3: the device was lost"
    )
    assert derived({}, [Aggregate.parse(WORST)])[WORST].unavailable == "latency_s@pi4: not measured"


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("wurst(latency_s@a/1)", "no such aggregate as 'wurst'", "did you mean worst?"),
        ("iBF(p=0.1)", "no such aggregate as 'iBF'", "a fault follows an '@'"),
        ("worst(latency_s@a/1", "no closing parenthesis", "worst(latency_s@pi4/0.02)"),
        ("worst()", "has no reference", "QUANTITY@DEVICE/REFERENCE"),
        ("worst(latency_s@a)", "'latency_s@a' in worst(…) has no reference", "latency_s@pi4/0.02"),
        ("worst(latency_s@a/1,)", "'' in worst(…) has no reference", "QUANTITY@DEVICE"),
        ("worst(latency_s@a/20 ms)", "'20 ms' is no number", "in s"),
        ("worst(latency_s@a/0)", "'0' is no number between 1e-12", "in s"),
        ("worst(latency_s@a/nan)", "'nan' is no number", "in s"),
        ("average(x*latency_s@a/1)", "'x' is no number", "like 0.3"),
        ("average(-1*latency_s@a/1)", "'-1' is no number", "like 0.3"),
        ("average(1e-12*latency_s@a/1, 1e12*latency_s@b/1)", "too many digits", "round"),
        ("worst(2*latency_s@a/1)", "the worst case has no weights", "smaller reference"),
        ("worst(latency_s@a/1, latency_s@a/2)", "names latency_s@a twice", "leave one out"),
        ("worst(accuracy@a@iBF(p=0.1, per=value)/1)", "is no cost of a device", "energy_j"),
        ("worst(macs/1)", "macs is no cost of a device", "latency_s"),
        ("worst(latency_s/1)", "does not say on which device", "latency_s@DEVICE"),
        ("worst(latensy_s@a/1)", "no such quantity as 'latensy_s'", "did you mean latency_s?"),
    ],
)
def test_what_is_no_aggregate_says_why_and_what_to_do(text: str, message: str, remedy: str) -> None:
    with pytest.raises(ObjectiveError) as caught:
        Objective.parse(text)
    assert message in caught.value.message
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ([f"{WORST} >= 2", "worst(latency_s@pixel3/0.01, latency_s@pi4/0.02) <= 1"], "both 'worst"),
        ([f"{WORST} <= 1", "latency_s@pi4 >= 0.021"], "both 'latency_s@pi4 >= 0.021' and 'worst"),
        ([f"{AVERAGE} <= 1", "latency_s@pi4 >= 0.03"], "both 'latency_s@pi4 >= 0.03' and 'average"),
        ([f"{WORST} <= -1"], "no value meets 'worst"),
        (["parameters >= 9", "parameters <= 8"], "both 'parameters >= 9' and 'parameters <= 8'"),
    ],
)
def test_contradictions_are_named(constraints: list[str], message: str) -> None:
    with pytest.raises(ObjectiveError, match="no value meets") as caught:
        check_consistent([Objective.parse("accuracy")], map(Constraint.parse, constraints))
    assert message in caught.value.message


@pytest.mark.parametrize(
    "constraints",
    [
        [f"{WORST} <= 1", "latency_s@pi4 >= 0.02"],
        [f"{WORST} <= 3", "latency_s@pi4 >= 0.06"],
        [f"{AVERAGE} <= 1", "latency_s@pi4 >= 0.02", "latency_s@elsewhere >= 9"],
        [f"{WORST} <= 1", f"{AVERAGE} >= 2"],
    ],
)
def test_bounds_that_can_be_met_or_are_not_known_to_clash_are_accepted(constraints: list[str]) -> None:
    check_consistent([Objective.parse(WORST)], map(Constraint.parse, constraints))


def test_an_aggregate_named_twice_in_two_spellings_is_found() -> None:
    twice = [Objective.parse("worst(energy_j@b/2, energy_j@a/1)"), Objective.parse("worst(energy_j@a/1,energy_j@b/2)")]
    with pytest.raises(ObjectiveError, match="is named twice"):
        check_consistent(twice, [])


def test_what_nobody_delivers_is_named_with_the_nearest_names() -> None:
    quantities = [Objective.parse(text).quantity for text in ("accuracy", WORST, "latency_s@pi4", "energy_j@moon")]
    available = ["accuracy", "latency_s@pixel3", "latency_s@raspi4", "macs"]
    found = [(part.name, near) for part, near in undeliverable(quantities, available)]
    assert found[0][0] == "latency_s@pi4"
    assert found[0][1][0] == "latency_s@raspi4"
    assert [name for name, _ in found] == ["latency_s@pi4", "energy_j@moon"]
    assert undeliverable(quantities[:1], available) == []
