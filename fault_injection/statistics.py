"""What a fault campaign may conclude: sample sizes, intervals, accuracy over patterns × images, tails and yield.

One accuracy has two uncertainties, which are reported apart:

                 image 1 … N            accuracies of the patterns: their spread is the faults'
    pattern 1    1 0 1 1 … 1   → 0.81 ┐
       …                              ├ pattern interval: other fault patterns, these images
    pattern S    1 0 0 1 … 1   → 0.77 ┘
                 ↓ ↓ ↓ ↓   ↓
    right counts S 0 3 S … S     image interval: other images, these fault patterns
                                 combined interval: other patterns and other images
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Optional, Sequence, Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fault_injection.precision import mean_and_half_width, student_t_quantile

#: Sizes up to which ranks are computed from the binomial distribution itself.
_EXACT_UP_TO = 300
#: More degrees of freedom change t by less than a thousandth, and cost time.
_MOST_DEGREES = 2000
#: Below 20 patterns, the worst 5 % are less than one of them.
_LEAST_FOR_TAIL = 20

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: in the unit of what it encloses, at most `high`.
        high: likewise.
        confidence: 0-1, exclusive.
        method: in words.
    """

    low: float
    high: float
    confidence: float
    method: str


@dataclass(frozen=True)
class Estimate:
    """A value and how sure it is; the interval is None where the sample is too small for one."""

    value: float
    interval: Optional[Interval]


def sample_size(population: int, margin: float, confidence: float, share: float = 0.5) -> int:
    """Faults to draw from a finite population so that a rate is known within a margin (one draw for each stratum).

    n = N / (1 + e² (N - 1) / (t² p (1 - p))) (Leveugle et al., "Statistical fault injection: quantified error and
    confidence", DATE 2009, equation 1). Published sizes come from t with three decimals, as tables print it, and are
    rounded to the nearest: 384 and 16,463 of 2,157,776 bits at 5 %/95 % and 1 %/99 %. With the exact t, rounded up,
    these would be 385 and 16,461; the difference is far below what the normal approximation is worth.

    Args:
        population: all possible faults, at least 1.
        margin: e, wished half-width of the rate's interval, 0-1, exclusive.
        confidence: 0-1, exclusive.
        share: p, the rate expected; 0.5 is the worst case. 0-1, exclusive.

    Returns:
        1 to `population`.
    """
    if population < 1 or not (0 < margin < 1 and 0 < confidence < 1 and 0 < share < 1):
        raise ValueError(f"no sample of {population} at margin {margin}, confidence {confidence}, share {share}")
    t = round(_normal(confidence), 3)
    size = population / (1 + margin**2 * (population - 1) / (t**2 * share * (1 - share)))
    return min(population, max(1, round(size)))


def wilson_interval(successes: int, trials: int, confidence: float) -> Optional[Interval]:
    """Wilson's score interval of a proportion (Wilson, JASA 22, 1927), or None without trials.

    Only for independent trials: the images under one fault are one cluster, see :class:`Shares`.
    """
    if trials <= 0:
        return None
    low, high = _score_limits(successes / trials, trials, _normal(confidence))
    return Interval(low, high, confidence, "Wilson")


@dataclass(frozen=True)
class Shares:
    """A sample of independent shares in 0-1, such as the share of images that each of some faults spoils.

    Attributes:
        mean: of the shares.
        variance: between them, with the divisor units - 1 (0 for a single one).
        units: how many there are, at least 1.
        population: where given, they were drawn from so many without replacement, which narrows their interval, down
            to nothing when all are known.
    """

    mean: float
    variance: float
    units: int
    population: Optional[int] = None

    @classmethod
    def of_counts(cls, successes: int, trials: int) -> Shares:
        """Shares that are 1 or 0: so many successes in so many independent trials, at least one."""
        mean = successes / trials
        return cls(mean, mean * (1 - mean) * trials / max(1, trials - 1), trials)

    @property
    def left(self) -> float:
        """Share of the population that is not in the sample, by which its variance shrinks."""
        return 1.0 if self.population is None else 1 - self.units / self.population

    def interval(self, confidence: float) -> Optional[Interval]:
        """Interval of the mean over the population, or None for a single unit.

        Wilson's interval with the effective number of trials m(1 - m)/Var(m), and Student's t for the normal quantile
        (Korn and Graubard, Survey Methodology 24, 1998; Dean and Pagano, J. Survey Statistics and Methodology 3, 2015).
        For outcomes that are 0 or 1 it is nearly Wilson's own; for many moderate shares, mean ± t·s/√n; for rare ones
        it holds its coverage where the latter does not; and it is not empty where all are 0 or all are 1.
        """
        if self.units < 2:
            return None
        spread = self.mean * (1 - self.mean)
        variance = self.variance / self.units * self.left
        if spread > 0:
            size = spread / variance if variance > 0 else math.inf
        else:
            # The variance tells nothing; then each unit counts as one trial.
            size = self.units / self.left if self.left > 0 else math.inf
        low, high = _score_limits(self.mean, size, _student(confidence, self.units - 1))
        return Interval(low, high, confidence, "Wilson, effective sample size")


