"""A pool, a time and a device whose reference model takes what a test says."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Callable, List, Mapping, Optional, Tuple, Union

from device_agent.fitness.checker import Checker
from device_agent.fitness.history import History
from device_agent.fitness.reference import Reference
from device_agent.workers import Outcome
from protos import figures
from protos.gauntlet.v1 import agent_pb2, device_pb2, failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

LITERT = device_pb2.Runtime(name="litert", version="2.3", delegates=["xnnpack"], formats=["tflite"])
DAWN = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)


class FakePool:
    """Measures nothing: each call takes the next level, in seconds, or fails with the next text.

    Attributes:
        script: levels and failures to come; the last one stays.
        floor: what a comparison finds.
        gate: clear it to let measurements hang.
        asked: specifications, with whether a fresh process was wanted.
        version: of the runtime.
    """

    def __init__(self, *script: Union[float, str]) -> None:
        self.script: List[Union[float, str]] = list(script)
        self.floor: Union[float, str] = 0.004
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: List[Tuple[pb.MeasurementSpec, bool]] = []
        self.cancelled = 0
        self.version = "2.3"
        self.remarks: List[str] = []

    async def measure(
        self,
        spec: pb.MeasurementSpec,
        paths: Mapping[str, Path],
        on_step: Callable[[str], None] = lambda name: None,
        *,
        fresh: bool = False,
    ) -> Outcome:
        self.asked.append((spec, fresh))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        result = pb.MeasurementResult()
        if spec.HasField("comparison"):
            found = self.floor
            if not isinstance(found, str):
                result.comparison.measured_noise_floor.CopyFrom(figures.measured(found, 6))
                result.comparison.runs.extend([pb.ComparisonRun()] * 6)
        else:
            found = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            if not isinstance(found, str):
                result.latency.median_s.CopyFrom(figures.measured(found, 700))
        if isinstance(found, str):
            return Outcome(failure=failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_CRASHED, message=found))
        ran = result.provenance
        ran.runtime, ran.runtime_version, ran.delegate, ran.threads = "litert", self.version, "xnnpack", 1
        ran.model_digest = spec.model.digest
        ran.remarks.extend(self.remarks)
        return Outcome(result=result)

    @property
    def checked(self) -> int:
        """Processes in which the reference model was timed."""
        return sum(spec.HasField("latency") for spec, _ in self.asked)

    @property
    def compared(self) -> int:
        """Noise floors that were begun."""
        return sum(spec.HasField("comparison") for spec, _ in self.asked)


class FakeTime:
    """Passes when a test lets it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._sleepers: List[Tuple[float, asyncio.Future[None]]] = []

    def clock(self) -> float:
        return self.now_s

    def now(self) -> datetime.datetime:
        return DAWN + datetime.timedelta(seconds=self.now_s)

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now_s + seconds, future))
        await future

    async def goes_by(self, seconds: float) -> None:
        """Let so much time pass, waking each sleeper at its moment."""
        end_s = self.now_s + seconds
        await settle()
        while due := [entry for entry in self._sleepers if entry[0] <= end_s and not entry[1].done()]:
            at_s, future = min(due, key=lambda entry: entry[0])
            self.now_s = max(self.now_s, at_s)
            future.set_result(None)
            await settle()
        self.now_s = end_s


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)


class Device:
    """A checker with everything that it needs.

    Attributes:
        told: reports, in order.
    """

    def __init__(
        self, folder: Path, *script: Union[float, str], time: Optional[FakeTime] = None, runtimes: tuple = (LITERT,)
    ) -> None:
        self.pool = FakePool(*script)
        self.time = time or FakeTime()
        self.told: List[agent_pb2.FitnessReport] = []
        self.path = folder / "fitness.json"
        self.history = History(self.path, "pi")
        self.checker = Checker("pi", Reference(runtimes), self.pool, self.history, self.told.append, now=self.time.now)
