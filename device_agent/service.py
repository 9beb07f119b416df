"""The agent as a process: puts its parts together and runs them until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, AsyncIterator, ContextManager, Coroutine, Mapping, Optional, Sequence, Tuple

from device_agent import enrolment, runtimes
from device_agent.cache import ArtifactCache
from device_agent.fitness import history
from device_agent.fitness.care import Care, FitnessCare
from device_agent.fitness.checker import Checker
from device_agent.fitness.reference import Reference
from device_agent.host import describe_device
from device_agent.identity import StateFolder
from device_agent.runner import DeviceRunner
from device_agent.session import Agent
from device_agent.spool import Spool
from device_agent.telemetry import SharedTelemetry, TelemetryReader
from device_agent.tuning.tuner import Tuner, controls
from device_agent.uplink import Uplink
from device_agent.workerprocess import WORKER_COMMAND
from device_agent.workers import PoolSettings, WorkerPool, default_memory_limit
from protos import contract, logs
from protos.credentials import Credentials
from protos.gauntlet.v1 import device_pb2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AgentSettings:
    """How any agent runs, whatever its devices are.

    Attributes:
        orchestrator: its address.
        state_folder: identity, cache, unsent results.
        agent_id: empty: the one kept in the folder, or the host's name.
        labels: of its devices.
        cache_bytes: cap of the artifact cache.
        lifeline: stop when standard input ends.
        credentials: of the lab that it has joined; None: without TLS.
        metrics_address: where Prometheus finds its own /metrics; empty: nowhere.
    """

    orchestrator: str
    state_folder: Path
    agent_id: str
    labels: Mapping[str, str]
    cache_bytes: int
    lifeline: bool
    credentials: Optional[Credentials]
    metrics_address: str


@dataclass(frozen=True)
class Settings(AgentSettings):
    """How an agent with this machine as its one device runs.

    Attributes:
        device_id: empty: the agent's id.
        device_class: empty: found out.
        worker_memory_bytes: address space of a worker; None: most of the machine's memory.
        allow_pt2: take exported programs of torch, which can run code where they are loaded.
        allow_setup: let jobs change governor, clocks and power mode while they measure.
        setup_root: of the file system that is set up, or of a made-up one.
        fitness: check now and then that the device is what it was.
        noise_floor_every_s: longest age of its noise floor; 0: never measure it.
    """

    device_id: str
    device_class: str
    worker_memory_bytes: Optional[int]
    allow_pt2: bool = False
    allow_setup: bool = False
    setup_root: Path = Path("/")
    fitness: bool = True
    noise_floor_every_s: float = 24 * 3600.0


async def serve(settings: Settings) -> None:
    """Run an agent with this machine as its one device, until SIGTERM, SIGINT or the end of the lifeline.

    Raises:
        StateError: the state folder cannot be used, or its certificate has expired.
    """
    async with at_home(settings) as (state, work):
        journal = state.root / "setup.json"
        tuner = Tuner(journal, settings.setup_root)
        # Of an earlier life, which may have been allowed more than this one.
        await _restore(tuner)
        limit = _memory_limit(settings)
        command = _worker_command(settings, journal)
        pool = WorkerPool(PoolSettings(folder=work, command=command, memory_limit_bytes=limit, tuner=tuner))
        await pool.start()
        uplink = Uplink(settings.orchestrator, settings.credentials)
        description = describe_device(
            settings.device_id or state.agent_id, settings.labels, settings.device_class, settings.allow_pt2
        )
        description.controls.extend(controls(settings.allow_setup, settings.setup_root))
        telemetry = SharedTelemetry(TelemetryReader(description.device_id, state.root))
        about = describe_agent(state, settings.metrics_address)
        agent = Agent(about, state.epoch, uplink, Spool(state.root / "spool"), telemetry)
        cache = ArtifactCache(state.root / "cache", settings.cache_bytes)
        care = _care(settings, description, pool, state, agent)
        agent.add_device(DeviceRunner(state.agent_id, description, pool, cache, uplink.download, agent, care))
        renewal = asyncio.ensure_future(renew(settings.credentials, state, uplink, agent))
        try:
            with exporting(about, agent, telemetry):
                await run_until_stopped(settings.lifeline, agent)
        finally:
            renewal.cancel()
            await pool.close()
            await _restore(tuner)
            await uplink.close()


@contextlib.asynccontextmanager
async def at_home(settings: AgentSettings) -> AsyncIterator[Tuple[StateFolder, Path]]:
    """Own the state folder, once the clock is right: the folder, and in it the empty one of measurements.

    Raises:
        StateError: the state folder cannot be used, or its certificate has expired.
    """
    if settings.credentials is not None:
        await enrolment.ready(settings.credentials)
    with (
        contextlib.closing(StateFolder(settings.state_folder, settings.agent_id)) as state,
        logs.known(agent_id=state.agent_id),
    ):
        work = state.root / "work"
        shutil.rmtree(work, ignore_errors=True)  # measurements of an earlier life
        yield state, work


async def renew(held: Optional[Credentials], state: StateFolder, uplink: Uplink, agent: Agent) -> None:
    """Renew the certificate of an agent that has joined a lab, for as long as it runs."""
    if held is not None:
        await enrolment.renew_forever(held, state.root, uplink, agent.reconnect)


def _care(
    settings: Settings,
    description: device_pb2.DeviceDescription,
    pool: WorkerPool,
    state: StateFolder,
    agent: Agent,
) -> Care:
    if not settings.fitness:
        return Care()
    known = history.History(state.root / history.FILE, description.device_id)
    checker = Checker(description.device_id, Reference(description.runtimes), pool, known, agent.checked)
    return FitnessCare(checker, settings.noise_floor_every_s)


def _worker_command(settings: Settings, journal: Path) -> Sequence[str]:
    command = [*WORKER_COMMAND]
    if settings.allow_pt2:
        command.append("--allow-pt2")
    if settings.allow_setup:
        command += ["--setup-journal", str(journal), "--setup-root", str(settings.setup_root)]
    return command


async def _restore(tuner: Tuner) -> None:
    for problem in await asyncio.to_thread(tuner.restore):
        log.error("a set-up of this device is not undone: %s", problem)


def _memory_limit(settings: Settings) -> int:
    """Address space for a worker; none where there is CUDA, which reserves as much as all memories of the machine."""
    if settings.worker_memory_bytes:
        return settings.worker_memory_bytes
    offered = {delegate for runtime in runtimes.discover(settings.allow_pt2) for delegate in runtime.delegates}
    return 0 if offered & {"cuda", "tensorrt"} else default_memory_limit()


def describe_agent(state: StateFolder, metrics_address: str) -> device_pb2.AgentDescription:
    """What an agent says of itself."""
    return device_pb2.AgentDescription(
        agent_id=state.agent_id,
        hostname=socket.gethostname(),
        software_version=contract.software_version(),
        python_version=".".join(map(str, sys.version_info[:3])),
        metrics_address=metrics_address,
    )


def exporting(about: device_pb2.AgentDescription, agent: Agent, telemetry: SharedTelemetry) -> ContextManager[object]:
    """Serves the agent's own /metrics where its description says so.

    Raises:
        StateError: that address cannot be used.
    """
    if not about.metrics_address:
        return contextlib.nullcontext()
    from device_agent.exporter import Exporter  # loads prometheus-client: for those who want it

    return contextlib.closing(Exporter(about, agent, telemetry))


async def run_until_stopped(lifeline: bool, agent: Agent, *beside: Coroutine[Any, Any, None]) -> None:
    """Run an agent until SIGTERM, SIGINT or the end of the lifeline; then it takes leave.

    Args:
        lifeline: stop when standard input ends, too.
        agent: to run.
        *beside: what else runs as long.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if lifeline:

        class Lifeline(asyncio.Protocol):
            """Standard input ended: whoever started this agent has died, however it died."""

            def connection_lost(self, error: Optional[Exception]) -> None:
                stop.set()

        await loop.connect_read_pipe(Lifeline, sys.stdin)
    running = [asyncio.ensure_future(work) for work in (agent.run(), *beside)]
    stopping = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in set(running) & done:
            task.result()  # it never ends but by a bug: let that be seen
        await agent.goodbye("told to stop")
    finally:
        stopping.cancel()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    log.info("stopped")
