"""Regularised evolution (Real, Aggarwal, Huang & Le 2019, algorithm 1) under ask/tell, after a single reward.

    asked   0 1 2 3 4 5 6 7 8 9 …
                    ├─────────┤      the population: the latest that are known, by the order of asking
                      ▲   ▲ ▲        a tournament among `sample` of them; a mutant of the winner is asked for

Everybody dies of age, the best too: who was lucky once, in a noisy measurement, is not bred from for ever (the paper's
discussion). Its rival, in which the worst dies, is at hand for comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from search.errors import StrategyError
from search.objectives import Constraint, Objective, total_violation
from search.strategies.base import Strategy
from search.strategies.known import by_number
from search.strategies.settings import checked_count, reward_of

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space

#: Turned-down mutants of one candidate before it is sampled: around an optimum all mutants are known.
_MUTANTS = 100


class AgingEvolution(Strategy):
    """Regularised evolution. Failed candidates and those that lack a figure are never bred.

    Of two candidates the one that breaks the bounds less wins, of two equal ones that with the greater reward.

    Attributes:
        reward: what is made as large as possible.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        seed: int = 0,
        reward: Mapping[str, Any] | None = None,
        population: int = 20,
        sample: int = 10,
        aging: bool = True,
    ) -> None:
        """Begin a search.

        Args:
            space: see `Strategy`.
            objectives: see `Strategy`.
            constraints: see `Strategy`.
            seed: see `Strategy`.
            reward: see `parse_reward`; by default the one objective.
            population: architectures sampled at first, and bred from later.
            sample: how many of them take part in a tournament. The paper's 25 of 100 suit budgets of thousands.
            aging: the oldest die; False: the worst die.
        """
        super().__init__(space, objectives, constraints, seed)
        self.reward = reward_of(reward, objectives)
        self._size = checked_count("population", population, 2)
        self._sample = checked_count("sample", sample, 1)
        if sample > population:
            raise StrategyError(f"sample: {sample} of a population of {population}", "take at most all of it")
        self._aging = aging
        self._population: list[Architecture] = []
        #: Best first.
        self._place: list[int] = []

    def _propose(self, rng: np.random.Generator, attempt: int) -> Architecture:
        if len(self._architectures) < self._size or attempt >= _MUTANTS:
            return self.space.sample(rng)
        self._select()
        if not self._population:
            return self.space.sample(rng)
        rivals = rng.choice(len(self._population), size=min(self._sample, len(self._population)), replace=False)
        return self.space.mutate(self._population[min(rivals, key=self._place.__getitem__)], rng)

    def _select(self) -> None:
        """Bring the population up to date with what was told."""
        if not self._has_news():
            return
        known = [
            ((total_violation(evaluation.values, self.constraints), -reward), evaluation)
            for evaluation in by_number(self.evaluations)
            if (reward := self.reward(evaluation)) is not None
        ]
        alive = known[-self._size :] if self._aging else sorted(known, key=lambda pair: pair[0])[: self._size]
        self._population = [self._architecture(evaluation) for _, evaluation in alive]
        self._place = [0] * len(alive)
        for place, index in enumerate(sorted(range(len(alive)), key=lambda index: alive[index][0])):
            self._place[index] = place
