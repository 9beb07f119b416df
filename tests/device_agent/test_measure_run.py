"""Real workers on real models, whole specifications."""

from __future__ import annotations

import os
import signal
import zlib
from pathlib import Path
from typing import AsyncIterator, Callable, Dict, List, Tuple

import numpy as np
import psutil
import pytest
import pytest_asyncio

from device_agent import doctor
from device_agent.runtimes import discover
from device_agent.workerprocess import WORKER_COMMAND
from device_agent.workers import Outcome, PoolSettings, WorkerPool
from protos import dataset, figures
from protos.contract import digest_of_bytes, digest_of_file
from protos.dataset import DataSet
from protos.gauntlet.v1 import failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.boards import ORIN_NANO, rapl, tree

pytestmark = pytest.mark.skipif(not discover(), reason="no model runtime is installed")
SpecFor = Callable[[Path], Tuple[pb.MeasurementSpec, Dict[str, Path]]]


@pytest_asyncio.fixture
async def pool(tmp_path: Path) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(PoolSettings(tmp_path / "workers"))
    await pool.start()
    yield pool
    await pool.close()


def good(outcome: Outcome) -> pb.MeasurementResult:
    assert outcome.result is not None, outcome.failure
    return outcome.result


def bad(outcome: Outcome) -> failure_pb2.Failure:
    assert outcome.failure is not None
    return outcome.failure


async def test_every_real_model_is_measured(pool: WorkerPool, models: Path, spec_for: SpecFor) -> None:
    files = sorted(models.glob("*.tflite"))
    assert files
    for path in files:
        spec, paths = spec_for(path)
        outcome = await pool.measure(spec, paths)
        if path.stem == "tflm_person_detect":
            failure = bad(outcome)
            assert failure.kind == failure_pb2.FAILURE_KIND_INVALID_MODEL
            assert "quantized_dimension" in failure.message
            assert failure.last_step == "load"
            continue
        result = good(outcome)
        assert result.model.size_bytes == path.stat().st_size
        for figure in (result.latency.load_s, result.latency.first_inference_s, result.latency.median_s):
            assert (figures.value_of(figure) or 0) > 0, path
        outcome.discard()


async def test_a_whole_specification(pool: WorkerPool, models: Path, tmp_path: Path, spec_for: SpecFor) -> None:
    path = models / "pretrainedResnet_quant.tflite"
    spec, paths = spec_for(path)
    images = np.random.default_rng(3).integers(0, 256, (24, 32, 32, 3)).astype(np.float32)
    reference = tmp_path / "reference.npz"
    dataset.save(reference, DataSet({"input": images}, np.zeros(24, np.int64)))
    spec.memory.runs = 2
    spec.accuracy.dataset.digest = digest_of_file(reference)
    spec.accuracy.batch_size = 8
    spec.accuracy.confidence = 0.95
    spec.energy.window_s = 0.01
    paths[spec.accuracy.dataset.digest] = reference
    steps: List[str] = []
    outcome = await pool.measure(spec, paths, steps.append)
    result = good(outcome)

    order = [step for step in steps if step != "waiting for the host"]
    assert order == [
        "check",
        "preflight",
        "load",
        "first inference",
        "warm-up",
        "timing",
        "energy",
        "accuracy",
        "check",
        "load",
        "memory",
    ]
    assert (figures.value_of(result.memory.peak_bytes) or 0) > (figures.value_of(result.memory.model_bytes) or 0) > 0
    assert result.accuracy.samples == 24
    if figures.value_of(result.energy.energy_j) is None:
        assert result.energy.energy_j.unavailable

    content = outcome.files[result.latency.raw_samples.digest].read_bytes()
    assert digest_of_bytes(content) == result.latency.raw_samples.digest
    assert len(content) == result.latency.raw_samples.size_bytes
    assert result.latency.raw_samples.media_type == "samples/latency"
    samples = np.frombuffer(zlib.decompress(content), "<f8")
    assert len(samples) == result.latency.median_s.estimate.samples
    assert float(np.median(samples)) == pytest.approx(figures.value_of(result.latency.median_s))
    made = {result.latency.raw_samples.digest, result.accuracy.predictions.digest}
    if result.conditions.HasField("samples"):
        made.add(result.conditions.samples.digest)
    assert set(outcome.files) == made
    assert (figures.value_of(result.memory.peak_bytes) or 0) > (figures.value_of(result.memory.steady_bytes) or 0) > 0
    watched = {series.quantity: series for series in result.conditions.series}
    assert (figures.value_of(watched["resident_bytes"].peak) or 0) > 1e6
    timed = ["preflight", "load", "first inference", "warm-up", "timing", "energy"]
    assert [phase.name for phase in result.conditions.phases] == timed

    told = result.provenance
    assert (told.runtime, told.delegate, told.threads) == (discover()[0].name, "xnnpack", 1)
    assert told.runtime_version == discover()[0].version
    assert told.model_digest == spec.model.digest
    assert len(told.cpus) == 1
    assert told.worker_s > 0
    assert told.started_at.endswith("+00:00")
    assert told.before.governor or told.before.governor_unavailable


