"""/metrics, scraped from a real orchestrator over HTTP while agents work, fail, leave and grow old."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from orchestrator import devices, jobs, metrics
from orchestrator.client import Client
from orchestrator.config import Config, ConfigError
from orchestrator.counters import Counters, Queue, kind_label
from orchestrator.registry import Reading
from orchestrator.store.base import Applied, Queued, Share, SuspectJob
from protos import figures
from protos.gauntlet.v1 import agent_pb2, device_pb2, failure_pb2, fitness_pb2
from tests.orchestrator.lab import ScriptedAgent, a_job, running

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def parsed(text: str) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float | None:
    return series.get((name, frozenset(labels.items())))


class Lab:
    def __init__(self, address: str, metrics_address: str, client: Client) -> None:
        self.address, self.client = address, client
        self.url = f"http://{metrics_address}/metrics"

    async def text(self) -> str:
        def fetch() -> str:
            with urllib.request.urlopen(self.url, timeout=10) as response:
                return response.read().decode()  # type: ignore[no-any-return]

        return await asyncio.to_thread(fetch)

    async def scrape(self) -> Series:
        return parsed(await self.text())


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    address = free_address()
    async with running(tmp_path, metrics_address=address) as lab_address, Client(lab_address, patience_s=5) as client:
        yield Lab(lab_address, address, client)


async def worked(lab: Lab) -> ScriptedAgent:
    """An agent that has measured a job, failed one, said how it is, and left one in the queue."""
    agent = ScriptedAgent(lab.address)
    await agent.hello()
    await lab.client.submit([await a_job(lab.client)])
    await agent.finish(await agent.hear("lease"))
    await lab.client.submit([await a_job(lab.client)])
    failure = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_WRONG_OUTPUT, message="no")
    await agent.finish(await agent.hear("lease"), failure=failure)
    telemetry = device_pb2.DeviceTelemetry(
        device_id="d1",
        temperature_c=figures.measured(41.5),
        frequency_hz=figures.unavailable("no cpufreq here"),
        load_average=figures.measured(0.25),
    )
    await agent.say(heartbeat=agent_pb2.Heartbeat(telemetry=[telemetry]))
    await lab.client.submit([await a_job(lab.client), await a_job(lab.client)])
    await agent.hear("lease")
    return agent


async def test_a_scrape_tells_of_fleet_queue_jobs_store_and_devices(lab: Lab) -> None:
    await worked(lab)
    series = await lab.scrape()
    assert value(series, "gauntlet_agents_connected") == 1
    assert value(series, "gauntlet_devices", state="busy") == 1
    assert value(series, "gauntlet_devices", state="lost") == 0
    assert value(series, "gauntlet_jobs_submitted_total") == 4
    assert value(series, "gauntlet_jobs_ended_total", outcome="succeeded") == 1
    assert value(series, "gauntlet_jobs_ended_total", outcome="failed") == 1
    assert value(series, "gauntlet_jobs_ended_total", outcome="cancelled") == 0
    assert value(series, "gauntlet_failures_total", kind="wrong_output", blame="model", final="true") == 1
    # The fourth may have been handed out ahead of its turn.
    assert value(series, "gauntlet_job_wait_seconds_count") in (3, 4)
    assert value(series, "gauntlet_dispatch_seconds_count") == value(series, "gauntlet_job_wait_seconds_count")
    assert value(series, "gauntlet_job_held_seconds_count", outcome="succeeded") == 1
    assert (value(series, "gauntlet_jobs_queued", user="local") or 0) + (
        value(series, "gauntlet_jobs_held", user="local") or 0
    ) == 2
    assert value(series, "gauntlet_artifacts") == 1
    assert value(series, "gauntlet_artifacts_bytes") == len(b"a model")
    assert (value(series, "gauntlet_store_operations_total") or 0) >= 8
    assert (value(series, "gauntlet_store_commits_total") or 0) > 0
    assert value(series, "gauntlet_sessions_total", event="opened") == 1
    assert value(series, "gauntlet_messages_received_total", kind="job_finished") == 2
    of_device = {"device_id": "d1", "device_class": "test"}
    assert value(series, "gauntlet_agent_connected", **of_device) == 1
    assert value(series, "gauntlet_agent_busy", **of_device) == 1
    assert value(series, "gauntlet_agent_quarantined", **of_device) == 0
    assert value(series, "gauntlet_agent_temperature_celsius", **of_device) == 41.5
    assert value(series, "gauntlet_agent_load_average", **of_device) == 0.25
    assert abs((value(series, "gauntlet_agent_last_seen_timestamp_seconds", **of_device) or 0) - time.time()) < 60


async def test_what_a_device_does_not_report_is_no_series(lab: Lab) -> None:
    await worked(lab)
    names = {name for name, _ in await lab.scrape()}
    assert "gauntlet_agent_temperature_celsius" in names
    assert not names & {
        "gauntlet_agent_frequency_hertz",
        "gauntlet_agent_fitness_shift_ratio",
        "gauntlet_agent_noise_floor_ratio",
    }


async def test_no_id_of_a_job_a_model_or_a_campaign_is_a_label(lab: Lab) -> None:
    await worked(lab)
    labels = {label for _, labels in await lab.scrape() for label, _ in labels}
    assert labels == {
        "blame",
        "device_class",
        "device_id",
        "event",
        "final",
        "kind",
        "le",
        "outcome",
        "protocol",
        "state",
        "user",
        "version",
    }


async def test_a_device_that_is_gone_says_so_and_nothing_of_how_it_was(lab: Lab) -> None:
    agent = await worked(lab)
    await agent.hang_up()
    of_device = {"device_id": "d1", "device_class": "test"}
    async with asyncio.timeout(10):
        while value(series := await lab.scrape(), "gauntlet_agent_connected", **of_device) != 0:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert value(series, "gauntlet_agent_last_seen_timestamp_seconds", **of_device) is not None
    assert value(series, "gauntlet_agent_temperature_celsius", **of_device) is None
    assert value(series, "gauntlet_agent_busy", **of_device) is None
    assert value(series, "gauntlet_devices", state="lost") == 1


async def test_a_refused_session_is_counted(lab: Lab) -> None:
    agent = ScriptedAgent(lab.address)
    await agent.say(heartbeat=agent_pb2.Heartbeat())
    await agent.refusal()
    assert value(await lab.scrape(), "gauntlet_sessions_total", event="refused") == 1


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
async def test_promtool_finds_nothing_wrong(lab: Lab) -> None:
    await worked(lab)
    text = await lab.text()
    checked = await asyncio.to_thread(
        subprocess.run, ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


async def test_an_address_in_use_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"cannot serve metrics on {taken}: .*\nchoose another metrics_address"):
            async with running(tmp_path, metrics_address=taken):
                pass


def test_an_address_that_others_reach_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    for address, warned in (("0.0.0.0:0", True), ("127.0.0.1:0", False), ("localhost:0", False)):
        caplog.clear()
        metrics.MetricsServer(address, CollectorRegistry()).close()
        assert ("for everybody who reaches it" in caplog.text) is warned


async def test_a_scrape_does_not_wait_for_a_loop_that_hangs(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_SNAPSHOT_TIMEOUT_S", 0.05)
    names: set[str] = set()

    def scrape() -> None:
        names.update(name for name, _ in parsed(urllib.request.urlopen(lab.url, timeout=10).read().decode()))

    thread = threading.Thread(target=scrape)
    thread.start()
    thread.join(10)  # meanwhile the event loop, in which this test runs, does nothing
    assert "gauntlet_jobs_submitted_total" in names
    assert "gauntlet_devices" not in names


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    for address in ("9151", "127.0.0.1:", ":9151", "127.0.0.1:99999"):
        with pytest.raises(ConfigError, match="metrics_address"):
            Config(folder=tmp_path, metrics_address=address)


# ------------------------------------------------------------------------------------------------ without a server


def collected(*readings: Reading, queue: Queue | None = None, now: float = 2e9) -> Series:
    snapshot = metrics.Snapshot(list(readings), 0, queue, 0, 0, 0, 0, 0.0, now)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in metrics.FleetCollector(lambda: snapshot, 1.0).collect()
        for sample in family.samples
    }


def a_reading(seen_at: str = "2033-05-18T03:33:20Z", **fields: object) -> Reading:
    described: dict[str, object] = {"telemetry": None, "check": None, "noise_floor": None, **fields}
    return Reading(devices.Device("d1"), "test", seen_at, **described)  # type: ignore[arg-type]


def test_a_device_expires_an_hour_after_it_was_last_seen() -> None:
    seen = 2e9  # 2033-05-18T03:33:20Z
    names = [
        {name for name, _ in collected(a_reading(), now=seen + age) if name.startswith("gauntlet_agent_")}
        for age in (0, 3599, 3601)
    ]
    connected = {"gauntlet_agent_connected", "gauntlet_agent_last_seen_timestamp_seconds", "gauntlet_agent_quarantined"}
    assert names == [connected, connected, set()]


def test_fitness_is_told_while_the_device_is_there() -> None:
    there = Reading(
        devices.Device("d1", session="s"),
        "test",
        "2033-05-18T03:33:20Z",
        None,
        fitness_pb2.FitnessCheck(shift=0.125),
        fitness_pb2.NoiseFloor(floor=figures.measured(0.02)),
    )
    series = collected(there)
    of_device = {"device_id": "d1", "device_class": "test"}
    assert value(series, "gauntlet_agent_fitness_shift_ratio", **of_device) == 0.125
    assert value(series, "gauntlet_agent_noise_floor_ratio", **of_device) == 0.02


def test_the_queue_is_told_by_user_and_not_by_campaign() -> None:
    shares = {Share("ada", "a"): Queued(3, 1), Share("ada", "b"): Queued(4, 0), Share("bob", ""): Queued(0, 2)}
    series = collected(queue=Queue(shares, waiting_since=2e9 - 30))
    assert value(series, "gauntlet_jobs_queued", user="ada") == 7
    assert value(series, "gauntlet_jobs_held", user="bob") == 2
    assert value(series, "gauntlet_queue_oldest_wait_seconds") == 30


def test_nothing_that_waits_has_waited_for_no_time() -> None:
    assert value(collected(queue=Queue({}, None)), "gauntlet_queue_oldest_wait_seconds") is None


def test_without_the_store_the_queue_is_missing_and_the_fleet_is_not() -> None:
    names = {name for name, _ in collected()}
    assert "gauntlet_devices" in names
    assert "gauntlet_jobs_queued" not in names


def test_a_kind_of_failure_from_a_newer_agent_has_a_name() -> None:
    assert kind_label(failure_pb2.FAILURE_KIND_OUT_OF_MEMORY) == "out_of_memory"
    assert kind_label(999) == "unknown"


def test_a_second_measurement_of_a_suspect_result_is_a_job_too() -> None:
    counters = Counters()
    counters.repeated([SuspectJob("j1", "j2"), SuspectJob("j2", None)])
    assert counters.registry.get_sample_value("gauntlet_jobs_submitted_total") == 1


def test_waits_are_measured_from_the_queue_to_each_lease() -> None:
    now = [100.0]
    counters = Counters(lambda: now[0])
    queued = jobs.Job("j")

    def take(job: jobs.Job, event: jobs.Event, at: float) -> jobs.Job:
        now[0] = at
        after = jobs.step(job, event)
        counters.applied(event, Applied(job, after.job, after.verdict), 0.0)
        return after.job

    counters._since["j"] = 100.0
    job = take(queued, jobs.Leased("l1", "d1"), 103.0)
    lost = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_DEVICE_LOST)
    job = take(job, jobs.Failed("l1", lost), 113.0)
    job = take(job, jobs.Leased("l2", "d2"), 120.0)
    job = take(job, jobs.Started("l2"), 121.0)
    job = take(job, jobs.Succeeded("l2"), 125.0)
    take(job, jobs.Failed("l1", failure_pb2.Failure(message="late")), 130.0)
    read = counters.registry.get_sample_value
    assert read("gauntlet_job_wait_seconds_sum") == 3 + 7
    assert read("gauntlet_job_held_seconds_sum", {"outcome": "again"}) == 10
    assert read("gauntlet_job_held_seconds_sum", {"outcome": "succeeded"}) == 5
    assert read("gauntlet_failures_total", {"kind": "device_lost", "blame": "device", "final": "false"}) == 1
    assert read("gauntlet_results_superseded_total") == 1
    assert counters._since == {}
