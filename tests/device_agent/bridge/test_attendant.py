"""Phones as devices that come and go: plugged in, pulled out, hung, unfit for use; and one never costs the others."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, AsyncIterator, Callable, Dict, List, Mapping, Optional, Tuple

import pytest

from device_agent.bridge.adb import AdbProgram
from device_agent.bridge.attendant import Attendant, Bench, Manner, NoBench
from device_agent.bridge.discovery import GONE
from device_agent.bridge.phone import PhoneDevice
from device_agent.errors import MeasurementError
from device_agent.runner import Pool
from device_agent.workers import Outcome
from protos.gauntlet.v1 import device_pb2, failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.bridge.phones import FakePhones

_LONG_S = 30.0


class Devices:
    """Who is told: writes it down."""

    def __init__(self) -> None:
        self.pools: Dict[str, Pool] = {}
        self.described: Dict[str, device_pb2.DeviceDescription] = {}
        self.events: List[Tuple[str, str]] = []

    def attach(self, description: device_pb2.DeviceDescription, pool: Pool) -> None:
        self.pools[description.device_id] = pool
        self.described[description.device_id] = description
        self.events.append(("attached", description.device_id))

    async def detach(self, device_id: str, reason: str) -> None:
        del self.pools[device_id]
        self.events.append((reason, device_id))

    async def until(self, condition: Callable[[Devices], object]) -> None:
        async def wait() -> None:
            while not condition(self):  # noqa: ASYNC110  # told by processes of the test
                await asyncio.sleep(0.01)

        await asyncio.wait_for(wait(), _LONG_S)


class Runner:
    """A bench that measures nothing, and fails as it is told to."""

    runtimes = (device_pb2.Runtime(name="litert", version="2", formats=["tflite"]),)
    capabilities = ("latency", "energy")

    def __init__(self, device: PhoneDevice, failure: Optional[failure_pb2.Failure] = None) -> None:
        self.device = device
        self.failure = failure

    async def measure(self, spec: pb.MeasurementSpec, paths: Mapping[str, Path], on_step: Any = None) -> Outcome:
        return Outcome(failure=self.failure)


class Bridge:
    """An attendant at work on made-up phones."""

    def __init__(self, phones: FakePhones, folder: Path) -> None:
        self.phones = phones
        self.devices = Devices()
        self.failure: Optional[failure_pb2.Failure] = None
        self.trouble: Optional[Exception] = None
        self._folder = folder
        self._running: Optional[asyncio.Task[None]] = None

    def start(self, **manner: Any) -> Attendant:
        settled = Manner(
            **{"names": {}, "labels": {}, "facts": {"bridge": "host"}, "poll_s": 0.03, "look_every_s": 0.1, **manner}
        )
        attendant = Attendant(AdbProgram(self.phones.command), self.devices, self._make_bench, self._folder, settled)
        self._running = asyncio.ensure_future(attendant.run())
        return attendant

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _make_bench(self, device: PhoneDevice) -> Bench:
        if self.trouble is not None:
            raise self.trouble
        return Runner(device, self.failure)


@pytest.fixture
async def bridge(phones: FakePhones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bridge]:
    monkeypatch.setattr("device_agent.bridge.discovery.SETTLE_S", 0.1)
    made = Bridge(phones, tmp_path / "state")
    yield made
    await made.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone hangs that does not answer for so long; those that do answer need much less, on a busy machine, too."""
    monkeypatch.setattr("device_agent.bridge.phone._LOOK_TIMEOUT_S", 3.0)
    monkeypatch.setattr("device_agent.bridge.adb._KILL_TIMEOUT_S", 1.0)


async def test_every_phone_is_a_device_with_what_its_runner_offers(bridge: Bridge) -> None:
    bridge.phones.add("4A2B")
    bridge.phones.add("77", usb="1-3")
    attendant = bridge.start(names={"77": "spare"}, labels={"room": "lab2"})
    await bridge.devices.until(lambda d: len(d.pools) == 2)
    described = bridge.devices.described["pixel8-4A2B"]
    assert "spare" in bridge.devices.described
    assert described.device_class == "pixel8"
    assert dict(described.labels) == {"room": "lab2"}
    assert (described.hardware.facts["bridge"], described.hardware.facts["usb"]) == ("host", "usb:1-1")
    assert described.hardware.facts["api_level"] == "34"
    assert [runtime.name for runtime in described.runtimes] == ["litert"]
    # It charges: the energy of its battery is not to be had, and it says why.
    assert list(described.capabilities) == ["latency"]
    energy = next(sensor for sensor in described.sensors if sensor.quantity == "energy_j")
    assert "not discharging (Charging)" in energy.unavailable
    telemetry = {reading.device_id: reading for reading in attendant.telemetry()}
    assert telemetry["spare"].battery_ratio.estimate.value == 0.8
    assert telemetry["spare"].temperature_c.estimate.value == 34.0


