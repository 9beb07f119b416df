"""`gauntlet devices show`: what a device measures, by what source, and what not, why, and how to mend that."""

from __future__ import annotations

import json

import pytest

import orchestrator.client
from gauntlet.cli.app import run
from protos.figures import measured, unavailable
from protos.gauntlet.v1 import device_pb2
from tests.gauntlet.fake_client import FakeClient

RULE = """echo 'SUBSYSTEM=="powercap", RUN+="/bin/chmod -R g+r /sys%p"' > /etc/udev/rules.d/70-x.rules && udevadm x"""
OUTSIDE = "run the agent on the machine itself, or let the container see /sys"


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient()
    monkeypatch.setenv("GAUNTLET_LAB", "fake:1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(orchestrator.client, "SyncClient", client)
    described = client.fleet[0].description
    described.hardware.facts.update({"l4t": "36.4.3", "power_mode": "15W (0)"})
    described.capabilities.extend(["faults", "processes", "multi_stream", "profile", "energy", "x-ray"])
    del described.sensors[:]
    described.sensors.extend(
        [
            device_pb2.Sensor(quantity="energy_j", unavailable=f"no permission to read /sys/x; as root: {RULE}"),
            device_pb2.Sensor(quantity="temperature_c", source="cpu-thermal"),
            device_pb2.Sensor(quantity="frequency_hz", unavailable=f"no cpufreq; {OUTSIDE}"),
            device_pb2.Sensor(quantity="throttling", unavailable=f"no throttle counter; {OUTSIDE}"),
        ]
    )
    client.fleet[0].telemetry.CopyFrom(
        device_pb2.DeviceTelemetry(
            temperature_c=measured(48.25),
            energy_j=unavailable("no permission"),
            disk_free_bytes=measured(23 * 1024.0**3),
            battery_ratio=measured(0.73),
        )
    )
    return client


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["devices", "show", "bench-1"]) == 0
    return capsys.readouterr().out


def test_each_quantity_has_its_source_or_the_reason(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys)
    words = " ".join(out.split())
    assert "latency litert 2.3.0; in several processes, multi-stream accuracy outputs checked, under faults" in words
    assert "memory yes times of operators yes and x-ray energy_j unavailable: no permission to read /sys/x" in words
    assert "temperature_c 48.2 °C cpu-thermal frequency_hz unavailable: no cpufreq throttling" in words
    assert f"→ frequency_hz, throttling: {OUTSIDE}" in words
    assert "disk 23.00 GiB free battery 73.00 %" in words
    assert "l4t 36.4.3 power mode 15W (0)" in words


def test_a_command_to_copy_is_never_broken(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys).splitlines()
    assert "  → energy_j, as root on the device:" in [line.rstrip() for line in out]
    assert f"  {RULE}" in out
    assert [line for line in out if len(line) > 80] == [f"  {RULE}"]


def test_what_holds_a_device_back_is_said_at_its_head(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    lab.fleet[0].telemetry.throttling.extend(["firmware: under-voltage", "clock limited to 0.60 of 1.80 GHz"])
    lab.fleet[0].description.sensors[3].CopyFrom(device_pb2.Sensor(quantity="throttling", source="firmware"))
    words = " ".join(shown(capsys).split())
    told = "firmware: under-voltage, clock limited to 0.60 of 1.80 GHz"
    assert f"held back {told}" in words
    assert f"throttling {told}" in words


def test_a_device_without_a_runtime_measures_no_model(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    del lab.fleet[0].description.runtimes[:]
    words = " ".join(shown(capsys).split())
    assert "latency unavailable: no model runtime is installed" in words
    assert "→ latency, accuracy, memory, times of operators: pip install ai-edge-litert on the device" in words


def test_programs_get_the_same(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    lab.fleet[0].telemetry.throttling.append("firmware: throttled")
    assert run(["devices", "show", "bench-1", "--json"]) == 0
    device = json.loads(capsys.readouterr().out)["device"]
    assert device["hardware"]["facts"] == {"l4t": "36.4.3", "power_mode": "15W (0)"}
    assert device["sensors"][0]["unavailable"].endswith(RULE)
    assert device["telemetry"]["throttling"] == ["firmware: throttled"]
    assert device["telemetry"]["energy_j"]["unavailable"] == "no permission"
    assert device["telemetry"]["disk_free_bytes"]["value"] == 23 * 1024**3
    assert device["telemetry"]["battery_ratio"]["value"] == 0.73


def test_what_would_command_a_terminal_is_left_out(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    sensor = lab.fleet[0].description.sensors[0]
    sensor.unavailable = "no\x1b[2J permission; as root: echo \x1b]0;owned\x07 && true"
    lab.fleet[0].description.hardware.facts["soc"] = "\x1b[31mtegra"
    assert "\x1b" not in shown(capsys)
