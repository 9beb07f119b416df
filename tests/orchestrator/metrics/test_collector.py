"""What becomes of a snapshot, without a server."""

from __future__ import annotations

import math
from pathlib import Path

from orchestrator import devices
from orchestrator.demands import Demand
from orchestrator.jobs import State
from orchestrator.metrics.snapshot import Snapshot
from orchestrator.registry import Reading
from orchestrator.store.base import Queued, Share
from orchestrator.store.overview import Backlog, CampaignReading, Queue
from protos import figures
from protos.gauntlet.v1 import campaign_pb2, device_pb2, fitness_pb2
from tests.orchestrator.lab import device
from tests.orchestrator.metrics.scraping import Series, collected, series_of, value

SEEN_AT, SEEN = "2033-05-18T03:33:20Z", 2e9
OF_DEVICE = {"device_id": "d1", "device_class": "test"}


def told(*readings: Reading, now: float = SEEN, folder: Path = Path("/"), **snapshot: object) -> Series:
    return series_of(collected(Snapshot(now=now, readings=list(readings), **snapshot), folder))  # type: ignore[arg-type]


def a_reading(session: str | None = None, *, tells: str | None = None, **fields: object) -> Reading:
    described: dict[str, object] = {"telemetry": None, "check": None, "noise_floor": None, **fields}
    sensors = [] if tells is None else [device_pb2.Sensor(quantity="throttling", unavailable=tells)]
    return Reading(devices.Device("d1", session=session), device(sensors=sensors), SEEN_AT, **described)  # type: ignore[arg-type]


def test_a_device_expires_an_hour_after_it_was_last_seen() -> None:
    names = [
        {name for name, _ in told(a_reading(), now=SEEN + age) if name.startswith("gauntlet_agent_")}
        for age in (0, 3599, 3601)
    ]
    connected = {"gauntlet_agent_connected", "gauntlet_agent_last_seen_timestamp_seconds", "gauntlet_agent_state"}
    assert names == [connected, connected, set()]


def test_fitness_is_told_while_the_device_is_there() -> None:
    check = fitness_pb2.FitnessCheck(shift=0.125)
    series = told(
        a_reading("s", check=check, noise_floor=fitness_pb2.NoiseFloor(floor=figures.measured(0.02))),
    )
    assert value(series, "gauntlet_agent_fitness_shift_ratio", **OF_DEVICE) == 0.125
    assert value(series, "gauntlet_agent_noise_floor_ratio", **OF_DEVICE) == 0.02


def test_no_reason_to_throttle_is_news_only_of_a_device_that_could_tell() -> None:
    silent = device_pb2.DeviceTelemetry(device_id="d1")
    name = "gauntlet_agent_throttling_reasons"
    assert value(told(a_reading("s", telemetry=silent, tells="")), name, **OF_DEVICE) == 0
    assert value(told(a_reading("s", telemetry=silent, tells="no counter")), name, **OF_DEVICE) is None
    assert value(told(a_reading("s", telemetry=silent)), name, **OF_DEVICE) is None
    held_back = device_pb2.DeviceTelemetry(device_id="d1", throttling=["heat", "under-voltage"])
    assert value(told(a_reading("s", telemetry=held_back)), name, **OF_DEVICE) == 2


def test_the_queue_is_told_by_user_and_not_by_campaign() -> None:
    shares = {Share("ada", "a"): Queued(3, 1), Share("ada", "b"): Queued(4, 0), Share("bob", ""): Queued(0, 2)}
    series = told(queue=Queue(shares, {}, {State.LEASED: 1, State.RUNNING: 2}))
    assert value(series, "gauntlet_jobs_queued", user="ada") == 7
    assert value(series, "gauntlet_jobs_held", user="bob") == 2
    assert value(series, "gauntlet_jobs", state="leased") == 1
    assert value(series, "gauntlet_jobs", state="running") == 2


def demand(device_id: str = "", device_class: str = "") -> str:
    return Demand(device_id, device_class, (), "", "tflite", "", ()).signature