async def test_energy_is_offered_by_a_phone_that_discharges(bridge: Bridge) -> None:
    phone = bridge.phones.add("4A2B")
    phone.write("/sys/class/power_supply/battery/status", "Discharging\n")
    phone.write("/sys/class/power_supply/battery/current_now", "-412000\n")
    bridge.start()
    await bridge.devices.until(lambda d: d.pools)
    assert list(bridge.devices.described["pixel8-4A2B"].capabilities) == ["latency", "energy"]


async def test_a_phone_that_is_unplugged_leaves_and_comes_back_as_the_same_device(bridge: Bridge) -> None:
    bridge.phones.add("4A2B")
    bridge.phones.add("77", usb="1-3")
    bridge.start()
    await bridge.devices.until(lambda d: len(d.pools) == 2)
    bridge.phones.unplug("4A2B")
    await bridge.devices.until(lambda d: "pixel8-4A2B" not in d.pools)
    bridge.phones.plug("4A2B")
    await bridge.devices.until(lambda d: "pixel8-4A2B" in d.pools)
    reason, device_id = bridge.devices.events[2]
    assert device_id == "pixel8-4A2B"
    # Seen by the listing or by a look at it, whichever came first.
    assert reason == GONE or "is gone" in reason
    assert bridge.devices.events.count(("attached", "pixel8-77")) == 1


async def test_telemetry_follows_the_phone(bridge: Bridge) -> None:
    phone = bridge.phones.add("4A2B")
    attendant = bridge.start()
    await bridge.devices.until(lambda d: d.pools)
    phone.battery(level=42)
    phone.thermal_status(2)
    await bridge.devices.until(lambda _: attendant.telemetry()[0].battery_ratio.estimate.value == 0.42)
    await bridge.devices.until(lambda _: list(attendant.telemetry()[0].throttling) == ["thermal status 2 (moderate)"])


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
async def test_a_phone_that_hangs_leaves_and_is_reconnected(bridge: Bridge) -> None:
    bridge.phones.add("4A2B")
    bridge.phones.add("77", usb="1-3")
    bridge.start()
    await bridge.devices.until(lambda d: len(d.pools) == 2)
    bridge.phones.change("4A2B", hangs="until reconnect")
    await bridge.devices.until(lambda d: "pixel8-4A2B" not in d.pools)
    await bridge.devices.until(lambda d: "pixel8-4A2B" in d.pools)
    assert bridge.devices.events[2] == ("4A2B does not answer: its shell hangs", "pixel8-4A2B")
    assert (bridge.phones.look("4A2B")["reconnects"], bridge.phones.look("4A2B")["reboots"]) == (1, 0)
    assert "pixel8-77" in bridge.devices.pools


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
async def test_what_reconnecting_does_not_help_is_rebooted_if_that_is_allowed(bridge: Bridge, tmp_path: Path) -> None:
    bridge.phones.add("4A2B")
    bridge.start(may_reboot=True)
    await bridge.devices.until(lambda d: d.pools)
    bridge.phones.change("4A2B", hangs="until reboot")
    await bridge.devices.until(lambda d: len(d.events) == 3)
    assert bridge.devices.events[2] == ("attached", "pixel8-4A2B")
    assert bridge.phones.look("4A2B")["reboots"] == 1
    assert (tmp_path / "state/reboots-4A2B.json").exists()


async def test_a_phone_that_is_lost_in_a_measurement_is_no_device_when_its_job_is_reported(bridge: Bridge) -> None:
    bridge.phones.add("4A2B")
    bridge.failure = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_DEVICE_LOST, message="4A2B is gone")
    bridge.start()
    await bridge.devices.until(lambda d: d.pools)
    outcome = await bridge.devices.pools["pixel8-4A2B"].measure(pb.MeasurementSpec(), {})
    assert outcome.failure is not None
    assert bridge.devices.pools == {}
    assert bridge.devices.events[-1] == ("4A2B is gone", "pixel8-4A2B")
    await bridge.devices.until(lambda d: d.pools)  # it was there all the time: it comes back


async def test_a_job_that_fails_otherwise_costs_no_device(bridge: Bridge) -> None:
    bridge.phones.add("4A2B")
    bridge.failure = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_CRASHED)
    bridge.start()
    await bridge.devices.until(lambda d: d.pools)
    await bridge.devices.pools["pixel8-4A2B"].measure(pb.MeasurementSpec(), {})
    assert list(bridge.devices.pools) == ["pixel8-4A2B"]


