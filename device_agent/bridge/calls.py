"""One run of the runner on the phone: data and request over, the program under a deadline, result and outputs back.

    here                        phone
    data, request ──push──────▶ call.bin
    ───── one shell command ──▶ digest right? ─▶ call/request.json ─▶ timeout, taskset: runner ─▶ call/back.bin
    result, outputs ◀──pull───  ◀──────────── status, sizes and digest of what it wrote ─────────────┘

A command takes some 30 ms over USB, so there are three, whatever goes over. The deadline is kept twice: by `timeout` on
the phone, which holds when the link is cut, and by the bridge, which holds when the phone has no `timeout`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Mapping, Optional, Sequence

from device_agent.bridge import runner
from device_agent.bridge.adb import AdbError, AdbGone, AdbTimeoutError, Phone
from device_agent.bridge.job import Hands
from device_agent.bridge.store import ROOT, PhoneStore, same_digest, send, transfer_s
from device_agent.errors import MeasurementError, one_line
from protos.contract import digest_of_bytes, digest_of_file
from protos.gauntlet.v1 import failure_pb2

REQUEST, RESULT, OUTPUTS = "request.json", "result.json", "outputs.bin"
#: Data of a call, and the request behind it; as a request names it.
DATA = "../call.bin"
_SENT, _BACK = "call.bin", "back.bin"
#: A link that is cut is noticed by then, and a phone whose `timeout` did its work has said so.
_GRACE_S = 10.0
_CLEAN_UP_S = 10.0
_LOG_BYTES = 2000
#: Of what a program made, in memory here. Outputs of ten thousand samples with a thousand classes take 40 MB.
_MOST_BACK_BYTES = 512 * 1024**2
_LOG_LOOK_S = 10.0
_CANNOT_RUN = (126, 127)
_TIMED_OUT = 124
#: Beyond it the shell tells how a program was ended.
_LAST_OWN_STATUS = 123
_OUT_OF_MEMORY = re.compile(r"out of memory|lowmemorykiller|lmkd|oom-kill", re.I)
_DAMAGED = re.compile(r"^damaged (\S+)$", re.MULTILINE)
_STATUS = re.compile(r"^status (\d{1,3})$", re.MULTILINE)
_SIZE = re.compile(r"^size +(\d{1,15}) (\S+)$", re.MULTILINE)
_DIGEST = re.compile(r"^back ([0-9a-f]{64})", re.MULTILINE)


class RunnerFailedError(MeasurementError):
    """The runner ended otherwise than by itself.

    Attributes:
        signal: that ended it; 0: none.
        log: what it said last.
        step: what it was asked for.
    """

    def __init__(self, kind: failure_pb2.FailureKind, message: str, log: str, step: str, number: int = 0) -> None:
        super().__init__(kind, message)
        self.signal = number
        self.log = log
        self.step = step

    def to_message(self) -> failure_pb2.Failure:
        """See `MeasurementError`."""
        failure = super().to_message()
        failure.stderr_tail, failure.last_step = self.log, self.step
        if self.signal:
            failure.signal = self.signal
        return failure


@dataclass(frozen=True)
class Around:
    """What the phone's shell does beside the runner, in the folder of the call.

    Attributes:
        before: a line in front of it, which comes to an end or goes on in the background.
        after: a line behind it.
        seconds: that both take, at most.
    """

    before: str = "true"
    after: str = "true"
    seconds: float = 0.0


@dataclass(frozen=True)
class Ran:
    """How a program ended.

    Attributes:
        status: its exit status.
        took_s: the command around it, on this machine's clock.
        limit_s: seconds after which it was to be killed.
        log: what it said, the last of it.
        files: content of those that it made, by name.
    """

    status: int
    took_s: float
    limit_s: float
    log: str
    files: Dict[str, bytes]


@dataclass(frozen=True)
class Answer:
    """What a runner answered.

    Attributes:
        result: checked as far as `runner.read_result` does.
        files: content of those that were asked for, by name.
    """

    result: runner.Json
    files: Dict[str, bytes]


class Caller:
    """Runs a runner.

    Args:
        phone: it.
        store: of its files.
        program: the runner's file here.
    """

    def __init__(self, phone: Phone, store: PhoneStore, program: Path) -> None:
        self._phone = phone
        self._store = store
        self._program = program
        self.digest = digest_of_file(program)

    async def call(
        self,
        request: runner.Json,
        files: Mapping[str, Path],
        data: bytes,
        limit_s: float,
        hands: Hands,
        wanted: Sequence[str] = (),
        around: Around = Around(),  # frozen
    ) -> Answer:
        """Carry out a request of the bridge's protocol.

        Args:
            request: names files of the store as `../<digest>`, and the data as `DATA`.
            files: of the store that it needs, by digest.
            data: of this call alone.
            limit_s: seconds after which the runner is killed.
            hands: how it is held.
            wanted: names of files that it makes beside the result.
            around: what else the phone does meanwhile.

        Raises:
            MeasurementError: what became of it instead.
            AdbError: adb's own trouble.
        """
        words, written = ["--request", REQUEST, "--result", RESULT], json.dumps(request).encode()
        ran = await self.run(words, files, limit_s, hands, [RESULT, *wanted], written, data, around)
        step = str(request["task"])
        if ran.status and (RESULT not in ran.files or ran.status > _LAST_OWN_STATUS):
            raise await self.failure(ran, step)
        missing = [name for name in (RESULT, *wanted) if name not in ran.files]
        if missing == [RESULT]:
            raise runner.broken(f"it ended and wrote no result{f': {one_line(ran.log)}' if ran.log.strip() else ''}")
        result = runner.read_result(ran.files[RESULT])
        if missing:
            raise runner.broken(f"it wrote no {missing[0]}")
        return Answer(result, ran.files)

    async def run(
        self,
        words: Sequence[str],
        files: Mapping[str, Path],
        limit_s: float,
        hands: Hands,
        made: Sequence[str],
        request: bytes = b"",
        data: bytes = b"",
        around: Around = Around(),  # frozen
    ) -> Ran:
        """Run the program in a folder of its own.

        Args:
            words: its arguments; they need no quotes.
            files: of the store that it needs, by digest.
            limit_s: seconds after which it is killed.
            hands: how it is held.
            made: names of files that it may make, and that are fetched if it does.
            request: what it finds as `REQUEST`; empty: nothing.
            data: what it finds at the beginning of `DATA`.
            around: what else the phone does meanwhile.

        Raises:
            MeasurementError: timed out, corrupt artifact, disk full.
            AdbError: adb's own trouble.
        """
        files = {self.digest: self._program, **files}
        program = hands.line([f"../{self.digest}", *words], limit_s)
        line = _line(data + request, len(request), files, program, made, around)
        with tempfile.TemporaryDirectory(prefix="gauntlet-call-") as name:
            here = Path(name)
            (here / _SENT).write_bytes(data + request)
            for _ in range(2):
                await self._store.hold(files)
                if request:
                    await send(self._phone, here / _SENT, f"{ROOT}/{_SENT}")
                began_s = time.monotonic()
                try:
                    output = await self._phone.shell(["sh", "-c", line], limit_s + around.seconds + _GRACE_S)
                except AdbTimeoutError as error:
                    raise _late(limit_s, "", "") from error
                took_s = time.monotonic() - began_s
                told, _, log = output.stdout.decode(errors="replace").partition("log:\n")
                damaged = _DAMAGED.findall(told)
                if not damaged:
                    break
                self._store.forget(damaged)
            else:
                raise _corrupt(damaged[0], f"arrived damaged on {self._phone.serial}")
            fetched = await self._fetch(told, here)
        status = _STATUS.search(told)
        return Ran(int(status[1]) if status else 0, took_s, limit_s, log, fetched)

    async def tidy(self) -> None:
        """Leave nothing of the calls on the phone; one that does not answer is left alone."""
        with contextlib.suppress(AdbError):
            await self._phone.shell(["rm", "-rf", f"{ROOT}/call", f"{ROOT}/{_SENT}"], _CLEAN_UP_S)

    async def failure(self, ran: Ran, step: str) -> MeasurementError:
        """What became of a program that did not end well.

        Args:
            ran: its end, with a status other than 0.
            step: what it was asked for.
        """
        status, log, number = ran.status, ran.log, ran.status - 128
        if status in (_TIMED_OUT, 128 + signal.SIGKILL) and ran.took_s >= ran.limit_s:
            return _late(ran.limit_s, log, step)
        if status in _CANNOT_RUN:
            return MeasurementError(
                failure_pb2.FAILURE_KIND_RUNTIME_ABSENT,
                f"the phone cannot run the runner: {one_line(log) or f'exit status {status}'}",
                "give the bridge a --runner built for the phone (its ABI: adb shell getprop ro.product.cpu.abi)",
            )
        crashed = failure_pb2.FAILURE_KIND_CRASHED
        if number <= 0:
            message = f"the runner ended with exit status {status}: {one_line(log) or 'it said nothing'}"
            return RunnerFailedError(crashed, message, log, step)
        killer = await self._killed_for_memory() if number == signal.SIGKILL else ""
        if killer:
            kind = failure_pb2.FAILURE_KIND_OUT_OF_MEMORY
            return RunnerFailedError(kind, f"the phone ran out of memory: {killer}", log, step)
        name = signal.Signals(number).name if number in list(signal.Signals) else f"signal {number}"
        return RunnerFailedError(crashed, f"the runner was ended by {name}", log, step, number)

    async def _killed_for_memory(self) -> str:
        """What the phone's logs say of it, as far as the shell may read them."""
        line = "dmesg 2>/dev/null | tail -n 40; logcat -d -t 100 2>/dev/null"
        with contextlib.suppress(AdbError):
            output = await self._phone.shell(["sh", "-c", line], _LOG_LOOK_S, check=False)
            for text in reversed(output.stdout.decode(errors="replace").splitlines()):
                # The kernel keeps 15 characters of a program's name, which is its file's.
                if _OUT_OF_MEMORY.search(text) and self.digest[:15] in text:
                    return one_line(text)
        return ""

    async def _fetch(self, told: str, here: Path) -> Dict[str, bytes]:
        """The files that it made, by their names."""
        sizes = [(name, int(size)) for size, name in _SIZE.findall(told)]
        digest = _DIGEST.search(told)
        if not sizes or digest is None:
            return {}
        total = sum(size for _, size in sizes)
        if total > _MOST_BACK_BYTES:
            raise runner.broken(f"it made {total >> 20} MiB, more than {_MOST_BACK_BYTES >> 20}")
        for _ in range(2):
            await self._phone.pull(f"{ROOT}/call/{_BACK}", here / _BACK, transfer_s(total))
            content = await asyncio.to_thread(_read, here / _BACK, total, digest[1])
            if content is not None:
                break
        else:
            raise _corrupt("what the runner wrote", f"came back damaged from {self._phone.serial}")
        files, at = {}, 0
        for name, size in sizes:
            files[name] = content[at : at + size]
            at += size
        return files


