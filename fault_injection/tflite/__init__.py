"""``.tflite`` files read, changed and written anew, with numpy alone: no runtime, no torch, any Python from 3.9.

>>> model = read_model(data)
>>> model.subgraphs[0].operators
>>> data = write_model(model)
"""

import numpy as np

from fault_injection.tflite.codec import MalformedModelError, Opaque, Record, decode, encode
from fault_injection.tflite.schema import Model

__all__ = ["MalformedModelError", "Model", "Opaque", "Record", "read_model", "write_model"]

_IDENTIFIER = b"TFL3"
_VERSION = 3


def read_model(data: bytes) -> Model:
    """Parse a ``.tflite`` file.

    Args:
        data: the file. Constants of the result are read-only views into it: copy before changing one.

    Raises:
        MalformedModelError: no such file, damaged, or of a newer schema.
    """
    model = decode(data, Model, _IDENTIFIER)
    if model.version != _VERSION:
        raise MalformedModelError(f"schema version {model.version}; only version {_VERSION} is in use")
    if not model.subgraphs or model.operator_codes is None or not model.buffers:
        raise MalformedModelError("a model needs a graph, operator codes and buffers")
    for graph in model.subgraphs:
        if any(getattr(graph, part) is None for part in ("tensors", "inputs", "outputs", "operators")):
            raise MalformedModelError(f"graph {graph.name!r} lacks tensors, inputs, outputs or operators")
        if any(operator.large_custom_options_size for operator in graph.operators):
            raise MalformedModelError("custom options behind the tables are not supported")
    _check_numbers(model)
    for buffer in model.buffers:
        # Files near 2 GB keep constants behind the tables; offset 1 is the schema's mark for "not written yet".
        if buffer.offset > 1:
            if buffer.offset + buffer.size > len(data):
                raise MalformedModelError(f"a constant lies outside the file: {buffer.size} bytes at {buffer.offset}")
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def _check_numbers(model: Model) -> None:
    """Whoever follows a number to a tensor, buffer or operator code finds one."""
    for graph in model.subgraphs:
        operators = graph.operators
        numbers = [("buffer", len(model.buffers), 0, [tensor.buffer for tensor in graph.tensors])]
        numbers.append(("operator code", len(model.operator_codes), 0, [o.opcode_index for o in operators]))
        numbers.append(("tensor", len(graph.tensors), 0, graph.inputs + graph.outputs))
        # -1 stands for an input or output left out.
        used = [number for o in operators for number in (o.inputs or []) + (o.outputs or [])]
        numbers.append(("tensor", len(graph.tensors), -1, used))
        for what, count, least, named in numbers:
            if named and not least <= min(named) <= max(named) < count:
                wrong = min(named) if min(named) < least else max(named)
                raise MalformedModelError(f"graph {graph.name!r} names {what} {wrong}; there are {count}")


def write_model(model: Model) -> bytes:
    """The bytes of a ``.tflite`` file; the inverse of :func:`read_model`."""
    return encode(model, _IDENTIFIER)
