"""What is believed of candidates that nobody measured: their costs, and whether they will do at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.evaluations import Evaluation
from search.objectives import Constraint, Direction, Objective, Quantity
from search.pareto import Points
from search.predictors.base import Prediction
from search.predictors.design import Design
from search.predictors.gaussian import GaussianProcess
from search.spaces.base import Architecture

if TYPE_CHECKING:
    from search.spaces.base import Space

#: An accuracy that this share of the first candidates do not reach is of no use. It is learned as if it were no worse
#: than that: a model should not bend for how bad the useless are.
USELESS = 0.1
#: Examples of one figure, the first one and the latest: beyond them a Gaussian process becomes slow, not better.
_MOST_EXAMPLES = 400
#: Of an outcome that is 0 or 1, where all examples were alike.
_LEAST_DOUBT = 0.05


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What is believed of N candidates.

    Attributes:
        mean: expected costs, (N, objectives).
        std: their standard deviations; 0 for what is counted and not measured.
        chance: logarithm of the probability that the candidate does not fail and keeps the measured bounds, (N,).
    """

    mean: Points
    std: Points
    chance: NDArray[np.float64]


class Surrogates:
    """A Gaussian process for each measured figure, and one for who fails."""

    def __init__(
        self, space: Space, objectives: Sequence[Objective], constraints: Sequence[Constraint], seed: int
    ) -> None:
        """Nothing is learned yet.

        Args:
            space: of the candidates.
            objectives: whose costs are predicted.
            constraints: those on measured figures count; the others are kept before anything is asked for.
            seed: see `GaussianProcess`.
        """
        self._space = space
        self._objectives = tuple(objectives)
        self._bounds = [bound for bound in constraints if not bound.quantity.is_static]
        self._quantities: dict[str, Quantity] = {
            quantity.name: quantity
            for quantity in (goal.quantity for goals in (self._objectives, self._bounds) for goal in goals)
            if not quantity.is_static
        }
        design = Design(space)
        self._figures = {name: GaussianProcess(space, seed, design) for name in self._quantities}
        self._success = GaussianProcess(space, seed, design)
        self._some_fail = False

    def learn(self, told: Sequence[Evaluation], first: Sequence[Evaluation]) -> bool:
        """Learn anew.

        Args:
            told: all that is known, in the order of asking.
            first: those that were drawn at random.

        Returns:
            Whether every figure is known of two candidates; nothing can be predicted otherwise.
        """
        alive = [evaluation for evaluation in told if evaluation.failure is None]
        for name, quantity in self._quantities.items():
            known = [(e, value) for e in alive if (value := e.value(name).value) is not None]
            if len(known) < 2:
                return False
            values = np.array([value for _, value in known])
            if quantity.better is Direction.MAXIMIZE:
                values = np.maximum(values, quantile(first, name, USELESS))
            kept = _kept(len(known))
            self._figures[name].fit([Architecture(known[index][0].architecture) for index in kept], values[kept])
        self._some_fail = len(alive) < len(told)
        if self._some_fail:
            kept = _kept(len(told))
            outcomes = np.array([float(evaluation.failure is None) for evaluation in told])
            self._success.fit([Architecture(told[index].architecture) for index in kept], outcomes[kept])
        return True

    def believe(self, architectures: Sequence[Architecture]) -> Beliefs:
        """What is believed of these, after :meth:`learn` has returned True."""
        from scipy.special import log_ndtr

        predicted = {name: process.predict(architectures) for name, process in self._figures.items()}
        for objective in self._objectives:
            if objective.quantity.is_static:
                counts = [getattr(self._space, objective.quantity.kind)(a) for a in architectures]
                predicted[objective.name] = Prediction(np.array(counts, dtype=np.float64), np.zeros(len(counts)))
        mean = np.column_stack([goal.cost(1.0) * predicted[goal.name].mean for goal in self._objectives])
        std = np.column_stack([predicted[goal.name].std for goal in self._objectives])
        chance = np.zeros(len(architectures))
        for bound in self._bounds:
            figure = predicted[bound.name]
            room = (bound.bound - figure.mean) * (1.0 if bound.upper else -1.0)
            chance += log_ndtr(room / np.maximum(figure.std, 1e-9 * abs(bound.bound) + 1e-300))
        if self._some_fail:
            outcome = self._success.predict(architectures)
            chance += log_ndtr((outcome.mean - 0.5) / np.maximum(outcome.std, _LEAST_DOUBT))
        return Beliefs(mean, std, chance)


def quantile(evaluations: Sequence[Evaluation], name: str, share: float) -> float:
    """A quantile of a figure; minus infinity where nobody has it."""
    values = [value for e in evaluations if e.failure is None and (value := e.value(name).value) is not None]
    return float(np.quantile(values, share)) if values else -math.inf


def _kept(count: int) -> NDArray[np.int64]:
    half = _MOST_EXAMPLES // 2
    return np.arange(count) if count <= _MOST_EXAMPLES else np.r_[:half, count - half : count]