async def test_only_what_is_asked_is_measured(pool: WorkerPool, models: Path, spec_for: SpecFor) -> None:
    spec, paths = spec_for(models / "kws_ref_model.tflite")
    spec.ClearField("latency")
    spec.memory.runs = 1
    steps: List[str] = []
    result = good(await pool.measure(spec, paths, steps.append))
    assert steps == ["check", "load", "memory"]
    assert not result.HasField("latency")
    assert result.model.inputs[0].dtype == "int8"
    assert result.provenance.delegate == "xnnpack"


async def test_an_outputs_check_goes_before_timing(
    pool: WorkerPool, models: Path, tmp_path: Path, spec_for: SpecFor
) -> None:
    spec, paths = spec_for(models / "vww_96_float.tflite")
    reference = tmp_path / "reference.npz"
    images = np.zeros((2, 96, 96, 3), np.float32)
    dataset.save(reference, DataSet({"x": images}, outputs={"y": np.array([[9, -9], [9, -9]], np.float32)}))
    spec.output_check.reference.digest = digest_of_file(reference)
    spec.output_check.tolerance = 0.1
    paths[spec.output_check.reference.digest] = reference
    steps: List[str] = []
    failure = bad(await pool.measure(spec, paths, steps.append))
    assert failure.kind == failure_pb2.FAILURE_KIND_WRONG_OUTPUT
    assert steps == ["check", "load", "output check"]


async def test_threads_beyond_the_cores_are_not_pinned_and_that_is_remarked(
    pool: WorkerPool, models: Path, spec_for: SpecFor
) -> None:
    spec, paths = spec_for(models / "kws_ref_model_float32.tflite")
    spec.runtime.threads = 1 + len(os.sched_getaffinity(0))
    told = good(await pool.measure(spec, paths)).provenance
    assert not told.cpus
    assert any("not held to cores" in remark for remark in told.remarks)
    spec.runtime.threads = 1
    spec.latency.pinning = pb.PINNING_NONE
    told = good(await pool.measure(spec, paths)).provenance
    assert not told.cpus
    assert not any("cores" in remark for remark in told.remarks if "not held" in remark)


async def test_an_unknown_runtime_is_absent(pool: WorkerPool, models: Path, spec_for: SpecFor) -> None:
    spec, paths = spec_for(models / "kws_ref_model.tflite")
    spec.runtime.name = "abacus"
    assert bad(await pool.measure(spec, paths)).kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT


def worker_of() -> psutil.Process:
    """The worker that is busy: the other one sleeps in a read."""
    workers = psutil.Process().children()
    return max(workers, key=lambda w: sum(w.cpu_times()[:2]))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
async def test_a_real_worker_that_dies_while_timing(
    tmp_path: Path, models: Path, spec_for: SpecFor, number: int
) -> None:
    pool = WorkerPool(PoolSettings(tmp_path / "workers", spare=False))
    await pool.start()
    try:
        spec, paths = spec_for(models / "vww_96_int8.tflite")
        spec.latency.min_s = spec.latency.max_s = 30

        def on_step(name: str) -> None:
            if name == "timing":
                worker_of().send_signal(number)

        failure = bad(await pool.measure(spec, paths, on_step))
        assert failure.kind == failure_pb2.FAILURE_KIND_CRASHED
        assert failure.signal == number
        assert failure.last_step == "timing"
        good(await pool.measure(*spec_for(models / "vww_96_int8.tflite")))
    finally:
        await pool.close()


