"""The few statistics that the benchmarks share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_RESAMPLES = 10_000


def median(values: Sequence[float]) -> float:
    """Half of the values lie below."""
    return float(np.median(values))


def quantile(values: Sequence[float], rank: float) -> float:
    """The value below which this share (0-1) lies."""
    return float(np.quantile(values, rank))


def median_interval(values: Sequence[float], confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Bootstrap interval of the median (Efron's percentile method), seeded."""
    random = np.random.default_rng(seed)
    samples = np.asarray(values, dtype=float)
    medians = np.median(samples[random.integers(len(samples), size=(_RESAMPLES, len(samples)))], axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return float(low), float(high)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Student's interval of the mean."""
    import scipy.stats  # half a second to load

    samples = np.asarray(values, dtype=float)
    reach = scipy.stats.t.ppf((1 + confidence) / 2, len(samples) - 1) * samples.std(ddof=1) / np.sqrt(len(samples))
    return float(samples.mean() - reach), float(samples.mean() + reach)
