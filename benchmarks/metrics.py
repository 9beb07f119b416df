"""What it costs to watch a fleet: a scrape of a lab with a thousand devices.

Run: ``python -m benchmarks.metrics [--quick]``

The registry, the store and the web server are the orchestrator's own; the devices are not there, but have told all that
a device can tell: temperature, clock, load, throttling, energy, disk, battery, fitness, noise floor. Beside them stand
ten classes, ten users, a queue of a thousand jobs, every kind of failure and as many campaigns as are exported.

- *series*, *kB*: of one scrape, as Prometheus asks for it (compressed: what goes over the wire).
- *scrape*: wall time until its last byte; *CPU*: of the whole process, client included.
- *event loop*: the longest that a task of the orchestrator waits for its turn while nothing but the scrapes goes on.

Promised for a thousand devices: fewer than 15,000 series, less than 300 ms.
"""

from __future__ import annotations

import asyncio
import gzip
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks import _stats
from benchmarks._report import Report, Row, Table, main
from orchestrator import jobs
from orchestrator.artifacts import ArtifactStore
from orchestrator.config import Config
from orchestrator.counters import Counters, CountingStore
from orchestrator.demands import Demand
from orchestrator.hub import Hub
from orchestrator.metrics import MetricsServer
from orchestrator.registry import Session
from orchestrator.store.base import Applied, NewJob
from orchestrator.store.overview import MOST_CAMPAIGNS, MOST_FIGURES
from orchestrator.watchers import Watchers
from protos import figures
from protos.gauntlet.v1 import agent_pb2, campaign_pb2, device_pb2, fitness_pb2, job_pb2

DEVICES, CLASSES, USERS, QUEUED = 1000, 10, 10, 1000
_MOST_SERIES, _MOST_S = 15_000, 0.3
_TURN_S = 0.001


def run(quick: bool) -> Report:
    table = Table(
        "A scrape of a lab",
        [asyncio.run(watched(devices, scrapes=3 if quick else 50)) for devices in (0, 10, 100, DEVICES)],
        [
            f"{CLASSES} classes, {USERS} users, {QUEUED} queued jobs, "
            f"{MOST_CAMPAIGNS} campaigns of {MOST_FIGURES} figures."
        ],
    )
    return Report([table])


async def watched(devices: int, scrapes: int) -> Row:
    """A lab with so many devices, scraped so many times."""
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as temporary:
        folder = Path(temporary)
        store = await CountingStore.open(folder / "lab.sqlite")
        store.counters = Counters()
        artifacts = ArtifactStore(folder / "artifacts", 1 << 20, 1 << 30)
        hub = Hub(Config(folder=folder), store, artifacts, Watchers())
        await fill(hub, store, devices)
        server = MetricsServer("127.0.0.1:0", hub, store, artifacts)
        try:
            return await measured(server.port, devices, scrapes)
        finally:
            await asyncio.to_thread(server.close)
            await store.close()


async def measured(port: int, devices: int, scrapes: int) -> Row:
    """Scrape it."""
    text, wire_bytes = await asyncio.to_thread(scrape, port)
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    wall_s, cpu_s = [], []
    late_s = 0.0
    for _ in range(scrapes):
        cpu_began, began = time.process_time(), time.perf_counter()
        scraping = asyncio.ensure_future(asyncio.to_thread(scrape, port))
        while not scraping.done():
            turn = time.perf_counter()
            await asyncio.sleep(_TURN_S)
            late_s = max(late_s, time.perf_counter() - turn - _TURN_S)
        wall_s.append(time.perf_counter() - began)
        cpu_s.append(time.process_time() - cpu_began)
    is_promised = devices == DEVICES
    return {
        "devices": devices,
        "series": series,
        "kB": len(text) / 1000,
        "compressed kB": wire_bytes / 1000,
        "scrape ms": 1000 * _stats.median(wall_s),
        "95 % ms": 1000 * _stats.quantile(wall_s, 0.95),
        "CPU ms": 1000 * _stats.median(cpu_s),
        "event loop late ms": 1000 * late_s,
        "met": series < _MOST_SERIES and _stats.median(wall_s) < _MOST_S if is_promised else None,
    }


def scrape(port: int) -> tuple[bytes, int]:
    """The text, and how many bytes came."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=30) as response:
        content = response.read()
    return gzip.decompress(content), len(content)


# ------------------------------------------------------------------------------------------------------- a full lab


async def fill(hub: Hub, store: CountingStore, devices: int) -> None:
    """Everything that has a series."""
    descriptions = [describe(number) for number in range(devices)]
    for description in descriptions:
        about = device_pb2.AgentDescription(agent_id=description.device_id)
        session = Session(about, "1-x", asyncio.get_running_loop().time())
        hub.registry.attach(session, [description])
        hub.registry.hear(session, [telemetry(description.device_id)])
        check = fitness_pb2.FitnessCheck(check_id="c", device_id=description.device_id, shift=0.0123456789)
        floor = fitness_pb2.NoiseFloor(device_id=description.device_id, floor=figures.measured(0.0123456789))
        hub.registry.checked(agent_pb2.FitnessReport(check=check, noise_floor=floor))
    store.counters.know(descriptions)
    for description in descriptions:
        held = jobs.Job("j", attempts=(jobs.Attempt("l", description.device_id),), state=jobs.State.RUNNING)
        store.counters.applied(jobs.Started("l"), Applied(held, held, "applied"), 0.0)
        done = jobs.step(held, jobs.Succeeded("l")).job
        store.counters.applied(jobs.Succeeded("l"), Applied(held, done, "applied"), 0.0)
    await store.submit([queued(number) for number in range(QUEUED)])
    for number in range(MOST_CAMPAIGNS):
        state = campaign_pb2.CAMPAIGN_STATE_RUNNING
        campaign_id = f"campaign-{number}"
        await store.save_campaign(campaign_pb2.Campaign(campaign_id=campaign_id, title=campaign_id, state=state))
        values = [
            campaign_pb2.CampaignRecord(key=f"figure-{place}", figure=figures.measured(place / 7))
            for place in range(MOST_FIGURES)
        ]
        await store.save_records(campaign_id, values)


def describe(number: int) -> device_pb2.DeviceDescription:
    return device_pb2.DeviceDescription(
        device_id=f"board-{number:05}.lab.example",
        device_class=f"class-{number % CLASSES}",
        sensors=[device_pb2.Sensor(quantity="throttling", source="cooling devices")],
    )


def telemetry(device_id: str) -> device_pb2.DeviceTelemetry:
    return device_pb2.DeviceTelemetry(
        device_id=device_id,
        temperature_c=figures.measured(51.234567),
        frequency_hz=figures.measured(1.7999e9),
        load_average=figures.measured(0.73),
        energy_j=figures.measured(123456.789),
        disk_free_bytes=figures.measured(25.123456789e9),
        battery_ratio=figures.measured(0.77),
    )


def queued(number: int) -> NewJob:
    demand = Demand("", f"class-{number % CLASSES}", (), "", "tflite", "", ())
    spec = job_pb2.JobSpec(idempotency_key=str(number))
    return NewJob(f"{number:032x}", spec, demand.signature, (), f"user-{number % USERS}")


if __name__ == "__main__":
    main(run, __doc__)
