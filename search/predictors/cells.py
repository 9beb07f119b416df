"""Cells as tensors, and the training that predictors on graphs share. Loads torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

if TYPE_CHECKING:
    from search.spaces.base import Architecture, GraphSpace

#: An operation of this name carries nothing: its edges are left out.
NONE = "none"
_MOST_AT_ONCE = 2048


@dataclass(frozen=True, eq=False)
class Cells:
    """Graphs of N cells, padded to the most nodes (V) and edges (E) of them.

    Attributes:
        sources: (N, E), node that each edge leaves; 0 in the padding.
        targets: (N, E), node that it enters; 0 in the padding.
        operations: (N, E), index; as many as there are operations in the padding.
        nodes: (N,), number of nodes.
        width: V.
    """

    sources: Tensor
    targets: Tensor
    operations: Tensor
    nodes: Tensor
    width: int

    @classmethod
    def of(cls, space: GraphSpace, architectures: Sequence[Architecture]) -> Cells:
        """The cells of at least one architecture.

        Raises:
            SpaceError: one of them is no network of the space.
        """
        names = space.operation_names
        graphs = [space.graph(architecture) for architecture in architectures]
        kept = [np.array([names[operation] != NONE for operation in graph.operations], dtype=bool) for graph in graphs]
        most = max(1, *(int(keep.sum()) for keep in kept))
        edges = np.zeros((2, len(graphs), most), dtype=np.int64)
        operations = np.full((len(graphs), most), len(names), dtype=np.int64)
        for row, (graph, keep) in enumerate(zip(graphs, kept, strict=True)):
            count = int(keep.sum())
            edges[:, row, :count] = graph.edges[keep].T
            operations[row, :count] = graph.operations[keep]
        nodes = np.array([graph.nodes for graph in graphs], dtype=np.int64)
        sources, targets = torch.from_numpy(edges)
        return cls(sources, targets, torch.from_numpy(operations), torch.from_numpy(nodes), int(nodes.max()))

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, rows: Tensor) -> Cells:
        return Cells(self.sources[rows], self.targets[rows], self.operations[rows], self.nodes[rows], self.width)


@dataclass(frozen=True)
class Training:
    """How a network learns: Adam, its rate falling to zero along a cosine.

    Attributes:
        epochs: how often it sees each example.
        batch: examples of a step.
        rate: of learning, at the beginning.
        decay: of weights.
    """

    epochs: int
    batch: int
    rate: float
    decay: float = 0.0


def train(
    build: Callable[[], nn.Module],
    cells: Cells,
    values: NDArray[np.float64],
    loss: Callable[[Tensor, Tensor], Tensor],
    training: Training,
    seed: int,
) -> nn.Module:
    """A network that maps cells to one number each, in evaluation mode. Leaves torch's own generator alone.

    Args:
        build: makes it, with random weights from torch's generator.
        cells: examples.
        values: (N,): their figures.
        loss: of (predicted, given), both (batch,).
        training: how.
        seed: of weights, order and dropout.
    """
    given = torch.from_numpy(values).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build().train()
        optimizer = torch.optim.Adam(module.parameters(), lr=training.rate, weight_decay=training.decay, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.epochs)
        for _ in range(training.epochs):
            for rows in torch.split(torch.randperm(len(cells)), training.batch):
                optimizer.zero_grad()
                loss(module(cells[rows]), given[rows]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            schedule.step()
    return module.eval()


def outputs(module: nn.Module, cells: Cells) -> NDArray[np.float64]:
    """(N,): what the network says of each."""
    with torch.no_grad():
        parts = [module(cells[rows]) for rows in torch.split(torch.arange(len(cells)), _MOST_AT_ONCE)]
    return torch.cat(parts).double().numpy()
