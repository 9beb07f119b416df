"""What a campaign of faults keeps: conditions, what each pattern did under them, and the figures that follow.

One condition is a plan at one rate. Its patterns come in runs of any size, from any number of jobs; they add up.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional

import numpy as np
from numpy.typing import NDArray

from fault_injection.errors import FaultError
from fault_injection.plan import FaultPlan, Lifetime
from fault_injection.statistics import (
    Estimate,
    Interval,
    PatternTable,
    Shares,
    YieldCurve,
    mean_over_patterns,
    pattern_quantile,
    worst_share_mean,
    yield_curve,
)

_QUANTILES = (0.05, 0.5, 0.95)
_PER_PATTERN = ("accuracies", "faults", "changed", "critical", "non_finite", "digests")


def key_of(plan: FaultPlan) -> str:
    """A short name of a plan that differs where plans differ: hexadecimal, 12 characters."""
    return hashlib.sha256(json.dumps(plan.to_dict(), sort_keys=True).encode()).hexdigest()[:12]


@dataclass
class Outcomes:
    """What consecutive patterns did to a data set; the lists have one entry for each pattern.

    Attributes:
        samples: in the data set.
        clean_accuracy: of the same samples without faults, 0-1.
        accuracies: share of samples answered rightly, 0-1.
        faults: that were put in.
        changed: samples whose top-1 class differs from the clean model's (SDC-1).
        critical: samples that the clean model has right and the faulty one wrong.
        outside_top5: samples whose class is none of the clean model's best five; None for fewer than six classes.
        non_finite: samples that gave NaN or infinity.
        digests: fingerprints of the patterns' faults.
        right_patterns: for each sample the number of patterns under which it is right, shape (samples,).
    """

    samples: int
    clean_accuracy: float
    accuracies: List[float] = field(default_factory=list)
    faults: List[int] = field(default_factory=list)
    changed: List[int] = field(default_factory=list)
    critical: List[int] = field(default_factory=list)
    outside_top5: Optional[List[int]] = field(default_factory=list)
    non_finite: List[int] = field(default_factory=list)
    digests: List[str] = field(default_factory=list)
    right_patterns: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.accuracies)

    def extend(self, more: Outcomes) -> None:
        """Add the patterns that follow.

        Raises:
            FaultError: they are of other samples, or the clean model answered otherwise.
        """
        if len(self) and (more.samples, more.clean_accuracy) != (self.samples, self.clean_accuracy):
            raise FaultError(
                f"patterns of {more.samples} samples, {more.clean_accuracy:.2%} of them right without faults, cannot "
                f"follow those of {self.samples} and {self.clean_accuracy:.2%}: was the model or the data changed?"
            )
        self.samples, self.clean_accuracy = more.samples, more.clean_accuracy
        for name in _PER_PATTERN:
            getattr(self, name).extend(getattr(more, name))
        if self.outside_top5 is None or more.outside_top5 is None:
            self.outside_top5 = None
        else:
            self.outside_top5.extend(more.outside_top5)
        self.right_patterns = more.right_patterns + (self.right_patterns if len(self.right_patterns) else 0)

    def to_dict(self) -> Dict[str, Any]:
        """As plain lists and numbers, for JSON."""
        return {**dataclasses.asdict(self), "right_patterns": self.right_patterns.tolist()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Outcomes:
        """The inverse of :meth:`to_dict`.

        Raises:
            FaultError: it is none.
        """
        try:
            known = {f.name: document[f.name] for f in dataclasses.fields(cls)}
            outcomes = cls(**{**known, "right_patterns": np.array(known["right_patterns"], np.int64)})
            lengths = {len(getattr(outcomes, name)) for name in _PER_PATTERN}
            if lengths != {len(outcomes)}:
                raise ValueError("its lists differ in length")
        except (KeyError, TypeError, ValueError) as error:
            raise FaultError(f"not the outcome of fault patterns: {error}") from error
        return outcomes


@dataclass(frozen=True)
class Summary:
    """The figures of a condition on a device.

    Attributes:
        patterns: how many.
        accuracy: mean over the patterns; its interval has the pattern as the unit, on these very images.
        over_images: interval of the same mean with the image as the unit, under these very patterns; None for a single
            pattern or image.
        over_both: interval for all patterns and all images, see :class:`PatternTable`.
        drop: clean accuracy less accuracy, in these very images, with the pattern's interval.
        changed: SDC-1, mean share of samples whose top-1 class changed, with the pattern's interval.
        critical: mean share of samples that turned from right to wrong.
        outside_top5: SDC-5; None for fewer than six classes.
        non_finite: share of answers with NaN or infinity, none of which counts as right.
        faults: mean number of faults in a pattern.
        quantiles: accuracy that a share of patterns does not exceed; None where there are too few patterns.
        worst_5_percent: mean accuracy of the worst twentieth of the patterns; None for fewer than 20.
        yields: share of chips by accuracy; None unless the faults are permanent.
    """

    patterns: int
    accuracy: Estimate
    over_images: Optional[Interval]
    over_both: Optional[Interval]
    drop: Estimate
    changed: Estimate
    critical: Estimate
    outside_top5: Optional[Estimate]
    non_finite: float
    faults: float
    quantiles: Mapping[float, Optional[Estimate]]
    worst_5_percent: Optional[float]
    yields: Optional[YieldCurve]


def summarise(plan: FaultPlan, outcomes: Outcomes, confidence: float) -> Summary:
    """The figures of at least one pattern."""
    accuracies = outcomes.accuracies
    table = None
    if len(outcomes) > 1 and outcomes.samples > 1:
        table = PatternTable(accuracies, outcomes.right_patterns)
    accuracy = mean_over_patterns(accuracies, confidence)
    drop = None
    if accuracy.interval is not None:
        low, high = accuracy.interval.low, accuracy.interval.high
        drop = Interval(
            outcomes.clean_accuracy - high, outcomes.clean_accuracy - low, confidence, accuracy.interval.method
        )
    chips = plan.lifetime is Lifetime.PERMANENT
    return Summary(
        patterns=len(outcomes),
        accuracy=accuracy,
        over_images=table.image_interval(confidence) if table else None,
        over_both=table.combined_interval(confidence) if table else None,
        drop=Estimate(outcomes.clean_accuracy - accuracy.value, drop),
        changed=_share(outcomes.changed, outcomes.samples, confidence),
        critical=_share(outcomes.critical, outcomes.samples, confidence),
        outside_top5=_share(outcomes.outside_top5, outcomes.samples, confidence) if outcomes.outside_top5 else None,
        non_finite=sum(outcomes.non_finite) / (len(outcomes) * outcomes.samples),
        faults=sum(outcomes.faults) / len(outcomes),
        quantiles={share: pattern_quantile(accuracies, share, confidence) for share in _QUANTILES},
        worst_5_percent=worst_share_mean(accuracies),
        yields=yield_curve(accuracies, confidence) if chips else None,
    )


def _share(counts: List[int], samples: int, confidence: float) -> Estimate:
    shares = np.array(counts) / samples
    sample = Shares(float(shares.mean()), float(shares.var(ddof=1)) if len(shares) > 1 else 0.0, len(shares))
    return Estimate(sample.mean, sample.interval(confidence))
