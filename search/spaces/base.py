"""What a search space is: a set of networks that can be named, drawn, varied, counted and built."""

from __future__ import annotations

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
    def feature_names(self) -> tuple[str, ...]:
        """What the entries of :meth:`features` are."""
        ...

    def size(self) -> int:
        """Number of different networks."""
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
