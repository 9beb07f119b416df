"""What every predictor does: learn a figure of architectures from some, and predict it for others."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.errors import SearchError

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space


class PredictorError(SearchError):
    """A predictor was given what it cannot learn from, or asked before it learned."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted figures.

    Attributes:
        mean: (N,), in the unit that was learned. Of a predictor that only ranks: scores, in no unit.
        std: (N,), how unsure the predictor is, as a standard deviation in the same unit; zeros where it cannot tell.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


class Predictor(ABC):
    """Learns one figure of the architectures of one space. Deterministic by seed, whatever the order of the examples.

    Attributes:
        space: whose architectures it learns.
        seed: of all that is random in it.
    """

    #: False for predictors that learn an order and not a figure.
    predicts_figures = True

    def __init__(self, space: Space, seed: int = 0) -> None:
        self.space = space
        self.seed = seed
        self._learned = False

    def fit(self, architectures: Sequence[Architecture], values: Sequence[float] | NDArray[np.float64]) -> None:
        """Learn, forgetting what was learned before.

        Args:
            architectures: at least one, each once, canonical.
            values: a finite figure for each.

        Raises:
            PredictorError: no examples, as many figures as architectures are not given, one is not finite, or an
                architecture is given twice.
        """
        targets = np.asarray(values, dtype=np.float64)
        if len(architectures) == 0 or targets.shape != (len(architectures),):
            raise PredictorError(f"{len(architectures)} architectures and {targets.size} figures to learn from")
        if not np.isfinite(targets).all():
            where = architectures[int(np.flatnonzero(~np.isfinite(targets))[0])]
            raise PredictorError(f"the figure of {where} is not finite", "leave out what was not measured")
        order = sorted(range(len(architectures)), key=lambda index: architectures[index].text)
        for first, second in itertools.pairwise(order):
            if architectures[first].text == architectures[second].text:
                raise PredictorError(f"{architectures[first]} was given twice", "give each once, with one figure")
        self._fit([architectures[index] for index in order], targets[order])
        self._learned = True

    def predict(self, architectures: Sequence[Architecture]) -> Prediction:
        """Predict.

        Raises:
            PredictorError: nothing was learned yet.
        """
        if not self._learned:
            raise PredictorError("nothing was learned yet", "call fit first")
        if len(architectures) == 0:
            return Prediction(np.zeros(0), np.zeros(0))
        return self._predict(architectures)

    @abstractmethod
    def _fit(self, architectures: Sequence[Architecture], values: NDArray[np.float64]) -> None:
        """Learn from checked examples, in the order of their texts."""

    @abstractmethod
    def _predict(self, architectures: Sequence[Architecture]) -> Prediction:
        """Predict at least one."""
