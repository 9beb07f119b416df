"""One phone's shell and files, by the `adb` program: exit codes and output, nothing else.

A command's exit status comes back behind a mark of its own in its output. Where the mark is missing the link broke
while it ran: `adb` itself says nothing then, and ends with 1 as if the command had. (Phones before Android 7 have no
exit statuses at all but in this way.)

What runs on the phone goes on when the `adb` here is killed. So each command carries a mark in its environment, by
which it and all that it started are found and killed when it takes too long or nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shlex
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Protocol, Sequence, Tuple

from device_agent.bridge.listing import Attached, parse_devices
from device_agent.errors import one_line

_VARIABLE = "GAUNTLET_COMMAND"
#: Starting the server takes 0.1 s, and 10 s on a bad day; looking for phones takes as long as they take to answer.
_SERVER_TIMEOUT_S = 30.0
_KILL_TIMEOUT_S = 5.0
_RECONNECT_TIMEOUT_S = 10.0
#: A program that was killed has closed its output by then.
_LAST_WORDS_S = 1.0
#: Of output, and of errors: a look at a phone has some ten thousands of bytes. What is larger travels as a file.
_MOST_BYTES = 4 * 1024**2
_PIECE_BYTES = 64 * 1024
#: What `adb` says of a phone that is not there, or no more.
_GONE = re.compile(
    r"device '[^']*' not found|no devices|no device with transport id|device (still )?(offline|unauthorized|authorizing"
    r"|connecting|recovery|sideload)|error: closed|connection reset|couldn't read from device|protocol fault"
    r"|failed to read copy response|cannot connect to daemon"
)


class AdbError(Exception):
    """`adb` failed; a second line says what to do."""


class AdbTimeoutError(AdbError):
    """It did not end in time, and was killed; the phone answers."""


class AdbChattyError(AdbError):
    """It said more than anybody wants to know, and was killed; the phone answers."""


class AdbGone(AdbError):  # noqa: N818  # a state of the phone, too
    """The phone is not there any more: unplugged, rebooting, or it does not answer."""


class AdbHung(AdbGone):
    """It is attached, and its shell does not answer."""


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


class Phone(Protocol):
    """A phone that is attached. Every wait has a limit; all of it is asynchronous."""

    @property
    def serial(self) -> str:
        """As `adb devices` shows it."""
        ...

    async def shell(self, command: Sequence[str], timeout_s: float, check: bool = True) -> Output:
        """Run a command in the phone's shell; the words are quoted.

        Cancelling kills it, on the phone, too.

        Raises:
            AdbGone: the phone is not there, or does not answer.
            AdbTimeoutError: it did not end in time; it is killed on the phone, too.
            AdbError: check, and it failed; or it said too much, and is killed likewise.
        """
        ...

    async def push(self, source: Path, target: str, timeout_s: float) -> None:
        """Send a file.

        Raises:
            AdbGone: the phone is not there.
            AdbTimeoutError: it is not there in time.
            AdbError: no room for it, or no permission.
        """
        ...

    async def pull(self, source: str, target: Path, timeout_s: float) -> None:
        """Fetch a file.

        Raises:
            AdbGone: the phone is not there.
            AdbTimeoutError: it is not here in time.
            AdbError: there is none.
        """
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


@dataclass(frozen=True)
class AdbProgram:
    """The `adb` program of this machine.

    Attributes:
        path: of the program.
        server_port: of its server; 0: the usual one, which all programs of this machine share.
    """

    path: Path
    server_port: int = 0
    _environment: Dict[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        port = {"ANDROID_ADB_SERVER_PORT": str(self.server_port)} if self.server_port else {}
        object.__setattr__(self, "_environment", {**os.environ, **port})

    async def devices(self) -> List[Attached]:
        """See `Adb`."""
        output = await self.run(["devices", "-l"], _SERVER_TIMEOUT_S)
        if output.status:
            raise AdbError(
                f"{self.path} cannot list phones: {_words(output)}\n"
                "try it by hand: adb devices; another adb's server may be in the way: adb kill-server"
            )
        return parse_devices(output.stdout.decode(errors="replace"))

    def phone(self, attached: Attached) -> AdbPhone:
        """See `Adb`."""
        return AdbPhone(self, attached)

    async def run(self, words: Sequence[str], timeout_s: float) -> Output:
        """Run the program itself, in a process group of its own.

        Raises:
            AdbError: there is no such program.
            AdbTimeoutError: it did not end in time, and was killed.
            AdbChattyError: it said too much, and was killed.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                str(self.path),
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
                start_new_session=True,
            )
        except OSError as error:
            raise AdbError(
                f"cannot run {self.path}: {error.strerror}\ninstall it (Debian: apt-get install adb), or name it: --adb"
            ) from error
        speaking = asyncio.ensure_future(_hear(process))
        try:
            # Not `wait_for`: before Python 3.12 it loses a cancellation that comes together with the result.
            await asyncio.wait({speaking}, timeout=timeout_s)
            if not speaking.done():
                raise AdbTimeoutError(f"`adb {words[0]}` did not end within {timeout_s:g} s")
            stdout, stderr = speaking.result()
        finally:
            if process.returncode is None:
                _kill(process)
                await asyncio.shield(asyncio.wait({speaking}, timeout=_LAST_WORDS_S))
            speaking.cancel()
        return Output(process.returncode or 0, stdout, stderr)


