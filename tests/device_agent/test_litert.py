"""TensorFlow Lite models, real ones, on LiteRT or tflite-runtime. What all runtimes keep to: test_runtime_contract."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.errors import MeasurementError
from device_agent.measure.tensors import fill_inputs
from device_agent.runtimes import Runtime, discover, litert
from device_agent.runtimes.flatbuffer import BrokenFileError, check_model
from protos.gauntlet.v1 import failure_pb2

RUNTIMES = [found for found in discover() if "tflite" in found.formats]
GOOD = [
    "ad01_int8",
    "coral_mobilenet_v1_0.25_128_quant",
    "kws_ref_model",
    "kws_ref_model_float32",
    "pretrainedResnet",
    "pretrainedResnet_quant",
    "tflm_hello_world_int8",
    "vww_96_float",
    "vww_96_int8",
]


@pytest.fixture(params=RUNTIMES, ids=lambda r: r.name)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    found: Runtime = request.param
    return found


@pytest.mark.parametrize("name", GOOD)
def test_it_runs_a_model_and_tells_its_tensors(runtime: Runtime, models: Path, name: str) -> None:
    model = runtime.load(models / f"{name}.tflite", 1, "")
    fill_inputs(model)
    model.invoke()
    for tensors in (model.inputs, model.outputs):
        assert tensors
        for tensor in tensors:
            assert all(n > 0 for n in tensor.shape)
            assert (tensor.scale is None) == (tensor.dtype == "float32")
    for index, tensor in enumerate(model.outputs):
        output = model.output(index)
        assert output.shape == tensor.shape
        assert output.dtype.name == tensor.dtype
        before = output.copy()
        model.invoke()
        assert np.array_equal(output, before), "an output is a copy"


@pytest.mark.parametrize("name", ["kws_ref_model_float32", "vww_96_float"])
def test_delegates_that_really_run_are_named_and_agree(runtime: Runtime, models: Path, name: str) -> None:
    outputs = []
    for delegate in runtime.delegates:
        model = runtime.load(models / f"{name}.tflite", 1, delegate)
        assert model.delegate == delegate
        fill_inputs(model)
        model.invoke()
        outputs.append(model.output(0))
    for other in outputs[1:]:
        np.testing.assert_allclose(outputs[0], other, atol=1e-2)


def test_a_delegate_that_runs_in_part_is_remarked(runtime: Runtime, models: Path) -> None:
    model = runtime.load(models / "pretrainedResnet_quant.tflite", 1, "xnnpack")
    if model.delegate != "none":
        assert "XNNPACK runs 14 of 16 operators; built-in kernels run AVERAGE_POOL_2D, SOFTMAX" in model.remarks


def one_operator(builtin: int, shape: List[int], signature: Optional[List[int]] = None) -> bytes:
    """A graph of one operator with one input and one output of float32."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    import flatbuffers

    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors = [schema.TensorT() for _ in range(2)]
    for tensor, name in zip(graph.tensors, (b"x", b"y")):
        tensor.name, tensor.shape, tensor.shapeSignature, tensor.buffer = name, shape, signature, 0
    operator, code = schema.OperatorT(), schema.OperatorCodeT()
    operator.inputs, operator.outputs = [0], [1]
    code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
    graph.inputs, graph.outputs, graph.operators = [0], [1], [operator]
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [code], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


ZEROS_LIKE = 93


def test_a_delegate_that_took_nothing_is_not_named_as_what_ran(runtime: Runtime) -> None:
    """XNNPACK has no ZEROS_LIKE: the library loads, runs on its own kernels and says nothing about it."""
    model = runtime.load(one_operator(ZEROS_LIKE, [1, 4]), 1, "xnnpack")
    assert model.delegate == "none"
    assert list(model.remarks) == ["XNNPACK was asked for but took no operator of this graph"]
    plain = runtime.load(one_operator(ZEROS_LIKE, [1, 4]), 1, "none")
    assert (plain.delegate, list(plain.remarks)) == ("none", [])


class Interpreter:
    """What tells of a prepared graph, and nothing else."""

    def __init__(self, nodes: object) -> None:
        if nodes is not None:
            self._get_ops_details = lambda: nodes


def node(name: str, inputs: List[int], outputs: List[int]) -> Dict[str, object]:
    return {"op_name": name, "inputs": inputs, "outputs": outputs}


