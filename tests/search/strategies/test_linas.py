"""LINAS: the contract, and what DyNAS-T promises: as good a front as NSGA-II's after fewer measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks._stats import mean_interval
from benchmarks._yardstick import Problem
from search.errors import StrategyError
from search.evaluations import Evaluation
from search.objectives import Constraint
from search.spaces.base import Architecture
from search.strategies import Nsga2, Strategy
from search.strategies.linas import Linas
from search.values import Value
from tests.search.strategies.contract import StrategyContract
from tests.search.strategies.nb201 import shares
from tests.search.strategies.problems import OBJECTIVES, DigitSpace


class TestLinas(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return Linas(space, OBJECTIVES, constraints, seed, initial=10, population=10, generations=4)


class TestLinasWithSupportVectors(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return Linas(space, OBJECTIVES, constraints, seed, initial=10, predictor="svr", population=10, generations=4)


class Linear(DigitSpace):
    """A figure that ridge regression can learn: one digit is worth more the later it stands."""

    def evaluate(self, number: int, architecture: Architecture) -> Evaluation:
        worth = sum(digit * place for place, digit in enumerate(self.encode(architecture), 1))
        return Evaluation(number, architecture.text, 1, 1, figures={"accuracy": Value(worth / 100)})


def test_what_it_learned_leads_it_to_the_best_at_once() -> None:
    space: Any = Linear()
    strategy = Linas(space, OBJECTIVES[:1], seed=1, initial=30)
    strategy.tell([space.evaluate(number, a) for number, a in enumerate(strategy.ask(30))])
    best = sorted(space.everything(), key=lambda a: space.evaluate(0, a).value("accuracy").value)[-3:]
    assert set(best) <= set(strategy.ask(5))


def test_figures_that_no_candidate_has_all_of_are_survived() -> None:
    space: Any = DigitSpace()
    strategy = Linas(space, OBJECTIVES, initial=10)
    for number, architecture in enumerate(strategy.ask(10)):
        whole = space.evaluate(number, architecture)
        name = OBJECTIVES[number % 2].name
        strategy.tell([Evaluation(number, architecture.text, 1, 1, figures={name: whole.figures[name]})])
    assert len(strategy.ask(5)) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"initial": 1}, "initial"),
        ({"predictor": "rigde"}, "did you mean ridge"),
        ({"population": 0}, "population"),
        ({"generations": 0}, "generations"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    space: Any = DigitSpace()
    with pytest.raises(StrategyError) as caught:
        Linas(space, OBJECTIVES, **settings)
    assert message in f"{caught.value.message} {caught.value.remedy}"


def test_needs_fewer_measurements_than_nsga2_on_recorded_hardware(pixel_and_fpga: Problem) -> None:
    """(error, Pixel 3, FPGA), 240 queries, five paired seeds: a better front, and NSGA-II's last one much earlier."""
    gains, earlier = [], []
    for seed in range(5):
        ours = shares(pixel_and_fpga, Linas, 240, seed, generations=8)
        other = shares(pixel_and_fpga, Nsga2, 240, seed)
        gains.append(ours[-1] - other[-1])
        earlier.append(240 - int(np.argmax(ours >= other[-1])) if ours[-1] >= other[-1] else 0)
    assert mean_interval(gains)[0] > 0
    assert np.median(earlier) > 24
