"""What predictors share that see an architecture as a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from search.predictors.base import Predictor, PredictorError

if TYPE_CHECKING:
    from search.spaces.base import GraphSpace, Space


class GraphPredictor(Predictor):
    """Learns from the cells of a space; it cannot tell how unsure it is.

    Attributes:
        epochs: how often it sees each example.
    """

    space: GraphSpace
    epochs: int

    def __init__(self, space: Space, seed: int, epochs: int) -> None:
        """Nothing is learned yet.

        Raises:
            PredictorError: the networks of the space repeat no cell, or there are no epochs.
        """
        if not hasattr(space, "graph"):
            raise PredictorError(
                f"{type(self).__name__} learns from cells, and networks of {space.name} repeat none",
                "take a predictor that learns from features, for example Gbdt",
            )
        if epochs < 1:
            raise PredictorError(f"{type(self).__name__} needs at least one epoch, not {epochs}")
        super().__init__(space, seed)
        self.space = cast("GraphSpace", space)
        self.epochs = epochs
