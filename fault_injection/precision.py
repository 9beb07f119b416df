"""How many patterns are enough: the interval of a mean over patterns, and when to look at it.

The pattern is the statistical unit: images under one pattern are correlated, so their number narrows nothing here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Sequence, Tuple

_NEWTON_STEPS = 200


@dataclass(frozen=True)
class Precision:
    """Draw until the mean is known this precisely, but look only at planned numbers of patterns.

    Looking after every pattern would stop at the first that happens to make the interval narrow. Looks lie 1.3 times
    apart; a slight optimism remains, as in every sequential rule of fixed width (Chow and Robbins, Ann. Math. Stat. 36,
    1965: the coverage is nominal as the width goes to 0).

    Attributes:
        half_width: of the mean's interval, in the unit of the values; 0: draw to the cap.
        confidence: 0-1, exclusive.
        least: patterns before the first look, at least 2.
        most: patterns at which it ends in any case.
    """

    half_width: float
    confidence: float
    least: int
    most: int

    def next_look(self, drawn: int) -> int:
        """Number of patterns at the first look that comes after `drawn` of them."""
        look = self.least
        while look <= drawn:
            look = (look * 13 + 9) // 10
        return min(look, self.most)

    def reached(self, values: Sequence[float]) -> bool:
        """Is the interval of the mean of `values` as narrow as asked?"""
        return mean_and_half_width(values, self.confidence)[1] <= self.half_width


def mean_and_half_width(values: Sequence[float], confidence: float) -> Tuple[float, float]:
    """Mean ± t·s/√n of at least one independent value; the half-width of a single one is infinite."""
    n = len(values)
    # Taken from the first value, equal values have exactly that mean, and no spread.
    mean = values[0] + math.fsum(value - values[0] for value in values) / n
    if n < 2:
        return mean, math.inf
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return mean, student_t_quantile(0.5 + confidence / 2, n - 1) * math.sqrt(variance / n)


@lru_cache(maxsize=256)
def student_t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t distribution.

    The distribution function of a whole number of degrees is a finite sum (Abramowitz and Stegun, 26.7.3 and 26.7.4);
    it is solved by Newton's method, from the normal quantile, which lies below: the function is concave there, so that
    the steps go up and never past the root.

    Args:
        probability: 0.5 to 1, exclusive at the upper end.
        degrees: at least 1.
    """
    t = NormalDist().inv_cdf(probability)
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(degrees * math.pi)
    for _ in range(_NEWTON_STEPS):
        density = scale * (1 + t * t / degrees) ** (-(degrees + 1) / 2)
        step = (probability - 0.5 - _central_probability(t, degrees) / 2) / density
        t += step
        if abs(step) <= 1e-12 * max(1.0, t):
            break
    return t


def _central_probability(t: float, degrees: int) -> float:
    """P(-t < T < t), equations 26.7.3 (odd degrees) and 26.7.4 (even)."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine_squared = math.cos(angle) ** 2
    odd = degrees % 2
    term = total = math.cos(angle) if odd else 1.0
    if degrees == 1:
        total = 0.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= cosine_squared * (k - 1) / k
        total += term
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
