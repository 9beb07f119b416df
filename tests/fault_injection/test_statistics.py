"""Intervals that hold what they promise, in simulated campaigns, and the figures of textbooks."""

from __future__ import annotations

import math
from typing import List, Tuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fault_injection.precision import mean_and_half_width
from fault_injection.statistics import (
    Estimate,
    Interval,
    PatternTable,
    Shares,
    order_statistic_ranks,
    pattern_quantile,
    sample_size,
    weighted_sum,
    wilson_interval,
    worst_share_mean,
    yield_curve,
)

quantiles = st.sampled_from([0.1, 0.5, 0.9, 0.99])
CAMPAIGNS = 2000


def holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def nominal(covered: int, campaigns: int = CAMPAIGNS, low: float = 0.935, high: float = 0.975) -> bool:
    """A 95 % interval: three standard errors of 2,000 campaigns are 1.5 points; longer on the safe side."""
    return low <= covered / campaigns <= high


# --- sample sizes


@pytest.mark.parametrize(("margin", "confidence", "size"), [(0.05, 0.95, 384), (0.01, 0.99, 16_463)])
def test_sample_sizes_are_the_published_ones(margin: float, confidence: float, size: int) -> None:
    assert sample_size(2_157_776, margin, confidence) == size


@given(st.integers(1, 10**9), st.floats(0.001, 0.5), st.sampled_from([0.9, 0.95, 0.99]))
def test_a_sample_grows_with_its_population_and_never_exceeds_it(population: int, margin: float, level: float) -> None:
    size = sample_size(population, margin, level)
    assert 1 <= size <= population
    assert size <= sample_size(population + 1, margin, level)
    assert sample_size(population, margin, level, share=0.01) <= size


def test_a_sample_of_that_size_meets_its_margin() -> None:
    random = np.random.default_rng(1)
    size = sample_size(5000, 0.05, 0.95)
    hits = random.hypergeometric(2500, 2500, size, CAMPAIGNS)
    assert nominal(int((np.abs(hits / size - 0.5) <= 0.05).sum()))


@pytest.mark.parametrize("wrong", [(0, 0.05, 0.95, 0.5), (9, 0.0, 0.95, 0.5), (9, 0.1, 1.0, 0.5), (9, 0.1, 0.9, 0.0)])
def test_a_size_of_nonsense_is_refused(wrong: Tuple[int, float, float, float]) -> None:
    with pytest.raises(ValueError, match="no sample"):
        sample_size(*wrong)


# --- shares


@given(st.integers(1, 2000), st.data(), st.floats(0.5, 0.999))
def test_wilson_holds_the_share_and_stays_between_0_and_1(n: int, data: st.DataObject, confidence: float) -> None:
    hits = data.draw(st.integers(0, n))
    interval = wilson_interval(hits, n, confidence)
    assert interval is not None
    assert 0 <= interval.low <= hits / n <= interval.high <= 1


def test_wilson_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    for hits, trials, confidence in [(0, 10, 0.95), (15, 148, 0.95), (3, 384, 0.99), (50, 50, 0.9)]:
        expected = stats.binomtest(hits, trials).proportion_ci(confidence, method="wilson")
        found = wilson_interval(hits, trials, confidence)
        assert found is not None
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert wilson_interval(0, 0, 0.95) is None


def share_interval_of(values: NDArray[np.float64]) -> Interval:
    interval = Shares(float(values.mean()), float(values.var(ddof=1)), len(values)).interval(0.95)
    assert interval is not None
    return interval


def test_the_interval_of_shares_is_wilsons_for_yes_and_no_and_students_for_moderate_shares() -> None:
    answers = np.repeat([0.0, 1.0], [3600, 400])
    wilson = wilson_interval(400, 4000, 0.95)
    found = share_interval_of(answers)
    assert wilson is not None
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=1e-5)
    moderate = np.linspace(0.3, 0.7, 50)
    mean, half_width = mean_and_half_width(moderate.tolist(), 0.95)
    found = share_interval_of(moderate)
    assert (found.low, found.high) == pytest.approx((mean - half_width, mean + half_width), abs=1e-3)


