"""Columns of what a result tells several times: rails, series of the machine's state, operators, processes.

Lists beside each other have an entry for each of them, in the same order; an entry that is missing is null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gauntlet.results.column import Column
from gauntlet.results.estimates import FigureGroup
from gauntlet.results_json import process_spread, why_missing
from protos.figures import value_of
from protos.gauntlet.v1 import job_pb2, measurement_pb2
from protos.timed import timed_parts

_Result = measurement_pb2.MeasurementResult
_Of = Callable[[job_pb2.Job], Any]


def _told(part: str, of: Callable[[_Result], Any]) -> _Of:
    """Of a part of the result; None without that part."""
    return lambda job: of(job.result) if job.result.HasField(part) else None


def _energy(of: Callable[[measurement_pb2.EnergyResult], Any]) -> _Of:
    """Of energy that was measured; None where there was no meter."""
    return lambda job: of(job.result.energy) if job.result.energy.source else None


def _operators(field: str) -> _Of:
    def of(job: job_pb2.Job) -> Any:
        values = [getattr(operator, field) for operator in job.result.profile.operators]
        return [None if value == "" else value for value in values] or None

    return of


def _latency(of: Callable[[measurement_pb2.LatencyResult], Any]) -> _Of:
    return _told("latency", lambda result: of(result.latency))


def _comparison(of: Callable[[measurement_pb2.ComparisonResult], Any]) -> _Of:
    return _told("comparison", lambda result: of(result.comparison))


ENERGY = (
    Column("energy_rails", "strings", "", "rails that were watched", _energy(lambda e: [r.name for r in e.rails])),
    Column(
        "energy_rails_energy_j",
        "floats",
        "J",
        "of one inference on each, gross of the idle power",
        _energy(lambda e: [r.energy_j for r in e.rails]),
    ),
    Column(
        "energy_rails_counted",
        "bools",
        "",
        "is each part of the total?",
        _energy(lambda e: [r.counted for r in e.rails]),
    ),
    Column("energy_idle_before_w", "float", "W", "idle power before the window", _energy(lambda e: e.idle_before_w)),
    Column("energy_idle_after_w", "float", "W", "idle power after it", _energy(lambda e: e.idle_after_w)),
    Column("energy_batches", "int", "", "parts whose spread gives the intervals", _energy(lambda e: e.batches)),
)

#: What is watched: quantity as in the result, the columns' name and unit, in words.
_QUANTITIES = (
    ("temperature_c", "temperature", "_c", "°C", "temperature"),
    ("frequency_hz", "frequency", "_hz", "Hz", "clock"),
    ("power_w", "power", "_w", "W", "power"),
    ("resident_bytes", "resident", "_bytes", "B", "resident memory"),
    ("throttle_count", "throttle_count", "", "", "throttle events"),
    ("cooling_state", "cooling_state", "", "", "steps of the processor's cooling devices"),
)
_POINTS = (
    ("start", "at the start"),
    ("lowest", "the least"),
    ("peak", "the most"),
    ("end", "at the end"),
)


def _series(quantity: str, of: Callable[[measurement_pb2.Series], Any]) -> _Of:
    return _told("conditions", lambda r: [of(series) for series in r.conditions.series if series.quantity == quantity])


def _point(quantity: str, point: str) -> _Of:
    return _series(quantity, lambda series: value_of(getattr(series, point)))


def _watched(quantities: Sequence[tuple[str, str, str, str, str]]) -> Iterator[Column]:
    for quantity, name, suffix, unit, words in quantities:
        column = f"conditions_{name}"
        yield Column(
            f"{column}_sources", "strings", "", f"where {words} were read", _series(quantity, lambda s: s.source)
        )
        for point, when in _POINTS:
            meaning = f"{words} of each source while it was measured, {when}"
            yield Column(f"{column}_{point}{suffix}", "floats", unit, meaning, _point(quantity, point))


def _conditions_missing(job: job_pb2.Job) -> str | None:
    if job.result.HasField("conditions"):
        return None
    windows = [part for part in timed_parts(job.spec.measurement) if part != "comparison"]
    return why_missing(job, windows[0]) if windows else "only watched in timed windows"


CONDITIONS = (
    *_watched(_QUANTITIES),
    Column(
        "conditions_samples_digest",
        "string",
        "",
        "artifact of all samples",
        _told("conditions", lambda r: r.conditions.samples.digest or None),
    ),
    Column("conditions_missing", "string", "", "why the machine was not watched", _conditions_missing),
)

#: Watched later than the others.
LIMITS = tuple(_watched([("frequency_limit_hz", "frequency_limit", "_hz", "Hz", "clock that is allowed")]))

PROFILE = (
    Column("profile_operator_types", "strings", "", "operators in the order in which they ran", _operators("type")),
    Column("profile_operator_names", "strings", "", "of each, where the runtime tells it", _operators("name")),
    Column("profile_operator_delegates", "strings", "", "what ran each", _operators("delegate")),
    Column("profile_operator_times_s", "floats", "s", "time of each in a typical inference", _operators("time_s")),
    Column("profile_operator_shares", "floats", "1", "of each in that inference", _operators("share")),
    Column("profile_source", "string", "", "whose clock it is", _told("profile", lambda r: r.profile.source or None)),
    Column(
        "profile_resolution_s",
        "float",
        "s",
        "of that clock: an operator may read this much too short",
        lambda job: job.result.profile.resolution_s if job.result.profile.operators else None,
    ),
)

COMPARISON = (
    Column(
        "comparison_model_name",
        "string",
        "",
        "file name of model B",
        lambda job: job.spec.measurement.comparison.model.name or None,
    ),
    Column("comparison_processes", "int", "", "fresh processes that it took", _comparison(lambda c: len(c.runs))),
    Column(
        "comparison_process_ratios",
        "floats",
        "1",
        "B over A in each process",
        _comparison(lambda c: [value_of(run.ratio) for run in c.runs]),
    ),
    Column(
        "comparison_segments_digests",
        "strings",
        "",
        "artifact of each process's raw segments",
        _comparison(lambda c: [run.segments.digest for run in c.runs]),
    ),
)

LATENCY: tuple[Column | FigureGroup, ...] = (
    Column(
        "latency_processes",
        "int",
        "",
        "load, first inference, median and mean are means over so many processes",
        _latency(lambda latency: max(1, len(latency.runs))),
    ),
    FigureGroup(
        "latency_process_spread",
        "1",
        "deviation of the median's logarithm between processes",
        "latency",
        lambda result: process_spread(result.latency),
        interval=False,
    ),
    Column(
        "latency_process_medians_s",
        "floats",
        "s",
        "median of each process, where there were several",
        _latency(lambda latency: [value_of(run.median_s) for run in latency.runs] or None),
    ),
)
