"""One network, trained alone and judged: work that can be given to another process (see `search.executors`)."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from search.data import Data, load
from search.spaces.base import Architecture, Space
from search.supernet.accuracy import Accuracy, FaultyAccuracy, evaluate, evaluate_under
from search.supernet.errors import CheckpointError
from search.supernet.settings import TrainSettings
from search.supernet.training import train_alone
from search.timed_windows import outside_timed_windows


@dataclass(frozen=True)
class DataSource:
    """Where images come from; see :func:`search.data.load`.

    Attributes:
        path: ``digits``, or of a file or a folder.
        seed: of what is divided or drawn there.
        pool: side of the squares of cells that are averaged into one.
        limit: most images of a part; all if None.
    """

    path: str
    seed: int = 0
    pool: int = 1
    limit: int | None = None

    def load(self) -> Data:
        """The images; a process that has read them keeps them.

        Raises:
            DataError: they cannot be read.
        """
        return _loaded(self)


@lru_cache(maxsize=1)  # a process works for one campaign, and CIFAR-10 takes 0.7 GB
def _loaded(source: DataSource) -> Data:
    return load(source.path, source.seed, pool=source.pool, limit=source.limit)


@dataclass(frozen=True)
class FaultJudgement:
    """Judge by the accuracy under a fault condition, too.

    Attributes:
        condition: a fault model with its rate, for example ``adSAF(p=0.08)``.
        seed: of the patterns; networks that are compared share it.
        patterns: how many, 2 or more.
        images: most images under each; all of the part if None.
    """

    condition: str
    seed: int
    patterns: int = 30
    images: int | None = None


@dataclass(frozen=True)
class Training:
    """One network to train and to judge.

    Attributes:
        space: of the architecture.
        architecture: which network.
        data: what it learns from.
        settings: how; the seed there is replaced.
        seed: of the weights, of the order of the images and of the faults to train under.
        weights: file to begin with, as :func:`write_weights` makes it; None: random ones.
        judged_on: the part of the data.
        faults: conditions to judge under.
        checkpoint: where to keep the state of the training, and to go on from; None: nowhere.
    """

    space: Space
    architecture: Architecture
    data: DataSource
    settings: TrainSettings
    seed: int
    weights: Path | None = None
    judged_on: Literal["validation", "test"] = "validation"
    faults: tuple[FaultJudgement, ...] = ()
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        accuracy: without faults.
        faulty: accuracy by fault condition.
        weights: BatchNorm statistics included, see :func:`read_weights`.
        seconds: of the clock, the wait for timed windows and the judging included; what an earlier process spent on
            the same training is not.
        cpu_s: processor time of this process meanwhile.
    """

    accuracy: Accuracy
    faulty: Mapping[str, FaultyAccuracy]
    weights: bytes = field(repr=False)
    seconds: float
    cpu_s: float


def carry_out(training: Training) -> Trained:
    """Train it and judge it. Each step waits while a device of this host is being timed.

    Raises:
        DataError: the images cannot be read.
        CheckpointError: the weights to begin with, or the checkpoint, cannot be read or are those of something else.
        TrainingDivergedError: the loss became NaN or infinite.
        SearchError: the faults find nothing to strike, or a user's builder raised.
    """
    began, cpu_began = time.monotonic(), time.process_time()
    data = training.data.load()
    network = train_alone(
        training.space,
        training.architecture,
        data,
        training.settings,
        seed=training.seed,
        around=outside_timed_windows,
        weights=None if training.weights is None else _read(training.weights),
        checkpoint=training.checkpoint,
    )
    split = data.parts[training.judged_on]
    with outside_timed_windows():
        accuracy = evaluate(network, split)
    faulty = dict[str, FaultyAccuracy]()
    for judgement in training.faults:
        images = split if judgement.images is None else split.head(judgement.images)
        with outside_timed_windows():
            faulty[judgement.condition] = evaluate_under(
                network, images, judgement.condition, seed=judgement.seed, patterns=judgement.patterns
            )
    spent_s, cpu_s = time.monotonic() - began, time.process_time() - cpu_began
    return Trained(accuracy, faulty, write_weights(network), spent_s, cpu_s)


def write_weights(network: nn.Module) -> bytes:
    """A network's weights with its BatchNorm statistics, as they may be kept in a file."""
    content = io.BytesIO()
    torch.save(network.state_dict(), content)
    return content.getvalue()


def read_weights(content: bytes) -> Mapping[str, Tensor]:
    """What :func:`write_weights` wrote.

    Raises:
        CheckpointError: it is something else.
    """
    try:
        weights = torch.load(io.BytesIO(content), weights_only=True)  # data only: nothing in it is executed
    except Exception as error:  # on files of another kind torch's reader fails with whatever it stumbles over
        raise CheckpointError(f"these are no weights of a network: {error}") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError("these are no weights of a network")
    return weights


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        return read_weights(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}; remove it to have it made anew") from error
