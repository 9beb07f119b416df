"""What goes on while a command waits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gauntlet.cli.output import stderr

if TYPE_CHECKING:
    from rich.live import Live
    from rich.spinner import Spinner


class Show:
    """Says on the terminal what goes on; says nothing where there is no terminal."""

    def __init__(self, live: Live | None = None, spinner: Spinner | None = None) -> None:
        self._live = live
        self._spinner = spinner

    def __call__(self, text: str) -> None:
        """Replace the line."""
        if self._spinner is not None:
            from rich.text import Text

            self._spinner.update(text=Text(text, no_wrap=True, overflow="ellipsis"))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Take the line off the terminal while something else is printed."""
        if self._live is None:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def finish(self) -> None:
        """Take the line off the terminal for good."""
        if self._live is not None:
            self._live.stop()
            self._live = self._spinner = None


@contextlib.contextmanager
def progress() -> Iterator[Show]:
    """A line on standard error, if that is a terminal, that is gone afterwards."""
    console = stderr()
    if not console.is_terminal:
        yield Show()
        return
    from rich.live import Live
    from rich.spinner import Spinner

    spinner = Spinner("dots")
    # Without redirection: it would send to the terminal what belongs in a file or a pipe.
    with Live(spinner, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as live:
        yield Show(live, spinner)
