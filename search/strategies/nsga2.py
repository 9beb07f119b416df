"""NSGA-II (Deb, Pratap, Agarwal, Meyarivan 2002), without generations.

The population is the best `population` of *all* that was told, by rank and crowding distance (sections III-A and III-B
of the paper, constrained domination by section VI). Devices answer when they are ready, so there is no moment at which
a generation is complete: a parent serves as soon as it is known. With batches of `population`, all told before the next
is asked for, this is the paper's loop, but that a member once crowded out may return.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.errors import StrategyError
from search.objectives import Constraint, Objective
from search.pareto import Points
from search.strategies.base import Strategy
from search.strategies.known import Known

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space

#: Turned-down children of one candidate before it is sampled: around a searched-out front all children are known.
_CHILDREN = 100


class Nsga2(Strategy):
    """NSGA-II under ask/tell.

    Failed candidates and those that lack an objective's figure rank behind all others and are never bred.
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
            population: parents, and architectures sampled at first. 20 beats 50 at budgets of a few hundred.
            crossover: probability that a child has two parents.
            mutation: probability that a child of two is mutated too. The paper's 1/n per variable leaves 37 % alone.
        """
        super().__init__(space, objectives, constraints, seed)
        if population < 2:
            raise StrategyError(f"a population of {population} cannot breed", "take at least 2")
        self.population = population
        self._crossover = crossover
        self._mutation = mutation
        self._parents: list[Architecture] = []
        self._order: list[tuple[int, float]] = []

    def _propose(self, rng: np.random.Generator, attempt: int) -> Architecture:
        if len(self._architectures) < self.population or attempt >= _CHILDREN:
            return self.space.sample(rng)
        self._select()
        if len(self._parents) < 2:
            return self.space.sample(rng)
        first, second = self._tournament(rng), self._tournament(rng)
        if first.text == second.text or rng.random() >= self._crossover:
            return self.space.mutate(first, rng)
        child = self.space.crossover(first, second, rng)
        return self.space.mutate(child, rng) if rng.random() < self._mutation else child

    def _tournament(self, rng: np.random.Generator) -> Architecture:
        """The better of two parents by the crowded comparison: lower rank, then the lonelier."""
        one, other = rng.choice(len(self._parents), size=2, replace=False)
        return self._parents[min(int(one), int(other), key=self._order.__getitem__)]

    def _select(self) -> None:
        """Bring the population up to date with what was told."""
        if not self._has_news():
            return
        known = Known.of(self.evaluations, self.objectives, self.constraints)
        survivors = self._survivors(known)
        self._parents = [self._architecture(known.evaluations[index]) for index, _ in survivors]
        self._order = [order for _, order in survivors]

    def _survivors(self, known: Known) -> list[tuple[int, tuple[int, float]]]:
        """The population: places among `known`, and what decides a tournament, the least first."""
        return crowded_order(known.points, known.ranks)[: self.population]


def crowded_order(points: Points, ranks: NDArray[np.int64]) -> list[tuple[int, tuple[int, float]]]:
    """From the best to the worst by the crowded comparison: the place of each point, with what was compared.

    Args:
        points: costs, shape (points, objectives).
        ranks: front of each, from 0: (points,).
    """
    order: list[tuple[int, float, int]] = []
    for level in range(int(ranks.max(initial=-1)) + 1):
        members = np.flatnonzero(ranks == level)
        lonely = crowding_distance(points[members])
        order += [(level, -distance, int(index)) for distance, index in zip(lonely, members, strict=True)]
    return [(index, (level, distance)) for level, distance, index in sorted(order)]


def crowding_distance(points: Points) -> NDArray[np.float64]:
    """How lonely each point of one front is (section III-B); infinite for the extremes.

    Args:
        points: costs, shape (points, objectives).
    """
    distance = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance
