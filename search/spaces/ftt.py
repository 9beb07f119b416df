"""The space of FTT-NAS (Ning et al.): cells of steps that each add up two operations, as in ENAS and DARTS.

::

    image ─ stem ─ N ─ N ─ R ─ N ─ N ─ R ─ N ─ N ─ mean ─ linear ─ logits      N: normal cell, R: reduction, 8 cells
                                │
             cell before it ─ A ┐        C = op(·) + op(·)        each from A, B or an earlier step
                                ├─ … ─   D = op(·) + op(·)
                cell before ─ B ┘        E, F likewise
                                         C, D, E, F side by side go on

    Ap3Bs-AsCp3-BsCd3-AsBs_Am3Bm3-BsCm3-CsDs-Am3Cs      a network: its normal cell, its reduction

An edge is written as where it comes from and what is done, see :mod:`search.spaces.ftt_cell`.

From the published code: eight cells, two kinds of them, four steps of two inputs, and the operations, eight for faults
of features, three more for faults of weights. Assumed, after DARTS, on which that code is modelled: reductions at one
and two thirds of the depth, which double the channels; a stem of thrice the channels; separable convolutions done
twice; ReLU before each convolution. Chosen here, for devices' sake: where DARTS halves a map by two convolutions on
shifted slices, there is one with stride 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.spaces.base import Architecture, Decision, Graph, SpaceError
from search.spaces.ftt_cell import CODES, INPUTS, NONE, SKIP, Cell, Edge, canonical, letter, live, read, spelled
from search.spaces.ftt_plan import FttPlan, operation_layers, plan
from search.spaces.variation import ByDecisions, checked_choices

if TYPE_CHECKING:
    from torch import nn

#: The operations with which the paper searched for networks that survive faults of features, and of weights.
FEATURE_OPERATIONS = tuple(CODES)[:8]
WEIGHT_OPERATIONS = tuple(CODES)
#: More would have too many orders to look through for the canonical one.
_MOST_STEPS = 5
_KINDS = ("normal", "reduction")


@dataclass(frozen=True)
class FttSpace(ByDecisions):
    """The space; two with equal settings are equal.

    Attributes:
        image_shape: (C, H, W), H and W at least 8.
        classes: logits, at least 2.
        channels: of each step in the first cells.
        cells: in all, at least 3, so that both kinds are there.
        steps: in each cell, 1 to 5.
        operations: which there are, different ones of :data:`WEIGHT_OPERATIONS`, something besides none among them.
    """

    image_shape: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10
    channels: int = 20
    cells: int = 8
    steps: int = 4
    operations: tuple[str, ...] = FEATURE_OPERATIONS

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SpaceError: no network has them.
        """
        if len(self.image_shape) != 3 or self.image_shape[0] < 1 or min(self.image_shape[1:]) < 8:
            raise SpaceError(f"images must be (channels, height, width), at least 8 × 8: {self.image_shape}")
        if self.classes < 2 or self.channels < 1:
            raise SpaceError(f"two classes and a channel are the least: {self.classes}, {self.channels}")
        if self.cells < 3 or not 1 <= self.steps <= _MOST_STEPS:
            raise SpaceError(
                f"there must be three cells or more, and 1 to {_MOST_STEPS} steps: {self.cells}, {self.steps}"
            )
        unknown = set(self.operations) - CODES.keys()
        if unknown or len(set(self.operations)) < len(self.operations) or not set(self.operations) - {NONE}:
            raise SpaceError(
                f"operations must be different ones of {', '.join(CODES)}, not none alone: {', '.join(self.operations)}"
            )

    @property
    def name(self) -> str:
        """All settings."""
        shape = "x".join(map(str, self.image_shape))
        codes = "".join(CODES[operation] for operation in self.operations)
        return f"ftt-{shape}-{self.classes}-c{self.channels}-n{self.cells}-s{self.steps}-{codes}"

    def size(self) -> int:
        """A bound on the number of different networks.

        Edges that commute are counted once, cells whose steps stand in another order are not.
        """
        one = 1
        for node in range(INPUTS, INPUTS + self.steps):
            edges = node * len(set(self.operations) - {NONE}) + (NONE in self.operations)
            one *= edges * (edges + 1) // 2
        return one**2

    def allows(self, architecture: Architecture) -> bool:
        """See :class:`~search.spaces.base.Space`."""
        return True

    # ------------------------------------------------------------------------------------------------- spelling

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """For both kinds of cells, each step and each of its two edges: where from, and which operation."""
        found = []
        for kind in _KINDS:
            for node in range(INPUTS, INPUTS + self.steps):
                for edge in ("first", "second"):
                    name = f"{kind}.{letter(node)}.{edge}"
                    found.append(Decision(f"{name}.from", tuple(map(letter, range(node)))))
                    found.append(Decision(f"{name}.operation", self.operations))
        return tuple(found)

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """See :class:`~search.spaces.base.Space`."""
        return tuple(
            choice
            for cell in self.cells_of(architecture)
            for step in cell
            for source, operation in step
            for choice in (source, self.operations.index(operation))
        )

    def decode(self, choices: Sequence[int]) -> Architecture:
        """See :class:`~search.spaces.base.Space`."""
        checked = checked_choices(self.decisions, choices)
        edges: list[Edge] = [
            (source, self.operations[operation]) for source, operation in zip(checked[::2], checked[1::2], strict=True)
        ]
        steps = list(zip(edges[::2], edges[1::2], strict=True))
        return self._named(tuple(steps[: self.steps]), tuple(steps[self.steps :]))

    def parse(self, text: str) -> Architecture:
        """Read a text (see :mod:`search.spaces.ftt_cell`), in any spelling, into its canonical architecture."""
        parts = text.split("_")
        if len(parts) != len(_KINDS):
            raise SpaceError(f"{text!r} has {len(parts)} cells; write a normal one and a reduction, with _ between")
        normal, reduction = map(read, parts)
        for cell in (normal, reduction):
            if len(cell) != self.steps:
                raise SpaceError(f"{text!r}: a cell has {len(cell)} steps, the space {self.steps}")
            others = {operation for step in cell for _, operation in step} - set(self.operations)
            if others:
                raise SpaceError(f"{text!r}: the space has no {', '.join(sorted(others))}")
        return self._named(normal, reduction)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The smallest spelling."""
        return self.parse(architecture.text)

    def cells_of(self, architecture: Architecture) -> tuple[Cell, Cell]:
        """The normal cell and the reduction, in the canonical spelling."""
        normal, reduction = map(read, self.parse(architecture.text).text.split("_"))
        return normal, reduction

    def _named(self, normal: Cell, reduction: Cell) -> Architecture:
        others = [operation for operation in self.operations if operation != NONE]
        fallback = SKIP if SKIP in others else others[0]
        return Architecture(
            f"{spelled(canonical(normal, False, fallback))}_{spelled(canonical(reduction, True, fallback))}"
        )

    # ----------------------------------------------------------------------------------------- what predictors see

    @property
    def operation_names(self) -> tuple[str, ...]:
        """The operations, and how cells and steps are joined."""
        return (*self.operations, "join")

    def graph(self, architecture: Architecture) -> Graph:
        """Both cells, one after the other, without edges that nothing comes through."""
        edges: list[tuple[int, int]] = []
        operations: list[int] = []
        join, output = len(self.operations), 0
        for cell in self.cells_of(architecture):
            first, end = output + 1, output + 1 + INPUTS + self.steps
            joins = [(output, first + source) for source in range(INPUTS)]
            for node, step in enumerate(cell, INPUTS):
                edges += [(first + source, first + node) for source, _ in live(step)]
                operations += [self.operations.index(operation) for _, operation in live(step)]
                if live(step):
                    joins.append((first + node, end))
            edges += joins
            operations += [join] * len(joins)
            output = end
        return Graph(output + 1, np.array(edges, dtype=np.int64), np.array(operations, dtype=np.int64))

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """How often there is what, in each cell and in each of its steps; the longest way; costs of the whole."""
        names = []
        others = [operation for operation in self.operations if operation != NONE]
        for kind in _KINDS:
            nodes = [letter(node) for node in range(INPUTS + self.steps)]
            names += [f"{kind}.{operation}" for operation in others]
            names += [f"{kind}.from{node}" for node in nodes[:-1]]
            names += [f"{kind}.steps", f"{kind}.depth"]
            names += [f"{kind}.{node}.{operation}" for node in nodes[INPUTS:] for operation in others]
        return (*names, "log10_macs", "log10_parameters")

    def features(self, architecture: Architecture) -> NDArray[np.float64]:
        """(F,): as :attr:`feature_names` says; a step's depth counts the layers with weights before it."""
        row: list[float] = []
        others = [operation for operation in self.operations if operation != NONE]
        for cell, stride in zip(self.cells_of(architecture), (1, 2), strict=True):
            edges = [edge for step in cell for edge in live(step)]
            depths = [0] * INPUTS
            for step in cell:
                ways = (
                    depths[source] + self._layers(operation, stride if source < INPUTS else 1)
                    for source, operation in live(step)
                )
                depths.append(max(ways, default=0))
            row += [sum(operation == other for _, operation in edges) for other in others]
            row += [sum(start == node for start, _ in edges) for node in range(INPUTS + self.steps - 1)]
            row += [sum(bool(live(step)) for step in cell), max(depths)]
            row += [sum(operation == other for _, operation in live(step)) for step in cell for other in others]
        costs = self.plan(architecture)
        return np.array([*row, math.log10(costs.macs), math.log10(costs.parameters)], dtype=np.float64)

    @staticmethod
    def _layers(operation: str, stride: int) -> int:
        return sum(layer.weights > 0 for layer in operation_layers(operation, 1, stride, 1))

    # --------------------------------------------------------------------------------------------- what they cost

    def plan(self, architecture: Architecture) -> FttPlan:
        """The layers of a network with their shapes."""
        normal, reduction = self.cells_of(architecture)
        reductions = (self.cells // 3, 2 * self.cells // 3)
        layout = tuple(place in reductions for place in range(self.cells))
        return plan(self.image_shape, self.classes, self.channels, normal, reduction, layout)

    def operators(self, architecture: Architecture) -> dict[str, float]:
        """Its convolutions, poolings and sums, by kind, shape and stride."""
        return self.plan(architecture).operators()

    def macs(self, architecture: Architecture) -> int:
        """Multiplications of weights with values for one image; those with padded zeros count."""
        return self.plan(architecture).macs

    def parameters(self, architecture: Architecture) -> int:
        """Trainable parameters, BatchNorm's included."""
        return self.plan(architecture).parameters

    def module(self, architecture: Architecture) -> nn.Module:
        """A new network with random weights from torch's generator: (N, C, H, W) → logits (N, classes)."""
        from search.spaces.ftt_network import FttNetwork  # torch takes a second to load

        return FttNetwork(self.plan(architecture))
