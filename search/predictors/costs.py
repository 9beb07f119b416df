"""What a network costs on one device, learned from the first measurements: operators add up, trees learn the rest.

::

    cost(a)  =  ( w₀ + w_m · MACs(a) + Σ_k w_k · operators_k(a) )  ·  exp( trees(features(a)) )
                  all weights ≥ 0, ridge on w_k, λ by leave-one-out        only where they help, out of fold

Costs are positive and span orders of magnitude, so relative errors count throughout: the sum is fitted to y with
weights 1 / (y + a tenth of the median), and the trees to the logarithm of what it leaves, pulled in to two robust
deviations, as recorded latencies have heavy tails. What an operator costs that no example had is told by its share in
the MACs, for which w_m is not held back while the w_k are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.predictors.base import Prediction, Predictor, PredictorError
from search.predictors.design import Design

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space

Array = NDArray[np.float64]

#: Penalty of the intercept and of the MACs beside that of an operator.
_FREE = 1e-4
_RIDGE = 10.0 ** np.arange(-5.0, 2.0)
_FOLDS = 4
#: Fewer examples than these say nothing about what is left: a leaf holds five.
_LEAST_FOR_TREES = 20
#: Chosen on Pixel 3 and Edge GPU latencies of NAS-Bench-201.
_ROUNDS = 30
_TREES = {
    "objective": "l2",
    "num_leaves": 8,
    "learning_rate": 0.2,
    "min_data_in_leaf": 5,
    "lambda_l2": 1.0,
    "max_bin": 31,
    "min_data_in_bin": 1,
    "feature_pre_filter": False,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
#: Share of a normal distribution within one standard deviation.
_ONE_SIGMA = 0.6827


@dataclass(frozen=True, eq=False)
class Interval:
    """Bounds of figures.

    Attributes:
        low: (N,), at least 0.
        high: (N,); infinite where there are too few examples to tell.
    """

    low: Array
    high: Array


class CostModel(Predictor):
    """Latency or energy on one device.

    Deviations are those of four-fold cross-validation, as ratios, so that an interval is wider for dearer networks.
    Like the jackknife's they are conservative where a quarter more examples help, and hold for networks that are drawn
    like the examples were.
    """

    def __init__(self, space: Space, seed: int = 0, design: Design | None = None) -> None:
        """Nothing is learned yet.

        Args:
            space: whose architectures it learns.
            seed: of the folds.
            design: shared with other predictors of the space, so that features are worked out once.
        """
        super().__init__(space, seed)
        self._design = design or Design(space)
        self._operators: list[str] = []
        self._sum = _Sum(np.zeros(2), 0.0)
        self._trees: Callable[[Array], Array] | None = None
        self._deviations = np.zeros(0)

    @property
    def uses_trees(self) -> bool:
        """Did trees help, out of fold?"""
        return self._trees is not None

    def interval(self, architectures: Sequence[Architecture], confidence: float = 0.95) -> Interval:
        """Bounds between which a measurement of each would lie with that confidence.

        Args:
            architectures: of the space.
            confidence: above 0, below 1. With n examples, none above n / (n + 1) has finite bounds.

        Raises:
            PredictorError: nothing was learned yet, or no such confidence.
        """
        if not 0.0 < confidence < 1.0:
            raise PredictorError(f"a confidence is between 0 and 1, not {confidence}")
        mean = self.predict(architectures).mean
        ratio = self._ratio(confidence)
        return Interval(mean / ratio, mean * ratio)

    def _ratio(self, confidence: float) -> float:
        """By how much a figure may be off, as a ratio above 1: the split-conformal rank among the deviations."""
        rank = math.ceil((len(self._deviations) + 1) * confidence)
        return math.exp(self._deviations[rank - 1]) if rank <= len(self._deviations) else math.inf

    def _fit(self, architectures: Sequence[Architecture], values: Array) -> None:
        if values.min() <= 0.0:
            where = architectures[int(values.argmin())]
            raise PredictorError(f"the cost of {where} is {values.min()}: costs are positive", "leave it out")
        features = self._design.features(architectures)
        run = self._design.operators(architectures)
        # Where they stand (see `Space.operators`) is left to the trees: few examples cannot tell so many costs apart.
        self._operators = [key for key in run if " " not in key or key.split(" ")[0] not in run]
        terms = self._terms(architectures)
        ridge = _best_ridge(terms, values)
        self._sum = _Sum.fitted(terms, values, ridge)
        self._trees = None

        count = len(values)
        folds = min(_FOLDS, count)
        fold = np.random.default_rng(self.seed).permutation(count) % folds
        plain, boosted = np.zeros(count), np.zeros(count)
        with_trees = count >= _LEAST_FOR_TREES
        for number in range(folds if count > 1 else 0):
            held, kept = fold == number, fold != number
            part = _Sum.fitted(terms[kept], values[kept], ridge)
            plain[held] = np.log(values[held] / part(terms[held]))
            if with_trees:
                trees = _boosted(features[kept], np.log(values[kept] / part(terms[kept])))
                boosted[held] = plain[held] - trees(features[held])
        deviations = plain
        gained = np.abs(_pulled_in(plain)) - np.abs(_pulled_in(boosted))
        # By more than its standard error: the better of two by chance is no better.
        if with_trees and gained.mean() > gained.std() / math.sqrt(count):
            deviations = boosted
            self._trees = _boosted(features, np.log(values / self._sum(terms)))
        self._deviations = np.sort(np.abs(deviations)) if count > 1 else np.zeros(0)

    def _predict(self, architectures: Sequence[Architecture]) -> Prediction:
        mean = self._sum(self._terms(architectures))
        if self._trees is not None:
            mean = mean * np.exp(self._trees(self._design.features(architectures)))
        if len(self._deviations) == 0:
            return Prediction(mean, np.zeros(len(mean)))
        return Prediction(mean, mean * math.expm1(float(np.quantile(self._deviations, _ONE_SIGMA))))

    def _terms(self, architectures: Sequence[Architecture]) -> Array:
        """(N, 2 + K): an intercept, the MACs, the operators that an example had."""
        counts = self._design.counts(architectures, self._operators)
        return np.column_stack([np.ones(len(counts)), self._design.macs(architectures), counts])


@dataclass(frozen=True, eq=False)
class _Sum:
    """The additive part.

    Attributes:
        weights: of the terms, not negative.
        least: no network is said to cost less: a tenth of the cheapest example.
    """

    weights: Array
    least: float

    @classmethod
    def fitted(cls, terms: Array, values: Array, ridge: float) -> _Sum:
        from scipy.optimize import nnls

        scaled, scale, target = _weighted(terms, values)
        # By the Cholesky factor of the penalised Gram matrix: as many rows as terms, however many examples.
        gram = scaled.T @ scaled + ridge * len(values) * np.eye(scaled.shape[1])
        factor = np.linalg.cholesky(gram)
        weights, _ = nnls(factor.T, np.linalg.solve(factor, scaled.T @ target))
        return cls(weights / scale, float(values.min()) / 10)

    def __call__(self, terms: Array) -> Array:
        return np.maximum(terms @ self.weights, self.least)


def _weighted(terms: Array, values: Array) -> tuple[Array, Array, Array]:
    """Terms and figures such that squared differences are relative errors and one penalty suits all terms.

    Returns:
        The scaled terms (N, K), by what each was divided (K,), and the target (N,).
    """
    weight = 1.0 / (values + 0.1 * np.median(values))
    rows = terms * weight[:, None]
    scale = np.sqrt((rows**2).mean(axis=0))
    scale[scale == 0.0] = 1.0
    scale[:2] *= math.sqrt(_FREE)
    return rows / scale, scale, values * weight


def _best_ridge(terms: Array, values: Array) -> float:
    """The penalty with the least leave-one-out error: in closed form, of the fit without bounds on the weights."""
    scaled, _, target = _weighted(terms, values)
    left, singular, _ = np.linalg.svd(scaled, full_matrices=False)
    projected = left.T @ target
    best, least = float(_RIDGE[-1]), math.inf
    for ridge in _RIDGE:
        shrink = singular**2 / (singular**2 + ridge * len(values))
        residual = target - left @ (shrink * projected)
        leverage = (left**2) @ shrink
        error = float(np.abs(residual / np.maximum(1.0 - leverage, 1e-9)).mean())
        if error < least:
            best, least = float(ridge), error
    return best


def _pulled_in(ratios: Array) -> Array:
    """Logarithms of ratios, none further from their median than two robust standard deviations."""
    middle = float(np.median(ratios))
    reach = 2 * 1.4826 * float(np.median(np.abs(ratios - middle)))
    return np.clip(ratios, middle - reach, middle + reach)


def _boosted(features: Array, ratios: Array) -> Callable[[Array], Array]:
    """Boosted trees for the logarithm of a ratio."""
    import lightgbm

    # Not lightgbm.train: it writes the model out as text and reads it again, a quarter of the time at 100 examples.
    booster = lightgbm.Booster(_TREES, lightgbm.Dataset(features, _pulled_in(ratios), params=_TREES))
    for _ in range(_ROUNDS):
        booster.update()

    def predict(rows: Array) -> Array:
        return np.asarray(booster.predict(rows, num_threads=1), dtype=np.float64)

    return predict
