"""What a search space is: a set of networks that can be named, drawn, varied, counted and built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn


class SpaceError(ValueError):
    """Settings of a space that contradict each other, or a text that names no network of it."""


@dataclass(frozen=True, order=True)
class Architecture:
    """One network of a space, as a value: nothing but its text.

    Two networks are the same if and only if the texts of their canonical forms are. Everything that a space hands out
    is canonical.

    Attributes:
        text: what :meth:`Space.parse` reads; letters, digits, ``-`` and ``_`` only, so that it can be a file's name.
    """

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Decision:
    """One choice among a few, of which a space is made.

    Attributes:
        name: different from that of every other decision of the space.
        options: what can be chosen, in words for people; at least one.
    """

    name: str
    options: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """A cell as a directed acyclic graph with its operations on the edges.

    Attributes:
        nodes: number of feature maps; 0 is the input, the last one the output.
        edges: (E, 2): from and to, from < to.
        operations: (E,): index into :attr:`GraphSpace.operation_names`.
    """

    nodes: int
    edges: NDArray[np.int64]
    operations: NDArray[np.int64]


class Space(Protocol):
    """A set of networks of one input and output shape.

    Methods take any spelling of an architecture and return canonical ones. They raise :class:`SpaceError` for a text
    that names no network of the space. Randomness comes from the generator alone.
    """

    @property
    def name(self) -> str:
        """What tells this space, with all its settings, from every other one."""
        ...

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        ...

    @property
    def classes(self) -> int:
        """Number of logits."""
        ...

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The choices that make a network, whether or not the others switch them off."""
        ...

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What the entries of :meth:`features` are."""
        ...

    def size(self) -> int:
        """Number of different networks that may be asked for."""
        ...

    def allows(self, architecture: Architecture) -> bool:
        """May it be asked for? A space that is restricted to a recorded table varies networks beyond it, too."""
        ...

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw a network; each has a positive probability."""
        ...

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """A neighbour, never the network itself."""
        ...

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator) -> Architecture:
        """A child, every setting of which one of its parents has."""
        ...

    def canonical(self, architecture: Architecture) -> Architecture:
        """The one spelling that stands for all spellings of a network."""
        ...

    def parse(self, text: str) -> Architecture:
        """Read a text, in any spelling, into its canonical architecture."""
        ...

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """The index of the option taken in each decision; 0 in those that others switch off."""
        ...

    def decode(self, choices: Sequence[int]) -> Architecture:
        """The network that these options make: every combination makes one, several may make the same.

        Raises:
            SpaceError: the wrong number of choices, or one that is no option.
        """
        ...

    def operators(self, architecture: Architecture) -> Mapping[str, float]:
        """How often each operator runs for one image: the terms of an additive cost model.

        An operator's key tells all that its cost depends on: kind, shape, stride. A space may count operators by their
        place, too: under the key, a blank and the place.
        """
        ...

    def features(self, architecture: Architecture) -> NDArray[np.float64]:
        """(F,): numbers for predictors, in the order of :attr:`feature_names`."""
        ...

    def macs(self, architecture: Architecture) -> int:
        """Multiplications of weights with values for one image; those with padded zeros count."""
        ...

    def parameters(self, architecture: Architecture) -> int:
        """Trainable parameters, BatchNorm's included."""
        ...

    def module(self, architecture: Architecture) -> nn.Module:
        """A new network with random weights from torch's generator: (N, C, H, W) → logits (N, classes)."""
        ...


class GraphSpace(Space, Protocol):
    """A space whose networks repeat one cell."""

    @property
    def operation_names(self) -> tuple[str, ...]:
        """What an edge can be."""
        ...

    def graph(self, architecture: Architecture) -> Graph:
        """The cell."""
        ...
