"""Progress bars of long work, on standard error; nothing where there is no terminal but a line for each stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gauntlet.cli.output import stderr

if TYPE_CHECKING:
    from search.evaluations import Evaluation
    from search.supernet import Progress as TrainProgress


@contextmanager
def bars() -> Iterator[Progress]:
    """Bars that stay on the screen when they are full."""
    console: Console = stderr()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[detail]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress


class CampaignBars:
    """A bar for each stage of a campaign; the hooks of `search.campaign.campaign.Observer`."""

    def __init__(self, progress: Any) -> None:
        self._progress: Progress = progress
        self._task: TaskID | None = None

    def stage(self, name: str) -> None:
        """A stage began."""
        if self._task is not None:
            task = self._progress.tasks[-1]
            self._progress.update(self._task, completed=task.total or 1, total=task.total or 1)
        self._task = self._progress.add_task(name, total=None, detail="")
        if not self._progress.console.is_terminal:
            self._progress.console.print(name)

    def trained(self, now: TrainProgress) -> None:
        """A training step was done."""
        detail = f"loss {now.loss:.3f}, accuracy {now.accuracy:.1%}, {now.images_per_s:.0f} images/s"
        self._update(now.step, now.steps, detail)

    def evaluated(self, evaluation: Evaluation, done: int, total: int) -> None:
        """A candidate is done."""
        if evaluation.failure is not None:
            detail = f"candidate {evaluation.number}: {evaluation.failure.kind}"
        else:
            accuracy = evaluation.value("accuracy").value
            detail = f"candidate {evaluation.number}" + (f": accuracy {accuracy:.1%}" if accuracy is not None else "")
        self._update(done, total, detail)

    def audited(self, done: int, total: int) -> None:
        """A training of the audit was done."""
        self._update(done, total, "")

    def note(self, text: str) -> None:
        """A line."""
        self._progress.console.print(text)

    def _update(self, done: int, total: int, detail: str) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total, detail=detail)
