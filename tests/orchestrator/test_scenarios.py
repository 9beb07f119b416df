"""Scenarios as clients ask for them and as the orchestrator checks them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from orchestrator.client.specs import job_spec, measurement_spec, multi_stream_spec, offline_spec
from orchestrator.demands import Demand
from orchestrator.validation import InvalidSpecError, check_job
from protos import artifacts
from protos.gauntlet.v1 import artifact_pb2, job_pb2, measurement_pb2, setup_pb2

MODEL = artifact_pb2.ArtifactRef(digest="a" * 64, size_bytes=1, media_type="model/tflite", name="a.tflite")


def job(part: str, **changes: Any) -> job_pb2.JobSpec:
    spec = measurement_spec(MODEL, memory=False, energy=False)
    made = multi_stream_spec() if part == "multi_stream" else offline_spec()
    for name, value in changes.items():
        if isinstance(value, list):
            made.ClearField(name)
            getattr(made, name).extend(value)
        else:
            setattr(made, name, value)
    getattr(spec, part).CopyFrom(made)
    return job_spec(spec)


@pytest.mark.parametrize("part", ["multi_stream", "offline"])
def test_a_scenario_may_stand_alone_and_goes_only_where_it_is_known(part: str) -> None:
    spec = job(part)
    check_job(spec)
    assert Demand.of(spec).capabilities == (part,)
    spec.measurement.setup.CopyFrom(setup_pb2.DeviceSetup(governor="performance"))
    check_job(spec)


def test_the_samples_of_the_queries_are_made_and_can_be_forgotten() -> None:
    result = measurement_pb2.MeasurementResult()
    result.multi_stream.raw_samples.digest = "c" * 64
    assert [ref.digest for ref in artifacts.made(result)] == ["c" * 64]
    artifacts.forget_made(result)
    assert artifacts.made(result) == []


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("multi_stream", "samples_per_query", 0),
        ("multi_stream", "samples_per_query", 4097),
        ("multi_stream", "min_queries", 0),
        ("multi_stream", "max_queries", 661),
        ("multi_stream", "max_queries", 2_000_000),
        ("multi_stream", "min_s", -1.0),
        ("multi_stream", "max_s", 0.5),
        ("multi_stream", "max_s", math.inf),
        ("offline", "batch_sizes", []),
        ("offline", "batch_sizes", [0]),
        ("offline", "batch_sizes", [1, 4_000_000_000]),
        ("offline", "batch_sizes", [4, 1, 4]),
        ("offline", "threads", []),
        ("offline", "threads", [257]),
        ("offline", "min_s", 0.0),
        ("offline", "max_s", 0.1),
        ("offline", "half_width", 0.0),
        ("offline", "half_width", math.nan),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(part: str, field: str, value: Any) -> None:
    with pytest.raises(InvalidSpecError, match=rf"^{part}\.{field} "):
        check_job(job(part, **{field: value}))


def test_too_many_pairs_and_pairs_that_cannot_be_done_in_time_are_refused_with_the_numbers() -> None:
    with pytest.raises(InvalidSpecError, match="at most 64 pairs of batch size and threads, not 65"):
        check_job(job("offline", batch_sizes=list(range(1, 14)), threads=list(range(1, 6))))
    with pytest.raises(InvalidSpecError, match=r"6 pairs of at least 20 s each do not fit into a timeout_s of 120"):
        check_job(job("offline", min_s=20.0, max_s=20.0))
    check_job(job("offline", batch_sizes=list(range(1, 65))))
