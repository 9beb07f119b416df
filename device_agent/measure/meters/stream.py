"""Any other meter: a command's output, a FIFO or a growing file with lines `seconds,watts` or `seconds,volts,amperes`.

    meter's clock    |----s----s----s----s----s----s----      seconds as the meter counts them
                          ╲    ╲    ╲    ╲    ╲
    this machine     --------a----a----a----a----a------      arrival; the least of (a - s) relates the two clocks
    window                 └──────── start … stop ──────┘      cut out of the samples, interpolated at both ends

A sample's delay can be late but never early: the least difference seen is the best guess, and `stop` waits until the
samples have passed the window's end.
"""

from __future__ import annotations

import bisect
import math
import os
import shlex
import shutil
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Tuple

from device_agent.measure.meters.base import (
    BOARD,
    MOST_W,
    Facts,
    Look,
    Meter,
    MeterError,
    NoMeter,
    Reading,
    edge_resolution_j,
)

#: Names the meter: "command:..." or "file:/path".
VARIABLE = "GAUNTLET_METER"

_FIRST_SAMPLE_S = 10.0
_LAST_SAMPLE_S = 2.0
_POLL_S = 0.02
# Transport and buffering on a local bus or pipe.
_UPDATE_S = 0.01
#: Windows last minutes; of what came before only the moment that a window may begin in is needed.
_KEPT_SAMPLES = 4_000_000
_MOST_GARBAGE = 0.1

Sample = Tuple[float, float]


def find_stream(name: str) -> Meter:
    """The meter that the operator has named.

    Args:
        name: "command:PROGRAM ARGUMENTS", split like a shell does but run without one, or "file:PATH".
    """
    kind, _, what = name.partition(":")
    if kind == "file" and what:
        if not os.access(what, os.R_OK):
            return NoMeter(f"{VARIABLE} names {what}, which cannot be read")
        return StreamMeter(what, lambda: _FileLines(Path(what)))
    if kind == "command" and what:
        try:
            command = shlex.split(what)
        except ValueError as error:
            return NoMeter(f"{VARIABLE}: {error}: {what}")
        if not command or shutil.which(command[0]) is None:
            return NoMeter(f"{VARIABLE} names the command {what!r}, which is not there")
        return StreamMeter(Path(command[0]).name, lambda: _CommandLines(command))
    return NoMeter(f'{VARIABLE}={name!r} is no meter; write "command:PROGRAM ARGUMENTS" or "file:PATH"')


