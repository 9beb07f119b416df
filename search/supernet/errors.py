"""What can go wrong with a supernet."""

from __future__ import annotations

from pathlib import Path


class SupernetError(Exception):
    """A supernet cannot be trained or restored."""


class CheckpointError(SupernetError):
    """A checkpoint that cannot be read, or that belongs to another training."""


class TrainingDivergedError(SupernetError):
    """The loss became NaN or infinite.

    Attributes:
        step: in which step, from 1.
        loss: the value.
        checkpoint: the last good one, None where none was written.
    """

    def __init__(self, step: int, loss: float, where: str, checkpoint: Path | None) -> None:
        self.step = step
        self.loss = loss
        self.checkpoint = checkpoint
        kept = f"the last good checkpoint is kept in {checkpoint}" if checkpoint else "no checkpoint was written"
        super().__init__(
            f"training stopped in step {step}: {where} is {loss}; {kept}. A lower learning rate usually helps; look "
            "for extreme values in the images too"
        )


class TrainingStopped(SupernetError):  # noqa: N818  # asked for, not a fault: `except TrainingStopped`
    """Who trains was asked to stop; the checkpoint, if one was wanted, holds what was done."""

    def __init__(self, step: int, steps: int) -> None:
        self.step = step
        super().__init__(f"training was stopped after step {step} of {steps}")


class BatchTooLargeError(SupernetError):
    """The memory of a device does not suffice for a step.

    Attributes:
        batch: images that were too many.
        fits: images of which a step was tried and fits; None: not even two.
    """

    def __init__(self, device: str, step: int, batch: int, fits: int | None) -> None:
        self.batch = batch
        self.fits = fits
        remedy = f"{fits} fit: set batch to {fits}" if fits else "not even 2 fit: take smaller networks"
        super().__init__(f"out of memory on {device} in step {step}: a batch of {batch} images is too large; {remedy}")
