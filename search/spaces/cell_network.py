"""A network of NAS-Bench-201 cells as a plain torch module: what is trained alone, and what is exported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search.spaces.nb201 import EDGES, NONE, OPERATIONS, SKIP, Cell, live_edges
from search.spaces.network import convolution

if TYPE_CHECKING:
    from search.spaces.nb201 import Nb201Space


def _relu_conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), convolution(inputs, outputs, kernel, stride), nn.BatchNorm2d(outputs))


def edge_operation(operation: int, channels: int) -> nn.Module:
    """What an edge does, a skip or more: (N, C, H, W) → the same."""
    if operation == SKIP:
        return nn.Identity()
    if OPERATIONS[operation].startswith("nor_conv"):
        return _relu_conv_bn(channels, channels, int(OPERATIONS[operation][-1]))
    # Padding does not count, as in the benchmark, and as TFLite's SAME pooling has it.
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def cell_output(x: Tensor, edges: Iterable[tuple[int, int, Callable[[Tensor], Tensor]]]) -> Tensor:
    """What a cell makes of (N, C, H, W): the same shape; zeros if no path is live.

    Args:
        x: the cell's input.
        edges: the live ones in the order of :data:`~search.spaces.nb201.EDGES`: from, to, and what they do.
    """
    maps: dict[int, Tensor] = {0: x}
    for source, target, operation in edges:
        value = operation(maps[source])
        maps[target] = maps[target] + value if target in maps else value
    return maps[3] if 3 in maps else torch.zeros_like(x)


class CellModule(nn.Module):
    """One cell; edges that are not live are left out, for they change nothing."""

    def __init__(self, cell: Cell, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleDict(
            {
                str(index): edge_operation(operation, channels)
                for index, operation in enumerate(live_edges(cell))
                if operation != NONE
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same; zeros if no path is live."""
        return cell_output(x, ((*EDGES[int(index)], operation) for index, operation in self.edges.items()))


class Reduction(nn.Module):
    """A residual block that halves the map and doubles the channels."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first = _relu_conv_bn(inputs, 2 * inputs, 3, 2)
        self.second = _relu_conv_bn(2 * inputs, 2 * inputs, 3)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, stride=2), convolution(inputs, 2 * inputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, 2 C, H / 2, W / 2)."""
        result: Tensor = self.shortcut(x) + self.second(self.first(x))
        return result


class CellNetwork(nn.Module):
    """A whole network (Dong & Yang 2020, figure 1).

    Args:
        space: sizes.
        cell: operation of each edge.
    """

    def __init__(self, space: Nb201Space, cell: Cell) -> None:
        super().__init__()
        channels = space.channels
        self.stem = nn.Sequential(convolution(space.image_shape[0], channels, 3), nn.BatchNorm2d(channels))
        blocks: list[nn.Module] = []
        for stage in range(3):
            if stage:
                blocks.append(Reduction(channels))
                channels *= 2
            blocks += [CellModule(cell, channels) for _ in range(space.cells)]
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(channels, space.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → logits (N, classes)."""
        logits: Tensor = self.head(self.flatten(self.pool(self.last(self.blocks(self.stem(x))))))
        return logits
