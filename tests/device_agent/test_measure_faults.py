"""Accuracy under weight faults: real runtime, a made-up model and a real one."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
import pytest

from device_agent.errors import MeasurementError
from device_agent.measure.accuracy import measure_accuracy
from device_agent.measure.faults import measure_faults
from device_agent.runtimes import LoadedModel, discover
from device_agent.workers import PoolSettings, WorkerPool
from fault_injection.drawing import draw_features, draw_weights, showing
from fault_injection.models import parse
from fault_injection.plan import FaultPlan, Lifetime, Position
from fault_injection.replay import FaultRecord
from fault_injection.space import Site, digest, hits
from fault_injection.tflite import schema as s
from fault_injection.tflite import write_model
from fault_injection.tflite.features import Carrier, find_features, instrument
from fault_injection.tflite.weights import contents, find_weights, inject
from protos import dataset, figures
from protos.contract import digest_of_bytes, digest_of_file
from protos.gauntlet.v1 import artifact_pb2, failure_pb2, fault_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

pytestmark = pytest.mark.skipif(not discover(), reason="no model runtime is installed")

CLASSES, FEATURES, SAMPLES = 4, 32, 150
AFTER = fault_pb2.FAULT_SITE_AFTER_ACTIVATION
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


def run(
    files: Files,
    asked: fault_pb2.FaultPlan,
    folder: Path,
    batch: int = 32,
    delegate: str = "",
    record: Optional[Path] = None,
) -> pb.FaultResult:
    path, data = files
    runtime = discover()[0]
    clean = runtime.load(path, 1, delegate)
    spec = pb.AccuracySpec(batch_size=batch, confidence=0.95)
    accuracy = measure_accuracy(clean, spec, data, folder).top1

    def load(content: bytes, size: int) -> LoadedModel:
        return runtime.load(content, 1, delegate, size)

    return measure_faults(clean, load, path.read_bytes(), asked, accuracy, data, folder, record)


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
    sites = [weight.site for weight in weights]
    faults = draw_weights(FaultPlan(parse("iBF(p=0.05)"), seed=11), sites, contents(content, weights), 7)
    patched.write_bytes(inject(content, weights, faults))
    by_hand = measure_accuracy(
        discover()[0].load(patched, 1, ""), pb.AccuracySpec(batch_size=1, confidence=0.95), data, tmp_path
    )
    result = run(tiny, plan("iBF(p=0.05)", first_pattern=6), tmp_path)
    assert (result.fault_counts[1], result.digests[1]) == (hits(faults), digest(faults))
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
    scale = plan("iBF(p=0.1)", site=AFTER, scale=fault_pb2.FAULT_SCALE_POWER_OF_TWO)
    kind, message = refused(tiny, scale, tmp_path)
    assert kind == unsupported
    assert "the scale of 'scores' is no power of two around 0: export with power-of-two scales" in message
    stuck = refused(tiny, plan("stuck(p=0.1, to=1)", site=AFTER), tmp_path)
    assert stuck == (
        unsupported,
        "fault plan: a deployed graph cannot carry stuck in its features; torch models can",
    )
    float_model = (tiny[0].with_name("float.tflite"), tiny[1])
    for place in (fault_pb2.FAULT_SITE_WEIGHTS, AFTER):
        kind, message = refused(float_model, plan("iBF(p=0.1)", site=place), tmp_path)
        assert kind == unsupported
        assert "needs 8-bit values, those of" in message
        assert "export the model as int8" in message
    kind, message = refused(tiny, plan("iBF32(p=0.1)"), tmp_path)
    assert (kind, "needs 32-bit values" in message) == (unsupported, True)
    newer = plan("iBF(p=0.1)")
    newer.lifetime = 9  # type: ignore[assignment]
    assert refused(tiny, newer, tmp_path) == (unsupported, "fault plan: this agent does not know 9")
    for asked, words in (
        (plan("iBF(p=2)"), "p must lie in 0 to 1, not 2"),
        (plan("ibf(p=0.1)"), "did you mean iBF?"),
        (plan("iBF(p=0.1)", targets=["conv*"]), "nothing to break matches 'conv*'; the model has: dense/weights"),
        (plan("iBF(p=0.1)", 0, 5), "1 <= min_patterns <= max_patterns, not 0 and 5"),
        (plan("adSAF(p=0.1)", site=AFTER), "adSAF does not strike features"),
        (plan("iBF(p=0.1)", lowest_bit=3, highest_bit=8), "bits must lie in 0 to 7, not 3 to 8"),
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


FEATURE_MODELS = (
    "iBF(p=0.02)",
    "MiBB(p_m=0.002)",
    "random(p=0.05)",
    "gauss(sigma=0.1)",
    "channel(p=0.1, to=max)",
    "SEU",
)


def feature_sites(content: bytes) -> List[Site]:
    return [feature.site for feature in find_features(content)]


@pytest.mark.parametrize("text", FEATURE_MODELS)
def test_features_of_a_pattern_are_what_an_instrumented_graph_does(cifar: Files, tmp_path: Path, text: str) -> None:
    """Pattern 4, by hand: draw the whole data set at once, write whole fault tensors, one sample after another."""
    path, data = cifar
    content = path.read_bytes()
    sites = feature_sites(content)
    samples = dataset.load(data)
    asked = FaultPlan(parse(text), Position.AFTER_ACTIVATION, seed=11)
    faults = draw_features(asked, sites, 4, range(len(samples)))
    carrier = {"iBF": Carrier.FLIP, "SEU": Carrier.FLIP, "MiBB": Carrier.ADD, "gauss": Carrier.ADD}.get(
        asked.model.name, Carrier.SET
    )
    instrumented = instrument(content, find_features(content), carrier)
    masks = {site.name: np.zeros((len(samples), *site.shape), np.int8) for site in sites}
    hit = {site.name: np.zeros((len(samples), *site.shape), bool) for site in sites}
    for group in faults:
        masks[group.site].reshape(-1)[group.elements] = group.operands.astype(np.int16).astype(np.int8)
        hit[group.site].reshape(-1)[group.elements] = True
    model = discover()[0].load(instrumented.data, 1, "none")
    images = np.rint(next(iter(samples.inputs.values())) / model.inputs[0].scale) + model.inputs[0].zero_point  # type: ignore[operator]
    right = 0
    for index in range(len(samples)):
        model.set_input(0, images[index : index + 1].clip(-128, 127).astype(np.int8))
        for site in sites:
            tensors = [hit, masks] if carrier is Carrier.SET else [masks]
            for place, values in zip(instrumented.inputs[site.name], tensors):
                model.set_input(place, np.ascontiguousarray(values[site.name][index : index + 1]))
        model.invoke()
        assert samples.labels is not None
        right += int(model.output(0).argmax()) == samples.labels[index]
    result = run(cifar, plan(text, 2, 2, site=AFTER, first_pattern=3), tmp_path, delegate="none")
    assert result.pattern_accuracies[1] == right / len(samples)
    assert result.fault_counts[1] == hits(faults)


@pytest.mark.parametrize("text", ["iBF(p=0.02)", "MiBB(p_m=0.005)"])
def test_batches_change_no_fault_in_features(tiny: Files, tmp_path: Path, text: str) -> None:
    results = [run(tiny, plan(text, site=AFTER), tmp_path, batch) for batch in (1, 7, 32, 150)]
    assert all(list(r.pattern_accuracies) == list(results[0].pattern_accuracies) for r in results)
    assert all(list(r.fault_counts) == list(results[0].fault_counts) for r in results)
    assert len(set(results[0].pattern_accuracies)) > 1


def test_no_faults_in_features_are_clean_accuracy_exactly(cifar: Files, tmp_path: Path) -> None:
    for text in ("iBF(p=0)", "MiBB(p_m=0)", "random(p=0)"):
        for delegate in ("none", "xnnpack"):
            result = run(cifar, plan(text, 2, 2, site=AFTER), tmp_path, delegate=delegate)
            assert set(result.pattern_accuracies) == {figures.value_of(result.clean_accuracy)}
            assert set(result.changed) == {0}


@pytest.mark.parametrize("place", [fault_pb2.FAULT_SITE_WEIGHTS, AFTER])
def test_a_written_pattern_does_what_the_drawn_one_did(cifar: Files, tmp_path: Path, place: int) -> None:
    path, _ = cifar
    content = path.read_bytes()
    weights = find_weights(content)
    on_weights = place == fault_pb2.FAULT_SITE_WEIGHTS
    asked = FaultPlan(parse("iBF(p=1e-3)"), Position.WEIGHTS if on_weights else Position.AFTER_ACTIVATION, seed=11)
    if on_weights:
        sites = [weight.site for weight in weights]
        patterns = {k: draw_weights(asked, sites, contents(content, weights), k) for k in (0, 2, 5)}
    else:
        sites = feature_sites(content)
        patterns = {k: draw_features(asked, sites, k, range(200)) for k in (0, 2, 5)}
    # Another seed in the plan of the file: nothing is drawn again.
    other = FaultPlan(asked.model, asked.position, seed=99)
    samples = 0 if on_weights else 200
    record = FaultRecord(other, digest_of_bytes(content), tuple(sites), samples, patterns)
    file = tmp_path / "faults.npz"
    file.write_bytes(record.to_bytes())
    drawn = run(cifar, plan("iBF(p=1e-3)", 6, 6, site=place), tmp_path)
    for number in patterns:
        replayed = run(
            cifar, plan("iBF(p=1e-3)", 1, 1, site=place, seed=99, first_pattern=number), tmp_path, record=file
        )
        assert replayed.pattern_accuracies[0] == drawn.pattern_accuracies[number]
        assert replayed.digests[0] == drawn.digests[number]
        assert replayed.changed[0] == drawn.changed[number]
    kind, message = invalid_record(cifar, plan("iBF(p=1e-3)", 1, 1, site=place, first_pattern=3), tmp_path, file)
    assert message == "fault plan: the file of faults has no pattern 3; it has: 0, 2, 5"
    wrong = FaultRecord(other, digest_of_bytes(b"another"), tuple(sites), samples, patterns)
    file.write_bytes(wrong.to_bytes())
    kind, message = invalid_record(cifar, plan("iBF(p=1e-3)", 1, 1, site=place), tmp_path, file)
    assert (kind, message) == (failure_pb2.FAILURE_KIND_INVALID_DATA, "the file of faults belongs to another model")
    file.write_bytes(b"PK nonsense")
    assert "not a file of faults" in invalid_record(cifar, plan("iBF(p=1e-3)", 1, 1, site=place), tmp_path, file)[1]


def invalid_record(files: Files, asked: fault_pb2.FaultPlan, folder: Path, record: Path) -> Tuple[int, str]:
    with pytest.raises(MeasurementError) as caught:
        run(files, asked, folder, record=record)
    return caught.value.kind, caught.value.message


def test_intermittent_faults_show_in_some_samples_only(tiny: Files, tmp_path: Path) -> None:
    lifetime = {"lifetime": fault_pb2.FAULT_LIFETIME_INTERMITTENT, "duty": 0.5}
    for place, position in ((fault_pb2.FAULT_SITE_WEIGHTS, Position.WEIGHTS), (AFTER, Position.AFTER_ACTIVATION)):
        permanent = {"lifetime": fault_pb2.FAULT_LIFETIME_PERMANENT}
        always, sometimes = (
            run(tiny, plan("iBF(p=0.1)", 3, 3, site=place, **life), tmp_path) for life in (permanent, lifetime)
        )
        asked = FaultPlan(parse("iBF(p=0.1)"), position, lifetime=Lifetime.INTERMITTENT, duty=0.5, seed=11)
        for pattern in range(3):
            shown = showing(asked, pattern, range(SAMPLES))
            assert 0.3 < shown.mean() < 0.7
            assert 0 < sometimes.changed[pattern] <= min(shown.sum(), always.changed[pattern])


def test_transient_faults_of_weights_differ_from_sample_to_sample(tiny: Files, tmp_path: Path) -> None:
    transient = plan("SEU", 2, 2, lifetime=fault_pb2.FAULT_LIFETIME_TRANSIENT)
    result = run(tiny, transient, tmp_path)
    assert list(result.fault_counts) == [SAMPLES, SAMPLES]
    assert result.pattern_accuracies[0] != result.pattern_accuracies[1]


def test_counts_say_what_became_of_the_samples(tiny: Files, tmp_path: Path) -> None:
    result = run(tiny, plan("iBF(p=0.05)", 6, 6), tmp_path)
    clean = figures.value_of(result.clean_accuracy)
    assert clean is not None
    right = np.frombuffer(zlib.decompress((tmp_path / result.right_patterns.digest).read_bytes()), "<u4")
    assert right.sum() == round(sum(result.pattern_accuracies) * SAMPLES)
    assert len(right) == result.samples == SAMPLES
    for accuracy, changed, critical in zip(result.pattern_accuracies, result.changed, result.critical):
        # What was wrong may have become right.
        assert (clean - accuracy) * SAMPLES <= critical + 1e-9 <= changed + 2e-9
    assert list(result.outside_top5) == []  # there are but four classes
    assert list(result.sites) == ["dense/weights"]


def test_protected_bits_and_a_range_of_bits_are_kept_to(tiny: Files, tmp_path: Path) -> None:
    high = run(tiny, plan("iBF(p=0.05)", 5, 5, lowest_bit=6, highest_bit=7), tmp_path)
    low = run(tiny, plan("iBF(p=0.05)", 5, 5, lowest_bit=0, highest_bit=1), tmp_path)
    assert mean(high) < mean(low)
    safe = run(tiny, plan("iBF(p=0.05)", 5, 5, protected_bits={"dense/weights": 0xFF}), tmp_path)
    assert list(safe.fault_counts) == 5 * [0]


def test_a_budget_of_time_ends_it_after_a_whole_pattern(tiny: Files, tmp_path: Path) -> None:
    result = run(tiny, plan("iBF(p=0.05)", 100, 100, budget_s=1e-9), tmp_path)
    assert (result.stop, len(result.pattern_accuracies)) == (pb.PATTERN_STOP_BUDGET, 1)
    assert not result.accuracy.estimate.HasField("interval")
