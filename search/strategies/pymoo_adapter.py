"""Algorithms of pymoo (Blank & Deb 2020) as strategies.

    told, by number ──► generation 0 │ generation 1 │ … ──► survivors ──► offspring, offspring, …   until the next
                        `population` of them each                            │  ╳ known   └► asked   generation is told
                                                                             └► asked for

Every decision of the space is a categorical variable of pymoo, with its own operators for mixed variables. Its
algorithms go by generations: answers count when `population` of them are there, by the order of asking. A proposal that
is known already, in whatever spelling, costs nothing, and does not enter a generation again.

pymoo knows no failures: a candidate that failed, or lacks a figure, breaks a constraint of its own by 10⁶, so that it
ranks behind all that break others. Bounds on measured figures are constraints of pymoo; those on MACs and parameters
are kept as by every strategy. Algorithms run with their published defaults, but for the population of 20, which is
better at budgets of a few hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.algorithms.moo.nsga3 import NSGA3, comp_by_cv_then_random
from pymoo.algorithms.moo.sms import SMSEMOA, cv_and_dom_tournament
from pymoo.algorithms.moo.unsga3 import UNSGA3, comp_by_rank_and_ref_line_dist
from pymoo.core.mixed import MixedVariableDuplicateElimination, MixedVariableMating, MixedVariableSampling
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.core.variable import Choice
from pymoo.operators.selection.tournament import TournamentSelection

from search.errors import StrategyError
from search.evaluations import Evaluation
from search.objectives import Constraint, Objective
from search.pareto import costs
from search.strategies.base import Strategy
from search.strategies.known import by_number
from search.strategies.nsga3 import reference_directions
from search.strategies.settings import checked_count, checked_name

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space

#: By name: what makes the algorithm, and what decides its tournaments.
_ALGORITHMS: Mapping[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "nsga2": (NSGA2, binary_tournament),
    "nsga3": (NSGA3, comp_by_cv_then_random),
    "unsga3": (UNSGA3, comp_by_rank_and_ref_line_dist),
    "sms": (SMSEMOA, cv_and_dom_tournament),
}
_BY_DIRECTIONS = ("nsga3", "unsga3")
#: Proposals in a row that are known or not allowed, before the space is sampled: around a front all are known.
_PATIENCE = 200
_FAILED = 1e6


class PymooSearch(Strategy):
    """A multi-objective algorithm of pymoo under ask/tell."""

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        seed: int = 0,
        algorithm: str = "nsga2",
        population: int = 20,
    ) -> None:
        """Begin a search.

        Args:
            space: see `Strategy`.
            objectives: at least two.
            constraints: see `Strategy`.
            seed: see `Strategy`.
            algorithm: "nsga2", "nsga3", "unsga3" or "sms" (SMS-EMOA).
            population: of a generation; the two that go by reference directions have as many as fit into it.

        Raises:
            StrategyError: a setting is impossible, or there is one objective only.
        """
        super().__init__(space, objectives, constraints, seed)
        if len(self.objectives) < 2:
            raise StrategyError("pymoo's algorithms are for several objectives", "take another strategy for one")
        self._name = checked_name("algorithm", algorithm, tuple(_ALGORITHMS))
        self._population = checked_count("population", population, max(2, len(self.objectives)))
        self._names = [decision.name for decision in space.decisions]
        variables = {d.name: Choice(options=list(range(len(d.options)))) for d in space.decisions}
        self._problem = Problem(vars=variables, n_obj=len(self.objectives), n_ieq_constr=1 + len(self.constraints))
        self._begin()

    def _propose(self, rng: np.random.Generator, attempt: int) -> Architecture:
        self._catch_up()
        proposed = self._next()
        return self.space.sample(rng) if proposed is None else proposed

    def _begin(self) -> None:
        """Make the algorithm anew."""
        make, compare = _ALGORITHMS[self._name]
        duplicates = MixedVariableDuplicateElimination()
        directions = [reference_directions(len(self.objectives), self._population)]
        self._algorithm = make(
            *(directions if self._name in _BY_DIRECTIONS else []),
            pop_size=self._population,
            sampling=MixedVariableSampling(),
            mating=MixedVariableMating(
                selection=TournamentSelection(func_comp=compare), eliminate_duplicates=duplicates
            ),
            eliminate_duplicates=duplicates,
        )
        self._algorithm.setup(self._problem, termination=NoTermination())
        self._learned: list[int] = []
        self._in_generations: set[str] = set()
        self._turn()

    def _turn(self) -> None:
        """Begin to propose after what the algorithm has learned."""
        self._offspring: list[Architecture] = []
        self._matings = 0
        self._proposed: set[str] = set()
        self._in_vain = 0

    def _catch_up(self) -> None:
        """Tell the algorithm the generations that have become complete."""
        if not self._has_news():
            return
        whole = len(self.evaluations) // self._population * self._population
        told = by_number(self.evaluations)[:whole]
        if [evaluation.number for evaluation in told[: len(self._learned)]] != self._learned:
            self._begin()
        for first in range(len(self._learned), whole, self._population):
            generation = told[first : first + self._population]
            self._algorithm.random_state = np.random.default_rng((self.seed, first))
            self._algorithm.tell(infills=self._individuals(generation))
            self._learned += [evaluation.number for evaluation in generation]
            self._in_generations |= {evaluation.architecture for evaluation in generation}
            self._turn()

    def _individuals(self, evaluations: Sequence[Evaluation]) -> Any:
        individuals = []
        figures, beyond = [], []
        for evaluation in evaluations:
            choices = self.space.encode(self._architecture(evaluation))
            individuals.append(dict(zip(self._names, choices, strict=True)))
            point = costs(evaluation, self.objectives)
            bounds = [(bound, evaluation.value(bound.name).value) for bound in self.constraints]
            failed = point is None or any(value is None for _, value in bounds)
            figures.append((0.0,) * len(self.objectives) if failed else point)
            kept = [0.0 if failed or value is None else bound.violation(value) for bound, value in bounds]
            beyond.append([_FAILED if failed else 0.0, *kept])
        return Population.new(X=individuals, F=np.array(figures), G=np.array(beyond))

    def _next(self) -> Architecture | None:
        """The next offspring that is worth asking for, whether or not it was asked for; None: there will be none.

        What it is depends on the generations that are complete and on how many were proposed since: so a run that was
        broken off finds the same ones again, and passes over those that were asked for.
        """
        while self._in_vain < _PATIENCE:
            if not self._offspring:
                self._mate()
                continue
            architecture = self._offspring.pop(0)
            known = architecture.text in self._proposed or architecture.text in self._in_generations
            if known or not self._may_be_asked_for(architecture):
                self._in_vain += 1
                continue
            self._in_vain = 0
            self._proposed.add(architecture.text)
            return architecture
        return None

    def _mate(self) -> None:
        """More offspring of the survivors; before there are any, a sample of the space."""
        self._algorithm.random_state = np.random.default_rng((self.seed, len(self._learned), self._matings))
        self._matings += 1
        proposals = self._algorithm.infill()
        # Where all that they can have is in the population already, there may be none.
        found = [] if proposals is None else proposals.get("X")
        self._in_vain += len(found) == 0
        self._offspring = [self.space.decode([taken[name] for name in self._names]) for taken in found]