def weighted_sum(samples: Sequence[Shares], weights: Sequence[float], confidence: float) -> Estimate:
    """Sum of weights times the means of independent samples (strata).

    Of two known limits the outer one, on either side. MOVER recovers each limit from those of the terms,
    L = Σ w m - √Σ w²(m - l)² and U likewise (Zou and Donner, Statistics in Medicine 27, 2008): strata in which nothing
    was seen widen it upwards, but among many rare strata its lower limit is too high (coverage 0.86 to 0.96 of nominal
    0.95, simulated with 30 strata of 100 and 384 faults). The other is Wilson's with the pooled variance and
    Satterthwaite's degrees of freedom: it takes strata in which nothing was seen for certain (coverage down to 0.61
    where a large one is rare). Both together covered 0.946 to 0.976 in all 24 cases. Where one stratum outweighs all
    others it is no better than Wilson's own interval, which comes down to 0.90 where 0.1 hits are expected.

    Args:
        samples: at least one; if one of them has a single unit, there is no interval.
        weights: as many, 0 or more, exactly known.
        confidence: 0-1, exclusive.
    """
    total = math.fsum(weights)
    if total <= 0:
        return Estimate(0.0, Interval(0.0, 0.0, confidence, "nothing counts"))
    # A mean first, since squares of rates of 1e-100 would vanish.
    weights = [weight / total for weight in weights]
    mean = min(1.0, math.fsum(weight * sample.mean for sample, weight in zip(samples, weights)))
    below, above, variances, squares = [], [], [], []
    for sample, weight in zip(samples, weights):
        interval = sample.interval(confidence)
        if interval is None:
            return Estimate(total * mean, None)
        below.append(weight * (sample.mean - interval.low))
        above.append(weight * (interval.high - sample.mean))
        variances.append(weight**2 * sample.variance * sample.left / sample.units)
        squares.append(variances[-1] ** 2 / (sample.units - 1))
    low, high = mean - math.hypot(*below), mean + math.hypot(*above)
    variance = math.fsum(variances)
    if variance > 0:
        # Rounding must not cost a whole degree.
        degrees = max(1, int(variance**2 / math.fsum(squares) * (1 + 1e-9)))
        pooled = _score_limits(mean, mean * (1 - mean) / variance, _student(confidence, degrees))
        low, high = min(low, pooled[0]), max(high, pooled[1])
    interval = Interval(total * low, total * high, confidence, "MOVER and pooled Wilson, the outer limits")
    return Estimate(total * mean, interval)


@dataclass(frozen=True)
class VarianceComponents:
    """Variance of one answer (1 right, 0 wrong) by where it comes from, each 0 or more.

    Attributes:
        pattern: some fault patterns hurt all images more than others do.
        image: some images are harder under all patterns.
        residual: an image and a pattern that go ill together.
    """

    pattern: float
    image: float
    residual: float


def mean_over_patterns(accuracies: Sequence[float], confidence: float) -> Estimate:
    """Mean of at least one share with the pattern as the unit: mean ± t·s/√S, inside 0-1; no interval of a single one.

    Args:
        accuracies: of each pattern, 0-1.
        confidence: 0-1, exclusive.
    """
    mean, half_width = mean_and_half_width(accuracies, confidence)
    if len(accuracies) < 2:
        return Estimate(mean, None)
    low, high = max(0.0, mean - half_width), min(1.0, mean + half_width)
    return Estimate(mean, Interval(low, high, confidence, "Student's t over patterns"))


