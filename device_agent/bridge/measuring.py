"""Jobs on a phone, one at a time: gates, cores, the runner, and what became of it.

Nothing is timed on this host, so its lock stays free: several phones on one bridge measure at once.
"""

from __future__ import annotations

import asyncio
import datetime
import errno
import shutil
import tempfile
from pathlib import Path
from typing import Callable, Mapping, Protocol, Sequence

from device_agent import runtimes
from device_agent.bridge.adb import AdbError
from device_agent.bridge.benchmark_model import BenchmarkModel, is_benchmark_model
from device_agent.bridge.calls import adb_trouble
from device_agent.bridge.job import Job, take_hold
from device_agent.bridge.phone import PhoneDevice
from device_agent.bridge.program import OwnProtocol
from device_agent.bridge.runner import RunnerFacts
from device_agent.bridge.store import DEFAULT_BYTES, PhoneStore
from device_agent.errors import MeasurementError
from device_agent.replicates import latency_alone, repeat_latency
from device_agent.workers import Outcome
from protos import artifacts, contract
from protos.gauntlet.v1 import device_pb2, failure_pb2, worker_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

#: Parts of a specification that no runner carries out.
_NEVER = ("memory", "profile", "comparison", "multi_stream", "offline", "setup")


class Program(Protocol):
    """A runner, whatever it speaks."""

    @property
    def name(self) -> str:
        """For the provenance."""

    async def describe(self) -> RunnerFacts:
        """What it offers.

        Raises:
            MeasurementError: it is of no use on this phone.
            AdbError: adb's own trouble.
        """

    async def carry_out(self, job: Job) -> None:
        """Do a job; its result is filled.

        Raises:
            MeasurementError: there is none, and why.
            AdbError: adb's own trouble.
        """


class PhoneBench:
    """Carries out measurements on a phone: a `runner.Pool`. `make` makes one.

    Args:
        phone: it, with its gates.
        program: its runner.
        facts: what that offers.
        folder: for files on their way.
    """

    def __init__(self, phone: PhoneDevice, program: Program, facts: RunnerFacts, folder: Path) -> None:
        self._phone = phone
        self._program = program
        self._facts = facts
        self._folder = folder
        self._turn = asyncio.Lock()

    @classmethod
    async def make(cls, phone: PhoneDevice, runner: Path, folder: Path, cache_bytes: int = DEFAULT_BYTES) -> PhoneBench:
        """Put a runner on a phone, and ask it what it can do.

        Args:
            phone: it, with its gates.
            runner: the program that runs models on it, a file here. One whose name holds "benchmark_model" is
                TensorFlow Lite's tool; any other speaks the protocol of docs/runner.md.
            folder: for files on their way.
            cache_bytes: of files that are kept on the phone.

        Raises:
            MeasurementError: the runner is of no use there; the remedy says what to do.
            AdbError: adb's own trouble.
            OSError: the runner's file cannot be read.
        """
        store = PhoneStore(phone.phone, cache_bytes)
        kind = BenchmarkModel if is_benchmark_model(runner) else OwnProtocol
        program = kind(phone.phone, store, runner)
        return cls(phone, program, await program.describe(), folder)

    @property
    def runtimes(self) -> Sequence[device_pb2.Runtime]:
        """What the runner offers."""
        return [self._facts.to_message()]

    @property
    def capabilities(self) -> Sequence[str]:
        """Parts of a specification that can be carried out; energy, if the phone can be metered."""
        return self._facts.capabilities

    async def measure(
        self,
        spec: pb.MeasurementSpec,
        paths: Mapping[str, Path],
        on_step: Callable[[str], None] = lambda name: None,
    ) -> Outcome:
        """Carry out a specification; see `runner.Pool`."""
        async with self._turn:
            folder = None
            finished = False
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                folder = Path(tempfile.mkdtemp(prefix="job-", dir=self._folder))
                outcome = await self._in_processes(spec, paths, folder, on_step)
                finished = outcome.result is not None
                return outcome
            except OSError as error:
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                kind = failure_pb2.FAILURE_KIND_DISK_FULL if full else failure_pb2.FAILURE_KIND_INTERNAL
                return Outcome(failure=failure_pb2.Failure(kind=kind, message=str(error)))
            finally:
                if folder is not None and not finished:
                    shutil.rmtree(folder, ignore_errors=True)

    async def _in_processes(
        self, spec: pb.MeasurementSpec, paths: Mapping[str, Path], folder: Path, on_step: Callable[[str], None]
    ) -> Outcome:
        async def one(process: int, of: int) -> worker_pb2.WorkerResponse:
            def step(name: str) -> None:
                on_step(f"process {process + 1} of {of}: {name}" if of > 1 else name)

            return await self._carry_out(spec if process == 0 else latency_alone(spec), paths, folder, step)

        response = await (repeat_latency(spec, one) if spec.latency.processes > 1 else one(0, 1))
        if response.HasField("failure"):
            return Outcome(failure=response.failure)
        files = {ref.digest: folder / ref.digest for ref in artifacts.made(response.result)}
        return Outcome(result=response.result, folder=folder, files=files)

    async def _carry_out(
        self, spec: pb.MeasurementSpec, paths: Mapping[str, Path], folder: Path, on_step: Callable[[str], None]
    ) -> worker_pb2.WorkerResponse:
        try:
            with tempfile.TemporaryDirectory(prefix="scratch-", dir=self._folder) as scratch:
                return worker_pb2.WorkerResponse(
                    result=await self._measure(spec, paths, folder, Path(scratch), on_step)
                )
        except MeasurementError as error:
            return worker_pb2.WorkerResponse(failure=error.to_message())
        except AdbError as error:
            return worker_pb2.WorkerResponse(failure=adb_trouble(error).to_message())

    async def _measure(
        self,
        spec: pb.MeasurementSpec,
        paths: Mapping[str, Path],
        folder: Path,
        scratch: Path,
        on_step: Callable[[str], None],
    ) -> pb.MeasurementResult:
        refused = [part for part in _NEVER if spec.HasField(part)]
        if refused:
            raise MeasurementError(
                failure_pb2.FAILURE_KIND_RUNTIME_ABSENT, f"no {', '.join(refused)} on a phone behind a bridge"
            )
        runtimes.choose([self._facts], spec.runtime.name, runtimes.format_of(spec.model.media_type))
        delegate, offered = spec.runtime.delegate, self._facts.delegates
        if delegate not in ("", "none", *offered):
            raise MeasurementError(
                failure_pb2.FAILURE_KIND_RUNTIME_ABSENT,
                f"the phone's {self._facts.name} has no delegate {delegate!r}; it offers: {', '.join(offered)}",
            )
        job = Job(spec, paths, folder, scratch, self._phone, on_step)
        told = job.result.provenance
        told.software_version = contract.software_version()
        told.threads = job.threads
        told.model_digest = spec.model.digest
        told.started_at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        job.remark(f"by the {self._program.name} over adb")
        await job.make_fit()
        wanted = spec.latency.pinning != pb.PINNING_NONE
        job.hands = await take_hold(self._phone.phone, job.threads, wanted, job.remark)
        told.cpus.extend(job.hands.cpus)
        job.result.model.size_bytes = job.path(spec.model).stat().st_size
        await self._program.carry_out(job)
        if not told.HasField("after"):
            told.after.CopyFrom((await self._phone.look()).host)
        told.worker_s = job.spent_s()
        return job.result
