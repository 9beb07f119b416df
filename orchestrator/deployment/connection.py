"""A host's shell and files, over one SSH connection.

    run     one channel, one command; its words quoted
    put     the same: `cat` writes beside the target, which is replaced once all bytes are there. Not sftp: small
            systems have no server for it, and OpenSSH's tells a full disk from no other failure (SSH_FX_FAILURE)

Every wait ends. Whoever says nothing for a while is asked, as `ssh -o ServerAliveInterval` does, and is lost if there
is no answer; a command that takes too long is killed, while the connection stays.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import select
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import paramiko

from orchestrator.deployment.errors import CommandError, NoSpaceError, UnfitError, UnreachableError
from orchestrator.deployment.hosts import Host
from orchestrator.deployment.ports import Output
from orchestrator.deployment.watch import Watch

_MOST_OUTPUT_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 32 * 1024
#: A command that ended may have left a child that holds its output.
_LINGER_S = 1.0
_TICK_S = 0.2
#: After the last byte: a slow card may still be writing.
_WRITTEN_S = 120.0
_FULL = re.compile(r"No space left on device|Disk quota exceeded|\bENOSPC\b|\bEDQUOT\b")
# What comes before the mark is not the command's: a .bashrc or a banner talks, too. In English, so that a full disk can
# be told from other failures.
# The fifth word of stat is the process group, proc(5): sshd makes one of each session, to be killed as a whole.
_START = 'read -r _ _ _ _ group _ <"/proc/$$/stat"; echo "$1 $group"; echo "$1" >&2; shift; LC_ALL=C exec "$@"'
_KILL = 'kill -s KILL -- "-$1"'
_WRITE = """
umask 077
trap 'rm -f "$1.part"' EXIT
trap 'exit 1' HUP PIPE TERM
cat > "$1.part" || exit
# What ends early, as when the connection is cut, is not the file.
[ "$(wc -c < "$1.part")" -eq "$2" ] || { echo "only a part of it came" >&2; exit 1; }
chmod "$3" "$1.part" && mv -f "$1.part" "$1"
"""


class Connection:
    """A `Remote` over SSH; made by `Dialer.connect`.

    Args:
        host: which.
        transport: connected and logged in; closed with this.
        patience_s: how long the host may keep silent.
    """

    def __init__(self, host: Host, transport: paramiko.Transport, patience_s: float) -> None:
        self._host = host
        self._transport = transport
        self._patience_s = patience_s
        self._mark = f"gauntlet-{secrets.token_hex(8)}"

    @property
    def name(self) -> str:
        """As people call it."""
        return self._host.name

    def run(
        self, command: Sequence[str], timeout_s: float = 30.0, stdin: bytes = b"", check: bool = True, what: str = ""
    ) -> Output:
        """Run a program with its arguments, see `Remote.run`; its messages are in English."""
        label = shlex.join(command)
        label = what or (f"`{label}`" if len(label) <= 60 else f"`{label[:60]} …`")
        output = self._execute(command, label, _pieces(stdin), timeout_s)
        if check and output.status != 0:
            raise _failure(label, output)
        return output

    def put(self, source: Path, target: str, on_bytes: Callable[[int], None] = lambda _: None) -> None:
        """Send a file, see `Remote.put`."""
        with source.open("rb") as file:
            size = source.stat().st_size
            self._write(target, _read(file), size, 0o644, on_bytes)

    def write(self, target: str, content: bytes, mode: int = 0o644) -> None:
        """Send a small file, see `Remote.write`."""
        self._write(target, _pieces(content), len(content), mode, lambda _: None)

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def _write(
        self, target: str, pieces: Iterable[bytes], size: int, mode: int, on_bytes: Callable[[int], None]
    ) -> None:
        command = ["sh", "-c", _WRITE, "sh", target, str(size), f"{mode:o}"]
        output = self._execute(command, f"writing {target}", pieces, _WRITTEN_S, on_bytes)
        if output.status != 0:
            raise _failure(f"writing {target}", output)

    def _execute(
        self,
        command: Sequence[str],
        label: str,
        stdin: Iterable[bytes],
        timeout_s: float,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> Output:
        try:
            return self._attempt(command, label, stdin, timeout_s, on_bytes)
        except _GivenUpError as error:
            # Closing its channel would leave it running. And sshd passes signals on for few (RFC 4254, 6.9): not for
            # root, not for forced commands.
            if error.group:
                with contextlib.suppress(CommandError):
                    self._attempt(["sh", "-c", _KILL, "sh", error.group], "kill", (), self._patience_s)
            raise

    def _attempt(
        self,
        command: Sequence[str],
        label: str,
        stdin: Iterable[bytes],
        timeout_s: float,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> Output:
        with self._watched() as watch:
            # The watch is the one to be faster.
            channel = self._transport.open_session(timeout=2 * self._patience_s)
            try:
                channel.exec_command(shlex.join(["sh", "-c", _START, "sh", self._mark, *command]))
                self._feed(channel, stdin, watch, on_bytes)
                return self._own(self._collect(channel, label, timeout_s, watch))
            finally:
                channel.close()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[Watch]:
        """Around all that waits for the host: what goes wrong there means that it is lost."""
        with Watch(self._patience_s, self._transport.close) as watch:
            try:
                yield watch
            except (paramiko.SSHException, EOFError, OSError) as error:
                if not isinstance(error, EOFError) and self._answers():
                    # Such as a sshd that takes no more sessions.
                    raise CommandError(
                        f"{self._host.where} runs no commands: {error}", "its sshd's log says why"
                    ) from error
                self._transport.close()
                how = f"has said nothing for {self._patience_s:g} s" if watch.expired else "was cut off"
                raise UnreachableError(
                    f"{self._host.where} {how}", "is it still running, and on the network? then do it again"
                ) from error

    def _feed(
        self, channel: paramiko.Channel, pieces: Iterable[bytes], watch: Watch, on_bytes: Callable[[int], None]
    ) -> None:
        for piece in pieces:
            try:
                channel.sendall(piece)
            except OSError:
                if not self._transport.is_active():
                    raise
                return  # the command does not want more: how it ended says why
            watch.moved()
            on_bytes(len(piece))
        channel.shutdown_write()

    def _collect(self, channel: paramiko.Channel, label: str, timeout_s: float, watch: Watch) -> Output:
        """Read until the command has ended; its output and its status may come in any order."""
        streams = (bytearray(), bytearray())
        until_s = time.monotonic() + timeout_s
        ask_s = time.monotonic() + self._patience_s
        ended_s: float | None = None
        poll = select.poll()
        poll.register(channel.fileno(), select.POLLIN)
        while not channel.closed:
            now_s = time.monotonic()
            if channel.exit_status_ready():
                ended_s = ended_s or now_s
                if channel.eof_received or now_s > ended_s + _LINGER_S:
                    break
            if now_s > until_s:
                raise self._given_up(f"{label} did not end within {timeout_s:g} s", streams[0])
            if now_s > ask_s:
                if not self._answers():
                    raise EOFError
                ask_s = time.monotonic() + self._patience_s
            if channel.eof_received:
                channel.status_event.wait(_TICK_S)
            else:
                poll.poll(_TICK_S * 1000)
            if _drain(channel, streams):
                ask_s = time.monotonic() + self._patience_s
            watch.moved()
            if sum(map(len, streams)) > _MOST_OUTPUT_BYTES:
                raise self._given_up(f"{label} says more than {_MOST_OUTPUT_BYTES // 1024**2} MiB", streams[0])
        _drain(channel, streams)
        # Killed, or is it the connection that ended?
        if channel.exit_status < 0 and not self._answers():
            raise EOFError
        return Output(channel.exit_status, *(bytes(stream).decode(errors="replace") for stream in streams))

    def _own(self, output: Output) -> Output:
        """What the command itself said; whoever does not even say the mark runs no commands."""
        _, began, stdout = output.stdout.partition(self._mark)
        if output.status >= 0 and not began:
            said = " ".join((output.stderr or output.stdout).split())[:200] or "nothing"
            raise UnfitError(
                f"{self._host.where} runs no commands for {self._host.user}; it says: {said}",
                "an agent needs Linux, and an account with a shell: no nologin, no ForceCommand, not for sftp alone",
            )
        stderr = output.stderr.partition(self._mark)[2]
        # The rest of the lines that the marks stand on.
        return Output(output.status, stdout.partition("\n")[2], stderr.partition("\n")[2])

    def _answers(self) -> bool:
        """Is anybody there? Any answer will do; without one the watch ends the connection, and this."""
        try:
            self._transport.global_request("keepalive@openssh.com", wait=True)
        except (paramiko.SSHException, EOFError, OSError):
            return False
        return self._transport.is_active()

    def _given_up(self, message: str, stdout: bytearray) -> _GivenUpError:
        started = re.search(rf"{self._mark} (\d+)\n", stdout.decode(errors="replace"))
        return _GivenUpError(message, started[1] if started else "")


class _GivenUpError(CommandError):
    """A command that is not to go on; `group` is its process group, if it began."""

    def __init__(self, message: str, group: str) -> None:
        super().__init__(message, "is the host overloaded?")
        self.group = group


def _drain(channel: paramiko.Channel, streams: tuple[bytearray, bytearray]) -> bool:
    """Take what there is; True if there was anything."""
    some = False
    while channel.recv_ready():
        streams[0].extend(channel.recv(_CHUNK_BYTES))
        some = True
    while channel.recv_stderr_ready():
        streams[1].extend(channel.recv_stderr(_CHUNK_BYTES))
        some = True
    return some


def _failure(what: str, output: Output) -> CommandError | NoSpaceError:
    said = [line for line in (output.stderr or output.stdout).splitlines() if line.strip()]
    if _FULL.search(output.stderr) or _FULL.search(output.stdout):
        return NoSpaceError(f"{what}: the disk is full", "make room there: `df -h` shows what is full")
    how = f"failed with status {output.status}" if output.status >= 0 else "was killed"
    return CommandError(f"{what} {how}: {said[-1].strip()[:200]}" if said else f"{what} {how}, and said nothing")


def _pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), _CHUNK_BYTES):
        yield content[start : start + _CHUNK_BYTES]


def _read(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_CHUNK_BYTES):
        yield piece
