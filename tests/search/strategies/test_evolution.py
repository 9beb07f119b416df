"""Regularised evolution: the contract, and what the paper promises: the lucky die, and it beats random search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks._stats import mean_interval
from benchmarks._yardstick import Problem
from search.errors import ObjectiveError, StrategyError
from search.evaluations import Evaluation
from search.objectives import Constraint
from search.rewards import parse_reward
from search.strategies import RandomSearch, Strategy
from search.strategies.evolution import AgingEvolution
from search.values import Value
from tests.search.strategies.contract import StrategyContract
from tests.search.strategies.nb201 import search
from tests.search.strategies.problems import OBJECTIVES, DigitSpace

REWARD = {"kind": "tunas", "cost": "latency_s@board", "target": 0.001}


class TestAgingEvolution(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return AgingEvolution(space, OBJECTIVES, constraints, seed, REWARD)


class TestWhereTheWorstDies(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return AgingEvolution(space, OBJECTIVES, constraints, seed, REWARD, aging=False)


def mutants_of_the_lucky(aging: bool, seed: int) -> int:
    """Among 60 candidates, asked for when the first one, whose accuracy was a lucky mistake, is 40 candidates old."""
    space: Any = DigitSpace()
    strategy = AgingEvolution(space, OBJECTIVES[:1], seed=seed, aging=aging)
    lucky = ""
    asked = []
    for number in range(100):
        architecture = strategy.ask(1)[0]
        answer = space.evaluate(number, architecture)
        if number == 0:
            lucky = architecture.text
            answer = Evaluation(0, lucky, 1, 1, figures={"accuracy": Value(1.0)})
        strategy.tell([answer])
        asked.append(architecture.text)
    return sum(sum(a != b for a, b in zip(lucky, text, strict=True)) == 1 for text in asked[40:])


def test_who_was_lucky_once_dies_of_age_but_lives_for_ever_where_the_worst_dies() -> None:
    """Real et al. 2019: aging navigates noise, because only what is measured well again survives."""
    assert sum(mutants_of_the_lucky(True, seed) for seed in range(4)) <= 4
    assert sum(mutants_of_the_lucky(False, seed) for seed in range(4)) >= 28


def test_several_objectives_need_a_reward() -> None:
    space: Any = DigitSpace()
    with pytest.raises(StrategyError, match="2 objectives and no reward"):
        AgingEvolution(space, OBJECTIVES)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population": 1}, "population"),
        ({"sample": 0}, "sample"),
        ({"sample": 21}, "sample: 21 of a population of 20"),
    ],
)
def test_impossible_settings_are_refused(settings: Mapping[str, Any], message: str) -> None:
    space: Any = DigitSpace()
    with pytest.raises(StrategyError, match=message):
        AgingEvolution(space, OBJECTIVES[:1], **settings)


def test_a_wrong_reward_is_refused() -> None:
    space: Any = DigitSpace()
    with pytest.raises(ObjectiveError, match="target"):
        AgingEvolution(space, OBJECTIVES, reward={"kind": "tunas", "cost": "latency_s@board"})


def test_finds_more_reward_than_random_search_on_recorded_hardware(pixel_and_fpga: Problem) -> None:
    """TuNAS's reward at the median latency on Pixel 3: the best of 200 queries, ten paired seeds."""
    document = {"kind": "tunas", "cost": "latency_s@pixel3", "target": 0.0133}
    reward = parse_reward(document)
    space, objectives = pixel_and_fpga.space, pixel_and_fpga.objectives

    def best(strategy: Strategy) -> float:
        told = search(pixel_and_fpga, strategy, 200).evaluations
        return max(value for evaluation in told if (value := reward(evaluation)) is not None)

    gains = [
        best(AgingEvolution(space, objectives, seed=seed, reward=document))
        - best(RandomSearch(space, objectives, seed=seed))
        for seed in range(10)
    ]
    assert mean_interval(gains)[0] > 0
    assert np.median(gains) > 0.002
