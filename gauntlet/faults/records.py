"""Write the faults of a campaign to files, drawn anew here and compared with what the device drew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fault_injection.drawing import draw_features, draw_weights
from fault_injection.models import Place
from fault_injection.plan import FaultPlan, Lifetime
from fault_injection.replay import FaultRecord
from fault_injection.space import Faults, Site, digest, fingerprint_of_features
from fault_injection.tflite.features import find_features, select_features
from fault_injection.tflite.weights import contents, find_weights
from gauntlet.faults.result import Series
from protos.contract import digest_of_bytes

#: Faults that a file of one condition may hold; the patterns beyond are known by their recipe and fingerprint.
MOST_FAULTS = 20_000_000
_TRANSIENT = "each sample has weights of its own"


@dataclass(frozen=True)
class Written:
    """What became of the faults of a condition.

    Attributes:
        path: of the file; None if none was written.
        patterns: in it, from the first on.
        remark: why some or all are not in it, or differ; empty: all are there.
    """

    path: Path | None
    patterns: int
    remark: str = ""


def sites_of(model: bytes, place: Place) -> list[Site]:
    """What faults may strike in a model's file; raises like `find_weights` and `find_features`."""
    if place is Place.WEIGHTS:
        return [weight.site for weight in find_weights(model)]
    return [feature.site for feature in find_features(model)]


def aimed_at(model: bytes, plan: FaultPlan) -> list[Site]:
    """What a plan may strike in a model's file; raises like `FaultPlan.select` and `select_features`."""
    if plan.place is Place.WEIGHTS:
        return plan.select(sites_of(model, plan.place))
    return [feature.site for feature in select_features(model, plan)]


def write(model: bytes, series: Series, path: Path) -> Written:
    """Write the faults of all patterns of a condition, as many as a file should hold.

    Args:
        model: content of its file.
        series: with the fingerprints that the device reported.
        path: of the file.
    """
    plan, samples = series.condition.plan, series.outcomes.samples
    if plan.place is Place.WEIGHTS and plan.lifetime is Lifetime.TRANSIENT:
        return Written(None, 0, _TRANSIENT)
    sites = aimed_at(model, plan)
    patterns: dict[int, list[Faults]] = {}
    kept, remark = 0, ""
    for number, faults in enumerate(_drawn(model, plan, sites, samples, len(series.outcomes))):
        if _fingerprint(plan, sites, faults) != series.outcomes.digests[number]:
            remark = f"the device drew other faults in pattern {number} than this machine does"
            break
        kept += sum(map(len, faults))
        if kept > MOST_FAULTS and patterns:
            remark = f"patterns from {number} on are too many faults for a file; plan and seed draw them again"
            break
        patterns[number] = faults
    record = FaultRecord(
        plan, digest_of_bytes(model), tuple(sites), 0 if plan.place is Place.WEIGHTS else samples, patterns
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(record.to_bytes())
    return Written(path, len(patterns), remark)


def _drawn(model: bytes, plan: FaultPlan, sites: list[Site], samples: int, count: int) -> Iterator[list[Faults]]:
    stored = contents(model, find_weights(model)) if plan.place is Place.WEIGHTS else {}
    for pattern in range(count):
        if plan.place is Place.WEIGHTS:
            yield draw_weights(plan, sites, stored, pattern)
        else:
            yield draw_features(plan, sites, pattern, range(samples))


def _fingerprint(plan: FaultPlan, sites: list[Site], faults: list[Faults]) -> str:
    """As the agent takes it."""
    if plan.place is Place.WEIGHTS:
        return digest(faults)
    return fingerprint_of_features(faults, sites)
