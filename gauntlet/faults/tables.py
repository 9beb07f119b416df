"""A fault campaign as flat tables, one row for each pattern, condition, stratum and trial of protection; as Parquet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fault_injection.statistics import Estimate
from fault_injection.vulnerability import Outcome
from gauntlet.faults import wording
from gauntlet.faults.result import DeviceResult, FaultCampaign, Series

Row = dict[str, Any]

_CONDITION = {
    "device": "string",
    "condition": "string",
    "key": "string",
    "sweep": "string",
    "rate": "float64",
    "position": "string",
    "scale": "string",
    "lifetime": "string",
    "duty": "float64",
    "seed": "uint64",
}
_FIGURES = ("accuracy", "drop", "changed", "critical", "outside_top5")
_COLUMNS: dict[str, dict[str, str]] = {
    "patterns": {
        **_CONDITION,
        "pattern": "int64",
        "faults": "int64",
        "accuracy": "float64",
        "clean_accuracy": "float64",
        "samples": "int64",
        "changed": "int64",
        "critical": "int64",
        "outside_top5": "int64",
        "non_finite": "int64",
        "digest": "string",
    },
    "conditions": {
        **_CONDITION,
        "patterns": "int64",
        "stop_reason": "string",
        "samples": "int64",
        "clean_accuracy": "float64",
        **{f"{name}{end}": "float64" for name in _FIGURES for end in ("", "_low", "_high")},
        "images_low": "float64",
        "images_high": "float64",
        "both_low": "float64",
        "both_high": "float64",
        "worst_5_percent": "float64",
        "median": "float64",
        "non_finite": "float64",
        "faults": "float64",
        "confidence": "float64",
    },
    "map": {
        "device": "string",
        "tensor": "string",
        "bit": "int64",
        "population": "int64",
        "injections": "int64",
        "samples": "int64",
        **{f"{name}{end}": "float64" for name in ("sdc1", "critical") for end in ("", "_low", "_high")},
        "non_finite": "float64",
        "confidence": "float64",
    },
    "protection": {
        **_CONDITION,
        "protection": "string",
        "budget": "float64",
        "extra_memory": "float64",
        "predicted_harm_left": "float64",
        "predicted_harm_bound": "float64",
        "patterns": "int64",
        "stop_reason": "string",
        **{f"{name}{end}": "float64" for name in ("accuracy", "gain") for end in ("", "_low", "_high")},
        "clean_accuracy": "float64",
        "confidence": "float64",
    },
}


def table_rows(campaign: FaultCampaign) -> dict[str, list[Row]]:
    """Flat rows for each of the tables patterns, conditions, map and protection; missing values are None."""
    rows: dict[str, list[Row]] = {name: [] for name in _COLUMNS}
    for device in campaign.devices:
        for series in wording.measured(device.series):
            rows["patterns"] += _pattern_rows(device, series)
            rows["conditions"].append(_condition_row(device, series, campaign.confidence))
        rows["map"] += _map_rows(device, campaign.confidence)
        rows["protection"] += _protection_rows(device, campaign.confidence)
    return rows


def write_parquet(campaign: FaultCampaign, folder: Path) -> list[Path]:
    """Write the tables that have a row, each whole or not at all.

    Args:
        campaign: whole or as far as it has come.
        folder: made if need be; older files are replaced.

    Returns:
        The files.
    """
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "gauntlet.software_version": campaign.software_version,
        "gauntlet.model": f"{campaign.settings.model.name} {campaign.model_digest}",
        "gauntlet.data": f"{campaign.settings.data.name} {campaign.data_digest}",
    }
    written = []
    for name, rows in table_rows(campaign).items():
        if not rows:
            continue
        schema = pa.schema([(column, getattr(pa, kind)()) for column, kind in _COLUMNS[name].items()], about)
        path = folder / f"{name}.parquet"
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            pq.write_table(pa.Table.from_pylist(rows, schema), partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        written.append(path)
    return written


def _plan_row(device: DeviceResult, series: Series) -> Row:
    condition, plan = series.condition, series.condition.plan
    assert plan.position is not None
    assert plan.lifetime is not None
    return {
        "device": device.device_id,
        "condition": str(plan.model),
        "key": condition.key,
        "sweep": condition.sweep or None,
        "rate": condition.rate if condition.sweep else None,
        "position": plan.position.value,
        "scale": plan.scale.value,
        "lifetime": plan.lifetime.value,
        "duty": plan.duty,
        "seed": plan.seed,
    }


def _pattern_rows(device: DeviceResult, series: Series) -> list[Row]:
    about, outcomes = _plan_row(device, series), series.outcomes
    return [
        {
            **about,
            "pattern": number,
            "faults": outcomes.faults[number],
            "accuracy": accuracy,
            "clean_accuracy": outcomes.clean_accuracy,
            "samples": outcomes.samples,
            "changed": outcomes.changed[number],
            "critical": outcomes.critical[number],
            "outside_top5": outcomes.outside_top5[number] if outcomes.outside_top5 is not None else None,
            "non_finite": outcomes.non_finite[number],
            "digest": outcomes.digests[number],
        }
        for number, accuracy in enumerate(outcomes.accuracies)
    ]


def _condition_row(device: DeviceResult, series: Series, confidence: float) -> Row:
    summary, outcomes = series.summary(confidence), series.outcomes
    row = {
        **_plan_row(device, series),
        "patterns": summary.patterns,
        "stop_reason": series.stop or None,
        "samples": outcomes.samples,
        "clean_accuracy": outcomes.clean_accuracy,
        "worst_5_percent": summary.worst_5_percent,
        "non_finite": summary.non_finite,
        "faults": summary.faults,
        "confidence": confidence,
    }
    for name in _FIGURES:
        row |= _columns(name, getattr(summary, name))
    for name, interval in (("images", summary.over_images), ("both", summary.over_both)):
        row |= {f"{name}_low": interval and interval.low, f"{name}_high": interval and interval.high}
    median = summary.quantiles.get(0.5)
    return {**row, "median": median and median.value}


def _map_rows(device: DeviceResult, confidence: float) -> list[Row]:
    if device.map is None:
        return []
    found = {outcome: device.map.by_stratum(outcome, confidence) for outcome in Outcome}
    return [
        {
            "device": device.device_id,
            "tensor": result.stratum.site,
            "bit": result.stratum.bit,
            "population": result.stratum.population,
            "injections": result.injections,
            "samples": device.map_samples,
            **_columns("sdc1", found[Outcome.SDC1][result.stratum.site, result.stratum.bit]),
            **_columns("critical", found[Outcome.CRITICAL][result.stratum.site, result.stratum.bit]),
            "non_finite": found[Outcome.NON_FINITE][result.stratum.site, result.stratum.bit].value,
            "confidence": confidence,
        }
        for result in device.map.results
    ]


def _protection_rows(device: DeviceResult, confidence: float) -> list[Row]:
    bare, rows = wording.unprotected(device), []
    for trial in device.trials:
        if not len(trial.series.outcomes):
            continue
        summary, proposal = trial.series.summary(confidence), trial.proposal
        gain = None if bare is None or bare is trial else wording.gain(trial, bare, confidence)
        rows.append(
            {
                **_plan_row(device, trial.series),
                "protection": trial.name,
                "budget": None if proposal is None else trial.budget,
                "extra_memory": 0.0 if proposal is None else proposal.overhead,
                "predicted_harm_left": proposal and proposal.harm_left,
                "predicted_harm_bound": proposal and proposal.harm_bound,
                "patterns": summary.patterns,
                "stop_reason": trial.series.stop or None,
                **_columns("accuracy", summary.accuracy),
                **_columns("gain", gain),
                "clean_accuracy": trial.series.outcomes.clean_accuracy,
                "confidence": confidence,
            }
        )
    return rows


def _columns(name: str, estimate: Estimate | None) -> Row:
    interval = estimate and estimate.interval
    return {
        name: estimate and estimate.value,
        f"{name}_low": interval and interval.low,
        f"{name}_high": interval and interval.high,
    }