def test_the_interval_of_rare_shares_covers_where_students_does_not() -> None:
    random = np.random.default_rng(2)
    covered = covered_by_t = 0
    for _ in range(CAMPAIGNS):
        # One upset in a hundred hurts, then 20 to 100 % of the images.
        shares = np.where(random.random(300) < 0.01, random.uniform(0.2, 1, 300), 0.0)
        covered += holds(share_interval_of(shares), 0.006)
        mean, half_width = mean_and_half_width(shares.tolist(), 0.95)
        covered_by_t += abs(mean - 0.006) <= half_width
    assert covered_by_t / CAMPAIGNS < 0.9
    assert nominal(covered)


def test_shares_without_spread_still_leave_doubt() -> None:
    none_hit = Shares(0.0, 0.0, 100).interval(0.95)
    all_hit = Shares(1.0, 0.0, 100).interval(0.95)
    assert none_hit is not None
    assert all_hit is not None
    assert none_hit.low == 0
    assert 0.03 < none_hit.high < 0.04
    assert (1 - all_hit.high, 1 - all_hit.low) == pytest.approx((none_hit.low, none_hit.high))
    assert Shares(0.5, 0.0, 1).interval(0.95) is None


def test_a_sample_of_everything_is_certain() -> None:
    half = Shares(0.2, 0.1, 50, population=100).interval(0.95)
    whole = Shares(0.2, 0.1, 100, population=100).interval(0.95)
    alone = Shares(0.2, 0.1, 50).interval(0.95)
    assert half is not None
    assert whole is not None
    assert alone is not None
    assert half.high - half.low < 0.75 * (alone.high - alone.low)
    assert (whole.low, whole.high) == (0.2, 0.2)


def some_strata() -> List[NDArray[np.float64]]:
    """Rates at which upsets hurt in 30 strata."""
    return [
        np.repeat([0.2, 0.03, 0.001], [2, 6, 22]),
        np.repeat([0.02, 0.0], [4, 26]),
        np.full(30, 0.001),
        np.linspace(0, 0.5, 30),
    ]


@pytest.mark.parametrize("rates", some_strata())
@pytest.mark.parametrize("largest", [3, 60])
def test_a_sum_over_strata_covers(rates: NDArray[np.float64], largest: float) -> None:
    random = np.random.default_rng(3)
    weights = random.uniform(0.2, 3, len(rates))
    weights[-1] = largest
    weights /= weights.sum()
    covered = 0
    campaigns = 600
    for hits in random.binomial(384, rates, (campaigns, len(rates))):
        found = weighted_sum([Shares.of_counts(int(hit), 384) for hit in hits], weights.tolist(), 0.95)
        assert found.interval is not None
        assert 0 <= found.interval.low <= found.value <= found.interval.high <= 1 + 1e-12
        covered += holds(found.interval, float(weights @ rates))
    # What nobody has seen can only be bounded, so that it errs on the wide side.
    assert nominal(covered, campaigns, low=0.925, high=1.0)


def test_a_sum_of_one_term_is_that_term_and_of_an_unknown_one_has_no_interval() -> None:
    known = Shares.of_counts(3, 40)
    single = known.interval(0.95)
    found = weighted_sum([known], [5.0], 0.95)
    assert single is not None
    assert found.interval is not None
    assert (found.value, found.interval.low, found.interval.high) == pytest.approx(
        (5 * known.mean, 5 * single.low, 5 * single.high)
    )
    assert weighted_sum([known, Shares.of_counts(1, 1)], [1, 1], 0.95) == Estimate(known.mean + 1, None)


# --- patterns × images


