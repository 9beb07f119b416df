"""A job on a phone: what every kind of runner needs to carry it out, and what it leaves behind."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Awaitable, Callable, List, Mapping, Optional, Sequence, TypeVar

from device_agent.bridge.adb import Phone
from device_agent.bridge.phone import PhoneDevice
from device_agent.bridge.snapshot import Snapshot, script
from device_agent.cores import choose_cores
from device_agent.errors import MeasurementError
from device_agent.measure.statistics import Samples
from device_agent.measure.throttling import drift_of
from device_agent.tuning.clusters import parsed
from device_agent.workers import DEFAULT_TIMEOUT_S
from protos import figures
from protos.gauntlet.v1 import artifact_pb2, failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

_LOOK_S = 15.0
_CPU = "/sys/devices/system/cpu"
_CORE_FILES = (
    f"{_CPU}/online",
    f"{_CPU}/present",
    f"{_CPU}/cpu[0-9]*/cpu_capacity",
    f"{_CPU}/cpu[0-9]*/cpufreq/cpuinfo_max_freq",
)

Window = TypeVar("Window")


@dataclass(frozen=True)
class Hands:
    """How a program is held on the phone.

    Attributes:
        cpus: cores that it is held to; empty: not held.
        others: cores that are left.
        has_timeout: can the phone itself end it?
    """

    cpus: Sequence[int] = ()
    others: Sequence[int] = ()
    has_timeout: bool = False

    def line(self, words: Sequence[str], limit_s: float) -> str:
        """For the phone's shell; the words need no quotes."""
        timeout = ["timeout", "-s", "KILL", f"{max(1, math.ceil(limit_s))}"] if self.has_timeout else []
        held = ["taskset", mask(self.cpus)] if self.cpus else []
        return " ".join([*timeout, *held, *words])


def mask(cpus: Sequence[int]) -> str:
    """Cores as `taskset` takes them: hexadecimal, without 0x, which toybox does not read."""
    return f"{sum(1 << core for core in cpus):x}"


async def take_hold(phone: Phone, threads: int, wanted: bool, remark: Callable[[str], None]) -> Hands:
    """Choose cores: a big one for each thread.

    Args:
        phone: it.
        threads: of the runner.
        wanted: False leaves it where Android puts it.
        remark: told why it is not held.

    Raises:
        AdbError: the phone does not answer.
    """
    tools = "for tool in timeout taskset; do command -v $tool >/dev/null && echo $tool; done"
    output = await phone.shell(["sh", "-c", script(_CORE_FILES, {"tools": tools})], _LOOK_S)
    snapshot = Snapshot.parse(output.stdout.decode(errors="replace"))
    found = _read(snapshot, "tools").split()
    has_timeout = "timeout" in found
    if not wanted:
        return Hands(has_timeout=has_timeout)
    if "taskset" not in found:
        remark("not held to cores: the phone has no taskset")
        return Hands(has_timeout=has_timeout)
    online = parsed(_read(snapshot, _CPU[1:] + "/online") or _read(snapshot, _CPU[1:] + "/present"))
    with snapshot.laid_out() as root:
        chosen = choose_cores(online, threads, root)
    if chosen is None:
        remark(f"not held to cores: {threads} threads on {len(online)} cores that are online")
        return Hands(has_timeout=has_timeout)
    return Hands(chosen, [core for core in online if core not in chosen], has_timeout)


