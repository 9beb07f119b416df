"""The columns of the table: one declaration each, from which rows, schema and documentation are made.

Under one schema version columns are only ever added, at the end, and never change their name, type, unit or meaning.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from gauntlet import setup
from gauntlet.comparison_json import verdict_name
from gauntlet.results.column import Column
from gauntlet.results.estimates import FIGURES, PREFLIGHT, SUFFIXES, FigureGroup
from gauntlet.results.lists import COMPARISON, CONDITIONS, ENERGY, LATENCY, LIMITS, PROFILE
from gauntlet.results.scenarios import SCENARIOS
from gauntlet.results_json import state_name, stop_reason_name, word
from protos.blame import kind_name
from protos.gauntlet.v1 import fault_pb2, job_pb2, measurement_pb2

SCHEMA_VERSION = 1

Row = dict[str, Any]


def row(job: job_pb2.Job) -> Row:
    """A job as a row: every column has its key, what is missing is None."""
    return {name: value for column in COLUMNS for name, value in column.values(job).items()}


def schema() -> list[dict[str, str]]:
    """Name, type, unit and meaning of each column, in order."""
    return [entry for column in COLUMNS for entry in column.schema()]


def types() -> dict[str, str]:
    """Type of each column by its name, in order."""
    return {column["name"]: column["type"] for column in schema()}


def markdown() -> str:
    """The schema for people: the plain columns, the figures, and what follows a figure's name."""
    plain = [column for column in COLUMNS if isinstance(column, Column)]
    groups = [column for column in COLUMNS if isinstance(column, FigureGroup)]
    lines = ["| column | unit | type | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{c.name}` | {c.unit or '–'} | {c.type} | {c.meaning} |" for c in plain]
    lines += ["", "| figure | unit | with interval | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{g.name}` | {g.unit} | {'yes' if g.interval else 'no'} | {g.meaning} |" for g in groups]
    lines += ["", "| behind the name | unit | type | meaning |", "| --- | --- | --- | --- |"]
    for suffix in SUFFIXES:
        only = "" if suffix.always else "; of figures with interval"
        lines.append(f"| `{suffix.name or '(none)'}` | {suffix.unit} | {suffix.type} | {suffix.meaning}{only} |")
    return "\n".join(lines) + "\n"


def _spec(job: job_pb2.Job) -> measurement_pb2.MeasurementSpec:
    return job.spec.measurement


def _from(name: str) -> Callable[[job_pb2.Job], Any]:
    """A field of the provenance; None without one."""
    return lambda job: (getattr(job.result.provenance, name) or None) if job.HasField("result") else None


def _number_from(name: str) -> Callable[[job_pb2.Job], Any]:
    return lambda job: getattr(job.result.provenance, name) if job.HasField("result") else None


def _part(part: str, name: str) -> Callable[[job_pb2.Job], Any]:
    return lambda job: getattr(getattr(job.result, part), name) if job.result.HasField(part) else None


def _asked(part: str, name: str) -> Callable[[job_pb2.Job], Any]:
    return lambda job: getattr(getattr(_spec(job), part), name) if _spec(job).HasField(part) else None


def _plan(value: Callable[[fault_pb2.FaultPlan], Any]) -> Callable[[job_pb2.Job], Any]:
    return lambda job: value(_spec(job).fault_plan) if _spec(job).HasField("fault_plan") else None


def _tensors(name: str) -> Callable[[job_pb2.Job], list[str]]:
    def of(job: job_pb2.Job) -> list[str]:
        return [f"{t.name} {t.dtype} {'x'.join(map(str, t.shape))}" for t in getattr(job.result.model, name)]

    return of


def _failure(job: job_pb2.Job) -> str | None:
    return kind_name(job.failure.kind) if job.HasField("failure") else None


def _labels(job: job_pb2.Job) -> list[str]:
    return [f"{key}={value}" for key, value in sorted(job.spec.device.labels.items())]


def _setup_asked(job: job_pb2.Job) -> str | None:
    if not _spec(job).HasField("setup"):
        return None
    asked = {name: getattr(_spec(job).setup, name) for name in setup.NAMES}
    return json.dumps({name: value for name, value in asked.items() if value}, ensure_ascii=False)


def _setup_changes(job: job_pb2.Job) -> list[str]:
    changes = job.result.provenance.setup.changes
    return [f"{change.target}: {change.found} -> {change.read_back}" for change in changes]


_LATENCY_ASKED = (
    ("warmup_min_runs", "int", "", "least runs of the warm-up"),
    ("warmup_min_s", "float", "s", "least time of the warm-up"),
    ("warmup_max_s", "float", "s", "longest warm-up"),
    ("warmup_tolerance", "float", "1", "medians of warm-up windows agree within this ratio"),
    ("min_samples", "int", "", "least samples"),
    ("max_samples", "int", "", "most samples"),
    ("min_s", "float", "s", "least time of the steady state"),
    ("max_s", "float", "s", "longest steady state"),
    ("half_width", "float", "1", "wanted half-width of the median's interval over the median"),
    ("confidence", "float", "1", "of the intervals of latencies"),
    ("min_sample_s", "float", "s", "a shorter sample is made of several calls"),
)

