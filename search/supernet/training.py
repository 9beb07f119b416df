"""Training: a supernet by one of several methods (see `methods`), and single networks for comparison.

Nothing is drawn from a running generator: an epoch's images, their order and variations, come from (seed, epoch), the
networks of a step and its faults from (seed, step). So a training that is resumed goes on exactly as if it had never
stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from fault_injection.pytorch import Losses
from search.data import Data, Split
from search.spaces.base import Architecture, Space
from search.supernet.checkpoint import Identity, TrainState, load, save
from search.supernet.elastic import Supernet
from search.supernet.errors import TrainingDivergedError
from search.supernet.faulty import TrainingLoss
from search.supernet.methods import METHODS
from search.supernet.settings import Progress, TrainSettings

_ORDER, _NETWORKS = 0, 1
"""Streams of random numbers."""
_AVERAGED_STEPS = 20


def train(
    supernet: Supernet,
    data: Data,
    settings: TrainSettings,
    *,
    checkpoint: Path | None = None,
    checkpoint_every_s: float = 5.0,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> bool:
    """Train a supernet, or go on where a checkpoint ends.

    Each step trains some networks on one batch, as the method wants it; their gradients are added up.

    Args:
        supernet: trained in place; with a checkpoint its weights are replaced first.
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
        SearchError: the faults to train under find nothing to strike.
    """
    identity = Identity(supernet.space.name, data.digest, settings)
    optimizer = _optimizer(supernet, settings)
    state = TrainState(0, 0.0, 0.0, {})
    if checkpoint is not None and checkpoint.exists():
        state = load(checkpoint, supernet, identity)
        optimizer.load_state_dict(state.optimizer)
    per_epoch = settings.steps_per_epoch(len(data.train))
    steps = settings.epochs * per_epoch
    meter = _Meter(steps, per_epoch, settings, min(settings.batch, len(data.train)), state)
    written, losses = time.monotonic(), TrainingLoss(settings, per_epoch)

    def keep() -> None:
        if checkpoint is not None:
            done = TrainState(meter.step, meter.loss, meter.accuracy, optimizer.state_dict())
            save(checkpoint, supernet, done, identity)

    with _threads(settings.threads):
        for step, images, labels in _batches(data.train, settings, state.step, steps):
            optimizer.zero_grad(set_to_none=True)
            loss, accuracy, trouble = _teach(supernet, images, labels, step, settings, losses)
            norm = float(nn.utils.clip_grad_norm_(supernet.parameters(), settings.clip))
            trouble = trouble or (None if math.isfinite(norm) else ("the gradient's norm", norm))
            if trouble is not None:
                where, value = trouble
                raise TrainingDivergedError(step + 1, value, where, checkpoint if _exists(checkpoint) else None)
            if time.monotonic() - written >= checkpoint_every_s:
                keep()  # before the step is taken: these weights are known to be good
                written = time.monotonic()
            _take_step(optimizer, settings.rate(step, steps))
            meter.count(loss, accuracy)
            if progress is not None:
                progress(meter.read())
            if stop is not None and meter.step < steps and stop():
                keep()
                return False
        if meter.step > state.step:
            _check_last(supernet, data.train, settings, meter.step, checkpoint)
            keep()
    return True


def train_alone(
    space: Space,
    architecture: Architecture,
    data: Data,
    settings: TrainSettings,
    *,
    seed: int,
    around: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> nn.Module:
    """Train one network from random weights, as one would without a supernet.

    Args:
        space: of the architecture.
        architecture: which network.
        data: only the training part is looked at.
        settings: how; its seed is replaced.
        seed: of the weights and of the order of the images.
        around: entered for each step; may wait.

    Returns:
        The network in evaluation mode.

    Raises:
        TrainingDivergedError: the loss became NaN or infinite.
        SearchError: the faults to train under find nothing to strike.
    """
    settings = replace(settings, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = space.module(architecture).train()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(network, settings)
    per_epoch = settings.steps_per_epoch(len(data.train))
    steps, losses = settings.epochs * per_epoch, TrainingLoss(settings, per_epoch)
    with _threads(settings.threads):
        for step, images, labels in _batches(data.train, settings, 0, steps):
            with around():
                optimizer.zero_grad(set_to_none=True)
                found = losses(network, images, labels, step, network)
                found.total.backward()  # type: ignore[no-untyped-call]
                trouble = _not_finite(found, str(architecture))
                if trouble is not None:
                    where, value = trouble
                    raise TrainingDivergedError(step + 1, value, where, None)
                nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
                _take_step(optimizer, settings.rate(step, steps))
    return network.eval()


def _teach(
    supernet: Supernet, images: Tensor, labels: Tensor, step: int, settings: TrainSettings, losses: TrainingLoss
) -> tuple[float, float, tuple[str, float] | None]:
    """Add up the gradients of one step.

    Returns:
        Loss and accuracy of the first network without faults, and which loss was not finite.
    """
    rng = np.random.default_rng([settings.seed, _NETWORKS, step])
    lessons = METHODS[settings.method](supernet.space, labels, settings, rng)
    lesson, seen, trouble = next(lessons), list[tuple[float, float]](), None
    while True:
        run = partial(supernet, architecture=lesson.architecture)
        found = losses(supernet, images, lesson.target, step, run)
        found.total.backward()  # type: ignore[no-untyped-call]
        seen.append((found.clean.item(), float((found.outputs.argmax(1) == labels).float().mean())))
        trouble = trouble or _not_finite(found, lesson.name)
        try:
            lesson = lessons.send(found.outputs)
        except StopIteration:
            return *seen[0], trouble


def _not_finite(losses: Losses, name: str) -> tuple[str, float] | None:
    """Which of a network's losses is not finite, and what it is."""
    for what, loss in (("the loss", losses.clean.item()), ("the loss under faults", losses.faulty.item())):
        if not math.isfinite(loss):
            return f"{what} of {name}", loss
    return None


