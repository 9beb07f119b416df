"""Pareto local search (Paquete, Chiarandini & Stützle 2004); with one objective, hill climbing (White et al. 2021).

    told ──► fronts 0, 1, 2, …  ──► a member of the first front with a neighbour that is new ──► that neighbour

A neighbour differs in one decision. Where all neighbours of the front are known, which is a local optimum, the search
goes on from the next front.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from search.objectives import Constraint, Objective
from search.spaces.variation import neighbours
from search.strategies.base import Strategy
from search.strategies.known import Known
from search.strategies.settings import checked_count

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space


class LocalSearch(Strategy):
    """Asks for neighbours of the best. Failed candidates and those that lack a figure have none worth asking for."""

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        seed: int = 0,
        initial: int = 20,
    ) -> None:
        """Begin a search.

        Args:
            space: see `Strategy`.
            objectives: see `Strategy`.
            constraints: see `Strategy`.
            seed: see `Strategy`.
            initial: architectures sampled at first.
        """
        super().__init__(space, objectives, constraints, seed)
        self._initial = checked_count("initial", initial, 1)
        self._fronts: list[list[Architecture]] = []
        self._neighbours: dict[str, list[Architecture]] = {}

    def _propose(self, rng: np.random.Generator, attempt: int) -> Architecture:
        if len(self._architectures) >= self._initial and attempt == 0:
            self._rank()
            for members in self._fronts:
                for index in rng.permutation(len(members)):
                    new = self._new_neighbours(members[index])
                    if new:
                        return new[int(rng.integers(len(new)))]
        return self.space.sample(rng)

    def _new_neighbours(self, architecture: Architecture) -> list[Architecture]:
        """Those that may be asked for and were not; what was asked for once is never new again."""
        if architecture.text not in self._neighbours:
            self._neighbours[architecture.text] = [
                neighbour for neighbour in neighbours(self.space, architecture) if self._may_be_asked_for(neighbour)
            ]
        new = [n for n in self._neighbours[architecture.text] if n.text not in self._architectures]
        self._neighbours[architecture.text] = new
        return new

    def _rank(self) -> None:
        """Bring the fronts up to date with what was told."""
        if not self._has_news():
            return
        known = Known.of(self.evaluations, self.objectives, self.constraints)
        self._fronts = [[] for _ in range(int(known.ranks.max(initial=-1)) + 1)]
        for evaluation, rank in zip(known.evaluations, known.ranks, strict=True):
            self._fronts[rank].append(self._architecture(evaluation))