def table(answers: NDArray[np.bool_]) -> PatternTable:
    return PatternTable(answers.mean(axis=1), answers.sum(axis=0))


def test_the_margins_give_the_full_analysis_of_variance() -> None:
    random = np.random.default_rng(4)
    answers = random.random((12, 40)) < random.uniform(0.2, 0.9, 40) - random.uniform(0, 0.3, (12, 1))
    x = answers.astype(float)
    rows, columns = x.mean(axis=1, keepdims=True), x.mean(axis=0, keepdims=True)
    residual = ((x - rows - columns + x.mean()) ** 2).sum() / (11 * 39)
    found = table(answers).components()
    assert found.residual == pytest.approx(residual)
    assert found.pattern == pytest.approx(rows.var(ddof=1) - residual / 40)
    assert found.image == pytest.approx(columns.var(ddof=1) - residual / 12)


class World:
    """Answers are right with probability 0.6 plus something for the pattern and for the image."""

    def __init__(self, pattern_spread: float, image_spread: float) -> None:
        self.random = np.random.default_rng(5)
        self.spreads = pattern_spread, image_spread

    def effects(self, patterns: int, images: int) -> Tuple[NDArray[np.float64], NDArray[np.float64]]:
        of_pattern, of_image = self.spreads
        return self.random.uniform(-of_pattern, of_pattern, patterns), self.random.uniform(-of_image, of_image, images)

    def answers(self, patterns: NDArray[np.float64], images: NDArray[np.float64]) -> PatternTable:
        return table(self.random.random((len(patterns), len(images))) < 0.6 + patterns[:, None] + images)


def test_variance_components_come_back() -> None:
    world = World(0.05, 0.3)
    parts = [world.answers(*world.effects(30, 100)).components() for _ in range(400)]
    assert np.mean([part.pattern for part in parts]) == pytest.approx(0.05**2 / 3, rel=0.1)
    assert np.mean([part.image for part in parts]) == pytest.approx(0.3**2 / 3, rel=0.05)
    assert np.mean([part.residual for part in parts]) == pytest.approx(0.24 - (0.05**2 + 0.3**2) / 3, rel=0.02)


def test_each_interval_covers_what_it_is_about() -> None:
    world = World(0.1, 0.3)
    fixed_patterns, fixed_images = world.effects(15, 50)
    patterns = images = combined = patterns_for_all = images_for_all = 0
    for _ in range(CAMPAIGNS):
        new_patterns, new_images = world.effects(15, 50)
        found = world.answers(new_patterns, fixed_images)
        patterns += holds(found.pattern_interval(0.95), 0.6 + fixed_images.mean())
        found = world.answers(fixed_patterns, new_images)
        images += holds(found.image_interval(0.95), 0.6 + fixed_patterns.mean())
        found = world.answers(new_patterns, new_images)
        combined += holds(found.combined_interval(0.95), 0.6)
        patterns_for_all += holds(found.pattern_interval(0.95), 0.6)
        images_for_all += holds(found.image_interval(0.95), 0.6)
    assert nominal(patterns)
    assert nominal(images)
    assert nominal(combined)
    # Neither one alone speaks for other patterns and other images.
    assert patterns_for_all / CAMPAIGNS < 0.85
    assert images_for_all / CAMPAIGNS < 0.92


def test_the_combined_interval_covers_without_an_effect_of_patterns() -> None:
    world = World(0.0, 0.3)
    covered = sum(holds(world.answers(*world.effects(8, 60)).combined_interval(0.95), 0.6) for _ in range(CAMPAIGNS))
    assert nominal(covered, high=0.98)


def test_a_table_without_a_single_error_is_not_certain() -> None:
    found = PatternTable([1.0] * 30, [30] * 500)
    assert found.mean == 1
    assert found.image_interval(0.95).low < 0.995
    assert found.combined_interval(0.95).low < 0.9


