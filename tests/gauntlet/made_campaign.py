"""Fault campaigns made up from a seed, for what is made of their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fault_injection.campaign import Outcomes
from fault_injection.models import Place
from fault_injection.precision import Precision
from fault_injection.protection import TMR, propose
from fault_injection.vulnerability import Outcome, Stratum, StratumResult, VulnerabilityMap
from gauntlet.faults import mapping
from gauntlet.faults.result import DeviceResult, FaultCampaign, Series, Trial
from gauntlet.faults.settings import (
    Condition,
    FaultSettings,
    MapSettings,
    ProtectSettings,
    ServiceSettings,
    conditions,
)

CLEAN, SAMPLES = 0.912, 500
TENSORS = ("conv1", "block1/conv1", "block1/conv2", "block2/conv1", "block2/conv2", "dense")
FIELD = ServiceSettings(600.0, 10.0, 3600.0)


def outcomes(
    mean: float, spread: float, patterns: int, seed: int, *, faults: float = 100, samples: int = SAMPLES,
    top5: bool = True, non_finite: int = 0,
) -> Outcomes:  # fmt: skip
    """Patterns around a mean accuracy."""
    rng = np.random.default_rng(seed)
    clean = round(CLEAN * samples) / samples
    shares = np.clip(rng.normal(mean, spread, patterns), 0.0, clean)
    easy = np.sort(rng.random(samples))
    right = np.zeros((patterns, samples), bool)
    for row, share in zip(right, shares, strict=True):
        keys = easy + rng.normal(0, 0.15, samples)
        row[np.argsort(keys)[: round(share * samples)]] = True
    lost = [int(round(clean * samples) - row.sum()) for row in right]
    return Outcomes(
        samples,
        clean,
        [float(row.mean()) for row in right],
        [int(n) for n in rng.poisson(faults, patterns)],
        [int(1.15 * n) for n in lost],
        lost,
        [n // 4 for n in lost] if top5 else None,
        [int(n) for n in rng.integers(0, non_finite + 1, patterns)],
        [f"{seed:04x}{k:012x}" for k in range(patterns)],
        right.sum(0).astype(np.int64),
    )


def made_map(tensors: Sequence[str] = TENSORS, injections: int = 96, seed: int = 3) -> VulnerabilityMap:
    """High bits and early layers do harm."""
    rng = np.random.default_rng(seed)
    results = []
    for place, name in enumerate(tensors):
        for bit in range(8):
            harm = 0.3 * 2.0 ** (bit - 7) / (1 + 0.6 * place)
            hurt = rng.random(injections) < (0.05 + 0.5 * harm if bit > 2 else 0.0)
            lost = np.where(hurt, np.round(100 * np.clip(rng.exponential(harm, injections), 0, 1)) / 100, 0.0)
            stratum = Stratum(name, bit, 432 * (1 + place) ** 2)
            tallies = dict.fromkeys(Outcome, lost) | {Outcome.NON_FINITE: np.zeros(injections)}
            tallies[Outcome.SDC1] = np.minimum(1.0, lost * 1.1)
            results.append(StratumResult.of(stratum, tallies))
    return VulnerabilityMap(tuple(results))


def curve(chosen: Sequence[Condition], seed: int, *, patterns: int = 60, top5: bool = True) -> list[Series]:
    """Accuracy that falls with the rate."""
    found = []
    for number, condition in enumerate(chosen):
        rate = condition.rate
        fallen = 1 / (1 + (rate / 3e-4) ** 0.9)
        mean = 0.1 + (CLEAN - 0.1) * fallen
        spread = 0.0 if not rate else 0.002 + 0.11 * fallen * (1 - fallen) * 4 * 0.7
        drawn = outcomes(mean, spread, patterns, seed + number, faults=2_157_776 * rate or 1, top5=top5)
        found.append(Series(condition, drawn, ("conv1", "dense"), "cap" if spread > 0.04 else "precise"))
    return found


def trials(device: DeviceResult, condition: Condition, budgets: Sequence[float], seed: int = 50) -> list[Trial]:
    """None, range clipping, and TMR that helps."""
    assert device.map is not None
    found = [
        Trial(0.0, "none", Series(condition, outcomes(0.55, 0.09, 60, seed), (), "precise")),
        Trial(0.0, "range clipping", Series(condition, outcomes(0.61, 0.08, 60, seed), (), "precise")),
    ]
    for budget, proposal in zip(budgets, propose(device.map, TMR, budgets), strict=True):
        mean = 0.55 + 0.35 * (1 - proposal.harm_left)
        series = Series(condition, outcomes(mean, 0.09 * proposal.harm_left + 0.004, 60, seed), (), "precise")
        found.append(Trial(budget, "TMR", series, proposal))
    return found


def settings(chosen: tuple[Condition, ...], *, model: str = "resnet20.tflite") -> FaultSettings:
    """As they would be asked."""
    return FaultSettings(
        Path("models") / model,
        Path("data") / "cifar-test.npz",
        chosen,
        Precision(0.01, 0.95, 30, 200),
        map=MapSettings(0.1, 100),
        protect=ProtectSettings((0.05, 0.1, 0.25, 0.5)),
        service=FIELD,
        place=Place.WEIGHTS,
    )


def whole(devices: Sequence[str] = ("bench-1",), tensors: Sequence[str] = TENSORS) -> FaultCampaign:
    """Everything that may be asked for."""
    chosen = (
        conditions(["MiBB"], rates="1e-6:1e-4")
        + conditions(["adSAF(p=0.08)", "SEU"])
        + conditions(["iBF"], rates="1e-6:1e-3:7")
    )
    campaign = FaultCampaign(settings(chosen), "ab" * 32, "cd" * 32, "0.1.0", sizes=dict.fromkeys(tensors, 4608))
    for place, name in enumerate(devices):
        runtime = {"class": "x86_64", "runtime": "litert 2.3.0", "delegate": "xnnpack", "threads": "1"}
        device = DeviceResult(name, runtime)
        device.series = curve(chosen, 100 * place)
        device.map = made_map(tensors, seed=3 + place)
        device.map_samples = 100
        device.wrong_answers = mapping.in_the_field(device.map, FIELD, 0.95)
        device.trials = trials(device, chosen[-1], (0.05, 0.1, 0.25, 0.5))
        campaign.devices.append(device)
    return campaign


def plain(series: list[Series], *, model: str = "resnet20.tflite", device: str = "bench-1") -> FaultCampaign:
    """Accuracy alone: no map, no protection, no field."""
    asked = FaultSettings(
        Path(model), Path("data.npz"), tuple(entry.condition for entry in series), Precision(0.01, 0.95, 2, 200)
    )
    return FaultCampaign(
        asked, "ab" * 32, "cd" * 32, "0.1.0", [DeviceResult(device, {"runtime": "litert 2.3.0"}, series)]
    )
