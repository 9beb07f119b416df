"""What a job may ask of devices and of time, and what is refused."""

from __future__ import annotations

import math

import pytest

from orchestrator.client.specs import job_spec, measurement_spec
from orchestrator.validation import InvalidSpecError, check_job
from protos.gauntlet.v1 import artifact_pb2

MODEL = artifact_pb2.ArtifactRef(digest="a" * 64, media_type="model/tflite")


def test_a_job_may_ask_for_sensors_memory_and_an_end() -> None:
    spec = job_spec(measurement_spec(MODEL), sensors=["energy_j"], min_memory_bytes=2 * 10**9, deadline_s=60.0)
    check_job(spec)
    assert (list(spec.device.sensors), spec.device.min_memory_bytes, spec.deadline_s) == (["energy_j"], 2 * 10**9, 60.0)


@pytest.mark.parametrize("deadline_s", [-1.0, math.nan, math.inf])
def test_a_deadline_that_is_none_is_refused(deadline_s: float) -> None:
    with pytest.raises(InvalidSpecError, match="deadline_s must lie in"):
        check_job(job_spec(measurement_spec(MODEL), deadline_s=deadline_s))


@pytest.mark.parametrize("quantity", ["", "energy j", "ENERGY", "\x1b[2J", "x" * 65])
def test_what_names_no_quantity_is_refused(quantity: str) -> None:
    with pytest.raises(InvalidSpecError, match=r"device\.sensors must be names of quantities, such as energy_j"):
        check_job(job_spec(measurement_spec(MODEL), sensors=[quantity]))
