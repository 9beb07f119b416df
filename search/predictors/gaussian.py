"""A Gaussian process over a space's features: figures with the uncertainty that a search needs.

::

    y(a)  =  mean  +  s² · [ w · linear(a, ·)  +  (1 − w) · Matérn 5/2 (‖a − ·‖ / l) ]  +  noise
                             what adds up          what is alike for networks that are alike

(Rasmussen & Williams 2006, equations 2.25, 2.26 and 4.17). The linear part is an additive cost model, the other learns
what is left. w, l, the noise and the columns (the space's features, these and each decision one-hot, or its operators)
are those with the most evidence (equation 5.8, with s² at its optimum), found by steps along one of them at a time. So
is the choice between figures and their logarithms, where all are positive: costs may span orders of magnitude.

The noise is not the device's: it is what sets a network apart from all that looks like it. It counts in the uncertainty
of a prediction, as only a measurement can tell.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.predictors.base import Prediction, Predictor
from search.predictors.design import Design

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space

Array = NDArray[np.float64]

#: Networks drawn to learn how much each feature varies in the space.
_DRAWN = 256
#: A feature that hardly varied among them counts as if it varied this much (one-hot: an option taken once in 400).
_LEAST_SPREAD = 0.05
_LENGTHS = (0.35, 0.7, 1.0, 1.4, 2.0, 4.0)
_LINEAR = (0.0, 0.2, 0.5, 0.8, 0.95)
_NOISES = 10.0 ** np.array([-5.0, -4.0, -3.0, -2.0, -1.5, -1.0, -0.5])
#: Examples that choose them: the cost is cubic.
_CHOOSE_BY = 200
#: Where the steps begin: length, linear share, and the columns of features with one-hot decisions.
_BEGIN = (2, 2, 1)
_JITTER = 1e-8


@dataclass(frozen=True)
class _Kernel:
    """What makes two networks alike.

    Attributes:
        length: of the Matérn part, 1 being the root mean square of standardised features.
        linear: share of the linear part, 0-1.
        columns: those that count, from the first to before the last.
        noise: variance that only the network itself has; 1 is that of the rest.
    """

    length: float
    linear: float
    columns: tuple[int, int]
    noise: float = 0.0

    def __call__(self, one: Array, other: Array) -> Array:
        """(N, M), without the noise."""
        one, other = self._counted(one), self._counted(other)
        products = (one @ other.T) / one.shape[1]
        squares = (one**2).mean(axis=1)[:, None] + (other**2).mean(axis=1) - 2 * products
        distances = np.sqrt(np.maximum(squares, 0.0) * (5.0 / self.length**2))
        alike = (1.0 + distances + distances**2 / 3.0) * np.exp(-distances)
        kernel: Array = (1.0 - self.linear) * alike + self.linear * products
        return kernel

    def of_itself(self, rows: Array) -> Array:
        """(N,): the diagonal, with the noise."""
        squares = (self._counted(rows) ** 2).mean(axis=1)
        diagonal: Array = 1.0 - self.linear + self.linear * squares + self.noise
        return diagonal

    def _counted(self, rows: Array) -> Array:
        return rows[:, self.columns[0] : self.columns[1]]


class GaussianProcess(Predictor):
    """One figure, with a standard deviation of what a measurement would say."""

    def __init__(self, space: Space, seed: int = 0, design: Design | None = None) -> None:
        """Nothing is learned yet.

        Args:
            space: whose architectures it learns.
            seed: of the networks that tell how features vary.
            design: shared with other predictors of the space, so that features are worked out once.
        """
        super().__init__(space, seed)
        self._design = design or Design(space)
        rng = np.random.default_rng(seed)
        networks = [space.sample(rng) for _ in range(_DRAWN)]
        # Those that occur among them: of others there is nothing to learn how much they vary.
        self._operators = self._design.operators(networks)
        drawn = self._columns(networks)
        self._centre, self._spread = drawn.mean(axis=0), np.maximum(drawn.std(axis=0), _LEAST_SPREAD)

    def _fit(self, architectures: Sequence[Architecture], values: Array) -> None:
        self._rows = self._standardised(architectures)
        chosen = np.linspace(0, len(values) - 1, min(len(values), _CHOOSE_BY)).astype(np.int64)
        self._kernel, self._log = self._most_evidence(chosen, values)
        target = np.log(values) if self._log else values
        self._middle, self._unit = float(target.mean()), float(target.std()) or 1.0
        gram = self._kernel(self._rows, self._rows)
        gram[np.diag_indices_from(gram)] += self._kernel.noise + _JITTER
        self._factor = np.linalg.cholesky(gram)
        half = np.linalg.solve(self._factor, (target - self._middle) / self._unit)
        self._weights = np.linalg.solve(self._factor.T, half)
        self._variance = float(half @ half) / len(half)

    def _predict(self, architectures: Sequence[Architecture]) -> Prediction:
        from scipy.linalg import solve_triangular

        rows = self._standardised(architectures)
        kernel = self._kernel(self._rows, rows)
        explained = solve_triangular(self._factor, kernel, lower=True, check_finite=False)
        variance = self._variance * np.maximum(self._kernel.of_itself(rows) - (explained**2).sum(axis=0), _JITTER)
        mean = self._middle + self._unit * (kernel.T @ self._weights)
        std = self._unit * np.sqrt(variance)
        if self._log:
            mean = np.exp(mean)
            std = mean * std
        return Prediction(mean, std)

    def _standardised(self, architectures: Sequence[Architecture]) -> Array:
        rows: Array = (self._columns(architectures) - self._centre) / self._spread
        return rows

    def _columns(self, architectures: Sequence[Architecture]) -> Array:
        """(N, …): features, one-hot decisions, operators."""
        return np.hstack([self._design.features(architectures), self._design.counts(architectures, self._operators)])

    def _most_evidence(self, chosen: NDArray[np.int64], values: Array) -> tuple[_Kernel, bool]:
        """The kernel, and whether to learn logarithms."""
        rows, values = self._rows[chosen], values[chosen]
        targets = [(False, values, 0.0)]
        if values.min() > 0.0:
            targets.append((True, np.log(values), -float(np.log(values).sum())))
        features, decisions = len(self.space.feature_names), rows.shape[1] - len(self._operators)
        columns = [(0, features), (0, decisions)]
        if self._operators:
            columns.append((decisions, rows.shape[1]))
        known: dict[tuple[int, ...], tuple[float, _Kernel, bool]] = {}

        def evidence(place: tuple[int, ...]) -> float:
            if place not in known:
                length, linear, what = place
                kernel = _Kernel(_LENGTHS[length], _LINEAR[linear], columns[what])
                known[place] = max(_evidences(kernel, rows, targets), key=lambda found: found[0])
            return known[place][0]

        best: tuple[int, ...] = _BEGIN
        before: tuple[int, ...] = ()
        while best != before:
            before = best
            for axis, size in enumerate((len(_LENGTHS), len(_LINEAR), len(columns))):
                steps = [step for step in range(size) if abs(step - best[axis]) <= 1 or axis == len(best) - 1]
                best = max((_moved(best, axis, step) for step in steps), key=evidence)
        return known[best][1:]


def _moved(place: tuple[int, ...], axis: int, step: int) -> tuple[int, ...]:
    return (*place[:axis], step, *place[axis + 1 :])


def _evidences(
    kernel: _Kernel, rows: Array, targets: Sequence[tuple[bool, Array, float]]
) -> list[tuple[float, _Kernel, bool]]:
    """The logarithm of the evidence for each target and noise, but for a constant."""
    levels, vectors = np.linalg.eigh(kernel(rows, rows))
    levels = np.maximum(levels, 0.0)
    found = []
    for (is_log, target, jacobian), noise in itertools.product(targets, _NOISES):
        unit = float(target.std()) or 1.0
        projected = (vectors.T @ ((target - target.mean()) / unit)) ** 2
        spread = levels + noise + _JITTER
        variance = max(float((projected / spread).mean()), _JITTER)
        fit = -0.5 * len(target) * math.log(variance) - 0.5 * float(np.log(spread).sum())
        complete = fit - len(target) * math.log(unit) + jacobian
        found.append((complete, _Kernel(kernel.length, kernel.linear, kernel.columns, float(noise)), is_log))
    return found
