"""Strategies with a learned policy: the contract, what they learn from, and that they beat random search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks._stats import mean_interval
from benchmarks._yardstick import Problem
from search.errors import StrategyError
from search.evaluations import Evaluation
from search.objectives import Constraint
from search.rewards import parse_reward
from search.strategies import RandomSearch, Strategy
from search.strategies.policy.ftt import FttNas
from search.strategies.policy.reinforce import Reinforce
from search.strategies.policy.tabnas import TabNas
from search.values import Value
from tests.search.strategies.contract import StrategyContract
from tests.search.strategies.nb201 import search
from tests.search.strategies.problems import OBJECTIVES, DigitSpace

REWARD = {"kind": "tunas", "cost": "latency_s@board", "target": 0.001}
ACCURACY = {"kind": "single", "objective": "accuracy"}


class TestReinforce(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return Reinforce(space, OBJECTIVES, constraints, seed, REWARD)


class TestTabNas(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return TabNas(space, OBJECTIVES, constraints, seed, ACCURACY, samples=16)


class TestFttNas(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return FttNas(space, OBJECTIVES, constraints, seed, REWARD)


@pytest.mark.parametrize("kind", [Reinforce, TabNas, FttNas])
def test_an_answer_that_comes_late_is_learned_from_as_if_it_had_not(kind: Callable[..., Strategy]) -> None:
    space: Any = DigitSpace()
    bound = Constraint.parse("latency_s@board <= 0.001")
    late, punctual = (kind(space, OBJECTIVES[:1], [bound], 3, warmup=5) for _ in range(2))
    asked = late.ask(60)
    told = [space.evaluate(number, architecture) for number, architecture in enumerate(asked)]
    punctual.recall(asked)
    late.tell([*told[:7], *told[8:30]])
    asked = late.ask(10)
    punctual.recall(asked)
    late.tell([told[7], *told[30:]])
    punctual.tell(told)
    assert late.ask(20) == punctual.ask(20)


@pytest.mark.parametrize("kind", [Reinforce, FttNas])
def test_rewards_that_grow_with_a_digit_make_it_likely(kind: Callable[..., Strategy]) -> None:
    space: Any = DigitSpace()
    strategy = kind(space, OBJECTIVES[:1], seed=2)
    asked = []
    for number in range(240):
        asked += strategy.ask(1)
        strategy.tell([space.evaluate(number, asked[-1])])
    first = [int(architecture.text[0]) for architecture in asked]
    assert np.mean(first[:20]) < 2
    assert np.mean(first[-100:]) > 2.2


@pytest.mark.parametrize("warmup", [0, 10_000])
def test_during_warm_up_nothing_is_learned(warmup: int) -> None:
    space: Any = DigitSpace()
    strategies = [Reinforce(space, OBJECTIVES[:1], seed=4, warmup=warmup, learning_rate=rate) for rate in (0.0, 1.0)]
    for strategy in strategies:
        strategy.tell([space.evaluate(number, a) for number, a in enumerate(strategy.ask(30))])
    assert (strategies[0].ask(20) == strategies[1].ask(20)) == (warmup > 0)


@pytest.mark.parametrize("bad", ["failed", "beyond"])
def test_what_fails_or_breaks_a_bound_is_avoided(bad: str) -> None:
    space: Any = DigitSpace()
    bound = Constraint.parse("latency_s@board <= 0.1")

    def answer(number: int, text: str) -> Evaluation:
        # The best accuracy there is, if only it counted.
        if text[0] == "3" and bad == "failed":
            return Evaluation(number, text, 1, 1, failure=space.failed(number, space.parse(text)).failure)
        latency = 1.0 if text[0] == "3" else 0.01
        worth = 0.9 if text[0] == "3" else 0.5 + int(text[1]) / 10
        return Evaluation(number, text, 1, 1, figures={"accuracy": Value(worth), "latency_s@board": Value(latency)})

    strategy = Reinforce(space, OBJECTIVES[:1], [bound], 1)
    asked: list[str] = []
    for _ in range(200):
        asked += [architecture.text for architecture in strategy.ask(1)]
        strategy.tell([answer(len(asked) - 1, asked[-1])])
    assert sum(text[0] == "3" for text in asked[:40]) > 5
    assert sum(text[0] == "3" for text in asked[-40:]) < 3


def test_tabnas_asks_for_what_it_expects_to_keep_a_measured_bound() -> None:
    space: Any = DigitSpace()
    bound = Constraint.parse("latency_s@board <= 0.0007")
    kept = []
    for kind in (TabNas, RandomSearch):
        strategy = kind(space, OBJECTIVES[:1], [bound], 1)
        for first in range(0, 100, 20):
            strategy.tell([space.evaluate(number, a) for number, a in enumerate(strategy.ask(20), first)])
        kept.append(sum(bound.violation(e.value(bound.name).value or 0.0) == 0 for e in strategy.evaluations[-40:]))
    assert kept[0] >= 36
    assert kept[1] < 20


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Reinforce, {"learning_rate": -1}, "learning_rate: -1"),
        (Reinforce, {"warmup": 0.5}, "warmup: 0.5 is no whole number"),
        (Reinforce, {"momentum": 2}, "momentum: 2"),
        (TabNas, {"samples": 0}, "samples: 0"),
        (FttNas, {"learning_rate": 2}, "learning_rate: 2"),
        (FttNas, {"entropy": "a lot"}, "entropy: 'a lot'"),
    ],
)
def test_impossible_settings_are_refused(
    kind: Callable[..., Strategy], settings: Mapping[str, Any], message: str
) -> None:
    space: Any = DigitSpace()
    with pytest.raises(StrategyError, match=message):
        kind(space, OBJECTIVES[:1], **settings)


def test_several_objectives_need_a_reward() -> None:
    space: Any = DigitSpace()
    with pytest.raises(StrategyError, match="2 objectives and no reward"):
        Reinforce(space, OBJECTIVES)


def test_finds_more_reward_than_random_search_on_recorded_hardware(pixel_and_fpga: Problem) -> None:
    """TuNAS's reward at the median latency on Pixel 3: the best of 300 queries, ten paired seeds."""
    document = {"kind": "tunas", "cost": "latency_s@pixel3", "target": 0.0133}
    reward = parse_reward(document)
    space, objectives = pixel_and_fpga.space, pixel_and_fpga.objectives

    def best(strategy: Strategy) -> float:
        told = search(pixel_and_fpga, strategy, 300).evaluations
        return max(value for evaluation in told if (value := reward(evaluation)) is not None)

    gains = [
        best(Reinforce(space, objectives, seed=seed, reward=document))
        - best(RandomSearch(space, objectives, seed=seed))
        for seed in range(10)
    ]
    assert mean_interval(gains)[0] > 0
