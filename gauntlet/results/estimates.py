"""Figures as columns: the value, its interval, what it rests on, and why it is missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gauntlet.results_json import figure_document, why_missing
from protos.gauntlet.v1 import figure_pb2, job_pb2, measurement_pb2


@dataclass(frozen=True)
class Suffix:
    """What is told of a figure.

    Attributes:
        name: behind the figure's name; empty: the value.
        type: of the column.
        unit: "as the value", or its own.
        meaning: one line.
        always: told of every figure, or only of those with an interval.
    """

    name: str
    type: str
    unit: str
    meaning: str
    always: bool


_AS_VALUE = "as the value"
SUFFIXES = (
    Suffix("", "float", _AS_VALUE, "the value; missing is never 0", True),
    Suffix("_low", "float", _AS_VALUE, "lower end of its interval", False),
    Suffix("_high", "float", _AS_VALUE, "upper end of its interval", False),
    Suffix("_confidence", "float", "1", "coverage of the interval", False),
    Suffix("_method", "string", "–", "how the interval was computed", False),
    Suffix("_samples", "int", "–", "observations behind the value", False),
    Suffix("_origin", "string", "–", "measured, predicted, estimated or replayed", True),
    Suffix("_missing", "string", "–", "why there is no value", True),
)


@dataclass(frozen=True)
class FigureGroup:
    """One figure and its columns.

    Attributes:
        name: of the value's column.
        unit: SI, or "1" for a ratio.
        meaning: one line.
        part: of the result that holds it, for example "latency".
        of: the figure in a result that has the part; None where it was not reported.
        interval: may it have one?
        asked: the part's name in the specification, where that is another; "provenance" is always asked for.
    """

    name: str
    unit: str
    meaning: str
    part: str
    of: Callable[[measurement_pb2.MeasurementResult], figure_pb2.Figure | None]
    interval: bool = True
    asked: str = ""

    def values(self, job: job_pb2.Job) -> dict[str, Any]:
        """The figure's columns of a job."""
        told = self._told(job)
        return {f"{self.name}{suffix.name}": told.get(suffix.name) for suffix in self.suffixes()}

    def schema(self) -> list[dict[str, str]]:
        """Name, type, unit and meaning of each of its columns."""
        return [
            {
                "name": f"{self.name}{suffix.name}",
                "type": suffix.type,
                "unit": self.unit if suffix.unit == _AS_VALUE else suffix.unit.strip("–"),
                "meaning": f"{self.meaning}: {suffix.meaning}" if suffix.name else self.meaning,
            }
            for suffix in self.suffixes()
        ]

    def suffixes(self) -> list[Suffix]:
        """Those that it has."""
        return [suffix for suffix in SUFFIXES if suffix.always or self.interval]

    def _told(self, job: job_pb2.Job) -> dict[str, Any]:
        if not job.result.HasField(self.part):
            return {"_missing": self._why_absent(job)}
        figure = self.of(job.result)
        told = figure_document(figure if figure is not None else figure_pb2.Figure())
        if "unavailable" in told:
            return {"_missing": told["unavailable"], "_origin": told["origin"] if figure is not None else None}
        interval = told["interval"] or {}
        found = {"": told["value"], "_samples": told["samples"], "_origin": told["origin"]}
        return found | {f"_{key}": interval.get(key) for key in ("low", "high", "confidence", "method")}

    def _why_absent(self, job: job_pb2.Job) -> str:
        if self.part == "provenance":
            return why_missing(job, "latency") if not job.HasField("result") else "the device did not report it"
        return why_missing(job, self.asked or self.part)


def _plain(part: str, field: str) -> Callable[[measurement_pb2.MeasurementResult], figure_pb2.Figure | None]:
    return lambda result: getattr(getattr(result, part), field)


def percentile(part: str, rank: float) -> Callable[[measurement_pb2.MeasurementResult], figure_pb2.Figure | None]:
    """A percentile (rank 0-1) of the part "latency" or "multi_stream"; None where it was not reported."""

    def of(result: measurement_pb2.MeasurementResult) -> figure_pb2.Figure | None:
        entries = getattr(result, part).percentiles
        return next((entry.latency_s for entry in entries if math.isclose(entry.rank, rank)), None)

    return of


def _host(when: str, field: str) -> Callable[[measurement_pb2.MeasurementResult], figure_pb2.Figure | None]:
    return lambda result: getattr(getattr(result.provenance, when), field)


