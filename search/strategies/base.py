"""What every search strategy does: ask for architectures, and learn from what is told of them.

    asked   0 1 2 3 4 5 6 7 …         candidate numbers, in the order of asking
    told        1   0 3     2 …       in any order, one by one or many at once, failures included

Candidate k is drawn with a random generator of its own, seeded by (seed, k). So an ask depends on the seed, on how many
were asked for before, and on what was told, and on nothing else: a run that was broken off goes on exactly as it would
have, once `recall` and `tell` have repeated its log. There is no state to save, and nothing is computed again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from search.errors import Exhausted, Infeasible, SearchError, StrategyError
from search.evaluations import Evaluation
from search.objectives import Constraint, Objective

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space

#: Draws for one candidate before a strategy gives up: a space of 200 architectures with one left is still searched out
#: with probability 1 - 5e-5.
TRIES = 2000


class Strategy(ABC):
    """A search strategy. No I/O, no clock, no loop.

    Attributes:
        evaluations: what was told, in the order of telling.
        learned: what is known besides, see `learn`.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        seed: int = 0,
    ) -> None:
        """Begin a search.

        Args:
            space: where to search.
            objectives: at least one.
            constraints: bounds. Those on MACs and parameters are kept before anything is measured.
            seed: not negative; the same seed and the same answers give the same asks.
        """
        if not objectives:
            raise StrategyError("a search needs an objective")
        self.space = space
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        self.seed = seed
        self.evaluations: list[Evaluation] = []
        self.learned: tuple[Evaluation, ...] = ()
        self._architectures: dict[str, Architecture] = {}
        self._told: set[str] = set()
        self._heard = 0

    def ask(self, count: int) -> list[Architecture]:
        """Architectures worth a measurement, each of them new.

        Args:
            count: how many, at least 1.

        Returns:
            As many as asked for; fewer at the end of the space.

        Raises:
            Exhausted: the space has no more.
            Infeasible: nothing in the space keeps the bounds on MACs and parameters.
        """
        asked: list[Architecture] = []
        for _ in range(count):
            try:
                architecture = self._draw()
            except (Exhausted, Infeasible):
                if asked:
                    break
                raise
            self._architectures[architecture.text] = architecture
            asked.append(architecture)
        return asked

    def recall(self, architectures: Iterable[Architecture]) -> None:
        """Count these as asked for: the log of an earlier process says that they were.

        Args:
            architectures: in the order of asking.
        """
        for architecture in architectures:
            if architecture.text in self._architectures:
                raise StrategyError(f"{architecture.text} was asked for twice")
            self._architectures[architecture.text] = architecture

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Learn. Any part of what was asked for, in any order.

        Raises:
            StrategyError: not asked for, or told before.
        """
        for evaluation in evaluations:
            if evaluation.architecture not in self._architectures:
                raise StrategyError(f"{evaluation.architecture} was not asked for")
            if evaluation.architecture in self._told:
                raise StrategyError(f"{evaluation.architecture} was told before")
            self._told.add(evaluation.architecture)
            self.evaluations.append(evaluation)

    def learn(self, evaluations: Iterable[Evaluation]) -> None:
        """Take in what was measured elsewhere, before the first ask: for predictors to learn from.

        None of it is a candidate of this search, and any of it may be asked for. Strategies that predict nothing
        have no use for it.

        Args:
            evaluations: of architectures of the space, each once; many will lack figures.
        """
        self.learned = tuple(sorted(evaluations, key=lambda evaluation: evaluation.architecture))

    @abstractmethod
    def _propose(self, rng: np.random.Generator, attempt: int) -> Architecture:
        """A candidate; one that is known already, or that the space does not allow, is turned down.

        Args:
            rng: the candidate's own generator.
            attempt: how many proposals for this candidate were turned down.
        """

    def _draw(self) -> Architecture:
        rng = np.random.default_rng((self.seed, len(self._architectures)))
        broken: list[tuple[float, Constraint]] = []
        new = False
        if len(self._architectures) >= self.space.size():
            raise Exhausted(f"all {self.space.size()} architectures of the space were asked for")
        for attempt in range(TRIES):
            architecture = self._propose(rng, attempt)
            if architecture.text in self._architectures or not self.space.allows(architecture):
                continue
            new = True
            beyond = self._violations(architecture)
            if not beyond:
                return architecture
            broken.append(max(beyond, key=lambda pair: pair[0]))
        if new and not self._architectures:
            violation, constraint = min(broken, key=lambda pair: pair[0])
            raise Infeasible(
                f"none of {TRIES} architectures of the space keeps '{constraint}': the nearest is {violation:.0%} off",
                "widen the constraint, or the space",
            )
        raise Exhausted(f"no new architecture in {TRIES} draws, after {len(self._architectures)}")

    def _has_news(self) -> bool:
        """Whether anything was told since this was asked last: for what is worked out anew from all that was told."""
        heard, self._heard = self._heard, len(self.evaluations)
        return self._heard > heard

    def _violations(self, architecture: Architecture) -> list[tuple[float, Constraint]]:
        """Broken bounds among those that can be checked before a measurement."""
        broken = []
        for constraint in self.constraints:
            if constraint.quantity.is_static:
                try:
                    count = getattr(self.space, constraint.quantity.kind)(architecture)
                except SearchError:
                    continue  # a user's builder that raises: it is asked for, and fails under its name
                violation = constraint.violation(float(count))
                if violation > 0:
                    broken.append((violation, constraint))
        return broken

    def _may_be_asked_for(self, architecture: Architecture) -> bool:
        """Whether the space allows it, and it keeps the bounds that can be checked before a measurement."""
        return self.space.allows(architecture) and not self._violations(architecture)

    def _architecture(self, evaluation: Evaluation) -> Architecture:
        return self._architectures[evaluation.architecture]