def _batches(split: Split, settings: TrainSettings, first: int, steps: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Batches of the steps from ``first`` on, each epoch in an order of its own."""
    per_epoch, size = settings.steps_per_epoch(len(split)), min(settings.batch, len(split))
    for step in range(first, steps):
        epoch, place = divmod(step, per_epoch)
        if place == 0 or step == first:
            order = np.random.default_rng([settings.seed, _ORDER, epoch]).permutation(len(split))
        places = order[place * size : (place + 1) * size]
        chosen = torch.from_numpy(places)
        images = settings.augment(split.images[chosen], places, seed=settings.seed, epoch=epoch)
        yield step, images.contiguous(memory_format=torch.channels_last), split.labels[chosen]


def _optimizer(module: nn.Module, settings: TrainSettings) -> torch.optim.SGD:
    weights = [parameter for parameter in module.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in module.parameters() if parameter.dim() <= 1]
    groups = [{"params": weights, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(
        groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=settings.momentum > 0
    )


def _take_step(optimizer: torch.optim.SGD, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


def _check_last(supernet: Supernet, split: Split, settings: TrainSettings, step: int, checkpoint: Path | None) -> None:
    """No step follows the last one to show whether its weights are good."""
    images, labels = next(split.batches(settings.batch))
    with torch.no_grad():
        rng = np.random.default_rng([settings.seed, _NETWORKS, step])
        loss = F.cross_entropy(supernet(images, supernet.space.largest(rng)), labels).item()
    if not math.isfinite(loss):
        where = "the loss of the largest network afterwards"
        raise TrainingDivergedError(step, loss, where, checkpoint if _exists(checkpoint) else None)


def _exists(path: Path | None) -> bool:
    return path is not None and path.exists()


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

    def __init__(self, steps: int, per_epoch: int, settings: TrainSettings, batch: int, state: TrainState) -> None:
        self.step, self.loss, self.accuracy = state.step, state.loss, state.accuracy
        self._steps, self._per_epoch, self._epochs, self._batch = steps, per_epoch, settings.epochs, batch
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
            epochs=self._epochs,
            loss=self.loss,
            accuracy=self.accuracy,
            images_per_s=per_s * self._batch,
            left_s=(self._steps - self.step) / per_s,
        )
