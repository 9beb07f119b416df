"""The cells of NAS-Bench-201 (Dong & Yang 2020): four feature maps, six edges, five operations, isomorphs collapsed.

::

        ┌────────────── 3 ──────────────┐
        │       ┌────── 4 ──────┐       │          text: 3-3p-s3s
        │       │               ▼       ▼                ╵ ╵╵ ╵╵╵
    map 0 ─ 0 ─ map 1 ─ 2 ─▶ map 2 ─ 5 ─ map 3     edge: 0 12 345
        └───────── 1 ──────────┘

A letter for each edge, in the order of the maps that they enter: ``n`` none, ``s`` skip, ``1`` and ``3`` convolutions,
``p`` average pooling. The 15,625 spellings are 6,466 different cells: sums commute, a skip is no operation, and what
comes from a map of zeros is zero. The benchmark counts a convolution done twice as the same as one whose output is used
twice, so the members of a class may differ in cost: the canonical spelling is the cheapest one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.spaces.base import Architecture, Decision, Graph, SpaceError
from search.spaces.variation import ByDecisions, checked_choices

if TYPE_CHECKING:
    from torch import nn

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
LETTERS = "ns13p"
NONE, SKIP = 0, 1
#: (from, to) of each edge.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_GROUPS = (1, 2, 3)
_BENCHMARK_EDGE = re.compile(r"([a-z_0-9]+)~([0-2])")

Cell = tuple[int, ...]


@dataclass(frozen=True)
class Nb201Space(ByDecisions):
    """The space; two with equal settings are equal.

    A network is a stem, three stages of `cells` equal cells with `channels`, twice and four times as many channels, and
    a residual block that halves the map between them (figure 1 of the paper).

    Attributes:
        image_shape: (C, H, W), H and W at least 8 and multiples of 4, for they are halved twice.
        classes: logits, at least 2.
        channels: of the first stage.
        cells: in each stage.
    """

    image_shape: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10
    channels: int = 16
    cells: int = 5

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SpaceError: no network has them.
        """
        if len(self.image_shape) != 3 or self.image_shape[0] < 1 or min(self.image_shape[1:]) < 8:
            raise SpaceError(f"images must be (channels, height, width), at least 8 × 8: {self.image_shape}")
        if any(size % 4 for size in self.image_shape[1:]):
            raise SpaceError(f"height and width are halved twice, and must be multiples of 4: {self.image_shape}")
        if self.classes < 2 or self.channels < 1 or self.cells < 1:
            raise SpaceError(
                f"two classes, a channel and a cell are the least: {self.classes}, {self.channels}, {self.cells}"
            )

    @property
    def name(self) -> str:
        """All settings."""
        return f"nb201-{'x'.join(map(str, self.image_shape))}-{self.classes}-c{self.channels}-n{self.cells}"

    def size(self) -> int:
        """Number of different networks."""
        return len(set(_canonical_cells().values()))

    def allows(self, architecture: Architecture) -> bool:
        """See :class:`~search.spaces.base.Space`."""
        return True

    # ------------------------------------------------------------------------------------------------- spelling

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The operation of each edge."""
        return _DECISIONS

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """The operation of each edge, in the canonical spelling."""
        return _canonical_cells()[self.cell(architecture)]

    def decode(self, choices: Sequence[int]) -> Architecture:
        """See :class:`~search.spaces.base.Space`."""
        return Architecture(spelled(_canonical_cells()[checked_choices(_DECISIONS, choices)]))

    def canonical(self, architecture: Architecture) -> Architecture:
        """The one spelling of a cell."""
        return self.decode(self.cell(architecture))

    def parse(self, text: str) -> Architecture:
        """Read the letters, or the benchmark's own ``|nor_conv_3x3~0|+|…|``, into the canonical architecture."""
        return self.decode(read(text))

    def cell(self, architecture: Architecture) -> Cell:
        """Index of the operation of each edge, as it is spelled."""
        return read(architecture.text)

    # ----------------------------------------------------------------------------------------- what predictors see

    @property
    def operation_names(self) -> tuple[str, ...]:
        """What an edge can be."""
        return OPERATIONS

    def graph(self, architecture: Architecture) -> Graph:
        """The cell, with all six edges."""
        return Graph(4, np.array(EDGES, dtype=np.int64), np.array(self.encode(architecture), dtype=np.int64))

    def operators(self, architecture: Architecture) -> dict[str, float]:
        """How many of each operation reach the output, in all and on each edge: where it stands has a cost, too.

        All stages repeat the cell: one count tells all of them.
        """
        counts = dict.fromkeys(OPERATIONS[1:], 0.0)
        for (source, target), operation in zip(EDGES, live_edges(self.encode(architecture)), strict=True):
            if operation != NONE:
                counts[OPERATIONS[operation]] += 1.0
                counts[f"{OPERATIONS[operation]} {source}>{target}"] = 1.0
        return counts

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Counts that isomorphic cells share: what is on the paths from input to output, and what goes in and out."""
        return _FEATURE_NAMES

    def features(self, architecture: Architecture) -> NDArray[np.float64]:
        """(F,): as :attr:`feature_names` says."""
        return _features(live_edges(self.encode(architecture)))

    # --------------------------------------------------------------------------------------------- what they cost

    @cached_property
    def _stages(self) -> tuple[tuple[int, int], ...]:
        """Channels and positions of the map in each stage."""
        _, height, width = self.image_shape
        found = []
        for stage in range(3):
            found.append((self.channels << stage, height * width))
            height, width = height // 2, width // 2
        return tuple(found)

    def macs(self, architecture: Architecture) -> int:
        """Multiplications of weights with values for one image, those of live edges only."""
        weights = _weights_per_pair(live_edges(self.encode(architecture)))
        total = self.image_shape[0] * self.channels * 9 * self._stages[0][1]
        for index, (channels, positions) in enumerate(self._stages):
            if index:
                # 3 × 3 to twice the channels, 3 × 3, and 1 × 1 beside them.
                total += channels * (channels // 2) * 10 * positions + channels * channels * 9 * positions
            total += self.cells * weights * channels * channels * positions
        return total + self._stages[-1][0] * self.classes

    def parameters(self, architecture: Architecture) -> int:
        """Trainable parameters, BatchNorm's included, those of live edges only."""
        live = live_edges(self.encode(architecture))
        convolutions = sum(OPERATIONS[operation].startswith("nor_conv") for operation in live)
        weights = _weights_per_pair(live)
        total = self.image_shape[0] * self.channels * 9 + 2 * self.channels
        for index, (channels, _) in enumerate(self._stages):
            if index:
                total += channels * (channels // 2) * 10 + channels * channels * 9 + 2 * 2 * channels
            total += self.cells * (weights * channels * channels + convolutions * 2 * channels)
        return total + 2 * self._stages[-1][0] + (self._stages[-1][0] + 1) * self.classes

    def module(self, architecture: Architecture) -> nn.Module:
        """A new network with random weights from torch's generator: (N, C, H, W) → logits (N, classes)."""
        from search.spaces.cell_network import CellNetwork  # torch takes a second to load

        return CellNetwork(self, self.encode(architecture))


def spelled(cell: Cell) -> str:
    """The letters of a cell, a group for each map that edges enter."""
    left = iter(cell)
    return "-".join("".join(LETTERS[next(left)] for _ in range(count)) for count in _GROUPS)


def read(text: str) -> Cell:
    """The operations of a cell that is spelled in letters or as the benchmark does.

    Raises:
        SpaceError: it is neither.
    """
    if "~" in text:
        found = _BENCHMARK_EDGE.findall(text)
        named = tuple(name for name, _ in found)
        sources = tuple(int(source) for _, source in found)
        if sources == tuple(source for source, _ in EDGES) and set(named) <= set(OPERATIONS):
            return tuple(OPERATIONS.index(name) for name in named)
        raise SpaceError(f"{text!r} is no cell of NAS-Bench-201")
    groups = text.split("-")
    if tuple(map(len, groups)) != _GROUPS or not set("".join(groups)) <= set(LETTERS):
        raise SpaceError(f"{text!r} is no cell: write six of the letters {LETTERS} like 3-3p-s3s")
    return tuple(LETTERS.index(letter) for letter in "".join(groups))


def live_edges(cell: Cell) -> Cell:
    """The cell with `none` on every edge whose values come from zeros or never reach the output."""
    fed = [True, False, False, False]
    for (source, target), operation in zip(EDGES, cell, strict=True):
        fed[target] |= fed[source] and operation != NONE
    used = [False, False, False, True]
    for (source, target), operation in zip(reversed(EDGES), reversed(cell), strict=True):
        used[source] |= used[target] and operation != NONE
    return tuple(
        operation if fed[source] and used[target] else NONE
        for (source, target), operation in zip(EDGES, cell, strict=True)
    )


@cache
def _canonical_cells() -> Mapping[Cell, Cell]:
    """The canonical spelling of each of the 15,625."""
    cells = itertools.product(range(len(OPERATIONS)), repeat=len(EDGES))
    cheapest: dict[str, Cell] = {}
    return {
        cell: cheapest.setdefault(_expression(cell), cell)
        for cell in sorted(cells, key=lambda cell: (_weights_per_pair(live_edges(cell)), cell))
    }


def _expression(cell: Cell) -> str:
    """What the output computes, as an expression that is the same for isomorphic cells.

    Its characters are the benchmark's own. They decide in what order the terms of a sum are written, and as a sum
    within a sum is not opened, and a sum of zeros is no zero, they decide what counts as isomorphic, too: 6,466 classes
    with these, 6,475 with others.
    """
    expressions = ["0"]
    for target in range(1, 4):
        terms = []
        for (source, goal), operation in zip(EDGES, cell, strict=True):
            if goal != target:
                continue
            value = expressions[source]
            if operation == NONE or value == "#":
                terms.append("#")
            else:
                terms.append(value if operation == SKIP else f"({value})@{OPERATIONS[operation]}")
        expressions.append("+".join(sorted(terms)))
    return expressions[-1]


def _weights_per_pair(cell: Cell) -> int:
    """Weights of a cell for each pair of an input and an output channel."""
    return sum({"nor_conv_1x1": 1, "nor_conv_3x3": 9}.get(OPERATIONS[operation], 0) for operation in cell)


_DECISIONS = tuple(Decision(f"edge{source}{target}", OPERATIONS) for source, target in EDGES)
#: All ways from the input to the output, as edges.
_PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))
_CONV1, _CONV3, _POOL = (OPERATIONS.index(name) for name in ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"))
#: Edges that leave the input and edges that enter the output.
_FIRST = tuple(edge for edge, (source, _) in enumerate(EDGES) if source == 0)
_LAST = tuple(edge for edge, (_, target) in enumerate(EDGES) if target == 3)
_LONGEST = max(map(len, _PATHS))
_SUMMED = ("nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_FEATURE_NAMES = (
    *(f"paths.{what}{count}" for what in (*_SUMMED, "convolutions") for count in range(_LONGEST + 1)),
    *(f"{extreme}.{what}" for what in ("convolutions", "weights", "pools") for extreme in ("most", "least")),
    *(f"sum.{what}" for what in ("convolutions", "nor_conv_3x3", "pools")),
    *(f"paths.{what}" for what in ("", "skips", "pooled", "convolved")),
    *(f"{where}.{operation}" for where in ("live", "first", "last") for operation in OPERATIONS[1:]),
    "sums",
    "last",
    "short",
)


@cache
def _features(live: Cell) -> NDArray[np.float64]:
    """The row of a cell of which only live edges are left."""
    paths = [operations for path in _PATHS if NONE not in (operations := [live[edge] for edge in path])]
    convolved = [[path.count(what) for path in paths] for what in (_CONV3, _CONV1, _POOL)]
    three, one, pools = convolved
    convolutions = [a + b for a, b in zip(three, one, strict=True)]
    weights = [9 * a + b for a, b in zip(three, one, strict=True)]
    row = [counts.count(number) for counts in (*convolved, convolutions) for number in range(_LONGEST + 1)]
    for counts in (convolutions, weights, pools):
        row += [max(counts, default=-1), min(counts, default=-1)]
    row += [sum(convolutions), sum(three), sum(pools)]
    still = [not (a or b) for a, b in zip(convolutions, pools, strict=True)]
    convolved_only = [bool(a) and not b for a, b in zip(three, pools, strict=True)]
    row += [len(paths), sum(still), sum(map(bool, pools)), sum(convolved_only)]
    for edges in (range(len(EDGES)), _FIRST, _LAST):
        row += [sum(live[edge] == operation for edge in edges) for operation in range(1, len(OPERATIONS))]
    entering = [sum(live[edge] != NONE for edge, (_, to) in enumerate(EDGES) if to == target) for target in (1, 2, 3)]
    row += [sum(count > 1 for count in entering), entering[-1], live[EDGES.index((0, 3))] == SKIP]
    features = np.array(row, dtype=np.float64)
    features.flags.writeable = False
    return features
