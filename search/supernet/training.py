"""Training: a supernet by one of several methods (see `methods`), and single networks for comparison.

Nothing is drawn from a running generator: an epoch's images, their order and variations, come from (seed, epoch), the
networks of a step and its faults from (seed, step). So a training that is resumed goes on exactly as if it had never
stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from search.data import Data, Split
from search.spaces.base import Architecture, Space
from search.supernet.base import SharedWeights
from search.supernet.checkpoint import Identity, TrainState, digest_of, load, save
from search.supernet.courses import Course, NetworkCourse, SupernetCourse
from search.supernet.descent import Descent
from search.supernet.errors import BatchTooLargeError, TrainingDivergedError, TrainingStopped
from search.supernet.machine import Machine
from search.supernet.settings import Progress, TrainSettings

_ORDER = 0
"""Stream of random numbers; others are named where they are drawn from."""
_AVERAGED_STEPS = 20
_EVERY_S = 5.0
"""Seconds between two checkpoints, unless told."""


def train(
    supernet: SharedWeights,
    data: Data,
    settings: TrainSettings,
    *,
    checkpoint: Path | None = None,
    checkpoint_every_s: float = _EVERY_S,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> bool:
    """Train a supernet, or go on where a checkpoint ends.

    Each step trains some networks on one batch, as the method wants it; their gradients are added up.

    Args:
        supernet: trained in place, and on the CPU afterwards; with a checkpoint its weights are replaced first.
        data: only the training part is looked at.
        settings: how.
        checkpoint: where to keep the state; read first if it is there. It always holds weights whose loss was finite.
        checkpoint_every_s: seconds between two checkpoints.
        progress: called after each step.
        stop: asked after each step; true ends the training after a checkpoint.

    Returns:
        Whether the training is complete, and not only stopped.

    Raises:
        CheckpointError: the checkpoint cannot be read, or belongs to another training.
        TrainingDivergedError: the loss became NaN or infinite.
        BatchTooLargeError: the device's memory does not suffice; says which batch would do.
        SearchError: the faults to train under find nothing to strike, or there is no such device.
    """
    course = SupernetCourse(supernet, settings, len(data.train))
    keeper = _Keeper(checkpoint, checkpoint_every_s, Identity(supernet.space.name, data.digest, settings))
    return _carry_out(course, data.train, settings, keeper, progress, stop) == course.steps


def train_alone(
    space: Space,
    architecture: Architecture,
    data: Data,
    settings: TrainSettings,
    *,
    seed: int,
    around: Callable[[], AbstractContextManager[None]] = nullcontext,
    weights: Mapping[str, Tensor] | None = None,
    steps: int | None = None,
    checkpoint: Path | None = None,
    checkpoint_every_s: float = _EVERY_S,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> nn.Module:
    """Train one network by itself, from random weights or from given ones, or go on where a checkpoint ends.

    Args:
        space: of the architecture.
        architecture: which network.
        data: only the training part is looked at.
        settings: how; its seed is replaced.
        seed: of the weights and of the order of the images.
        around: entered for each step; may wait.
        weights: to begin with, BatchNorm statistics included, as the network's ``state_dict`` names them; None: random
            ones. Those that a supernet hands on are ``supernet.subnet(architecture, images).state_dict()``.
        steps: so many instead of those of the settings' epochs; the learning rate falls to its end within them.
        checkpoint: where to keep the state; read first if it is there.
        checkpoint_every_s: seconds between two checkpoints.
        progress: called after each step.
        stop: asked after each step; true ends the training after a checkpoint.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        CheckpointError: the checkpoint cannot be read, or belongs to another training.
        TrainingDivergedError: the loss became NaN or infinite.
        TrainingStopped: `stop` said so.
        BatchTooLargeError: the device's memory does not suffice; says which batch would do.
        SearchError: the faults to train under find nothing to strike, or there is no such device.
        ValueError: weights of another network, or no step.
    """
    if steps is not None and steps < 1:
        raise ValueError(f"steps must be 1 or more: {steps}")
    settings = replace(settings, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = space.module(architecture).train()
    if weights is not None:
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"the weights to begin with are not those of {architecture}: {error}") from error
    course = NetworkCourse(network, str(architecture), settings, len(data.train), steps)
    begin = "" if weights is None else digest_of(weights)
    identity = Identity(space.name, data.digest, settings, architecture.text, begin, steps or 0)
    keeper = _Keeper(checkpoint, checkpoint_every_s, identity)
    done = _carry_out(course, data.train, settings, keeper, progress, stop, around)
    if done < course.steps:
        raise TrainingStopped(done, course.steps)
    return network.eval()


class _Keeper:
    """Keeps what was done in a checkpoint.

    Args:
        path: None: nowhere.
        every_s: seconds between two.
        identity: of the training.
    """

    def __init__(self, path: Path | None, every_s: float, identity: Identity) -> None:
        self._path, self._every_s, self._identity = path, every_s, identity
        self._written = time.monotonic()

    def begin(self, descent: Descent) -> TrainState:
        """Where to go on."""
        if self.last is None:
            return TrainState(0, 0.0, 0.0, {})
        state = load(self.last, descent.module, self._identity)
        descent.restore(state.optimizer, state.scaler)
        return state

    @property
    def is_due(self) -> bool:
        """Is the last one old enough?"""
        return self._path is not None and time.monotonic() - self._written >= self._every_s

    @property
    def last(self) -> Path | None:
        """The last one, if there is any."""
        return self._path if self._path is not None and self._path.exists() else None

    def keep(self, descent: Descent, meter: _Meter, buffers: Mapping[str, Tensor] | None = None) -> None:
        """Write one, with these buffers instead of the module's."""
        if self._path is not None:
            state = TrainState(meter.step, meter.loss, meter.accuracy, **descent.state())
            save(self._path, {**descent.module.state_dict(), **(buffers or {})}, state, self._identity)
            self._written = time.monotonic()


