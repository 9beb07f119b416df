"""Predictor-guided evolution: the contract, and what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks._yardstick import Problem
from search.errors import StrategyError
from search.evaluations import Evaluation
from search.objectives import Constraint, Objective
from search.pareto import Scale, hypervolume
from search.spaces.base import Architecture
from search.spaces.mobile import MobileSpace
from search.strategies import Nsga2, RandomSearch, Strategy
from search.strategies.guided import Guided
from search.strategies.known import Known
from search.values import Value
from tests.search.strategies.contract import StrategyContract
from tests.search.strategies.problems import OBJECTIVES, DigitSpace


class TestGuided(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return Guided(space, OBJECTIVES, constraints, seed)


def test_fewer_than_two_first_candidates_are_refused() -> None:
    space: Any = DigitSpace()
    with pytest.raises(StrategyError, match="initial: 1 is no whole number from 2"):
        Guided(space, OBJECTIVES, initial=1)


def test_what_fails_is_avoided_once_it_is_known() -> None:
    """Seven of sixteen networks fail, those with a 3 among the first two digits: also the most accurate ones."""
    space: Any = DigitSpace()

    def answer(number: int, architecture: Architecture) -> Evaluation:
        fails = "3" in architecture.text[:2]
        return space.failed(number, architecture) if fails else space.evaluate(number, architecture)

    failures = 0
    for seed in range(3):
        strategy = Guided(space, OBJECTIVES, seed=seed)
        for batch in range(6):
            strategy.tell([answer(10 * batch + n, a) for n, a in enumerate(strategy.ask(10))])
        failures += sum(evaluation.failure is not None for evaluation in strategy.evaluations[20:])
    assert failures / 120 < 0.5 * 7 / 16


def test_beats_nsga2_and_random_search_on_recorded_hardware(pixel_and_fpga: Problem) -> None:
    """Hypervolume after 160 queries, batches of 20, three paired seeds (0-2), on a problem that is not reported."""
    problem = pixel_and_fpga
    found: dict[str, list[float]] = {}
    for seed in range(3):
        for kind in (Guided, Nsga2, RandomSearch):
            strategy = kind(problem.space, problem.objectives, seed=seed)
            for batch in range(8):
                strategy.tell([problem.evaluate(20 * batch + n, a) for n, a in enumerate(strategy.ask(20))])
            found.setdefault(kind.__name__, []).append(problem.hypervolume(strategy.evaluations))
    means = {name: np.mean(volumes) for name, volumes in found.items()}
    assert means["Guided"] > means["Nsga2"] + 0.01
    assert min(found["Guided"]) > max(found["RandomSearch"])


def test_a_space_that_cannot_be_listed_is_searched_by_generations() -> None:
    """A made-up accuracy that depth and MACs buy, against a latency by MACs and a static count."""
    space = MobileSpace((1, 8, 8), 10)
    objectives = tuple(map(Objective.parse, ("accuracy", "latency_s@board", "parameters")))

    def evaluate(number: int, architecture: Architecture) -> Evaluation:
        macs, parameters = space.macs(architecture), space.parameters(architecture)
        blocks = sum(len(stage.blocks) for stage in space.genes(architecture))
        figures = {
            "accuracy": Value(1.0 - 1.0 / (blocks + macs / 1e5)),
            "latency_s@board": Value(1e-9 * (macs + 1e5)),
        }
        return Evaluation(number, architecture.text, macs, parameters, figures=figures)

    points = []
    for kind in (Guided, RandomSearch):
        strategy = kind(space, objectives, seed=1)
        for batch in range(4):
            strategy.tell([evaluate(20 * batch + n, a) for n, a in enumerate(strategy.ask(20))])
        points.append(Known.of(strategy.evaluations, objectives, ()).points)
    scale = Scale.of(np.vstack(points))
    guided, random = (hypervolume(found, scale) for found in points)
    assert guided > 1.05 * random
