"""A comparison as JSON for programs, see `gauntlet.results_json`."""

from __future__ import annotations

from gauntlet.results_json import Document, artifact_document, figure_document, stop_reason_name, why_missing, word
from protos.gauntlet.v1 import job_pb2, measurement_pb2

_FIGURES = ("ratio", "median_a_s", "median_b_s", "noise_floor", "measured_noise_floor", "process_spread")
_NUMBERS = (
    "processes",
    "max_processes",
    "min_segment_s",
    "min_segment_samples",
    "min_sample_s",
    "min_blocks",
    "max_blocks",
    "max_s",
    "half_width",
    "confidence",
    "warmup_min_runs",
    "warmup_min_s",
    "warmup_max_s",
    "warmup_tolerance",
)


def verdict_name(verdict: measurement_pb2.ComparisonVerdict) -> str:
    """What B is: "faster", "slower" or "indistinguishable"."""
    return word(measurement_pb2.ComparisonVerdict, verdict, "COMPARISON_VERDICT_")


def comparison_document(job: job_pb2.Job) -> Document:
    """The comparison that a job was asked for; of one without a result, every figure says why it is missing."""
    asked = job.spec.measurement.comparison
    result = job.result.comparison
    told = job.result.HasField("comparison")
    missing = {"unavailable": why_missing(job, "comparison"), "origin": "measured"}
    figures = {name: figure_document(getattr(result, name)) if told else missing for name in _FIGURES}
    if told and not result.HasField("measured_noise_floor"):
        figures["measured_noise_floor"] = {"unavailable": "the models differ", "origin": "measured"}
    return {
        "model_b": artifact_document(asked.model),
        "specification": {
            **{name: getattr(asked, name) for name in _NUMBERS},
            "noise_floor": asked.noise_floor if asked.HasField("noise_floor") else None,
            "pinned": asked.pinning != measurement_pb2.PINNING_NONE,
        },
        "verdict": verdict_name(result.verdict) if told else None,
        **figures,
        "runs": [_run(run) for run in result.runs],
    }


def _run(run: measurement_pb2.ComparisonRun) -> Document:
    return {
        "ratio": figure_document(run.ratio),
        "block_ratios": list(run.block_ratios),
        "b_first": run.b_first,
        "stop_reason": stop_reason_name(run.stop_reason),
        "models": {
            letter: {
                "median_s": getattr(run, f"median_{letter}_s"),
                "calls_per_sample": getattr(run, f"calls_per_sample_{letter}"),
                "samples_per_segment": getattr(run, f"samples_per_segment_{letter}"),
                "warmup_settled": getattr(run, f"warmup_settled_{letter}"),
            }
            for letter in "ab"
        },
        "segments": artifact_document(run.segments) if run.segments.digest else None,
    }