def _read(path: Path, size: int, digest: str) -> Optional[bytes]:
    """The content of a file; None: it is not what it should be. May take seconds."""
    if path.stat().st_size != size:
        return None
    content = path.read_bytes()
    return content if digest_of_bytes(content) == digest else None


def _line(
    sent: bytes, request_size: int, files: Mapping[str, Path], program: str, made: Sequence[str], around: Around
) -> str:
    """For the phone's shell: is all there as it was sent? Then run the program, and tell what it made."""
    names = " ".join(made)
    checks = {name: f"[ -f ../{name} ]" for name in files}
    if request_size:
        checks[_SENT] = same_digest(DATA, digest_of_bytes(sent))
    steps = [
        f"cd {ROOT} && rm -rf call && mkdir call && cd call || exit 1",
        "whole=1",
        *(f"{check} || {{ echo damaged {name}; whole=0; }}" for name, check in checks.items()),
        "[ $whole = 1 ] || exit 0",
        f"tail -c {request_size} {DATA} > {REQUEST}" if request_size else "true",
        around.before,
        f"{program} >log 2>&1",
        "echo status $?",
        around.after,
        f'for file in {names}; do [ -f $file ] && echo "size $(wc -c < $file) $file"; done',
        f"cat {names} 2>/dev/null >{_BACK}",
        f"echo back $(sha256sum < {_BACK})",
        "echo log:",
        f"tail -c {_LOG_BYTES} log",
    ]
    return "; ".join(steps)


def adb_trouble(error: AdbError) -> MeasurementError:
    """What adb's trouble means for a job."""
    lines = str(error).split("\n", 1)
    gone = isinstance(error, AdbGone)
    kind = failure_pb2.FAILURE_KIND_DEVICE_LOST if gone else failure_pb2.FAILURE_KIND_INTERNAL
    return MeasurementError(kind, lines[0], lines[1] if len(lines) > 1 else "")


def _corrupt(what: str, how: str) -> MeasurementError:
    return MeasurementError(
        failure_pb2.FAILURE_KIND_CORRUPT_ARTIFACT, f"{what} {how}, twice", "try another cable or port"
    )


def _late(limit_s: float, log: str, step: str) -> RunnerFailedError:
    kind = failure_pb2.FAILURE_KIND_TIMED_OUT
    return RunnerFailedError(
        kind, f"the runner did not end within {limit_s:g} s on the phone; it was killed", log, step
    )