class StreamMeter:
    """A meter that talks by itself.

    The source is opened at the first window and read until the process ends.

    Args:
        name: of the source, for people.
        open_lines: makes the lines; their `close` ends them.
        clock: seconds, monotonic.
    """

    unavailable = ""

    def __init__(
        self, name: str, open_lines: Callable[[], _Lines], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.facts = Facts(
            f"external meter {name}", BOARD, ("external",), update_s=_UPDATE_S, remark="what the meter is wired to"
        )
        self._open_lines = open_lines
        self._lines: Optional[_Lines] = None
        self._clock = clock
        self._news = threading.Condition()
        self._stamps: List[float] = []
        self._energy: List[float] = []  # joules up to each stamp
        self._last_w = 0.0
        self._offset_s = math.inf
        self._good = self._bad = 0
        self._ended = ""
        self._begin_s = 0.0

    def start(self) -> None:
        """See `Meter`."""
        with self._news:
            if self._lines is None or self._ended:
                self._restart()
            self._good = self._bad = 0
            if not self._news.wait_for(lambda: self._ended or len(self._stamps) > 1, _FIRST_SAMPLE_S):
                raise MeterError(f"{self.facts.source} sent nothing within {_FIRST_SAMPLE_S:g} s")
            self._check()
        self._begin_s = self._clock()

    def look(self) -> Look:
        """See `Meter`."""
        with self._news:
            self._check()
            now_s = self._clock()
            return Look(self._up_to(now_s) - self._up_to(self._begin_s), now_s - self._begin_s)

    def stop(self) -> Reading:
        """See `Meter`."""
        end_s = self._clock()
        with self._news:
            passed = self._news.wait_for(
                lambda: self._ended or self._stamps[-1] + self._offset_s >= end_s, _LAST_SAMPLE_S
            )
            self._check()
            if not passed:
                raise MeterError(f"{self.facts.source} lags behind by more than {_LAST_SAMPLE_S:g} s, or has stopped")
            if self._bad > _MOST_GARBAGE * (self._good + self._bad):
                raise MeterError(f"{self.facts.source}: {self._bad} of {self._good + self._bad} lines are no samples")
            energy_j = self._up_to(end_s) - self._up_to(self._begin_s)
        if energy_j < 0:
            raise MeterError(f"{self.facts.source} reads a negative power; are its leads swapped?")
        seconds = end_s - self._begin_s
        resolution_j = edge_resolution_j(self.facts, energy_j, seconds)
        return Reading(energy_j, seconds, resolution_j, {"external": energy_j})

    def power_w(self) -> Optional[float]:
        """See `Meter`."""
        with self._news:
            return self._last_w if self._stamps and not self._ended else None

    def close(self) -> None:
        """Let go of the source."""
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    def _restart(self) -> None:
        self.close()
        self._stamps, self._energy, self._offset_s, self._ended = [], [], math.inf, ""
        try:
            self._lines = self._open_lines()
        except OSError as error:
            raise MeterError(f"{self.facts.source} cannot be opened: {error}") from error
        threading.Thread(target=self._listen, args=(self._lines,), name="meter", daemon=True).start()

    def _listen(self, lines: _Lines) -> None:
        why = "ended"
        try:
            for line in lines:
                arrived_s = self._clock()
                sample = parse_line(line)
                with self._news:
                    if lines is not self._lines:
                        return
                    if sample is None:
                        self._bad += bool(line.strip())
                    else:
                        self._take(sample, arrived_s)
                    self._news.notify_all()
        except (OSError, ValueError) as error:
            why = f"broke off: {error}"
        with self._news:
            if lines is self._lines:
                self._ended = f"{self.facts.source} {why}"
                self._news.notify_all()

    def _take(self, sample: Sample, arrived_s: float) -> None:
        stamp_s, power_w = sample
        if self._stamps and stamp_s <= self._stamps[-1]:
            self._bad += 1
            return
        self._good += 1
        step_j = (self._last_w + power_w) / 2 * (stamp_s - self._stamps[-1]) if self._stamps else 0.0
        self._energy.append((self._energy[-1] if self._energy else 0.0) + step_j)
        self._stamps.append(stamp_s)
        self._last_w = power_w
        self._offset_s = min(self._offset_s, arrived_s - stamp_s)
        if len(self._stamps) > _KEPT_SAMPLES:
            del self._stamps[: _KEPT_SAMPLES // 2], self._energy[: _KEPT_SAMPLES // 2]

    def _up_to(self, host_s: float) -> float:
        """Joules up to a time of this machine; the last power goes on past the last sample."""
        at = host_s - self._offset_s
        index = bisect.bisect_right(self._stamps, at)
        if index == 0:
            return self._energy[0]
        if index == len(self._stamps):
            return self._energy[-1] + self._last_w * (at - self._stamps[-1])
        low, high = self._stamps[index - 1], self._stamps[index]
        part = (at - low) / (high - low)
        return self._energy[index - 1] + part * (self._energy[index] - self._energy[index - 1])

    def _check(self) -> None:
        if self._ended:
            raise MeterError(self._ended)


def parse_line(line: str) -> Optional[Sample]:
    """Seconds and watts of a line, or None for a heading, a comment or garbage; so many watts are garbage, too."""
    try:
        numbers = [float(field) for field in line.split(",")]
    except ValueError:
        return None
    if len(numbers) not in (2, 3) or not all(map(math.isfinite, numbers)):
        return None
    power_w = numbers[1] if len(numbers) == 2 else numbers[1] * numbers[2]
    return (numbers[0], power_w) if abs(power_w) <= MOST_W else None


class _Lines:
    """Lines of text until `close`."""

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class _CommandLines(_Lines):
    def __init__(self, command: List[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", bufsize=1
        )

    def __iter__(self) -> Iterator[str]:
        assert self._process.stdout is not None
        yield from self._process.stdout

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class _FileLines(_Lines):
    """New lines of a growing file, or all of a FIFO.

    Args:
        path: of either.
    """

    def __init__(self, path: Path) -> None:
        # A FIFO without a writer must not block whoever closes it.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._closed = False
        if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.lseek(self._descriptor, 0, os.SEEK_END)

    def __iter__(self) -> Iterator[str]:
        rest = b""
        try:
            while not self._closed:
                try:
                    part = os.read(self._descriptor, 65536)
                except BlockingIOError:
                    part = b""
                if not part:
                    time.sleep(_POLL_S)
                    continue
                *whole, rest = (rest + part).split(b"\n")
                for line in whole:
                    yield line.decode("utf-8", errors="replace")
        finally:
            os.close(self._descriptor)

    def close(self) -> None:
        self._closed = True