@dataclass
class Job:
    """One job.

    Attributes:
        spec: what was asked.
        paths: its artifacts here, by digest.
        folder: for files that travel to the client.
        scratch: for others.
        phone: it, with its gates.
        on_step: told what begins.
        hands: how its runner is held.
        result: made so far.
        steps: begun so far, the last one last.
    """

    spec: pb.MeasurementSpec
    paths: Mapping[str, Path]
    folder: Path
    scratch: Path
    phone: PhoneDevice
    on_step: Callable[[str], None]
    hands: Hands = field(default_factory=Hands)
    result: pb.MeasurementResult = field(default_factory=pb.MeasurementResult)
    steps: List[str] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    _waited_s: float = 0.0
    _begun_s: float = field(default=0.0)

    def __post_init__(self) -> None:
        self._begun_s = self.clock()

    @property
    def threads(self) -> int:
        """Of the runner."""
        return max(1, int(self.spec.runtime.threads))

    def path(self, artifact: artifact_pb2.ArtifactRef) -> Path:
        """Where a file lies here."""
        return self.paths[artifact.digest]

    def step(self, name: str) -> None:
        """It begins to do something."""
        self.steps.append(name)
        self.on_step(name)

    def remark(self, text: str) -> None:
        """Anything that makes the figures less than ideal."""
        if text and text not in self.result.provenance.remarks:
            self.result.provenance.remarks.append(text)

    def left_s(self) -> float:
        """What is left of its time; waiting for the phone to cool does not count.

        Raises:
            MeasurementError: it is used up.
        """
        total_s = self.spec.timeout_s if self.spec.timeout_s > 0 else DEFAULT_TIMEOUT_S
        left_s = total_s - self.spent_s()
        if left_s <= 0:
            step = self.steps[-1] if self.steps else "its beginning"
            raise MeasurementError(
                failure_pb2.FAILURE_KIND_TIMED_OUT, f"the job did not end within {total_s:g} s; last: {step}"
            )
        return left_s

    def spent_s(self) -> float:
        """Of work so far."""
        return self.clock() - self._begun_s - self._waited_s

    async def make_fit(self) -> None:
        """Wait until the phone may be measured.

        Raises:
            MeasurementError: it may not.
            AdbError: it does not answer.
        """
        begun_s = self.clock()
        vitals = await self.phone.make_fit(self.spec, self.step)
        self._waited_s += self.clock() - begun_s
        if not self.result.provenance.HasField("before"):
            self.result.provenance.before.CopyFrom(vitals.host)
            for held_back in vitals.host.throttling:
                self.remark(f"before it was measured: {held_back}")
            for remark in vitals.remarks():
                self.remark(remark)

    async def window(
        self, take: Callable[[], Awaitable[Window]], samples: Callable[[Window], Optional[Samples]]
    ) -> Window:
        """Take a timed window, again when the phone throttled in it.

        Args:
            take: takes it.
            samples: its latencies in the order taken, to be looked at for drift; None: there are none.
        """
        spec, told = self.spec.throttle, self.result.provenance
        for taken in range(1, spec.repeats + 2):
            if taken > 1:
                await self.make_fit()
            outcome = await take()
            told.after.CopyFrom((await self.phone.look()).host)
            signs = _signs(told.before, told.after, drift_of(samples(outcome), spec.drift))
            if not signs:
                return outcome
            if taken <= spec.repeats:
                self.remark(f"a timed window was taken again: {'; '.join(signs)}")
        how_often = f"each of {taken} windows" if taken > 1 else "a timed window"
        text = f"the phone slowed down in {how_often}: {'; '.join(signs)}"
        if self.spec.HasField("throttle"):
            told.unfit.append(text)
        else:
            self.remark(text)
        return outcome


def _signs(before: pb.HostState, after: pb.HostState, drift: float) -> List[str]:
    """What shows that the phone throttled."""
    found = [phrase for phrase in after.throttling if phrase not in before.throttling]
    limits = [figures.value_of(state.frequency_limit_hz) for state in (before, after)]
    if limits[0] is not None and limits[1] is not None and limits[1] < limits[0]:
        found.append(f"the clock that is allowed fell from {limits[0] / 1e9:.2f} to {limits[1] / 1e9:.2f} GHz")
    if drift > 0:
        found.append(f"latencies rose by {100 * drift:.1f} % within the timing")
    return found


def _read(snapshot: Snapshot, path: str) -> str:
    try:
        return snapshot.read(path)
    except OSError:
        return ""
