"""Debian's real `adb` program and its server, with a small daemon for a phone: what they say when links break."""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path
from typing import AsyncIterator

import pytest

from device_agent.bridge.adb import AdbError, AdbGone, AdbPhone, AdbProgram, AdbTimeoutError
from device_agent.bridge.attendant import Attendant, Manner, NoBench
from device_agent.bridge.phone import PhoneDevice
from tests.device_agent.bridge.phones import FakePhone, FakePhones, running_in
from tests.device_agent.bridge.small_adbd import SmallAdbd
from tests.device_agent.bridge.test_attendant import Devices

pytestmark = pytest.mark.slow
_LONG_S = 30.0


class Desk:
    """A phone, its daemon, and an adb server of the test's own."""

    def __init__(self, phone: FakePhone, adb: AdbProgram) -> None:
        self.phone = phone
        self.adb = adb
        self.adbd = SmallAdbd(phone.root)

    async def plug_in(self) -> AdbPhone:
        await self.adbd.start()
        for word in ("disconnect", "connect"):
            await self.adb.run([word, f"127.0.0.1:{self.adbd.port}"], _LONG_S)
        while not [phone for phone in await self.adb.devices() if phone.state == "device"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return self.adb.phone((await self.adb.devices())[0])


@pytest.fixture
async def desk(tmp_path: Path, phones: FakePhones, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    program = shutil.which("adb")
    if program is None:
        pytest.skip("no adb (Debian: apt-get install adb)")
    monkeypatch.setenv("HOME", str(tmp_path))  # it keeps its keys there
    monkeypatch.setenv("ADB_MDNS", "0")  # loopback only
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    adb = AdbProgram(Path(program), port)
    made = Desk(phones.add("unused"), adb)
    try:
        yield made
    finally:
        await made.adbd.unplug()
        await adb.run(["kill-server"], _LONG_S)


async def test_a_phone_is_listed_and_described(desk: Desk, tmp_path: Path) -> None:
    phone = await desk.plug_in()
    [listed] = await desk.adb.devices()
    assert (listed.serial, listed.state) == (f"127.0.0.1:{desk.adbd.port}", "device")
    assert listed.properties["model"] == "Pixel_8"
    assert listed.transport_id
    described = await PhoneDevice(phone).describe("", {}, {})
    assert described.device_class == "pixel8"
    assert described.hardware.memory_bytes == 7634212 * 1024


async def test_commands_give_status_output_and_errors(desk: Desk) -> None:
    phone = await desk.plug_in()
    output = await phone.shell(["sh", "-c", "printf one; echo two >&2; exit 3"], _LONG_S, check=False)
    assert (output.status, output.stdout, output.stderr) == (3, b"one", b"two\n")
    assert (await phone.shell(["sh", "-c", "kill -9 $$"], _LONG_S, check=False)).status == 137
    assert (await phone.shell(["false"], _LONG_S, check=False)).status == 1
    words = ["a b", "$HOME", "'", '"', "*", "\\n", "ü"]
    said = await phone.shell(["printf", "%s|", *words], _LONG_S)
    assert said.stdout.decode() == "".join(f"{word}|" for word in words)


async def test_what_takes_too_long_is_killed_on_the_phone(desk: Desk) -> None:
    phone = await desk.plug_in()
    with pytest.raises(AdbTimeoutError):
        await phone.shell(["sh", "-c", "sleep 600 & sleep 601; true"], 1.0)
    while running_in(desk.phone.root):  # noqa: ASYNC110  # nor that it ended
        await asyncio.sleep(0.02)


async def test_a_link_that_breaks_in_mid_run_is_a_phone_that_is_gone(desk: Desk) -> None:
    phone = await desk.plug_in()
    waiting = asyncio.ensure_future(phone.shell(["sleep", "600"], 600.0))
    while not running_in(desk.phone.root):  # noqa: ASYNC110  # a process tells nobody that it began
        await asyncio.sleep(0.02)
    await desk.adbd.unplug()
    with pytest.raises(AdbGone):
        await asyncio.wait_for(waiting, _LONG_S)
    with pytest.raises(AdbGone):
        await phone.shell(["true"], _LONG_S)
    with pytest.raises(AdbGone):
        await phone.push(Path(__file__), "/data/local/tmp/x", _LONG_S)


async def test_a_phone_comes_and_goes_as_a_device(desk: Desk, tmp_path: Path) -> None:
    async def no_runner(device: PhoneDevice) -> NoBench:
        return NoBench()

    devices = Devices()
    manner = Manner(names={}, labels={}, facts={}, poll_s=0.1, look_every_s=0.3)
    attendant = Attendant(desk.adb, devices, no_runner, tmp_path, manner)
    running = asyncio.ensure_future(attendant.run())
    await desk.plug_in()
    await devices.until(lambda d: d.pools)
    [device_id] = devices.pools
    await desk.adbd.unplug()
    await devices.until(lambda d: not d.pools)
    await desk.plug_in()
    await devices.until(lambda d: device_id in d.pools)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_files_go_there_and_back(desk: Desk, tmp_path: Path) -> None:
    phone = await desk.plug_in()
    content = bytes(range(256)) * 4000
    (tmp_path / "there").write_bytes(content)
    (tmp_path / "there").chmod(0o755)
    await phone.push(tmp_path / "there", "/data/local/tmp/gauntlet/there", _LONG_S)
    assert desk.phone.path("/data/local/tmp/gauntlet/there").stat().st_mode & 0o100
    await phone.pull("/data/local/tmp/gauntlet/there", tmp_path / "back", _LONG_S)
    assert (tmp_path / "back").read_bytes() == content
    with pytest.raises(AdbError, match="'/data/absent' does not exist") as absent:
        await phone.pull("/data/absent", tmp_path / "back", _LONG_S)
    assert not isinstance(absent.value, AdbGone)