class PatternTable:
    """Answers to N images under S fault patterns, of which the margins suffice.

    The model is the two-way random-effects layout without replication, x_ij = μ + P_i + I_j + R_ij: patterns and images
    are both drawn from many, and cross (Searle, Casella and McCulloch, Variance Components, 1992, section 4.7). Answers
    are 0 or 1, so that their squares sum up to their sum and all mean squares follow from the two margins.

    Args:
        accuracies: of each pattern over the images, 0-1, shape (S,), S >= 2.
        right_counts: under how many patterns each image was answered rightly, 0-S, shape (N,), N >= 2.
    """

    def __init__(self, accuracies: ArrayLike, right_counts: ArrayLike) -> None:
        self.accuracies: Values = np.asarray(accuracies, np.float64)
        counts = np.asarray(right_counts, np.float64)
        patterns, images = self.accuracies.size, counts.size
        if self.accuracies.ndim != 1 or counts.ndim != 1 or patterns < 2 or images < 2:
            raise ValueError(f"a table of {patterns} patterns and {images} images; it needs two of each at least")
        if counts.min() < 0 or counts.max() > patterns:
            raise ValueError(f"right counts lie in 0 to {patterns}, the number of patterns")
        if abs(self.accuracies.sum() * images - counts.sum()) >= 0.5:
            raise ValueError("accuracies and right counts do not belong together: their sums differ")
        self.mean = float(self.accuracies.mean())
        self._images = Shares(self.mean, float((counts / patterns).var(ddof=1)), images)
        self._ms_pattern = images * float(self.accuracies.var(ddof=1))
        self._ms_image = patterns * self._images.variance
        total = patterns * images * self.mean * (1 - self.mean)
        rest = total - (patterns - 1) * self._ms_pattern - (images - 1) * self._ms_image
        self._ms_residual = max(0.0, rest) / ((patterns - 1) * (images - 1))

    def components(self) -> VarianceComponents:
        """Variance components by the analysis of variance, negative ones being 0."""
        return VarianceComponents(
            max(0.0, self._ms_pattern - self._ms_residual) / self._images.units,
            max(0.0, self._ms_image - self._ms_residual) / len(self.accuracies),
            self._ms_residual,
        )

    def pattern_interval(self, confidence: float) -> Interval:
        """Of the mean accuracy over all patterns on these very images, see :func:`mean_over_patterns`."""
        interval = mean_over_patterns(self.accuracies.tolist(), confidence).interval
        assert interval is not None
        return interval

    def image_interval(self, confidence: float) -> Interval:
        """Of the accuracy on all images under these very patterns, an image's share of right answers being the unit."""
        interval = self._images.interval(confidence)
        assert interval is not None
        return interval

    def combined_interval(self, confidence: float) -> Interval:
        """Of the mean accuracy over all patterns and all images.

        Var(mean) = σ_P²/S + σ_I²/N + σ_R²/(SN), estimated by (MS_P + MS_I - MS_R)/(SN); its degrees of freedom are
        Satterthwaite's (Biometrics Bulletin 2, 1946). In Wilson's form, as :meth:`Shares.interval`.
        """
        patterns, images, rest = len(self.accuracies), self._images.units, self._ms_residual
        spread = self.mean * (1 - self.mean)
        squares = max(self._ms_pattern, rest) + max(self._ms_image, rest) - rest
        if spread <= 0 or squares <= 0:
            # Nothing varied: as many trials as the scarcer of the two that vary together.
            degrees, size = min(patterns, images) - 1, float(min(patterns, images))
        else:
            parts = self._ms_pattern**2 / (patterns - 1) + self._ms_image**2 / (images - 1)
            parts += rest**2 / ((patterns - 1) * (images - 1))
            degrees, size = int(squares**2 / parts), spread * patterns * images / squares
        low, high = _score_limits(self.mean, size, _student(confidence, max(1, degrees)))
        return Interval(low, high, confidence, "two-way random effects")


@lru_cache(maxsize=512)
def order_statistic_ranks(n: int, quantile: float, confidence: float) -> Optional[Tuple[int, int]]:
    """Ranks (from 0) of the order statistics that enclose a quantile, without assuming a distribution.

    The number of samples below the quantile is binomial(n, quantile); ranks low < high enclose the quantile with
    probability P(low < B <= high) (Hahn and Meeker, Statistical Intervals, 1991, section 5.2). Exact up to 300
    samples, by the normal approximation beyond.

    Args:
        n: number of samples.
        quantile: 0-1, exclusive.
        confidence: least coverage, 0-1, exclusive.

    Returns:
        (low, high) with 0 <= low < high < n, or None when n samples cannot enclose the quantile that surely.
    """
    if n < 2:
        return None
    tail = (1 - confidence) / 2
    if n > _EXACT_UP_TO:
        reach = _normal(confidence) * math.sqrt(n * quantile * (1 - quantile))
        low, high = math.floor(n * quantile - reach) - 1, math.ceil(n * quantile + reach)
    else:
        cumulative = []
        total = 0.0
        for k in range(n + 1):
            total += math.comb(n, k) * quantile**k * (1 - quantile) ** (n - k)
            cumulative.append(total)
        # B <= low misses the quantile below, B > high misses it above (ranks count from 0).
        low = max((k for k in range(n) if cumulative[k] <= tail), default=-1)
        high = next((k for k in range(n + 1) if 1 - cumulative[k] <= tail), n)
    return (low, high) if 0 <= low < high < n else None