async def test_nobody_looks_at_a_phone_while_it_carries_out_a_job(bridge: Bridge) -> None:
    phone = bridge.phones.add("4A2B")
    attendant = bridge.start()
    await bridge.devices.until(lambda d: d.pools)
    present = attendant._present["4A2B"].device
    async with present.at_work():
        phone.battery(level=42)
        before = attendant.telemetry()
        await present.refresh()
        assert attendant.telemetry() == before
    await bridge.devices.until(lambda _: attendant.telemetry()[0].battery_ratio.estimate.value == 0.42)


async def test_a_runner_that_is_of_no_use_costs_that_phone_and_says_what_to_do(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    kind = failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    bridge.trouble = MeasurementError(kind, "the phone cannot run the runner", "build it for arm64")
    bridge.phones.add("4A2B")
    bridge.start()
    with caplog.at_level(logging.ERROR):
        await bridge.devices.until(lambda _: caplog.records)
    assert "phone 4A2B (usb:1-1) cannot be used: the phone cannot run the runner build it for arm64" in caplog.text
    assert bridge.devices.events == []


async def test_a_bug_with_one_phone_costs_that_phone(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    bridge.trouble = ZeroDivisionError("a bug")
    bridge.phones.add("4A2B")
    bridge.start()
    with caplog.at_level(logging.ERROR):
        await bridge.devices.until(lambda _: caplog.records)
    assert "Traceback" in caplog.text
    bridge.trouble = None
    bridge.phones.add("77", usb="1-3")
    await bridge.devices.until(lambda d: "pixel8-77" in d.pools)


async def test_a_phone_that_starts_up_is_waited_for(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    phone = bridge.phones.add("4A2B")
    phone.set_properties(sys__boot_completed="0")
    with caplog.at_level(logging.INFO):
        bridge.start()
        await bridge.devices.until(lambda _: "it is starting up" in caplog.text)
    assert bridge.devices.events == []
    phone.set_properties(sys__boot_completed="1")
    await bridge.devices.until(lambda d: d.pools)


async def test_a_phone_that_tells_too_much_of_itself_costs_itself_and_not_the_bridge(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    bridge.phones.add("4A2B").set_properties(ro__soc__model="x" * 20_000)
    bridge.phones.add("77", usb="1-3")
    with caplog.at_level(logging.ERROR):
        bridge.start()
        await bridge.devices.until(lambda d: "pixel8-77" in d.pools and caplog.records)
    assert "phone 4A2B (usb:1-1) cannot be used: it describes itself in" in caplog.text
    assert "pixel8-4A2B" not in bridge.devices.described


async def test_of_a_phone_that_left_for_good_nothing_is_kept(bridge: Bridge, tmp_path: Path) -> None:
    bridge.phones.add("4A2B")
    attendant = bridge.start()
    await bridge.devices.until(lambda d: d.pools)
    bridge.phones.unplug("4A2B")
    await bridge.devices.until(lambda d: not d.pools)
    await bridge.devices.until(lambda _: not attendant._tasks and not attendant._leaving)
    assert (attendant._present, attendant._revivers) == ({}, {})
    assert not (tmp_path / "state").exists()


async def test_two_phones_with_one_name_are_told_to_a_person(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    bridge.phones.add("4A2B")
    bridge.phones.add("77", usb="1-3")
    bridge.start(names={"77": "pixel8-4A2B"})
    with caplog.at_level(logging.ERROR):
        await bridge.devices.until(lambda _: caplog.records)
    assert "another phone is pixel8-4A2B; name one of them: --phone SERIAL=NAME" in caplog.text
    assert list(bridge.devices.pools) == ["pixel8-4A2B"]


async def test_an_adb_server_that_is_gone_for_a_moment_costs_no_phone_and_for_longer_all(
    bridge: Bridge, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge.phones.add("4A2B")
    attendant = bridge.start(look_every_s=100.0)
    await bridge.devices.until(lambda d: d.pools)
    bridge.phones.server(server_problem="error: cannot connect to daemon")
    await bridge.devices.until(lambda _: attendant._missed > 0)
    assert bridge.devices.pools
    await bridge.devices.until(lambda d: not d.pools)
    assert caplog.text.count("cannot connect to daemon") == 1
    bridge.phones.server(server_problem="")
    await bridge.devices.until(lambda d: d.pools)


async def test_without_a_runner_a_phone_takes_no_job() -> None:
    outcome = await NoBench().measure(pb.MeasurementSpec(), {})
    assert outcome.failure is not None
    assert outcome.failure.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    assert "--runner" in outcome.failure.remedy
