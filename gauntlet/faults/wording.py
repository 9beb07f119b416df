"""What document, terminal and report say alike: names, groups, shares of chips, and why a figure is missing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fault_injection.campaign import Summary
from fault_injection.errors import FaultError
from fault_injection.models import rate_name
from fault_injection.plan import FaultPlan, Lifetime, Position, Scale
from fault_injection.precision import mean_and_half_width
from fault_injection.statistics import Estimate, Interval, YieldCurve
from gauntlet.faults.result import DeviceResult, FaultCampaign, Series, Trial
from gauntlet.faults.settings import ServiceSettings

#: Of accuracy, that a chip may lose to count as good.
LOSSES = (0.01, 0.02, 0.05, 0.10)
NOT_ASKED, NOT_YET = "not asked for", "not measured yet"
_POSITIONS = {
    Position.WEIGHTS: "weights",
    Position.BEFORE_ACTIVATION: "features before the activation",
    Position.AFTER_ACTIVATION: "features after the activation",
}
_TIMES = (
    (1e9 * 31_557_600.0, "billion years"),
    (1e6 * 31_557_600.0, "million years"),
    (31_557_600.0, "years"),
    (86_400.0, "days"),
    (3_600.0, "hours"),
    (60.0, "minutes"),
    (1.0, "s"),
    (1e-3, "ms"),
)
_ROUNDING = 1e-9
_NAMED = 3


@dataclass(frozen=True)
class Sweep:
    """Conditions of one device that differ in their rate alone.

    Attributes:
        title: the fault model, without its rate where there is one.
        place: what it strikes, for how long, and what else narrows it down.
        rate: name of the rate; empty for a model without one.
        series: by rate, at least one.
    """

    title: str
    place: str
    rate: str
    series: tuple[Series, ...]


def sweeps(series: Iterable[Series]) -> list[Sweep]:
    """Groups of conditions, in the order in which they were asked."""
    groups: dict[tuple[str, str], list[Series]] = {}
    for entry in series:
        plan = entry.condition.plan
        groups.setdefault((entry.condition.sweep or str(plan.model), described(plan)), []).append(entry)
    return [
        Sweep(title.removesuffix("()"), place, rate_of(members[0].condition.plan), tuple(sorted(members, key=_by_rate)))
        for (title, place), members in groups.items()
    ]


def rate_of(plan: FaultPlan) -> str:
    """The name of a model's rate; empty if it has none."""
    try:
        return rate_name(plan.model)
    except FaultError:
        return ""


def described(plan: FaultPlan) -> str:
    """What a plan strikes and for how long: "weights, permanent, bits 4-7"."""
    assert plan.position is not None
    assert plan.lifetime is not None
    parts = [_POSITIONS[plan.position], plan.lifetime.value]
    if plan.lifetime is Lifetime.INTERMITTENT:
        parts[-1] += f" ({plan.duty:.4g} of the inferences)"
    if plan.scale is not Scale.DEPLOYED:
        parts.append(f"{plan.scale.value} scale")
    if plan.bits is not None:
        low, high = plan.bits
        parts.append(f"bit {low}" if low == high else f"bits {low}-{high}")
    parts += [f"only {', '.join(names)}" for names in (plan.targets, plan.operations) if names]
    return ", ".join(parts)


def brief(plan: FaultPlan) -> str:
    """A fault model without the parameters that are as usual: "iBF(p=0.001)"."""
    model = plan.model
    unusual = [
        f"{field.name}={getattr(model, field.name)}"
        for field in dataclasses.fields(model)
        if getattr(model, field.name) != field.default
    ]
    return f"{model.name}({', '.join(unusual)})" if unusual else model.name


def measured(series: Iterable[Series]) -> list[Series]:
    """Those with a pattern or more."""
    return [entry for entry in series if len(entry.outcomes)]


def clean_accuracy(device: DeviceResult) -> float | None:
    """Of the model on the whole data set without faults; None if no condition was measured."""
    return next((entry.outcomes.clean_accuracy for entry in measured(_all_series(device))), None)


def samples(device: DeviceResult) -> int | None:
    """Of the data set; None if no condition was measured."""
    return next((entry.outcomes.samples for entry in measured(_all_series(device))), None)


def has_top5(device: DeviceResult) -> bool:
    """Whether there are enough classes for SDC-5, as far as the conditions tell."""
    return any(entry.outcomes.outside_top5 for entry in measured(_all_series(device)))


def half_width(estimate: Estimate) -> float | None:
    """Of its interval, the longer side."""
    inside = estimate.interval
    return None if inside is None else max(inside.high - estimate.value, estimate.value - inside.low)


def interval_half(interval: Interval | None) -> float | None:
    """Half the width of an interval."""
    return None if interval is None else (interval.high - interval.low) / 2


def good_chips(curve: YieldCurve, accuracy: float) -> tuple[float, float, float]:
    """Share of chips that are at least so accurate, and the limits of the band there, each 0-1."""
    # 0.9 - 0.05 must find a chip of 0.85.
    place = next((k for k, at in enumerate(curve.thresholds) if at >= accuracy - _ROUNDING), None)
    if place is None:
        return 0.0, 0.0, 1 - float(curve.low[0])
    return float(curve.shares[place]), float(curve.low[place]), float(curve.high[place])


def gain(trial: Trial, bare: Trial, confidence: float) -> Estimate | None:
    """Accuracy that a protection gains, in pairs: the same faults strike both. None before both have a pattern."""
    with_it, without = trial.series.outcomes.accuracies, bare.series.outcomes.accuracies
    differences = [after - before for after, before in zip(with_it, without, strict=False)]
    if not differences:
        return None
    mean, half = mean_and_half_width(differences, confidence)
    inside = None
    if len(differences) > 1:
        inside = Interval(mean - half, mean + half, confidence, "Student's t over pairs of patterns")
    return Estimate(mean, inside)


