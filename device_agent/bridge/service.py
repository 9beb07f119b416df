"""The bridge as a process: one agent whose devices are the phones on this machine's ports."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Optional

from device_agent.bridge.adb import AdbError, AdbProgram
from device_agent.bridge.attendant import Attendant, Bench, Manner, NoBench
from device_agent.bridge.measuring import PhoneBench
from device_agent.bridge.phone import PhoneDevice
from device_agent.cache import ArtifactCache
from device_agent.fitness.care import Care
from device_agent.identity import StateFolder
from device_agent.runner import DeviceRunner, Pool
from device_agent.service import AgentSettings, at_home, describe_agent, exporting, renew, run_until_stopped
from device_agent.session import Agent
from device_agent.spool import Spool
from device_agent.telemetry import SharedTelemetry
from device_agent.uplink import Uplink
from protos.gauntlet.v1 import device_pb2

log = logging.getLogger(__name__)

_KILL_SERVER_S = 10.0


@dataclass(frozen=True)
class BridgeSettings(AgentSettings):
    """How a bridge runs.

    Attributes:
        adb: the program.
        adb_port: of its server; 0: the usual one. Another one is started, and ended with the bridge.
        names: of phones, by serial number or port ("usb:1-2").
        runner: the program that runs models on a phone, a file here; None: phones are shown and take no jobs.
        allow_reboot: may a phone that hangs be rebooted?
        poll_s: between two looks at which phones there are.
    """

    adb: Path
    adb_port: int
    names: Mapping[str, str]
    runner: Optional[Path]
    allow_reboot: bool
    poll_s: float = 1.0


async def serve_bridge(settings: BridgeSettings) -> None:
    """Run a bridge until SIGTERM, SIGINT or the end of the lifeline.

    Raises:
        StateError: the state folder cannot be used, or its certificate has expired.
        AdbError: there is no adb, or its server does not start.
    """
    async with at_home(settings) as (state, work):
        adb = AdbProgram(settings.adb, settings.adb_port)
        await adb.devices()  # what is wrong with it is better said now than each second
        uplink = Uplink(settings.orchestrator, settings.credentials)
        try:
            await _serve(settings, state, work, adb, uplink)
        finally:
            await uplink.close()
            if settings.adb_port:
                with contextlib.suppress(AdbError):
                    await adb.run(["kill-server"], _KILL_SERVER_S)


async def _serve(settings: BridgeSettings, state: StateFolder, work: Path, adb: AdbProgram, uplink: Uplink) -> None:
    manner = Manner(
        names=settings.names,
        labels=settings.labels,
        facts={"bridge": socket.gethostname()},
        may_reboot=settings.allow_reboot,
        poll_s=settings.poll_s,
    )

    async def make_bench(device: PhoneDevice) -> Bench:
        if settings.runner is None:
            return NoBench()
        return await PhoneBench.make(device, settings.runner, work)

    phones = _Phones(state.agent_id, ArtifactCache(state.root / "cache", settings.cache_bytes), uplink)
    attendant = Attendant(adb, phones, make_bench, state.root / "phones", manner)
    telemetry = SharedTelemetry(attendant.telemetry)
    about = describe_agent(state, settings.metrics_address)
    agent = phones.agent = Agent(about, state.epoch, uplink, Spool(state.root / "spool"), telemetry)
    if settings.runner is None:
        log.warning("no --runner: phones are shown, and take no jobs; see docs/phones.md")
    renewal = asyncio.ensure_future(renew(settings.credentials, state, uplink, agent))
    try:
        with exporting(about, agent, telemetry):
            await run_until_stopped(settings.lifeline, agent, attendant.run())
    finally:
        renewal.cancel()


class _Phones:
    """Phones as devices of an agent."""

    agent: Agent

    def __init__(self, agent_id: str, cache: ArtifactCache, uplink: Uplink) -> None:
        self._agent_id = agent_id
        self._cache = cache
        self._uplink = uplink

    def attach(self, description: device_pb2.DeviceDescription, pool: Pool) -> None:
        """See `attendant.Devices`."""
        runner = DeviceRunner(self._agent_id, description, pool, self._cache, self._uplink.download, self.agent, Care())
        self.agent.add_device(runner)

    async def detach(self, device_id: str, reason: str) -> None:
        """See `attendant.Devices`."""
        await self.agent.remove_device(device_id, reason)
