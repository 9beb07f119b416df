"""What an .onnx file says about its inputs and outputs, read without the onnx package, which no device needs.

The file is a protobuf message (github.com/onnx/onnx, onnx.proto): fields one after another, each a tag and a value.

    tag:    varint, field number << 3 | wire type
    value:  0: varint | 1: 8 bytes | 2: varint length, then as many bytes | 5: 4 bytes
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Dict, Iterator, List, Mapping, Tuple, Union

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_MAX_VARINT_BITS = 63
# onnx.proto, by message.
_MODEL_IR_VERSION, _MODEL_GRAPH = 1, 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT = 1, 5, 11
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_TYPE_SHAPE = 1, 2, 1, 2
_NODE_INPUT, _NODE_OUTPUT, _NODE_KIND = 1, 2, 4
_TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_INTS, _TENSOR_NAME, _TENSOR_RAW = 2, 4, 5, 8, 9
_FLOAT, _UINT8, _INT8 = 1, 2, 3
#: struct's letter for the content of a raw tensor.
_RAW_LETTERS = {_FLOAT: "f", _UINT8: "B", _INT8: "b", 4: "H", 5: "h", 6: "i"}

_Field = Tuple[int, int, Union[int, memoryview]]


class BrokenOnnxError(ValueError):
    """The bytes are no ONNX model."""


@dataclass(frozen=True)
class Quantisation:
    """Per-tensor affine: real = scale * (value - zero_point)."""

    scale: float
    zero_point: int


def check_model(data: bytes) -> None:
    """Does the file hold together, and is there a graph in it?

    Raises:
        BrokenOnnxError: no.
    """
    numbers = set()
    for number, _, _ in _fields(memoryview(data)):
        numbers.add(number)
    if _MODEL_IR_VERSION not in numbers or _MODEL_GRAPH not in numbers:
        raise BrokenOnnxError("it holds no graph")


def quantisations(data: bytes) -> Mapping[str, Quantisation]:
    """Of tensors that go into a DequantizeLinear or come out of a QuantizeLinear, by name; per-tensor ones only.

    Raises:
        BrokenOnnxError: the file cannot be read.
    """
    constants: Dict[str, memoryview] = {}
    nodes: List[Tuple[List[str], List[str], str]] = []
    for graph in _messages(memoryview(data), _MODEL_GRAPH):
        for number, kind, value in _fields(graph):
            if kind != _BYTES or not isinstance(value, memoryview):
                continue
            if number == _GRAPH_INITIALIZER:
                constants[_text(value, _TENSOR_NAME)] = value
            elif number == _GRAPH_NODE:
                inputs = [_decoded(item) for item in _messages(value, _NODE_INPUT)]
                outputs = [_decoded(item) for item in _messages(value, _NODE_OUTPUT)]
                nodes.append((inputs, outputs, _text(value, _NODE_KIND)))
    found: Dict[str, Quantisation] = {}
    for inputs, outputs, kind_name in nodes:
        if kind_name not in ("QuantizeLinear", "DequantizeLinear") or len(inputs) < 2 or not outputs:
            continue
        tensor = outputs[0] if kind_name == "QuantizeLinear" else inputs[0]
        scale = _numbers(constants.get(inputs[1]))
        zero = _numbers(constants.get(inputs[2])) if len(inputs) > 2 and inputs[2] else [0]
        if len(scale) == 1 and len(zero) == 1:
            found[tensor] = Quantisation(float(scale[0]), int(zero[0]))
    return found


def unranked_inputs(data: bytes) -> List[str]:
    """Inputs, by name, whose type has no shape at all; one without dimensions, a scalar, has an empty shape.

    Raises:
        BrokenOnnxError: the file cannot be read.
    """
    return [
        _text(value, _VALUE_NAME)
        for graph in _messages(memoryview(data), _MODEL_GRAPH)
        for value in _messages(graph, _GRAPH_INPUT)
        for kind in _messages(value, _VALUE_TYPE)
        for tensor in _messages(kind, _TYPE_TENSOR)
        if not any(True for _ in _messages(tensor, _TENSOR_TYPE_SHAPE))
    ]


def _fields(data: memoryview) -> Iterator[_Field]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, kind, value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise BrokenOnnxError("it is no protobuf message")
        if not number or at + length > len(data):
            raise BrokenOnnxError("a field leads beyond the end of the file" if number else "it is no protobuf message")
        yield number, kind, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> Tuple[int, int]:
    value = shift = 0
    while shift <= _MAX_VARINT_BITS:
        if at >= len(data):
            raise BrokenOnnxError("it ends in the middle of a field")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise BrokenOnnxError("it is no protobuf message")


def _messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, kind, value in _fields(data):
        if number == wanted and kind == _BYTES and isinstance(value, memoryview):
            yield value


def _text(message: memoryview, number: int) -> str:
    return next((_decoded(value) for value in _messages(message, number)), "")


def _decoded(value: memoryview) -> str:
    return bytes(value).decode("utf-8", errors="replace")


def _numbers(tensor: Union[memoryview, None]) -> List[float]:
    """The content of a small constant; empty for kinds that do not quantise."""
    if tensor is None:
        return []
    data_type = next((v for n, k, v in _fields(tensor) if n == _TENSOR_TYPE and k == _VARINT), 0)
    letter = _RAW_LETTERS.get(data_type) if isinstance(data_type, int) else None
    if letter is None:
        return []
    raw = next(_messages(tensor, _TENSOR_RAW), None)
    if raw is not None:
        size = struct.calcsize(letter)
        return list(struct.unpack(f"<{len(raw) // size}{letter}", raw[: len(raw) // size * size]))
    return [number for field in _fields(tensor) for number in _listed(field)]


def _listed(field: _Field) -> List[float]:
    """Numbers of a field that repeats: packed into bytes, or one at a time."""
    number, kind, value = field
    if number == _TENSOR_FLOATS and isinstance(value, memoryview):
        return list(struct.unpack(f"<{len(value) // 4}f", value[: len(value) // 4 * 4]))
    if number != _TENSOR_INTS:
        return []
    if isinstance(value, int):
        return [_signed(value)]
    numbers: List[float] = []
    at = 0
    while kind == _BYTES and at < len(value):
        item, at = _varint(value, at)
        numbers.append(_signed(item))
    return numbers


def _signed(value: int) -> int:
    # A negative int32 travels as the 64-bit two's complement.
    return value - (1 << 64) if value >> 63 else value
