"""How well inherited accuracy ranks networks, put together from the figures of a sample that was also trained alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fault_injection.statistics import Estimate
from search.spaces import Architecture
from search.supernet.agreement import (
    Bins,
    Values,
    equal_bins,
    kendall,
    kendall_between,
    kendall_gain,
    mean_estimate,
    pairs_within,
    precision_at,
    slope,
)

Verdict = Literal["ranks", "ranks weakly", "does not rank", "insufficient"]

FEWEST = 8
"""Networks, below which an interval of τ says nothing."""
_GOOD_TAU = 0.4
"""What the interval's lower end must reach for *ranks*: seven pairs in ten are then in the right order."""
_BIN = 6
"""Networks of like MACs that are compared with one another; fewer make few pairs, more are less alike."""


@dataclass(frozen=True)
class AuditedSubnet:
    """One network of the sample.

    Attributes:
        architecture: which.
        macs: of one inference.
        inherited: with the supernet's weights, by quantity: ``accuracy``, ``accuracy@adSAF(p=0.08)``; 0–1.
        standalone: the same after training alone, one for each seed.
    """

    architecture: Architecture
    macs: int
    inherited: Mapping[str, float]
    standalone: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Agreement:
    """Kendall's τ-b with the mean of the stand-alone accuracies.

    Attributes:
        pairs: of networks that were compared.
        inherited: of inherited accuracy; None where either does not vary.
        macs: of the number of MACs, the more the better: what needs no supernet.
        gain: of inherited accuracy over MACs.
    """

    pairs: int
    inherited: Estimate | None
    macs: Estimate | None
    gain: Estimate | None


@dataclass(frozen=True)
class TopK:
    """Share of the k best by stand-alone accuracy that are among the k best by something else.

    Attributes:
        k: how many.
        inherited: by inherited accuracy.
        macs: by the number of MACs.
        seeds: by another training alone, averaged over pairs of seeds; None with one seed.
        chance: by lot.
    """

    k: int
    inherited: float
    macs: float
    seeds: float | None
    chance: float


@dataclass(frozen=True)
class Spread:
    """How far accuracies lie apart.

    Attributes:
        low: lowest.
        high: highest.
        deviation: standard deviation over networks.
        noise: standard error of one of them.
    """

    low: float
    high: float
    deviation: float
    noise: float


@dataclass(frozen=True)
class RankQuality:
    """How well one quantity, inherited, ranks networks.

    Attributes:
        quantity: ``accuracy``, or under faults ``accuracy@adSAF(p=0.08)``.
        overall: agreement over all pairs of networks.
        alike: over pairs within bins of like MACs, which is what a search needs that weighs accuracy against cost; None
            for too few networks.
        bins: how many.
        ceiling: τ-b between two trainings alone, averaged over pairs of seeds: what no predictor of a single training
            can be expected to exceed (the mean over seeds, with which the others are compared, may be told a little
            better). None with one seed.
        top: for about a tenth and a quarter of the networks.
        bias: mean of inherited − stand-alone accuracy.
        bias_per_doubling: by how much that rises when MACs double; None where they do not vary.
        inherited: spread of inherited accuracies.
        standalone: spread of the means over seeds.
        verdict: in two words; *insufficient* where too few networks or too small a spread allow no statement.
        reason: the verdict in a sentence.
    """

    quantity: str
    overall: Agreement
    alike: Agreement | None
    bins: int
    ceiling: Estimate | None
    top: tuple[TopK, ...]
    bias: Estimate
    bias_per_doubling: Estimate | None
    inherited: Spread
    standalone: Spread
    verdict: Verdict
    reason: str


def rank_quality(subnets: Sequence[AuditedSubnet], quantity: str, noise: float) -> RankQuality:
    """The statistics of an audit for one quantity.

    Args:
        subnets: at least one, all with the same number of seeds, at least one.
        quantity: that all of them have.
        noise: standard error of a single accuracy, from the number of images, and of patterns of faults.
    """
    inherited = np.array([subnet.inherited[quantity] for subnet in subnets])
    alone = np.array([subnet.standalone[quantity] for subnet in subnets])
    macs = np.array([subnet.macs for subnet in subnets], np.float64)
    means, n = alone.mean(axis=1), len(subnets)
    bins = equal_bins(macs, _BIN)
    count = len(np.unique(bins))
    overall = _agreement(inherited, macs, means, None)
    alike = _agreement(inherited, macs, means, bins) if count > 1 else None
    ceiling = kendall_between(alone)
    spread, spread_alone = _spread(inherited, noise), _spread(means, max(noise, _noise_of_seeds(alone)))
    verdict, reason = _judge(n, overall, alike, ceiling, spread, spread_alone)
    differences = inherited - means
    return RankQuality(
        quantity=quantity,
        overall=overall,
        alike=alike,
        bins=count,
        ceiling=ceiling,
        top=tuple(_top(inherited, macs, alone, k) for k in sorted({max(1, round(n / 10)), max(1, round(n / 4))})),
        bias=mean_estimate(differences),
        bias_per_doubling=slope(np.log2(macs), differences),
        inherited=spread,
        standalone=spread_alone,
        verdict=verdict,
        reason=reason,
    )


