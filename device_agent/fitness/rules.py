"""What a measurement of the reference model says about the device. Pure: no clock, no file, no model.

    first ──▶ BASELINE ──within 3 %──▶ GOOD ⟲            what finished since the last check is trusted
                 ▲                      │ ▲
                 │             over 3 % │ │ back
          at that level again           ▼ │
                 └────────────────── SHIFTED ⟲ other level  what finished since the last check is suspect

A result is trusted when the checks before and after it agree. So what finished *after* a shifted check is suspect, too,
unless the next check finds the device where that one left it; agents check again before they measure (see `care`).

Expected is the median of the last five good checks: a single one is off by the 0.3-0.6 % by which a process's place in
memory moves it. They must not wander, though: a check farther than 3 % from the *first* level is a shift as well, so
that a slow drift is told when it has become as large as a fast one.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import Optional, Tuple

from protos.gauntlet.v1 import fitness_pb2

#: Largest shift of a device that is fit.
TOLERANCE = 0.03
#: Fresh processes whose median counts once a single one has raised a doubt.
PROCESSES = 3
_RECENT = 5


@dataclass(frozen=True)
class Baseline:
    """What the reference model took on a device, in seconds a call.

    Attributes:
        first_s: at the check that began this baseline.
        since: when that was: UTC, RFC 3339.
        recent_s: at the last good checks, the newest last; at least one, at most five.
        shifted_s: at the last check, if it was a shifted one.
    """

    first_s: float
    since: str
    recent_s: Tuple[float, ...]
    shifted_s: Optional[float] = None

    @property
    def expected_s(self) -> float:
        """Median of the last good checks."""
        return statistics.median(self.recent_s)


@dataclass(frozen=True)
class Judgement:
    """What a check says.

    Attributes:
        verdict: good, shifted or baseline.
        baseline: what the next check is to be judged by.
        expected_s: what it was compared with; None: there was nothing.
        reason: in words.
        suspect: is what finished since the last check suspect?
    """

    verdict: fitness_pb2.FitnessVerdict
    baseline: Baseline
    expected_s: Optional[float]
    reason: str
    suspect: bool


def doubtful(level_s: float, baseline: Optional[Baseline]) -> bool:
    """Does a level found in one process need the median of several, before anything is concluded from it?"""
    return baseline is None or _departed_from(level_s, baseline) is not None


def judge(level_s: float, baseline: Optional[Baseline], now: str, unchecked: bool) -> Judgement:
    """Judge a check.

    Args:
        level_s: of the reference model, > 0: the median over processes where `doubtful` asks for several.
        baseline: by which to judge; None at the first check.
        now: UTC, RFC 3339.
        unchecked: has anything finished since the last check?
    """
    if baseline is None:
        first = Baseline(level_s, now, (level_s,))
        reason = "the first check under these conditions: later ones are compared with it"
        return Judgement(fitness_pb2.FITNESS_VERDICT_BASELINE, first, None, reason, False)
    departed = _departed_from(level_s, baseline)
    if departed is None:
        return _judge_good(level_s, baseline, unchecked)
    expected_s, than = departed
    if baseline.shifted_s is not None and _agree(level_s, baseline.shifted_s):
        reason = f"{_change(level_s, expected_s)} than {than}, and again so: from now on this is what is expected"
        return Judgement(
            fitness_pb2.FITNESS_VERDICT_BASELINE, Baseline(level_s, now, (level_s,)), expected_s, reason, False
        )
    return Judgement(
        fitness_pb2.FITNESS_VERDICT_SHIFTED,
        replace(baseline, shifted_s=level_s),
        expected_s,
        f"{_change(level_s, expected_s)} than {than}",
        True,
    )


def _judge_good(level_s: float, baseline: Baseline, unchecked: bool) -> Judgement:
    good = replace(baseline, recent_s=(*baseline.recent_s, level_s)[-_RECENT:], shifted_s=None)
    if baseline.shifted_s is not None and unchecked and not _agree(level_s, baseline.shifted_s):
        reason = f"{_change(level_s, baseline.shifted_s)} than at the last check: back where it was before"
        return Judgement(fitness_pb2.FITNESS_VERDICT_SHIFTED, good, baseline.shifted_s, reason, True)
    reason = f"{_change(level_s, baseline.expected_s)} than at the last good checks"
    return Judgement(fitness_pb2.FITNESS_VERDICT_GOOD, good, baseline.expected_s, reason, False)


def _departed_from(level_s: float, baseline: Baseline) -> Optional[Tuple[float, str]]:
    """What a level is too far from, and its name; None when it is near everything."""
    if not _agree(level_s, baseline.expected_s):
        return baseline.expected_s, "at the last good checks"
    if not _agree(level_s, baseline.first_s):
        return baseline.first_s, f"when the baseline was taken ({baseline.since[:10]}), bit by bit"
    return None


def _agree(one_s: float, other_s: float) -> bool:
    return abs(one_s / other_s - 1) <= TOLERANCE


def _change(level_s: float, expected_s: float) -> str:
    shift = level_s / expected_s - 1
    return f"the reference model took {100 * abs(shift):.1f} % {'longer' if shift > 0 else 'less'}"