class AdbPhone:
    """A phone, spoken to by the `adb` program.

    Args:
        adb: the program.
        attached: as it was listed. Attached anew, it is another one for `adb`.
    """

    def __init__(self, adb: AdbProgram, attached: Attached) -> None:
        self._adb = adb
        self._attached = attached

    @property
    def serial(self) -> str:
        """See `Phone`."""
        return self._attached.serial

    async def shell(self, command: Sequence[str], timeout_s: float, check: bool = True) -> Output:
        """See `Phone`."""
        mark = f"gauntlet-{secrets.token_hex(8)}"
        try:
            output = await self._marked(f"{_VARIABLE}={mark} {shlex.join(command)}", mark, timeout_s)
        except asyncio.CancelledError:
            with contextlib.suppress(AdbError):
                await asyncio.shield(self._kill(mark))
            raise
        except AdbTimeoutError as error:
            await self._kill(mark)
            raise AdbTimeoutError(f"`{_short(command)}` did not end within {timeout_s:g} s on {self.serial}") from error
        except AdbChattyError as error:
            await self._kill(mark)
            raise AdbChattyError(f"`{_short(command)}` on {self.serial}: {error}") from error
        if check and output.status:
            raise AdbError(f"`{_short(command)}` ended with {output.status} on {self.serial}: {_words(output)}")
        return output

    async def push(self, source: Path, target: str, timeout_s: float) -> None:
        """See `Phone`."""
        await self._transfer(["push", str(source), target], timeout_s)

    async def pull(self, source: str, target: Path, timeout_s: float) -> None:
        """See `Phone`."""
        await self._transfer(["pull", source, str(target)], timeout_s)

    async def reconnect(self) -> None:
        """Have its connection made anew; what runs over it is cut off.

        Raises:
            AdbError: it cannot be.
        """
        await self._run(["reconnect"], _RECONNECT_TIMEOUT_S)

    async def reboot(self) -> None:
        """Let it start anew; returns when it was told to.

        Raises:
            AdbError: it was not.
        """
        output = await self._run(["reboot"], _RECONNECT_TIMEOUT_S)
        if output.status:
            raise AdbError(f"{self.serial} does not reboot: {_words(output)}")

    async def _transfer(self, words: List[str], timeout_s: float) -> None:
        output = await self._run(words, timeout_s)
        if output.status:
            said = _words(output)
            raise (AdbGone if _GONE.search(said) else AdbError)(f"`adb {words[0]}` failed on {self.serial}: {said}")

    async def _marked(self, line: str, mark: str, timeout_s: float) -> Output:
        """Run a line in the phone's shell.

        Raises:
            AdbGone: the link broke before it ended.
            AdbTimeoutError: it did not end in time; on the phone it may go on.
        """
        output = await self._run(["shell", f"{line}; echo {mark}:$?"], timeout_s)
        stdout, found, status = output.stdout.rpartition(f"{mark}:".encode())
        if not found or not status.strip().isdigit():
            raise AdbGone(f"{self.serial} is gone: {_words(output) or 'the link broke'}")
        if status.endswith(b"\r\n"):
            # Phones before Android 7 answer through a terminal.
            stdout = stdout.replace(b"\r\n", b"\n")
        return Output(int(status), stdout, output.stderr)

    async def _kill(self, mark: str) -> None:
        """Kill what carries a mark.

        Raises:
            AdbHung: the phone does not answer.
        """
        found = f"$(grep -ls {_VARIABLE}={mark} /proc/[0-9]*/environ)"
        line = f"for file in {found}; do file=${{file%/environ}}; kill -9 ${{file#/proc/}}; done"
        try:
            await self._marked(line, f"{mark}-killed", _KILL_TIMEOUT_S)
        except AdbTimeoutError as error:
            raise AdbHung(f"{self.serial} does not answer: its shell hangs") from error

    async def _run(self, words: List[str], timeout_s: float) -> Output:
        known = self._attached
        target = ["-t", known.transport_id] if known.transport_id else ["-s", known.serial]
        return await self._adb.run([*target, *words], timeout_s)


async def _hear(process: asyncio.subprocess.Process) -> Tuple[bytes, bytes]:
    """What a program says until it ends.

    Raises:
        AdbChattyError: too much; it was killed.
    """
    pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]
    stdout, stderr = await asyncio.gather(*(_read(pipe, process) for pipe in pipes))
    await process.wait()
    if max(len(stdout), len(stderr)) > _MOST_BYTES:
        raise AdbChattyError(f"it said more than {_MOST_BYTES >> 20} MiB")
    return stdout, stderr


async def _read(pipe: asyncio.StreamReader, process: asyncio.subprocess.Process) -> bytes:
    said = bytearray()
    while piece := await pipe.read(_PIECE_BYTES):
        if len(said) <= _MOST_BYTES:
            said += piece
        else:  # what is left in the pipe is read all the same, or else it would never be closed
            _kill(process)
    return bytes(said)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _short(command: Sequence[str]) -> str:
    text = shlex.join(command)
    return text if len(text) <= 60 else text[:59] + "…"


def _words(output: Output) -> str:
    """What it said last, for people."""
    said: Optional[str] = None
    for text in (output.stderr, output.stdout):
        lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
        # Before it says what it was asked for, adb may say that it starts its server.
        lines = [line for line in lines if not line.startswith("* daemon")]
        said = said or (lines[-1] if lines else None)
    return one_line(said or "")
