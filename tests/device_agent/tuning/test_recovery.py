"""A wedged board is recovered within limits, by commands that a person wrote."""

from __future__ import annotations

import json
import logging
import subprocess
from pathlib import Path
from typing import Any, List, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.cli import main
from device_agent.tuning.recovery import DAY_S, Limits, Recovery
from device_agent.tuning.watch import EXAMPLE, Watch, WatchConfigError, load_config, watch

LIMITS = st.builds(
    Limits,
    after_troubles=st.integers(1, 4),
    min_interval_s=st.floats(60, 7200),
    max_per_day=st.integers(1, 6),
    settle_s=st.floats(0, 600),
)
EVENTS = st.lists(st.tuples(st.floats(0, 6 * 3600), st.sampled_from(["trouble", "trouble", "trouble", "well"])))


@given(limits=LIMITS, hooks=st.integers(1, 3), events=EVENTS)
def test_limits_hold_in_every_history(limits: Limits, hooks: int, events: Any) -> None:
    state, now, in_a_row = Recovery(limits, hooks), 1e9, 0
    runs: List[float] = []
    expected_hook = 0
    for pause_s, event in events:
        now += pause_s
        if event == "well":
            state, in_a_row, expected_hook = state.well(), 0, 0
            continue
        in_a_row += 1
        state, hook = state.trouble(now)
        if hook is None:
            continue
        assert hook == expected_hook, "the mildest first, then one after another"
        assert in_a_row >= limits.after_troubles
        assert not runs or now - runs[-1] >= limits.min_interval_s
        assert not runs or now - runs[-1] >= limits.settle_s
        runs.append(now)
        assert sum(now - at < DAY_S for at in runs) <= limits.max_per_day
        in_a_row, expected_hook = 0, min(hook + 1, hooks - 1)


@given(limits=LIMITS, steps=st.lists(st.floats(-7200, 7200), max_size=60))
def test_a_clock_that_is_put_back_never_shortens_a_wait(limits: Limits, steps: List[float]) -> None:
    """Real time goes on by a minute between events, whatever the clock says."""
    state, clock, last_real = Recovery(limits, 1), 1e9, -1e9
    for number, step in enumerate(steps):
        clock += min(step, 60.0)  # put back, or slow; never fast
        state, hook = state.trouble(clock)
        if hook is not None:
            assert number * 60.0 - last_real >= min(limits.min_interval_s, DAY_S) - 1e-6
            last_real = number * 60.0


def test_a_clock_that_was_far_ahead_once_does_not_forbid_recovery_for_ever() -> None:
    state = Recovery(Limits(after_troubles=1), 1, runs=(4e9,))
    now, hook = 1e9, None
    for _ in range(20):
        state, hook = state.trouble(now)
        if hook is not None:
            break
        now += 60
    assert hook == 0


def test_without_hooks_nothing_is_ever_done() -> None:
    state = Recovery(Limits(after_troubles=1), 0)
    assert state.trouble(1e9) == (state, None)


@given(limits=LIMITS, times=st.lists(st.floats(0, 3 * DAY_S), max_size=40).map(sorted), cut=st.integers(0, 40))
def test_a_restart_forgets_no_run(limits: Limits, times: List[float], cut: int) -> None:
    """A process that keeps only `runs` allows no run that one that lived on would forbid by a limit."""
    state, runs = Recovery(limits, 1), []
    for number, now in enumerate(times):
        if number == cut:
            state = Recovery(limits, 1, runs=tuple(runs))
        state, hook = state.trouble(1e9 + now)
        if hook is not None:
            assert not runs or 1e9 + now - runs[-1] >= limits.min_interval_s
            runs.append(1e9 + now)


# ------------------------------------------------------------------------------------------------ with commands


