"""What was told as trials of Optuna, and a study of them in a database, for its dashboard and other readers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import OptunaError
from optuna.study import StudyDirection, create_study
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from search.errors import StrategyError
from search.evaluations import Evaluation
from search.objectives import Constraint, Objective

if TYPE_CHECKING:
    from search.spaces.base import Space


@dataclass(frozen=True)
class Trials:
    """Evaluations as Optuna's trials, with `number` and `architecture` as user attributes.

    A candidate that failed, or lacks a figure of an objective or of a bound, is a failed trial, from which Optuna's
    samplers learn nothing.

    Attributes:
        space: every decision is a categorical parameter.
        objectives: what trials have values of, in SI units.
        constraints: of each, how far it is broken, as a share of the bound; 0 where it is kept.
    """

    space: Space
    objectives: Sequence[Objective]
    constraints: Sequence[Constraint]

    @cached_property
    def parameters(self) -> dict[str, BaseDistribution]:
        """By the names of the decisions."""
        return {d.name: CategoricalDistribution(d.options) for d in self.space.decisions}

    @property
    def directions(self) -> list[StudyDirection]:
        """Of the values."""
        return [StudyDirection[objective.direction.name] for objective in self.objectives]

    def trial(self, evaluation: Evaluation) -> FrozenTrial:
        """Finished, in no study yet."""
        names = [objective.name for objective in self.objectives] + [bound.name for bound in self.constraints]
        found = [evaluation.value(name).value for name in names]
        known = [value for value in found if value is not None]
        complete = evaluation.failure is None and len(known) == len(found)
        count = len(self.objectives)
        attributes: dict[str, Any] = {"number": evaluation.number, "architecture": evaluation.architecture}
        if evaluation.failure is not None:
            attributes["failure"] = f"{evaluation.failure.kind}: {evaluation.failure.message}"
        bounds = zip(self.constraints, known[count:], strict=True) if complete else ()
        choices = zip(self.space.decisions, self.space.encode(self.space.parse(evaluation.architecture)), strict=True)
        return create_trial(
            state=TrialState.COMPLETE if complete else TrialState.FAIL,
            values=known[:count] if complete else None,
            params={decision.name: decision.options[choice] for decision, choice in choices},
            distributions=self.parameters,
            user_attrs=attributes,
            constraints={str(bound): bound.violation(value) for bound, value in bounds},
        )


class Storage:
    """A study in a database."""

    def __init__(self, url: str, name: str, trials: Trials) -> None:
        """Open the study, or begin it.

        Raises:
            StrategyError: the database cannot be opened, or its study of that name is after other objectives.
        """
        self._name = name
        self._trials = trials
        names = [objective.name for objective in trials.objectives]
        with _in_plain_words():
            self._study = create_study(storage=url, study_name=name, directions=trials.directions, load_if_exists=True)
            if not self._study.metric_names:
                self._study.set_metric_names(names)
            self._there = {t.user_attrs.get("number"): t.user_attrs.get("architecture") for t in self._study.trials}
        if self._study.metric_names != names:
            after = ", ".join(self._study.metric_names or [])
            raise StrategyError(f"study: {name!r} in the storage is after {after}", "give another name")

    def add(self, evaluation: Evaluation) -> None:
        """Write it down, unless it is there from an earlier life of the search.

        Raises:
            StrategyError: the trial of that number is another's, or the database is not there any more.
        """
        there = self._there.get(evaluation.number)
        if there is None:
            with _in_plain_words():
                self._study.add_trial(self._trials.trial(evaluation))
            self._there[evaluation.number] = evaluation.architecture
        elif there != evaluation.architecture:
            raise StrategyError(
                f"study: candidate {evaluation.number} of {self._name!r} in the storage is {there}, of another search",
                "give another name",
            )


@contextmanager
def _in_plain_words() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, OptunaError, ImportError, ValueError) as error:
        # Without the URL: it may hold a password.
        reason = str(error).splitlines()[0]
        raise StrategyError(f"storage: Optuna cannot use it: {reason}", "write sqlite:///FILE.db") from error
