"""What clients may ask for where a device throttles, as the orchestrator checks it."""

from __future__ import annotations

import math

import pytest

from orchestrator.client.specs import job_spec, latency_spec, measurement_spec, throttle_spec
from orchestrator.validation import InvalidSpecError, check_job
from protos.gauntlet.v1 import artifact_pb2, job_pb2

MODEL = artifact_pb2.ArtifactRef(digest="a" * 64, size_bytes=1, media_type="model/tflite", name="a.tflite")


def job(**changes: float) -> job_pb2.JobSpec:
    throttle = throttle_spec()
    for name, value in changes.items():
        setattr(throttle, name, value)
    return job_spec(measurement_spec(MODEL, latency=latency_spec(), throttle=throttle))


@pytest.mark.parametrize("changes", [{}, {"repeats": 0}, {"cool_to_c": 45.0, "cool_max_s": 3600.0}, {"drift": 0.5}])
def test_what_makes_sense_is_taken(changes: dict[str, float]) -> None:
    check_job(job(**changes))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("repeats", 11),
        ("cool_to_c", -5.0),
        ("cool_to_c", 400.0),
        ("cool_max_s", -1.0),
        ("cool_max_s", 1e6),
        ("cool_max_s", math.nan),
        ("drift", 0.0),
        ("drift", 1.0),
        ("drift", math.nan),
    ],
)
def test_what_makes_none_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidSpecError, match=f"^throttle.{name} must lie "):
        check_job(job(**{name: value}))
