"""Models of every format through real workers: figures, profile, peak memory, and how they are refused."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from device_agent.host import describe_device
from device_agent.workerprocess import WORKER_COMMAND
from device_agent.workers import Outcome, PoolSettings, WorkerPool
from protos import dataset, figures
from protos.contract import digest_of_file
from protos.dataset import DataSet
from protos.gauntlet.v1 import artifact_pb2, failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.conftest import SpecFor

NEEDS = {"tflite": "ai_edge_litert", "onnx": "onnxruntime", "pt2": "torch"}
NAUGHTY = Path(__file__).with_name("naughty_worker.py")


@pytest_asyncio.fixture
async def trusting(tmp_path: Path) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(PoolSettings(tmp_path / "workers", (*WORKER_COMMAND, "--allow-pt2")))
    await pool.start()
    yield pool
    await pool.close()


def good(outcome: Outcome) -> pb.MeasurementResult:
    assert outcome.result is not None, outcome.failure
    return outcome.result


@pytest.mark.parametrize("kind", list(NEEDS))
async def test_each_format_is_measured_checked_and_profiled(
    trusting: WorkerPool, networks: Path, tmp_path: Path, spec_for: SpecFor, kind: str
) -> None:
    if importlib.util.find_spec(NEEDS[kind]) is None:
        pytest.skip(f"{NEEDS[kind]} is not installed")
    spec, paths = spec_for(networks / f"network.{kind}")
    known = np.load(networks / "expected.npz")
    images, outputs = known["images"], known["outputs"]
    samples = images.transpose(0, 2, 3, 1) if kind == "tflite" else images
    reference = tmp_path / "reference.npz"
    dataset.save(reference, DataSet({"input": samples}, outputs.argmax(1).astype(np.int64), {"output": outputs}))
    ref = artifact_pb2.ArtifactRef(digest=digest_of_file(reference))
    paths[ref.digest] = reference
    spec.output_check.CopyFrom(pb.OutputCheckSpec(reference=ref, tolerance=1e-3))
    spec.accuracy.CopyFrom(pb.AccuracySpec(dataset=ref, batch_size=4, confidence=0.95))
    spec.memory.runs = 2
    spec.profile.inferences = 10
    steps: list[str] = []
    outcome = await trusting.measure(spec, paths, steps.append)
    result = good(outcome)
    outcome.discard()

    assert [step for step in steps if step != "waiting for the host"][-3:] == ["check", "load", "profile"]
    assert (figures.value_of(result.latency.median_s) or 0) > 0
    assert (figures.value_of(result.memory.model_bytes) or -1) >= 0
    assert figures.value_of(result.accuracy.top1) == 1.0
    assert (figures.value_of(result.output_check.max_difference) or 0) < 1e-3
    assert result.provenance.runtime in ("litert", "onnxruntime", "torch")
    assert result.provenance.delegate == ("xnnpack" if kind == "tflite" else "cpu")
    assert len(result.profile.operators) >= 4 or result.profile.unavailable
    # Importing torch takes longer; it is no part of loading the model.
    assert (figures.value_of(result.latency.load_s) or 99) < 2


async def test_wrong_outputs_are_found_on_every_runtime(
    trusting: WorkerPool, networks: Path, tmp_path: Path, spec_for: SpecFor
) -> None:
    pytest.importorskip("onnxruntime")
    spec, paths = spec_for(networks / "network.onnx")
    known = np.load(networks / "expected.npz")
    reference = tmp_path / "reference.npz"
    dataset.save(reference, DataSet({"input": known["images"]}, None, {"output": known["outputs"][::-1].copy()}))
    digest = digest_of_file(reference)
    paths[digest] = reference
    spec.output_check.CopyFrom(pb.OutputCheckSpec(reference=artifact_pb2.ArtifactRef(digest=digest), tolerance=1e-3))
    outcome = await trusting.measure(spec, paths)
    assert outcome.failure is not None
    assert outcome.failure.kind == failure_pb2.FAILURE_KIND_WRONG_OUTPUT


async def test_a_worker_without_trust_refuses_an_exported_program(
    networks: Path, tmp_path: Path, spec_for: SpecFor
) -> None:
    pool = WorkerPool(PoolSettings(tmp_path / "workers", spare=False))
    await pool.start()
    try:
        spec, paths = spec_for(networks / "network.pt2")
        failure = (await pool.measure(spec, paths)).failure
    finally:
        await pool.close()
    assert failure is not None
    assert failure.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    assert "--allow-pt2" in failure.remedy


async def test_faults_are_for_tflite_models(
    trusting: WorkerPool, networks: Path, tmp_path: Path, spec_for: SpecFor
) -> None:
    pytest.importorskip("onnxruntime")
    spec, paths = spec_for(networks / "network.onnx")
    known = np.load(networks / "expected.npz")
    data = tmp_path / "data.npz"
    dataset.save(data, DataSet({"input": known["images"]}, known["outputs"].argmax(1).astype(np.int64)))
    digest = digest_of_file(data)
    paths[digest] = data
    ref = artifact_pb2.ArtifactRef(digest=digest)
    spec.accuracy.CopyFrom(pb.AccuracySpec(dataset=ref, batch_size=4, confidence=0.95))
    spec.fault_plan.fault_model = "iBF(p=1e-3)"
    failure = (await trusting.measure(spec, paths)).failure
    assert failure is not None
    assert failure.kind == failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION
    assert "'onnx'" in failure.message


async def test_a_crash_in_a_profiler_costs_the_profile_and_nothing_else(tmp_path: Path) -> None:
    pool = WorkerPool(PoolSettings(tmp_path / "workers", (sys.executable, str(NAUGHTY), "well")))
    await pool.start()
    try:
        spec = pb.MeasurementSpec(model=artifact_pb2.ArtifactRef(name="bad-profiler"), timeout_s=30)
        spec.profile.inferences = 5
        alone = await pool.measure(spec, {})
        spec.latency.SetInParent()
        beside = await pool.measure(spec, {})
    finally:
        await pool.close()
    assert alone.failure is not None, "with nothing else asked for, the job has failed"
    assert alone.failure.kind == failure_pb2.FAILURE_KIND_CRASHED
    assert good(beside).profile.unavailable == "the profiler failed: the worker was ended by SIGSEGV"
    beside.discard()


async def test_a_profile_alone_is_a_measurement(trusting: WorkerPool, networks: Path, spec_for: SpecFor) -> None:
    spec, paths = spec_for(networks / "int8.tflite")
    spec.ClearField("latency")
    spec.profile.inferences = 5
    outcome = await asyncio.wait_for(trusting.measure(spec, paths), 60)
    result = good(outcome)
    outcome.discard()
    assert result.model.inputs[0].dtype == "int8"
    assert result.profile.operators or result.profile.unavailable
    assert not result.HasField("latency")


def test_a_device_names_its_runtimes_and_takes_exported_programs_only_when_told() -> None:
    told = describe_device("d", {})
    assert "profile" in told.capabilities
    assert all("pt2" not in runtime.formats for runtime in told.runtimes)
    if importlib.util.find_spec("torch") is not None:
        trusted = {r.name: r for r in describe_device("d", {}, allow_pt2=True).runtimes}
        assert list(trusted["torch"].formats) == ["pt2"]
        assert trusted["torch"].delegates[0] == "cpu"
