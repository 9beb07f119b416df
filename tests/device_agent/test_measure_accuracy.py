"""Accuracy and the output check, on a made-up model and on a real one."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np
import pytest

from device_agent.errors import MeasurementError
from device_agent.measure.accuracy import measure_accuracy
from device_agent.measure.outputs import check_outputs
from device_agent.measure.tensors import fit_samples
from device_agent.runtimes import Tensor, discover
from protos import dataset, figures
from protos.dataset import DataSet
from protos.gauntlet.v1 import failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

Array = np.ndarray


class FakeModel:
    """Scores are what `function` makes of a batch; batches change size if `flexible`."""

    delegate = "none"
    remarks: List[str] = []  # noqa: RUF012

    def __init__(self, function: Callable[[Array], Array], given: Tensor, flexible: bool = True) -> None:
        self._function = function
        self._flexible = flexible
        self.inputs: Tuple[Tensor, ...] = (given,)
        self.batches: List[int] = []
        self._result: Array = np.zeros(0)
        self._value: Array = np.zeros(given.shape, given.dtype)

    @property
    def outputs(self) -> Tuple[Tensor, ...]:
        scores = self._function(np.zeros(self.inputs[0].shape, self.inputs[0].dtype))
        if scores.dtype.kind == "f":
            return (Tensor("scores", scores.shape, scores.dtype.name),)
        return (Tensor("scores", scores.shape, scores.dtype.name, 0.5, 10),)

    def set_input(self, index: int, value: Array) -> None:
        assert value.shape == self.inputs[0].shape
        assert value.dtype.name == self.inputs[0].dtype
        self._value = value

    def invoke(self) -> None:
        self.batches.append(len(self._value))
        self._result = self._function(self._value)

    def output(self, index: int) -> Array:
        return self._result

    def resize_batch(self, size: int) -> bool:
        if self._flexible:
            old = self.inputs[0]
            self.inputs = (Tensor(old.name, (size, *old.shape[1:]), old.dtype, old.scale, old.zero_point),)
        return self._flexible


def linear(x: Array) -> Array:
    """Class 0, 1 or 2 by the first value of a sample."""
    first = x.reshape(len(x), -1)[:, 0]
    return np.stack([-np.abs(first - c) for c in range(3)], axis=1).astype(np.float32)


FLOAT = Tensor("x", (1, 2, 1), "float32")


def samples(classes: list[int]) -> Array:
    x = np.zeros((len(classes), 2, 1), np.float32)
    x[:, 0, 0] = classes
    return x


def saved(
    tmp_path: Path, inputs: Array, labels: Optional[Array] = None, outputs: Optional[Dict[str, Array]] = None
) -> Path:
    dataset.save(tmp_path / "data.npz", DataSet({"input": inputs}, labels, outputs or {}))
    return tmp_path / "data.npz"


def accuracy(model: FakeModel, path: Path, batch: int = 4) -> pb.AccuracyResult:
    return measure_accuracy(model, pb.AccuracySpec(batch_size=batch, confidence=0.95), path, path.parent)


@pytest.mark.parametrize("flexible", [True, False])
def test_top1_with_interval_and_predictions(tmp_path: Path, flexible: bool) -> None:
    truth = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    path = saved(tmp_path, samples(truth), np.array([*truth[:8], 0, 1]))
    model = FakeModel(linear, FLOAT, flexible)
    result = accuracy(model, path)
    assert figures.value_of(result.top1) == 0.8
    assert result.top1.estimate.interval.method == "Wilson"
    assert result.samples == 10
    assert (4 in model.batches) == flexible
    content = (tmp_path / result.predictions.digest).read_bytes()
    assert result.predictions.media_type == "predictions/int32"
    assert np.frombuffer(zlib.decompress(content), "<i4").tolist() == truth


def test_a_graph_that_mixes_its_batch_up_is_run_one_by_one(tmp_path: Path) -> None:
    def mixing(x: Array) -> Array:
        return linear(np.repeat(x[:1], len(x), axis=0))

    truth = [0, 1, 2, 0, 1, 2]
    result = accuracy(FakeModel(mixing, FLOAT), saved(tmp_path, samples(truth), np.array(truth)))
    assert figures.value_of(result.top1) == 1


def test_non_finite_outputs_count_as_wrong(tmp_path: Path) -> None:
    def breaking(x: Array) -> Array:
        scores = linear(x)
        scores[x.reshape(len(x), -1)[:, 0] == 1] = np.nan
        return scores

    result = accuracy(FakeModel(breaking, FLOAT), saved(tmp_path, samples([0, 1, 2, 1]), np.array([0, 0, 2, 1])))
    assert result.non_finite == 2
    assert figures.value_of(result.top1) == 0.5


def test_quantised_models_get_quantised_inputs() -> None:
    given = Tensor("x", (1, 2), "int8", 0.5, -3)
    got = fit_samples(given, np.array([[0.0, 1.0], [100.0, -100.0]], np.float32))
    assert got.dtype == np.int8
    assert got.tolist() == [[-3, -1], [127, -128]]
    own = np.array([[1, 2]], np.int8)
    assert fit_samples(given, own) is not None
    assert fit_samples(given, own).tolist() == own.tolist()


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(MeasurementError) as caught:
        action()
    assert caught.value.kind == failure_pb2.FAILURE_KIND_INVALID_DATA
    return caught.value.message


def test_data_that_does_not_fit_is_refused_in_one_clear_line(tmp_path: Path) -> None:
    model = FakeModel(linear, FLOAT)
    labels = np.array([0])
    assert "samples of shape 2×1, the data set holds 5" in refused(
        lambda: accuracy(model, saved(tmp_path, np.zeros((1, 5), np.float32), labels))
    )
    assert "takes float32, the data set holds int16" in refused(
        lambda: accuracy(model, saved(tmp_path, np.zeros((1, 2), np.int16), labels))
    )
    assert "no labels" in refused(lambda: accuracy(model, saved(tmp_path, samples([0]))))
    assert "label 7 in the data set, the model has 3 classes" in refused(
        lambda: accuracy(model, saved(tmp_path, samples([0]), np.array([7])))
    )
    (tmp_path / "junk").write_bytes(b"junk")
    assert "not a data set" in refused(lambda: accuracy(model, tmp_path / "junk"))
    one_score = FakeModel(lambda x: np.zeros((len(x), 1), np.float32), FLOAT)
    assert "at least two class scores" in refused(lambda: accuracy(one_score, saved(tmp_path, samples([0]), labels)))


def check(model: FakeModel, path: Path, tolerance: float = 0.01) -> pb.OutputCheckResult:
    return check_outputs(model, pb.OutputCheckSpec(tolerance=tolerance), path)


def test_outputs_like_the_reference_pass(tmp_path: Path) -> None:
    x = samples([0, 1, 2, 1, 0])
    result = check(FakeModel(linear, FLOAT), saved(tmp_path, x, outputs={"scores": linear(x)}))
    assert figures.value_of(result.max_difference) == 0
    assert figures.value_of(result.top1_agreement) == 1


def test_dequantised_outputs_are_compared(tmp_path: Path) -> None:
    def quantised(x: Array) -> Array:
        return np.rint(linear(x) / 0.5 + 10).astype(np.int8)

    x = samples([0, 1, 2])
    result = check(FakeModel(quantised, FLOAT), saved(tmp_path, x, outputs={"scores": linear(x)}))
    assert figures.value_of(result.max_difference) == 0


@pytest.mark.parametrize("wrong", [5.0, np.nan, np.inf])
def test_wrong_outputs_are_a_failure_that_names_the_sample(tmp_path: Path, wrong: float) -> None:
    def off(x: Array) -> Array:
        scores = linear(x)
        scores[x.reshape(len(x), -1)[:, 0] == 2, 0] += wrong
        return scores

    x = samples([0, 1, 2])
    with pytest.raises(MeasurementError, match="of sample 2 differs") as caught:
        check(FakeModel(off, FLOAT), saved(tmp_path, x, outputs={"scores": linear(x)}))
    assert caught.value.kind == failure_pb2.FAILURE_KIND_WRONG_OUTPUT


def test_a_reference_that_does_not_fit_is_invalid_data(tmp_path: Path) -> None:
    model = FakeModel(linear, FLOAT)
    x = samples([0, 1])
    assert "holds no outputs" in refused(lambda: check(model, saved(tmp_path, x)))
    assert "has 3 values a sample" in refused(
        lambda: check(model, saved(tmp_path, x, outputs={"s": np.zeros((2, 4), np.float32)}))
    )


def test_a_real_model_agrees_with_itself_in_batches(models: Path, tmp_path: Path) -> None:
    if not discover():
        pytest.skip("no model runtime")
    model = discover()[0].load(models / "pretrainedResnet_quant.tflite", 1, "")
    x = np.random.default_rng(1).integers(0, 256, (37, 32, 32, 3)).astype(np.float32)
    zeros = np.zeros(37, np.int64)
    path = saved(tmp_path, x, zeros)

    def predictions(batch: int) -> Array:
        result = measure_accuracy(model, pb.AccuracySpec(batch_size=batch, confidence=0.95), path, tmp_path)
        assert result.samples == 37
        return np.frombuffer(zlib.decompress((tmp_path / result.predictions.digest).read_bytes()), "<i4")

    alone, together = predictions(1), predictions(16)
    assert (alone == together).mean() >= 0.9
