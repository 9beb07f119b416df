"""Whether a supernet ranks networks as training them one by one would."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search.data import Data
from search.spaces import Architecture
from search.supernet.accuracy import evaluate
from search.supernet.elastic import Supernet
from search.supernet.settings import TrainSettings
from search.supernet.training import train_alone

Verdict = Literal["ranks", "ranks weakly", "does not rank", "insufficient"]

_FEWEST = 8
"""Networks, below which an interval of τ says nothing."""
_GOOD_TAU = 0.4
"""What the interval's lower end must reach for *ranks*: seven pairs in ten are then in the right order."""
_RESAMPLES = 2000
_CALIBRATION = 512
STANDALONE = TrainSettings(epochs=6, learning_rate=0.1, weight_decay=5e-4)
"""How networks are trained alone, unless told."""


@dataclass(frozen=True)
class AuditedSubnet:
    """One network of the sample.

    Attributes:
        architecture: which.
        inherited: validation accuracy with the supernet's weights, 0–1.
        standalone: the same after training alone, one per seed.
    """

    architecture: Architecture
    inherited: float
    standalone: tuple[float, ...]


@dataclass(frozen=True)
class Audit:
    """How well inherited accuracy ranks.

    Attributes:
        subnets: the sample.
        tau: Kendall's τ-b between inherited accuracy and the mean of the stand-alone ones; None where either does
            not vary.
        tau_interval: 95 %, percentiles of 2000 resamples of the networks (seeds are not resampled).
        ceiling: τ-b between two seeds of training alone, averaged over pairs of seeds: what no predictor of a single
            training can be expected to exceed. None with one seed.
        inherited_range: lowest and highest.
        standalone_range: of the means over seeds.
        noise: standard error of a single inherited accuracy due to the number of validation images.
        verdict: in two words; *insufficient* where too few networks or too small a spread allow no statement.
        reason: the verdict in a sentence.
    """

    subnets: tuple[AuditedSubnet, ...]
    tau: float | None
    tau_interval: tuple[float, float] | None
    ceiling: float | None
    inherited_range: tuple[float, float]
    standalone_range: tuple[float, float]
    noise: float
    verdict: Verdict
    reason: str


def audit(
    supernet: Supernet,
    data: Data,
    *,
    subnets: int = 12,
    seeds: int = 2,
    settings: TrainSettings = STANDALONE,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Train a random sample of networks alone, and compare.

    Args:
        supernet: trained.
        data: networks are compared on the validation part.
        subnets: how many different networks.
        seeds: trainings of each.
        settings: of those trainings.
        seed: of the sample, of the trainings and of the interval.
        progress: called with trainings done and in all.

    Raises:
        ValueError: the space holds fewer networks than asked for.
        TrainingDivergedError: the loss of a training became NaN or infinite.
    """
    if supernet.space.size() < subnets:
        raise ValueError(f"the space holds {supernet.space.size()} networks, fewer than {subnets}")
    rng = np.random.default_rng(seed)
    sample: dict[Architecture, None] = {}  # in order, each once
    while len(sample) < subnets:
        sample.setdefault(supernet.space.sample(rng))
    calibration = data.train.head(_CALIBRATION).images
    audited, done = list[AuditedSubnet](), 0
    for architecture in sample:
        inherited = evaluate(supernet.subnet(architecture, calibration), data.validation).value
        alone = list[float]()
        for number in range(seeds):
            network = train_alone(supernet.space, architecture, data, settings, seed=seed + number)
            alone.append(evaluate(network, data.validation).value)
            done += 1
            if progress is not None:
                progress(done, subnets * seeds)
        audited.append(AuditedSubnet(architecture, inherited, tuple(alone)))
    return rank_quality(audited, len(data.validation), seed=seed)


def rank_quality(subnets: Sequence[AuditedSubnet], images: int, *, seed: int = 0) -> Audit:
    """The statistics of an audit.

    Args:
        subnets: at least one, all with the same number of seeds, at least one.
        images: validation images that each accuracy was counted on.
        seed: of the resampling.
    """
    inherited = np.array([subnet.inherited for subnet in subnets])
    alone = np.array([subnet.standalone for subnet in subnets])
    means = alone.mean(axis=1)
    tau = kendall_tau(inherited, means)
    interval = _interval(inherited, means, np.random.default_rng(seed))
    pairs = [(i, j) for i in range(alone.shape[1]) for j in range(i)]
    between = [t for i, j in pairs if (t := kendall_tau(alone[:, i], alone[:, j])) is not None]
    ceiling = float(np.mean(between)) if between else None
    centre = float(inherited.mean())
    noise = math.sqrt(centre * (1 - centre) / images)
    verdict, reason = _judge(len(subnets), tau, interval, float(inherited.std()), float(means.std()), noise)
    return Audit(
        subnets=tuple(subnets),
        tau=tau,
        tau_interval=interval,
        ceiling=ceiling,
        inherited_range=(float(inherited.min()), float(inherited.max())),
        standalone_range=(float(means.min()), float(means.max())),
        noise=noise,
        verdict=verdict,
        reason=reason,
    )


def kendall_tau(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Kendall's τ-b (1945), which corrects for ties; None where either does not vary."""
    taus = _taus(_signs(first)[None], _signs(second)[None])
    return float(taus[0]) if len(taus) else None


def _signs(values: NDArray[np.float64]) -> NDArray[np.int8]:
    """(n, n): of all differences."""
    signs: NDArray[np.int8] = np.sign(values[:, None] - values[None, :]).astype(np.int8)
    return signs


def _taus(one: NDArray[np.int8], two: NDArray[np.int8]) -> NDArray[np.float64]:
    """From signs, (samples, n, n) each; without the samples in which either does not vary."""
    pairs = np.sqrt(np.abs(one).sum((1, 2), dtype=np.float64) * np.abs(two).sum((1, 2), dtype=np.float64))
    agreement = (one * two).sum((1, 2), dtype=np.float64)
    taus: NDArray[np.float64] = agreement[pairs > 0] / pairs[pairs > 0]
    return taus


def _interval(
    first: NDArray[np.float64], second: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, float] | None:
    draws = rng.integers(len(first), size=(_RESAMPLES, len(first)))
    rows, columns = draws[:, :, None], draws[:, None, :]
    taus = _taus(_signs(first)[rows, columns], _signs(second)[rows, columns])
    if not len(taus):
        return None
    low, high = np.percentile(taus, [2.5, 97.5])
    return float(low), float(high)


def _judge(
    n: int, tau: float | None, interval: tuple[float, float] | None, spread: float, spread_alone: float, noise: float
) -> tuple[Verdict, str]:
    if n < _FEWEST:
        return "insufficient", f"{n} networks are too few for a statement; at least {_FEWEST} are needed"
    if tau is None or interval is None or min(spread, spread_alone) <= noise:
        return "insufficient", (
            f"accuracies spread by {100 * min(spread, spread_alone):.1f} points, no more than the error of one: "
            "nothing to rank; take a harder problem, more validation images or a wider space"
        )
    low, high = interval
    figures = f"τ = {tau:.2f} ({low:.2f} to {high:.2f})"
    if low >= _GOOD_TAU:
        return "ranks", f"{figures}: inherited accuracy ranks networks"
    if low > 0:
        return "ranks weakly", f"{figures}: better than chance; train the winners alone before choosing among them"
    if high < _GOOD_TAU:
        return "does not rank", f"{figures}: inherited accuracy says little; train the supernet longer"
    return "insufficient", f"{figures}: {n} networks cannot tell it from chance; audit more of them"