@pytest.mark.parametrize(
    ("accuracies", "counts", "message"),
    [
        ([0.5], [1, 0], "two of each"),
        ([0.5, 0.5], [2], "two of each"),
        ([0.5, 0.5], [3, -1], "right counts"),
        ([0.5, 0.5], [2, 1], "belong together"),
    ],
)
def test_margins_of_no_table_are_refused(accuracies: List[float], counts: List[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PatternTable(accuracies, counts)


# --- tails


def coverage(n: int, quantile: float, low: int, high: int) -> float:
    """Chance that the order statistics of these ranks enclose the quantile."""
    return sum(math.comb(n, k) * quantile**k * (1 - quantile) ** (n - k) for k in range(low + 1, high + 1))


@given(st.integers(2, 300), quantiles, st.floats(0.5, 0.999))
def test_ranks_cover_at_least_as_asked(n: int, quantile: float, confidence: float) -> None:
    ranks = order_statistic_ranks(n, quantile, confidence)
    if ranks is not None:
        assert 0 <= ranks[0] < ranks[1] < n
        assert coverage(n, quantile, *ranks) >= confidence - 1e-9


@pytest.mark.parametrize("n", [301, 1000])
@pytest.mark.parametrize("quantile", [0.5, 0.9])
def test_the_approximation_covers_too(n: int, quantile: float) -> None:
    ranks = order_statistic_ranks(n, quantile, 0.95)
    assert ranks is not None
    assert 0.95 <= coverage(n, quantile, *ranks) < 0.98


@pytest.mark.parametrize(("n", "low", "high"), [(6, 0, 5), (10, 1, 8), (20, 5, 14), (50, 17, 32)])
def test_ranks_of_the_median_are_the_tabled_ones(n: int, low: int, high: int) -> None:
    # Conover, Practical Nonparametric Statistics, 1999: 95 %, ranks there count from 1.
    assert order_statistic_ranks(n, 0.5, 0.95) == (low, high)


def test_five_samples_do_not_enclose_their_median() -> None:
    assert order_statistic_ranks(5, 0.5, 0.95) is None


@pytest.mark.parametrize(("share", "least"), [(0.5, 6), (0.1, 36), (0.05, 72)])
def test_too_few_chips_have_no_quantile(share: float, least: int) -> None:
    values = np.linspace(0, 1, least)
    assert pattern_quantile(values[1:], share, 0.95) is None
    found = pattern_quantile(values, share, 0.95)
    assert found is not None
    assert found.interval is not None
    assert holds(found.interval, found.value)
    assert found.value == values[math.ceil(share * least) - 1]


def test_the_worst_chips_are_averaged_in_parts() -> None:
    values = np.random.default_rng(6).permutation(np.arange(30) / 30)
    assert worst_share_mean(values) == pytest.approx((0 + 0.5 / 30) / 1.5)
    assert worst_share_mean(values, 1.0) == pytest.approx(values.mean())
    assert worst_share_mean(values[:20]) == values[:20].min()
    assert worst_share_mean(values[:19]) is None
    assert worst_share_mean(values, 0.01) is None


def test_the_yield_curve_steps_at_the_accuracies() -> None:
    curve = yield_curve([0.9, 0.5, 0.9, 0.7], 0.95)
    assert curve.thresholds.tolist() == [0.5, 0.7, 0.9]
    assert curve.shares.tolist() == [1.0, 0.75, 0.5]
    reach = math.sqrt(math.log(40) / 8)
    assert curve.low == pytest.approx([1 - reach, 0.75 - reach, 0])
    assert curve.high == pytest.approx([1, 1, 1])


def test_the_band_holds_the_whole_yield_curve_at_once() -> None:
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(CAMPAIGNS):
        curve = yield_curve(random.random(40), 0.95)
        truth = 1 - curve.thresholds
        covered += bool((curve.low <= truth).all() and (truth <= curve.high).all())
    assert nominal(covered, high=0.99)
