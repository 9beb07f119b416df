"""A ratio of sums and what is uncertain about it: joules an inference, samples a second."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional, Sequence

from fault_injection.precision import student_t_quantile
from protos.gauntlet.v1 import figure_pb2

LEAST_PARTS = 5


@dataclass(frozen=True)
class Ratio:
    """Σ over parts of a numerator over a denominator.

    Attributes:
        value: the ratio.
        reach: half-width of its interval; None where the parts are too few.
    """

    value: float
    reach: Optional[float]

    def interval(self, confidence: float, method: str) -> Optional[figure_pb2.Interval]:
        """As it travels; None where the parts are too few."""
        if self.reach is None:
            return None
        low, high = self.value - self.reach, self.value + self.reach
        return figure_pb2.Interval(low=low, high=high, confidence=confidence, method=method)


def ratio_of_sums(
    above: Sequence[float], below: Sequence[float], confidence: float, offs: Sequence[float] = ()
) -> Ratio:
    """A ratio with its interval: how much the parts' residuals vary (Cochran, Sampling Techniques, 3rd ed., 6.3).

    Args:
        above: numerator of each part.
        below: denominator of each part, positive.
        confidence: 0-1, exclusive.
        offs: by how much the ratio may be off in ways that the parts do not show: half-widths of uniform distributions
            (JCGM 100:2008, 4.3.7).
    """
    value = math.fsum(above) / math.fsum(below)
    k = len(above)
    if k < LEAST_PARTS:
        return Ratio(value, None)
    residuals = math.fsum((a - value * b) ** 2 for a, b in zip(above, below)) / (k - 1)
    variance = residuals * k / math.fsum(below) ** 2
    variance += math.fsum(off**2 for off in offs) / 3
    return Ratio(value, student_t_quantile(0.5 + confidence / 2, k - 1) * math.sqrt(variance))