PLAIN: tuple[Column, ...] = (
    Column("schema_version", "int", "", "of this table", lambda job: SCHEMA_VERSION),
    Column("job_id", "string", "", "the measurement", lambda job: job.job_id),
    Column("state", "string", "", "succeeded, failed or cancelled", lambda job: state_name(job.state)),
    Column("campaign_id", "string", "", "the campaign that it belongs to", lambda job: job.spec.campaign_id or None),
    Column("submitted_at", "time", "UTC", "the job was submitted", lambda job: job.submitted_at or None),
    Column("started_at", "time", "UTC", "the measurement began on the device", _from("started_at")),
    Column("finished_at", "time", "UTC", "the job ended", lambda job: job.finished_at or None),
    Column("attempts", "int", "", "leases that were tried", lambda job: len(job.attempts)),
    Column("failure_kind", "string", "", "why there is no result", _failure),
    Column("failure_message", "string", "", "the same in words", lambda job: job.failure.message or None),
    Column("model_name", "string", "", "file name of the model", lambda job: _spec(job).model.name or None),
    Column("model_digest", "string", "", "SHA-256 of the model file", lambda job: _spec(job).model.digest or None),
    Column("model_size_bytes", "int", "B", "size of the model file", lambda job: _spec(job).model.size_bytes),
    Column("model_inputs", "strings", "", "name, type and shape of each input", _tensors("inputs")),
    Column("model_outputs", "strings", "", "name, type and shape of each output", _tensors("outputs")),
    Column("device_id", "string", "", "the device that measured", _from("device_id")),
    Column("device_class", "string", "", "its class", _from("device_class")),
    Column("agent_id", "string", "", "the agent that owns it", _from("agent_id")),
    Column("software_version", "string", "", "of the agent", _from("software_version")),
    Column("runtime", "string", "", "as it really ran", _from("runtime")),
    Column("runtime_version", "string", "", "of the runtime", _from("runtime_version")),
    Column("delegate", "string", "", "as it really ran", _from("delegate")),
    Column("threads", "int", "", "of the runtime", _number_from("threads")),
    Column("cpus", "ints", "", "cores held to; empty: not held", lambda job: list(job.result.provenance.cpus)),
    Column("host_shared", "bool", "", "other Gauntlet processes ran on the host", _number_from("host_shared")),
    Column(
        "governor_before", "string", "", "before the window", lambda job: job.result.provenance.before.governor or None
    ),
    Column("governor_after", "string", "", "at its end", lambda job: job.result.provenance.after.governor or None),
    Column(
        "governor_missing",
        "string",
        "",
        "why the governor is not known",
        lambda job: job.result.provenance.before.governor_unavailable or None,
    ),
    Column("setup_asked", "string", "", "state that the device was to be put into, as JSON", _setup_asked),
    Column("setup_changes", "strings", "", "TARGET: FOUND -> READ BACK of each change", _setup_changes),
    Column("fetch_s", "float", "s", "time to fetch the artifacts", _number_from("fetch_s")),
    Column("host_lock_wait_s", "float", "s", "time waited for the host's lock", _number_from("host_lock_wait_s")),
    Column("worker_s", "float", "s", "time in the worker", _number_from("worker_s")),
    Column(
        "remarks", "strings", "", "what makes the figures less than ideal", lambda j: list(j.result.provenance.remarks)
    ),
    Column("asked_device_id", "string", "", "device asked for", lambda job: job.spec.device.device_id or None),
    Column("asked_device_class", "string", "", "class asked for", lambda job: job.spec.device.device_class or None),
    Column("asked_labels", "strings", "", "labels asked for, KEY=VALUE", _labels),
    Column(
        "asked_runtime", "string", "", "runtime asked for; missing: any", lambda job: _spec(job).runtime.name or None
    ),
    Column("asked_delegate", "string", "", "delegate asked for", lambda job: _spec(job).runtime.delegate or None),
    Column("asked_threads", "int", "", "threads asked for", lambda job: _spec(job).runtime.threads),
    Column("asked_timeout_s", "float", "s", "work after which the worker is killed", lambda job: _spec(job).timeout_s),
    *(
        Column(f"asked_latency_{name}", kind, unit, meaning, _asked("latency", name))
        for name, kind, unit, meaning in _LATENCY_ASKED
    ),
    Column(
        "asked_latency_pinning",
        "string",
        "",
        "auto: a core for each thread",
        lambda job: (
            word(measurement_pb2.Pinning, _spec(job).latency.pinning, "PINNING_")
            if _spec(job).HasField("latency")
            else None
        ),
    ),
    Column("asked_energy_window_s", "float", "s", "metered window asked for", _asked("energy", "window_s")),
    Column(
        "asked_output_tolerance", "float", "1", "in deviations of the reference", _asked("output_check", "tolerance")
    ),
    Column(
        "reference_digest",
        "string",
        "",
        "reference outputs",
        lambda job: _spec(job).output_check.reference.digest or None,
    ),
    Column("dataset_digest", "string", "", "labelled data set", lambda job: _spec(job).accuracy.dataset.digest or None),
    Column("asked_accuracy_batch_size", "int", "", "images to a call", _asked("accuracy", "batch_size")),
    Column(
        "latency_stop_reason",
        "string",
        "",
        "precise, plateau, max samples or max time",
        lambda job: stop_reason_name(job.result.latency.stop_reason) if job.result.HasField("latency") else None,
    ),
    Column("latency_warmup_runs", "int", "", "runs of the warm-up", _part("latency", "warmup_runs")),
    Column("latency_warmup_s", "float", "s", "time of the warm-up", _part("latency", "warmup_s")),
    Column(
        "latency_warmup_settled", "bool", "", "the windows agreed before the cap", _part("latency", "warmup_settled")
    ),
    Column("latency_calls_per_sample", "int", "", "calls in one sample", _part("latency", "calls_per_sample")),
    Column(
        "latency_raw_samples_digest",
        "string",
        "",
        "artifact of the raw samples",
        lambda job: job.result.latency.raw_samples.digest or None,
    ),
    Column("energy_source", "string", "", "sensor and rail", lambda job: job.result.energy.source or None),
    Column("energy_window_s", "float", "s", "metered window", _part("energy", "window_s")),
    Column("energy_runs", "int", "", "inferences in the window", _part("energy", "runs")),
    Column(
        "energy_resolution_j",
        "float",
        "J",
        "the most by which an inference may be off",
        _part("energy", "resolution_j"),
    ),
    Column("energy_wraps", "int", "", "times that a counter started anew", _part("energy", "wraps")),
    Column("energy_coverage", "string", "", "what the source covers", lambda job: job.result.energy.coverage or None),
    Column("comparison_model_digest", "string", "", "model B", lambda job: _spec(job).comparison.model.digest or None),
    Column(
        "comparison_verdict",
        "string",
        "",
        "faster, slower or indistinguishable",
        lambda job: verdict_name(job.result.comparison.verdict) if job.result.HasField("comparison") else None,
    ),
    Column("accuracy_non_finite_samples", "int", "", "with NaN or infinity: wrong", _part("accuracy", "non_finite")),
    Column("fault_model", "string", "", "canonical text", _plan(lambda plan: plan.fault_model)),
    Column(
        "fault_site",
        "string",
        "",
        "weights, before activation or after activation",
        _plan(lambda plan: word(fault_pb2.FaultSite, plan.site, "FAULT_SITE_")),
    ),
    Column(
        "fault_scale",
        "string",
        "",
        "deployed or power of two",
        _plan(lambda plan: word(fault_pb2.FaultScale, plan.scale, "FAULT_SCALE_")),
    ),
    Column(
        "fault_targets", "strings", "", "patterns of tensor names; empty: all", _plan(lambda plan: list(plan.targets))
    ),
    Column("fault_operations", "strings", "", "operators; empty: all", _plan(lambda plan: list(plan.operations))),
    Column("fault_seed", "uint", "", "of the patterns", _plan(lambda plan: plan.seed)),
    Column("fault_first_pattern", "int", "", "number of the first pattern", _plan(lambda plan: plan.first_pattern)),
    Column(
        "fault_stop_reason",
        "string",
        "",
        "precise, cap or budget",
        lambda job: (
            word(measurement_pb2.PatternStop, job.result.faults.stop, "PATTERN_STOP_")
            if job.result.HasField("faults")
            else None
        ),
    ),
    Column(
        "fault_pattern_accuracies",
        "floats",
        "1",
        "accuracy under each pattern",
        lambda job: list(job.result.faults.pattern_accuracies),
    ),
)

