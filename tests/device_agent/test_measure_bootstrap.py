"""Intervals that hold the truth as often as they say, also where samples depend on the ones before them."""

from __future__ import annotations

import math
from typing import Callable, Dict, List, Tuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from device_agent.measure import bootstrap, statistics
from device_agent.measure.bootstrap import Bootstrap

Series = NDArray[np.float64]

times = st.lists(st.floats(1e-7, 10, allow_nan=False), min_size=6, max_size=400)


def autoregressive(random: np.random.Generator, shape: Tuple[int, int], correlation: float) -> Series:
    """Normal samples along the second axis; each keeps this share of the one before it."""
    noise = random.standard_normal(shape)
    for n in range(1, shape[1]):
        noise[:, n] = correlation * noise[:, n - 1] + math.sqrt(1 - correlation**2) * noise[:, n]
    return noise


DRAWS: Dict[str, Callable[[np.random.Generator, Tuple[int, int]], Series]] = {
    "normal": lambda random, shape: random.standard_normal(shape),
    "heavy tails": lambda random, shape: random.standard_t(2, shape),
    "correlated 0.5": lambda random, shape: autoregressive(random, shape, 0.5),
    "correlated 0.9": lambda random, shape: autoregressive(random, shape, 0.9),
}


def coverages(draw: str, samples: int, quantile: float = 0.5, truth: float = 0.0) -> Tuple[float, float, float]:
    """How often 95 % intervals hold the truth: the bootstrap's, order statistics', and the ratio of their widths."""
    series = DRAWS[draw](np.random.default_rng(20_11), (300, samples))
    held, widths = np.zeros(2), np.zeros(2)
    for values in series:
        resampled = Bootstrap(values)
        pair = (
            resampled.quantile_interval(quantile, 0.95),
            statistics.quantile_interval(resampled.ordered, quantile, 0.95),
        )
        for which, interval in enumerate(pair):
            assert interval is not None
            held[which] += interval.low <= truth <= interval.high
            widths[which] += interval.high - interval.low
    return float(held[0]) / len(series), float(held[1]) / len(series), float(widths[0] / widths[1])


@pytest.mark.parametrize(
    ("draw", "samples", "least"),
    [
        ("normal", 10, 0.93),
        ("normal", 50, 0.93),
        ("normal", 1000, 0.92),
        ("heavy tails", 50, 0.93),
        ("heavy tails", 1000, 0.92),
        ("correlated 0.5", 1000, 0.9),
        ("correlated 0.9", 3000, 0.89),
    ],
)
def test_intervals_of_the_median_hold_it_as_often_as_they_say(draw: str, samples: int, least: float) -> None:
    assert least <= coverages(draw, samples)[0] <= 0.99


def test_order_statistics_would_not_do() -> None:
    assert coverages("correlated 0.5", 1000)[1] < 0.88
    assert coverages("correlated 0.9", 3000)[1] < 0.5


@pytest.mark.parametrize("samples", [30, 100, 1000])
def test_independent_samples_pay_nothing_for_it(samples: int) -> None:
    assert 0.9 <= coverages("normal", samples)[2] <= 1.02


def test_a_percentile_is_held_too() -> None:
    assert 0.9 <= coverages("normal", 1000, 0.9, 1.2816)[0] <= 0.99


def test_intervals_of_the_mean_hold_it_as_often_as_they_say() -> None:
    series = DRAWS["correlated 0.9"](np.random.default_rng(4), (300, 3000))
    intervals = [Bootstrap(values).mean_interval(0.95) for values in series]
    assert 0.89 <= np.mean([i is not None and i.low <= 0 <= i.high for i in intervals]) <= 0.99


@pytest.mark.parametrize("samples", [6, 7, 64, 65, 150])
@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_it_is_what_resampling_the_samples_gives(samples: int, quantile: float) -> None:
    values = np.random.default_rng(samples).integers(0, 40, samples).astype(np.float64)
    interval = Bootstrap(values).quantile_interval(quantile, 0.9)
    assert interval is not None
    count = min(samples, 64)
    blocks = [values[[n for n in range(samples) if n * count // samples == block]] for block in range(count)]
    assert {len(block) for block in blocks} <= {samples // count, samples // count + 1}
    lower: List[float] = []
    upper: List[float] = []
    for weights in bootstrap._weights(count):
        drawn = np.sort(np.concatenate([np.tile(b, int(w)) for b, w in zip(blocks, weights)]))
        wanted = quantile * len(drawn)
        lower.append(drawn[max(0, math.ceil(wanted) - 1)])
        upper.append(drawn[min(len(drawn) - 1, math.floor(wanted))])
    assert interval.low == sorted(lower)[49]
    assert interval.high == sorted(upper)[949]
    assert interval.method == "block bootstrap"


@given(times)
def test_the_median_lies_in_its_interval_and_equal_samples_have_equal_intervals(values: List[float]) -> None:
    samples = np.array(values)
    interval = Bootstrap(samples).quantile_interval(0.5, 0.95)
    assert interval is not None
    assert interval.low <= statistics.median(np.sort(samples)) <= interval.high
    assert interval == Bootstrap(samples.copy()).quantile_interval(0.5, 0.95)


def test_too_few_samples_have_no_interval() -> None:
    few = Bootstrap(np.arange(1.0, 6.0))
    assert few.quantile_interval(0.5, 0.95) is None
    assert few.mean_interval(0.95) is None
    assert math.isinf(few.relative_half_width(0.95))


def test_equal_samples_have_no_width() -> None:
    assert Bootstrap(np.full(1000, 3e-4)).relative_half_width(0.95) == 0


def test_the_half_width_is_relative_to_the_median() -> None:
    samples = np.random.default_rng(0).normal(10, 1, 400)
    resampled = Bootstrap(samples)
    interval = resampled.quantile_interval(0.5, 0.95)
    assert interval is not None
    expected = (interval.high - interval.low) / 2 / float(np.median(samples))
    assert resampled.relative_half_width(0.95) == pytest.approx(expected)
