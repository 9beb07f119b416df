"""Statistics of samples. Pure: no clock, no model."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Optional

import numpy as np
from numpy.typing import NDArray

from fault_injection import statistics
from protos.gauntlet.v1 import figure_pb2, measurement_pb2

_MLPERF_CONFIDENCE = 0.99
HISTOGRAM_BINS = 40

Samples = NDArray[np.float64]


def quantile_interval(ordered: Samples, quantile: float, confidence: float) -> Optional[figure_pb2.Interval]:
    """Interval of a quantile by order statistics, or None when there are too few samples.

    Args:
        ordered: sorted samples, shape (n,).
        quantile: 0-1, exclusive.
        confidence: coverage, 0-1, exclusive.
    """
    ranks = statistics.order_statistic_ranks(len(ordered), quantile, confidence)
    if ranks is None:
        return None
    return figure_pb2.Interval(
        low=float(ordered[ranks[0]]),
        high=float(ordered[ranks[1]]),
        confidence=confidence,
        method="order statistics",
    )


def median(ordered: Samples) -> float:
    """Median of sorted samples, shape (n,), n >= 1."""
    n = len(ordered)
    return float(ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2)


def median_absolute_deviation(ordered: Samples) -> float:
    """Median of |sample - median|, unscaled."""
    return median(np.sort(np.abs(ordered - median(ordered))))


def percentile(ordered: Samples, rank: float) -> float:
    """The least sample that a share `rank` (0-1) of them does not exceed: an observed value, never between two."""
    return float(ordered[max(0, math.ceil(rank * len(ordered)) - 1)])


@lru_cache(maxsize=64)
def least_samples(rank: float) -> int:
    """Samples below which a percentile says nothing, by MLPerf's early-stopping rule.

    The second largest of n samples is an upper bound of the percentile with 99 % confidence when
    P(Binomial(n, 1 - rank) <= 1) <= 0.01, that is rank^n + n (1 - rank) rank^(n-1) <= 0.01 (MLPerf Inference Rules,
    "Early Stopping"; loadgen/early_stopping.cc): 64 for p90, 130 for p95, 662 for p99.

    Args:
        rank: 0-1, exclusive; ranks below one half count from the other end.
    """
    rank = max(rank, 1 - rank)
    miss = 1 - _MLPERF_CONFIDENCE
    n = 2
    while rank**n + n * (1 - rank) * rank ** (n - 1) > miss:
        n += 1
    return n


def wilson_interval(successes: int, trials: int, confidence: float) -> Optional[figure_pb2.Interval]:
    """Wilson's score interval of a proportion as a message, or None without trials."""
    return as_message(statistics.wilson_interval(successes, trials, confidence))


def as_message(interval: Optional[statistics.Interval]) -> Optional[figure_pb2.Interval]:
    """An interval as it travels; None stays None."""
    if interval is None:
        return None
    return figure_pb2.Interval(
        low=interval.low, high=interval.high, confidence=interval.confidence, method=interval.method
    )


def histogram(ordered: Samples, bins: int = HISTOGRAM_BINS) -> measurement_pb2.Histogram:
    """Counts over equal bins from the least sample to the 99th percentile, and how many lie above."""
    low, high = float(ordered[0]), percentile(ordered, 0.99)
    if high <= low:
        # All but the last hundredth are equal: one bin holds them.
        below = int(np.searchsorted(ordered, high, side="right"))
        return measurement_pb2.Histogram(low=low, high=high, counts=[below], overflow=len(ordered) - below)
    inside = ordered[ordered <= high]
    places = np.minimum(((inside - low) / (high - low) * bins).astype(np.int64), bins - 1)
    counts = np.bincount(places, minlength=bins)
    return measurement_pb2.Histogram(
        low=low, high=high, counts=[int(c) for c in counts], overflow=len(ordered) - len(inside)
    )
