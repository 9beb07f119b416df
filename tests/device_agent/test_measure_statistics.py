from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.measure import statistics

times = st.lists(st.floats(1e-7, 10, allow_nan=False), min_size=1, max_size=400)


def test_too_few_samples_have_no_interval() -> None:
    assert statistics.quantile_interval(np.array([1.0]), 0.5, 0.95) is None


@given(times)
def test_figures_lie_within_the_sample(values: list[float]) -> None:
    ordered = np.sort(np.array(values))
    assert statistics.median(ordered) == pytest.approx(float(np.median(ordered)))
    assert ordered[0] <= statistics.percentile(ordered, 0.9) <= ordered[-1]
    assert statistics.percentile(ordered, 0.9) in ordered
    assert (ordered <= statistics.percentile(ordered, 0.9)).mean() >= 0.9 - 1e-12
    assert statistics.median_absolute_deviation(ordered) >= 0


@given(times)
def test_the_median_lies_in_its_interval(values: list[float]) -> None:
    ordered = np.sort(np.array(values))
    interval = statistics.quantile_interval(ordered, 0.5, 0.95)
    if interval is not None:
        assert interval.low <= statistics.median(ordered) <= interval.high


@pytest.mark.parametrize(("rank", "samples"), [(0.9, 64), (0.95, 130), (0.99, 662)])
def test_least_samples_are_mlperfs(rank: float, samples: int) -> None:
    assert statistics.least_samples(rank) == samples


def test_wilson_of_the_textbook() -> None:
    # Newcombe, Statistics in Medicine 17, 1998, table I: 15 of 148.
    interval = statistics.wilson_interval(15, 148, 0.95)
    assert interval is not None
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.0624, 0.1605)
    assert statistics.wilson_interval(0, 0, 0.95) is None


@given(times)
def test_a_histogram_counts_every_sample_once(values: list[float]) -> None:
    ordered = np.sort(np.array(values))
    histogram = statistics.histogram(ordered)
    assert sum(histogram.counts) + histogram.overflow == len(values)
    assert histogram.low == ordered[0]
    assert histogram.overflow <= 0.01 * len(values)