@pytest.mark.parametrize(
    ("nodes", "ran", "remark"),
    [
        ([node("CONV_2D", [0], [1]), node("SOFTMAX", [1], [2])], "none", "took no operator"),
        ([node("CONV_2D", [0], [1]), node("SOFTMAX", [1], [2]), node("DELEGATE", [0], [1])], "xnnpack", "runs 1 of 2"),
        ([node("CONV_2D", [0], [1]), node("DELEGATE", [0], [1])], "xnnpack", ""),
        ([], "none", "took no operator"),
        (None, "xnnpack", "does not tell which delegate ran"),
    ],
    ids=["none of it", "a part", "all", "an empty graph", "it does not tell"],
)
def test_what_ran_is_read_from_the_prepared_graph_not_from_what_was_asked(nodes: object, ran: str, remark: str) -> None:
    named, remarks = litert._delegate_that_runs(Interpreter(nodes), "xnnpack")
    assert named == ran
    assert (remark in remarks[0]) if remark else not remarks


def test_a_batch_is_resized_and_back(runtime: Runtime, models: Path) -> None:
    model = runtime.load(models / "pretrainedResnet.tflite", 1, "")
    assert model.resize_batch(5)
    assert model.inputs[0].shape == (5, 32, 32, 3)
    fill_inputs(model)
    model.invoke()
    assert model.output(0).shape == (5, 10)
    assert model.resize_batch(1)
    assert model.output(0).shape == (1, 10)


def test_a_model_that_fixes_its_batch_stays_as_it_is(runtime: Runtime, models: Path) -> None:
    model = runtime.load(models / "coral_mobilenet_v1_0.25_128_quant.tflite", 1, "")
    assert not model.resize_batch(5)
    fill_inputs(model)
    model.invoke()
    assert model.output(0).shape == (1, 1001)


def check_and_load(runtime: Runtime, path: Path, delegate: str) -> None:
    runtime.check(path)
    runtime.load(path, 1, delegate)


def fails(runtime: Runtime, path: Path, delegate: str = "") -> MeasurementError:
    with pytest.raises(MeasurementError) as caught:
        check_and_load(runtime, path, delegate)
    assert "\n" not in caught.value.message
    return caught.value


def test_a_rejected_model_comes_with_the_runtimes_own_words(runtime: Runtime, models: Path) -> None:
    error = fails(runtime, models / "tflm_person_detect.tflite")
    assert error.kind == failure_pb2.FAILURE_KIND_INVALID_MODEL
    assert "quantized_dimension must be in range" in error.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"TFL", "not a TensorFlow Lite model"),
        (b"#!/bin/sh\necho hello\n", "not a TensorFlow Lite model"),
        (bytes(range(256)) * 40, "not a TensorFlow Lite model"),
        (b"\x1c\0\0\0TFL3" + bytes(range(256)) * 40, ""),
        (b"\xff\xff\xff\xffTFL3", ""),
    ],
    ids=["empty", "short", "text", "random", "random with the identifier", "offset out of the file"],
)
def test_files_that_are_no_model_are_invalid(runtime: Runtime, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "bad.tflite").write_bytes(content)
    error = fails(runtime, tmp_path / "bad.tflite")
    assert error.kind == failure_pb2.FAILURE_KIND_INVALID_MODEL
    assert words in error.message
    assert error.message


@pytest.mark.parametrize("share", [0.0005, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999])
def test_a_truncated_model_is_invalid(runtime: Runtime, models: Path, tmp_path: Path, share: float) -> None:
    content = (models / "pretrainedResnet.tflite").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(content[: int(len(content) * share)])
    assert fails(runtime, tmp_path / "cut.tflite").kind == failure_pb2.FAILURE_KIND_INVALID_MODEL


def test_an_unknown_delegate_is_absent(runtime: Runtime, models: Path) -> None:
    error = fails(runtime, models / "vww_96_int8.tflite", "abacus")
    assert error.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    assert "xnnpack" in error.message


def patched(models: Path, tmp_path: Path, change: object) -> Path:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    import flatbuffers

    content = bytearray((models / "pretrainedResnet.tflite").read_bytes())
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    change(model)  # type: ignore[operator]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "patched.tflite"
    path.write_bytes(bytes(builder.Output()))
    return path


