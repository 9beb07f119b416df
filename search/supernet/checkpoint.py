"""A training's state on disk: written so that a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from search.fault_training import FaultTraining
from search.files import whole_file
from search.supernet.base import SharedWeights
from search.supernet.errors import CheckpointError
from search.supernet.settings import NOT_BITWISE, TrainSettings

_VERSION = 1


@dataclass(frozen=True)
class Identity:
    """What a checkpoint belongs to; training goes on only where all of it is the same.

    Attributes:
        space: the space's name.
        data: the data set's digest.
        settings: of the training; the device is not part of it.
        network: the architecture of one that is trained alone; empty: a supernet.
        begin: digest of the weights that it began from, see :func:`digest_of`; empty: random ones, from the seed.
        steps: if other than the settings' epochs have; 0: all of those.
    """

    space: str
    data: str
    settings: TrainSettings
    network: str = ""
    begin: str = ""
    steps: int = 0

    def document(self) -> dict[str, Any]:
        """In plain words and numbers."""
        found = asdict(self)
        for name in NOT_BITWISE:
            found["settings"].pop(name)
        return found


@dataclass(frozen=True)
class TrainState:
    """What is needed to go on; learning rate, order of the images and networks drawn follow from the step.

    Attributes:
        step: steps done.
        loss: running average, for the progress shown.
        accuracy: running average.
        optimizer: the optimizer's state.
        scaler: that of the loss's scale; empty where it has none.
    """

    step: int
    loss: float
    accuracy: float
    optimizer: dict[str, Any]
    scaler: dict[str, Any] = field(default_factory=dict)


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of weights with their names, hexadecimal."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save(path: Path, weights: Mapping[str, Tensor], state: TrainState, identity: Identity) -> None:
    """Write a checkpoint in place of the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "version": _VERSION,
        "identity": identity.document(),
        "weights": dict(weights),
        "state": {
            "step": state.step,
            "loss": state.loss,
            "accuracy": state.accuracy,
            "optimizer": state.optimizer,
            "scaler": state.scaler,
        },
    }
    with whole_file(path) as file:
        torch.save(content, file)


def load(path: Path, module: nn.Module, identity: Identity) -> TrainState:
    """Read a checkpoint's weights into a supernet, or into a network that is trained alone.

    Raises:
        CheckpointError: it cannot be read or belongs to another training.
    """
    content = _read(path)
    found, wanted = _completed(content["identity"]), identity.document()
    for what in wanted:
        if found[what] != wanted[what]:
            differs = f"{what} is {found[what]}, not {wanted[what]}"
            if what == "settings":
                there, here = found[what], wanted[what]
                parts = [f"{key} is {there.get(key)}, not {here[key]}" for key in here if there.get(key) != here[key]]
                differs = f"{what}: {', '.join(parts)}"
            raise CheckpointError(f"{path} belongs to another training: {differs}; remove it to begin anew")
    module.load_state_dict(content["weights"])
    return TrainState(**content["state"])


def _completed(found: dict[str, Any]) -> dict[str, Any]:
    """A setting that came later is not in earlier files; its default is what was done then."""
    usual = Identity("", "", TrainSettings()).document()
    settings = {**usual["settings"], **found["settings"]}
    for name in NOT_BITWISE:
        settings.pop(name, None)
    if settings["faults"] is not None:
        settings["faults"] = {**asdict(FaultTraining(settings["faults"]["model"])), **settings["faults"]}
    return {**usual, **found, "settings": settings}


def load_weights(path: Path, supernet: SharedWeights) -> None:
    """Read the weights alone, of whatever training over the same space.

    Raises:
        CheckpointError: it cannot be read or belongs to another space.
    """
    content = _read(path)
    of = content["identity"]
    if of["space"] != supernet.space.name:
        raise CheckpointError(f"{path} holds weights of another space: {of['space']}")
    if of.get("network"):
        raise CheckpointError(f"{path} holds one network that was trained alone, {of['network']}, and no supernet")
    try:
        supernet.load_state_dict(content["weights"])
    except RuntimeError as error:  # of the same space, and yet other names
        method = of["settings"].get("method", TrainSettings.method)
        raise CheckpointError(
            f"{path} holds weights that are shared in another way: they were trained by {method}"
            + (f" in {of['settings']['stages']} stages" if method == "close" else "")
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)  # data only: nothing in the file is executed
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except Exception as error:  # on files of another kind torch's reader fails with whatever it stumbles over
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {error}") from error
    if not isinstance(content, dict) or "version" not in content:
        raise CheckpointError(f"{path} is no checkpoint of a training")
    if content["version"] != _VERSION:
        raise CheckpointError(
            f"{path} is of version {content['version']}, this program reads {_VERSION}; remove it to begin anew"
        )
    return content
