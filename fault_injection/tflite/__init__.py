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
    for buffer in model.buffers:
        # Files near 2 GB keep constants behind the tables; offset 1 is the schema's mark for "not written yet".
        if buffer.offset > 1:
            if buffer.offset + buffer.size > len(data):
                raise MalformedModelError(f"a constant lies outside the file: {buffer.size} bytes at {buffer.offset}")
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def write_model(model: Model) -> bytes:
    """The bytes of a ``.tflite`` file; the inverse of :func:`read_model`."""
    return encode(model, _IDENTIFIER)
