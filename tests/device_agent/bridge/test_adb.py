"""The `adb` program: commands on made-up phones that answer, hang, and leave; and the real program without a phone."""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path

import pytest

from device_agent.bridge.adb import AdbChattyError, AdbError, AdbGone, AdbHung, AdbPhone, AdbProgram, AdbTimeoutError
from device_agent.bridge.listing import Attached
from tests.device_agent.bridge.phones import FakePhones

_LONG_S = 30.0


async def _only(phones: FakePhones) -> AdbPhone:
    adb = AdbProgram(phones.command)
    return adb.phone((await adb.devices())[0])


async def _until_it_runs(phones: FakePhones, serial: str, running: bool = True) -> None:
    while bool(phones.running(serial)) is not running:  # noqa: ASYNC110  # a process tells nobody that it began
        await asyncio.sleep(0.02)


async def test_lists_what_is_attached_and_the_servers_news_are_passed_over(phones: FakePhones) -> None:
    phones.server(noise=True)
    phones.add("4A2B")
    phones.add("77", usb="1-3", state="unauthorized")
    found = await AdbProgram(phones.command).devices()
    assert [(phone.serial, phone.state, phone.usb) for phone in found] == [
        ("4A2B", "device", "usb:1-1"),
        ("77", "unauthorized", "usb:1-3"),
    ]


async def test_a_command_gives_its_status_output_and_errors(phones: FakePhones) -> None:
    phones.add("4A2B")
    phone = await _only(phones)
    output = await phone.shell(["sh", "-c", "printf one; echo two >&2; exit 3"], _LONG_S, check=False)
    assert (output.status, output.stdout, output.stderr) == (3, b"one", b"two\n")


async def test_output_may_hold_any_bytes(phones: FakePhones) -> None:
    phone_here = phones.add("4A2B")
    phone_here.path("/data/raw").write_bytes(bytes(range(256)))
    output = await (await _only(phones)).shell(["cat", "/data/raw"], _LONG_S)
    assert output.stdout == bytes(range(256))


@pytest.mark.parametrize("word", ["a b", "$HOME", "`id`", "x;y", "'", '"', "*", "\\n", "-n", "ü"])
async def test_words_reach_the_program_as_they_are(phones: FakePhones, word: str) -> None:
    phones.add("4A2B")
    output = await (await _only(phones)).shell(["printf", "%s", word], _LONG_S)
    assert output.stdout.decode() == word


async def test_a_command_that_fails_is_an_error_with_its_last_words(phones: FakePhones) -> None:
    phones.add("4A2B")
    with pytest.raises(AdbError, match=r"`sh -c .*` ended with 7 on 4A2B: no such thing"):
        await (await _only(phones)).shell(["sh", "-c", "echo no such thing >&2; exit 7"], _LONG_S)


async def test_a_program_killed_by_a_signal_shows_it_in_its_status(phones: FakePhones) -> None:
    phones.add("4A2B")
    output = await (await _only(phones)).shell(["sh", "-c", "kill -9 $$"], _LONG_S, check=False)
    assert output.status == 128 + 9


async def test_what_takes_too_long_is_killed_on_the_phone_with_all_that_it_started(phones: FakePhones) -> None:
    phones.add("4A2B")
    phone = await _only(phones)
    with pytest.raises(AdbTimeoutError, match=r"did not end within 0.5 s on 4A2B"):
        await phone.shell(["sh", "-c", "sleep 600 & sleep 601; true"], 0.5)
    await asyncio.wait_for(_until_it_runs(phones, "4A2B", running=False), _LONG_S)
    assert (await phone.shell(["echo", "here"], _LONG_S)).stdout == b"here\n"


@pytest.mark.parametrize("where", ["", ">&2"])
async def test_a_command_that_says_too_much_is_an_error_and_the_phone_stays(phones: FakePhones, where: str) -> None:
    phones.add("4A2B")
    phone = await _only(phones)
    with pytest.raises(AdbChattyError, match=r"`sh -c .*` on 4A2B: it said more than 4 MiB"):
        await phone.shell(["sh", "-c", f"head -c 5000000 /dev/zero {where}"], _LONG_S)
    assert (await phone.shell(["echo", "here"], _LONG_S)).stdout == b"here\n"


async def test_a_program_that_never_stops_talking_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "adb"
    program.write_text("#!/bin/sh\nyes & yes >&2 & wait\n")
    program.chmod(0o755)
    with pytest.raises(AdbChattyError, match="more than 4 MiB"):
        await AdbProgram(program).run(["devices"], _LONG_S)


async def test_what_nobody_waits_for_any_more_is_killed_on_the_phone(phones: FakePhones) -> None:
    phones.add("4A2B")
    phone = await _only(phones)
    waiting = asyncio.ensure_future(phone.shell(["sleep", "600"], 600.0))
    await asyncio.wait_for(_until_it_runs(phones, "4A2B"), _LONG_S)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert phones.running("4A2B") == 0


async def test_unplugging_ends_a_command_at_once(phones: FakePhones) -> None:
    phones.add("4A2B")
    phone = await _only(phones)
    waiting = asyncio.ensure_future(phone.shell(["sleep", "600"], 600.0))
    await asyncio.wait_for(_until_it_runs(phones, "4A2B"), _LONG_S)
    phones.unplug("4A2B")
    with pytest.raises(AdbGone, match="4A2B is gone: the link broke"):
        await asyncio.wait_for(waiting, _LONG_S)


