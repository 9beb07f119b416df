"""Progress bars of long work, on standard error; where there is no terminal a line for each stage.

A training that takes longer then tells each minute how far it is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from gauntlet.cli.output import stderr

if TYPE_CHECKING:
    from search.campaign.config import CampaignConfig
    from search.evaluations import Evaluation
    from search.supernet import Progress as TrainProgress

#: Stages that stay on the screen; a comparison has hundreds.
_BARS = 8
_DRAW_EVERY_S = 0.5
#: Where there is no terminal, of a training that goes on for hours.
_TELL_EVERY_S = 60.0


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[detail]}"),
        console=console,
        disable=not console.is_terminal,
    )


@contextmanager
def bars() -> Iterator[Progress]:
    """Bars that stay on the screen when they are full."""
    with _progress(stderr()) as progress:
        yield progress


@contextmanager
def campaign_bars(config: CampaignConfig) -> Iterator[CampaignBars]:
    """A campaign under way: a bar for each stage, and below them the front so far."""
    console = stderr()
    shown = CampaignBars(_progress(console), config)
    if not console.is_terminal:
        yield shown
        return
    with Live(shown, console=console, refresh_per_second=4):
        try:
            yield shown
        finally:
            shown.end()


class CampaignBars:
    """The hooks of `search.campaign.campaign.Observer`.

    Args:
        progress: the bars.
        config: of the campaign.
    """

    def __init__(self, progress: Progress, config: CampaignConfig) -> None:
        self._progress = progress
        self._config = config
        self._task: TaskID | None = None
        self._found: list[Evaluation] = []
        self._front: RenderableType = Text()
        self._drawn = -math.inf
        self._told = time.monotonic()

    def __rich__(self) -> RenderableType:
        """Bars and front; drawn at most twice a second, for a front of hundreds takes its time."""
        if self._found and time.monotonic() - self._drawn > _DRAW_EVERY_S:
            rows = max(3, min(12, self._progress.console.height - len(self._progress.tasks) - 6))
            from gauntlet.render.campaign import live_front  # brings the search along

            self._front = live_front(self._found, self._config, rows)
            self._drawn = time.monotonic()
        return Group(self._progress, self._front)

    def end(self) -> None:
        """The front has been shown; what follows is said elsewhere."""
        self._found, self._front = [], Text()
        self._fill()

    def stage(self, name: str) -> None:
        """A stage began."""
        self._fill()
        if self._progress.console.is_terminal and len(self._progress.tasks) > _BARS:
            self._progress.remove_task(self._progress.task_ids[0])
        self._task = self._progress.add_task(name, total=None, detail="")
        self._found = []
        if not self._progress.console.is_terminal:
            self._progress.console.print(name)

    def trained(self, now: TrainProgress) -> None:
        """A training step was done."""
        figures = f"loss {now.loss:.3f}, accuracy {now.accuracy:.1%}, {now.images_per_s:.0f} images/s"
        detail = f"epoch {now.epoch}/{now.epochs}, {figures}"
        self._update(now.step, now.steps, detail)
        if not self._progress.console.is_terminal and time.monotonic() - self._told >= _TELL_EVERY_S:
            self._told = time.monotonic()
            self.note(f"{detail}, {timedelta(seconds=round(now.left_s))} left")

    def evaluated(self, evaluation: Evaluation, done: int, total: int) -> None:
        """A candidate is done."""
        self._found.append(evaluation)
        if evaluation.failure is not None:
            detail = f"candidate {evaluation.number}: {evaluation.failure.kind}"
        else:
            accuracy = evaluation.value("accuracy").value
            detail = f"candidate {evaluation.number}" + (f": accuracy {accuracy:.1%}" if accuracy is not None else "")
        self._update(done, total, detail)

    def audited(self, done: int, total: int) -> None:
        """A training of the audit was done."""
        self._update(done, total, "")

    def finalists(self, done: int, total: int) -> None:
        """A training of a finalist was done, or its measurement."""
        self._update(done, total, "")

    def note(self, text: str) -> None:
        """A line."""
        self._progress.console.print(text)

    def _fill(self) -> None:
        if self._task is not None and self._task in self._progress.task_ids:
            total = next(task.total for task in self._progress.tasks if task.id == self._task) or 1
            self._progress.update(self._task, completed=total, total=total)

    def _update(self, done: int, total: int, detail: str) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total, detail=detail)
