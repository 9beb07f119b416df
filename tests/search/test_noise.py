"""Noise: ties, domination beyond it, and who may belong to the front, against definitions and hand-computed chances."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.gauntlet.v1 import fleet_pb2
from search.evaluations import Evaluation, Failure
from search.noise import dominates, floors_of, may_belong, membership, noise, standard_error, tie
from search.objectives import Constraint, Objective
from search.pareto import front, nondominated
from search.values import Value

OBJECTIVES = (Objective.parse("accuracy"), Objective.parse("latency_s@a"))
ACCURACY, LATENCY = (objective.quantity for objective in OBJECTIVES)


def within(value: float, half: float = 0.0) -> Value:
    return Value(value, value - half, value + half, 0.95) if half else Value(value)


def candidate(number: int, accuracy: Value | float, latency: Value | float) -> Evaluation:
    pairs = {"accuracy": accuracy, "latency_s@a": latency}
    figures = {name: value if isinstance(value, Value) else Value(value) for name, value in pairs.items()}
    return Evaluation(number, f"net-{number}", 10 * number, 1, figures=figures)


def crowd(seed: int, count: int = 30) -> list[Evaluation]:
    """Noisy candidates along a front, and behind it."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        latency = float(rng.uniform(1, 3))
        accuracy = 0.6 + 0.1 * latency - float(rng.exponential(0.02))
        made.append(candidate(number, within(accuracy, 0.02), within(latency, 0.1)))
    return made


def test_noise_is_the_half_width_or_the_devices_floor_where_that_is_larger() -> None:
    value = Value(2.0, 1.9, 2.3, 0.95)
    assert noise(value, LATENCY) == pytest.approx(0.2)
    assert noise(value, LATENCY, {"a": 0.05}) == pytest.approx(0.2)
    assert noise(value, LATENCY, {"a": 0.15}) == pytest.approx(0.3)
    assert noise(value, LATENCY, {"b": 0.15}) == pytest.approx(0.2)
    assert noise(Value(2.0), LATENCY) == 0
    assert noise(Value.missing("lost"), LATENCY, {"a": 0.1}) == 0


def test_a_floor_is_one_of_latencies_only() -> None:
    for name in ("energy_j@a", "peak_memory_bytes@a", "accuracy@a"):
        assert noise(Value(2.0), Objective.parse(name).quantity, {"a": 0.1}) == 0
    both = Objective.parse("worst(latency_s@a/1, latency_s@b/1, energy_j@c/1)").quantity
    assert noise(Value(2.0), both, {"a": 0.01, "b": 0.03, "c": 0.5}) == pytest.approx(0.06)


def test_figures_within_their_noise_in_squares_are_a_tie() -> None:
    assert tie(within(1.0, 0.3), within(1.49, 0.4), LATENCY)
    assert not tie(within(1.0, 0.3), within(1.51, 0.4), LATENCY)
    assert tie(Value(1.0), Value(1.0), LATENCY)
    assert not tie(Value(1.0), Value(1.0 + 1e-12), LATENCY)
    assert tie(Value(1.0), Value(1.01), LATENCY, {"a": 0.01})
    assert not tie(Value.missing("lost"), Value.missing("lost"), LATENCY)


def test_domination_takes_one_gain_beyond_noise_and_no_loss_beyond_it() -> None:
    base = candidate(0, within(0.80, 0.01), within(1.0, 0.1))
    assert dominates(candidate(1, within(0.82, 0.01), within(1.1, 0.1)), base, OBJECTIVES)
    assert not dominates(candidate(1, within(0.805, 0.01), within(0.95, 0.1)), base, OBJECTIVES)
    assert not dominates(candidate(1, within(0.82, 0.01), within(1.2, 0.1)), base, OBJECTIVES)
    gone = replace(base, failure=Failure("crashed", "signal 11"))
    better = candidate(1, 0.99, 0.1)
    assert dominates(better, base, OBJECTIVES)
    assert not dominates(better, gone, OBJECTIVES)
    assert not dominates(replace(better, figures={"accuracy": Value(0.99)}), base, OBJECTIVES)


figures = st.builds(within, st.integers(0, 4).map(float), st.sampled_from([0.0, 0.0, 0.6, 1.5]))
exact = st.tuples(*[st.integers(0, 4).map(float)] * 2)


@given(figures, figures, figures, figures)
def test_domination_never_goes_both_ways(a: Value, b: Value, c: Value, d: Value) -> None:
    one, other = candidate(0, a, b), candidate(1, c, d)
    assert not dominates(one, one, OBJECTIVES)
    assert not (dominates(one, other, OBJECTIVES) and dominates(other, one, OBJECTIVES))


@given(exact, exact)
def test_without_noise_domination_is_plain(a: tuple[float, float], b: tuple[float, float]) -> None:
    plain = a[0] >= b[0] and a[1] <= b[1] and a != b
    assert dominates(candidate(0, *a), candidate(1, *b), OBJECTIVES) == plain


@given(st.lists(exact, max_size=12))
def test_exact_figures_belong_or_do_not(rows: list[tuple[float, float]]) -> None:
    told = [candidate(number, *row) for number, row in enumerate(rows)]
    bounds = [Constraint.parse("latency_s@a <= 3"), Constraint.parse("macs >= 10"), Constraint.parse("accuracy >= 1")]
    for constraints in ([], bounds):
        members = {member.number for member in front(told, OBJECTIVES, constraints)}
        assert membership(told, OBJECTIVES, constraints) == {n: float(n in members) for n in range(len(rows))}