def test_operators_that_the_runtime_does_not_know_are_unsupported(
    runtime: Runtime, models: Path, tmp_path: Path
) -> None:
    def newer(model: object) -> None:
        model.operatorCodes[0].version = 99  # type: ignore[attr-defined]

    def custom(model: object) -> None:
        code = model.operatorCodes[0]  # type: ignore[attr-defined]
        code.builtinCode = code.deprecatedBuiltinCode = 32
        code.customCode = b"Foo"

    def from_the_future(model: object) -> None:
        code = model.operatorCodes[0]  # type: ignore[attr-defined]
        code.builtinCode, code.deprecatedBuiltinCode = 9000, 127

    for change, words in ((newer, "version '99'"), (custom, "Foo"), (from_the_future, "9000")):
        error = fails(runtime, patched(models, tmp_path, change))
        assert error.kind == failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION, error.message
        assert words in error.message


def test_unknown_dimensions_become_1_and_are_remarked(runtime: Runtime, models: Path, tmp_path: Path) -> None:
    def unknown(model: object) -> None:
        graph = model.subgraphs[0]  # type: ignore[attr-defined]
        graph.tensors[graph.inputs[0]].shapeSignature = [-1, -1, 32, 3]

    model = runtime.load(patched(models, tmp_path, unknown), 1, "")
    assert any("dynamic shape [-1, -1, 32, 3]" in remark for remark in model.remarks)


@pytest.mark.parametrize(
    ("shape", "signature", "resolved", "remarked"),
    [
        ([1, 1, 4], [-1, -1, 4], (1, 1, 4), "dynamic shape [-1, -1, 4]: measured as [1, 1, 4]"),
        ([0, 0, 4], None, (1, 1, 4), "dynamic shape [0, 0, 4]: measured as [1, 1, 4]"),
        ([1, 4], [-1, 4], (1, 4), ""),
    ],
    ids=["by signature", "by zeros", "the batch alone"],
)
def test_inputs_of_unknown_shape_are_run_as_small_as_they_may_be(
    runtime: Runtime, shape: List[int], signature: Optional[List[int]], resolved: Tuple[int, ...], remarked: str
) -> None:
    model = runtime.load(one_operator(ZEROS_LIKE, shape, signature), 1, "none")
    assert model.inputs[0].shape == resolved
    assert (remarked in model.remarks[0]) if remarked else not model.remarks
    fill_inputs(model)
    model.invoke()
    assert model.output(0).shape == resolved


def test_a_negative_dimension_is_an_invalid_model_with_a_remedy(runtime: Runtime) -> None:
    """It belongs into the signature; the interpreter counts bytes with it."""
    with pytest.raises(MeasurementError, match="a tensor is negative") as caught:
        runtime.load(one_operator(ZEROS_LIKE, [1, -1, 4]), 1, "")
    assert caught.value.kind == failure_pb2.FAILURE_KIND_INVALID_MODEL
    assert "fixed input shapes" in caught.value.remedy


def test_a_graph_that_cannot_run_on_open_dimensions_names_the_remedy(
    runtime: Runtime, models: Path, tmp_path: Path
) -> None:
    def unknown(model: object) -> None:
        graph = model.subgraphs[0]  # type: ignore[attr-defined]
        graph.tensors[graph.inputs[0]].shape = [0]

    error = fails(runtime, patched(models, tmp_path, unknown))
    assert error.kind == failure_pb2.FAILURE_KIND_INVALID_MODEL
    assert "fixed input shapes" in error.remedy


@pytest.mark.parametrize("name", [*GOOD, "tflm_person_detect"])
def test_every_whole_file_holds_together_and_no_cut_one(models: Path, name: str) -> None:
    content = (models / f"{name}.tflite").read_bytes()
    check_model(content)
    # Metadata tools append an archive of label files, which is no part of the model.
    end = content.find(b"PK\x03\x04") if b"PK\x03\x04" in content else len(content)
    for length in range(0, end - 64, max(1, end // 50)):
        with pytest.raises(BrokenFileError):
            check_model(content[:length])


@given(st.binary(max_size=400))
def test_random_bytes_are_broken_or_harmless(data: bytes) -> None:
    with contextlib.suppress(BrokenFileError):
        check_model(data)
