"""What a supernet is taught in a step, as published methods have it.

A method is a generator that the engine (:func:`~search.supernet.training.train`) drives: it yields one lesson after
another and is sent what the network answered, so that a later lesson may build on an earlier one. Everything else,
gradients and their check, optimizer, checkpoints and progress, is the engine's and the same for all methods::

    method    ── Lesson(network, target) ──►  engine: forward, loss, backward
              ◄──── logits, detached ───────
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor

from search.spaces import Architecture, MobileSpace
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


class Method(Protocol):
    """Makes the lessons of a step; their gradients are added up."""

    def __call__(
        self, space: MobileSpace, labels: Tensor, settings: TrainSettings, rng: np.random.Generator
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
        ...


def sandwich(
    space: MobileSpace, labels: Tensor, settings: TrainSettings, rng: np.random.Generator
) -> Generator[Lesson, Tensor, None]:
    """*Sandwich rule* and *inplace distillation* (BigNAS, Yu et al. 2020).

    The largest network learns from the labels; the smallest and some random ones from a mixture of the labels and what
    the largest says (as OFA does too, Cai et al. 2020).
    """
    logits = yield Lesson(space.largest(rng), labels, "the largest network")
    certain = F.one_hot(labels, space.classes)
    target = torch.lerp(logits.softmax(1), certain.float(), settings.label_share)
    for architecture in [space.smallest(rng), *(space.sample(rng) for _ in range(settings.random_subnets))]:
        yield Lesson(architecture, target, str(architecture))


def single_path(
    space: MobileSpace, labels: Tensor, settings: TrainSettings, rng: np.random.Generator
) -> Generator[Lesson, Tensor, None]:
    """One network, drawn with each of its choices even, learns from the labels (SPOS, Guo et al. 2019).

    A step costs about the training of one network, a fourth of the usual sandwich's.
    """
    architecture = space.sample(rng)
    yield Lesson(architecture, labels, str(architecture))


METHODS: Mapping[MethodName, Method] = {"sandwich": sandwich, "single-path": single_path}
