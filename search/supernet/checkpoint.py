"""A training's state on disk: written so that a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from search.supernet.elastic import Supernet
from search.supernet.errors import CheckpointError
from search.supernet.settings import TrainSettings

_VERSION = 1


@dataclass(frozen=True)
class Identity:
    """What a checkpoint belongs to; training goes on only where all of it is the same.

    Attributes:
        space: the space's name.
        data: the data set's digest.
        settings: of the training.
    """

    space: str
    data: str
    settings: TrainSettings


@dataclass(frozen=True)
class TrainState:
    """What is needed to go on; learning rate, order of the images and networks drawn follow from the step.

    Attributes:
        step: steps done.
        loss: running average, for the progress shown.
        accuracy: running average.
        optimizer: the optimizer's state.
    """

    step: int
    loss: float
    accuracy: float
    optimizer: dict[str, Any]


def save(path: Path, supernet: Supernet, state: TrainState, identity: Identity) -> None:
    """Write a checkpoint in place of the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "version": _VERSION,
        "identity": {**asdict(identity)},
        "weights": supernet.state_dict(),
        "state": {"step": state.step, "loss": state.loss, "accuracy": state.accuracy, "optimizer": state.optimizer},
    }
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # or the new name may be lost with the power
    finally:
        os.close(folder)


def load(path: Path, supernet: Supernet, identity: Identity) -> TrainState:
    """Read a checkpoint's weights into a supernet.

    Raises:
        CheckpointError: it cannot be read or belongs to another training.
    """
    content = _read(path)
    found, wanted = content["identity"], asdict(identity)
    # A setting that came later is not in earlier files; its default is what was done then.
    found["settings"] = {**asdict(TrainSettings()), **found["settings"]}
    for what in wanted:
        if found[what] != wanted[what]:
            raise CheckpointError(
                f"{path} belongs to another training: {what} is {found[what]}, not {wanted[what]}; remove it to begin "
                "anew"
            )
    supernet.load_state_dict(content["weights"])
    return TrainState(**content["state"])


def load_weights(path: Path, supernet: Supernet) -> None:
    """Read the weights alone, of whatever training over the same space.

    Raises:
        CheckpointError: it cannot be read or belongs to another space.
    """
    content = _read(path)
    if content["identity"]["space"] != supernet.space.name:
        raise CheckpointError(f"{path} holds weights of another space: {content['identity']['space']}")
    supernet.load_state_dict(content["weights"])


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, weights_only=True)  # data only: nothing in the file is executed
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except Exception as error:  # on files of another kind torch's reader fails with whatever it stumbles over
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {error}") from error
    if not isinstance(content, dict) or "version" not in content:
        raise CheckpointError(f"{path} is no checkpoint of a supernet")
    if content["version"] != _VERSION:
        raise CheckpointError(
            f"{path} is of version {content['version']}, this program reads {_VERSION}; remove it to begin anew"
        )
    return content
