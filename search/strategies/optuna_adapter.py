"""Optuna's samplers (Akiba et al. 2019) as strategies; needs Optuna 5.

    told, by number ──► study in memory ──► sampler ──► proposal, proposal, proposal, …   until something else is told
                                                           │         ╳ known    └► asked for
                                                           └► asked for
    told ──► study in `storage`, for Optuna's dashboard and whatever else reads studies

Every decision of the space is a categorical parameter; the study holds canonical spellings. A failure, or a missing
figure, is a failed trial, from which Optuna's samplers learn nothing. Between two tells proposals are running trials,
from which TPE keeps away (its "constant liar"): it would propose the same again and again. What is known already, in
whatever spelling, is among them, and costs nothing.

Bounds on measured figures are Optuna's constraints, which its samplers prefer to keep but do not enforce (optuna#4578);
bounds on MACs and parameters are kept as by every strategy. Samplers run with their published defaults, but for a
population of 20 instead of 50, which is better at budgets of a few hundred. Generations are made of what was told by
the order of asking, and not of whatever came in first, so that a run that was broken off goes on exactly as it would
have. For the same reason an answer that comes after one of a higher number makes the study anew.

To look at a search while it runs, with `storage: sqlite:///search.db`::

    pip install optuna-dashboard
    optuna-dashboard sqlite:///search.db
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import optuna
from optuna.samplers import BaseGASampler, BaseSampler, NSGAIIISampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from search.evaluations import Evaluation
from search.objectives import Constraint, Objective
from search.strategies.base import Strategy
from search.strategies.known import by_number
from search.strategies.optuna_storage import Storage, Trials
from search.strategies.settings import checked_count, checked_name

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space

#: Proposals in a row that are known or not allowed, before the space is sampled: the sampler has made up its mind.
_PATIENCE = 50
_SEEDS = 2**32


class OptunaSearch(Strategy):
    """A sampler of Optuna under ask/tell."""

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        seed: int = 0,
        sampler: str = "tpe",
        population: int = 20,
        storage: str = "",
        study: str = "gauntlet",
    ) -> None:
        """Begin a search.

        Args:
            space: see `Strategy`.
            objectives: see `Strategy`.
            constraints: see `Strategy`.
            seed: see `Strategy`.
            sampler: "tpe", "nsgaii", "nsgaiii" or "random".
            population: of the two NSGAs.
            storage: URL of a database for what was told, such as sqlite:///search.db; empty for none.
            study: the study's name there. A search that goes on finds its own trials again.

        Raises:
            StrategyError: a setting is impossible, or the database or the study there cannot be used.
        """
        super().__init__(space, objectives, constraints, seed)
        self._kind = checked_name("sampler", sampler, tuple(_SAMPLERS))
        self._population = checked_count("population", population, 2)
        self._trials = Trials(space, self.objectives, self.constraints)
        with _quietly():
            self._storage = Storage(storage, study, self._trials) if storage else None
            self._begin()

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """See `Strategy`; what was told is in the storage when this returns."""
        before = len(self.evaluations)
        super().tell(evaluations)
        if self._storage is not None:
            with _quietly():
                for evaluation in self.evaluations[before:]:
                    self._storage.add(evaluation)

    def _begin(self) -> None:
        """Make the study in memory anew, with no trials."""
        self._study = optuna.create_study(directions=self._trials.directions)
        self._generations = _Generations(self._population, self.seed)
        self._learned: list[int] = []
        self._turn()

    def _turn(self) -> None:
        """Begin to propose after what the study has learned."""
        self._running: list[Trial] = []
        self._proposed: set[str] = set()
        self._in_vain = 0
        seed = np.random.default_rng((self.seed, len(self._learned))).integers(_SEEDS)
        self._study.sampler = _SAMPLERS[self._kind](self._generations, int(seed))

    def _catch_up(self) -> None:
        """Bring the study in memory up to date with what was told."""
        if len(self._learned) == len(self.evaluations):
            return
        ordered = by_number(self.evaluations)
        if [evaluation.number for evaluation in ordered[: len(self._learned)]] != self._learned:
            self._begin()
        for trial in self._running:
            self._study.tell(trial, state=TrialState.FAIL)
        for evaluation in ordered[len(self._learned) :]:
            self._study.add_trial(self._trials.trial(evaluation))
            self._learned.append(evaluation.number)
        self._generations.advance(self._study, _SAMPLERS[self._kind])
        self._turn()

    def _propose(self, rng: np.random.Generator, attempt: int) -> Architecture:
        with _quietly():
            self._catch_up()
            proposed = self._next()
        return self.space.sample(rng) if proposed is None else proposed

    def _next(self) -> Architecture | None:
        """The next proposal that is worth asking for, whether or not it was asked for; None: there will be none.

        What it is depends on what was told and on how many were proposed since, not on what is still to be told: so a
        run that was broken off finds the same ones again, and passes over those that were asked for.
        """
        while self._in_vain < _PATIENCE:
            trial = self._study.ask(dict(self._trials.parameters))
            self._running.append(trial)
            choices = [d.options.index(trial.params[d.name]) for d in self.space.decisions]
            architecture = self.space.decode(choices)
            known = architecture.text in self._told or architecture.text in self._proposed
            if known or not self._may_be_asked_for(architecture):
                self._in_vain += 1
                continue
            self._in_vain = 0
            self._proposed.add(architecture.text)
            return architecture
        return None


class _Generations:
    """Who belongs to which generation, and who are its parents.

    Attributes:
        size: of a generation.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self._seed = seed
        self._complete: list[FrozenTrial] = []
        self._parents: list[list[FrozenTrial]] = [[]]

    @property
    def current(self) -> int:
        return len(self._complete) // self.size

    def members(self, generation: int) -> list[FrozenTrial]:
        return self._complete[generation * self.size : (generation + 1) * self.size]

    def parents(self, generation: int) -> list[FrozenTrial]:
        return self._parents[generation]

    def advance(self, study: Study, make: _Make) -> None:
        """Take in what the study has learned."""
        self._complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        while len(self._parents) <= self.current:
            # With a seed of its own: who selects the parents, by chance where NSGA-III does, does not decide on them.
            generation = len(self._parents)
            sampler = make(self, self._seed + generation)
            selected = sampler.select_parent(study, generation) if isinstance(sampler, BaseGASampler) else []
            self._parents.append(selected)


class _ByNumber:
    """Tells a sampler about generations, through what Optuna offers for that."""

    _generations: _Generations

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        return self._generations.current

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        return self._generations.members(generation)

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        return self._generations.parents(generation)


class _Nsga2(_ByNumber, NSGAIISampler):
    def __init__(self, generations: _Generations, seed: int) -> None:
        super().__init__(population_size=generations.size, seed=seed)
        self._generations = generations


class _Nsga3(_ByNumber, NSGAIIISampler):
    def __init__(self, generations: _Generations, seed: int) -> None:
        super().__init__(population_size=generations.size, seed=seed)
        self._generations = generations


_GENETIC = {"nsgaii": _Nsga2, "nsgaiii": _Nsga3}


_Make = Callable[[_Generations, int], BaseSampler]
_SAMPLERS: Mapping[str, _Make] = {
    "tpe": lambda _, seed: TPESampler(seed=seed),
    "nsgaii": _Nsga2,
    "nsgaiii": _Nsga3,
    "random": lambda _, seed: RandomSampler(seed),
}


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Optuna's word on each trial and on what it may change some day."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(verbosity)
