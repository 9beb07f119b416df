"""A phone that hangs: reconnected first, then rebooted, within limits that outlive the bridge."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import List

import pytest

from device_agent.bridge.adb import AdbError
from device_agent.bridge.recovery import LIMITS, Reviver


class Phone:
    """Writes down what is done to it."""

    def __init__(self) -> None:
        self.done: List[str] = []
        self.refuses = False

    async def reconnect(self) -> None:
        self.done.append("reconnect")

    async def reboot(self) -> None:
        if self.refuses:
            raise AdbError("4A2B does not reboot: error: closed")
        self.done.append("reboot")


class Clock:
    """Unix time, as the test likes it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def phone() -> Phone:
    return Phone()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_reviver(folder: Path, clock: Clock, may_reboot: bool = True) -> Reviver:
    return Reviver("usb:1-2", folder, may_reboot, clock)


async def hang(reviver: Reviver, phone: Phone, clock: Clock, times: int, every_s: float = 3600.0) -> List[str]:
    phone.done.clear()
    for _ in range(times):
        clock.now += every_s
        await reviver.revive(phone)  # type: ignore[arg-type]
    return phone.done


async def test_it_is_reconnected_first_and_then_rebooted(tmp_path: Path, phone: Phone, clock: Clock) -> None:
    assert await hang(a_reviver(tmp_path, clock), phone, clock, 2) == ["reconnect", "reboot"]


async def test_without_permission_it_is_only_reconnected_and_says_so(
    tmp_path: Path, phone: Phone, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    assert await hang(a_reviver(tmp_path, clock, False), phone, clock, 4) == ["reconnect"] * 4
    assert "no reboot: that needs --allow-reboot" in caplog.text


async def test_a_phone_that_answered_in_between_begins_with_a_reconnect(
    tmp_path: Path, phone: Phone, clock: Clock
) -> None:
    for _ in range(2):  # it is forgotten when the phone answers
        assert await hang(a_reviver(tmp_path, clock), phone, clock, 1) == ["reconnect"]


async def test_reboots_of_a_day_are_bounded_over_restarts_of_the_bridge(
    tmp_path: Path, phone: Phone, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    made = 0
    for _ in range(6):
        made += (await hang(a_reviver(tmp_path, clock), phone, clock, 2)).count("reboot")
    assert made == LIMITS.max_per_day
    assert "the most that is allowed" in caplog.text
    clock.now += 24 * 3600
    assert "reboot" in await hang(a_reviver(tmp_path, clock), phone, clock, 2)


async def test_a_reboot_is_written_down_before_it_is_made(tmp_path: Path, clock: Clock) -> None:
    class Watching(Phone):
        async def reboot(self) -> None:
            assert (tmp_path / next(file.name for file in tmp_path.iterdir())).read_text().count("1007200")
            await super().reboot()

    phone = Watching()
    assert await hang(a_reviver(tmp_path, clock), phone, clock, 2) == ["reconnect", "reboot"]


async def test_a_reboot_that_cannot_be_written_down_is_not_made(
    tmp_path: Path, phone: Phone, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    reviver = a_reviver(tmp_path, clock)
    reviver._file.with_suffix(".new").mkdir()  # where it would be written
    assert await hang(reviver, phone, clock, 2) == ["reconnect"]
    assert "not rebooted, since that cannot be counted" in caplog.text


async def test_a_history_that_cannot_be_read_allows_none(tmp_path: Path, phone: Phone, clock: Clock) -> None:
    reviver = a_reviver(tmp_path, clock)
    await hang(reviver, phone, clock, 2)
    next(tmp_path.iterdir()).write_text("{")
    assert "reboot" not in await hang(a_reviver(tmp_path, clock), phone, clock, 3)


async def test_a_phone_that_refuses_to_reboot_costs_nothing_but_a_line(
    tmp_path: Path, phone: Phone, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    phone.refuses = True
    with caplog.at_level(logging.ERROR):
        await hang(a_reviver(tmp_path, clock), phone, clock, 2)
    assert "4A2B does not reboot: error: closed" in caplog.text