async def test_a_window_in_which_the_worker_was_stopped_is_taken_again(
    tmp_path: Path, models: Path, spec_for: SpecFor
) -> None:
    pool = WorkerPool(PoolSettings(tmp_path / "workers", spare=False))
    await pool.start()
    try:
        spec, paths = spec_for(models / "vww_96_int8.tflite")
        spec.latency.min_s = 0.5
        windows = [0]

        def on_step(name: str) -> None:
            windows[0] += name == "warm-up"
            if name == "warm-up" and windows[0] <= limit:
                worker_of().send_signal(signal.SIGSTOP)
                worker_of().send_signal(signal.SIGCONT)

        limit = 1
        result = good(await pool.measure(spec, paths, on_step))
        assert windows[0] == 2
        assert any("taken again" in remark and "SIGCONT" in remark for remark in result.provenance.remarks)
        limit, windows[0] = 99, 0
        failure = bad(await pool.measure(spec, paths, on_step))
        assert failure.kind == failure_pb2.FAILURE_KIND_DEVICE_UNFIT
        assert windows[0] == 3
    finally:
        await pool.close()


async def test_a_stopped_worker_is_timed_out(tmp_path: Path, models: Path, spec_for: SpecFor) -> None:
    pool = WorkerPool(PoolSettings(tmp_path / "workers", spare=False))
    await pool.start()
    try:
        spec, paths = spec_for(models / "vww_96_int8.tflite")
        spec.timeout_s = 1

        def on_step(name: str) -> None:
            if name == "warm-up":
                worker_of().send_signal(signal.SIGSTOP)

        failure = bad(await pool.measure(spec, paths, on_step))
        assert failure.kind == failure_pb2.FAILURE_KIND_TIMED_OUT
        assert psutil.Process().children() == [] or all(
            child.status() != psutil.STATUS_STOPPED for child in psutil.Process().children()
        )
    finally:
        await pool.close()


def test_the_doctor_reports_on_every_topic_in_80_columns() -> None:
    findings = doctor.report()
    topics = {finding.topic for finding in findings}
    assert {"runtimes", "peak memory", "clock", "temperature", "energy", "pinning", "load now", "noise"} <= topics
    text = doctor.render(findings)
    assert all(len(line) <= 80 for line in text.splitlines() if "/" not in line)
    assert all(finding.to_dict()["status"] in ("ok", "note", "absent") for finding in findings)


def test_the_doctor_names_the_remedy_for_a_missing_sensor(tmp_path: Path) -> None:
    text = doctor.render(doctor.report(tmp_path))
    assert "Cannot be measured here: " in text
    assert "energy" in text.splitlines()[-1]


def test_the_doctor_shows_every_meter_and_why_others_are_not(tmp_path: Path) -> None:
    findings = {f.topic: f for f in doctor.report(tree(tmp_path, {**ORIN_NANO, **rapl([1])}))}
    assert findings["energy"].status == "ok"
    assert findings["energy"].text.startswith("INA VDD_IN, beside it VDD_CPU_GPU_CV, VDD_SOC: the module")
    others = findings["other meters"].text
    assert "found, too: RAPL package-0 + dram-0, beside it core-0" in others
    assert "no battery" in others


async def test_a_worker_whose_device_throttles_cools_down_and_measures_again(
    tmp_path: Path, models: Path, spec_for: SpecFor
) -> None:
    zone, cooling = "sys/class/thermal/thermal_zone0", "sys/class/thermal/cooling_device0"
    calm = {f"{zone}/temp": "45000", f"{cooling}/cur_state": "0"}
    hot = {f"{zone}/temp": "81500", f"{cooling}/cur_state": "2"}
    root = tree(tmp_path / "root", {f"{zone}/type": "cpu-thermal", f"{cooling}/type": "cpufreq-cpu0", **calm})
    settings = PoolSettings(tmp_path / "workers", (*WORKER_COMMAND, "--setup-root", str(root)), spare=False)
    spec, paths = spec_for(models / "ad01_int8.tflite")
    spec.latency.min_s = 0.3  # time enough to change files
    spec.throttle.CopyFrom(pb.ThrottleSpec(repeats=2, cool_max_s=60, drift=0.99))
    steps: List[str] = []

    def on_step(name: str) -> None:
        steps.append(name)
        if name == "timing" and steps.count("timing") == 1:
            tree(root, hot)
        if name.startswith("cooling"):
            tree(root, calm)

    pool = WorkerPool(settings)
    await pool.start()
    try:
        told = good(await pool.measure(spec, paths, on_step)).provenance
    finally:
        await pool.close()
    assert [step for step in steps if step != "waiting for the host"] == [
        *("check", "preflight", "load", "first inference", "warm-up", "timing", "cooling down to 47.0 °C"),
        *("load", "first inference", "warm-up", "timing"),
    ]
    assert list(told.unfit) == []
    assert any("a processor cooling device stepped in (state 0 to 2)" in remark for remark in told.remarks)
    assert any("to 45.0 °C in " in remark for remark in told.remarks)
    assert figures.value_of(told.before.temperature_c) == 45.0
