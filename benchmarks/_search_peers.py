"""Other people's search methods on the yardstick, each as its authors would have it run.

    proposal ──► known already? ──► answered from memory, costs nothing
                 asked for in this batch? ──► waits for the answer, costs nothing
                 no record of it? ──► refused, costs nothing
                 else ──► a query

They propose one option for each decision and may spell one network in many ways; the space's canonical form stands in
front of them, so that a network in another spelling is no new query. A failure is told as each of them knows failures.
Nothing here goes through the strategies that a campaign can name: an adapter cannot handicap a peer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from search.evaluations import Evaluation
from search.pareto import costs, nondominated
from search.spaces.variation import neighbours

if TYPE_CHECKING:
    from benchmarks._yardstick import Problem
    from search.spaces.base import Architecture

POPULATION = 20


class Peer(ABC):
    """A method that proposes architectures, known ones too.

    Attributes:
        problem: what it searches.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem = problem
        self.seed = seed

    @abstractmethod
    def propose(self) -> tuple[Any, Architecture] | None:
        """A ticket, to be answered, and what it is for; None if it has to hear of others first, or has no more."""

    @abstractmethod
    def answer(self, ticket: Any, evaluation: Evaluation | None) -> None:
        """What became of a proposal; None: there is no record of it."""

    def _costs(self, evaluation: Evaluation | None) -> tuple[float, ...] | None:
        return None if evaluation is None else costs(evaluation, self.problem.objectives)


class OptunaPeer(Peer):
    """A sampler of Optuna; each decision is a categorical parameter, a failure is a failed trial."""

    def __init__(self, problem: Problem, seed: int, sampler: Callable[[Any, int], Any]) -> None:
        import optuna

        super().__init__(problem, seed)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(
            directions=["minimize"] * len(problem.objectives), sampler=sampler(optuna.samplers, seed)
        )
        self._failed = optuna.trial.TrialState.FAIL
        self._options: dict[str, Any] = {
            decision.name: optuna.distributions.CategoricalDistribution(decision.options)
            for decision in problem.space.decisions
        }

    def propose(self) -> tuple[Any, Architecture]:
        trial = self._study.ask(self._options)
        choices = [decision.options.index(trial.params[decision.name]) for decision in self.problem.space.decisions]
        return trial, self.problem.space.decode(choices)

    def answer(self, ticket: Any, evaluation: Evaluation | None) -> None:
        point = self._costs(evaluation)
        if point is None:
            self._study.tell(ticket, state=self._failed)
        else:
            self._study.tell(ticket, point)


class PymooPeer(Peer):
    """NSGA-II of pymoo, with the operators that its documentation has for discrete variables.

    A failure is an individual that breaks a constraint. pymoo's operators for categorical variables take 1.5 to 2.5
    times as many queries here.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem as PymooProblem
        from pymoo.core.termination import NoTermination
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling

        super().__init__(problem, seed)
        self._algorithm = NSGA2(
            pop_size=POPULATION,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
            mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        last = np.array([len(decision.options) - 1 for decision in problem.space.decisions])
        asked = PymooProblem(
            n_var=len(last), n_obj=len(problem.objectives), n_ieq_constr=1, xl=np.zeros_like(last), xu=last, vtype=int
        )
        self._algorithm.setup(asked, termination=NoTermination(), seed=seed, verbose=False)
        self._generation: Any = None
        self._left: list[int] = []
        self._answers: dict[int, tuple[float, ...] | None] = {}

    def propose(self) -> tuple[Any, Architecture] | None:
        if self._generation is None:
            self._generation = self._algorithm.ask()
            if self._generation is None:
                return None
            self._left = list(range(len(self._generation)))
        if not self._left:
            return None
        index = self._left.pop(0)
        return index, self.problem.space.decode([int(choice) for choice in self._generation[index].X])

    def answer(self, ticket: Any, evaluation: Evaluation | None) -> None:
        self._answers[ticket] = self._costs(evaluation)
        if len(self._answers) < len(self._generation):
            return
        answers = [self._answers[index] for index in range(len(self._generation))]
        nowhere = (0.0,) * len(self.problem.objectives)
        self._generation.set("F", np.array([nowhere if point is None else point for point in answers]))
        self._generation.set("G", np.array([[float(point is None)] for point in answers]))
        self._algorithm.tell(infills=self._generation)
        self._generation, self._answers = None, {}


class LocalSearch(Peer):
    """Pareto local search (Paquete, Chiarandini, Stützle 2004): neighbours of the archive's members, in random order.

    It begins with as many random networks as the others' populations hold. Where all neighbours of the archive are
    known, a random network goes on.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        self._rng = np.random.default_rng(seed)
        self._proposed: set[Architecture] = set()
        self._found: dict[Architecture, tuple[float, ...]] = {}

    def propose(self) -> tuple[Any, Architecture]:
        chosen = self._next() if len(self._proposed) >= POPULATION else None
        while chosen is None or chosen in self._proposed:
            chosen = self.problem.space.sample(self._rng)
        self._proposed.add(chosen)
        return chosen, chosen

    def answer(self, ticket: Any, evaluation: Evaluation | None) -> None:
        point = self._costs(evaluation)
        if point is not None:
            self._found[ticket] = point

    def _next(self) -> Architecture | None:
        if not self._found:
            return None
        found = list(self._found)
        archive = np.flatnonzero(nondominated(np.array(list(self._found.values()))))
        for index in self._rng.permutation(archive):
            new = [n for n in neighbours(self.problem.space, found[index]) if n not in self._proposed]
            if new:
                return new[int(self._rng.integers(len(new)))]
        return None


#: By the names in the tables.
PEERS: Mapping[str, Callable[[Problem, int], Peer]] = {
    # Where there are several objectives, its default draws each decision alone. Here that repeats itself until a run
    # takes six times the processor time. Its default also takes trials that wait for answers for bad ones, which needs
    # more queries here, not fewer.
    "Optuna TPE": lambda problem, seed: OptunaPeer(
        problem, seed, lambda samplers, s: samplers.TPESampler(multivariate=True, constant_liar=False, seed=s)
    ),
    "Optuna NSGA-II": lambda problem, seed: OptunaPeer(
        problem, seed, lambda samplers, s: samplers.NSGAIISampler(population_size=POPULATION, seed=s)
    ),
    "pymoo NSGA-II": PymooPeer,
    "local search": LocalSearch,
}