def unprotected(device: DeviceResult) -> Trial | None:
    """The trial that the others are compared with."""
    return next((trial for trial in device.trials if trial.proposal is None and trial.name == "none"), None)


def missing_figures(summary: Summary, samples: int, confidence: float) -> dict[str, str]:
    """Why figures of a condition are missing, by what a person calls them."""
    patterns, found = summary.patterns, {}
    if summary.accuracy.interval is None:
        found["interval over patterns"] = "a single pattern has no spread"
    if summary.over_images is None:
        lack = "a single pattern was drawn" if patterns < 2 else f"there is {samples} sample"
        found["interval over samples"] = found["interval over both"] = lack
    if summary.outside_top5 is None:
        found["SDC-5"] = "fewer than six classes"
    for share, quantile in summary.quantiles.items():
        if quantile is None:
            found[f"{share:.0%} quantile".replace("%", " %")] = too_few(patterns, confidence)
    if summary.worst_5_percent is None:
        found["worst 5 %"] = "fewer than 20 patterns"
    if summary.yields is None:
        found["yield"] = "the faults are not permanent, so that a pattern is no chip"
    return found


def too_few(patterns: int, confidence: float) -> str:
    """Why a quantile is missing."""
    return f"{patterns} pattern{'s' * (patterns != 1)} cannot enclose it at {100 * confidence:g} %"


def not_measured(campaign: FaultCampaign, device: DeviceResult) -> list[tuple[str, str]]:
    """Whole parts that a device did not measure, each with the reason."""
    settings, found = campaign.settings, []
    waiting = [entry for entry in device.series if not len(entry.outcomes)]
    names = [brief(entry.condition.plan) for entry in waiting]
    if len(names) > _NAMED:
        names = [f"{len(names)} conditions"]
    found += [(f"accuracy under {name}", NOT_YET) for name in names]
    if not settings.conditions:
        found.append(("accuracy under faults", f"{NOT_ASKED}: give --fault"))
    parts = (
        ("vulnerability map", settings.map, device.map, "--map weights"),
        ("wrong answers in the field", settings.service, device.wrong_answers, "--map and --fit"),
        ("protection", settings.protect, device.trials, "--map weights and --protect"),
    )
    for name, asked, there, option in parts:
        if not there:
            found.append((name, NOT_YET if asked is not None else f"{NOT_ASKED}: give {option}"))
    return found


def grouped(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names that share a reason in one line, in the order of their first."""
    found: dict[str, list[str]] = {}
    for name, reason in pairs:
        names = found.setdefault(reason, [])
        if name not in names:
            names.append(name)
    return [(", ".join(names), reason) for reason, names in found.items()]


def long_time(seconds: float) -> str:
    """3.2e7 is "1.01 years"; what JSON and no clock can hold is "never"."""
    if math.isinf(seconds):
        return "never"
    factor, unit = next((entry for entry in _TIMES if seconds >= entry[0]), _TIMES[-1])
    number = seconds / factor
    text = f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
    return f"{text} {unit.removesuffix('s') if text == '1' and len(unit) > 2 else unit}"


def assumed(field: ServiceSettings) -> str:
    """What the time between wrong answers rests on besides the map."""
    inferences = "1 inference/s" if field.inferences_per_s == 1 else f"{field.inferences_per_s:g} inferences/s"
    return (
        f"{field.fit_per_mbit:g} FIT/Mbit, {inferences}, weights written anew every {long_time(field.scrub_s)}, "
        f"read {100 * field.residency:g} % of the time"
    )


def points(share: float) -> str:
    """0.01 is "1 point", 0.005 is "0.5 points"."""
    return f"{100 * share:g} point{'s' * (share != 0.01)}"


def shortened(name: str, width: int, head: int | None = None) -> str:
    """A long name with its middle left out.

    Args:
        name: of any length.
        width: characters to keep, the ellipsis included.
        head: how many of them at the beginning; None: half.
    """
    if len(name) <= width:
        return name
    head = (width - 1) // 2 if head is None else head
    return f"{name[:head]}…{name[len(name) - (width - 1 - head) :]}"


def short_names(names: Iterable[str], width: int) -> dict[str, str]:
    """Names that fit, each another one: what all have in common goes first, then whichever middle tells least.

    A fused layer is called after all its parts, "conv/kernel;norm/gamma"; the first part will do where it is unique.
    """
    wanted = list(dict.fromkeys(names))
    if all(len(name) <= width for name in wanted):
        return {name: name for name in wanted}
    first = [name.partition(";")[0] for name in wanted]
    short = first if len(set(first)) == len(first) else wanted
    parts = [name.split("/") for name in short]
    for end in (0, -1):
        while all(len(path) > 1 for path in parts) and len({path[end] for path in parts}) == 1 < len(parts):
            for path in parts:
                path.pop(end)
    short = ["/".join(path) for path in parts]
    middle = (width - 1) // 2
    # The nearest to the middle among those that keep most names apart.
    heads = sorted(range(width), key=lambda head: abs(head - middle))
    head = max(heads, key=lambda head: len({shortened(name, width, head) for name in short}))
    found = [shortened(name, width, head) for name in short]
    if len(set(found)) < len(found):
        found = [shortened(f"{number} {name}", width) for number, name in enumerate(found, 1)]
    return dict(zip(wanted, found, strict=True))


def _all_series(device: DeviceResult) -> list[Series]:
    return device.series + [trial.series for trial in device.trials if trial.name == "none"]


def _by_rate(series: Series) -> float:
    return series.condition.rate
