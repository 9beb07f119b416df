"""Writes a graph as an ``.onnx`` file, float32, in torch's layouts, which are ONNX's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from search.export import graph as g
from search.export.tflite_file import OUTPUT

# Old enough for every runtime of the last years; HardSwish came with 14.
_OPSET = 14
_IR_VERSION = 8
_UNARY = {g.Activation.RELU: "Relu", g.Activation.HARDSWISH: "HardSwish"}


def write_onnx(graph: g.Graph) -> bytes:
    """The file's bytes; input and output are called as in a ``.tflite`` file's signature."""
    writer = _Writer(graph)
    for node in graph.nodes:
        writer.node(node)
    writer.operator("Identity", [graph.output], OUTPUT)
    made = helper.make_graph(
        writer.operators,
        "main",
        [helper.make_tensor_value_info(graph.input, TensorProto.FLOAT, graph.shapes[graph.input])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, graph.shapes[graph.output])],
        writer.constants,
    )
    model: ModelProto = helper.make_model(
        made, producer_name="Gauntlet", ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", _OPSET)]
    )
    return bytes(model.SerializeToString())


class _Writer:
    def __init__(self, graph: g.Graph) -> None:
        self.graph = graph
        self.operators: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, content: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(content), name))
        return name

    def operator(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.operators.append(helper.make_node(kind, inputs, [output], name=output, **attributes))

    def node(self, node: g.Node) -> None:
        inputs = list(node.inputs)
        output = node.name
        if isinstance(node, g.Fusing) and node.activation is not g.Activation.NONE:
            output = f"{node.name}/linear"
        if isinstance(node, g.Conv):
            b = node.borders
            self.operator(
                "Conv",
                [*inputs, *self.weights(node)],
                output,
                strides=node.stride,
                pads=(b.top, b.left, b.bottom, b.right),
                dilations=node.dilation,
                group=node.groups,
            )
        elif isinstance(node, g.Dense):
            self.operator("Gemm", [*inputs, *self.weights(node)], output, transB=1)
        elif isinstance(node, g.Add):
            self.operator("Add", inputs, output)
        elif isinstance(node, g.Concat):
            self.operator("Concat", inputs, output, axis=1)
        elif isinstance(node, g.Unary):
            self.activation(inputs[0], output, node.kind)
        elif isinstance(node, g.Pool):
            b = node.borders
            windows = {"kernel_shape": node.kernel, "strides": node.stride, "pads": (b.top, b.left, b.bottom, b.right)}
            if node.average:
                self.operator("AveragePool", inputs, output, count_include_pad=int(node.count_borders), **windows)
            else:
                self.operator("MaxPool", inputs, output, **windows)
        elif isinstance(node, g.GlobalAverage):
            self.operator("ReduceMean", inputs, output, axes=(2, 3), keepdims=int(node.keep_dims))
        elif isinstance(node, g.Pad):
            b, (front, back) = node.borders, node.channels
            sizes = np.array([0, front, b.top, b.left, 0, back, b.bottom, b.right], np.int64)
            self.operator("Pad", [*inputs, self.constant(f"{output}/amounts", sizes)], output)
        elif isinstance(node, g.Flatten):
            self.operator("Flatten", inputs, output, axis=1)
        elif isinstance(node, g.Zeros):
            self.constant(output, np.zeros(self.graph.shapes[node.name], np.float32))
        else:
            raise AssertionError(f"no rule for {type(node).__name__}")
        if output != node.name and isinstance(node, g.Fusing):
            self.activation(output, node.name, node.activation)

    def weights(self, node: g.Conv | g.Dense) -> list[str]:
        return [self.constant(f"{node.name}.weight", node.weight), self.constant(f"{node.name}.bias", node.bias)]

    def activation(self, source: str, output: str, kind: g.Activation) -> None:
        if kind is g.Activation.RELU6:
            bounds = [
                self.constant(f"{output}/low", np.array(0, np.float32)),
                self.constant(f"{output}/high", np.array(6, np.float32)),
            ]
            self.operator("Clip", [source, *bounds], output)
        else:
            self.operator(_UNARY[kind], [source], output)
