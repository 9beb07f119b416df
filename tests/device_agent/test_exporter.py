"""/metrics of an agent: by the orchestrator's names, and nothing that it does not know."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Dict, Iterator, List, Sequence

import pytest

from device_agent import cli
from device_agent.exporter import Exporter
from device_agent.identity import StateError
from device_agent.service import exporting
from device_agent.session import Status
from device_agent.telemetry import SharedTelemetry
from protos import figures
from protos.gauntlet.v1 import device_pb2

OF_PI = '{device_class="raspberrypi4",device_id="pi4"}'


class FakeAgent:
    def __init__(self, *devices: device_pb2.DeviceDescription) -> None:
        self.connected = True
        self.devices = list(devices)

    def status(self) -> Status:
        return Status(self.connected, 2, [(device, True) for device in self.devices])


def pi() -> device_pb2.DeviceDescription:
    sensors = [device_pb2.Sensor(quantity="throttling", source="cooling devices")]
    return device_pb2.DeviceDescription(device_id="pi4", device_class="raspberrypi4", sensors=sensors)


def reading(device_id: str = "pi4", celsius: float = 51.5) -> device_pb2.DeviceTelemetry:
    return device_pb2.DeviceTelemetry(
        device_id=device_id,
        temperature_c=figures.measured(celsius),
        frequency_hz=figures.unavailable("no cpufreq"),
        energy_j=figures.measured(12.5),
    )


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def about(address: str) -> device_pb2.AgentDescription:
    return device_pb2.AgentDescription(
        agent_id="pi4", software_version="1.2", python_version="3.9.2", metrics_address=address
    )


@contextlib.contextmanager
def exported(agent: FakeAgent, readings: SharedTelemetry) -> Iterator[str]:
    address = free_address()
    with exporting(about(address), agent, readings):  # type: ignore[arg-type]
        yield f"http://{address}/metrics"


def text_at(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()  # type: ignore[no-any-return]


def ours(url: str) -> Dict[str, float]:
    lines = [line for line in text_at(url).splitlines() if line.startswith("gauntlet_")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_it_tells_what_it_knows_by_the_names_that_the_orchestrator_has() -> None:
    agent = FakeAgent(pi())
    with exported(agent, SharedTelemetry(lambda: [reading(), reading("unplugged")])) as url:
        assert ours(url) == {
            'gauntlet_agent_info{agent_id="pi4",python="3.9.2",version="1.2"}': 1,
            "gauntlet_agent_unsent_results": 2,
            f"gauntlet_agent_connected{OF_PI}": 1,
            f"gauntlet_agent_busy{OF_PI}": 1,
            f"gauntlet_agent_temperature_celsius{OF_PI}": 51.5,
            f"gauntlet_agent_energy_joules_total{OF_PI}": 12.5,
            f"gauntlet_agent_throttling_reasons{OF_PI}": 0,
        }
        agent.connected = False
        agent.devices = []
        assert "gauntlet_agent_connected{" not in text_at(url)
        assert "process_cpu_seconds_total" in text_at(url)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_promtool_finds_nothing_wrong() -> None:
    with exported(FakeAgent(pi()), SharedTelemetry(lambda: [reading()])) as url:
        text = text_at(url)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_sensors_are_read_by_heartbeats_and_by_a_scrape_only_when_there_are_none() -> None:
    now = [100.0]
    read: List[float] = []

    def sensors() -> Sequence[device_pb2.DeviceTelemetry]:
        read.append(now[0])
        return [reading(celsius=now[0])]

    shared = SharedTelemetry(sensors, lambda: now[0])
    assert shared.recent()[0].temperature_c.estimate.value == 100
    shared()
    now[0] = 109.0
    assert shared.recent()[0].temperature_c.estimate.value == 100
    assert read == [100.0, 100.0]
    now[0] = 110.0
    assert shared.recent()[0].temperature_c.estimate.value == 110
    assert read == [100.0, 100.0, 110.0]


def test_sensors_are_never_read_twice_at_a_time() -> None:
    inside, go_on = threading.Event(), threading.Event()
    at_once: List[int] = []
    busy = threading.Semaphore(1)

    def sensors() -> Sequence[device_pb2.DeviceTelemetry]:
        at_once.append(int(busy.acquire(blocking=False)))
        inside.set()
        assert go_on.wait(10)
        busy.release()
        return [reading()]

    shared = SharedTelemetry(sensors)
    threads = [threading.Thread(target=shared) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert inside.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert at_once == [1, 1, 1]


def test_without_an_address_nothing_is_served_and_nothing_loaded() -> None:
    code = (
        "import sys; from device_agent.service import exporting; from protos.gauntlet.v1 import device_pb2\n"
        "with exporting(device_pb2.AgentDescription(), None, None): pass\n"
        "print([name for name in sys.modules if name.startswith('prometheus')])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert said.stdout == "[]\n"


def test_an_address_in_use_is_one_line_and_a_remedy() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        with pytest.raises(StateError, match=rf"cannot serve metrics on {re.escape(taken)}: .*\nchoose another"):
            Exporter(about(taken), FakeAgent(), SharedTelemetry(list))  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["9152", ":9152", "pi4:", "pi4:99999", "unix:/run/x", "0.0.0.0:0"])
def test_an_address_that_nobody_could_scrape_is_refused(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["run", "--orchestrator", "127.0.0.1:1", "--metrics-address", address])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "argument --metrics-address: " in said
    assert address in said
