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
