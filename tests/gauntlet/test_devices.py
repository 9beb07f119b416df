"""`gauntlet devices`: what people do to devices, and how a held one is shown."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orchestrator.client
from gauntlet.cli import parse
from gauntlet.cli.app import run
from gauntlet.errors import UsageError
from gauntlet.render import units
from protos.gauntlet.v1 import device_pb2, fleet_pb2
from tests.gauntlet.fake_client import FakeClient

WINDOW = fleet_pb2.MaintenanceWindow(weekdays=[6, 7], start_minute=120, duration_s=10_800, reason="power")


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient()
    monkeypatch.setenv("GAUNTLET_LAB", "fake:1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(orchestrator.client, "SyncClient", client)
    return client


def hold(lab: FakeClient) -> None:
    """Put the first device out of service."""
    device = lab.fleet[0]
    device.state = device_pb2.DEVICE_STATE_QUARANTINED
    device.state_reason = "since 2026-11-21 14:00 UTC: drift"
    device.holds.add(kind="quarantined", reason="drift", since="2026-11-21T14:00:00Z")
    device.holds.add(kind="reserved", by="ann", since="2026-11-21T14:00:00Z", until="2026-11-21T16:00:00Z")
    device.maintenance.append(WINDOW)
    device.events.add(at="2026-11-21T14:00:00Z", kind="quarantined", detail="drift: two checks")


def text(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "action", "asked"),
    [
        (["drain", "bench", "--reason", "new card"], "drain", fleet_pb2.Drain(reason="new card")),
        (["resume", "bench-1"], "resume", fleet_pb2.Resume()),
        (["reserve", "bench-1", "--for", "90min"], "reserve", fleet_pb2.Reserve(duration_s=5400)),
        (["release", "bench-1"], "release", fleet_pb2.Release()),
        (["quarantine", "bench-1", "--reason", "smoke"], "quarantine", fleet_pb2.Quarantine(reason="smoke")),
        (["maintenance", "bench-1", "--none"], "set_maintenance", fleet_pb2.SetMaintenance()),
    ],
)
def test_each_command_asks_for_one_thing(lab: FakeClient, arguments: list[str], action: str, asked: object) -> None:
    assert run(["devices", *arguments]) == 0
    [request] = lab.controlled
    assert request.device_id == "bench-1"
    assert request.WhichOneof("action") == action
    assert getattr(request, action) == asked


def test_a_maintenance_window_is_added_to_those_there_are(lab: FakeClient) -> None:
    hold(lab)
    assert run(["devices", "maintenance", "bench-1", "--at", "23:30", "--for", "1h"]) == 0
    added = fleet_pb2.MaintenanceWindow(start_minute=1410, duration_s=3600)
    assert list(lab.controlled[0].set_maintenance.windows) == [WINDOW, added]


def test_a_held_device_says_why_until_when_and_what_happened(
    lab: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(lab)
    assert run(["devices"]) == 0
    assert "quarantined: since 2026-11-21 14:00 UTC: drift" in text(capsys)
    assert run(["devices", "show", "bench-1"]) == 0
    out = text(capsys)
    assert "quarantined since 2026-11-21 14:00:00 UTC: drift" in out
    assert "reserved since 2026-11-21 14:00:00 UTC, by ann, until 2026-11-21 16:00:00 UTC" in out
    assert "maintenance every sat, sun at 02:00 UTC for 3 h: power" in out
    assert "2026-11-21 14:00:00 quarantined drift: two checks" in out
    assert run(["devices", "show", "bench-1", "--json"]) == 0
    device = json.loads(capsys.readouterr().out)["device"]
    assert [(hold["kind"], hold["by"], hold["until"]) for hold in device["holds"]] == [
        ("quarantined", None, None),
        ("reserved", "ann", "2026-11-21T16:00:00Z"),
    ]
    assert device["maintenance"] == [{"weekdays": [6, 7], "start_minute": 120, "duration_s": 10800, "reason": "power"}]
    assert device["events"] == [{"at": "2026-11-21T14:00:00Z", "kind": "quarantined", "detail": "drift: two checks"}]


def test_a_queued_job_says_what_it_waits_for(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    job = lab.history[0]
    job.waits_for = "waits for pi4: draining since 2026-11-21 14:00 UTC"
    assert run(["jobs", "show", job.job_id]) == 0
    assert "waits for pi4: draining since 2026-11-21 14:00 UTC" in text(capsys)
    assert run(["jobs", "show", job.job_id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["job"]["waits_for"] == job.waits_for


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["drain", "nobody"], "no device is called nobody"),
        (["reserve", "bench-1", "--for", "3x"], "--for: 3x is no duration"),
        (["maintenance", "bench-1", "--at", "25:00", "--for", "1h"], "--at: 25:00 is no time of day"),
        (["maintenance", "bench-1", "--every", "sat,so", "--at", "02:00", "--for", "1h"], "--every: so is no weekday"),
        (["maintenance", "bench-1"], "maintenance: say when"),
        (["maintenance", "bench-1", "--at", "02:00"], "maintenance: say when"),
        (["maintenance", "bench-1", "--none", "--at", "02:00", "--for", "1h"], "maintenance: say when"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line_and_done_to_nobody(
    lab: FakeClient, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(["devices", *arguments]) == 2
    error, remedy = capsys.readouterr().err.splitlines()[:2]
    assert error == f"error: {says}"
    assert remedy.startswith("  remedy: ")
    assert lab.controlled == []


@given(st.text(max_size=8))
def test_durations_days_and_times_are_read_or_refused(text: str) -> None:
    for read in (parse.duration_s, parse.weekdays, parse.minute_of_day):
        with contextlib.suppress(UsageError):
            value = read(text)
            assert isinstance(value, list) or value >= 0


@given(st.sets(st.integers(1, 7), min_size=1), st.integers(0, 1439))
def test_windows_are_read_as_they_are_written(days: set[int], minute: int) -> None:
    assert parse.weekdays(units.weekdays(days)) == sorted(days)
    assert parse.minute_of_day(f"{minute // 60:02}:{minute % 60:02}") == minute


def test_every_day_and_lengths_in_words() -> None:
    assert parse.weekdays("day") == []
    assert units.weekdays([]) == "day"
    assert [units.length(parse.duration_s(text)) for text in ("90s", "90min", "1.5d", "2h")] == [
        "1 min 30 s",
        "1 h 30 min",
        "1 d 12 h",
        "2 h",
    ]


@pytest.mark.parametrize(
    ("command", "example"), [("devices", "gauntlet devices reserve NAME --for 2h"), ("jobs", "gauntlet jobs cancel ID")]
)
def test_help_shows_how_it_is_used(capsys: pytest.CaptureFixture[str], command: str, example: str) -> None:
    assert run([command, "--help"]) == 0
    assert example in capsys.readouterr().out
