"""A device is set up for a window and always put back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_agent.tuning import system, tuner
from device_agent.tuning.journal import Change, DamagedJournalError, Journal
from device_agent.tuning.system import SetupRefusedError
from device_agent.tuning.tuner import Tuner, controls
from protos.gauntlet.v1.setup_pb2 import DeviceSetup
from tests.device_agent.tuning.board import Jetson, board, tree, values

POLICY_0, POLICY_4 = "sys/devices/system/cpu/cpufreq/policy0", "sys/devices/system/cpu/cpufreq/policy4"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return board(tmp_path / "root")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / "setup.json"


def test_the_governor_holds_within_the_window_and_is_put_back(root: Path, journal: Path) -> None:
    before = values(root)
    with Tuner(journal, root).held(DeviceSetup(governor="performance")) as report:
        assert (root / POLICY_0 / "scaling_governor").read_text() == "performance"
        assert (root / POLICY_4 / "scaling_governor").read_text() == "performance"
        assert journal.exists()
    assert values(root) == before
    assert not journal.exists()
    assert [(change.target, change.found, change.wanted, change.read_back) for change in report.changes] == [
        (f"/{POLICY_0}/scaling_governor", "schedutil", "performance", "performance"),
        (f"/{POLICY_4}/scaling_governor", "schedutil", "performance", "performance"),
    ]
    assert report.asked.governor == "performance"


def test_it_is_put_back_when_the_window_fails(root: Path, journal: Path) -> None:
    before = values(root)
    with pytest.raises(ZeroDivisionError), Tuner(journal, root).held(DeviceSetup(governor="performance")):
        raise ZeroDivisionError
    assert values(root) == before


def test_old_values_are_on_disk_before_anything_is_changed(
    root: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = values(root)
    seen: List[bool] = []

    def write(path: Path, value: str) -> None:
        seen.append({change.target: change.found for change in Journal(journal, root).read()} == dict(kept))
        system.write(path, value)

    kept = {name: value for name, value in before.items() if name.endswith("governor")}
    monkeypatch.setattr(tuner, "write", write)
    Tuner(journal, root).apply(DeviceSetup(governor="performance"))
    assert seen == [True, True]


def test_nothing_is_changed_when_the_old_values_cannot_be_kept(root: Path, tmp_path: Path) -> None:
    before = values(root)
    with pytest.raises(SetupRefusedError, match="nothing was changed"):
        Tuner(tmp_path / "gone" / "setup.json", root).apply(DeviceSetup(governor="performance"))
    assert values(root) == before


@pytest.mark.parametrize("made", range(1, 6))
def test_after_a_death_at_any_write_the_next_life_restores(
    root: Path, journal: Path, monkeypatch: pytest.MonkeyPatch, made: int
) -> None:
    class Killed(BaseException):
        pass

    left = [made]

    def write(path: Path, value: str) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        system.write(path, value)

    before = values(root)
    with monkeypatch.context() as dying:
        dying.setattr(tuner, "write", write)
        dying.setattr(Tuner, "restore", lambda self: [])  # the process is dead: nobody tidies up
        with pytest.raises(Killed):
            Tuner(journal, root).apply(
                DeviceSetup(governor="performance", min_frequency_hz=1e9, max_frequency_hz=1.5e9)
            )
    assert values(root) != before
    assert Tuner(journal, root).restore() == []
    assert values(root) == before
    assert not journal.exists()


def test_what_is_left_of_an_earlier_life_is_never_taken_for_the_old_values(root: Path, journal: Path) -> None:
    before = values(root)
    Tuner(journal, root).apply(DeviceSetup(governor="performance"))  # and then it dies
    with Tuner(journal, root).held(DeviceSetup(governor="powersave")) as report:
        assert report.changes[0].found == "schedutil"
    assert values(root) == before


def test_an_undone_set_up_that_cannot_be_undone_refuses_the_next_and_is_tried_again(root: Path, journal: Path) -> None:
    before = values(root)
    Tuner(journal, root).apply(DeviceSetup(governor="performance"))
    hidden = (root / POLICY_4).rename(root / "hidden")
    with pytest.raises(SetupRefusedError, match="policy4/scaling_governor is not back to schedutil"):
        Tuner(journal, root).apply(DeviceSetup(governor="powersave"))
    assert [change.target for change in Journal(journal, root).read()] == [f"{POLICY_4}/scaling_governor"]
    hidden.rename(root / POLICY_4)
    assert Tuner(journal, root).restore() == []
    assert values(root) == before


def test_values_of_an_earlier_boot_ended_with_it(root: Path, journal: Path) -> None:
    Tuner(journal, root).apply(DeviceSetup(governor="performance"))
    tree(root, {"proc/sys/kernel/random/boot_id": "boot-2", f"{POLICY_0}/scaling_governor": "ondemand"})
    assert Tuner(journal, root).restore() == []
    assert (root / POLICY_0 / "scaling_governor").read_text().strip() == "ondemand"
    assert not journal.exists()


def test_a_damaged_journal_is_kept_and_said(root: Path, journal: Path) -> None:
    journal.write_text('{"version": 1, "boot')
    [problem] = Tuner(journal, root).restore()
    assert str(journal) in problem
    assert "reboot" in problem
    assert journal.exists()
    with pytest.raises(SetupRefusedError, match="not undone yet"):
        Tuner(journal, root).apply(DeviceSetup(governor="performance"))
    with pytest.raises(DamagedJournalError):
        Journal(journal, root).read()


def test_a_missing_permission_is_named_with_path_owner_and_remedy(
    root: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = values(root)
    # Root may write everything: be somebody else who may not write the second file.
    monkeypatch.setattr(os, "access", lambda path, mode: "policy4" not in str(path))
    with pytest.raises(SetupRefusedError) as refused:
        Tuner(journal, root).apply(DeviceSetup(governor="performance"))
    owner = system.user_name((root / POLICY_4 / "scaling_governor").stat().st_uid)
    assert f"{root}/{POLICY_4}/scaling_governor may not be written: it belongs to {owner} (mode 0644)" in str(
        refused.value
    )
    assert "sudo chown" in refused.value.remedy
    assert values(root) == before
    assert not journal.exists()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (DeviceSetup(governor="turbo"), "has no governor 'turbo', it has performance, powersave, schedutil"),
        (DeviceSetup(max_frequency_hz=2.4e9), r"policy0 \(cores 0 1 2 3\) goes from 0.3 to 1.8 GHz, not to 2.4"),
        (DeviceSetup(min_frequency_hz=1.7e9, max_frequency_hz=1e9), "lies above the upper one"),
        (DeviceSetup(power_mode="MAXN"), "no nvpmodel on this machine"),
        (DeviceSetup(jetson_clocks=True), "no jetson_clocks on this machine"),
    ],
)
def test_what_the_board_does_not_have_is_refused(root: Path, journal: Path, asked: DeviceSetup, words: str) -> None:
    before = values(root)
    with pytest.raises(SetupRefusedError, match=words):
        Tuner(journal, root).apply(asked)
    assert values(root) == before


def test_a_machine_without_cpufreq_says_so(tmp_path: Path, journal: Path) -> None:
    with pytest.raises(SetupRefusedError, match="no cpufreq"):
        Tuner(journal, tmp_path).apply(DeviceSetup(governor="performance"))


def test_a_value_that_the_kernel_rounds_is_refused_and_undone(
    root: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = values(root)

    def write(path: Path, value: str) -> None:
        system.write(path, "1497600" if value == "1500000" else value)

    monkeypatch.setattr(tuner, "write", write)
    with pytest.raises(SetupRefusedError, match="was set to 1500000 and says 1497600"):
        Tuner(journal, root).apply(DeviceSetup(max_frequency_hz=1.5e9))
    assert values(root) == before
    assert not journal.exists()


def test_limits_hold_for_the_chosen_cores_only(root: Path, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner, "allowed_cores", lambda: list(range(8)))
    before = values(root)
    with Tuner(journal, root).held(DeviceSetup(max_frequency_hz=2.2e9, cores="big")):
        assert (root / POLICY_4 / "scaling_max_freq").read_text() == "2200000"
        assert (root / POLICY_0 / "scaling_max_freq").read_text().strip() == "1800000"
    assert values(root) == before


@settings(max_examples=60, deadline=None)
@given(
    now=st.tuples(st.integers(3, 18), st.integers(3, 18)).map(sorted),
    low=st.one_of(st.just(0), st.integers(3, 18)),
    high=st.one_of(st.just(0), st.integers(3, 18)),
)
def test_the_lower_limit_never_stands_above_the_upper_one(
    tmp_path_factory: pytest.TempPathFactory, now: List[int], low: int, high: int
) -> None:
    """Neither on the way there nor on the way back: the kernel would refuse it."""
    base = tmp_path_factory.mktemp("limits")
    root = board(base / "root")
    tree(root, {f"{POLICY_0}/scaling_{n}_freq": str(v * 100_000) for n, v in zip(("min", "max"), now)})
    before = values(root)

    def write(path: Path, value: str) -> None:
        system.write(path, value)
        folder = path.parent
        bottom, top = (int((folder / f"scaling_{name}_freq").read_text()) for name in ("min", "max"))
        assert bottom <= top

    asked = DeviceSetup(min_frequency_hz=low * 1e8, max_frequency_hz=high * 1e8, cores="0-3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuner, "write", write)
        patch.setattr(tuner, "allowed_cores", lambda: list(range(8)))
        try:
            with Tuner(base / "setup.json", root).held(asked):
                after = values(root)
                assert not high or after[f"{POLICY_0}/scaling_max_freq"] == str(high * 100_000)
                assert not low or after[f"{POLICY_0}/scaling_min_freq"] == str(low * 100_000)
        except SetupRefusedError:
            assert low > (high or now[1])
    assert values(root) == before


# ------------------------------------------------------------------------------------------------ Jetson


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.mark.usefixtures("as_root")
def test_power_mode_and_clocks_of_a_jetson_are_set_and_put_back(root: Path, journal: Path) -> None:
    jetson = Jetson(root)
    with Tuner(journal, root, jetson.run).held(DeviceSetup(power_mode="MAXN", jetson_clocks=True)) as report:
        assert (jetson.mode, jetson.maxed) == ("0", True)
        assert [change.control for change in Journal(journal, root).read()] == ["power_mode", "jetson_clocks"]
    assert (jetson.mode, jetson.maxed) == ("2", False)
    assert [(change.found, change.wanted) for change in report.changes] == [("2", "0"), ("", "on")]
    assert jetson.calls[-3:] == [
        ["jetson_clocks", "--restore", str(journal.with_name("jetson-clocks.store"))],
        ["nvpmodel", "-m", "2"],
        ["nvpmodel", "-q"],
    ]


@pytest.mark.usefixtures("as_root")
def test_a_power_mode_outlives_a_boot_and_is_put_back_after_it(root: Path, journal: Path) -> None:
    jetson = Jetson(root)
    Tuner(journal, root, jetson.run).apply(DeviceSetup(power_mode="0", governor="performance"))
    board(root, boot_id="boot-2")
    assert Tuner(journal, root, jetson.run).restore() == []
    assert jetson.mode == "2"


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(
    ("mode", "words"), [("3", "stayed in mode 2: NVPM WARN: Reboot required"), ("TURBO", "no power mode 'TURBO'")]
)
def test_a_mode_that_needs_a_reboot_or_is_not_there_is_refused(
    root: Path, journal: Path, mode: str, words: str
) -> None:
    jetson = Jetson(root)
    with pytest.raises(SetupRefusedError, match=words):
        Tuner(journal, root, jetson.run).apply(DeviceSetup(power_mode=mode))
    assert jetson.mode == "2"
    assert not journal.exists()


def test_vendor_commands_need_root(root: Path, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jetson = Jetson(root)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(SetupRefusedError, match="for root only, and this agent runs as 12345"):
        Tuner(journal, root, jetson.run).apply(DeviceSetup(power_mode="MAXN"))
    assert jetson.calls == []


@pytest.mark.usefixtures("as_root")
def test_a_command_that_hangs_or_fails_is_a_refusal(root: Path, journal: Path) -> None:
    Jetson(root)
    script = root / "usr/sbin/nvpmodel"
    script.write_text("#!/bin/sh\necho no permission to /sys/foo\nexit 3\n")
    script.chmod(0o755)
    with pytest.raises(SetupRefusedError, match=r"`nvpmodel -q` failed \(3\): no permission to /sys/foo"):
        Tuner(journal, root).apply(DeviceSetup(power_mode="MAXN"))


# ------------------------------------------------------------------------------------------------ what can be asked for


def test_controls_tell_state_choices_and_reasons(root: Path) -> None:
    found = {control.name: control for control in controls(True, root, range(8))}
    assert found["governor"].state == "schedutil"
    assert found["governor"].choices == ["performance", "powersave", "schedutil"]
    assert found["governor"].unavailable == ""
    assert found["clock_limits"].state == "policy0 300000-1800000 kHz, policy4 500000-2400000 kHz"
    assert "no nvpmodel" in found["power_mode"].unavailable
    assert found["cores"].state == "little 0-3, big 4-7"
    assert found["cores"].choices == ["big", "little"]


def test_without_leave_of_the_agents_owner_nothing_but_cores_can_be_set(root: Path) -> None:
    found = {control.name: control.unavailable for control in controls(False, root, range(8))}
    assert "not started with --allow-setup" in found["governor"]
    assert found["cores"] == ""


def test_controls_of_a_machine_without_any(tmp_path: Path) -> None:
    found = {control.name: control for control in controls(True, tmp_path, [0, 1])}
    assert found["governor"].unavailable.startswith("no cpufreq in /sys/devices/system/cpu")
    assert found["cores"].state == "0-1, all alike"
    assert found["cores"].choices == ["0-1"]


def test_a_change_knows_whether_it_is_a_file() -> None:
    assert Change("governor", "sys/x", "a", "b").is_file
    assert not Change("power_mode", "nvpmodel", "0", "1").is_file
