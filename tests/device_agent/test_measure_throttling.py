"""Throttling: what shows it, that noise does not, and that a device cools down and measures again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import pytest

from device_agent.measure.statistics import Samples
from device_agent.measure.throttling import Evidence, cool_down, drift_of, signs
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.boards import Clock, tree
from tests.device_agent.heat import CALL_S, DEFAULT, Board, Watched
from tests.device_agent.machines import FIRMWARE, over_current

# A device that heats up and cools


def test_a_calm_device_measures_once(tmp_path: Path) -> None:
    job = Watched(Board(tmp_path))
    job.take()
    assert (job.windows, job.steps, job.remarks, job.guard.unfit) == (1, [], [], [])


def test_a_device_that_throttled_cools_down_and_measures_again(tmp_path: Path) -> None:
    board = Board(tmp_path, heating=6.0, at_c=60.0, room_c=20.0)
    job = Watched(board, pb.ThrottleSpec(repeats=2, cool_to_c=30.0, cool_max_s=300, drift=0.03))
    timing = job.take()
    assert job.windows == 2
    assert job.guard.unfit == []
    assert float(np.median(timing.samples)) == pytest.approx(CALL_S)
    assert job.steps == [("cooling down to 30.0 °C", True)]
    assert board.slept_s > 100
    assert len(job.remarks) == 1
    assert job.remarks[0].startswith("a timed window was taken again: the processor was throttled for heat (1 events)")
    assert "a processor cooling device stepped in (state 0 to 3)" in job.remarks[0]
    assert "the clock that is allowed fell (from 1.80 to 1.20 GHz)" in job.remarks[0]
    assert "it cooled down from 98.8 to 30.0 °C in " in job.remarks[0]
    assert f" in {board.slept_s:.1f} s" in job.remarks[0]


def test_a_device_that_throttles_each_time_is_marked(tmp_path: Path) -> None:
    board = Board(tmp_path, heating=6.0, room_c=55.0)
    job = Watched(board)
    timing = job.take()
    assert job.windows == 3
    assert len(job.guard.unfit) == 1
    assert job.guard.unfit[0].startswith("the device slowed down in each of 3 windows: ")
    assert "a processor cooling device stepped in (state 0 to 3)" in job.guard.unfit[0]
    assert len(timing.samples) == 300
    # What is known to be in vain is not tried again.
    slept_s = board.slept_s
    job.take()
    assert (job.windows, board.slept_s, len(job.guard.unfit)) == (4, slept_s, 1)


def test_what_was_throttled_before_and_stays_so_is_no_news_in_the_first_window(tmp_path: Path) -> None:
    job = Watched(Board(tmp_path, room_c=75.0, slow=True))
    job.take()
    assert (job.windows, job.guard.unfit) == (1, [])


@pytest.mark.parametrize("shown", ["cooling", "limit", "clock", "count"])
def test_each_sensor_alone_shows_it(tmp_path: Path, shown: str) -> None:
    job = Watched(Board(tmp_path, [shown], heating=20.0, room_c=60.0), pb.ThrottleSpec(repeats=1))
    job.take()
    told = {
        "cooling": "a processor cooling device stepped in (state 0 to 3)",
        "limit": "the clock that is allowed fell (from 1.80 to 1.20 GHz)",
        "clock": "the clock fell under load (from 1.80 to 1.20 GHz)",
        "count": "the processor was throttled for heat (1 events)",
    }[shown]
    assert job.remarks[0] == f"a timed window was taken again: {told}; there is no temperature to cool down to"
    # Without a thermometer there is nothing to wait for.
    assert (job.windows, job.board.slept_s, job.steps) == (2, 0.0, [])


def test_clocks_of_cores_that_the_work_is_not_held_to_tell_nothing(tmp_path: Path) -> None:
    board = Board(tmp_path, ["clock"], heating=20.0, room_c=60.0)
    job = Watched(board, pb.ThrottleSpec(repeats=1), pinned=False)
    job.take()
    assert (board.slow, job.windows, job.remarks, job.guard.unfit) == (True, 1, [], [])


@pytest.mark.parametrize("shows", [["temperature"], []])
def test_where_no_sensor_tells_the_latencies_do(tmp_path: Path, shows: Sequence[str]) -> None:
    job = Watched(Board(tmp_path, shows, heating=6.0, at_c=62.0, room_c=20.0))
    job.take()
    assert "latencies rose above those of the beginning (by 50.0 %)" in job.remarks[0]
    # Without a pause the other windows are slow from end to end, and no better for that.
    assert job.guard.unfit == [
        "the device slowed down in each of 3 windows: latencies rose above those of the beginning (by 50.0 %)"
    ]


def test_without_a_policy_it_is_remarked(tmp_path: Path) -> None:
    job = Watched(Board(tmp_path, heating=20.0, room_c=60.0), spec=None)
    job.take()
    assert (job.windows, job.guard.unfit) == (1, [])
    assert len(job.remarks) == 1
    assert job.remarks[0].startswith(
        "the device slowed down in a timed window: the processor was throttled for heat (1"
    )
    assert "latencies" not in job.remarks[0]


def test_with_no_repeats_it_is_marked(tmp_path: Path) -> None:
    job = Watched(Board(tmp_path, ["count"], heating=20.0, room_c=60.0), pb.ThrottleSpec(repeats=0, drift=0.9))
    job.take()
    assert (job.windows, job.remarks) == (1, [])
    assert job.guard.unfit == [
        "the device slowed down in a timed window: the processor was throttled for heat (1 events)"
    ]


def test_a_window_is_not_taken_again_when_the_time_is_short(tmp_path: Path) -> None:
    job = Watched(Board(tmp_path, heating=20.0, room_c=60.0), work_s=15.0)
    job.take()
    assert job.windows == 1
    assert job.remarks == ["a throttled window was not taken again: too little of the time limit was left"]
    assert job.guard.unfit[0].startswith("the device slowed down in a timed window: ")


def test_cooling_down_is_no_work(tmp_path: Path) -> None:
    # 8 s of work each, and about a minute to cool down.
    board = Board(tmp_path, heating=6.0, at_c=60.0)
    job = Watched(board, work_s=20.0)
    job.take()
    assert job.windows == 2
    assert board.slept_s > 12


def test_it_cools_to_the_temperature_that_was_asked_for_or_as_long_as_was(tmp_path: Path) -> None:
    asked = pb.ThrottleSpec(repeats=1, cool_to_c=50.0, cool_max_s=30.0, drift=0.03)
    board = Board(tmp_path, heating=6.0, at_c=60.0)
    job = Watched(board, asked)
    job.take()
    assert job.steps == [("cooling down to 50.0 °C", True)]
    assert board.slept_s == pytest.approx(30.0)
    assert "in 30.0 s and did not reach 50.0 °C" in job.remarks[0]


def test_a_thermometer_that_vanishes_is_waited_for_no_longer(tmp_path: Path) -> None:
    board = Board(tmp_path, heating=6.0, at_c=60.0)
    job = Watched(board)
    board.loses = ("temperature", 3.0)
    job.take()
    assert board.slept_s < 6
    assert "then the temperature could not be read any more" in job.remarks[0]
    assert job.windows >= 2


def test_a_counter_that_vanishes_is_told(tmp_path: Path) -> None:
    board = Board(tmp_path)
    job = Watched(board)
    board.shows.remove("count")
    job.take()
    assert job.remarks == ["the throttle counter could not be read all the time: throttling may have gone unseen"]
    assert job.guard.unfit == []


def test_a_device_that_becomes_faster_had_not_settled(tmp_path: Path) -> None:
    job = Watched(Board(tmp_path, ["temperature"], at_c=72.0, slow=True))
    job.take(calls=600)
    assert (job.windows, job.guard.unfit) == (1, [])
    assert job.remarks == ["latencies fell by 33.3 % within the timing: it had not settled before"]


# Signs


def calm(**changes: object) -> Evidence:
    quiet = Evidence(
        counts=np.array([5.0, 5.0]),
        cooling=np.array([0.0, 0.0]),
        limits_hz=np.array([1.8e9, 1.8e9]),
        clocks_hz=[np.array([1.8e9, 1.8e9, 1.8e9])],
        samples=None,
    )
    return replace(quiet, **changes)  # type: ignore[arg-type]


Noise = Callable[[np.random.Generator, int], Samples]
NaN = float("nan")


@pytest.mark.parametrize(
    ("counts", "events"),
    [
        ([5, 5, 5], 0),
        ([5, 6, 9], 4),
        ([NaN, 5, NaN, 7], 2),
        ([NaN, NaN], 0),
        ([], 0),
        ([500, 0, 0], 0),  # the core was taken off and put on again
        ([500, 0, 3], 3),
        ([5, 99999, 5], 0),  # one bad reading
        ([5, 0, 5], 0),
    ],
)
def test_events_are_counted_whatever_a_counter_does(counts: List[float], events: float) -> None:
    found = signs(calm(counts=np.array(counts)), calm(), 0.03)
    assert [sign.how_far for sign in found] == ([f"{events:g} events"] if events else [])


@pytest.mark.parametrize(
    ("clocks", "fell"),
    [
        ([1.8, 1.8, 1.8], False),
        ([1.8, 1.72, 1.72], False),
        ([1.8, 1.7, 1.7], True),
        ([1.8, 1.2, 1.8], False),  # a single reading is noise
        ([1.8, 1.2, 1.2, 1.8, 1.8], True),
        ([1.8, 1.2], True),
        ([1.8, NaN, 1.2], True),
        ([1.8], False),
        ([NaN, NaN], False),
        ([], False),
        ([0.6, 1.8, 1.8], False),  # it rose
    ],
)
def test_a_clock_falls_when_it_stays_low_under_load(clocks: List[float], fell: bool) -> None:
    seen = calm(clocks_hz=[np.array(clocks) * 1e9])
    assert bool(signs(seen, seen, 0.03)) == fell


@pytest.mark.parametrize(
    ("before", "meanwhile", "told"),
    [
        ([0], [0, 0, 0], ""),
        ([0], [0, 5, 0], "under-voltage, throttled"),
        ([1], [1, 1, 5], "throttled"),  # what was up before is remarked by the preflight
        ([1], [1, NaN, 1], ""),
        ([NaN], [NaN, 8, NaN], "soft temperature limit"),
        ([], [], ""),
    ],
)
def test_flags_of_the_firmware_that_come_up_are_told(before: List[float], meanwhile: List[float], told: str) -> None:
    found = signs(calm(flags=np.array(meanwhile)), calm(flags=np.array(before)), 0.03)
    assert [sign.how_far for sign in found] == ([told] if told else [])


def test_a_board_under_voltage_measures_again_and_is_marked(tmp_path: Path) -> None:
    board = Board(tree(tmp_path, {FIRMWARE: "0"}))
    job = Watched(board)
    normal = board.invoke

    def invoke() -> None:
        normal()
        tree(tmp_path, {FIRMWARE: "50005"})

    board.invoke = invoke  # type: ignore[method-assign]
    job.take(30)
    assert job.windows == 3
    assert job.guard.unfit == [
        "the device slowed down in each of 3 windows: the firmware held the processor back (under-voltage, throttled)"
    ]


def test_over_current_protection_is_remarked_and_no_reason_to_measure_again(tmp_path: Path) -> None:
    board = Board(tree(tmp_path, over_current(4, 0)))
    job = Watched(board)
    normal = board.invoke

    def invoke() -> None:
        normal()
        tree(tmp_path, over_current(9, 2))

    board.invoke = invoke  # type: ignore[method-assign]
    job.take(30)
    assert (job.windows, job.guard.unfit) == (1, [])
    assert job.remarks == ["over-current protection lowered clocks for moments, 7 times in a timed window"]


def test_a_repeated_window_that_begins_slow_is_throttled_still() -> None:
    slow = calm(
        cooling=np.array([3.0, 3.0]),
        limits_hz=np.array([1.2e9, 1.2e9]),
        clocks_hz=[np.array([1.2e9, 1.2e9])],
    )
    assert len(signs(slow, calm(), 0.03)) == 3
    assert signs(slow, slow, 0.03) == []


def test_a_window_is_judged_by_its_own_beginning_and_by_that_of_the_first() -> None:
    random = np.random.default_rng(1)
    fast, slow = (level * (1 + 0.01 * random.standard_normal(300)) for level in (1.0, 1.2))
    rising = np.concatenate([fast[:150], slow[150:]])
    for samples, first in ((rising, slow), (slow, fast), (slow, rising)):
        found = signs(calm(samples=samples), calm(samples=first), 0.03)
        assert [sign.what for sign in found] == ["latencies rose above those of the beginning"]
    assert signs(calm(samples=fast), calm(samples=slow), 0.03) == []


# Drift


def _independent(random: np.random.Generator, n: int) -> Samples:
    return 1 + 0.05 * random.standard_normal(n)


def _heavy(random: np.random.Generator, n: int) -> Samples:
    return 1 + 0.05 * np.abs(random.standard_t(2, n))


def _dependent(random: np.random.Generator, n: int) -> Samples:
    noise, samples, level = 0.03 * random.standard_normal(n), np.empty(n), 0.0
    for place in range(n):
        level = 0.9 * level + noise[place]
        samples[place] = 1 + level
    return samples


def _bursts(random: np.random.Generator, n: int) -> Samples:
    samples = 1 + 0.01 * random.standard_normal(n)
    for begin in random.integers(0, n, 6):
        samples[begin : begin + n // 40] *= 1.5
    return samples


@pytest.mark.parametrize(
    ("noise", "n"),
    [(noise, n) for noise in (_independent, _heavy, _bursts) for n in (30, 100, 1000)]
    # Among fewer samples, noise that lasts for ten of them is drift.
    + [(_dependent, n) for n in (100, 1000)],
)
def test_noise_is_no_drift(noise: Noise, n: int) -> None:
    random = np.random.default_rng(n)
    found = sum(drift_of(noise(random, n), 0.03) != 0 for _ in range(200))
    assert found <= (6 if noise is _dependent else 1)


@pytest.mark.parametrize("n", [60, 1000, 20_000])
@pytest.mark.parametrize("shift", [-0.06, 0.06])
def test_a_drift_is_told_with_its_sign(n: int, shift: float) -> None:
    random = np.random.default_rng(n)
    ramp = np.linspace(1, 1 + 1.5 * shift, n)
    told = [drift_of(ramp * (1 + 0.01 * random.standard_normal(n)), 0.03) for _ in range(50)]
    assert np.mean(told) == pytest.approx(shift, rel=0.2)
    assert sum(value == 0 for value in told) <= 1


def test_few_samples_and_small_shifts_tell_nothing() -> None:
    assert drift_of(np.linspace(1, 2, 17), 0.03) == 0
    assert drift_of(np.linspace(1, 2, 18), 0.03) > 0.5
    assert drift_of(np.linspace(1, 1.03, 1000), 0.03) == 0
    assert drift_of(np.linspace(1, 2, 1000), 0) == 0
    assert drift_of(np.zeros(1000), 0.03) == 0
    assert drift_of(None, 0.03) == 0


# Cooling down


def cooled(readings: Iterator[Optional[float]], most_s: float = 60.0) -> Tuple[object, ...]:
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.now += seconds

    done = cool_down(lambda: next(readings), 50.0, most_s, clock, sleep)
    return done.seconds, done.from_c, done.to_c, done.reached, done.lost


def test_a_single_low_reading_is_not_believed() -> None:
    assert cooled(iter([80.0, 20.0, 79.0, 50.0, 49.0])) == (2.0, 80.0, 49.0, True, False)


def test_a_sensor_that_is_silent_now_and_then_is_waited_for() -> None:
    assert cooled(iter([80.0, None, None, 60.0, None, 50.0, 50.0])) == (3.0, 80.0, 50.0, True, False)


def test_a_sensor_that_falls_silent_ends_the_wait() -> None:
    assert cooled(iter([80.0, 70.0, None, None, None])) == (2.0, 80.0, 70.0, False, True)
    assert cooled(iter([None, None, None])) == (1.0, None, None, False, True)


def test_a_wait_ends_when_its_time_is_over() -> None:
    assert cooled(iter([80.0] * 9), most_s=3.2) == (pytest.approx(3.2), 80.0, 80.0, False, False)
    assert cooled(iter([80.0]), most_s=0.0) == (0.0, 80.0, 80.0, False, False)


def test_the_defaults_are_those_of_the_contract() -> None:
    assert (DEFAULT.repeats, DEFAULT.cool_to_c, DEFAULT.cool_max_s) == (2, 0, 120)
