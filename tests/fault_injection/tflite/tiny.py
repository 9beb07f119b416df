"""Small models made by hand, and every way to run them that this machine has."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fault_injection.tflite import schema as s
from fault_injection.tflite import write_model
from fault_injection.tflite.codec import Record

B, T = s.BuiltinOperator, s.TensorType
_TYPES = {
    np.dtype(np.float32): T.FLOAT32,
    np.dtype(np.int16): T.INT16,
    np.dtype(np.int32): T.INT32,
    np.dtype(np.uint8): T.UINT8,
    np.dtype(np.int8): T.INT8,
}
Array = NDArray[Any]


class Tiny:
    """A graph that grows tensor by tensor and operator by operator."""

    def __init__(self) -> None:
        self.graph = s.SubGraph(tensors=[], inputs=[], outputs=[], operators=[], name="main")
        self.model = s.Model(version=3, operator_codes=[], subgraphs=[self.graph], buffers=[s.Buffer()])

    def tensor(
        self,
        shape: Sequence[int],
        dtype: DTypeLike = np.int8,
        scale: ArrayLike | None = None,
        zero_point: int = 0,
        name: str | None = None,
        axis: int = 0,
    ) -> int:
        quantization = None
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            quantization = s.Quantization(
                scale=scales, zero_point=np.full(len(scales), zero_point, np.int64), quantized_dimension=axis
            )
        number = len(self.graph.tensors)
        self.graph.tensors.append(
            s.Tensor(
                shape=list(shape),
                type=_TYPES[np.dtype(dtype)],
                name=f"t{number}" if name is None else name,
                quantization=quantization,
            )
        )
        return number

    def constant(self, values: Array, scale: ArrayLike | None = None, zero_point: int = 0, axis: int = 0) -> int:
        number = self.tensor(values.shape, values.dtype, scale, zero_point, axis=axis)
        self.graph.tensors[number].buffer = len(self.model.buffers)
        self.model.buffers.append(s.Buffer(data=np.frombuffer(values.tobytes(), np.uint8)))
        return number

    def operator(self, code: int, inputs: list[int], output: int, options: Record | None, version: int = 1) -> int:
        """Give the output's number, so that calls can be nested."""
        self.model.operator_codes.append(
            s.OperatorCode(deprecated_builtin_code=min(code, 127), builtin_code=code, version=version)
        )
        place = len(self.model.operator_codes) - 1
        self.graph.operators.append(
            s.Operator(opcode_index=place, inputs=inputs, outputs=[output], builtin_options=options)
        )
        return output

    def identity(self, source: int, output: int, weight_scale: float = 1 / 64) -> int:
        """A 1×1 convolution with one channel that passes on what it gets, exactly."""
        tensor = self.graph.tensors[source]
        if tensor.type == T.FLOAT32:
            weights, bias = (
                self.constant(np.ones((1, 1, 1, 1), np.float32)),
                self.constant(np.full(1, -0.0, np.float32)),
            )
        else:
            assert tensor.quantization is not None
            assert tensor.quantization.scale is not None
            dtype, zero_point = (np.int8, 0) if tensor.type == T.INT8 else (np.uint8, 128)
            value = np.full((1, 1, 1, 1), zero_point + round(1 / weight_scale), dtype)
            weights = self.constant(value, weight_scale, zero_point)
            bias = self.constant(np.zeros(1, np.int32), tensor.quantization.scale * np.float32(weight_scale))
        options = s.Conv2DOptions(stride_w=1, stride_h=1)
        return self.operator(B.CONV_2D, [source, weights, bias], output, options, 3 if tensor.type == T.INT8 else 1)

    def data(self, inputs: list[int], outputs: list[int]) -> bytes:
        self.graph.inputs, self.graph.outputs = inputs, outputs
        return write_model(self.model)


@dataclass(frozen=True)
class Kernels:
    """A library and a choice of kernels."""

    module: str
    xnnpack: bool

    def __str__(self) -> str:
        return f"{self.module}-{'xnnpack' if self.xnnpack else 'builtin'}"

    def delegates(self, dtype: DTypeLike) -> bool:
        """Does XNNPACK run convolutions of this type? tflite-runtime leaves it the floats alone."""
        return self.xnnpack and (self.module == "ai_edge_litert" or np.dtype(dtype) == np.float32)

    def load(self, data: bytes, batch: int | None = None) -> Any:
        """An interpreter, allocated, every input with the given batch."""
        library = importlib.import_module(f"{self.module}.interpreter")
        resolvers = library.OpResolverType
        resolver = resolvers.AUTO if self.xnnpack else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        made = library.Interpreter(model_content=data, num_threads=1, experimental_op_resolver_type=resolver)
        for detail in made.get_input_details():
            if batch is not None:
                made.resize_tensor_input(detail["index"], [batch, *(int(n) for n in detail["shape"][1:])])
        made.allocate_tensors()
        return made


ALL_KERNELS = [
    pytest.param(
        Kernels(module, xnnpack),
        id=str(Kernels(module, xnnpack)),
        marks=pytest.mark.skipif(not importlib.util.find_spec(module), reason=f"{module} is not installed"),
    )
    for module in ("ai_edge_litert", "tflite_runtime")
    for xnnpack in (True, False)
]


def run(interpreter: Any, *inputs: ArrayLike) -> list[Array]:
    """Outputs for the first inputs; a number fills an input, and inputs that are not given stay as they are."""
    for detail, values in zip(interpreter.get_input_details(), inputs):
        full = np.broadcast_to(np.asarray(values, detail["dtype"]), detail["shape"])
        interpreter.set_tensor(detail["index"], np.ascontiguousarray(full))
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def delegated(interpreter: Any) -> int:
    """How many pieces of the graph a delegate runs."""
    return sum(node["op_name"] == "DELEGATE" for node in interpreter._get_ops_details())


def sample(detail: dict[str, Any], seed: int = 0) -> Array:
    """Random values for an input: all of an integer's, normally distributed floats."""
    random = np.random.default_rng(seed)
    if detail["dtype"] is np.float32:
        values: Array = random.standard_normal(detail["shape"], np.float32)
    else:
        limits = np.iinfo(detail["dtype"])
        values = random.integers(limits.min, limits.max, detail["shape"], detail["dtype"], endpoint=True)
    return values