def test_a_duplicate_pair_within_noise_shares_the_place() -> None:
    pair = [candidate(number, 0.8, within(1.0, 0.1)) for number in range(2)]
    found = membership(pair, OBJECTIVES, draws=4000)
    assert found[0] == pytest.approx(0.5, abs=4 * standard_error(0.5, 4000))
    assert found[0] + found[1] == pytest.approx(1.0)


@pytest.mark.parametrize(("gap", "halves"), [(0.02, (0.1, 0.1)), (0.2, (0.1, 0.1)), (0.05, (0.1, 0.0))])
def test_two_of_equal_accuracy_have_the_chances_of_normal_numbers(gap: float, halves: tuple[float, float]) -> None:
    pair = [candidate(0, 0.8, within(1.0, halves[0])), candidate(1, 0.8, within(1.0 + gap, halves[1]))]
    chance = NormalDist().cdf(-gap / (math.hypot(*halves) / 1.96))
    assert membership(pair, OBJECTIVES, draws=4000)[1] == pytest.approx(chance, abs=4 * standard_error(chance, 4000))


def test_probabilities_fall_with_the_distance_behind_the_front() -> None:
    edge = [candidate(n, within(0.7 + 0.02 * n, 0.01), within(1.0 + n, 0.05)) for n in range(5)]
    behind = [candidate(5 + n, within(0.74 - 0.004 * n, 0.01), within(3.0 + 0.02 * n, 0.05)) for n in range(6)]
    found = membership([*edge, *behind], OBJECTIVES, draws=4000)
    chain = [found[number] for number in range(5, 11)]
    assert chain == sorted(chain, reverse=True)
    assert chain[0] > 0.3
    assert chain[-1] < 0.05
    assert all(found[number] > chain[0] for number in (0, 1, 3, 4))


def test_they_are_those_of_drawing_everything_with_nothing_left_out() -> None:
    told, bound = crowd(1), Constraint.parse("latency_s@a <= 2.5")
    found = membership(told, OBJECTIVES, [bound], draws=3000)
    rng, counts = np.random.default_rng(99), np.zeros(len(told))
    for _ in range(3000):
        accuracy = np.array([e.figures["accuracy"].value for e in told]) + rng.normal(0, 0.02 / 1.96, len(told))
        latency = np.array([e.figures["latency_s@a"].value for e in told]) + rng.normal(0, 0.1 / 1.96, len(told))
        rows = latency <= 2.5
        counts[rows] += nondominated(np.column_stack([-accuracy, latency])[rows])
    assert list(found.values()) == pytest.approx(list(counts / 3000), abs=5 * math.sqrt(2) * standard_error(0.5, 3000))
    assert sum(0.05 < probability < 0.95 for probability in found.values()) > 5


def test_a_bound_is_as_uncertain_as_the_figure_it_bounds() -> None:
    lonely = [candidate(0, 0.8, within(1.0, 0.1))]
    found = membership(lonely, OBJECTIVES, [Constraint.parse("latency_s@a <= 1")], draws=4000)
    assert found[0] == pytest.approx(0.5, abs=4 * standard_error(0.5, 4000))
    assert membership(lonely, OBJECTIVES) == {0: 1.0}


def test_a_floor_makes_exact_latencies_uncertain() -> None:
    pair = [candidate(0, 0.8, 1.0), candidate(1, 0.8, 1.001)]
    assert membership(pair, OBJECTIVES)[1] == 0
    assert 0.3 < membership(pair, OBJECTIVES, floors={"a": 0.02})[1] < 0.5


def test_the_seed_decides() -> None:
    told = crowd(2)
    assert membership(told, OBJECTIVES, seed=3) == membership(told, OBJECTIVES, seed=3)
    assert membership(told, OBJECTIVES, seed=3) != membership(told, OBJECTIVES, seed=4)


def test_failed_and_incomplete_candidates_have_no_probability() -> None:
    told = [candidate(0, 0.9, 1.0), candidate(1, 0.9, Value.missing("the device was lost")), candidate(2, 0.9, 1.0)]
    told[2] = replace(told[2], failure=Failure("crashed", "signal 11"))
    assert membership(told, OBJECTIVES) == {0: 1.0}
    assert membership(told[1:], OBJECTIVES) == membership([], OBJECTIVES) == {}
    assert membership(told, OBJECTIVES, [Constraint.parse("energy_j@a <= 1")]) == {}


def test_those_off_the_front_that_may_well_belong_to_it_are_named_the_most_probable_first() -> None:
    assert may_belong({0: 1.0, 1: 0.3, 2: 0.19, 3: 0.2, 4: 0.7, 5: 0.3}, [0, 4]) == [1, 5, 3]
    assert may_belong({}, []) == []


def test_floors_are_found_by_id_and_by_class() -> None:
    devices = []
    for name, floor in (("a", 0.01), ("b", 0.03), ("c", None)):
        device = fleet_pb2.Device()
        device.description.device_id, device.description.device_class = name, "pi4"
        if floor is not None:
            device.noise_floor.floor.CopyFrom(Value(floor).to_figure())
        devices.append(device)
    assert floors_of(["a", "pi4", "c", "elsewhere"], devices) == {"a": 0.01, "pi4": 0.03}


def test_the_standard_error_is_that_of_a_share() -> None:
    assert standard_error(0.5, 2500) == pytest.approx(0.01)
    assert standard_error(0.0) == standard_error(1.0) == 0
