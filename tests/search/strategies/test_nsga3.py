"""NSGA-III: the contract, its parts by hand, and what the paper promises: fronts of four objectives stay covered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks._stats import mean_interval
from benchmarks._yardstick import Problem
from search.errors import StrategyError
from search.evaluations import Evaluation
from search.objectives import Constraint, Objective
from search.pareto import Scale, costs, hypervolume
from search.spaces.base import Architecture
from search.strategies import Nsga2, RandomSearch, Strategy
from search.strategies.nsga3 import Nsga3, reference_directions, selected
from search.values import Value
from tests.search.strategies.contract import StrategyContract
from tests.search.strategies.nb201 import shares
from tests.search.strategies.problems import OBJECTIVES, DigitSpace


class TestNsga3(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return Nsga3(space, OBJECTIVES, constraints, seed)


def test_the_directions_of_two_divisions_are_those_of_das_and_dennis() -> None:
    expected = [[0, 0, 1], [0, 0.5, 0.5], [0, 1, 0], [0.5, 0, 0.5], [0.5, 0.5, 0], [1, 0, 0]]
    assert reference_directions(3, 9).tolist() == expected


@pytest.mark.parametrize(
    ("objectives", "most", "count"), [(1, 20, 1), (2, 20, 20), (3, 20, 15), (4, 20, 20), (5, 5, 5)]
)
def test_there_are_as_many_directions_as_fit(objectives: int, most: int, count: int) -> None:
    directions = reference_directions(objectives, most)
    assert directions.shape == (count, objectives)
    assert np.allclose(directions.sum(axis=1), 1)
    assert len(np.unique(directions, axis=0)) == count


def test_of_a_front_the_point_nearest_to_each_direction_survives() -> None:
    # Directions (0, 1), (0.5, 0.5), (1, 0); two of the five points crowd around each end.
    points = np.array([[0.0, 1.0], [0.05, 0.9], [0.5, 0.5], [0.9, 0.05], [1.0, 0.0]])
    kept = selected(points, np.zeros(5, dtype=np.int64), reference_directions(2, 3), 3, np.random.default_rng(0))
    assert sorted(kept.tolist()) == [0, 2, 4]


def test_units_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    points = rng.dirichlet(np.ones(3), 40)
    ranks = np.zeros(40, dtype=np.int64)
    directions = reference_directions(3, 20)
    kept = [
        selected(points * units + 5, ranks, directions, 20, np.random.default_rng(1)).tolist()
        for units in ([1.0, 1.0, 1.0], [1e-3, 1.0, 1e4])
    ]
    assert kept[0] == kept[1]


def test_whole_fronts_survive_before_any_point_behind_them() -> None:
    rng = np.random.default_rng(3)
    ranks = np.repeat([0, 1, 2], [6, 6, 6])
    kept = selected(rng.random((18, 3)), ranks, reference_directions(3, 8), 8, rng)
    assert np.bincount(ranks[kept]).tolist() == [6, 2]


def test_a_population_smaller_than_the_objectives_is_refused() -> None:
    space: Any = DigitSpace()
    objectives = [Objective.parse(f"latency_s@board{number}") for number in range(4)]
    with pytest.raises(StrategyError, match="4 objectives"):
        Nsga3(space, objectives, population=3)


class Sphere(DigitSpace):
    """DTLZ2 (Deb et al. 2005) with four objectives: two digits for each angle, the others lead away from the front."""

    objectives = tuple(Objective.parse(f"latency_s@board{number}") for number in range(4))

    def __init__(self) -> None:
        super().__init__(length=11)

    def evaluate(self, number: int, architecture: Architecture) -> Evaluation:
        digits = self.encode(architecture)
        angles = [(4 * digits[2 * n] + digits[2 * n + 1]) / 15 * math.pi / 2 for n in range(3)]
        away = sum((digit - 1) ** 2 for digit in digits[6:]) / 4
        figures = {}
        for place, objective in enumerate(self.objectives):
            cost = (1 + away) * math.prod(math.cos(angle) for angle in angles[: 3 - place])
            figures[objective.name] = Value(cost * (math.sin(angles[3 - place]) if place else 1.0))
        return Evaluation(number, architecture.text, 1, 1, figures=figures)


def test_covers_a_front_of_four_objectives_better_than_crowding() -> None:
    """What Deb & Jain 2014 made directions for: with four objectives nearly all is front, and crowding loses its grip.

    400 queries, four paired seeds.
    """
    space: Any = Sphere()
    scale = Scale((0.0,) * 4, (1.0,) * 4)
    gains = []
    for seed in range(4):
        volumes = []
        for make in (Nsga3, Nsga2):
            strategy = make(space, space.objectives, seed=seed)
            for first in range(0, 400, 20):
                strategy.tell([space.evaluate(number, a) for number, a in enumerate(strategy.ask(20), first)])
            points = np.array([costs(evaluation, space.objectives) for evaluation in strategy.evaluations])
            volumes.append(hypervolume(points, scale))
        gains.append(volumes[0] - volumes[1])
    assert mean_interval(gains)[0] > 0


def test_beats_random_search_on_recorded_hardware(pixel_and_fpga: Problem) -> None:
    """Hypervolume after 200 queries, ten paired seeds, on (error, Pixel 3, FPGA)."""
    gains = [
        shares(pixel_and_fpga, Nsga3, 200, seed)[-1] - shares(pixel_and_fpga, RandomSearch, 200, seed)[-1]
        for seed in range(10)
    ]
    assert mean_interval(gains)[0] > 0
