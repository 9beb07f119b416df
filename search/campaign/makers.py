"""Where candidates get their weights: from a supernet, from training alone, or nowhere, when all is recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from search.campaign.candidates import Candidate, CandidateError, export, timed
from search.campaign.problem import Problem, fine_tuning, identifier, training, training_alone
from search.data import Data
from search.errors import SearchError
from search.replay.fleet import RECORDED
from search.replay.schema import NOTED
from search.replay.table import Table
from search.spaces.base import Architecture
from search.supernet import Progress, TrainingDivergedError, make_supernet, recalibrate, train, train_alone
from search.supernet.machine import find_device
from search.supernet.tensorboard import ProgressLog
from search.timed_windows import outside_timed_windows

#: Figures that the host finds out.
_OF_THE_FILE = frozenset({*NOTED, "model_bytes"})
#: In the run folder; it holds a folder of each training.
_TENSORBOARD = "tensorboard"
#: Training images for BatchNorm statistics; a few hundred do.
_RECALIBRATION_IMAGES = 512
#: Networks that are kept in memory, should one be asked for in other numbers.
_REMEMBERED = 16


class Maker(Protocol):
    """Makes candidates of one campaign, the same ones to the bit however often it is asked."""

    def make(self, architecture: Architecture) -> Candidate:
        """A candidate.

        Raises:
            CandidateError: it cannot be made.
        """
        ...


@dataclass
class SupernetMaker:
    """Weights are cut from a supernet.

    Attributes:
        problem: of the campaign.
        data: what it learns from.
        checkpoint: of the training.
    """

    problem: Problem
    data: Data
    checkpoint: Path

    def __post_init__(self) -> None:
        self.config, self.space = self.problem.config, self.problem.networks
        # The same network in other numbers is asked for again.
        self._inherited = lru_cache(_REMEMBERED)(self.inherit)
        self.supernet = make_supernet(self.space, self.config.seed, sets=training(self.config).sets)

    def train(self, progress: Callable[[Progress], None], stop: Callable[[], bool]) -> bool:
        """Train it, or go on; False when stopped."""
        settings = training(self.config)
        if self.config.supernet.tensorboard:
            progress = ProgressLog(self.checkpoint.parent / _TENSORBOARD / "supernet", progress)
        return train(self.supernet, self.data, settings, checkpoint=self.checkpoint, progress=progress, stop=stop)

    def inherit(self, architecture: Architecture) -> nn.Module:
        """Cut a network out, train it on if the campaign wants that, and give it BatchNorm statistics of its own.

        Waits while a device of this host is in a timed window.

        Raises:
            TrainingDivergedError: the loss became NaN or infinite.
        """
        images, chosen = self.data.train.head(_RECALIBRATION_IMAGES).images, self.config.supernet.fine_tune
        with outside_timed_windows(), torch.inference_mode():
            network = self.supernet.subnet(architecture, images)
        if chosen is None:
            return network
        network = train_alone(
            self.space,
            architecture,
            self.data,
            fine_tuning(self.config),
            seed=self.config.seed,
            around=outside_timed_windows,
            weights=network.state_dict(),
            steps=chosen.steps,
        )
        with outside_timed_windows():
            recalibrate(network, images)
        return network

    def make(self, architecture: Architecture) -> Candidate:
        """The network with the weights that it inherits, as a file."""
        stage_s: dict[str, float] = {}
        torch.set_num_threads(1)
        tuned = self.config.supernet.fine_tune is not None
        try:
            with timed(stage_s, "fine-tuning" if tuned else "recalibration"):
                network = self._inherited(self.problem.network(architecture))
        except TrainingDivergedError as error:
            raise CandidateError(str(error), "fine-tuning") from error
        accuracy = "fine_tuned_accuracy" if tuned else "inherited_accuracy"
        return export(network, self.data, accuracy, stage_s, self.problem.storage(architecture))


@dataclass
class AloneMaker:
    """Each network is trained alone.

    Attributes:
        problem: of the campaign.
        data: what it learns from.
        folder: of the run.
    """

    problem: Problem
    data: Data
    folder: Path

    def __post_init__(self) -> None:
        self._trained = lru_cache(_REMEMBERED)(self._train)

    def _train(self, architecture: Architecture) -> nn.Module:
        config, text = self.problem.config, architecture.text
        log = None
        if config.training.tensorboard:
            name = f"{identifier(text)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
            log = ProgressLog(self.folder / _TENSORBOARD / name)
        return train_alone(
            self.problem.networks,
            architecture,
            self.data,
            training_alone(config),
            seed=config.seed,
            around=outside_timed_windows,
            progress=log,
        )

    def make(self, architecture: Architecture) -> Candidate:
        """Build it and train it; steps wait while a device of this host is in a timed window.

        Raises:
            CandidateError: it cannot be made.
            SearchError: nor can any other: the device to train on is not there.
        """
        stage_s: dict[str, float] = {}
        find_device(self.problem.config.training.device)
        try:
            with timed(stage_s, "training"):
                network = self._trained(self.problem.network(architecture))
        except TrainingDivergedError as error:
            raise CandidateError(str(error), "training") from error
        except SearchError as error:  # a user's builder that raises
            raise CandidateError(error.message, "building", remedy=error.remedy) from error
        return export(network, self.data, "trained_accuracy", stage_s, self.problem.storage(architecture))


@dataclass
class RecordedMaker:
    """Nothing is made: a recorded table knows architectures by their texts.

    Attributes:
        table: what is replayed.
    """

    table: Table

    def make(self, architecture: Architecture) -> Candidate:
        """The text, with what is recorded that no device measures."""
        failure = self.table.failure(architecture)
        if failure is not None:
            raise CandidateError(failure.message, "recorded", failure.kind)
        figures = {name: self.table.figure(architecture, name) for name in self.table.names if name in _OF_THE_FILE}
        return Candidate(architecture.text.encode(), RECORDED, figures)


def maker_for(problem: Problem, checkpoint: Path) -> Maker:
    """The maker that a problem asks for.

    Args:
        problem: of the campaign.
        checkpoint: of a supernet's training, in the run folder.
    """
    if problem.table is not None:
        return RecordedMaker(problem.table)
    assert problem.data is not None
    if problem.config.has_supernet:
        return SupernetMaker(problem, problem.data, checkpoint)
    return AloneMaker(problem, problem.data, checkpoint.parent)
