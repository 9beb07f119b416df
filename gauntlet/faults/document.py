"""A fault campaign for programs, as one JSON document; flat tables are in `gauntlet.faults.tables`.

A figure is ``{"value": …, "interval": {…} | null, "origin": …}`` as in `gauntlet.results_json`; one that is missing has
the value null and says why under ``unavailable``. Origins are told apart: *measured*; *estimated*, computed from what
was measured and from rates that the user gave; *predicted*, what a proposal promises.
"""

from __future__ import annotations

import math

from fault_injection.campaign import Summary
from fault_injection.statistics import Estimate, Interval, YieldCurve
from fault_injection.upsets import WrongAnswers
from fault_injection.vulnerability import Outcome
from gauntlet.faults import wording
from gauntlet.faults.result import DeviceResult, FaultCampaign, Series, Trial
from gauntlet.faults.settings import FaultSettings
from gauntlet.faults.tables import table_rows, write_parquet
from gauntlet.results_json import SCHEMA_VERSION, Document

__all__ = ["campaign_document", "table_rows", "write_parquet"]

_MEASURED, _ESTIMATED, _PREDICTED = "measured", "estimated", "predicted"
_ONE_PATTERN = "a single pattern has no spread"
_TOP5 = "fewer than six classes, as far as is known"


def campaign_document(campaign: FaultCampaign) -> Document:
    """A campaign as strict JSON has it: no NaN, no infinity. What single images did stays in the folder's log."""
    settings = campaign.settings
    return {
        "schema_version": SCHEMA_VERSION,
        "software_version": campaign.software_version,
        "model": {"name": settings.model.name, "digest": campaign.model_digest},
        "data": {"name": settings.data.name, "digest": campaign.data_digest},
        "settings": _settings(settings),
        "tensors": dict(campaign.sizes),
        "devices": [_device(campaign, device) for device in campaign.devices],
    }


def _settings(settings: FaultSettings) -> Document:
    precision, service = settings.precision, settings.service
    return {
        "confidence": precision.confidence,
        "half_width": precision.half_width,
        "min_patterns": precision.least,
        "max_patterns": precision.most,
        "devices": list(settings.devices),
        "runtime": settings.runtime or None,
        "threads": settings.threads,
        "delegate": settings.delegate,
        "batch": settings.batch,
        "seed": settings.seed,
        "map": None
        if settings.map is None
        else {"place": settings.place.value, "margin": settings.map.margin, "images": settings.map.images or None},
        "protect": None
        if settings.protect is None
        else {"budgets": list(settings.protect.budgets), "cost": settings.protect.cost},
        "service": None
        if service is None
        else {
            "fit_per_mbit": service.fit_per_mbit,
            "inferences_per_s": service.inferences_per_s,
            "scrub_s": service.scrub_s,
            "residency": service.residency,
        },
    }


def _device(campaign: FaultCampaign, device: DeviceResult) -> Document:
    confidence, missing = campaign.confidence, dict(wording.not_measured(campaign, device))
    return {
        "device_id": device.device_id,
        "provenance": dict(device.provenance),
        "clean_accuracy": _number(wording.clean_accuracy(device), "no condition was measured"),
        "samples": wording.samples(device),
        "conditions": [_series(series, confidence) for series in device.series],
        "map": _map(device, confidence, missing.get("vulnerability map", "")),
        "wrong_answers": _absent(missing["wrong answers in the field"], _ESTIMATED)
        if device.wrong_answers is None
        else _wrong_answers(device.wrong_answers),
        "protection": [_trial(device, trial, confidence) for trial in device.trials]
        or _absent(missing["protection"], _MEASURED),
    }


def _series(series: Series, confidence: float) -> Document:
    plan, outcomes = series.condition.plan, series.outcomes
    document: Document = {
        "condition": str(plan.model),
        "key": series.condition.key,
        "sweep": series.condition.sweep or None,
        "rate": series.condition.rate if series.condition.sweep else None,
        "plan": plan.to_dict(),
        "tensors": list(series.sites),
        "stop_reason": series.stop or None,
        "samples": outcomes.samples,
    }
    if not len(outcomes):
        return {**document, "figures": _absent(wording.NOT_YET, _MEASURED), "patterns": []}
    return {
        **document,
        "clean_accuracy": outcomes.clean_accuracy,
        "figures": _figures(series.summary(confidence), outcomes.samples, confidence),
        "patterns": [
            {
                "number": number,
                "faults": outcomes.faults[number],
                "accuracy": accuracy,
                "changed": outcomes.changed[number],
                "critical": outcomes.critical[number],
                "outside_top5": outcomes.outside_top5[number] if outcomes.outside_top5 is not None else None,
                "non_finite": outcomes.non_finite[number],
                "digest": outcomes.digests[number],
            }
            for number, accuracy in enumerate(outcomes.accuracies)
        ],
    }


def _figures(summary: Summary, samples: int, confidence: float) -> Document:
    patterns, why = summary.patterns, wording.missing_figures(summary, samples, confidence)
    return {
        "patterns": patterns,
        "accuracy": _figure(summary.accuracy, patterns, no_interval=_ONE_PATTERN),
        "accuracy_over_images": _limits(summary.over_images, why.get("interval over samples", "")),
        "accuracy_over_both": _limits(summary.over_both, why.get("interval over both", "")),
        "drop": _figure(summary.drop, patterns, no_interval=_ONE_PATTERN),
        "sdc1": _figure(summary.changed, patterns, no_interval=_ONE_PATTERN),
        "critical": _figure(summary.critical, patterns, no_interval=_ONE_PATTERN),
        "sdc5": _figure(summary.outside_top5, patterns, why.get("SDC-5", ""), no_interval=_ONE_PATTERN),
        "non_finite": _number(summary.non_finite, ""),
        "faults_per_pattern": _number(summary.faults, ""),
        "quantiles": [
            {"share": share, "accuracy": _figure(quantile, patterns, wording.too_few(patterns, confidence))}
            for share, quantile in summary.quantiles.items()
        ],
        "worst_5_percent": _number(summary.worst_5_percent, why.get("worst 5 %", "")),
        "yield": _absent(why["yield"], _MEASURED) if summary.yields is None else _yield(summary.yields),
    }