FITNESS = (
    Column(
        "suspect_because",
        "string",
        "",
        "the device was found unfit since: why the figures are suspect",
        lambda job: job.suspicion.reason or None,
    ),
    Column(
        "successor_job_id",
        "string",
        "",
        "the job that measures a suspect one again",
        lambda job: job.suspicion.successor_job_id or None,
    ),
    Column(
        "repeats_job_id",
        "string",
        "",
        "the suspect job that this one measures again",
        lambda job: job.spec.repeats_job_id or None,
    ),
)

THROTTLING: tuple[Column | FigureGroup, ...] = (
    Column(
        "unfit",
        "strings",
        "",
        "why the device was not fit while it measured: do not rely on the figures",
        lambda job: list(job.result.provenance.unfit) if job.HasField("result") else None,
    ),
    Column(
        "throttling_before",
        "strings",
        "",
        "what held the device back before the window",
        lambda job: list(job.result.provenance.before.throttling) if job.HasField("result") else None,
    ),
    *PREFLIGHT,
    *LIMITS,
)

#: Later ones, in the order in which they came.
ADDED: tuple[Column | FigureGroup, ...] = (
    *(*ENERGY, *CONDITIONS, *PROFILE, *COMPARISON, *LATENCY, *FITNESS, *SCENARIOS),
    *THROTTLING,
)

COLUMNS: tuple[Column | FigureGroup, ...] = (*PLAIN, *FIGURES, *ADDED)
