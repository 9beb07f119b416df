"""Intervals of samples that may depend on the ones before them.

A burst in the background or a clock that drifts slows many samples in a row down: they say less than as many
independent ones, and order statistics, which count them all, miss the true median far too often. So the samples are cut
into blocks of consecutive ones, and it is the blocks that are drawn with replacement (Künsch, "The jackknife and the
bootstrap for general stationary observations", Ann. Stat. 17, 1989; the limits are Efron's percentiles):

    time ──▶ │ block 1 │ block 2 │ block 3 │ … │ block 64 │
    resample:    ×2        ×0        ×1      …      ×1         weights that sum up to the number of blocks

Up to 64 samples are a block each, which is the ordinary bootstrap. Of first-order autoregressive samples with a
correlation of 0.9 between neighbours, 95 % intervals held the true median in 92 % of the simulations at 3,000 samples
and in 83 % at 1,000, order statistics in 42 % (see tests/device_agent/test_measure_bootstrap.py).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Callable, Optional

import numpy as np
from numpy.typing import NDArray

from device_agent.measure.statistics import Samples, median, percentile
from protos.gauntlet.v1 import figure_pb2

METHOD = "block bootstrap"
LEAST_SAMPLES = 6

_MOST_BLOCKS = 64
_RESAMPLES = 1000
_SEED = 1979

_Reached = Callable[[Samples, Samples], NDArray[np.bool_]]


class Bootstrap:
    """Resampling of one series. The draws are the same each time: equal samples have equal intervals.

    No sample is ever copied. A resample is a vector of weights of the blocks, and how many samples up to some rank it
    holds follows from how many of them lie in each block; the rank sought is found by bisection, so that a quantile of
    100,000 samples takes about as long as a fifth of sorting them.

    Args:
        samples: in the order taken, shape (n,), n >= 1.
    """

    def __init__(self, samples: Samples) -> None:
        order = np.argsort(samples)
        #: Sorted samples, shape (n,).
        self.ordered: Samples = samples[order]
        self._count = min(len(samples), _MOST_BLOCKS)
        # Of each rank. Lengths differ by one at most; sums over resamples are weighted with them.
        self._block = order * self._count // len(samples)

    def quantile_interval(self, quantile: float, confidence: float) -> Optional[figure_pb2.Interval]:
        """Interval of a quantile, or None for fewer than 6 samples.

        Args:
            quantile: 0-1, exclusive.
            confidence: coverage, 0-1, exclusive.
        """
        if len(self.ordered) < LEAST_SAMPLES:
            return None
        tail = (1 - confidence) / 2
        # Where a quantile lies between two samples, each end takes the outer one.
        return figure_pb2.Interval(
            low=self._limit(quantile, tail, np.greater_equal),
            high=self._limit(quantile, 1 - tail, np.greater),
            confidence=confidence,
            method=METHOD,
        )

    def mean_interval(self, confidence: float) -> Optional[figure_pb2.Interval]:
        """Interval of the mean, or None for fewer than 6 samples."""
        if len(self.ordered) < LEAST_SAMPLES:
            return None
        drawn = _weights(self._count)
        sums = np.bincount(self._block, weights=self.ordered)
        means = np.sort(drawn @ sums / (drawn @ self._sizes(len(self.ordered))))
        tail = (1 - confidence) / 2
        return figure_pb2.Interval(
            low=percentile(means, tail), high=percentile(means, 1 - tail), confidence=confidence, method=METHOD
        )

    def relative_half_width(self, confidence: float) -> float:
        """Half the width of the median's interval over the median; infinite when there is no interval."""
        interval = self.quantile_interval(0.5, confidence)
        middle = median(self.ordered)
        if interval is None or middle <= 0:
            return math.inf
        return (interval.high - interval.low) / 2 / middle

    def _limit(self, quantile: float, share: float, reached: _Reached) -> float:
        """The least sample that a `share` of the resamples' quantiles do not exceed."""
        drawn = _weights(self._count)
        wanted = quantile * (drawn @ self._sizes(len(self.ordered)))
        below, low, high = np.zeros(self._count), 0, len(self.ordered)
        while high - low > 1:
            middle = (low + high) // 2
            counts = below + self._sizes(middle, low)
            if np.count_nonzero(reached(drawn @ counts, wanted)) >= share * _RESAMPLES:
                high = middle
            else:
                low, below = middle, counts
        return float(self.ordered[high - 1])

    def _sizes(self, end: int, begin: int = 0) -> Samples:
        """How many of the ranks from `begin` up to `end` lie in each block, shape (blocks,)."""
        sizes: Samples = np.bincount(self._block[begin:end], minlength=self._count).astype(np.float64)
        return sizes


@lru_cache(maxsize=4)
def _weights(blocks: int) -> Samples:
    """How often each resample draws each block, shape (resamples, blocks)."""
    chances = np.full(blocks, 1 / blocks)
    return np.random.default_rng(_SEED).multinomial(blocks, chances, _RESAMPLES).astype(np.float64)
