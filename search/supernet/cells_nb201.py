"""One set of weights for all networks of NAS-Bench-201's cells; see :mod:`search.supernet.cells`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from torch import Tensor, nn

from search.spaces.base import Architecture
from search.spaces.cell_network import CellModule, CellNetwork, Reduction, cell_output, edge_operation
from search.spaces.nb201 import EDGES, NONE, OPERATIONS, Nb201Space, live_edges
from search.supernet.cells import Bank, CellSupernet, Picks, cut
from search.supernet.cells_gate import Edge

_KIND = "cell"


class Nb201Supernet(CellSupernet):
    """The shared weights; stem, reductions and what follows the cells are the same for all networks.

    Args:
        space: whose networks they are for.
        seed: of the weights to begin with; torch's own generator is left alone.
        sets: of weights that operations draw from (CLOSE); None: each edge has its own.
    """

    space: Nb201Space

    def __init__(self, space: Nb201Space, seed: int = 0, sets: int | None = None) -> None:
        every = [Edge(*places, name) for places in EDGES for number, name in enumerate(OPERATIONS) if number != NONE]
        super().__init__(space, {_KIND: every}, sets, seed)

    def _build(self, kinds: Mapping[str, Sequence[Edge]]) -> None:
        # A network of dead cells is all that the others share.
        rest = CellNetwork(self.space, (NONE,) * len(EDGES))
        self.stem, self.last, self.pool, self.flatten, self.head = (
            rest.stem,
            rest.last,
            rest.pool,
            rest.flatten,
            rest.head,
        )
        self.blocks = nn.ModuleList()
        channels = self.space.channels
        for block in rest.blocks:
            if isinstance(block, Reduction):
                channels *= 2
                self.blocks.append(block)
            else:
                self.blocks.append(Bank(kinds[_KIND], partial(_made, channels), self.sets))

    def _banks(self) -> Iterable[Bank]:
        return (block for block in self.blocks if isinstance(block, Bank))

    def _edges(self, architecture: Architecture) -> Mapping[str, Sequence[Edge]]:
        live = live_edges(self.space.encode(architecture))
        named = zip(EDGES, live, strict=True)
        return {_KIND: [Edge(*places, OPERATIONS[number]) for places, number in named if number != NONE]}

    def _run(self, x: Tensor, architecture: Architecture, picks: Mapping[str, Picks]) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            if isinstance(block, Bank):
                edges = ((e.source, e.target, partial(block, edge=e, picks=picks[_KIND])) for e in picks[_KIND])
                x = cell_output(x, edges)
            else:
                x = block(x)
        logits: Tensor = self.head(self.flatten(self.pool(self.last(x))))
        return logits

    def _cut(self, network: nn.Module, architecture: Architecture, picks: Mapping[str, Picks]) -> None:
        assert isinstance(network, CellNetwork)
        for shared, plain in ((self.stem, network.stem), (self.last, network.last), (self.head, network.head)):
            cut(shared, plain)
        for block, target in zip(self.blocks, network.blocks, strict=True):
            if isinstance(block, Bank):
                assert isinstance(target, CellModule)
                for edge in picks[_KIND]:
                    block.cut(edge, picks[_KIND], target.edges[str(EDGES.index(edge[:2]))])
            else:
                cut(block, target)


def _made(channels: int, name: str, stride: int) -> nn.Module:
    assert stride == 1
    return edge_operation(OPERATIONS.index(name), channels)
