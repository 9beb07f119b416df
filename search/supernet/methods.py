"""What a supernet is taught in a step, as published methods have it.

A method is a generator of lessons that the engine (:func:`~search.supernet.training.train`) drives: it yields one after
another and is sent what the network answered, so that a later lesson may build on an earlier one. Everything else,
gradients and their check, optimizer, checkpoints and progress, is the engine's and the same for all methods::

    method    ── Lesson(network, target) ──►  engine: forward, loss, backward
              ◄──── logits, detached ───────

What a method needs of a space or of a supernet is a protocol here, and asked for before the first step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor

from search.errors import SearchError
from search.spaces.base import Architecture, Space
from search.supernet.base import SharedWeights
from search.supernet.settings import MethodName, TrainSettings


@dataclass(frozen=True, eq=False)
class Lesson:
    """One network learns from the batch of a step.

    Attributes:
        architecture: which network.
        target: what its loss, the cross-entropy, compares with: classes (N,), or shares of the classes (N, C).
        name: of the network, for people.
    """

    architecture: Architecture
    target: Tensor
    name: str


@runtime_checkable
class Nested(Protocol):
    """A space in which one network holds all others."""

    def largest(self, rng: np.random.Generator) -> Architecture:
        """The network that holds the others; what makes none larger is drawn."""
        ...

    def smallest(self, rng: np.random.Generator) -> Architecture:
        """The network that all others hold."""
        ...


@runtime_checkable
class Pooled(Protocol):
    """A supernet whose operations draw their weights from sets.

    Attributes:
        sets: at last; None: each operation has weights of its own.
    """

    sets: int | None

    def draw(self, sets: int, rng: np.random.Generator) -> None:
        """Decide, among so many sets, what the networks of a step draw from."""
        ...


class Method(ABC):
    """Makes the lessons of a step; their gradients are added up."""

    def check(self, supernet: SharedWeights) -> None:  # noqa: B027  # most can teach any
        """Can it teach this supernet?

        Raises:
            SearchError: it cannot.
        """

    def prepare(self, supernet: SharedWeights, sets: int, rng: np.random.Generator) -> None:  # noqa: B027  # likewise
        """Before the lessons of a step; again before the same step when a training is resumed there.

        Args:
            supernet: that learns.
            sets: of weights that are to be open; see :meth:`~search.supernet.settings.TrainSettings.stage`.
            rng: of the step.
        """

    @abstractmethod
    def __call__(
        self, space: Space, labels: Tensor, settings: TrainSettings, rng: np.random.Generator
    ) -> Generator[Lesson, Tensor, None]:
        """Yield at least one lesson.

        Progress shows loss and accuracy of the first, which must be taught on the labels.

        Args:
            space: of the supernet.
            labels: of the batch, (N,).
            settings: of the training.
            rng: of the step; nothing else may be drawn from.

        Yields:
            Lessons; each is answered with the logits (N, C) of its network, detached.
        """


class Sandwich(Method):
    """*Sandwich rule* and *inplace distillation* (BigNAS, Yu et al. 2020).

    The largest network learns from the labels; the smallest and some random ones from a mixture of the labels and what
    the largest says (as OFA does too, Cai et al. 2020).
    """

    def check(self, supernet: SharedWeights) -> None:
        """See :class:`Method`; there must be a largest and a smallest network."""
        if not isinstance(supernet.space, Nested):
            raise SearchError(
                f"the sandwich needs a largest and a smallest network, of which {supernet.space.name} has none",
                "train by single-path, or by close",
            )

    def __call__(
        self, space: Space, labels: Tensor, settings: TrainSettings, rng: np.random.Generator
    ) -> Generator[Lesson, Tensor, None]:
        """See :class:`Method`."""
        assert isinstance(space, Nested)
        logits = yield Lesson(space.largest(rng), labels, "the largest network")
        certain = F.one_hot(labels, space.classes)
        target = torch.lerp(logits.softmax(1), certain.float(), settings.label_share)
        for architecture in [space.smallest(rng), *(space.sample(rng) for _ in range(settings.random_subnets))]:
            yield Lesson(architecture, target, str(architecture))


class SinglePath(Method):
    """One network, drawn with each of its choices even, learns from the labels (SPOS, Guo et al. 2019).

    A step costs about the training of one network, a fourth of the usual sandwich's.
    """

    def __call__(
        self, space: Space, labels: Tensor, settings: TrainSettings, rng: np.random.Generator
    ) -> Generator[Lesson, Tensor, None]:
        """See :class:`Method`."""
        architecture = space.sample(rng)
        yield Lesson(architecture, labels, str(architecture))


class Close(SinglePath):
    """Single paths under a curriculum on sharing extent (CLOSE, Zhou et al. 2022).

    All operations of a kind begin with one set of weights for a whole cell, which is easily learned. In each further
    stage there is one set more, which begins as a copy of the set before it (*weight inheritance*), while the learning
    rate begins anew (*schedule restart*): networks share less and less. What draws from which set a gate learns, see
    :mod:`search.supernet.cells_gate`, where it is said how that gate is simpler than the paper's. Here stages are of
    equal length and each of them restarts the schedule; the published settings restart it in one.
    """

    def check(self, supernet: SharedWeights) -> None:
        """See :class:`Method`; operations must draw from sets."""
        if not isinstance(supernet, Pooled) or supernet.sets is None:
            raise SearchError(
                f"close needs operations that draw from sets of weights, which the supernet of {supernet.space.name} "
                "has not got",
                "choose a space of cells (kind nb201 or ftt), or another method",
            )

    def prepare(self, supernet: SharedWeights, sets: int, rng: np.random.Generator) -> None:
        """See :class:`Method`."""
        assert isinstance(supernet, Pooled)
        supernet.draw(sets, rng)


METHODS: Mapping[MethodName, Method] = {"sandwich": Sandwich(), "single-path": SinglePath(), "close": Close()}
