"""The network of the Neural Predictor; see :mod:`search.predictors.neural`. Loads torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search.predictors.cells import Cells

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