def _of(
    name: str, unit: str, meaning: str, part: str, field: str, interval: bool = True, asked: str = ""
) -> FigureGroup:
    return FigureGroup(name, unit, meaning, part, _plain(part, field), interval, asked)


_HOST = (
    ("temperature_c", "°C", "temperature of the processor"),
    ("frequency_hz", "Hz", "mean clock of the cores"),
    ("load_average", "1", "load average of one minute"),
    ("background_cores", "cores", "processor time of other processes"),
)

FIGURES: tuple[FigureGroup, ...] = (
    _of("latency_median_s", "s", "latency of a call in the steady state, median", "latency", "median_s"),
    _of("latency_mean_s", "s", "the same, mean", "latency", "mean_s"),
    _of("latency_min_s", "s", "the same, shortest", "latency", "min_s"),
    _of("latency_max_s", "s", "the same, longest", "latency", "max_s"),
    _of("latency_mad_s", "s", "median absolute deviation from the median", "latency", "mad_s"),
    FigureGroup("latency_p90_s", "s", "90th percentile of the steady state", "latency", percentile("latency", 0.9)),
    FigureGroup("latency_p95_s", "s", "95th percentile of the steady state", "latency", percentile("latency", 0.95)),
    FigureGroup("latency_p99_s", "s", "99th percentile of the steady state", "latency", percentile("latency", 0.99)),
    _of("latency_load_s", "s", "reading the file, building the interpreter, allocating", "latency", "load_s"),
    _of("latency_first_s", "s", "first inference after loading", "latency", "first_inference_s"),
    _of("memory_peak_bytes", "B", "peak resident memory of a fresh worker", "memory", "peak_bytes"),
    _of("memory_model_bytes", "B", "the same less what it held before the model", "memory", "model_bytes"),
    _of("memory_steady_bytes", "B", "resident memory in the steady state", "memory", "steady_bytes"),
    _of("energy_j", "J", "energy of one inference, gross of the idle power", "energy", "energy_j"),
    _of("energy_net_j", "J", "the same net of the idle power", "energy", "net_energy_j"),
    _of("energy_power_w", "W", "mean power over the window", "energy", "power_w"),
    _of("energy_idle_power_w", "W", "idle power before it", "energy", "idle_power_w"),
    _of("accuracy_top1", "1", "share of samples classified right", "accuracy", "top1"),
    _of("fault_accuracy", "1", "accuracy under faults, mean over patterns", "faults", "accuracy", asked="fault_plan"),
    _of("fault_clean_accuracy", "1", "accuracy without faults", "faults", "clean_accuracy", asked="fault_plan"),
    _of("fault_non_finite", "1", "share of outputs with NaN or infinity", "faults", "non_finite", asked="fault_plan"),
    _of("profile_whole_s", "s", "an inference with the profiler on", "profile", "whole_s"),
    _of("profile_covered", "1", "share of it that operators account for", "profile", "covered"),
    _of("comparison_ratio", "1", "latency of model B over that of model A", "comparison", "ratio"),
    _of("comparison_noise_floor", "1", "the device's, as asked", "comparison", "noise_floor", False),
    _of("comparison_measured_floor", "1", "of A against itself", "comparison", "measured_noise_floor", False),
    _of("comparison_process_spread", "1", "deviation of the ratio's logarithm", "comparison", "process_spread", False),
    _of("comparison_median_a_s", "s", "median call of model A", "comparison", "median_a_s"),
    _of("comparison_median_b_s", "s", "median call of model B", "comparison", "median_b_s"),
    _of("output_max_difference", "1", "to the reference, in its deviations", "output_check", "max_difference"),
    _of("output_top1_agreement", "1", "share of samples with the reference's class", "output_check", "top1_agreement"),
    *(
        FigureGroup(
            f"host_{when}_{name}", unit, f"{meaning}, {when} the window", "provenance", _host(when, name), False
        )
        for when in ("before", "after")
        for name, unit, meaning in _HOST
    ),
)

PREFLIGHT: tuple[FigureGroup, ...] = tuple(
    FigureGroup(f"host_before_{name}", "Hz", meaning, "provenance", _host("before", name), False)
    for name, meaning in (
        ("frequency_limit_hz", "highest clock that was allowed, lowest over the cores, before the window"),
        ("rated_frequency_hz", "highest clock that the processor is made for, lowest over the cores"),
    )
)
