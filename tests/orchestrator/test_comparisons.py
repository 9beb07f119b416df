"""Comparisons as clients ask for them and as the orchestrator checks them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from orchestrator.client.specs import comparison_spec, job_spec, latency_spec, measurement_spec
from orchestrator.demands import Demand
from orchestrator.validation import InvalidSpecError, check_job
from protos import artifacts
from protos.gauntlet.v1 import artifact_pb2, job_pb2, measurement_pb2

A = artifact_pb2.ArtifactRef(digest="a" * 64, size_bytes=1, media_type="model/tflite", name="a.tflite")
B = artifact_pb2.ArtifactRef(digest="b" * 64, size_bytes=1, media_type="model/tflite", name="b.tflite")


def job(b: artifact_pb2.ArtifactRef = B, **changes: Any) -> job_pb2.JobSpec:
    comparison = comparison_spec(b)
    for name, value in changes.items():
        setattr(comparison, name, value)
    return job_spec(measurement_spec(A, memory=False, energy=False, comparison=comparison))


def test_every_default_is_on_record_and_both_models_are_needed() -> None:
    spec = job().measurement
    check_job(job())
    asked = spec.comparison
    assert (asked.processes, asked.max_processes, asked.half_width, asked.confidence) == (6, 15, 0.01, 0.95)
    assert asked.pinning == measurement_pb2.PINNING_AUTO
    assert not asked.HasField("noise_floor")
    assert [ref.name for ref in artifacts.needed(spec)] == ["a.tflite", "b.tflite"]
    assert "comparison" in Demand.of(job()).capabilities


def test_the_segments_of_every_process_are_made_and_can_be_forgotten() -> None:
    result = measurement_pb2.MeasurementResult()
    for digest in ("c" * 64, "d" * 64):
        result.comparison.runs.add().segments.digest = digest
    assert [ref.digest[0] for ref in artifacts.made(result)] == ["c", "d"]
    artifacts.forget_made(result)
    assert artifacts.made(result) == []
    assert len(result.comparison.runs) == 2


def test_a_cap_below_the_first_stage_lowers_it() -> None:
    assert comparison_spec(B, processes=6, max_processes=3).processes == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("processes", 1),
        ("processes", 101),
        ("max_processes", 5),
        ("min_segment_s", math.nan),
        ("min_segment_samples", 0),
        ("min_blocks", 0),
        ("max_blocks", 19),
        ("max_s", 0.0),
        ("half_width", 0.0),
        ("confidence", 1.0),
        ("warmup_max_s", 0.1),
        ("noise_floor", -0.1),
        ("noise_floor", math.inf),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(InvalidSpecError, match=rf"comparison\.{field}"):
        check_job(job(**{field: value}))


def test_models_of_two_kinds_are_not_compared() -> None:
    other = artifact_pb2.ArtifactRef(digest="b" * 64, size_bytes=1, media_type="model/onnx")
    with pytest.raises(InvalidSpecError, match=r"comparison\.model\.media_type 'model/onnx' must be"):
        check_job(job(other))
    with pytest.raises(InvalidSpecError, match=r"comparison\.model\.media_type ''"):
        check_job(job(artifact_pb2.ArtifactRef()))


def test_a_comparison_stands_alone() -> None:
    spec = job()
    spec.measurement.latency.CopyFrom(latency_spec())
    spec.measurement.memory.runs = 1
    with pytest.raises(InvalidSpecError, match="stands alone, without latency, memory"):
        check_job(spec)
