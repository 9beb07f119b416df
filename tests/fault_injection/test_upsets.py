"""The time between wrong answers, by hand and against upsets that are played out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fault_injection.statistics import Shares
from fault_injection.upsets import ExposedBits, mean_time_between_wrong_answers

HOUR = 3600.0


def test_rates_are_those_of_the_textbook_units() -> None:
    # 8 Mbit at 700 FIT/Mbit: 5,600 upsets in 10^9 hours.
    memory = ExposedBits(8e6, 700, Shares.of_counts(10, 100))
    assert memory.upsets_per_s == pytest.approx(5600 / (1e9 * HOUR))
    found = mean_time_between_wrong_answers([memory], 30, HOUR, 0.95)
    # A tenth is critical; each lasts half an hour on average, at 30 answers a second.
    assert found.upsets_per_s == memory.upsets_per_s
    assert found.wrong_answers_per_s.value == pytest.approx(560 / (1e9 * HOUR) * 30 * 1800)
    assert found.time_to_first_s.value == pytest.approx(1e9 * HOUR / 560, rel=1e-4)
    assert found.time_between_s.value == pytest.approx(found.time_to_first_s.value / (30 * 1800), rel=1e-4)


def test_intervals_come_from_the_share_of_critical_upsets() -> None:
    critical = Shares.of_counts(10, 100)
    found = mean_time_between_wrong_answers([ExposedBits(1e6, 1000, critical)], 30, HOUR, 0.95)
    expected = critical.interval(0.95)
    rate, time = found.wrong_answers_per_s, found.time_between_s
    assert expected is not None
    assert rate.interval is not None
    assert time.interval is not None
    assert rate.interval.low / rate.value == pytest.approx(expected.low / 0.1)
    assert rate.interval.high / rate.value == pytest.approx(expected.high / 0.1)
    assert (time.interval.low, time.interval.high) == pytest.approx((1 / rate.interval.high, 1 / rate.interval.low))


def test_without_a_critical_upset_the_time_is_bounded_from_below() -> None:
    found = mean_time_between_wrong_answers([ExposedBits(1e6, 1000, Shares.of_counts(0, 384))], 30, HOUR, 0.95)
    assert found.time_to_first_s.value == math.inf
    assert found.time_to_first_s.interval is not None
    assert found.time_to_first_s.interval.high == math.inf
    assert 0 < found.time_to_first_s.interval.low < math.inf


def test_strata_add_up_by_their_bits_rates_and_residency() -> None:
    whole = ExposedBits(1000, 600, Shares.of_counts(20, 400), 0.5)
    parts = [
        ExposedBits(250, 600, Shares.of_counts(20, 400), 0.5),
        ExposedBits(500, 900, Shares.of_counts(20, 400), 0.5),
        ExposedBits(125, 300, Shares.of_counts(80, 400), 0.5, residency=0.0),
    ]
    one = mean_time_between_wrong_answers([whole], 10, 60, 0.95)
    many = mean_time_between_wrong_answers(parts, 10, 60, 0.95)
    assert many.harmful_upsets_per_s.value == pytest.approx(one.harmful_upsets_per_s.value)
    assert many.wrong_answers_per_s.value == pytest.approx(one.wrong_answers_per_s.value)
    assert many.upsets_per_s == pytest.approx(one.upsets_per_s * (1 + 0.125 * 0.5))


@pytest.mark.parametrize("inferences_per_s", [0.05, 5.0])
def test_the_formulas_agree_with_upsets_played_out(inferences_per_s: float) -> None:
    """Between scrubs 10 s apart, upsets come, a quarter of them are critical, and these spoil 30 % of the answers."""
    random = np.random.default_rng(11)
    scrub_s, wrong_share, per_s = 10.0, 0.3, 1e-3
    upsets = random.poisson(per_s * 4e8)
    # Each upset has its own place in its scrubbing interval: at this rate they hardly ever meet.
    critical = int(random.binomial(upsets, 0.25))
    lasting_s = random.uniform(0, scrub_s, critical)
    wrong = random.binomial(random.poisson(inferences_per_s * lasting_s), wrong_share)
    memory = ExposedBits(1e6, per_s * 1e9 * HOUR, Shares.of_counts(25, 100), wrong_share)
    found = mean_time_between_wrong_answers([memory], inferences_per_s, scrub_s, 0.95)
    assert found.upsets_per_s == pytest.approx(per_s)
    assert found.wrong_answers_per_s.value == pytest.approx(wrong.sum() / 4e8, rel=0.02)
    assert found.harmful_upsets_per_s.value == pytest.approx(np.count_nonzero(wrong) / 4e8, rel=0.02)


def test_the_time_to_the_first_wrong_answer_is_off_by_one_scrub_at_most() -> None:
    random = np.random.default_rng(12)
    per_s, scrub_s = 1e-3, 60.0
    memory = ExposedBits(1e6, per_s * 1e9 * HOUR, Shares.of_counts(50, 100), 0.2)
    expected = mean_time_between_wrong_answers([memory], 0.1, scrub_s, 0.95).time_to_first_s.value
    firsts = []
    for _ in range(1500):
        first = math.inf
        times = np.cumsum(random.exponential(1 / (per_s * 0.5), 60))
        for time in times:
            if time > first:
                break
            shown = time + random.exponential(1 / (0.1 * 0.2))
            if shown < (time // scrub_s + 1) * scrub_s:
                first = min(first, shown)
        firsts.append(first)
    standard_error = np.std(firsts) / math.sqrt(len(firsts))
    assert expected - 3 * standard_error <= np.mean(firsts) <= expected + scrub_s + 3 * standard_error
    assert 3 * standard_error < 0.1 * expected


def test_probabilities_do_not_vanish_in_short_scrubbing_intervals() -> None:
    memory = ExposedBits(1e6, 1000, Shares.of_counts(50, 100))
    for scrub_s in (1e-9, 0.9e-4, 1.1e-4):
        found = mean_time_between_wrong_answers([memory], 1.0, scrub_s, 0.95)
        assert found.harmful_upsets_per_s.value == pytest.approx(found.wrong_answers_per_s.value, rel=1e-4)


@pytest.mark.parametrize(("inferences_per_s", "scrub_s"), [(0.0, 1.0), (1.0, 0.0), (1.0, math.inf), (math.nan, 1.0)])
def test_rates_of_nothing_are_refused(inferences_per_s: float, scrub_s: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        mean_time_between_wrong_answers([ExposedBits(1, 1, Shares.of_counts(1, 2))], inferences_per_s, scrub_s, 0.95)
