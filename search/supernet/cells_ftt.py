"""One set of weights for all networks of FTT-NAS's space; see :mod:`search.supernet.cells`.

What a cell reads has as many channels as the cells before have live steps; these stand first in the canonical spelling.
So the convolution that brings them to the width of the cell uses the first channels of its weights, as does the linear
layer that ends the network. Cells and inputs that a network leaves out are not run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from search.spaces.base import Architecture
from search.spaces.ftt import FttSpace
from search.spaces.ftt_cell import INPUTS, NONE, Cell, letter, live
from search.spaces.ftt_network import CellModule, FttNetwork, operation
from search.spaces.ftt_plan import CellPlan, FttPlan, operation_layers
from search.spaces.plan import cells as area
from search.supernet.cells import Bank, CellSupernet, Picks, cut
from search.supernet.cells_gate import Edge

_KINDS = {False: "normal", True: "reduction"}


class _FirstChannels(nn.Conv2d):
    """A convolution that uses as many of its input channels as there are."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, ≤ C, H, W) → (N, outputs, H / stride, W / stride)."""
        return F.conv2d(x, self.weight[:, : x.shape[1]], None, self.stride, self.padding)


class _Cell(nn.Module):
    """One place of the network.

    Args:
        plan: of a cell there that reads everything and leaves no step out.
        edges: all that may be there.
        sets: of weights that operations draw from; None: each edge has its own.
    """

    def __init__(self, plan: CellPlan, edges: Iterable[Edge], sets: int | None) -> None:
        super().__init__()
        self.inputs = nn.ModuleDict()
        for source, layer in plan.inputs.items():
            reading = operation([layer])
            assert isinstance(reading, nn.Sequential)
            reading[1] = _FirstChannels(layer.inputs, layer.outputs, layer.kernel, layer.stride, bias=False)
            self.inputs[letter(source)] = reading
        positions = area(plan.size)
        self.bank = Bank(
            edges, lambda name, stride: operation(operation_layers(name, plan.channels, stride, positions)), sets
        )

    def forward(self, maps: Mapping[int, Tensor], plan: CellPlan, picks: Picks) -> Tensor:
        """The outputs of the cells before, by place → (N, live steps · C, H, W)."""
        inner = {source: self.inputs[letter(source)](maps[place]) for source, place in plan.sources.items()}
        steps = []
        for node, edges in _steps(plan.cell, plan.reduces):
            terms = [self.bank(inner[edge.source], edge, picks) for edge in edges]
            inner[node] = terms[0] if len(terms) == 1 else terms[0] + terms[1]
            steps.append(inner[node])
        return torch.cat(steps, 1)

    def cut(self, target: CellModule, plan: CellPlan, picks: Picks) -> None:
        """Copy the weights that a plain cell needs."""
        for source in plan.inputs:
            cut(self.inputs[letter(source)], target.inputs[letter(source)])
        for node, edges in _steps(plan.cell, plan.reduces):
            step = target.steps[letter(node)]
            assert isinstance(step, nn.ModuleList)
            for edge, plain in zip(edges, step, strict=True):
                self.bank.cut(edge, picks, plain)


class FttSupernet(CellSupernet):
    """The shared weights.

    Args:
        space: whose networks they are for.
        seed: of the weights to begin with; torch's own generator is left alone.
        sets: of weights that operations draw from (CLOSE); None: each edge has its own.
    """

    space: FttSpace

    def __init__(self, space: FttSpace, seed: int = 0, sets: int | None = None) -> None:
        kinds = {
            kind: [
                _edge(source, target, name, reduces)
                for target in range(INPUTS, INPUTS + space.steps)
                for source in range(target)
                for name in space.operations
                if name != NONE
            ]
            for reduces, kind in _KINDS.items()
        }
        super().__init__(space, kinds, sets, seed)

    def _build(self, kinds: Mapping[str, Sequence[Edge]]) -> None:
        whole = self._whole()
        rest = FttNetwork(whole)
        self.stem, self.pool, self.flatten, self.head = rest.stem, rest.pool, rest.flatten, rest.head
        self.cells = nn.ModuleDict(
            {str(place): _Cell(cell, kinds[_KINDS[cell.reduces]], self.sets) for place, cell in whole.cells.items()}
        )

    def _whole(self) -> FttPlan:
        """Of a network that reads everything and leaves no step out."""
        some = next(number for number, name in enumerate(self.space.operations) if name != NONE)
        both_inputs = [0, some, 1, some]
        return self.space.plan(self.space.decode(both_inputs * self.space.steps * len(_KINDS)))

    def _banks(self) -> Iterable[Bank]:
        return (self._cell(place).bank for place in self.cells)

    def _edges(self, architecture: Architecture) -> Mapping[str, Sequence[Edge]]:
        return {
            _KINDS[reduces]: list(dict.fromkeys(edge for _, edges in _steps(cell, reduces) for edge in edges))
            for cell, reduces in zip(self.space.cells_of(architecture), _KINDS, strict=True)
        }

    def _run(self, x: Tensor, architecture: Architecture, picks: Mapping[str, Picks]) -> Tensor:
        maps: dict[int, Tensor] = {-1: self.stem(x)}
        for place, plan in self.space.plan(architecture).cells.items():
            x = maps[place] = self._cell(str(place))(maps, plan, picks[_KINDS[plan.reduces]])
        features = self.flatten(self.pool(x))
        return F.linear(features, self.head.weight[:, : features.shape[1]], self.head.bias)

    def _cut(self, network: nn.Module, architecture: Architecture, picks: Mapping[str, Picks]) -> None:
        assert isinstance(network, FttNetwork)
        cut(self.stem, network.stem)
        cut(self.head, network.head)
        for place, plan in self.space.plan(architecture).cells.items():
            target = network.cells[str(place)]
            assert isinstance(target, CellModule)
            self._cell(str(place)).cut(target, plan, picks[_KINDS[plan.reduces]])

    def _cell(self, place: str) -> _Cell:
        cell = self.cells[place]
        assert isinstance(cell, _Cell)
        return cell


def _edge(source: int, target: int, name: str, reduces: bool) -> Edge:
    return Edge(source, target, name, 2 if reduces and source < INPUTS else 1)


def _steps(cell: Cell, reduces: bool) -> Iterable[tuple[int, list[Edge]]]:
    """The live steps, each with its edges."""
    for node, step in enumerate(cell, INPUTS):
        if edges := live(step):
            yield node, [_edge(source, node, name, reduces) for source, name in edges]
