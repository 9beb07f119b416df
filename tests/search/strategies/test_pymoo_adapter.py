"""Algorithms of pymoo: the contract, failures, generations, and a better front than random search's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks._stats import mean_interval
from benchmarks._yardstick import Problem
from search.errors import StrategyError
from search.objectives import Constraint
from search.strategies import RandomSearch, Strategy
from search.strategies.registry import make
from tests.search.strategies.contract import StrategyContract
from tests.search.strategies.nb201 import shares
from tests.search.strategies.problems import OBJECTIVES, DigitSpace

pytest.importorskip("pymoo", reason="install gauntlet[pymoo]")

from search.strategies.pymoo_adapter import PymooSearch  # after the skip


class TestNsga2(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return PymooSearch(space, OBJECTIVES, constraints, seed, population=10)


class TestNsga3(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return PymooSearch(space, OBJECTIVES, constraints, seed, "nsga3", population=10)


class TestUnsga3(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return PymooSearch(space, OBJECTIVES, constraints, seed, "unsga3", population=10)


class TestSms(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return PymooSearch(space, OBJECTIVES, constraints, seed, "sms", population=10)


def test_what_fails_dies_out() -> None:
    space: Any = DigitSpace()
    strategy = PymooSearch(space, OBJECTIVES, seed=1)
    failed: list[bool] = []
    for first in range(0, 200, 20):
        batch = strategy.ask(20)
        failed += [architecture.text[0] == "3" for architecture in batch]
        answers = [space.failed if fails else space.evaluate for fails in failed[first:]]
        strategy.tell([answer(number, a) for answer, (number, a) in zip(answers, enumerate(batch, first), strict=True)])
    assert 0.15 < np.mean(failed[:20]) < 0.4
    assert np.mean(failed[-100:]) < 0.12


def test_answers_count_when_a_generation_is_complete() -> None:
    space: Any = DigitSpace()
    runs = [PymooSearch(space, OBJECTIVES, seed=3, population=10) for _ in range(3)]
    asked = runs[0].ask(10)
    for run, told in zip(runs, (0, 9, 10), strict=True):
        run.recall(asked if run is not runs[0] else [])
        run.tell([space.evaluate(number, a) for number, a in enumerate(asked[:told])])
    after = [run.ask(5) for run in runs]
    assert after[0] == after[1] != after[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"algorithm": "nsga"}, "did you mean nsga3"),
        ({"population": 1}, "population"),
        ({"popluation": 20}, "did you mean population"),
    ],
)
def test_impossible_settings_are_refused(settings: Mapping[str, Any], message: str) -> None:
    space: Any = DigitSpace()
    with pytest.raises(StrategyError) as caught:
        make("pymoo", space, OBJECTIVES, settings=settings)
    assert message in f"{caught.value.message} {caught.value.remedy}"


def test_a_single_objective_is_refused() -> None:
    space: Any = DigitSpace()
    with pytest.raises(StrategyError, match="several objectives"):
        PymooSearch(space, OBJECTIVES[:1])


def test_beats_random_search_on_recorded_hardware(pixel_and_fpga: Problem) -> None:
    """NSGA-II of pymoo, hypervolume after 200 queries, twelve paired seeds, on (error, Pixel 3, FPGA)."""
    gains = [
        shares(pixel_and_fpga, PymooSearch, 200, seed)[-1] - shares(pixel_and_fpga, RandomSearch, 200, seed)[-1]
        for seed in range(12)
    ]
    assert mean_interval(gains)[0] > 0