def _yield(curve: YieldCurve) -> Document:
    return {
        "accuracy": curve.thresholds.tolist(),
        "share_of_chips": curve.shares.tolist(),
        "low": curve.low.tolist(),
        "high": curve.high.tolist(),
        "confidence": curve.confidence,
        "method": "Dvoretzky, Kiefer, Wolfowitz and Massart, for all thresholds at once",
        "origin": _MEASURED,
    }


def _map(device: DeviceResult, confidence: float, reason: str) -> Document:
    found = device.map
    if found is None:
        return _absent(reason, _MEASURED)
    outcomes = [outcome for outcome in Outcome if outcome is not Outcome.SDC5 or wording.has_top5(device)]
    strata = {outcome: found.by_stratum(outcome, confidence) for outcome in outcomes}
    sites = {outcome: found.by_site(outcome, confidence) for outcome in outcomes}
    bits = {outcome: found.by_bit(outcome, confidence) for outcome in outcomes}
    return {
        "samples": device.map_samples,
        "strata": [
            {
                "tensor": result.stratum.site,
                "bit": result.stratum.bit,
                "population": result.stratum.population,
                "injections": result.injections,
                "distinct": result.distinct,
                **_each(outcomes, {o: strata[o][result.stratum.site, result.stratum.bit] for o in outcomes}),
                "tallies": {
                    outcome.value: {"total": tally.total, "squares": tally.squares, "hits": tally.hits}
                    for outcome, tally in result.tallies.items()
                },
            }
            for result in found.results
        ],
        "by_tensor": [
            {"tensor": site, **_each(outcomes, {o: sites[o][site] for o in outcomes})} for site in sites[Outcome.SDC1]
        ],
        "by_bit": [
            {"bit": bit, **_each(outcomes, {o: bits[o][bit] for o in outcomes})} for bit in sorted(bits[Outcome.SDC1])
        ],
        "overall": _each(outcomes, {o: found.overall(o, confidence) for o in outcomes}),
    }


def _each(outcomes: list[Outcome], found: dict[Outcome, Estimate]) -> Document:
    missing = {o.value: _absent(_TOP5, _MEASURED) for o in Outcome if o not in outcomes}
    return {**{o.value: _figure(found[o], no_interval="a single upset has no spread") for o in outcomes}, **missing}


def _wrong_answers(found: WrongAnswers) -> Document:
    harmless = "no upset that was tried did harm: only a lower limit is known"
    return {
        "upsets_per_s": _number(found.upsets_per_s, "", _ESTIMATED),
        "harmful_upsets_per_s": _figure(found.harmful_upsets_per_s, origin=_ESTIMATED),
        "wrong_answers_per_s": _figure(found.wrong_answers_per_s, origin=_ESTIMATED),
        "time_to_first_s": _figure(found.time_to_first_s, reason=harmless, origin=_ESTIMATED),
        "time_between_s": _figure(found.time_between_s, reason=harmless, origin=_ESTIMATED),
    }


def _trial(device: DeviceResult, trial: Trial, confidence: float) -> Document:
    bare, proposal = wording.unprotected(device), trial.proposal
    gain = None if bare is None or bare is trial else wording.gain(trial, bare, confidence)
    nothing = "nothing is protected by choice"
    return {
        "protection": trial.name,
        "budget": trial.budget if proposal is not None else None,
        "extra_memory": 0.0 if proposal is None else proposal.overhead,
        "protected_bits": None if proposal is None else proposal.protection.to_dict(),
        "harm_left": _number(None if proposal is None else proposal.harm_left, nothing, _PREDICTED),
        "harm_bound": _number(None if proposal is None else proposal.harm_bound, nothing, _PREDICTED),
        "gain": _figure(gain, reason="this is what others are compared with" if bare is trial else wording.NOT_YET),
        **_series(trial.series, confidence),
    }


def _figure(
    estimate: Estimate | None,
    samples: int | None = None,
    reason: str = "",
    *,
    no_interval: str = "",
    origin: str = _MEASURED,
) -> Document:
    """A value with its interval; null with the reason if there is none, or none that is finite."""
    if estimate is None:
        return _absent(reason, origin)
    counted = {} if samples is None else {"samples": samples}
    document: Document = {"value": estimate.value, **counted, **_limits(estimate.interval, no_interval, origin)}
    if not math.isfinite(estimate.value):
        document |= {"value": None, "unavailable": reason}
    return document


def _limits(interval: Interval | None, reason: str, origin: str = _MEASURED) -> Document:
    if interval is None:
        return {"interval": None, "interval_unavailable": reason or "not known", "origin": origin}
    limits: Document = {
        "low": interval.low if math.isfinite(interval.low) else None,
        "high": interval.high if math.isfinite(interval.high) else None,
        "confidence": interval.confidence,
        "method": interval.method,
    }
    unbounded = [end for end in ("low", "high") if limits[end] is None]
    if unbounded:
        limits["unavailable"] = f"no finite limit: {', '.join(unbounded)}"
    return {"interval": limits, "origin": origin}


def _number(value: float | None, reason: str, origin: str = _MEASURED) -> Document:
    return _absent(reason, origin) if value is None else {"value": value, "origin": origin}


def _absent(reason: str, origin: str) -> Document:
    return {"value": None, "unavailable": reason, "origin": origin}