def pattern_quantile(accuracies: ArrayLike, share: float, confidence: float) -> Optional[Estimate]:
    """The accuracy that a share of patterns (chips) does not exceed, or None for too few of them.

    Too few are those whose order statistics cannot enclose it: at 95 %, the median needs 6 patterns, the 10 % quantile
    36, the 5 % quantile 72.

    Args:
        accuracies: of each pattern, shape (S,).
        share: 0-1, exclusive.
        confidence: 0-1, exclusive.
    """
    ordered = np.sort(np.asarray(accuracies, np.float64))
    ranks = order_statistic_ranks(len(ordered), share, confidence)
    if ranks is None:
        return None
    value = float(ordered[max(0, math.ceil(share * len(ordered)) - 1)])
    return Estimate(value, Interval(float(ordered[ranks[0]]), float(ordered[ranks[1]]), confidence, "order statistics"))


def worst_share_mean(accuracies: ArrayLike, share: float = 0.05) -> Optional[float]:
    """Mean accuracy of the worst share of chips, or None for fewer than 20, or less than one in that share.

    The empirical conditional value at risk: where the share ends within a chip, this counts in part (Rockafellar and
    Uryasev, J. Banking & Finance 26, 2002).

    Args:
        accuracies: of each pattern, shape (S,).
        share: above 0, at most 1.
    """
    ordered = np.sort(np.asarray(accuracies, np.float64))
    wanted = share * len(ordered)
    if len(ordered) < _LEAST_FOR_TAIL or wanted < 1:
        return None
    weights = np.clip(wanted - np.arange(len(ordered)), 0, 1)
    return float(weights @ ordered / wanted)


@dataclass(frozen=True, eq=False)
class YieldCurve:
    """Share of chips that are at least so accurate, for permanent faults, of which a pattern is a chip.

    Attributes:
        thresholds: accuracies at which the curve steps, ascending, shape (n,).
        shares: of chips with an accuracy of at least the threshold, 0-1, shape (n,), descending.
        low: lower limit of the band, shape (n,).
        high: upper limit of the band, shape (n,).
        confidence: that the true curve lies in the band everywhere at once.
    """

    thresholds: Values
    shares: Values
    low: Values
    high: Values
    confidence: float


def yield_curve(accuracies: ArrayLike, confidence: float) -> YieldCurve:
    """The curve of at least one chip, with the simultaneous, distribution-free band of half-width √(ln(2/α)/(2S)).

    That is the inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's constant (Annals of Probability 18, 1990):
    it holds for all thresholds at once, so that any may be chosen after a look at the curve.
    """
    ordered = np.sort(np.asarray(accuracies, np.float64))
    thresholds = np.unique(ordered)
    shares = 1 - np.searchsorted(ordered, thresholds) / len(ordered)
    reach = math.sqrt(math.log(2 / (1 - confidence)) / (2 * len(ordered)))
    return YieldCurve(thresholds, shares, np.maximum(shares - reach, 0), np.minimum(shares + reach, 1), confidence)


def _score_limits(share: float, size: float, z: float) -> Tuple[float, float]:
    """Wilson's limits of a share that so many trials, not necessarily a whole number, have given."""
    weight = z * z / size
    centre = share + weight / 2
    reach = z * math.sqrt(share * (1 - share) / size + weight / (4 * size))
    # Rounding must not push the ends past the share itself.
    low = min(share, max(0.0, (centre - reach) / (1 + weight)))
    return low, max(share, min(1.0, (centre + reach) / (1 + weight)))


def _normal(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _student(confidence: float, degrees: int) -> float:
    return student_t_quantile(0.5 + confidence / 2, min(degrees, _MOST_DEGREES))
