"""/metrics, scraped from a real orchestrator over HTTP while agents work, fail, leave and grow old."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.client import Client
from orchestrator.config import Config, ConfigError
from orchestrator.metrics import serving
from protos import figures
from protos.gauntlet.v1 import agent_pb2, campaign_pb2
from tests.orchestrator.lab import ScriptedAgent, running
from tests.orchestrator.metrics.scraping import Lab, free_address, parsed, value, worked

OF_DEVICE = {"device_id": "d1", "device_class": "test"}


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    address = free_address()
    async with running(tmp_path, metrics_address=address) as lab_address, Client(lab_address, patience_s=5) as client:
        yield Lab(lab_address, address, client)


async def test_a_scrape_tells_of_fleet_queue_jobs_store_and_disk(lab: Lab) -> None:
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
    assert value(series, "gauntlet_measurement_seconds_count", device_class="test") == 1
    queued, leased = (value(series, "gauntlet_jobs", state=state) or 0 for state in ("queued", "leased"))
    assert queued + leased == 2
    assert value(series, "gauntlet_jobs", state="running") == 0
    assert value(series, "gauntlet_queue_jobs", device_class="any") in ((queued,) if queued else (None,))
    assert (value(series, "gauntlet_jobs_queued", user="local") or 0) + (
        value(series, "gauntlet_jobs_held", user="local") or 0
    ) == 2
    assert value(series, "gauntlet_artifacts") == 1
    assert value(series, "gauntlet_artifacts_bytes") == len(b"a model")
    assert (value(series, "gauntlet_store_operations_total") or 0) >= 8
    assert (value(series, "gauntlet_store_commits_total") or 0) > 0
    assert value(series, "gauntlet_sessions_total", event="opened") == 1
    assert value(series, "gauntlet_messages_received_total", kind="job_finished") == 2
    assert 0 < (value(series, "gauntlet_disk_free_bytes") or 0) < (value(series, "gauntlet_disk_size_bytes") or 0)


async def test_a_scrape_tells_of_each_device(lab: Lab) -> None:
    await worked(lab)
    series = await lab.scrape()
    told = {name: number for (name, labels), number in series.items() if labels == frozenset(OF_DEVICE.items())}
    seen = told.pop("gauntlet_agent_last_seen_timestamp_seconds")
    assert abs(seen - time.time()) < 60
    assert told == {
        "gauntlet_agent_connected": 1,
        "gauntlet_agent_busy": 1,
        "gauntlet_agent_temperature_celsius": 41.5,
        "gauntlet_agent_load_average": 0.25,
        "gauntlet_agent_throttling_reasons": 1,
        "gauntlet_agent_energy_joules_total": 1234.5,
        "gauntlet_agent_disk_free_bytes": 5e9,
    }  # and nothing of clock, battery and fitness, of which it said nothing
    assert value(series, "gauntlet_agent_state", state="busy", **OF_DEVICE) == 1


async def test_a_campaign_is_told_of_as_it_publishes_itself(lab: Lab) -> None:
    await lab.client.publish_campaign(
        campaign_pb2.Campaign(
            campaign_id="digits-1a2b", title="Digits on a Pi", state=campaign_pb2.CAMPAIGN_STATE_RUNNING
        )
    )
    records = [campaign_pb2.CampaignRecord(key="hypervolume", figure=figures.measured(0.75))]
    await lab.client.publish_records("digits-1a2b", records)
    series = await lab.scrape()
    assert value(series, "gauntlet_campaign_state", campaign="Digits on a Pi", state="running") == 1
    assert value(series, "gauntlet_campaign_figure", campaign="Digits on a Pi", figure="hypervolume") == 0.75
    updated = value(series, "gauntlet_campaign_updated_timestamp_seconds", campaign="Digits on a Pi")
    assert abs((updated or 0) - time.time()) < 60


async def test_no_id_of_a_job_a_model_or_a_campaign_is_a_label(lab: Lab) -> None:
    await worked(lab)
    await lab.client.publish_campaign(campaign_pb2.Campaign(campaign_id="c1", title="one"))
    labels = {label for _, labels in await lab.scrape() for label, _ in labels}
    assert labels == {
        "blame",
        "campaign",
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
    async with asyncio.timeout(10):
        while value(series := await lab.scrape(), "gauntlet_agent_connected", **OF_DEVICE) != 0:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert value(series, "gauntlet_agent_last_seen_timestamp_seconds", **OF_DEVICE) is not None
    assert value(series, "gauntlet_agent_temperature_celsius", **OF_DEVICE) is None
    assert value(series, "gauntlet_agent_busy", **OF_DEVICE) is None
    assert value(series, "gauntlet_agent_state", state="lost", **OF_DEVICE) == 1
    assert value(series, "gauntlet_agent_state", state="busy", **OF_DEVICE) is None
    assert value(series, "gauntlet_devices", state="lost") == 1


async def test_a_refused_session_is_counted(lab: Lab) -> None:
    agent = ScriptedAgent(lab.address)
    await agent.say(heartbeat=agent_pb2.Heartbeat())
    await agent.refusal()
    assert value(await lab.scrape(), "gauntlet_sessions_total", event="refused") == 1


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
async def test_promtool_finds_nothing_wrong(lab: Lab) -> None:
    await worked(lab)
    await lab.client.publish_campaign(campaign_pb2.Campaign(campaign_id="c1", title='a "title"\\\n'))
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


def while_the_loop_hangs(url: str) -> str:
    """What is answered while the event loop, in which the caller runs, does nothing."""
    answers: list[str] = []

    def fetch() -> None:
        try:
            answers.append(urllib.request.urlopen(url, timeout=10).read().decode())
        except urllib.error.HTTPError as error:
            answers.append(f"{error.code} {error.read().decode()}")

    thread = threading.Thread(target=fetch)
    thread.start()
    thread.join(10)
    return answers[0]


async def test_a_scrape_does_not_wait_for_a_loop_that_hangs(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_SNAPSHOT_TIMEOUT_S", 0.05)
    names = {name for name, _ in parsed(while_the_loop_hangs(lab.url))}
    assert {"gauntlet_jobs_submitted_total", "gauntlet_orchestrator_info"} <= names
    assert "gauntlet_devices" not in names


async def test_nor_does_discovery_which_then_says_that_it_does_not_know(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An empty list would have Prometheus forget all agents.
    monkeypatch.setattr(serving, "_SNAPSHOT_TIMEOUT_S", 0.05)
    answer = while_the_loop_hangs(lab.url.replace("/metrics", "/sd"))
    assert answer == "503 the fleet was not to be had within 0.05 s\n"


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    for address in ("9151", "127.0.0.1:", ":9151", "127.0.0.1:99999"):
        with pytest.raises(ConfigError, match="metrics_address"):
            Config(folder=tmp_path, metrics_address=address)
