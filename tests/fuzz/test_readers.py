"""Damaged files: every reader gives a result or its own error, in bounded time and memory."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from device_agent.runtimes.flatbuffer import BrokenFileError
from device_agent.runtimes.flatbuffer import check_model as check_tflite
from device_agent.runtimes.onnx_file import BrokenOnnxError, quantisations, unranked_inputs
from device_agent.runtimes.onnx_file import check_model as check_onnx
from fault_injection.errors import FaultError
from fault_injection.replay import FaultRecord
from fault_injection.tflite import MalformedModelError, read_model, write_model
from fault_injection.tflite.clipping import expose
from fault_injection.tflite.features import Carrier, find_features, instrument
from fault_injection.tflite.weights import contents, find_weights
from protos import dataset
from tests.fault_injection.tflite.tiny import Tiny
from tests.fuzz.effort import effort
from tests.fuzz.files import damaged


def tiny() -> bytes:
    """A few hundred bytes, nearly all of them structure."""
    made = Tiny()
    image = made.tensor((1, 4, 4, 1), np.int8, 1 / 16, -1)
    return made.data([image], [made.identity(image, made.tensor((1, 4, 4, 1), np.int8, 1 / 16, -1))])


def pointless() -> bytes:
    """Found by fuzzing: a scale, and a list of zero points with none in it."""
    made = Tiny()
    image = made.tensor((1, 4, 4, 1), np.int8, 1 / 16)
    output = made.identity(image, made.tensor((1, 4, 4, 1), np.int8, 1 / 16))
    quantization = made.graph.tensors[output].quantization
    assert quantization is not None
    quantization.zero_point = np.zeros(0, np.int64)
    return made.data([image], [output])


TINY = tiny()
REAL = ["tflm_hello_world_int8.tflite", "kws_ref_model.tflite"]


def read_all(data: bytes) -> None:
    """Everything that reads a .tflite file in Python."""
    with contextlib.suppress(BrokenFileError):
        check_tflite(data)
    with contextlib.suppress(MalformedModelError):
        again = write_model(read_model(data))
        assert write_model(read_model(again)) == again
    with contextlib.suppress(MalformedModelError, FaultError):
        contents(data, find_weights(data))
    for carrier in Carrier:
        with contextlib.suppress(MalformedModelError, FaultError):
            read_model(instrument(data, find_features(data), carrier).data)
    with contextlib.suppress(MalformedModelError, FaultError):
        expose(data)


@effort(300)
@given(damaged(TINY))
@example(pointless())
def test_a_damaged_small_model_is_read_or_refused(data: bytes) -> None:
    read_all(data)


@pytest.mark.parametrize("name", REAL)
def test_a_damaged_real_model_is_read_or_refused(name: str, models: Path) -> None:
    whole = (models / name).read_bytes()

    @effort(40)
    @given(damaged(whole))
    def holds(data: bytes) -> None:
        read_all(data)

    holds()


@effort(200)
@given(st.binary(max_size=200).map(lambda noise: b"\x18\0\0\0TFL3" + noise))
def test_noise_behind_the_identifier_is_read_or_refused(data: bytes) -> None:
    read_all(data)


def test_tables_that_are_shared_a_million_times_are_refused_in_time() -> None:
    """A vector of tables all of which are one table, with a vector of the same kind: 40 kB for 10¹² visits."""
    count = 5_000

    def vector(to: int, at: int) -> bytes:
        """References from `at` on, all to one table."""
        return struct.pack("<I", count) + b"".join(struct.pack("<I", to - (at + 4 + 4 * i)) for i in range(count))

    # | root | id | vtable of the model | model | vtable of a graph | graph | tensor | vector of graphs | of tensors |
    model_at, graph_at, tensor_at = 20, 40, 60
    graphs_at = 72
    tensors_at = graphs_at + 4 + 4 * count
    data = bytearray(tensors_at + 4 + 4 * count)
    struct.pack_into("<I4s", data, 0, model_at, b"TFL3")
    struct.pack_into("<5H", data, 8, 10, 8, 0, 0, 4)  # field 2: subgraphs
    struct.pack_into("<iI", data, model_at, model_at - 8, graphs_at - (model_at + 4))
    struct.pack_into("<3H", data, 32, 6, 8, 4)  # field 0: tensors
    struct.pack_into("<iI", data, graph_at, graph_at - 32, tensors_at - (graph_at + 4))
    struct.pack_into("<2H", data, 56, 4, 4)  # nothing in it
    struct.pack_into("<i", data, tensor_at, tensor_at - 56)
    # References point forwards: the shared tables must lie behind the vectors.
    shift = len(data)
    data += data[32:64]
    data[graphs_at : graphs_at + 4 + 4 * count] = vector(shift + graph_at - 32, graphs_at)
    data[tensors_at : tensors_at + 4 + 4 * count] = vector(shift + tensor_at - 32, tensors_at)
    # … but then the graph's own reference would point backwards: its tensors go behind it once more.
    again = len(data)
    struct.pack_into("<I", data, shift + graph_at - 32 + 4, again - (shift + graph_at - 32 + 4))
    far = again + 4 + 4 * count
    data += vector(far + 4, again) + struct.pack("<2H", 4, 4) + struct.pack("<i", 4)
    with pytest.raises(BrokenFileError, match="many times"):
        check_tflite(bytes(data))
    with pytest.raises(MalformedModelError, match="many times"):
        read_model(bytes(data))


# ---------------------------------------------------------------------------------------------------- onnx


def onnx_model() -> bytes:
    """x (float, no shape) → QuantizeLinear with scale and zero point → y."""
    from onnx import TensorProto, helper

    node = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [0.5]),
        helper.make_tensor("zero", TensorProto.INT8, [], [3]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.INT8, [2])]
    model: bytes = helper.make_model(helper.make_graph([node], "g", inputs, outputs, constants)).SerializeToString()
    return model


def test_a_damaged_onnx_model_is_read_or_refused() -> None:
    pytest.importorskip("onnx", reason="writes the model")
    whole = onnx_model()
    assert quantisations(whole)["y"].zero_point == 3

    @effort(400)
    @given(damaged(whole))
    def holds(data: bytes) -> None:
        for read in (check_onnx, quantisations, unranked_inputs):
            with contextlib.suppress(BrokenOnnxError):
                read(data)

    holds()


# ---------------------------------------------------------------------------------------------------- archives


def data_set() -> bytes:
    file = io.BytesIO()
    rng = np.random.default_rng(0)
    made = dataset.DataSet({"x": rng.random((4, 3), np.float32)}, np.arange(4), {"y": np.zeros((4, 2), np.int8)})
    dataset.save(file, made)  # type: ignore[arg-type]  # zipfile takes files, too
    return file.getvalue()


def squeezed(whole: bytes) -> bytes:
    """The same archive, its members deflated."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return file.getvalue()


@pytest.mark.parametrize("change", [bytes, squeezed], ids=["stored", "deflated"])
def test_a_damaged_data_set_is_read_or_refused(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "data.npz"

    @effort(150)
    @given(damaged(change(data_set())))
    def holds(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(dataset.DataSetError):
            assert len(dataset.load(path))

    holds()


@effort(100)
@given(st.binary(max_size=300))
def test_noise_is_no_record_of_faults(noise: bytes) -> None:
    with pytest.raises(FaultError):
        FaultRecord.from_bytes(noise)
