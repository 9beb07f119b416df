"""Neural Predictor: graph convolutions along a cell's edges and against them (Wen et al. 2020).

The paper's cells have their operations on the nodes; here each edge becomes a vertex, followed by those that leave the
node which it enters, between an input and an output. Three convolutions of 144, the mean over the vertices, two layers
more (section 3 of "Neural Predictor for Neural Architecture Search", ECCV 2020); regression by squared error on
standardised figures. Its second network, which sorts out the worst cells first, is not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.predictors.base import Prediction
from search.predictors.graphs import GraphPredictor

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space


class NeuralPredictor(GraphPredictor):
    """Figures of cells."""

    def __init__(self, space: Space, seed: int = 0, epochs: int = 300) -> None:
        """Nothing is learned yet.

        Args:
            space: whose cells it learns.
            seed: of weights, order and dropout.
            epochs: how often it sees each example.

        Raises:
            PredictorError: the networks of the space repeat no cell, or there are no epochs.
        """
        super().__init__(space, seed, epochs)

    def _fit(self, architectures: Sequence[Architecture], values: NDArray[np.float64]) -> None:
        from torch.nn.functional import mse_loss  # torch takes a second to load

        from search.predictors.cells import Cells, Training, train
        from search.predictors.neural_network import NeuralNetwork

        self._middle, self._spread = float(values.mean()), float(values.std()) or 1.0
        operations = len(self.space.operation_names)
        self._module = train(
            lambda: NeuralNetwork(operations),
            Cells.of(self.space, architectures),
            (values - self._middle) / self._spread,
            mse_loss,
            Training(self.epochs, batch=32, rate=3e-3, decay=1e-3),
            self.seed,
        )

    def _predict(self, architectures: Sequence[Architecture]) -> Prediction:
        from search.predictors.cells import Cells, outputs

        found = outputs(self._module, Cells.of(self.space, architectures))
        return Prediction(self._middle + self._spread * found, np.zeros(len(found)))
