"""Boosted trees with the settings of GBDT-NAS (Luo et al. 2020, "Neural Architecture Search with GBDT").

100 rounds, 31 leaves, learning rate 0.05, nine tenths of the features in each tree, and four fifths of the examples,
drawn anew every five trees, as published; squared error on standardised figures. They see the space's features beside
the one-hot decisions, which are all that the paper's trees see: that is worth more than any setting
(`benchmarks/predictors.py`). A leaf may hold five examples: LightGBM's twenty, which did for the paper's 1,000, leave
no tree to grow on 78.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.predictors.base import Prediction, Predictor
from search.predictors.design import Design

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space

_ROUNDS = 100
_LEAF = 5
_TREES = {
    "objective": "regression",
    "num_leaves": 31,
    "learning_rate": 0.05,
    "min_data_in_leaf": _LEAF,
    "feature_fraction": 0.9,
    "bagging_fraction": 0.8,
    "bagging_freq": 5,
    "feature_pre_filter": False,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


class Gbdt(Predictor):
    """Figures of architectures; it cannot tell how unsure it is."""

    def __init__(self, space: Space, seed: int = 0, design: Design | None = None) -> None:
        """Nothing is learned yet.

        Args:
            space: whose architectures it learns.
            seed: of the features and examples that a tree sees.
            design: shared with other predictors of the space, so that features are worked out once.
        """
        super().__init__(space, seed)
        self._design = design or Design(space)

    def _rows(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """(N, F): what the trees see."""
        return self._design.features(architectures)

    def _fit(self, architectures: Sequence[Architecture], values: NDArray[np.float64]) -> None:
        import lightgbm

        rows = self._rows(architectures)
        self._middle, self._spread = float(values.mean()), float(values.std()) or 1.0
        self._booster = None
        if len(rows) >= 2 * _LEAF:  # else no split is possible
            trees = {**_TREES, "seed": self.seed}
            data = lightgbm.Dataset(rows, (values - self._middle) / self._spread, params=trees)
            self._booster = lightgbm.train(trees, data, _ROUNDS)

    def _predict(self, architectures: Sequence[Architecture]) -> Prediction:
        rows = self._rows(architectures)
        found = np.zeros(len(rows))
        if self._booster is not None:
            found = np.asarray(self._booster.predict(rows, num_threads=1), dtype=np.float64)
        return Prediction(self._middle + self._spread * found, np.zeros(len(rows)))
