"""When a device is what it was, and whose results are suspect when it is not."""

from __future__ import annotations

from typing import List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.fitness.rules import TOLERANCE, Baseline, Judgement, doubtful, judge
from protos.gauntlet.v1.fitness_pb2 import (
    FITNESS_VERDICT_BASELINE,
    FITNESS_VERDICT_GOOD,
    FITNESS_VERDICT_SHIFTED,
)

NOW = "2026-01-02T03:04:05+00:00"


def judged(*levels_s: float, unchecked: bool = True) -> Judgement:
    """The last of a row of checks."""
    baseline: Optional[Baseline] = None
    for level_s in levels_s:
        judgement = judge(level_s, baseline, NOW, unchecked)
        baseline = judgement.baseline
    return judgement


def test_the_first_check_is_the_baseline() -> None:
    judgement = judged(1.0)
    assert judgement.verdict == FITNESS_VERDICT_BASELINE
    assert judgement.expected_s is None
    assert not judgement.suspect


@pytest.mark.parametrize("level_s", [0.971, 1.0, 1.029])
def test_within_three_percent_is_good(level_s: float) -> None:
    assert judged(1.0, level_s).verdict == FITNESS_VERDICT_GOOD


@pytest.mark.parametrize(("level_s", "words"), [(1.052, "5.2 % longer"), (0.9, "10.0 % less")])
def test_farther_off_either_way_is_a_shift_and_says_so(level_s: float, words: str) -> None:
    judgement = judged(1.0, level_s)
    assert judgement.verdict == FITNESS_VERDICT_SHIFTED
    assert judgement.suspect
    assert words in judgement.reason


def test_a_device_that_is_back_is_good_and_expects_what_it_did() -> None:
    judgement = judged(1.0, 1.1, 1.01, unchecked=False)
    assert judgement.verdict == FITNESS_VERDICT_GOOD
    assert judgement.expected_s == 1.0


def test_what_finished_between_a_shift_and_the_way_back_is_suspect() -> None:
    judgement = judged(1.0, 1.1, 1.0)
    assert (judgement.verdict, judgement.suspect) == (FITNESS_VERDICT_SHIFTED, True)
    assert "9.1 % less than at the last check" in judgement.reason
    assert judge(1.0, judgement.baseline, NOW, True).verdict == FITNESS_VERDICT_GOOD


def test_a_shift_that_stays_is_the_new_baseline() -> None:
    judgement = judged(1.0, 1.1, 1.11)
    assert judgement.verdict == FITNESS_VERDICT_BASELINE
    assert not judgement.suspect
    assert "again so" in judgement.reason
    assert judge(1.1, judgement.baseline, NOW, True).verdict == FITNESS_VERDICT_GOOD


def test_a_slow_drift_is_told_once_it_is_large() -> None:
    levels = [1 + 0.004 * step for step in range(20)]
    verdicts = [judged(*levels[: n + 1]).verdict for n in range(9)]
    assert verdicts == [FITNESS_VERDICT_BASELINE, *[FITNESS_VERDICT_GOOD] * 7, FITNESS_VERDICT_SHIFTED]
    assert "bit by bit" in judged(*levels[:9]).reason


def test_one_odd_check_does_not_move_what_is_expected() -> None:
    assert judged(1.0, 1.0, 1.0, 1.029, 1.0).expected_s == 1.0


def test_only_what_is_off_needs_more_processes() -> None:
    assert doubtful(1.0, None)
    baseline = judged(1.0).baseline
    assert not doubtful(1.02, baseline)
    assert doubtful(1.04, baseline)


levels = st.one_of(st.floats(0.9, 1.15), st.sampled_from([1.0, 1.02, 1.04, 1.1]))
lives = st.lists(st.tuples(levels, st.integers(0, 2)), min_size=1, max_size=30)


@given(lives)
def test_what_is_trusted_lies_between_checks_that_agree(life: List[Tuple[float, int]]) -> None:
    baseline: Optional[Baseline] = None
    before_s: Optional[float] = None
    for level_s, finished in life:
        judgement = judge(level_s, baseline, NOW, finished > 0)
        if before_s is not None and finished and not judgement.suspect:
            # Both lie within 3 % of one level.
            assert level_s / before_s * (1 + 1e-9) >= (1 - TOLERANCE) / (1 + TOLERANCE)
            assert level_s / before_s <= (1 + TOLERANCE) / (1 - TOLERANCE) * (1 + 1e-9)
        baseline, before_s = judgement.baseline, level_s


@given(lives)
def test_good_checks_never_wander_from_the_baseline(life: List[Tuple[float, int]]) -> None:
    baseline: Optional[Baseline] = None
    for level_s, finished in life:
        judgement = judge(level_s, baseline, NOW, finished > 0)
        baseline = judgement.baseline
        assert judgement.suspect == (judgement.verdict == FITNESS_VERDICT_SHIFTED)
        assert all(abs(recent_s / baseline.first_s - 1) <= TOLERANCE for recent_s in baseline.recent_s)
        assert len(baseline.recent_s) <= 5


@given(lives, levels)
def test_a_steady_device_is_never_shifted_for_long(life: List[Tuple[float, int]], level_s: float) -> None:
    baseline = judged(*[level for level, _ in life]).baseline
    first = judge(level_s, baseline, NOW, True)
    second = judge(level_s, first.baseline, NOW, True)
    assert second.verdict in (FITNESS_VERDICT_GOOD, FITNESS_VERDICT_BASELINE)
    assert not second.suspect
    assert judge(level_s, second.baseline, NOW, True).verdict == FITNESS_VERDICT_GOOD