def _agreement(inherited: Values, macs: Values, truth: Values, bins: Bins | None) -> Agreement:
    return Agreement(
        pairs_within(np.zeros(len(truth), np.int64) if bins is None else bins),
        kendall(inherited, truth, bins),
        kendall(macs, truth, bins),
        kendall_gain(inherited, macs, truth, bins),
    )


def _top(inherited: Values, macs: Values, alone: Values, k: int) -> TopK:
    n, seeds = alone.shape
    means = alone.mean(axis=1)
    pairs = [(i, j) for i in range(seeds) for j in range(i)]
    between = [precision_at(alone[:, i], alone[:, j], k) for i, j in pairs]
    return TopK(
        k,
        precision_at(inherited, means, k),
        precision_at(macs, means, k),
        float(np.mean(between)) if between else None,
        k / n,
    )


def _spread(values: Values, noise: float) -> Spread:
    return Spread(float(values.min()), float(values.max()), float(values.std(ddof=min(1, len(values) - 1))), noise)


def _noise_of_seeds(alone: Values) -> float:
    """Standard error of a mean over seeds; 0 with one, which does not tell."""
    seeds = alone.shape[1]
    return math.sqrt(float(alone.var(axis=1, ddof=1).mean()) / seeds) if seeds > 1 else 0.0


def _judge(
    n: int, overall: Agreement, alike: Agreement | None, ceiling: Estimate | None, spread: Spread, spread_alone: Spread
) -> tuple[Verdict, str]:
    if n < FEWEST:
        return "insufficient", f"{n} networks are too few for a statement; at least {FEWEST} are needed"
    for found, whose in ((spread, "inherited"), (spread_alone, "trained alone")):
        if found.deviation <= found.noise:
            return "insufficient", (
                f"accuracies ({whose}) spread by {100 * found.deviation:.1f} points, no more than the error of one, "
                f"{100 * found.noise:.1f}: nothing to rank; take a harder problem, more validation images or a wider "
                "space"
            )
    tau = overall.inherited
    if tau is None or tau.interval is None:
        return "insufficient", "hardly two networks differ in accuracy: nothing to rank; take a wider space"
    low, high = tau.interval.low, tau.interval.high
    figures, beside = f"τ = {_figures(tau)}", _beside(overall, alike)
    if low >= _GOOD_TAU:
        return "ranks", f"{figures}: inherited accuracy ranks networks{beside}"
    if low > 0:
        return "ranks weakly", (
            f"{figures}: better than chance; train the winners alone before choosing among them{beside}"
        )
    if ceiling is not None and ceiling.interval is not None and ceiling.interval.low <= 0:
        return "insufficient", (
            f"{figures}, but two trainings of the same network agree no better, τ = {_figures(ceiling)}: train alone "
            "for longer"
        )
    if high < _GOOD_TAU:
        return "does not rank", f"{figures}: inherited accuracy says little; train the supernet longer{beside}"
    return "insufficient", f"{figures}: {n} networks cannot tell it from chance; audit more of them"


def _beside(overall: Agreement, alike: Agreement | None) -> str:
    """What else a reader must know of a verdict: is it more than size, and does it hold at equal cost?"""
    parts = []
    gain = overall.gain
    if gain is not None and overall.macs is not None and gain.interval is not None:
        macs = f"MACs alone (τ = {overall.macs.value:.2f})"
        if gain.interval.low > 0:
            parts.append(f"better than {macs}")
        elif gain.interval.high < 0:
            parts.append(f"worse than {macs}")
        else:
            parts.append(f"not told apart from {macs}")
    if alike is not None and alike.inherited is not None:
        parts.append(f"among networks of like MACs τ = {_figures(alike.inherited)}")
    return "".join(f"; {part}" for part in parts)


def _figures(estimate: Estimate) -> str:
    words = f"{estimate.value:.2f}"
    if estimate.interval is not None:
        words += f" ({estimate.interval.low:.2f} to {estimate.interval.high:.2f})"
    return words.replace("-", "−")
