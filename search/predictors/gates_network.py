"""The network of GATES; see :mod:`search.predictors.gates`. Loads torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search.predictors.cells import Cells

LAYERS = 5
_WIDTH = 128
_EMBEDDING = 48
_HIDDEN = 200
_DROPOUT = 0.1
_MARGIN = 0.1


class _Flow(nn.Module):
    """One step of the information along all edges."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, _WIDTH, bias=False)
        self.gate = nn.Linear(_EMBEDDING, _WIDTH)

    def forward(self, state: Tensor, cells: Cells, embedding: Tensor) -> Tensor:
        """(N, V, inputs) → (N, V, 128)."""
        count, width, _ = state.shape
        carried = self.project(state).view(count * width, -1)
        # The row behind the last is for edges that pad: they let nothing pass.
        gates = nn.functional.pad(torch.sigmoid(self.gate(embedding)), (0, 0, 0, 1))
        first = torch.arange(count)[:, None] * width
        messages = gates[cells.operations] * carried[first + cells.sources]
        arrived = torch.zeros_like(carried).index_add(0, (first + cells.targets).flatten(), messages.flatten(0, 1))
        # Nothing enters the input: it keeps what it has.
        arrived = arrived.index_add(0, first[:, 0], carried[first[:, 0]])
        return arrived.view(count, width, -1)


class GatesNetwork(nn.Module):
    """Cells to scores."""

    def __init__(self, operations: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(operations, _EMBEDDING))
        self.source = nn.Parameter(torch.randn(_EMBEDDING))
        self.flows = nn.ModuleList(_Flow(_EMBEDDING if layer == 0 else _WIDTH) for layer in range(layers))
        self.dropout = nn.Dropout(_DROPOUT)
        self.score = nn.Sequential(nn.Linear(_WIDTH, _HIDDEN), nn.ReLU(), nn.Dropout(_DROPOUT), nn.Linear(_HIDDEN, 1))

    def forward(self, cells: Cells) -> Tensor:
        """(N,)."""
        state = torch.zeros(len(cells), cells.width, _EMBEDDING)
        state[:, 0] = self.source
        for index, flow in enumerate(self.flows):
            state = flow(state, cells, self.embedding)
            if index < len(self.flows) - 1:
                state = self.dropout(torch.relu(state))
        scores: Tensor = self.score(state[torch.arange(len(cells)), cells.nodes - 1])
        return scores[:, 0]


def hinge(scores: Tensor, values: Tensor) -> Tensor:
    """Mean over all pairs of different figures: how far the better one is from leading by the margin (equation 3)."""
    better = values[:, None] > values[None, :]
    lead = scores[:, None] - scores[None, :]
    return (torch.relu(_MARGIN - lead) * better).sum() / better.sum().clamp(min=1)
