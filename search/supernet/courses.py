"""What a step of training teaches, to a supernet or to a network by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from fault_injection.pytorch import Losses, kept_statistics
from search.supernet.base import SharedWeights
from search.supernet.descent import Descent
from search.supernet.faulty import TrainingLoss
from search.supernet.methods import METHODS
from search.supernet.settings import TrainSettings

_NETWORKS = 1
"""Stream of random numbers; 0 and 2 are the order of the images and their variations."""


@dataclass
class Taught:
    """What the networks of a step had to say; tensors, for each look at a number waits for the device.

    Attributes:
        names: of the networks.
        losses: without faults and under them, network by network.
        correct: share of right answers of the first network.
    """

    names: list[str] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    correct: Tensor | None = None

    def note(self, name: str, found: Losses, labels: Tensor) -> None:
        """A network has learned."""
        self.names.append(name)
        self.losses += [found.clean, found.faulty]
        if self.correct is None:
            self.correct = (found.outputs.argmax(1) == labels).float().mean()

    def read(self) -> tuple[float, float, tuple[str, float] | None]:
        """Loss without faults and accuracy of the first network; which loss was not finite, and what it was."""
        assert self.correct is not None
        *losses, correct = torch.stack([*self.losses, self.correct]).tolist()
        for place, loss in enumerate(losses):
            if not math.isfinite(loss):
                what = ("the loss", "the loss under faults")[place % 2]
                return losses[0], correct, (f"{what} of {self.names[place // 2]}", loss)
        return losses[0], correct, None


class Course(Protocol):
    """A training, step by step.

    Attributes:
        module: that learns.
        steps: in all.
    """

    module: nn.Module
    steps: int

    def teach(self, descent: Descent, images: Tensor, labels: Tensor, step: int) -> Taught:
        """Add up the gradients of one step."""
        ...

    def ask(self, images: Tensor) -> tuple[str, Tensor]:
        """Name and logits of a network, as it is after the last step."""
        ...


class SupernetCourse:
    """The lessons of a method.

    Args:
        supernet: that learns.
        settings: how.
        images: of the training part.
    """

    def __init__(self, supernet: SharedWeights, settings: TrainSettings, images: int) -> None:
        self._method = METHODS[settings.method]
        self._method.check(supernet)
        per_epoch = settings.steps_per_epoch(images)
        self.module: nn.Module = supernet
        self.steps = settings.epochs * per_epoch
        self._supernet, self._settings, self._losses = supernet, settings, TrainingLoss(settings, per_epoch)

    def teach(self, descent: Descent, images: Tensor, labels: Tensor, step: int) -> Taught:
        """See :class:`Course`; the first network is the first lesson's."""
        rng = np.random.default_rng([self._settings.seed, _NETWORKS, step])
        lessons = self._method(self._supernet.space, labels, self._settings, rng)
        self._method.prepare(self._supernet, self._settings.stage(step, self.steps)[0], rng)
        lesson, taught = next(lessons), Taught()
        while True:
            run = descent.machine.running(partial(self._supernet, architecture=lesson.architecture))
            found = self._losses(self._supernet, images, lesson.target, step, run)
            descent.gather(found.total)
            taught.note(lesson.name, found, labels)
            try:
                lesson = lessons.send(found.outputs)
            except StopIteration:
                return taught

    def ask(self, images: Tensor) -> tuple[str, Tensor]:
        """See :class:`Course`; the network is one that a further step would teach."""
        rng = np.random.default_rng([self._settings.seed, _NETWORKS, self.steps])
        labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        lesson = next(self._method(self._supernet.space, labels, self._settings, rng))
        return lesson.name, self._supernet(images, lesson.architecture)


class NetworkCourse:
    """Of a network that is trained alone.

    Args:
        network: that learns, in training mode.
        name: for people.
        settings: how.
        images: of the training part.
        steps: if other than the epochs have.
    """

    def __init__(self, network: nn.Module, name: str, settings: TrainSettings, images: int, steps: int | None) -> None:
        per_epoch = settings.steps_per_epoch(images)
        self.module = network
        self.steps = steps or settings.epochs * per_epoch
        self._name, self._losses = name, TrainingLoss(settings, per_epoch, one_way=True)

    def teach(self, descent: Descent, images: Tensor, labels: Tensor, step: int) -> Taught:
        """See :class:`Course`."""
        taught, run = Taught(), descent.machine.running(self.module)
        found = self._losses(self.module, images, labels, step, run)
        descent.gather(found.total)
        taught.note(self._name, found, labels)
        return taught

    def ask(self, images: Tensor) -> tuple[str, Tensor]:
        """See :class:`Course`."""
        with kept_statistics(self.module):
            return self._name, self.module(images)