class World:
    """Runs no command, but notes it."""

    def __init__(self) -> None:
        self.now = 1e9
        self.well = False
        self.ran: List[str] = []

    def clock(self) -> float:
        return self.now

    def run(self, command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        if command[0] == "ping":
            return subprocess.CompletedProcess(list(command), 0 if self.well else 1, "unreachable", "")
        self.ran.append(command[0])
        if command[0] == "uhubctl":
            raise subprocess.TimeoutExpired(list(command), timeout_s)
        return subprocess.CompletedProcess(list(command), 0, "", "")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "watch.json"
    path.write_text(EXAMPLE)
    path.chmod(0o600)
    return path


def test_hooks_escalate_and_are_counted_over_restarts(config: Path, tmp_path: Path) -> None:
    world, state = World(), tmp_path / "runs.json"
    for _ in range(24 * 60):
        # A new process each time: nothing is held in memory only, but the troubles in a row.
        watch = Watch(load_config(config), state, world.clock, world.run)
        for _ in range(3):
            watch.step()
            world.now += 20
    assert world.ran == ["uhubctl"] + 4 * ["/usr/local/bin/outlet"]


def test_a_board_that_is_well_again_starts_over(config: Path, tmp_path: Path) -> None:
    world = World()
    watch = Watch(load_config(config), tmp_path / "runs.json", world.clock, world.run)
    for well in [False] * 3 + [True] + [False] * 3:
        world.well = well
        watch.step()
        world.now += 700
    assert world.ran == ["uhubctl", "uhubctl"]


def test_nothing_is_run_that_cannot_be_counted(config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    watch = Watch(load_config(config), tmp_path / "gone" / "runs.json", world.clock, world.run)
    for _ in range(5):
        watch.step()
    assert world.ran == []
    assert "is not run" in caplog.text


def test_a_damaged_history_stands_for_a_full_one(
    config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, state = World(), tmp_path / "runs.json"
    state.write_text('{"runs": [1, "x"')
    watch = Watch(load_config(config), state, world.clock, world.run)
    for _ in range(10):
        watch.step()
        world.now += 700
    assert world.ran == []
    with caplog.at_level(logging.ERROR):
        assert "no recovery for 24 hours" in caplog.text


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_configuration_that_others_can_write_is_not_run(config: Path, mode: int) -> None:
    config.chmod(mode)
    with pytest.raises(WatchConfigError, match="can be written by others"):
        load_config(config)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hooks": []}, "a list of hooks"),
        ({"probe": {"command": "ping board"}}, "probe.command must be a list of words"),
        ({"hooks": [{"name": "x", "command": [""]}]}, r"hooks\[0\].command"),
        ({"hooks": [{"name": "x", "command": ["a"], "shell": True}]}, "no key 'shell'"),
        ({"min_interval_s": 5}, "min_interval_s must be a number from 60 up"),
        ({"max_per_day": True}, "max_per_day"),
        ({"reboot": "yes"}, "no key 'reboot'"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(config: Path, changes: Any, words: str) -> None:
    config.write_text(json.dumps({**json.loads(EXAMPLE), **changes}))
    with pytest.raises(WatchConfigError, match=words):
        load_config(config)


def test_no_configuration_is_told_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(WatchConfigError, match="uhubctl"):
        load_config(tmp_path / "none.json")


class EnoughError(Exception):
    """Ends a watch that would go on for ever."""


def test_watching_probes_again_and_again(config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = {"probe": {"command": ["false"], "every_s": 7}, "hooks": [{"name": "switch", "command": ["true"]}]}
    config.write_text(json.dumps({**settings, "after_troubles": 2}))
    slept: List[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 4:
            raise EnoughError

    with caplog.at_level(logging.WARNING), pytest.raises(EnoughError):
        watch(config, tmp_path / "state", sleep)
    assert slept == [7.0] * 4
    assert caplog.text.count("recovery by switch: true") == 1
    assert len(json.loads((tmp_path / "state" / "runs.json").read_text())["runs"]) == 1


def test_two_watches_do_not_share_a_history(config: Path, tmp_path: Path) -> None:
    def second(seconds: float) -> None:
        with pytest.raises(WatchConfigError, match="belongs to another watch"):
            watch(config, tmp_path / "state")
        raise EnoughError

    config.write_text(json.dumps({"probe": {"command": ["true"]}, "hooks": [{"command": ["true"]}]}))
    with pytest.raises(EnoughError):
        watch(config, tmp_path / "state", second)


def test_the_command_refuses_a_bad_configuration_in_words(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.chmod(0o666)
    assert main(["watch", str(config), "--state-dir", str(tmp_path)]) == 2
    assert "can be written by others" in capsys.readouterr().err
