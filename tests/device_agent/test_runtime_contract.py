"""What every runtime on this machine keeps to, on one small network in the format of each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import List

import numpy as np
import pytest

from device_agent.errors import MeasurementError
from device_agent.measure.profile import measure_profile
from device_agent.measure.tensors import BatchRunner, example_inputs, fill_inputs
from device_agent.runtimes import LoadedModel, ProfileUnavailable, Runtime, choose, discover, format_of
from device_agent.runtimes.base import Operator, Profile
from protos import figures
from protos.gauntlet.v1 import failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

RUNTIMES = discover(allow_pt2=True)
#: Formats whose batch is written into the file, unless it says otherwise.
FIXED = ("onnx", "pt2")


@pytest.fixture(params=RUNTIMES, ids=lambda r: r.name)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    found: Runtime = request.param
    return found


@pytest.fixture
def network(runtime: Runtime, networks: Path) -> Path:
    return networks / f"network.{runtime.formats[0]}"


@pytest.fixture
def flexible(runtime: Runtime, networks: Path) -> Path:
    """The network in a file that leaves the batch open."""
    kind = runtime.formats[0]
    return networks / (f"dynamic.{kind}" if kind in FIXED else f"network.{kind}")


def images(networks: Path, model: LoadedModel) -> np.ndarray:
    """Samples as the model takes them: the channels of .tflite come last."""
    samples: np.ndarray = np.load(networks / "expected.npz")["images"]
    return samples if model.inputs[0].shape[1:] == samples.shape[1:] else samples.transpose(0, 2, 3, 1)


def expected(networks: Path) -> np.ndarray:
    outputs: np.ndarray = np.load(networks / "expected.npz")["outputs"]
    return outputs


def loaded(runtime: Runtime, path: Path, delegate: str = "") -> LoadedModel:
    runtime.preload()
    runtime.check(path)
    return runtime.load(path, 1, delegate)


def test_it_describes_itself(runtime: Runtime) -> None:
    assert runtime.name
    assert runtime.version[0].isdigit()
    assert runtime.formats
    assert runtime.delegates
    runtime.preload()


def test_all_runtimes_compute_what_torch_computes(runtime: Runtime, network: Path, networks: Path) -> None:
    for delegate in (*runtime.delegates, "none"):
        model = loaded(runtime, network, delegate)
        got = []
        for image in images(networks, model):
            model.set_input(0, np.ascontiguousarray(image[None]))
            model.invoke()
            got.append(model.output(0)[0])
        np.testing.assert_allclose(np.stack(got), expected(networks), atol=1e-4)


def test_tensors_are_told_and_outputs_are_copies(runtime: Runtime, network: Path) -> None:
    model = loaded(runtime, network)
    fill_inputs(model)
    model.invoke()
    (first,), (last,) = model.inputs, model.outputs
    assert sorted(first.shape) == [1, 3, 16, 16]
    assert (first.dtype, last.dtype, last.shape) == ("float32", "float32", (1, 10))
    assert first.scale is None
    output = model.output(0)
    before = output.copy()
    model.fill_input(0, 0.0)
    model.invoke()
    assert np.array_equal(output, before)
    assert not np.array_equal(output, model.output(0))


def test_inputs_are_filled_and_edited_in_place_and_outlive_an_inference(runtime: Runtime, network: Path) -> None:
    model = loaded(runtime, network)
    shape = model.inputs[0].shape
    values = np.full(shape, 0.5, np.float32)
    values.reshape(-1)[[3, 500]] = [2.0, -1.0]
    model.set_input(0, values)
    model.invoke()
    wanted = model.output(0)
    model.fill_input(0, 0.5)
    model.invoke()
    assert not np.array_equal(model.output(0), wanted)
    model.edit_input(0, np.array([3, 500]), np.array([2.0, -1.0], np.float32))
    for _ in range(2):
        model.invoke()
        assert np.array_equal(model.output(0), wanted)


def test_the_delegate_that_really_runs_is_named(runtime: Runtime, network: Path) -> None:
    for delegate in runtime.delegates:
        assert loaded(runtime, network, delegate).delegate == delegate


def test_a_model_comes_from_its_bytes_and_uses_several_threads(runtime: Runtime, network: Path, networks: Path) -> None:
    runtime.preload()
    model = runtime.load(network.read_bytes(), 2, "")
    model.set_input(0, np.ascontiguousarray(images(networks, model)[:1]))
    model.invoke()
    np.testing.assert_allclose(model.output(0), expected(networks)[:1], atol=1e-4)


def test_an_open_batch_is_resized_and_back(runtime: Runtime, flexible: Path, networks: Path) -> None:
    model = loaded(runtime, flexible)
    assert model.inputs[0].shape[0] == 1
    assert model.resize_batch(5)
    assert model.inputs[0].shape[0] == 5
    model.set_input(0, np.ascontiguousarray(images(networks, model)[:5]))
    model.invoke()
    np.testing.assert_allclose(model.output(0), expected(networks)[:5], atol=1e-4)
    assert model.resize_batch(1)
    assert model.outputs[0].shape == (1, 10)
    again = runtime.load(flexible, 1, "", 3)
    fill_inputs(again)
    again.invoke()
    assert again.output(0).shape == (3, 10)


def test_a_data_set_runs_in_batches_where_the_file_allows_and_one_by_one_elsewhere(
    runtime: Runtime, network: Path, flexible: Path, networks: Path
) -> None:
    for path, size in ((flexible, 3), (network, 1 if runtime.formats[0] in FIXED else 3)):
        model = loaded(runtime, path)
        runner = BatchRunner(model, [images(networks, model)], 3)
        assert runner.batch == size
        got = np.concatenate([runner(start)[1][0] for start in range(0, 8, size)])
        np.testing.assert_allclose(got, expected(networks), atol=1e-4)


def test_a_fixed_batch_stays_as_it_is(runtime: Runtime, network: Path) -> None:
    if runtime.formats[0] not in FIXED:
        pytest.skip("its files leave the batch open")
    model = loaded(runtime, network)
    assert not model.resize_batch(4)
    assert model.resize_batch(1)
    fill_inputs(model)
    model.invoke()
    assert model.output(0).shape == (1, 10)


def fails(runtime: Runtime, path: Path, delegate: str = "") -> MeasurementError:
    with pytest.raises(MeasurementError) as caught:
        loaded(runtime, path, delegate)
    assert caught.value.message
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    "content", [b"", b"TFL", b"#!/bin/sh\necho hello\n", bytes(range(256)) * 40, b"PK\x03\x04" + bytes(400)]
)
def test_files_that_are_no_model_are_invalid(runtime: Runtime, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / f"bad.{runtime.formats[0]}"
    path.write_bytes(content)
    assert fails(runtime, path).kind == failure_pb2.FAILURE_KIND_INVALID_MODEL


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_model_is_invalid(runtime: Runtime, network: Path, tmp_path: Path, share: float) -> None:
    content = network.read_bytes()
    path = tmp_path / network.name
    path.write_bytes(content[: int(len(content) * share)])
    assert fails(runtime, path).kind == failure_pb2.FAILURE_KIND_INVALID_MODEL


def test_models_of_another_format_are_invalid(runtime: Runtime, networks: Path) -> None:
    for kind in {"tflite", "onnx", "pt2"}.difference(runtime.formats):
        assert fails(runtime, networks / f"network.{kind}").kind == failure_pb2.FAILURE_KIND_INVALID_MODEL


def test_a_directory_and_a_missing_file_are_invalid(runtime: Runtime, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        error = fails(runtime, path)
        assert error.kind == failure_pb2.FAILURE_KIND_INVALID_MODEL
        assert error.message.startswith("cannot read the model")


def test_an_unknown_delegate_is_absent_and_those_that_exist_are_named(runtime: Runtime, network: Path) -> None:
    error = fails(runtime, network, "abacus")
    assert error.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    assert runtime.delegates[0] in error.message


def test_a_profile_adds_up_or_says_why_there_is_none(runtime: Runtime, network: Path) -> None:
    runtime.preload()
    for delegate in runtime.delegates:
        spec = pb.MeasurementSpec(runtime=pb.RuntimeSpec(delegate=delegate), profile=pb.ProfileSpec(inferences=10))
        result = measure_profile(runtime, network, spec, 1)
        if result.unavailable:
            assert runtime.name not in ("onnxruntime", "torch")
            continue
        assert result.inferences == 10
        assert [operator.index for operator in result.operators] == list(range(len(result.operators)))
        kinds = " ".join(operator.type.lower() for operator in result.operators)
        assert kinds.count("conv") >= 2
        assert all(operator.delegate == delegate for operator in result.operators)
        covered, whole_s = figures.value_of(result.covered), figures.value_of(result.whole_s)
        assert covered is not None
        assert whole_s
        assert 0.05 < covered <= 1.02, "no operator counts twice, and the convolutions are there"
        assert sum(operator.share for operator in result.operators) == pytest.approx(covered)
        assert sum(operator.time_s for operator in result.operators) == pytest.approx(covered * whole_s)


class NoProfiler:
    """A runtime whose profiler has nothing to say, or nonsense."""

    def __init__(self, whole_s: float) -> None:
        self.whole_s = whole_s

    def profile(self, *_: object) -> Profile:
        if self.whole_s < 0:
            raise ProfileUnavailable("it has none")
        return Profile([Operator("conv", "", "none", 1.0)], self.whole_s, "a clock", 1e-6)


@pytest.mark.parametrize(("whole_s", "why"), [(-1.0, "it has none"), (0.0, "a clock tells no time")])
def test_a_profile_that_cannot_be_had_carries_its_reason(whole_s: float, why: str) -> None:
    result = measure_profile(NoProfiler(whole_s), Path("x"), pb.MeasurementSpec(), 1)  # type: ignore[arg-type]
    assert why in result.unavailable
    assert why in result.whole_s.unavailable
    assert not result.operators


def test_discovery_loads_no_library() -> None:
    heavy = ("torch", "onnxruntime", "ai_edge_litert", "tflite_runtime", "sympy")
    code = (
        "import sys, time; from device_agent import runtimes; begin = time.perf_counter(); "
        "found = runtimes.discover(True); taken = time.perf_counter() - begin; "
        f"loaded = [name for name in {heavy!r} if name in sys.modules]; print(len(found), loaded, taken)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    count, loaded_text, _ = answer.split()
    assert int(count) == len(RUNTIMES)
    assert loaded_text == "[]"


def test_the_runtime_is_chosen_by_name_and_format() -> None:
    assert choose(RUNTIMES, "", "tflite") is RUNTIMES[0]
    tflite_only = [found for found in RUNTIMES if "tflite" in found.formats]
    for name, kind in (("abacus", "tflite"), ("", "onnx"), ("", "pt2")):
        with pytest.raises(MeasurementError) as caught:
            choose(tflite_only, name, kind)
        assert caught.value.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    none: List[Runtime] = []
    with pytest.raises(MeasurementError, match="it offers: none"):
        choose(none, "", "tflite")


def test_exported_programs_are_refused_unless_they_are_trusted() -> None:
    assert all("pt2" not in found.formats for found in discover())
    with pytest.raises(MeasurementError) as caught:
        choose(discover(), "", "pt2")
    assert "--allow-pt2" in caught.value.remedy


@pytest.mark.parametrize(("media", "name"), [("", "tflite"), ("model/tflite", "tflite"), ("model/onnx", "onnx")])
def test_the_format_is_told_by_the_media_type(media: str, name: str) -> None:
    assert format_of(media) == name


def test_examples_fit_what_a_model_asks_for(runtime: Runtime, network: Path) -> None:
    model = loaded(runtime, network)
    for tensor, value in zip(model.inputs, example_inputs(model.inputs)):
        assert value.shape == tensor.shape
        assert str(value.dtype) == tensor.dtype
