"""Fault plans as clients make them and as the orchestrator checks them."""

from __future__ import annotations

import math

import pytest

from orchestrator.client.specs import accuracy_spec, fault_plan, job_spec, measurement_spec
from orchestrator.demands import Demand
from orchestrator.validation import InvalidSpecError, check_job
from protos.gauntlet.v1 import artifact_pb2, fault_pb2, job_pb2

MODEL = artifact_pb2.ArtifactRef(digest="a" * 64, size_bytes=1, media_type="model/tflite")
DATA = artifact_pb2.ArtifactRef(digest="b" * 64, size_bytes=1, media_type="dataset/npz")


def job(plan: fault_pb2.FaultPlan) -> job_pb2.JobSpec:
    return job_spec(measurement_spec(MODEL, accuracy=accuracy_spec(DATA), fault_plan=plan))


def test_every_default_is_on_record() -> None:
    plan = fault_plan("iBF(p=0.001, per=bit)", seed=7, targets=["conv*"])
    assert (plan.site, plan.scale) == (fault_pb2.FAULT_SITE_WEIGHTS, fault_pb2.FAULT_SCALE_DEPLOYED)
    assert (plan.half_width, plan.confidence, plan.min_patterns, plan.max_patterns) == (0.01, 0.95, 30, 200)
    assert (plan.seed, list(plan.targets), plan.first_pattern) == (7, ["conv*"], 0)
    check_job(job(plan))
    assert "faults" in Demand.of(job(plan)).capabilities
    assert not measurement_spec(MODEL).HasField("fault_plan")


def test_a_cap_below_the_least_lowers_the_least() -> None:
    assert fault_plan("iBF(p=0)", max_patterns=5).min_patterns == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fault_model", ""),
        ("fault_model", "x" * 201),
        ("site", fault_pb2.FAULT_SITE_UNSPECIFIED),
        ("scale", fault_pb2.FAULT_SCALE_UNSPECIFIED),
        ("half_width", -0.01),
        ("half_width", 0.51),
        ("half_width", math.nan),
        ("confidence", 0.0),
        ("confidence", 1.0),
        ("min_patterns", 0),
        ("budget_s", -1.0),
        ("duty", 1.5),
        ("max_patterns", 29),
        ("max_patterns", 10_001),
    ],
)
def test_a_plan_that_makes_no_sense_names_the_field(field: str, value: float) -> None:
    plan = fault_plan("iBF(p=0.001)")
    setattr(plan, field, value)
    with pytest.raises(InvalidSpecError, match=f"fault_plan.{field} must"):
        check_job(job(plan))


def test_a_plan_needs_a_data_set() -> None:
    with pytest.raises(InvalidSpecError, match="needs accuracy"):
        check_job(job_spec(measurement_spec(MODEL, fault_plan=fault_plan("iBF(p=0.001)"))))


def test_features_are_struck_after_the_activation() -> None:
    assert fault_plan("MiBB(p_m=1e-5)", features=True).site == fault_pb2.FAULT_SITE_AFTER_ACTIVATION
