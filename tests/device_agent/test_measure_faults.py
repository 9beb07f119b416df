"""Accuracy under weight faults: real runtime, a made-up model and a real one."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import pytest

from device_agent.errors import MeasurementError
from device_agent.measure.accuracy import measure_accuracy
from device_agent.measure.faults import measure_faults
from device_agent.runtimes import LoadedModel, discover
from device_agent.workers import PoolSettings, WorkerPool
from fault_injection.models import parse
from fault_injection.tflite import schema as s
from fault_injection.tflite import write_model
from fault_injection.tflite.weights import draw, find_weights, inject
from protos import dataset, figures
from protos.contract import digest_of_file
from protos.gauntlet.v1 import artifact_pb2, failure_pb2, fault_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

pytestmark = pytest.mark.skipif(not discover(), reason="no model runtime is installed")

CLASSES, FEATURES, SAMPLES = 4, 32, 150
Files = Tuple[Path, Path]


def tiny_model(prototypes: np.ndarray, weight_type: int = s.TensorType.INT8) -> bytes:
    """One fully connected layer whose rows are what the classes look like."""
    scale = 1 / 127

    def quantised(value: float) -> s.Quantization:
        return s.Quantization(scale=np.array([value], np.float32), zero_point=np.zeros(1, np.int64))

    eight_bit = weight_type == s.TensorType.INT8
    weights = np.rint(prototypes * 127).astype(np.int8) if eight_bit else prototypes.astype(np.float32)
    tensors = [
        s.Tensor(shape=[1, FEATURES], type=weight_type, name="x", quantization=quantised(scale)),
        s.Tensor(
            shape=[CLASSES, FEATURES], type=weight_type, name="dense/weights", buffer=1, quantization=quantised(scale)
        ),
        s.Tensor(shape=[1, CLASSES], type=weight_type, name="scores", quantization=quantised(FEATURES / 254)),
    ]
    code = s.BuiltinOperator.FULLY_CONNECTED
    operator = s.Operator(inputs=[0, 1, -1], outputs=[2], builtin_options=s.FullyConnectedOptions())
    return write_model(
        s.Model(
            version=3,
            operator_codes=[s.OperatorCode(deprecated_builtin_code=code, builtin_code=code, version=4)],
            subgraphs=[s.SubGraph(tensors=tensors, inputs=[0], outputs=[2], operators=[operator])],
            buffers=[s.Buffer(), s.Buffer(data=np.frombuffer(weights.tobytes(), np.uint8))],
        )
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A model that is right most of the time, and its data set."""
    folder = tmp_path_factory.mktemp("tiny")
    random = np.random.default_rng(5)
    prototypes = random.uniform(-0.7, 0.7, (CLASSES, FEATURES))
    labels = random.integers(0, CLASSES, SAMPLES)
    x = np.clip(prototypes[labels] + random.normal(0, 0.6, (SAMPLES, FEATURES)), -1, 1)
    (folder / "tiny.tflite").write_bytes(tiny_model(prototypes))
    (folder / "float.tflite").write_bytes(tiny_model(prototypes, s.TensorType.FLOAT32))
    dataset.save(folder / "data.npz", dataset.DataSet({"x": x.astype(np.float32)}, labels.astype(np.int64)))
    return folder / "tiny.tflite", folder / "data.npz"


def plan(text: str, least: int = 5, most: int = 5, **fields: object) -> fault_pb2.FaultPlan:
    return fault_pb2.FaultPlan(
        fault_model=text,
        min_patterns=least,
        max_patterns=most,
        **{
            "site": fault_pb2.FAULT_SITE_WEIGHTS,
            "scale": fault_pb2.FAULT_SCALE_DEPLOYED,
            "half_width": 0.01,
            "confidence": 0.95,
            "seed": 11,
            **fields,
        },
    )


def run(files: Files, asked: fault_pb2.FaultPlan, folder: Path, batch: int = 32, delegate: str = "") -> pb.FaultResult:
    path, data = files
    runtime = discover()[0]
    clean = runtime.load(path, 1, delegate)
    spec = pb.AccuracySpec(batch_size=batch, confidence=0.95)
    accuracy = measure_accuracy(clean, spec, data, folder).top1

    def load(content: bytes, size: int) -> LoadedModel:
        return runtime.load(content, 1, delegate, size)

    return measure_faults(clean, load, path.read_bytes(), asked, accuracy, data)


def mean(result: pb.FaultResult) -> float:
    value = figures.value_of(result.accuracy)
    assert value is not None
    return value