def _carry_out(
    course: Course,
    split: Split,
    settings: TrainSettings,
    keeper: _Keeper,
    progress: Callable[[Progress], None] | None,
    stop: Callable[[], bool] | None,
    around: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> int:
    """Do all steps that are still to be done, or those until `stop`; says how many are done then."""
    machine, module, steps = Machine.of(settings.device, settings.mixed_precision), course.module, course.steps
    machine.place(module)
    try:
        descent = Descent(module, settings, machine)
        state = keeper.begin(descent)
        held = machine.held(split)
        meter = _Meter(steps, settings, len(held), state)
        with _threads(settings.threads):
            for step, images, labels in _batches(held, settings, state.step, steps, machine):
                with around():
                    # A pass moves running statistics; those of before belong to the weights that are kept.
                    due = keeper.is_due
                    before = {name: buffer.clone() for name, buffer in module.named_buffers()} if due else {}
                    loss, accuracy, trouble = _attempt(course, descent, images, labels, step)
                    if trouble is not None:
                        where, value = trouble
                        raise TrainingDivergedError(step + 1, value, where, keeper.last)
                    if due:  # before the step is taken: these weights are known to be good
                        keeper.keep(descent, meter, before)
                    descent.take(settings.rate(step, steps))
                meter.count(loss, accuracy)
                if progress is not None:
                    progress(meter.read())
                if stop is not None and meter.step < steps and stop():
                    keeper.keep(descent, meter)
                    return meter.step
            if meter.step > state.step:
                _check_last(course, machine, held, settings.batch, keeper.last)
                keeper.keep(descent, meter)
    finally:
        module.to("cpu")
    return meter.step


def _attempt(
    course: Course, descent: Descent, images: Tensor, labels: Tensor, step: int
) -> tuple[float, float, tuple[str, float] | None]:
    """Leave the clipped gradients of a step.

    Returns:
        Loss and accuracy of the first network without faults; what was not finite, and what it was.

    Raises:
        BatchTooLargeError: the device's memory does not suffice.
    """
    try:
        descent.forget()
        loss, accuracy, trouble = course.teach(descent, images, labels, step).read()
        norm = descent.clip()
        return loss, accuracy, trouble or (None if norm is None else ("the gradient's norm", norm))
    except torch.OutOfMemoryError:
        pass  # to go on where nothing holds the tensors of the attempt any more, as the error does
    fits = len(images) // 2
    while fits >= 2 and not _fits(course, descent, images[:fits], labels[:fits], step):
        fits //= 2
    raise BatchTooLargeError(str(descent.machine.device), step + 1, len(images), fits if fits >= 2 else None)


def _fits(course: Course, descent: Descent, images: Tensor, labels: Tensor, step: int) -> bool:
    """Does the device's memory suffice for this batch?"""
    descent.forget()
    descent.machine.forget()
    try:
        course.teach(descent, images, labels, step)
    except torch.OutOfMemoryError:
        return False
    return True


def _batches(
    split: Split, settings: TrainSettings, first: int, steps: int, machine: Machine
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Batches of the steps from ``first`` on, on the device, each epoch in an order of its own."""
    per_epoch, size = settings.steps_per_epoch(len(split)), min(settings.batch, len(split))
    for step in range(first, steps):
        epoch, place = divmod(step, per_epoch)
        if place == 0 or step == first:
            order = np.random.default_rng([settings.seed, _ORDER, epoch]).permutation(len(split))
        places = order[place * size : (place + 1) * size]
        chosen = torch.from_numpy(places)
        images, labels = split.images[chosen].to(machine.device), split.labels[chosen].to(machine.device)
        images = settings.augment(images, places, seed=settings.seed, epoch=epoch)
        yield step, images.contiguous(memory_format=torch.channels_last), labels


def _check_last(course: Course, machine: Machine, split: Split, batch: int, checkpoint: Path | None) -> None:
    """No step follows the last one to show whether its weights are good."""
    images, labels = next(split.batches(batch))
    with torch.no_grad():
        name, logits = course.ask(images.to(machine.device))
        loss = F.cross_entropy(logits, labels.to(machine.device)).item()
    if not math.isfinite(loss):
        raise TrainingDivergedError(course.steps, loss, f"the loss of {name} afterwards", checkpoint)


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Meter:
    """Keeps the figures that are shown."""

    def __init__(self, steps: int, settings: TrainSettings, images: int, state: TrainState) -> None:
        self.step, self.loss, self.accuracy = state.step, state.loss, state.accuracy
        self._steps, self._per_epoch, self._batch = steps, settings.steps_per_epoch(images), min(settings.batch, images)
        self._settings = settings
        self._first, self._begun = state.step, time.monotonic()

    def count(self, loss: float, accuracy: float) -> None:
        """Note a step."""
        self.step += 1
        weight = max(1 / self.step, 1 / _AVERAGED_STEPS)
        self.loss += weight * (loss - self.loss)
        self.accuracy += weight * (accuracy - self.accuracy)

    def read(self) -> Progress:
        """Where the training stands."""
        per_s = (self.step - self._first) / max(time.monotonic() - self._begun, 1e-9)
        return Progress(
            step=self.step,
            steps=self._steps,
            epoch=-(-self.step // self._per_epoch),
            epochs=-(-self._steps // self._per_epoch),
            loss=self.loss,
            accuracy=self.accuracy,
            learning_rate=self._settings.rate(self.step - 1, self._steps),
            images_per_s=per_s * self._batch,
            left_s=(self._steps - self.step) / per_s,
        )
