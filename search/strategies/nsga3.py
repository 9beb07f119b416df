"""NSGA-III (Deb & Jain 2014): NSGA-II's loop with reference directions in the place of crowding.

Costs are scaled so that the front spans 0 to 1 in each. Directions evenly spread over the simplex then keep the points
nearest to them: a front of four or more objectives, on which nearly everything is, stays covered from end to end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.errors import StrategyError
from search.objectives import Constraint, Objective
from search.pareto import Points
from search.strategies.known import Known
from search.strategies.nsga2 import Nsga2

if TYPE_CHECKING:
    from search.spaces.base import Space

#: Weight of the other axes where an extreme point of one is looked for (section IV-C).
_OFF_AXIS = 1e-6


class Nsga3(Nsga2):
    """NSGA-III under ask/tell, for three objectives and more.

    Parents are drawn evenly from the population, as in the paper; of two that break bounds the nearer to them is taken.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        seed: int = 0,
        population: int = 20,
        crossover: float = 0.9,
        mutation: float = 0.6,
    ) -> None:
        """Begin a search.

        Args:
            space: see `Strategy`.
            objectives: see `Strategy`.
            constraints: see `Strategy`.
            seed: see `Strategy`.
            population: see `Nsga2`; at least as many as objectives. There are as many directions as fit into it.
            crossover: see `Nsga2`.
            mutation: see `Nsga2`.
        """
        super().__init__(space, objectives, constraints, seed, population, crossover, mutation)
        if population < len(self.objectives):
            raise StrategyError(
                f"a population of {population} leaves some of {len(self.objectives)} objectives without a direction",
                f"take at least {len(self.objectives)}",
            )
        self._directions = reference_directions(len(self.objectives), population)

    def _survivors(self, known: Known) -> list[tuple[int, tuple[int, float]]]:
        ranks = known.ranks
        feasible = known.violations == 0
        # The infeasible have ranks of their own behind all others, by their violation.
        order = sorted(np.flatnonzero(~feasible).tolist(), key=lambda index: int(ranks[index]))
        places = np.flatnonzero(feasible)
        if len(places) > self.population:
            # In the place of the paper's chance where niches are equal: the seed and what is known.
            rng = np.random.default_rng((self.seed, len(known.evaluations)))
            places = places[selected(known.points[places], ranks[places], self._directions, self.population, rng)]
        room = self.population - len(places)
        return [(int(index), (0, 0.0)) for index in places] + [
            (index, (int(ranks[index]), 0.0)) for index in order[:room]
        ]


def reference_directions(objectives: int, most: int) -> NDArray[np.float64]:
    """Points evenly spread over the unit simplex (Das & Dennis 1998).

    Args:
        objectives: their number, at least 1.
        most: how many there may be, at least as many as objectives.

    Returns:
        (directions, objectives): of all grids that are not larger than `most`, the finest.
    """
    divisions = 1
    while objectives > 1 and math.comb(divisions + objectives, objectives - 1) <= most:
        divisions += 1
    # The bars between the stars of `divisions` units on `objectives` axes.
    bars = itertools.combinations(range(divisions + objectives - 1), objectives - 1)
    edges = np.array([(-1, *bar, divisions + objectives - 1) for bar in bars])
    return np.asarray((np.diff(edges, axis=1) - 1) / divisions)


def selected(
    points: Points, ranks: NDArray[np.int64], directions: NDArray[np.float64], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The `count` points that survive (algorithm 1): whole fronts, and of the last one what fills the emptiest niches.

    Args:
        points: costs, (N, objectives), N at least `count`.
        ranks: front of each, (N,).
        directions: reference directions, (directions, objectives).
        count: how many survive.
        rng: decides between niches equally full, and members of a niche that is not empty.

    Returns:
        Their places: (count,).
    """
    sizes = np.bincount(ranks)
    last = int(np.searchsorted(np.cumsum(sizes), count))
    kept = np.flatnonzero(ranks < last)
    rivals = np.flatnonzero(ranks == last)
    both = np.concatenate([kept, rivals])
    scaled = _scaled(points[both], np.flatnonzero(ranks[both] == 0))
    niche, distance = _associated(scaled, directions)
    filled = np.bincount(niche[: len(kept)], minlength=len(directions))
    waiting: dict[int, list[int]] = {}
    # The nearest last: `pop` takes it.
    for place in sorted(range(len(kept), len(both)), key=lambda place: -distance[place]):
        waiting.setdefault(int(niche[place]), []).append(place)
    chosen = list(range(len(kept)))
    while len(chosen) < count:
        emptiest = min(filled[direction] for direction in waiting)
        candidates = sorted(direction for direction in waiting if filled[direction] == emptiest)
        direction = candidates[int(rng.integers(len(candidates)))]
        members = waiting[direction]
        chosen.append(members.pop() if emptiest == 0 else members.pop(int(rng.integers(len(members)))))
        filled[direction] += 1
        if not members:
            del waiting[direction]
    return both[chosen]


def _scaled(points: Points, front: NDArray[np.int64]) -> Points:
    """`points` on the scale on which the hyperplane through the extreme points cuts each axis at 1 (algorithm 2).

    Where there is no such plane, the worst of the `front` in each objective is 1. It is the scale on which the extreme
    points are looked for, too: the paper looks for them in the units as they come, which seconds and MACs would not do.
    """
    shifted = points - points.min(axis=0)
    worst = shifted[front].max(axis=0)
    scaled: Points = shifted / np.where(worst > 0, worst, 1.0)
    axes = np.where(np.eye(shifted.shape[1], dtype=bool), 1.0, _OFF_AXIS)
    extremes = scaled[(scaled[:, None, :] / axes).max(axis=2).argmin(axis=0)]
    try:
        with np.errstate(divide="ignore"):
            reach = 1.0 / np.linalg.solve(extremes, np.ones(len(extremes)))
    except np.linalg.LinAlgError:
        return scaled
    return scaled / reach if np.isfinite(reach).all() and (reach > 0).all() else scaled


def _associated(points: Points, directions: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The direction nearest to each point, and how far it is from that line (algorithm 3)."""
    units = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    along = points @ units.T
    distances = np.sqrt(np.maximum((points**2).sum(axis=1, keepdims=True) - along**2, 0.0))
    nearest = distances.argmin(axis=1)
    return nearest, distances[np.arange(len(points)), nearest]
