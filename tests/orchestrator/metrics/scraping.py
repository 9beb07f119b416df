"""A lab that is scraped, and what a scrape says."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.client import Client
from orchestrator.counters import Counters
from orchestrator.metrics import devices, fleet
from orchestrator.metrics.snapshot import Snapshot
from orchestrator.store.overview import Queue
from protos import figures
from protos.gauntlet.v1 import agent_pb2, device_pb2, failure_pb2
from tests.orchestrator.lab import ScriptedAgent, a_job

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def series_of(families: list[Metric]) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def parsed(text: str) -> Series:
    return series_of(list(text_string_to_metric_families(text)))


def value(series: Series, name: str, **labels: str) -> float | None:
    return series.get((name, frozenset(labels.items())))


class Lab:
    def __init__(self, address: str, metrics_address: str, client: Client) -> None:
        self.address, self.client, self.metrics_address = address, client, metrics_address
        self.url = f"http://{metrics_address}/metrics"

    async def text(self, path: str = "/metrics") -> str:
        def fetch() -> str:
            with urllib.request.urlopen(f"http://{self.metrics_address}{path}", timeout=10) as response:
                return response.read().decode()  # type: ignore[no-any-return]

        return await asyncio.to_thread(fetch)

    async def scrape(self) -> Series:
        return parsed(await self.text())


async def worked(lab: Lab) -> ScriptedAgent:
    """An agent that has measured a job, failed one, said how it is, and left one in the queue."""
    agent = ScriptedAgent(lab.address)
    await agent.hello()
    await lab.client.submit([await a_job(lab.client)])
    lease = await agent.hear("lease")
    await agent.say(job_started=agent_pb2.JobStarted(lease_id=lease.lease_id))
    await agent.finish(lease)
    await lab.client.submit([await a_job(lab.client)])
    failure = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_WRONG_OUTPUT, message="no")
    await agent.finish(await agent.hear("lease"), failure=failure)
    telemetry = device_pb2.DeviceTelemetry(
        device_id="d1",
        temperature_c=figures.measured(41.5),
        frequency_hz=figures.unavailable("no cpufreq here"),
        load_average=figures.measured(0.25),
        throttling=["clock limited to 1.00 of 1.80 GHz"],
        energy_j=figures.measured(1234.5),
        disk_free_bytes=figures.measured(5e9),
        battery_ratio=figures.unavailable("no battery"),
    )
    await agent.say(heartbeat=agent_pb2.Heartbeat(telemetry=[telemetry]))
    await lab.client.submit([await a_job(lab.client), await a_job(lab.client)])
    await agent.hear("lease")
    return agent


def collected(snapshot: Snapshot, folder: Path = Path("/")) -> list[Metric]:
    """What is made of a snapshot."""
    of_devices = text_string_to_metric_families(devices.text(snapshot))
    return [*fleet.collect(snapshot, 1.0, folder), *of_devices]


def exported() -> set[str]:
    """Names of all that an orchestrator may export, as Prometheus shows them; of a histogram its own."""
    families = [*Counters().registry.collect(), *collected(Snapshot(now=2.0, queue=Queue({}, {}, {})))]
    suffixes = {"counter": "_total", "info": "_info"}
    return {family.name + suffixes.get(family.type, "") for family in families}