def test_no_faults_are_clean_accuracy_exactly(tiny: Files, tmp_path: Path) -> None:
    result = run(tiny, plan("iBF(p=0)", 3, 100), tmp_path)
    assert 0.8 < mean(result) < 1
    assert set(result.pattern_accuracies) == {figures.value_of(result.clean_accuracy)} == {mean(result)}
    assert list(result.fault_counts) == [0, 0, 0]
    assert result.stop == pb.PATTERN_STOP_PRECISE
    assert result.accuracy.estimate.interval.low == result.accuracy.estimate.interval.high == mean(result)
    assert figures.value_of(result.non_finite) == 0
    assert result.non_finite.estimate.samples == 3 * SAMPLES


def test_the_same_seed_gives_the_same_result_and_another_seed_another(tiny: Files, tmp_path: Path) -> None:
    first, again = (run(tiny, plan("iBF(p=0.03)"), tmp_path) for _ in range(2))
    assert first == again
    other = run(tiny, plan("iBF(p=0.03)", seed=12), tmp_path)
    assert list(other.pattern_accuracies) != list(first.pattern_accuracies)


@pytest.mark.parametrize("batch", [1, 7, 150])
def test_batches_change_nothing(tiny: Files, tmp_path: Path, batch: int) -> None:
    result = run(tiny, plan("iBF(p=0.03)"), tmp_path, batch)
    assert result == run(tiny, plan("iBF(p=0.03)"), tmp_path)


def test_two_jobs_give_the_patterns_of_one(tiny: Files, tmp_path: Path) -> None:
    whole = run(tiny, plan("iBF(p=0.02, per=value)", 9, 9), tmp_path)
    parts = [
        run(tiny, plan("iBF(p=0.02, per=value)", 4, 4), tmp_path),
        run(tiny, plan("iBF(p=0.02, per=value)", 5, 5, first_pattern=4), tmp_path),
    ]
    assert [a for part in parts for a in part.pattern_accuracies] == list(whole.pattern_accuracies)
    assert [n for part in parts for n in part.fault_counts] == list(whole.fault_counts)
    assert len(set(whole.fault_counts)) > 1


def test_more_faults_cost_more_accuracy(tiny: Files, tmp_path: Path) -> None:
    results = [run(tiny, plan(f"iBF(p={p})", 30, 30), tmp_path) for p in (1e-3, 0.03, 0.5)]
    accuracies = [mean(result) for result in results]
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[2] < 0.5 < accuracies[0]
    bits = 8 * CLASSES * FEATURES
    for p, result in zip((1e-3, 0.03, 0.5), results):
        assert abs(sum(result.fault_counts) - 30 * bits * p) < 4 * (30 * bits * p) ** 0.5


def test_a_pattern_is_what_the_patched_file_does(tiny: Files, tmp_path: Path) -> None:
    """The accuracy of pattern 7, by hand: draw, write the file, measure it as a model of its own."""
    path, data = tiny
    content = path.read_bytes()
    weights = find_weights(content)
    patched = tmp_path / "patched.tflite"
    model = parse("iBF(p=0.05)")
    patched.write_bytes(inject(content, weights, draw(weights, model, 11, 7)))  # type: ignore[arg-type]
    by_hand = measure_accuracy(
        discover()[0].load(patched, 1, ""), pb.AccuracySpec(batch_size=1, confidence=0.95), data, tmp_path
    )
    result = run(tiny, plan("iBF(p=0.05)", first_pattern=6), tmp_path)
    assert result.pattern_accuracies[1] == figures.value_of(by_hand.top1) < mean(run(tiny, plan("iBF(p=0)"), tmp_path))


def test_it_stops_at_the_first_planned_look_that_is_precise_enough(tiny: Files, tmp_path: Path) -> None:
    wide = run(tiny, plan("iBF(p=0.01)", 5, 200, half_width=0.5), tmp_path)
    assert (wide.stop, len(wide.pattern_accuracies)) == (pb.PATTERN_STOP_PRECISE, 5)
    narrow = run(tiny, plan("iBF(p=0.01)", 5, 200, half_width=0.02), tmp_path)
    assert narrow.stop == pb.PATTERN_STOP_PRECISE
    assert len(narrow.pattern_accuracies) in (7, 10, 13, 17, 23, 30, 39, 51, 67, 88, 115, 150, 195)
    interval = narrow.accuracy.estimate.interval
    assert (interval.high - interval.low) / 2 <= 0.02
    assert interval.low < mean(narrow) < interval.high
    assert narrow.accuracy.estimate.samples == len(narrow.pattern_accuracies) == len(narrow.fault_counts)


def test_it_stops_at_the_cap(tiny: Files, tmp_path: Path) -> None:
    result = run(tiny, plan("iBF(p=0.05)", 5, 8, half_width=1e-4), tmp_path)
    assert (result.stop, len(result.pattern_accuracies)) == (pb.PATTERN_STOP_CAP, 8)
    assert result.accuracy.estimate.interval.high > result.accuracy.estimate.interval.low


