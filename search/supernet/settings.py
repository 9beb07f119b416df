"""How long and how fast networks are trained."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from search.data import Augmentation
from search.fault_training import FaultTraining

MethodName = Literal["sandwich", "single-path", "close"]
"""What a supernet is taught in a step; see :mod:`search.supernet.methods`."""
PrecisionName = Literal["none", "bf16", "fp16"]
"""In which floats layers compute where torch deems it safe; none: in 32 bits throughout."""
_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,3})?")
NOT_BITWISE = ("device",)
"""Settings that another run of the same training may change: what they leave different is rounding."""


@dataclass(frozen=True)
class TrainSettings:
    """Stochastic gradient descent with Nesterov's momentum, a warm-up and a cosine.

    Attributes:
        epochs: passes over the training images.
        batch: images of a step; those that do not fill one wait for the next epoch's order.
        learning_rate: at its peak.
        momentum: 0–1.
        weight_decay: on weights, not on BatchNorm or biases.
        warmup: share of the steps in which the learning rate rises.
        clip: largest norm of the gradient (BigNAS).
        method: of a supernet's training.
        random_subnets: drawn in each step of the sandwich, besides the largest and the smallest.
        label_share: how much of what smaller networks of the sandwich learn from is the label, 0–1; the rest is what
            the largest says. BigNAS takes 0, which in a training as short as this one passes on a teacher that knows
            little: on the digits 0.5 brings three points of inherited accuracy.
        stages: of CLOSE's curriculum, of equal length but for rounding: so many sets of weights there are at last.
        faults: to train under; None: none.
        augment: what may happen to the training images.
        seed: decides the order of the images, the networks drawn and the faults; not negative.
        threads: of torch. Results are bit-identical only among runs with the same number; on small networks one is
            fastest.
        device: where to compute: cpu, cuda, cuda:1, …, or auto, a graphics processor if there is one. Results on a
            graphics processor need not repeat to the bit, so that a training may go on elsewhere than it began.
        mixed_precision: bf16 or fp16, or none. It is autocast, weights stay in 32 bits; for fp16 the loss is scaled,
            and a step whose gradients overflow all the same is left out.
    """

    epochs: int = 10
    batch: int = 64
    learning_rate: float = 0.4
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup: float = 0.1
    clip: float = 1.0
    method: MethodName = "sandwich"
    random_subnets: int = 2
    label_share: float = 0.5
    stages: int = 3
    faults: FaultTraining | None = None
    augment: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    mixed_precision: PrecisionName = "none"

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ValueError: a setting outside its range.
        """
        for name, least in (
            ("epochs", 1),
            ("batch", 2),
            ("random_subnets", 0),
            ("stages", 1),
            ("seed", 0),
            ("threads", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more: {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be positive: {getattr(self, name)}")
        if self.method not in get_args(MethodName):
            raise ValueError(f"method must be one of {', '.join(get_args(MethodName))}: {self.method}")
        if self.mixed_precision not in get_args(PrecisionName):
            known = ", ".join(get_args(PrecisionName))
            raise ValueError(f"mixed_precision must be one of {known}: {self.mixed_precision}")
        check_device(self.device)
        if not 0 <= self.label_share <= 1:
            raise ValueError(f"label_share must be 0 to 1: {self.label_share}")
        for name in ("momentum", "warmup", "weight_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1: {getattr(self, name)}")
        if self.method == "close" and self.stages > self.epochs:
            raise ValueError(f"{self.stages} stages need as many epochs: lower them, or train longer")
        if self.faults is not None:
            self.faults.check(self.epochs)

    def steps_per_epoch(self, images: int) -> int:
        """Steps of an epoch over so many training images; one smaller batch if they do not fill any."""
        return max(1, images // self.batch)

    @property
    def sets(self) -> int | None:
        """Sets of weights that a supernet for this method needs; None: each operation has its own."""
        return self.stages if self.method == "close" else None

    def stage(self, step: int, steps: int) -> tuple[int, int, int]:
        """The stage of the curriculum that a step belongs to.

        Args:
            step: counted from 0.
            steps: of the whole training.

        Returns:
            Its number, from 1, its first step, and the first one after it. Without a curriculum there is one stage.
        """
        stages = self.sets or 1
        number = next(number for number in range(1, stages + 1) if step < number * steps // stages or number == stages)
        return number, (number - 1) * steps // stages, number * steps // stages

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0; it begins anew in each stage of a curriculum."""
        _, first, end = self.stage(step, steps)
        step, steps = step - first, end - first
        rise = min(1.0, (step + 1) / max(1.0, self.warmup * steps))
        return self.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * step / steps))


def check_device(name: str) -> str:
    """The name of a device, which may not be there.

    Raises:
        ValueError: no device is called so.
    """
    if not _DEVICE.fullmatch(name):
        raise ValueError(f"device must be auto, cpu, cuda or cuda:NUMBER: {name}")
    return name


@dataclass(frozen=True)
class Progress:
    """Where a training stands after a step.

    Attributes:
        step: steps done, those before a resume included.
        steps: in all.
        epoch: from 1.
        epochs: in all.
        loss: cross-entropy of the largest network, or of the only one of a step, averaged over about the last twenty
            steps.
        accuracy: of that network on its training batches, averaged alike, 0–1.
        learning_rate: of the step.
        images_per_s: training images per second of the clock, each counted once however many networks saw it.
        left_s: seconds until the end at that rate.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    accuracy: float
    learning_rate: float
    images_per_s: float
    left_s: float
