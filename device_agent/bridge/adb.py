"""One phone's shell and files, by the `adb` program: exit codes and output, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Protocol, Sequence


class AdbError(Exception):
    """`adb` failed; a second line says what to do."""


class AdbGone(AdbError):  # noqa: N818  # a state of the phone, too
    """The phone is not there any more: unplugged, rebooting, or its daemon hangs."""


@dataclass(frozen=True)
class Output:
    """What a command on the phone left behind.

    Attributes:
        status: its exit status.
        stdout: its output.
        stderr: the same.
    """

    status: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class Attached:
    """A line of ``adb devices -l``.

    Attributes:
        serial: two phones may show the same.
        state: "device", "unauthorized", "offline", "recovery", …
        transport_id: of this attachment: tells two phones with one serial apart; empty where adb does not say.
        properties: "product", "model", "device", "usb", as far as adb says.
    """

    serial: str
    state: str
    transport_id: str
    properties: dict[str, str]


class Phone(Protocol):
    """A phone that is attached. Every wait has a limit; all of it is asynchronous."""

    @property
    def serial(self) -> str:
        """As `adb devices` shows it."""
        ...

    async def shell(self, command: Sequence[str], timeout_s: float, check: bool = True) -> Output:
        """Run a command in the phone's shell; the words are quoted.

        Raises:
            AdbGone: the phone is not there.
            AdbError: check, and it failed; or it did not end in time (it is killed on the phone, too).
        """
        ...

    async def push(self, source: Path, target: str, timeout_s: float) -> None:
        """Send a file."""
        ...

    async def pull(self, source: str, target: Path, timeout_s: float) -> None:
        """Fetch a file."""
        ...


class Adb(Protocol):
    """The `adb` program of this machine."""

    async def devices(self) -> List[Attached]:
        """All that are attached, whatever their state.

        Raises:
            AdbError: no such program, or its server does not start.
        """
        ...

    def phone(self, attached: Attached) -> Phone:
        """To speak with one of them."""
        ...
