"""Latency in several processes, as clients ask for it and as the orchestrator checks it."""

from __future__ import annotations

import pytest

from orchestrator.client.specs import job_spec, latency_spec, measurement_spec
from orchestrator.demands import Demand
from orchestrator.validation import InvalidSpecError, check_job
from protos import artifacts
from protos.gauntlet.v1 import artifact_pb2, device_pb2, job_pb2, measurement_pb2

MODEL = artifact_pb2.ArtifactRef(digest="a" * 64, size_bytes=1, media_type="model/tflite", name="a.tflite")


def job(**latency: int) -> job_pb2.JobSpec:
    spec = job_spec(measurement_spec(MODEL, memory=False, energy=False, latency=latency_spec()))
    for name, value in latency.items():
        setattr(spec.measurement.latency, name, value)
    return spec


def test_it_goes_to_a_device_that_can_and_one_process_to_every_device() -> None:
    old = device_pb2.DeviceDescription(
        device_id="d", runtimes=[device_pb2.Runtime(name="litert", formats=["tflite"], delegates=["xnnpack"])]
    )
    old.capabilities.append("latency")
    assert Demand.of(job()).misfit(old) is None
    demand = Demand.of(job(processes=2, max_processes=15))
    assert demand.misfit(old) == "cannot measure latency in several processes"
    old.capabilities.append("processes")
    assert Demand.parse(demand.signature).misfit(old) is None


@pytest.mark.parametrize(("processes", "most"), [(0, 0), (1, 1), (6, 15), (100, 100)])
def test_counts_that_make_sense(processes: int, most: int) -> None:
    check_job(job(processes=processes, max_processes=most))


@pytest.mark.parametrize(("processes", "most"), [(101, 101), (6, 101), (6, 5), (2**32 - 1, 2**32 - 1)])
def test_counts_that_do_not(processes: int, most: int) -> None:
    with pytest.raises(InvalidSpecError, match=r"^latency\.(max_)?processes must lie in \d+ to 100, not "):
        check_job(job(processes=processes, max_processes=most))


def test_the_samples_of_each_process_are_made_once_and_can_be_forgotten() -> None:
    result = measurement_pb2.MeasurementResult()
    result.latency.raw_samples.digest = "c" * 64
    for digest in ("c" * 64, "d" * 64):
        result.latency.runs.add().raw_samples.digest = digest
    assert [ref.digest[0] for ref in artifacts.made(result)] == ["c", "d"]
    artifacts.forget_made(result)
    assert artifacts.made(result) == []
    assert len(result.latency.runs) == 2
