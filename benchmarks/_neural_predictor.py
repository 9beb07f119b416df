"""A peer of GATES: the Neural Predictor, graph convolutions along a cell's edges and against them (Wen et al. 2020).

The paper's cells have their operations on the nodes; here each edge becomes a vertex, followed by those that leave the
node which it enters, between an input and an output. Three convolutions of 144, the mean over the vertices, two layers
more (section 3 of "Neural Predictor for Neural Architecture Search", ECCV 2020); regression by squared error on
standardised figures. Its second network, which sorts out the worst cells first, is not here. Adam at 3e-3 in batches of
32: the published 1e-4 in batches of 10 ranked worse, on the validation accuracy.

It is a peer and no part of the product, as its published lead over a perceptron on one-hot decisions (figure 1 of its
supplement, on NAS-Bench-101) was found here from 78 cells only, and not from 390.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search.predictors.base import Prediction, Predictor
from search.predictors.cells import Cells, Training, outputs, train
from search.spaces.base import Architecture, GraphSpace

_TRAINING = Training(epochs=300, batch=32, rate=3e-3, decay=1e-3)
_LAYERS = 3
_WIDTH = 144
_HIDDEN = 128
_DROPOUT = 0.1


class _Convolution(nn.Module):
    """The mean of what comes from before a vertex and from behind it (equation 5)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.forwards = nn.Linear(inputs, _WIDTH, bias=False)
        self.backwards = nn.Linear(inputs, _WIDTH, bias=False)

    def forward(self, state: Tensor, before: Tensor, behind: Tensor) -> Tensor:
        """(N, V, inputs) → (N, V, 144)."""
        return (torch.relu(before @ self.forwards(state)) + torch.relu(behind @ self.backwards(state))) / 2


class NeuralNetwork(nn.Module):
    """Cells to figures."""

    def __init__(self, operations: int) -> None:
        super().__init__()
        self.kinds = operations + 2
        self.convolutions = nn.ModuleList(
            _Convolution(self.kinds if layer == 0 else _WIDTH) for layer in range(_LAYERS)
        )
        self.dropout = nn.Dropout(_DROPOUT)
        self.figure = nn.Sequential(nn.Linear(_WIDTH, _HIDDEN), nn.ReLU(), nn.Dropout(_DROPOUT), nn.Linear(_HIDDEN, 1))

    def forward(self, cells: Cells) -> Tensor:
        """(N,)."""
        adjacency, kinds, there = vertices(cells, self.kinds)
        itself = torch.eye(adjacency.shape[1])
        before, behind = (_mean(matrix + itself) for matrix in (adjacency.transpose(1, 2), adjacency))
        state = nn.functional.one_hot(kinds, self.kinds).float()
        for convolution in self.convolutions:
            state = self.dropout(convolution(state, before, behind))
        pooled = (state * there[:, :, None]).sum(dim=1) / there.sum(dim=1, keepdim=True)
        figures: Tensor = self.figure(pooled)
        return figures[:, 0]


def vertices(cells: Cells, kinds: int) -> tuple[Tensor, Tensor, Tensor]:
    """The graph whose vertices are a cell's edges, its input and its output.

    Returns:
        From which vertex values go to which (N, V, V); the kind of each, the last two being input and output (N, V);
        1 for those that are there, 0 for padding (N, V).
    """
    count, edges = cells.operations.shape
    real = cells.operations < kinds - 2
    adjacency = torch.zeros(count, edges + 2, edges + 2)
    follows = cells.targets[:, :, None] == cells.sources[:, None, :]
    adjacency[:, :edges, :edges] = (follows & real[:, :, None] & real[:, None, :]).float()
    adjacency[:, edges, :edges] = ((cells.sources == 0) & real).float()
    adjacency[:, :edges, edges + 1] = ((cells.targets == cells.nodes[:, None] - 1) & real).float()
    ends = torch.tensor([kinds - 2, kinds - 1]).expand(count, 2)
    there = torch.cat([real, torch.ones(count, 2, dtype=torch.bool)], dim=1)
    return adjacency, torch.cat([cells.operations, ends], dim=1), there.float()


def _mean(adjacency: Tensor) -> Tensor:
    return adjacency / adjacency.sum(dim=2, keepdim=True)


class NeuralPredictor(Predictor):
    """Figures of cells."""

    space: GraphSpace

    def _fit(self, architectures: Sequence[Architecture], values: NDArray[np.float64]) -> None:
        self._middle, self._spread = float(values.mean()), float(values.std()) or 1.0
        operations = len(self.space.operation_names)
        self._module = train(
            lambda: NeuralNetwork(operations),
            Cells.of(self.space, architectures),
            (values - self._middle) / self._spread,
            nn.functional.mse_loss,
            _TRAINING,
            self.seed,
        )

    def _predict(self, architectures: Sequence[Architecture]) -> Prediction:
        found = outputs(self._module, Cells.of(self.space, architectures))
        return Prediction(self._middle + self._spread * found, np.zeros(len(found)))