def test_the_queue_is_told_by_the_class_that_it_waits_for() -> None:
    waiting = {
        demand(device_class="pi4"): Backlog(3, SEEN - 30),
        demand("d1"): Backlog(1, SEEN - 20),  # a device of class "test"
        demand("d1", "test"): Backlog(1, SEEN - 50),
        demand(): Backlog(2, SEEN + 5),  # a clock that was set back
        demand("forgotten"): Backlog(1, SEEN - 7),
    }
    series = told(a_reading(), queue=Queue({}, waiting, {}))
    depth = {label: value(series, "gauntlet_queue_jobs", device_class=label) for label in ("pi4", "test", "any")}
    assert depth == {"pi4": 3, "test": 2, "any": 3}
    oldest = "gauntlet_queue_oldest_wait_seconds"
    ages = {label: value(series, oldest, device_class=label) for label in ("pi4", "test", "any")}
    assert ages == {"pi4": 30, "test": 50, "any": 7}
    assert value(series, "gauntlet_jobs", state="queued") == 8


def test_classes_that_somebody_makes_up_share_a_series() -> None:
    waiting = {demand(device_class=f"made-up-{number}"): Backlog(1, SEEN) for number in range(100)}
    waiting[demand(device_class="pi4")] = Backlog(5, SEEN)
    series = told(queue=Queue({}, waiting, {}))
    assert sum(name == "gauntlet_queue_jobs" for name, _ in series) == 65
    assert value(series, "gauntlet_queue_jobs", device_class="pi4") == 5
    assert value(series, "gauntlet_queue_jobs", device_class="other") == 37


def test_nothing_that_waits_has_waited_for_no_time() -> None:
    names = {name for name, _ in told(queue=Queue({}, {}, {}))}
    assert "gauntlet_jobs" in names
    assert not names & {"gauntlet_queue_jobs", "gauntlet_queue_oldest_wait_seconds"}


def test_without_the_store_the_queue_is_missing_and_the_fleet_is_not() -> None:
    names = {name for name, _ in told()}
    assert "gauntlet_devices" in names
    assert "gauntlet_jobs" not in names


def test_a_folder_that_is_gone_has_no_room_that_could_be_told(tmp_path: Path) -> None:
    assert value(told(folder=tmp_path), "gauntlet_disk_free_bytes") is not None
    assert value(told(folder=tmp_path / "gone"), "gauntlet_disk_free_bytes") is None


def test_a_state_of_a_campaign_that_only_a_newer_search_knows_has_a_name() -> None:
    readings = [
        CampaignReading("old", campaign_pb2.CAMPAIGN_STATE_PAUSED, 5.0),
        CampaignReading("new", 99, 6.0),  # type: ignore[arg-type]
    ]
    series = told(campaigns=readings)
    assert value(series, "gauntlet_campaign_state", campaign="old", state="paused") == 1
    assert value(series, "gauntlet_campaign_state", campaign="new", state="unknown") == 1


def test_a_device_has_about_a_dozen_series() -> None:
    telemetry = device_pb2.DeviceTelemetry(device_id="d1", throttling=["heat"])
    for field in ("temperature_c", "frequency_hz", "load_average", "energy_j", "disk_free_bytes", "battery_ratio"):
        getattr(telemetry, field).CopyFrom(figures.measured(1.0))
    check = fitness_pb2.FitnessCheck(shift=0.1)
    floor = fitness_pb2.NoiseFloor(floor=figures.measured(0.1))
    everything = a_reading("s", telemetry=telemetry, check=check, noise_floor=floor)
    assert len(told(everything)) - len(told()) == 13


def test_the_text_of_devices_is_what_the_library_reads() -> None:
    telemetry = device_pb2.DeviceTelemetry(
        temperature_c=figures.measured(-1.5e-7),
        load_average=figures.measured(math.nan),
        energy_j=figures.measured(1e22),
        disk_free_bytes=figures.measured(math.inf),
    )
    there = Reading(devices.Device("d1", session="s"), device(), SEEN_AT, telemetry, None, None)
    series = told(there)
    assert value(series, "gauntlet_agent_temperature_celsius", **OF_DEVICE) == -1.5e-7
    assert value(series, "gauntlet_agent_energy_joules_total", **OF_DEVICE) == 1e22
    assert value(series, "gauntlet_agent_state", state="online", **OF_DEVICE) == 1
    # Neither is what a sensor measured.
    assert value(series, "gauntlet_agent_load_average", **OF_DEVICE) is None
    assert value(series, "gauntlet_agent_disk_free_bytes", **OF_DEVICE) is None
