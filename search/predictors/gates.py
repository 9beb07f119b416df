"""GATES: a cell encoded by what its operations do to the information that flows through it (Ning et al. 2020).

::

    node 0: learned ──σ(W_o·emb(3×3))⊙──▶ node 1 ──σ(W_o·emb(skip))⊙──▶ node 2 …     the last node's state ▶ MLP ▶ score

An operation is a soft gate on the state of the node that its edge leaves, projected; a node adds up what enters it
(section 3.3 of "A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS", ECCV 2020,
operations on edges). Five layers of 128. Trained by the hinge between pairs, max(0, m - (s_better - s_worse)) with
m = 0.1 (section 3.4), so that it ranks, and says nothing of figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from search.predictors.base import Prediction, Predictor, PredictorError

if TYPE_CHECKING:
    from search.spaces.base import Architecture, GraphSpace, Space


class Gates(Predictor):
    """Scores cells: the higher, the larger the figure that was learned."""

    predicts_figures = False
    space: GraphSpace

    def __init__(self, space: Space, seed: int = 0, epochs: int = 200) -> None:
        """Nothing is learned yet.

        Args:
            space: whose cells it learns.
            seed: of weights, order and dropout.
            epochs: how often it sees each example.

        Raises:
            PredictorError: the networks of the space repeat no cell, or there are no epochs.
        """
        if not hasattr(space, "graph"):
            raise PredictorError(
                f"GATES learns from cells, and networks of {space.name} repeat none",
                "take a predictor that learns from features",
            )
        if epochs < 1:
            raise PredictorError(f"GATES needs at least one epoch, not {epochs}")
        super().__init__(space, seed)
        self.space = cast("GraphSpace", space)
        self.epochs = epochs

    def _fit(self, architectures: Sequence[Architecture], values: NDArray[np.float64]) -> None:
        from search.predictors import gates_network as network  # torch takes a second to load
        from search.predictors.cells import Cells, Training, train

        cells = Cells.of(self.space, architectures)
        operations = len(self.space.operation_names)
        # As many layers as the longest way may have edges, so that what enters reaches the last node.
        layers = max(network.LAYERS, cells.width - 1)
        self._module = train(
            lambda: network.GatesNetwork(operations, layers),
            cells,
            values,
            network.hinge,
            Training(self.epochs, batch=32, rate=1e-3),
            self.seed,
        )

    def _predict(self, architectures: Sequence[Architecture]) -> Prediction:
        from search.predictors.cells import Cells, outputs

        scores = outputs(self._module, Cells.of(self.space, architectures))
        return Prediction(scores, np.zeros(len(scores)))