def refused(files: Files, asked: fault_pb2.FaultPlan, folder: Path) -> Tuple[int, str]:
    with pytest.raises(MeasurementError) as caught:
        run(files, asked, folder)
    return caught.value.kind, caught.value.message


def test_what_cannot_be_done_is_said_in_one_line(tiny: Files, tmp_path: Path) -> None:
    unsupported, invalid = failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION, failure_pb2.FAILURE_KIND_INVALID_DATA
    before = plan("iBF(p=0.1)", site=fault_pb2.FAULT_SITE_BEFORE_ACTIVATION)
    assert refused(tiny, before, tmp_path) == (
        unsupported,
        "this agent injects faults into weights only, not at fault site before activation",
    )
    scale = plan("iBF(p=0.1)", scale=fault_pb2.FAULT_SCALE_POWER_OF_TWO)
    kind, message = refused(tiny, scale, tmp_path)
    assert kind == unsupported
    assert "deployed scale only" in message
    float_model = (tiny[0].with_name("float.tflite"), tiny[1])
    kind, message = refused(float_model, plan("iBF(p=0.1)"), tmp_path)
    assert kind == unsupported
    assert "float32: export it as int8" in message
    for asked, words in (
        (plan("iBF(p=2)"), "p must lie in 0 to 1, not 2"),
        (plan("ibf(p=0.1)"), "did you mean iBF?"),
        (plan("iBF(p=0.1)", targets=["conv*"]), "no 8-bit weights match 'conv*'; the model has: dense/weights"),
        (plan("iBF(p=0.1)", 1, 5), "2 <= min_patterns <= max_patterns, not 1 and 5"),
        (plan("iBF(p=0.1)", confidence=1.0), "confidence must lie between 0 and 1"),
    ):
        kind, message = refused(tiny, asked, tmp_path)
        assert kind == invalid
        assert words in message


async def measured(files: Files, asked: fault_pb2.FaultPlan, folder: Path) -> Tuple[pb.MeasurementResult, List[str]]:
    """The whole way through a worker."""
    path, data = files
    digests: Dict[str, Path] = {digest_of_file(file): file for file in files}
    spec = pb.MeasurementSpec(
        model=artifact_pb2.ArtifactRef(digest=digest_of_file(path), media_type="model/tflite"),
        runtime=pb.RuntimeSpec(threads=1, delegate="xnnpack"),
        accuracy=pb.AccuracySpec(
            dataset=artifact_pb2.ArtifactRef(digest=digest_of_file(data)), batch_size=32, confidence=0.95
        ),
        fault_plan=asked,
        timeout_s=60,
    )
    pool = WorkerPool(PoolSettings(folder / "workers", spare=False))
    await pool.start()
    steps: List[str] = []
    try:
        outcome = await pool.measure(spec, digests, steps.append)
    finally:
        await pool.close()
    assert outcome.result is not None, outcome.failure
    return outcome.result, steps


async def test_a_worker_does_faults_last_and_tells_so(tiny: Files, tmp_path: Path) -> None:
    result, steps = await measured(tiny, plan("iBF(p=0.02)"), tmp_path)
    assert steps == ["check", "load", "accuracy", "faults"]
    assert result.faults == run(tiny, plan("iBF(p=0.02)"), tmp_path)
    assert result.faults.clean_accuracy == result.accuracy.top1


@pytest.fixture(scope="module")
def cifar(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """MLPerf Tiny's image classifier and 200 of CIFAR-10's test images, as raw pixel values."""
    archive = models.parent / "cifar10" / "lossless_test1000.bin.gz"
    if not archive.is_file():
        pytest.skip(f"no images in {archive}")
    records = np.frombuffer(gzip.decompress(archive.read_bytes()), np.uint8).reshape(-1, 3073)[:200]
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).astype(np.float32)
    path = tmp_path_factory.mktemp("cifar") / "data.npz"
    dataset.save(path, dataset.DataSet({"input": images}, records[:, 0].astype(np.int64)))
    return models / "pretrainedResnet_quant.tflite", path


@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
def test_a_real_network_loses_accuracy_as_its_weights_break(cifar: Files, tmp_path: Path, delegate: str) -> None:
    clean, few, many = (
        run(cifar, plan(f"iBF(p={p})", count, count), tmp_path, delegate=delegate)
        for p, count in (("0", 2), ("1e-4", 4), ("1e-2", 4))
    )
    assert list(clean.pattern_accuracies) == 2 * [figures.value_of(clean.clean_accuracy)]
    assert mean(clean) > 0.8
    assert mean(clean) - 0.1 < mean(few) <= mean(clean) + 0.03
    assert mean(many) < 0.4
    assert 4 * 30 < sum(few.fault_counts) < 4 * 100