async def test_status_1_of_a_command_is_not_taken_for_a_broken_link(phones: FakePhones) -> None:
    phones.add("4A2B")
    assert (await (await _only(phones)).shell(["false"], _LONG_S, check=False)).status == 1


@pytest.mark.parametrize("state", ["unauthorized", "offline"])
async def test_a_phone_that_is_not_ready_is_gone(phones: FakePhones, state: str) -> None:
    phones.add("4A2B")
    phone = await _only(phones)
    phones.change("4A2B", state=state)
    with pytest.raises(AdbGone, match=state if state == "offline" else "4A2B is gone"):
        await phone.shell(["true"], _LONG_S)


async def test_a_phone_that_was_unplugged_is_gone_for_files_too(phones: FakePhones, tmp_path: Path) -> None:
    phones.add("4A2B")
    phone = await _only(phones)
    phones.unplug("4A2B")
    (tmp_path / "file").write_text("x")
    with pytest.raises(AdbGone):
        await phone.push(tmp_path / "file", "/data/local/tmp/file", _LONG_S)
    with pytest.raises(AdbGone):
        await phone.pull("/data/local/tmp/file", tmp_path / "back", _LONG_S)


async def test_a_shell_that_never_answers_is_a_phone_that_is_gone(
    phones: FakePhones, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_agent.bridge.adb._KILL_TIMEOUT_S", 0.3)
    phones.add("4A2B")
    phone = await _only(phones)
    phones.change("4A2B", hangs="for good")
    with pytest.raises(AdbHung, match="4A2B does not answer: its shell hangs"):
        await phone.shell(["true"], 0.3)


async def test_two_phones_with_one_serial_are_told_apart_by_their_attachment(phones: FakePhones) -> None:
    for number in "12":
        phones.add("0123456789ABCDEF", usb=f"1-{number}").write("/data/which", number)
    adb = AdbProgram(phones.command)
    for number, attached in zip("12", await adb.devices()):
        assert (await adb.phone(attached).shell(["cat", "/data/which"], _LONG_S)).stdout.decode() == number


async def test_plugged_in_again_it_is_another_attachment(phones: FakePhones) -> None:
    phones.add("4A2B")
    phone = await _only(phones)
    phones.unplug("4A2B")
    phones.plug("4A2B")
    with pytest.raises(AdbGone, match="no device with transport id"):
        await phone.shell(["true"], _LONG_S)
    assert (await (await _only(phones)).shell(["true"], _LONG_S)).status == 0


async def test_files_go_there_and_back(phones: FakePhones, tmp_path: Path) -> None:
    phones.add("4A2B")
    phone = await _only(phones)
    (tmp_path / "there").write_bytes(b"\0\r\n" * 1000)
    await phone.push(tmp_path / "there", "/data/local/tmp/gauntlet/there", _LONG_S)
    await phone.pull("/data/local/tmp/gauntlet/there", tmp_path / "back", _LONG_S)
    assert (tmp_path / "back").read_bytes() == b"\0\r\n" * 1000


async def test_a_phone_without_room_and_a_file_that_is_not_there_are_errors_of_a_phone_that_is(
    phones: FakePhones, tmp_path: Path
) -> None:
    phones.add("4A2B", full=True)
    phone = await _only(phones)
    (tmp_path / "file").write_text("x")
    with pytest.raises(AdbError, match="No space left on device") as full:
        await phone.push(tmp_path / "file", "/data/local/tmp/file", _LONG_S)
    with pytest.raises(AdbError, match="No such file") as absent:
        await phone.pull("/data/absent", tmp_path / "back", _LONG_S)
    assert not isinstance(full.value, AdbGone)
    assert not isinstance(absent.value, AdbGone)


async def test_without_the_program_the_remedy_is_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(AdbError, match=r"cannot run .*no-adb: No such file or directory\ninstall it"):
        await AdbProgram(tmp_path / "no-adb").devices()


async def test_a_server_that_does_not_start_says_why(phones: FakePhones) -> None:
    phones.server(server_problem="* failed to start daemon\nerror: cannot connect to daemon")
    with pytest.raises(AdbError, match=r"cannot list phones: error: cannot connect to daemon\ntry it by hand"):
        await AdbProgram(phones.command).devices()


async def test_a_server_that_hangs_is_given_up(phones: FakePhones, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_agent.bridge.adb._SERVER_TIMEOUT_S", 0.3)
    phones.server(server_hangs=True)
    with pytest.raises(AdbTimeoutError, match=r"`adb devices` did not end within 0.3 s"):
        await AdbProgram(phones.command).devices()


async def test_the_real_program_starts_a_server_of_its_own_port_and_lists_no_phone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which("adb")
    if program is None:
        pytest.skip("no adb (Debian: apt-get install adb)")
    monkeypatch.setenv("HOME", str(tmp_path))  # it keeps its keys there
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    adb = AdbProgram(Path(program), port)
    try:
        assert await adb.devices() == []
        gone = AdbPhone(adb, Attached("4A2B", "device", "", {}))
        with pytest.raises(AdbGone, match="device '4A2B' not found"):
            await gone.shell(["true"], _LONG_S)
        with pytest.raises(AdbGone, match="no device with transport id '9'"):
            await AdbPhone(adb, Attached("4A2B", "device", "9", {})).shell(["true"], _LONG_S)
        with pytest.raises(AdbGone, match="device '4A2B' not found"):
            await gone.push(Path(__file__), "/data/local/tmp/file", _LONG_S)
    finally:
        await adb.run(["kill-server"], _LONG_S)
