"""A training's figures for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import SearchError
from search.supernet.settings import Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_FIGURES = ("loss", "accuracy", "learning_rate", "images_per_s")
#: What a training that is killed loses of its log, at most.
_FLUSH_S = 5


def require_tensorboard() -> None:
    """Is it installed?

    Raises:
        SearchError: it is not.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401  # a second, and an extra
    except ImportError as error:
        raise SearchError(
            "`tensorboard: true` needs TensorBoard, which is not installed",
            "pip install 'gauntlet[tensorboard]', or leave the key out",
        ) from error


class ProgressLog:
    """Writes down what a training tells while it goes on; pass it as ``progress``.

    Args:
        folder: of the training; every life of it adds a file there, before its first step nothing is written.
        then: is told, too.

    Raises:
        SearchError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, then: Callable[[Progress], None] | None = None) -> None:
        require_tensorboard()
        self._folder, self._then = folder, then
        self._writer: SummaryWriter | None = None

    def __call__(self, progress: Progress) -> None:
        """A step was done.

        Raises:
            OSError: the folder cannot be made.
        """
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # What an earlier life wrote of this step and of later ones is taken back.
            self._writer = SummaryWriter(str(self._folder), purge_step=progress.step, flush_secs=_FLUSH_S)
        for name in _FIGURES:
            self._writer.add_scalar(name, getattr(progress, name), progress.step)
        if progress.step == progress.steps:
            self._writer.close()
            self._writer = None
        if self._then is not None:
            self._then(progress)
