"""What is special about ONNX Runtime: its files, its errors, its providers, its profile."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.errors import MeasurementError
from device_agent.runtimes import ProfileUnavailable, first_inference, ort, ort_profile
from device_agent.runtimes.accelerators import has_nvidia_gpu
from device_agent.runtimes.onnx_file import BrokenOnnxError, Quantisation, check_model, quantisations, unranked_inputs
from protos.gauntlet.v1 import failure_pb2


@pytest.fixture
def runtime() -> ort.OnnxRuntime:
    pytest.importorskip("onnxruntime")
    found = ort.find()
    assert isinstance(found, ort.OnnxRuntime)
    return found


def one_operator(kind: str, domain: str = "", opset: int = 14, element: str = "FLOAT", size: Any = "n") -> bytes:
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    values = [helper.make_tensor_value_info(name, getattr(types, element), [size, 3]) for name in "xy"]
    graph = helper.make_graph([helper.make_node(kind, ["x"], ["y"], domain=domain)], "g", values[:1], values[1:])
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (("Foo",), "No Op registered for Foo"),
        (("Foo", "my.domain"), "my.domain:Foo"),
        (("Relu", "", 99), "opset"),
        (("BitShift", "", 14), ""),
    ],
    ids=["unknown", "custom", "from the future", "wrong type"],
)
def test_operators_that_it_does_not_know(runtime: ort.OnnxRuntime, content: Tuple[Any, ...], words: str) -> None:
    with pytest.raises(MeasurementError) as caught:
        runtime.load(one_operator(*content), 1, "")
    known = failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION if words else failure_pb2.FAILURE_KIND_INVALID_MODEL
    assert caught.value.kind == known, caught.value.message
    assert words in caught.value.message
    assert "ONNXRuntimeError" not in caught.value.message


def test_inputs_that_are_no_numbers(runtime: ort.OnnxRuntime) -> None:
    with pytest.raises(MeasurementError) as caught:
        runtime.load(one_operator("Identity", element="STRING"), 1, "")
    assert caught.value.kind == failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION
    assert "'x' holds tensor(string)" in caught.value.message


def test_quantised_inputs_and_outputs_tell_their_scales(runtime: ort.OnnxRuntime, networks: Path) -> None:
    model = runtime.load(networks / "int8.onnx", 1, "")
    (first,), (last,) = model.inputs, model.outputs
    assert (first.dtype, first.scale, first.zero_point) == ("int8", 0.5, -3)
    assert (last.dtype, last.scale, last.zero_point) == ("uint8", 0.25, 0)
    model.set_input(0, np.array([[-3, -1, 1, -128]], np.int8))
    model.invoke()
    assert model.output(0).tolist() == [[0, 4, 8, 0]]


def test_other_open_dimensions_become_1_and_are_remarked(runtime: ort.OnnxRuntime) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(one_operator("Relu"))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[1].dim_param = "length"
    loaded = runtime.load(model.SerializeToString(), 1, "")
    assert loaded.inputs[0].shape == (1, 1)
    assert list(loaded.remarks) == ["input 'x' has dynamic shape [n, length]: measured as [1, 1]"]


def without_shape(content: bytes) -> bytes:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(content)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    written: bytes = model.SerializeToString()
    return written


def test_an_input_without_any_shape_is_refused_and_not_taken_for_a_scalar(runtime: ort.OnnxRuntime) -> None:
    with pytest.raises(MeasurementError, match="no shape for input 'x'") as caught:
        runtime.load(without_shape(one_operator("Relu")), 1, "")
    assert caught.value.kind == failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION
    assert caught.value.remedy
    assert unranked_inputs(one_operator("Relu")) == []


def test_a_scalar_is_an_input_like_any_other(runtime: ort.OnnxRuntime) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(one_operator("Relu"))
    for value in (*model.graph.input, *model.graph.output):
        del value.type.tensor_type.shape.dim[:]
    loaded = runtime.load(model.SerializeToString(), 1, "")
    loaded.set_input(0, np.array(-2.0, np.float32))
    loaded.invoke()
    assert loaded.output(0) == 0.0


def test_a_graph_that_cannot_run_on_open_dimensions_names_the_remedy(runtime: ort.OnnxRuntime) -> None:
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", types.FLOAT, ["n", 3, "height", "width"])],
        [helper.make_tensor_value_info("y", types.FLOAT, None)],
        [helper.make_tensor("w", types.FLOAT, [2, 3, 3, 3], [0.0] * 54)],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8).SerializeToString()
    model = runtime.load(content, 1, "")
    with pytest.raises(MeasurementError, match="first inference failed") as caught, first_inference(model):
        model.invoke()
    assert caught.value.kind == failure_pb2.FAILURE_KIND_INVALID_MODEL
    assert "\n" not in caught.value.message
    assert "fixed input shapes" in caught.value.remedy


class Session:
    """Of a provider that was asked for and did not start: the library falls back without a word."""

    def get_providers(self) -> List[str]:
        return [CPU]


class Options:
    def add_session_config_entry(self, *_: str) -> None:
        """Takes anything."""


class Library:
    SessionOptions = Options

    def get_available_providers(self) -> List[str]:
        return [CUDA, CPU]

    def InferenceSession(self, *_: object, **__: object) -> Session:
        return Session()


def test_a_provider_that_silently_falls_back_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort.OnnxRuntime, "_library", lambda self: Library())
    with pytest.raises(MeasurementError, match="CUDAExecutionProvider is installed but does not start") as caught:
        ort.OnnxRuntime("1.24.0", ("cpu", "cuda")).load(b"", 1, "cuda")
    assert caught.value.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    assert caught.value.remedy


def test_weights_in_a_second_file_are_an_invalid_model(
    runtime: ort.OnnxRuntime, networks: Path, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "split.onnx"
    onnx.save(
        onnx.load(networks / "network.onnx"), path, save_as_external_data=True, location="w.bin", size_threshold=0
    )
    (tmp_path / "w.bin").unlink()
    with pytest.raises(MeasurementError) as caught:
        runtime.load(path, 1, "")
    assert caught.value.kind == failure_pb2.FAILURE_KIND_INVALID_MODEL


def test_a_tensor_that_does_not_fit_into_memory(runtime: ort.OnnxRuntime) -> None:
    with pytest.raises(MeasurementError) as caught:
        runtime.load(one_operator("Relu", size=10**15), 1, "")
    assert caught.value.kind == failure_pb2.FAILURE_KIND_OUT_OF_MEMORY


def test_a_provider_that_this_build_lacks_is_absent(runtime: ort.OnnxRuntime) -> None:
    if "cuda" in runtime.delegates:
        pytest.skip("this build has CUDA")
    with pytest.raises(MeasurementError) as caught:
        runtime.load(one_operator("Relu"), 1, "cuda")
    assert caught.value.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    assert "it offers: cpu" in caught.value.message


CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.mark.parametrize(
    ("counts", "ran", "remark"),
    [
        ({CUDA: 7}, "cuda", ""),
        ({CUDA: 5, CPU: 2}, "cuda", "cuda runs 5 of 7 operators, 2 on cpu (Resize, TopK)"),
        ({CPU: 7}, "cpu", "cuda was asked for but took no operator of this graph"),
    ],
)
def test_the_provider_that_really_runs_is_named(counts: Dict[str, int], ran: str, remark: str) -> None:
    named, remarks = ort.provider_that_runs("cuda", counts, {"TopK", "Resize"} if CPU in counts else set())
    assert named == ran
    assert remarks == ([remark] if remark else [])


def test_a_gpu_is_told_by_its_device_file(tmp_path: Path) -> None:
    assert not has_nvidia_gpu(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    assert has_nvidia_gpu(tmp_path)


def test_every_whole_file_holds_together_and_no_cut_one(networks: Path) -> None:
    content = (networks / "network.onnx").read_bytes()
    check_model(content)
    for length in range(0, len(content), max(1, len(content) // 97)):
        with pytest.raises(BrokenOnnxError):
            check_model(content[:length])


@given(st.binary(max_size=300))
def test_random_bytes_are_broken_or_harmless(data: bytes) -> None:
    for read in (check_model, quantisations, unranked_inputs):
        with contextlib.suppress(BrokenOnnxError):
            read(data)


def test_scales_are_read_from_raw_and_from_listed_numbers() -> None:
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["a", "s", "z"], ["b"]),
            helper.make_node("QuantizeLinear", ["b", "s"], ["c"]),
        ],
        "g",
        [helper.make_tensor_value_info("a", types.INT8, [3])],
        [helper.make_tensor_value_info("c", types.UINT8, [3])],
        [helper.make_tensor("s", types.FLOAT, [], [0.125]), helper.make_tensor("z", types.INT8, [], [-7])],
    )
    found = quantisations(helper.make_model(graph).SerializeToString())
    assert found == {"a": Quantisation(0.125, -7), "c": Quantisation(0.125, 0)}


def events(*runs: Tuple[int, List[Tuple[str, int]]]) -> List[Dict[str, Any]]:
    written: List[Dict[str, Any]] = [{"cat": "Session", "name": "session_initialization", "dur": 5000, "args": {}}]
    for whole, nodes in runs:
        for place, (name, duration) in enumerate(nodes):
            arguments = {"op_name": name.title(), "node_index": str(place), "provider": CPU}
            written.append({"cat": "Node", "name": f"{name}_kernel_time", "dur": duration, "args": arguments})
        written.append({"cat": "Session", "name": "model_run", "dur": whole, "args": {}})
    return written


def test_a_profile_is_of_the_last_runs_and_in_their_order() -> None:
    recorded = events(
        (900, [("conv", 800), ("gemm", 50)]), (100, [("conv", 70), ("gemm", 9)]), (120, [("conv", 90), ("gemm", 11)])
    )
    profile = ort_profile.from_events(recorded, 2, {CPU: "cpu"})
    assert profile.whole_s == pytest.approx(110e-6)
    assert [(o.kind, o.name, o.delegate, round(o.time_s * 1e6)) for o in profile.operators] == [
        ("Conv", "conv", "cpu", 80),
        ("Gemm", "gemm", "cpu", 10),
    ]


def test_a_profile_without_operators_or_with_too_few_runs_is_none() -> None:
    for recorded in (events((100, [])), events((100, [("conv", 70)])), []):
        with pytest.raises(ProfileUnavailable):
            ort_profile.from_events(recorded, 2, {})
