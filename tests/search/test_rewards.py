"""Rewards: hand-computed values, the properties their papers give as reasons, and their text form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import ObjectiveError
from search.evaluations import Evaluation, Failure
from search.objectives import Aggregate
from search.rewards import FttNas, MnasNet, Single, TuNas, parse_reward
from search.values import Value

SOFT = parse_reward({"kind": "mnasnet", "cost": "latency_s@pi4", "target": 0.01})
HARD = parse_reward({"kind": "mnasnet", "cost": "latency_s@pi4", "target": 0.01, "hard": True})
TUNAS = parse_reward({"kind": "tunas", "cost": "latency_s@pi4", "target": 0.01})
FTT = parse_reward({"kind": "ftt", "faulty": "accuracy@iBF( p = 0.001 )", "alpha": 0.25})
SINGLE = parse_reward({"kind": "single", "objective": "latency_s@pi4"})

accuracies = st.floats(0.1, 1.0)
costs = st.floats(1e-4, 1.0)


def candidate(accuracy: float = 0.8, latency: float = 0.01, more: dict[str, Value] | None = None) -> Evaluation:
    figures = {"accuracy": Value(accuracy), "latency_s@pi4": Value(latency), **(more or {})}
    return Evaluation(0, "net", 1, 1, figures=figures)


def worth(reward: Any, accuracy: float, latency: float) -> float:
    found = reward(candidate(accuracy, latency))
    assert found is not None
    return float(found)


def test_what_is_read_is_what_the_papers_use() -> None:
    accuracy, latency = SOFT.quantities
    assert (accuracy.name, latency.name) == ("accuracy", "latency_s@pi4")
    assert MnasNet(accuracy, latency, 0.01, -0.07, -0.07) == SOFT
    assert MnasNet(accuracy, latency, 0.01, 0.0, -1.0) == HARD
    assert TuNas(accuracy, latency, 0.01, -0.10) == TUNAS
    assert [quantity.name for quantity in FTT.quantities] == ["accuracy", "accuracy@iBF(p=0.001)"]
    assert isinstance(FTT, FttNas)
    assert parse_reward({"kind": "mnasnet", "cost": "latency_s@pi4", "target": "1e-2"}) == SOFT
    assert isinstance(SINGLE, Single)


def test_values_by_hand() -> None:
    assert worth(SOFT, 0.8, 0.02) == pytest.approx(0.8 * 0.952638, rel=1e-6)
    assert worth(HARD, 0.8, 0.02) == pytest.approx(0.4)
    assert worth(TUNAS, 0.8, 0.02) == pytest.approx(0.7)
    assert worth(TUNAS, 0.8, 0.005) == pytest.approx(0.75)
    assert worth(SINGLE, 0.8, 0.02) == -0.02
    faulty = {"accuracy@iBF(p=0.001)": Value(0.4)}
    assert FTT(candidate(0.8, more=faulty)) == pytest.approx(0.75 * 0.8 + 0.25 * 0.4)
    assert parse_reward({"kind": "single", "objective": "accuracy"})(candidate(0.8)) == 0.8


@given(accuracies, costs)
def test_doubling_latency_costs_mnasnets_soft_reward_five_percent_anywhere(accuracy: float, latency: float) -> None:
    assert worth(SOFT, accuracy, 2 * latency) / worth(SOFT, accuracy, latency) == pytest.approx(0.95, abs=0.003)


@given(accuracies, costs, st.floats(0.001, 0.5))
def test_mnasnets_soft_reward_is_continuous_and_falls_with_latency(
    accuracy: float, latency: float, more: float
) -> None:
    here = worth(SOFT, accuracy, latency)
    assert worth(SOFT, accuracy, latency * (1 + more)) < here
    assert worth(SOFT, accuracy, latency * (1 + 1e-9)) == pytest.approx(here, rel=1e-8)


@given(accuracies, accuracies, costs, costs)
def test_mnasnets_soft_reward_ranks_alike_for_every_target(a: float, b: float, s: float, t: float) -> None:
    other = parse_reward({"kind": "mnasnet", "cost": "latency_s@pi4", "target": 0.3})
    ratios = [worth(reward, a, s) / worth(reward, b, t) for reward in (SOFT, other)]
    assert ratios[0] == pytest.approx(ratios[1])


@given(accuracies, costs)
def test_the_hard_form_is_accuracy_up_to_the_target_and_beyond_it_loses_by_proportion(a: float, cost: float) -> None:
    assert worth(HARD, a, cost) == pytest.approx(a * min(1.0, 0.01 / cost))


@given(accuracies, st.floats(0.01, 0.9))
def test_tunas_is_best_at_its_target_from_both_sides(accuracy: float, off: float) -> None:
    best = worth(TUNAS, accuracy, 0.01)
    assert best == accuracy
    slower, faster = worth(TUNAS, accuracy, 0.01 * (1 + off)), worth(TUNAS, accuracy, 0.01 * (1 - off))
    assert slower == pytest.approx(faster)
    assert slower == pytest.approx(best - 0.1 * off)


def test_tunas_finds_its_target_where_mnasnets_soft_reward_misses_it() -> None:
    # Networks whose accuracy grows by 2 points with each doubling of latency: T0 lies within the range.
    latencies = [0.0025 * 2 ** (step / 20) for step in range(81)]
    places = [(0.70 + 0.02 * step / 20, latency) for step, latency in enumerate(latencies)]

    def best(reward: Any) -> float:
        return max(places, key=lambda place: worth(reward, *place))[1]

    assert best(TUNAS) == pytest.approx(0.01)
    assert best(SOFT) == latencies[0]
    assert best(HARD) == pytest.approx(0.01)


def test_failed_and_incomplete_candidates_have_no_reward_and_are_not_feasible() -> None:
    missing = {"latency_s@pi4": Value.missing("the device was lost")}
    failed = replace(candidate(), failure=Failure("crashed", "signal 11"))
    for reward in (SOFT, HARD, TUNAS, SINGLE):
        for evaluation in (failed, candidate(more=missing)):
            assert reward(evaluation) is None
            assert not reward.feasible(evaluation)
    assert FTT(candidate()) is None
    assert SOFT(candidate(latency=0.0)) is None


def test_feasible_is_what_keeps_the_target() -> None:
    for reward in (SOFT, HARD, TUNAS):
        assert [reward.feasible(candidate(latency=cost)) for cost in (0.001, 0.01, 0.0101)] == [True, True, False]
    assert SINGLE.feasible(candidate(latency=1e9))


def test_an_aggregate_is_a_cost_with_the_target_one() -> None:
    text = "worst(latency_s@pi4/0.02, latency_s@a/0.01)"
    reward = parse_reward({"kind": "tunas", "cost": text})
    name = Aggregate.parse(text).name
    assert reward(candidate(0.8, more={name: Value(1.5)})) == pytest.approx(0.75)
    assert reward.feasible(candidate(more={name: Value(1.0)}))


BASE = {"kind": "mnasnet", "cost": "latency_s@pi4", "target": 0.01}


@pytest.mark.parametrize(
    ("document", "message", "remedy"),
    [
        ({}, "reward.kind is missing", "there are mnasnet, tunas, ftt, single"),
        ({"kind": "mnasnett"}, "there is no 'mnasnett'", "did you mean mnasnet?"),
        ({**BASE, "betta": -1}, "no key reward.betta of mnasnet", "did you mean beta?"),
        ({"kind": "tunas", "hard": True}, "no key reward.hard of tunas", "accuracy, cost, target, beta"),
        ({"kind": "tunas"}, "reward.cost is missing", "tunas needs it"),
        ({"kind": "tunas", "cost": "latency_s@pi4"}, "reward.target is missing", "needs it"),
        ({**BASE, "target": 0}, "reward.target: 0 is no number from 1e-12", "SI units"),
        ({**BASE, "target": "10 ms"}, "reward.target: '10 ms' is no number from", "SI units"),
        ({**BASE, "target": True}, "reward.target: True is no number", "SI units"),
        ({**BASE, "target": float("nan")}, "reward.target: nan is no number", "SI units"),
        ({**BASE, "beta": 0.07}, "reward.beta: 0.07 is no number from -100 to 0", "plain number"),
        ({**BASE, "hard": True, "beta": -0.07}, "reward.beta has no part in the hard form", "leave out"),
        ({**BASE, "hard": "yes"}, "reward.hard: 'yes' is neither", "true or false"),
        ({**BASE, "cost": "accuracy"}, "reward.cost: accuracy", "a cost"),
        ({**BASE, "cost": 5}, "reward.cost: 5 is no quantity", "latency_s@pi4"),
        ({**BASE, "cost": "latensy_s@pi4"}, "reward.cost: 'latensy_s@pi4': no such", "did you mean latency_s?"),
        ({**BASE, "accuracy": "macs"}, "reward.accuracy: macs", "an accuracy"),
        ({"kind": "ftt", "faulty": "accuracy", "alpha": 0.5}, "accuracy is under no faults", "iBF(p=0.001)"),
        ({"kind": "ftt", "faulty": "accuracy@iBF(p=1)", "alpha": 2}, "reward.alpha: 2 is no number from 0 to 1", ""),
        ({"kind": "single"}, "reward.objective is missing", "single needs it"),
    ],
)
def test_a_wrong_key_is_named(document: dict[str, Any], message: str, remedy: str) -> None:
    with pytest.raises(ObjectiveError) as caught:
        parse_reward(document)
    assert message in caught.value.message
    assert remedy in caught.value.remedy
