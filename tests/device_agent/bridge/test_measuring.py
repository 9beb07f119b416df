"""Jobs on a made-up phone by the reference runner: the figures, and that they are those of a local device."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import pytest

from device_agent.bridge.adb import AdbProgram
from device_agent.bridge.listing import Attached
from device_agent.bridge.measuring import PhoneBench
from device_agent.bridge.phone import PhoneDevice
from device_agent.bridge.program import OwnProtocol
from device_agent.bridge.runner import RunnerFacts
from device_agent.bridge.store import PhoneStore
from device_agent.measure.accuracy import measure_accuracy
from device_agent.measure.faults import measure_faults
from device_agent.measure.outputs import check_outputs
from device_agent.runtimes import LoadedModel, discover
from device_agent.workers import Outcome
from protos import dataset, figures
from protos.contract import digest_of_file
from protos.gauntlet.v1 import artifact_pb2, failure_pb2, fault_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.bridge.phones import FakePhone, FakePhones
from tests.device_agent.conftest import SpecFor
from tests.device_agent.test_measure_faults import Files, plan, tiny

__all__ = ["tiny"]  # a fixture

pytestmark = pytest.mark.skipif(not discover(), reason="no model runtime is installed")

RUNNER = Path(__file__).parents[3] / "examples/phone_runner/runner.py"
SERIAL = "4A2B"
AFTER = fault_pb2.FAULT_SITE_AFTER_ACTIVATION

Job = Tuple[pb.MeasurementSpec, Dict[str, Path]]


@pytest.fixture
def handset(phones: FakePhones) -> FakePhone:
    """The one phone that is plugged in."""
    return phones.add(SERIAL)


@pytest.fixture
def device(phones: FakePhones, handset: FakePhone, tmp_path: Path) -> PhoneDevice:
    """It, as the bridge sees it."""
    phone = AdbProgram(phones.command).phone(Attached(SERIAL, "device", "", {}))
    return PhoneDevice(phone)


@pytest.fixture
def bench(device: PhoneDevice, tmp_path: Path) -> PhoneBench:
    """With the reference runner, which has been asked what it offers."""
    return bench_of(device, RUNNER, tmp_path)


def bench_of(device: PhoneDevice, runner: Path, folder: Path) -> PhoneBench:
    runtime = discover()[0]
    facts = RunnerFacts(runtime.name, runtime.version, runtime.delegates, runtime.formats, ("latency", "accuracy"))
    program = OwnProtocol(device.phone, PhoneStore(device.phone), runner)
    return PhoneBench(device, program, facts, folder / "work")


def job(model: Path, **parts: Any) -> Job:
    """A specification of some parts and its files; a data set or reference is given by its path."""
    paths = {digest_of_file(model): model}
    spec = pb.MeasurementSpec(
        model=artifact_pb2.ArtifactRef(digest=digest_of_file(model), media_type="model/tflite"),
        runtime=pb.RuntimeSpec(threads=1),
        timeout_s=60,
    )
    for name, (part, field, path) in parts.items():
        if path is not None:
            paths[digest_of_file(path)] = path
            getattr(part, field).digest = digest_of_file(path)
        getattr(spec, name).CopyFrom(part)
    return spec, paths


def accuracy_job(files: Files, batch: int = 32, fault_plan: Optional[fault_pb2.FaultPlan] = None) -> Job:
    model, data = files
    parts: Dict[str, Any] = {"accuracy": (pb.AccuracySpec(batch_size=batch, confidence=0.95), "dataset", data)}
    if fault_plan is not None:
        parts["fault_plan"] = (fault_plan, "record", None)
    return job(model, **parts)


def result_of(outcome: Outcome) -> pb.MeasurementResult:
    assert outcome.result is not None, outcome.failure
    return outcome.result


def failure_of(outcome: Outcome) -> failure_pb2.Failure:
    assert outcome.failure is not None, outcome.result
    return outcome.failure


def locally(files: Files, folder: Path, batch: int, asked: fault_pb2.FaultPlan) -> pb.MeasurementResult:
    """What this machine makes of the same, without a bridge."""
    model, data = files
    runtime = discover()[0]
    clean = runtime.load(model, 1, "")

    def load(content: bytes, size: int) -> LoadedModel:
        return runtime.load(content, 1, "", size)

    accuracy = measure_accuracy(clean, pb.AccuracySpec(batch_size=batch, confidence=0.95), data, folder)
    faults = measure_faults(clean, load, model.read_bytes(), asked, accuracy.top1, data, folder)
    return pb.MeasurementResult(accuracy=accuracy, faults=faults)


# ------------------------------------------------------------------------------------------------------- figures


@pytest.mark.slow
async def test_the_runner_tells_what_it_offers(device: PhoneDevice, tmp_path: Path) -> None:
    bench = await PhoneBench.make(device, RUNNER, tmp_path)
    (offered,) = bench.runtimes
    assert offered.name == discover()[0].name
    assert offered.version == discover()[0].version
    assert set(bench.capabilities) == {"latency", "processes", "output_check", "accuracy", "faults", "energy"}


@pytest.mark.slow
async def test_latency_has_all_figures_of_a_local_device(
    bench: PhoneBench, handset: FakePhone, models: Path, spec_for: SpecFor
) -> None:
    steps: List[str] = []
    outcome = await bench.measure(*spec_for(models / "kws_ref_model.tflite"), steps.append)
    result, told = result_of(outcome), result_of(outcome).provenance
    latency = result.latency
    for figure in (latency.load_s, latency.first_inference_s, latency.median_s, latency.mean_s, latency.mad_s):
        assert figures.value_of(figure)
    interval = latency.median_s.estimate.interval
    assert interval.method == "block bootstrap"
    assert interval.low <= latency.median_s.estimate.value <= interval.high
    assert latency.stop_reason != pb.STOP_REASON_UNSPECIFIED
    assert outcome.files[latency.raw_samples.digest].stat().st_size == latency.raw_samples.size_bytes
    assert (told.runtime, told.delegate, told.threads) == (discover()[0].name, "xnnpack", 1)
    assert told.before.governor == told.after.governor == "sched_pixel"
    assert any("over adb" in remark for remark in told.remarks)
    assert "timing" in steps
    # The one big core, of which there are nine: bit 8.
    assert list(told.cpus) == [8]
    assert (handset.root / "taskset.log").read_text().split()[-1] == "100"
    outcome.discard()


@pytest.mark.slow
async def test_several_processes_are_several_runs_of_the_runner(
    bench: PhoneBench, models: Path, spec_for: SpecFor
) -> None:
    spec, paths = spec_for(models / "kws_ref_model.tflite")
    spec.latency.processes = spec.latency.max_processes = 2
    result = result_of(await bench.measure(spec, paths))
    assert len(result.latency.runs) == 2


@pytest.mark.slow
async def test_outputs_are_checked_before_anything_is_timed(
    bench: PhoneBench, tiny: Files, tmp_path: Path, spec_for: SpecFor
) -> None:
    model, data = tiny
    inputs = dataset.load(data).inputs
    loaded = discover()[0].load(model, 1, "")
    outputs = np.zeros((len(inputs["x"]), 4), np.float32)
    for number, sample in enumerate(inputs["x"]):
        tensor = loaded.inputs[0]
        assert tensor.scale is not None
        loaded.set_input(0, np.clip(np.rint(sample / tensor.scale), -128, 127).astype(np.int8)[None])
        loaded.invoke()
        scale = loaded.outputs[0].scale
        assert scale is not None
        outputs[number] = loaded.output(0)[0] * scale
    right, wrong = tmp_path / "right.npz", tmp_path / "wrong.npz"
    dataset.save(right, dataset.DataSet(inputs, outputs={"scores": outputs}))
    dataset.save(wrong, dataset.DataSet(inputs, outputs={"scores": outputs[::-1].copy()}))
    check = pb.OutputCheckSpec(tolerance=0.05)
    good = result_of(await bench.measure(*job(model, output_check=(check, "reference", right))))
    assert good.output_check == check_outputs(loaded, check, right)
    spec, paths = job(model, output_check=(check, "reference", wrong))
    spec.latency.CopyFrom(spec_for(model)[0].latency)
    steps: List[str] = []
    failure = failure_of(await bench.measure(spec, paths, steps.append))
    assert failure.kind == failure_pb2.FAILURE_KIND_WRONG_OUTPUT
    assert "timing" not in steps


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "batch"),
    [
        (plan("iBF(p=0.03)", 3, 12, half_width=0.05), 1),
        (plan("adSAF(p=0.1)", 3, 3), 150),
        (plan("iBF(p=0.05)", 3, 3, lifetime=fault_pb2.FAULT_LIFETIME_INTERMITTENT, duty=0.5), 7),
        (plan("iBF(p=0.03)", 3, 3, site=AFTER), 1),
        (plan("MiBB(p_m=0.01)", 3, 3, site=AFTER), 7),
        (plan("random(p=0.2)", 3, 3, site=AFTER), 7),
    ],
    ids=["bits of weights", "stuck weights", "now and then", "bits of features", "bias of features", "random features"],
)
async def test_accuracy_under_faults_is_that_of_a_local_device_bit_for_bit(
    bench: PhoneBench, tiny: Files, tmp_path: Path, batch: int, asked: fault_pb2.FaultPlan
) -> None:
    result = result_of(await bench.measure(*accuracy_job(tiny, batch, asked)))
    here = locally(tiny, tmp_path, batch, asked)
    assert result.accuracy == here.accuracy
    assert result.faults == here.faults
    assert sum(result.faults.fault_counts) > 0


@pytest.mark.slow
async def test_each_sample_may_have_weights_of_its_own(bench: PhoneBench, tiny: Files, tmp_path: Path) -> None:
    model, data = tiny
    whole = dataset.load(data)
    assert whole.labels is not None
    few = tmp_path / "few.npz"
    dataset.save(few, dataset.DataSet({"x": whole.inputs["x"][:4]}, whole.labels[:4]))
    asked = plan("iBF(p=0.05)", 3, 3, lifetime=fault_pb2.FAULT_LIFETIME_TRANSIENT)
    result = result_of(await bench.measure(*accuracy_job((model, few), 2, asked)))
    assert result.faults == locally((model, few), tmp_path, 2, asked).faults


@pytest.mark.slow
@pytest.mark.parametrize("site", [fault_pb2.FAULT_SITE_WEIGHTS, AFTER])
async def test_a_real_network_under_faults_is_that_of_a_local_device(
    bench: PhoneBench, models: Path, tmp_path: Path, site: fault_pb2.FaultSite
) -> None:
    model = models / "pretrainedResnet_quant.tflite"
    random = np.random.default_rng(3)
    images = random.integers(-128, 128, (24, 32, 32, 3)).astype(np.int8)
    data = tmp_path / "data.npz"
    dataset.save(data, dataset.DataSet({"input": images}, random.integers(0, 10, 24)))
    asked = plan("iBF(p=1e-4)", 4, 4, site=site)
    result = result_of(await bench.measure(*accuracy_job((model, data), 8, asked)))
    here = locally((model, data), tmp_path, 8, asked)
    assert result.faults == here.faults
    assert result.accuracy == here.accuracy


@pytest.mark.slow
async def test_a_data_set_travels_once(bench: PhoneBench, handset: FakePhone, tiny: Files) -> None:
    kept = handset.path("/data/local/tmp/gauntlet")
    result_of(await bench.measure(*accuracy_job(tiny)))
    before = {path.name: path.stat().st_ino for path in kept.iterdir()}
    result_of(await bench.measure(*accuracy_job(tiny)))
    # Runner, model and inputs: the same files as before, and nothing is left of the calls.
    assert {path.name: path.stat().st_ino for path in kept.iterdir()} == before
    assert len(before) == 3
    shutil.rmtree(kept)  # as somebody does who makes room on a phone
    result_of(await bench.measure(*accuracy_job(tiny)))
    assert {path.name for path in kept.iterdir()} == {*before}
