"""What the steps of a deployment need of a host: a shell and a place for files, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Output:
    """What a command left behind.

    Attributes:
        status: its exit status.
        stdout: text, undecodable bytes replaced.
        stderr: the same.
    """

    status: int
    stdout: str
    stderr: str


class Remote(Protocol):
    """One host, connected. Calls block; a host is used by one thread at a time."""

    @property
    def name(self) -> str:
        """As people call it."""
        ...

    def run(
        self, command: Sequence[str], timeout_s: float = 30.0, stdin: bytes = b"", check: bool = True, what: str = ""
    ) -> Output:
        """Run a program with its arguments; they are quoted for the shell of the host.

        Args:
            command: program and arguments; nothing in them is expanded.
            timeout_s: then it is given up and the connection to it closed.
            stdin: its standard input. Secrets go this way: arguments are seen by everybody on the host.
            check: a status other than 0 is an error.
            what: it does, for that error; empty: the command is shown.

        Raises:
            CommandError: it failed, with the last line that it said, or did not end in time.
            NoSpaceError: it failed because the disk is full.
            UnfitError: the host runs no commands for this user.
            UnreachableError: the connection was cut, or the host says nothing any more.
        """
        ...

    def put(self, source: Path, target: str, on_bytes: Callable[[int], None] = lambda _: None) -> None:
        """Send a file; it is there whole, or not at all (written beside, then renamed).

        Args:
            source: here.
            target: absolute path there; its folder exists.
            on_bytes: told how many more bytes are there.

        Raises:
            NoSpaceError: no room for it.
            UnreachableError: the connection was cut.
        """
        ...

    def write(self, target: str, content: bytes, mode: int = 0o644) -> None:
        """The same for a small file."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...
