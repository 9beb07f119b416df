"""One set of weights for all networks of a space of cells, each operation of each edge with its own.

As in ENAS, DARTS and the single-path methods: at each place of the network a bank holds every operation that an edge
there can be, and a network runs the operations of its own cells alone::

    bank of a cell        01_conv3  01_conv1  01_pool   02_conv3  02_conv1  …      from map 0 to 1, from 0 to 2, …
                             │                             │
    a network's cell      0 ─┴─▶ 1 ────────────────────────┴─▶ 2                   takes one of each of its edges

An edge is told by its place in the canonical spelling of the cell, so that all spellings of one network use the same
weights. Of two networks that differ in an operation alone, one may have its steps in another order: then a step takes
the weights of the place that it has moved to. Two equal edges into one step are one set of weights, used twice.

With sets of weights (CLOSE, Zhou et al. 2022) operations belong to no edge: a cell has several sets, each with one of
every operation, and a gate (:mod:`search.supernet.cells_gate`) says which set an edge draws from::

    bank of a cell        set 0: conv3  conv1  pool         set 1: conv3  conv1  pool         set 2: …
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from search.spaces.base import Architecture, Space
from search.supernet.base import SharedWeights
from search.supernet.cells_gate import Edge, Gate, Pick
from search.supernet.recalibration import recalibrate

Picks = Mapping[Edge, Pick]
"""What each edge draws from."""


class Bank(nn.Module):
    """The weights of one cell's operations.

    Args:
        edges: all that may be there.
        make: an operation with weights, from its name and stride.
        sets: of weights that all edges draw from; None: each edge has its own.
    """

    def __init__(self, edges: Iterable[Edge], make: Callable[[str, int], nn.Module], sets: int | None) -> None:
        super().__init__()
        self._sets = sets
        self.operations = nn.ModuleDict()
        for edge in edges:
            for number in range(sets or 1):
                key = self._key(edge, number)
                if key not in self.operations:
                    self.operations[key] = make(edge.operation, edge.stride)

    def forward(self, x: Tensor, edge: Edge, picks: Picks) -> Tensor:
        """Run an edge: (N, C, H, W) → (N, C, H / stride, W / stride)."""
        pick = picks[edge]
        y: Tensor = self.operations[self._key(edge, pick.number)](x)
        return y if pick.factor is None else y * pick.factor

    def cut(self, edge: Edge, picks: Picks, operation: nn.Module) -> None:
        """Copy the weights of an edge to a plain operation."""
        cut(self.operations[self._key(edge, picks[edge].number)], operation)

    def inherit(self, number: int) -> None:
        """Begin a set with what the set before it has learned."""
        before = f"_{number - 1}"
        for key, operation in self.operations.items():
            if key.endswith(before):
                self.operations[f"{key.removesuffix(before)}_{number}"].load_state_dict(operation.state_dict())

    def _key(self, edge: Edge, number: int) -> str:
        if self._sets is None:
            return f"{edge.source}{edge.target}_{edge.operation}"
        return f"{edge.operation}_by{edge.stride}_{number}"


class CellSupernet(SharedWeights):
    """The shared weights of a space of cells.

    BatchNorm always uses the statistics of the batch: averages over networks would fit none of them.

    Args:
        space: whose networks they are for.
        kinds: of cells that are built alike, with all edges that may be there.
        sets: of weights that operations draw from, opened one after the other; None: each edge has its own.
        seed: of the weights to begin with; torch's own generator is left alone.
    """

    #: Sets that are open.
    open_sets: Tensor

    def __init__(self, space: Space, kinds: Mapping[str, Sequence[Edge]], sets: int | None, seed: int) -> None:
        super().__init__()
        self.space = space
        self.sets = sets
        self._noise: int | None = None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._build(kinds)
            self.gate = None if sets is None else Gate(kinds, sets)
        if sets is not None:
            self.register_buffer("open_sets", torch.tensor(1))
        for norm in self.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.track_running_stats = False
                norm.running_mean = norm.running_var = norm.num_batches_tracked = None
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @abstractmethod
    def _build(self, kinds: Mapping[str, Sequence[Edge]]) -> None:
        """Make all layers and banks."""

    @abstractmethod
    def _banks(self) -> Iterable[Bank]:
        """Of all cells."""

    @abstractmethod
    def _edges(self, architecture: Architecture) -> Mapping[str, Sequence[Edge]]:
        """The live edges of each kind of cell, each once."""

    @abstractmethod
    def _run(self, x: Tensor, architecture: Architecture, picks: Mapping[str, Picks]) -> Tensor:
        """(N, C, H, W) → logits (N, classes)."""

    @abstractmethod
    def _cut(self, network: nn.Module, architecture: Architecture, picks: Mapping[str, Picks]) -> None:
        """Copy the weights that a plain network needs."""

    def draw(self, sets: int, rng: np.random.Generator) -> None:
        """Decide what the networks of a step draw their weights from.

        A set that was not open yet begins as a copy of the one before it (CLOSE's *weight inheritance*).

        Args:
            sets: to draw from, 1 to :attr:`sets`, no fewer than before.
            rng: of the step.
        """
        assert self.gate is not None
        for number in range(int(self.open_sets), sets):
            for bank in self._banks():
                bank.inherit(number)
            self.gate.inherit(number)
        self.open_sets.fill_(sets)
        self._noise = int(rng.integers(2**63))

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """See :class:`~search.supernet.base.SharedWeights`.

        With sets of weights those that the last :meth:`draw` decided on are run, the same ones however often.
        """
        rng = None if self._noise is None else np.random.default_rng(self._noise)
        return self._run(x.to(memory_format=torch.channels_last), architecture, self._picks(architecture, rng))

    def subnet(self, architecture: Architecture, images: Tensor | None = None) -> nn.Module:
        """See :class:`~search.supernet.base.SharedWeights`; with sets of weights the likeliest of each edge."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            network = self.space.module(architecture)
            self._cut(network, architecture, self._picks(architecture, None))
        if images is not None:
            recalibrate(network, images)
        return network.eval()

    def _picks(self, architecture: Architecture, rng: np.random.Generator | None) -> Mapping[str, Picks]:
        edges = self._edges(architecture)
        if self.gate is None:
            return {kind: dict.fromkeys(found, Pick(0, None)) for kind, found in edges.items()}
        return {kind: self.gate(kind, found, int(self.open_sets), rng) for kind, found in edges.items()}


@torch.no_grad()
def cut(shared: nn.Module, plain: nn.Module) -> None:
    """Copy weights to layers of the same names, the first channels where there are fewer."""
    for name, parameter in plain.named_parameters():
        weights = shared.get_parameter(name)
        parameter.copy_(weights[tuple(slice(size) for size in parameter.shape)])
