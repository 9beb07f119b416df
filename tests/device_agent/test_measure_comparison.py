"""Blocks on a made-up clock, and what is concluded from made-up processes: nothing here takes time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import numpy as np
import pytest
from numpy.typing import NDArray

from device_agent.measure import comparison, processes, verdict
from device_agent.measure.comparison import Contender
from protos import figures
from protos.gauntlet.v1 import measurement_pb2 as pb

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]


def spec(**changes: float) -> pb.ComparisonSpec:
    asked = pb.ComparisonSpec(
        processes=6,
        max_processes=15,
        min_segment_s=0.005,
        min_segment_samples=5,
        min_sample_s=1e-4,
        min_blocks=20,
        max_blocks=500,
        max_s=100,
        half_width=0.01,
        confidence=0.95,
        warmup_min_runs=10,
        warmup_min_s=0.05,
        warmup_max_s=0.5,
        warmup_tolerance=0.02,
    )
    for name, value in changes.items():
        setattr(asked, name, value)
    return asked


class Machine:
    """Two models on one clock.

    Args:
        a_ns, b_ns: what a call takes, given the time and a generator.
        switch_ns: what the first call after the other model takes beyond that.
    """

    def __init__(
        self,
        a_ns: Callable[[int, np.random.Generator], float],
        b_ns: Callable[[int, np.random.Generator], float],
        switch_ns: float = 0.0,
    ) -> None:
        self.now = 0
        self.calls: List[str] = []
        self._models = {"A": a_ns, "B": b_ns}
        self._switch_ns = switch_ns
        self._random = np.random.default_rng(5)

    def clock(self) -> int:
        return self.now

    def call(self, letter: str) -> None:
        cold = bool(self.calls) and self.calls[-1] != letter
        self.calls.append(letter)
        self.now += int(self._models[letter](self.now, self._random) + cold * self._switch_ns)

    def contenders(self, asked: pb.ComparisonSpec) -> Tuple[Contender, Contender]:
        a, b = (
            comparison.warm_up(lambda letter=letter: self.call(letter), asked, self.clock)  # type: ignore[misc]
            for letter in "AB"
        )
        self.calls.clear()
        return a, b


def steady(ns: float, noise: float = 0.0) -> Callable[[int, np.random.Generator], float]:
    return lambda now, random: ns * (1 + noise * random.standard_normal())


def series(machine: Machine, asked: pb.ComparisonSpec, b_first: bool = False) -> comparison.Series:
    return comparison.interleave(machine.contenders(asked), asked, b_first, machine.clock)


@pytest.mark.parametrize(("b_first", "order"), [(False, "ABBAABBA"), (True, "BAABBAAB")])
def test_blocks_are_taken_in_turn(b_first: bool, order: str) -> None:
    machine = Machine(steady(1e6), steady(2e6))
    asked = spec(min_blocks=2, max_blocks=2)
    taken = series(machine, asked, b_first)
    # A segment: 5 ms, at least 5 samples, and the call that is not counted.
    expected = "".join({"A": "A" * 6, "B": "B" * 6}[letter] for letter in order)
    assert "".join(machine.calls) == expected
    assert taken.segments_s.tolist() == [[0.001, 0.001, 0.002, 0.002]] * 2
    assert np.exp(taken.log_ratios) == pytest.approx([2, 2])
    assert taken.stop == pb.STOP_REASON_MAX_SAMPLES


def test_fast_models_are_called_several_times_a_sample_and_fill_their_segments() -> None:
    machine = Machine(steady(10_000), steady(20_000_000))
    a, b = machine.contenders(spec())
    assert (a.calls, a.samples) == (10, 50)
    assert (b.calls, b.samples) == (1, 5)


def test_the_call_after_the_other_model_is_not_counted() -> None:
    machine = Machine(steady(1e6), steady(1e6), switch_ns=5e5)
    assert np.exp(series(machine, spec(max_blocks=20)).log_ratios) == pytest.approx(np.ones(20))


def test_a_drift_linear_in_time_drops_out() -> None:
    # 30 % slower within a second: one model after the other would be told apart.
    def drifting(now: int, _random: np.random.Generator) -> float:
        return 1e6 * (1 + 0.3 * now / 1e9)

    ratios = np.exp(series(Machine(drifting, drifting), spec(max_blocks=40, min_blocks=40)).log_ratios)
    assert len(ratios) == 40
    assert np.abs(ratios - 1).max() < 1e-3


def test_disturbances_of_some_samples_and_of_some_blocks_do_not_move_the_ratio(tmp_path: Path) -> None:
    def disturbed(now: int, random: np.random.Generator) -> float:
        burst = 4.0 if (now // 200_000_000) % 5 == 0 else 1.0
        return float(1e6 * burst * (1 + 0.005 * random.standard_normal()) + 2e7 * (random.random() < 0.02))

    asked = spec(half_width=0.002)
    machine = Machine(disturbed, lambda now, random: 1.03 * disturbed(now, random))
    pair = machine.contenders(asked)
    run = comparison.summarise(comparison.interleave(pair, asked, False, machine.clock), pair, asked, False, tmp_path)
    assert run.ratio.estimate.value == pytest.approx(1.03, abs=0.004)
    assert run.ratio.estimate.interval.low < 1.03 < run.ratio.estimate.interval.high


def test_a_process_ends_only_at_a_planned_look() -> None:
    machines = [Machine(steady(1e6), steady(1e6, noise)) for noise in (0, 0.01, 0.05, 0.3)]
    counts = {len(series(machine, spec()).segments_s) for machine in machines}
    assert counts <= {20, 30, 45, 68, 102, 153, 230, 345, 500}
    assert len(counts) > 2


def test_a_process_ends_at_its_cap_of_time() -> None:
    taken = series(Machine(steady(1e6), steady(1e6, 0.3)), spec(max_s=0.1))
    assert taken.stop == pb.STOP_REASON_MAX_TIME
    assert 1 <= len(taken.segments_s) < 20


def test_steins_rule_on_a_worked_example() -> None:
    # s = 0.01 of three, t = 4.303: (4.303 × 0.01 / 0.01)² = 18.5.
    asked = spec(processes=3, max_processes=50, half_width=0.01)
    assert processes.processes_needed([-0.01, 0.0, 0.01], asked) == 19
    assert processes.processes_needed([-0.01, 0.0, 0.01], spec(processes=3, max_processes=10)) == 10
    assert processes.processes_needed([0.02, 0.02, 0.02], asked) == 3


#: How the ratio of a process may scatter.
DRAWS: Dict[str, Draw] = {
    "quiet": lambda random, n: random.normal(0, 0.003, n),
    "normal": lambda random, n: random.normal(0, 0.008, n),
    "wide": lambda random, n: random.normal(0, 0.02, n),
    "heavy tails": lambda random, n: 0.005 * random.standard_t(3, n),
    "some far off": lambda random, n: (
        random.normal(0, 0.003, n) + (random.random(n) < 0.15) * random.normal(0, 0.05, n)
    ),
}


def verdicts(draw: str, true: float, count: int = 2000) -> Tuple[float, float]:
    """How often the interval misses the truth, and how often B is called slower."""
    random = np.random.default_rng(20_11)
    asked = spec()
    missed = slower = 0
    for _ in range(count):
        logs = list(true + DRAWS[draw](random, 15))
        runs = [pb.ComparisonRun(ratio=figures.measured(math.exp(x)), median_a_s=1, median_b_s=1) for x in logs]
        needed = processes.processes_needed(logs[:6], asked)
        found = verdict.conclude(runs[:needed], asked, same_model=False)
        interval = found.ratio.estimate.interval
        missed += not interval.low <= math.exp(true) <= interval.high
        slower += found.verdict == pb.COMPARISON_VERDICT_SLOWER
    return missed / count, slower / count


@pytest.mark.parametrize("draw", DRAWS)
def test_intervals_hold_the_truth_as_often_as_they_say_however_many_processes_there_were(draw: str) -> None:
    missed, slower = verdicts(draw, 0.0)
    assert missed <= 0.065
    assert slower <= 0.035  # half of the errors


@pytest.mark.parametrize(
    ("draw", "least"), [("quiet", 0.999), ("normal", 0.99), ("heavy tails", 0.98), ("some far off", 0.9)]
)
def test_three_percent_are_found(draw: str, least: float) -> None:
    missed, slower = verdicts(draw, math.log(1.03))
    assert missed <= 0.065
    assert slower >= least


def test_blocks_of_one_process_would_not_do() -> None:
    # The reason for several processes: 60 blocks, 0.4 % between processes, 0.5 % between blocks.
    random = np.random.default_rng(3)
    wrong = 0
    for _ in range(500):
        blocks = np.sort(random.normal(0, 0.004) + random.normal(0, 0.005, 60))
        interval = comparison.statistics.quantile_interval(blocks, 0.5, 0.95)
        assert interval is not None
        wrong += not interval.low <= 0 <= interval.high
    assert wrong / 500 > 0.4


@pytest.mark.parametrize(
    ("log_ratio", "half_width", "floor", "expected"),
    [
        (0.02, 0.01, None, pb.COMPARISON_VERDICT_SLOWER),
        (-0.02, 0.01, None, pb.COMPARISON_VERDICT_FASTER),
        (0.02, 0.03, None, pb.COMPARISON_VERDICT_INDISTINGUISHABLE),
        (0.02, 0.01, 0.025, pb.COMPARISON_VERDICT_INDISTINGUISHABLE),
        (-0.02, 0.01, 0.025, pb.COMPARISON_VERDICT_INDISTINGUISHABLE),
        (0.02, 0.01, 0.015, pb.COMPARISON_VERDICT_SLOWER),
        (0.0, 0.0, None, pb.COMPARISON_VERDICT_INDISTINGUISHABLE),
    ],
)
def test_a_difference_counts_outside_of_interval_and_noise_floor(
    log_ratio: float, half_width: float, floor: float, expected: int
) -> None:
    assert verdict.judge(log_ratio, half_width, floor) == expected


def test_a_model_compared_with_itself_gives_the_noise_floor() -> None:
    logs = [-0.004, 0.002, 0.001, -0.002, 0.003, -0.001]
    runs = [pb.ComparisonRun(ratio=figures.measured(math.exp(x)), median_a_s=1e-3, median_b_s=1e-3) for x in logs]
    found = verdict.conclude(runs, spec(), same_model=True)
    interval = found.ratio.estimate.interval
    expected = max(interval.high, 1 / interval.low) - 1
    assert figures.value_of(found.measured_noise_floor) == pytest.approx(expected)
    assert found.noise_floor.unavailable
    other = verdict.conclude(runs, spec(noise_floor=0.004), same_model=False)
    assert not other.HasField("measured_noise_floor")
    assert figures.value_of(other.noise_floor) == pytest.approx(0.004)
