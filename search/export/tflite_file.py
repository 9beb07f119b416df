"""Writes a graph as a ``.tflite`` file.

Torch's layouts become TFLite's: feature maps (N, H, W, C), weights (out, height, width, in), depthwise ones (1,
height, width, out). Operator versions are the oldest that do the job, so that tflite-runtime 2.13 loads the files
too. Where operations compute in other numbers than those that they read from, a border converts the value, once for
all that read it so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fault_injection import sites
from fault_injection.sites import SiteLink
from fault_injection.tflite import Record, write_model
from fault_injection.tflite import schema as s
from search.export import graph as g
from search.export.borders import border_factors, fits_same, needs_rescaling
from search.export.errors import UnsupportedModuleError
from search.export.precision import Form, Precision
from search.export.quantize import Affine, Quantization, Scheme, integer_weights, power_of_two_step

SIGNATURE = "serving_default"
OUTPUT = "output"
"""Name of the output in the signature; its tensor is named after the operation that makes it."""

_Op = s.BuiltinOperator
_ACTIVATIONS = {
    g.Activation.NONE: s.Activation.NONE,
    g.Activation.RELU: s.Activation.RELU,
    g.Activation.RELU6: s.Activation.RELU6,
}
_UNARY = {
    g.Activation.RELU: _Op.RELU,
    g.Activation.RELU6: _Op.RELU6,
    g.Activation.HARDSWISH: _Op.HARD_SWISH,
}
# Versions, from TensorFlow's lite/tools/versioning/op_version.cc; 1 where not listed, and for float32.
_INT8_VERSIONS: dict[int, int] = {
    _Op.ADD: 2,
    _Op.AVERAGE_POOL_2D: 2,
    _Op.CONCATENATION: 2,
    _Op.CONV_2D: 3,
    _Op.DEPTHWISE_CONV_2D: 3,
    _Op.FULLY_CONNECTED: 4,
    _Op.MAX_POOL_2D: 2,
    _Op.MEAN: 2,
    _Op.MUL: 2,
    _Op.PAD: 2,
    _Op.PADV2: 2,
    _Op.RELU: 2,
    _Op.RELU6: 2,
}
_INT16_VERSIONS: dict[int, int] = {
    _Op.ADD: 3,
    _Op.AVERAGE_POOL_2D: 3,
    _Op.CONCATENATION: 3,
    _Op.CONV_2D: 4,
    _Op.DEPTHWISE_CONV_2D: 5,
    _Op.FULLY_CONNECTED: 7,
    _Op.MAX_POOL_2D: 3,
    _Op.MEAN: 3,
    _Op.MUL: 4,
    _Op.PAD: 3,
    _Op.PADV2: 3,
    _Op.RELU: 3,
    _Op.RELU6: 3,
}
_VERSIONS: dict[Form, dict[int, int]] = {Form.FLOAT32: {}, Form.INT8: _INT8_VERSIONS, Form.INT16: _INT16_VERSIONS}
# From a form to another. tflite-runtime 2.14 has no QUANTIZE from 8 to 16 bits: those go by way of float32.
_BORDERS: dict[tuple[Form, Form], tuple[_Op, int]] = {
    (Form.FLOAT32, Form.INT8): (_Op.QUANTIZE, 1),
    (Form.FLOAT32, Form.INT16): (_Op.QUANTIZE, 2),
    (Form.INT16, Form.INT8): (_Op.QUANTIZE, 2),
    (Form.INT8, Form.FLOAT32): (_Op.DEQUANTIZE, 2),
    (Form.INT16, Form.FLOAT32): (_Op.DEQUANTIZE, 3),
}
_FLOAT16_DEQUANTIZE_VERSION = 3
_GROUPED_CONV_VERSION = 6
_DILATED_DEPTHWISE_VERSION = 2

_TYPES = {
    np.dtype(np.float32): s.TensorType.FLOAT32,
    np.dtype(np.float16): s.TensorType.FLOAT16,
    np.dtype(np.int8): s.TensorType.INT8,
    np.dtype(np.int16): s.TensorType.INT16,
    np.dtype(np.int32): s.TensorType.INT32,
    np.dtype(np.int64): s.TensorType.INT64,
}
_STORED: dict[Form, np.dtype[Any]] = {form: np.dtype(form.value) for form in Form}


def write_tflite(graph: g.Graph, precisions: Mapping[str, Precision], quantization: Quantization | None) -> bytes:
    """The file's bytes.

    Args:
        graph: the network.
        precisions: of every value.
        quantization: of values; None where all is floating point.

    Raises:
        UnsupportedModuleError: flattening with height and width left, for anything but a dense layer.
    """
    return _Writer(graph, precisions, quantization).write()


def site_links(graph: g.Graph) -> tuple[SiteLink, ...]:
    """Where the layers with weights are in the file, in the order in which they run."""
    return tuple(_site_link(graph, node) for node in graph.nodes if isinstance(node, g.Layer))


def _site_link(graph: g.Graph, node: g.Layer) -> SiteLink:
    kind, flattened = sites.DENSE, None
    if isinstance(node, g.Conv):
        kind = sites.DEPTHWISE if node.depthwise else sites.CONV
    else:
        source = next((other for other in graph.nodes if other.name == node.inputs[0]), None)
        if isinstance(source, g.Flatten):
            _, channels, height, width = graph.shapes[source.inputs[0]]
            flattened = (channels, height, width)
    return SiteLink(node.path, kind, f"{node.name}.weight", node.name, node.activation.value, flattened)


@dataclass(frozen=True)
class _Windowed:
    """What a window operator reads, and how TFLite is to fill the borders."""

    tensor: int
    padding: s.Padding


class _Writer:
    def __init__(self, graph: g.Graph, precisions: Mapping[str, Precision], quantization: Quantization | None) -> None:
        self.graph = graph
        self.precisions = precisions
        self.quantization = quantization
        self.forms = {name: precision.form for name, precision in precisions.items()}
        self.producers = {node.name: node for node in graph.nodes}
        self.tensors: list[s.Tensor] = []
        self.buffers = [s.Buffer()]
        self.operators: list[s.Operator] = []
        self.codes: dict[tuple[int, int], int] = {}
        self.index: dict[tuple[str, Form], int] = {}
        self.form = Form.FLOAT32
        """Of the operation at hand."""

    def write(self) -> bytes:
        self.value(self.graph.input)
        for node in self.graph.nodes:
            self.node(node)
        graph = s.SubGraph(
            tensors=self.tensors,
            inputs=[self.value(self.graph.input)],
            outputs=[self.value(self.graph.output)],
            operators=self.operators,
            name="main",
        )
        signature = s.SignatureDef(
            inputs=[s.TensorMap(name=self.graph.input, tensor_index=graph.inputs[0])],
            outputs=[s.TensorMap(name=OUTPUT, tensor_index=graph.outputs[0])],
            signature_key=SIGNATURE,
        )
        codes = [
            # Readers older than the wide field look at the narrow one.
            s.OperatorCode(deprecated_builtin_code=min(code, 127), builtin_code=code, version=version)
            for code, version in self.codes
        ]
        return write_model(
            s.Model(
                version=3,
                operator_codes=codes,
                subgraphs=[graph],
                description="Gauntlet",
                buffers=self.buffers,
                signature_defs=[signature],
            )
        )

    # ---- tensors

    def value(self, name: str) -> int:
        """The tensor of a value of the graph, as it is computed."""
        key = (name, self.forms[name])
        if key not in self.index:
            self.index[key] = self.computed(name, _nhwc(self.graph.shapes[name]), name, self.forms[name])
        return self.index[key]

    def read(self, name: str, reader: g.Node) -> int:
        """The tensor of a value as an operation can read it: behind a border, if it computes in other numbers."""
        return self.bordered(name, self.forms[name], self.forms[reader.name])

    def bordered(self, name: str, made: Form, wanted: Form) -> int:
        """A value that is there in one form in another one."""
        source = self.value(name) if made is self.forms[name] else self.index[name, made]
        if made is wanted:
            return source
        if (made, wanted) not in _BORDERS:
            self.bordered(name, made, Form.FLOAT32)
            return self.bordered(name, Form.FLOAT32, wanted)
        key = (name, wanted)
        if key not in self.index:
            self.index[key] = self.computed(f"{name}/{wanted.value}", _nhwc(self.graph.shapes[name]), name, wanted)
            code, version = _BORDERS[made, wanted]
            self.operator(code, [source], self.index[key], version=version)
        return self.index[key]

    def affine(self, name: str, form: Form) -> Affine:
        """How a value is stored in integers."""
        assert self.quantization is not None
        return (self.quantization.words if form is Form.INT16 else self.quantization.values)[name]

    def computed(self, name: str, shape: g.Shape, like: str, form: Form) -> int:
        """A tensor that is not constant, in the scale of the value ``like``."""
        made = s.Tensor(shape=list(shape), type=_TYPES[_STORED[form]], name=name)
        if form is not Form.FLOAT32:
            affine = self.affine(like, form)
            made.quantization = _quantization(affine.scale, affine.zero_point)
        self.tensors.append(made)
        return len(self.tensors) - 1

    def constant(self, name: str, content: NDArray[Any], quantization: s.Quantization | None = None) -> int:
        content = np.ascontiguousarray(content)
        self.buffers.append(s.Buffer(data=content.reshape(-1).view(np.uint8)))
        self.tensors.append(
            s.Tensor(
                shape=list(content.shape),
                type=_TYPES[content.dtype],
                buffer=len(self.buffers) - 1,
                name=name,
                quantization=quantization,
            )
        )
        return len(self.tensors) - 1

    def operator(
        self, code: int, inputs: list[int], output: int, options: Record | None = None, version: int = 1
    ) -> None:
        key = (int(code), max(version, _VERSIONS[self.form].get(code, 1)))
        opcode = self.codes.setdefault(key, len(self.codes))
        self.operators.append(s.Operator(opcode_index=opcode, inputs=inputs, outputs=[output], builtin_options=options))

    # ---- operations

    def node(self, node: g.Node) -> None:
        self.form = self.forms[node.name]
        if isinstance(node, g.Conv):
            self.conv(node)
        elif isinstance(node, g.Dense):
            self.dense(node)
        elif isinstance(node, g.Pool):
            self.pool(node)
        elif isinstance(node, g.Zeros):
            self.zeros(node)
        else:
            inputs = [self.read(name, node) for name in node.inputs]
            if isinstance(node, g.Add):
                options = s.AddOptions(fused_activation_function=_ACTIVATIONS[node.activation])
                self.operator(_Op.ADD, inputs, self.value(node.name), options)
            elif isinstance(node, g.Concat):
                axis = len(self.graph.shapes[node.name]) - 1
                self.operator(_Op.CONCATENATION, inputs, self.value(node.name), s.ConcatenationOptions(axis=axis))
            elif isinstance(node, g.Unary):
                self.unary(node)
            elif isinstance(node, g.GlobalAverage):
                axes = self.constant(f"{node.name}/axes", np.array([1, 2], np.int32))
                options_ = s.ReducerOptions(keep_dims=node.keep_dims)
                self.operator(_Op.MEAN, [*inputs, axes], self.value(node.name), options_)
            elif isinstance(node, g.Pad):
                b, (front, back) = node.borders, node.channels
                sizes = np.array([[0, 0], [b.top, b.bottom], [b.left, b.right], [front, back]], np.int32)
                amounts = self.constant(f"{node.name}/amounts", sizes)
                self.operator(_Op.PAD, [*inputs, amounts], self.value(node.name), s.PadOptions())
            elif isinstance(node, g.Flatten):
                self.flatten(node)
            else:
                raise AssertionError(f"no rule for {type(node).__name__}")

    def unary(self, node: g.Unary) -> None:
        inputs, output = [self.read(node.inputs[0], node)], self.value(node.name)
        fixed_point = self.quantization is not None and self.quantization.scheme is Scheme.POWER_OF_TWO
        if fixed_point and node.kind in g.FUSIBLE and len(self.graph.shapes[node.name]) == 4:
            # XNNPACK takes no RELU of int8: each would end a part that it runs, which costs a ResNet-20 five times its
            # time. It does take a pooling over single cells, which clamps likewise, bit by bit.
            options = s.Pool2DOptions(
                padding=s.Padding.VALID,
                stride_h=1,
                stride_w=1,
                filter_height=1,
                filter_width=1,
                fused_activation_function=_ACTIVATIONS[node.kind],
            )
            self.operator(_Op.MAX_POOL_2D, inputs, output, options)
        else:
            self.operator(_UNARY[node.kind], inputs, output)

    def zeros(self, node: g.Zeros) -> None:
        shape = _nhwc(self.graph.shapes[node.name])
        self.index[node.name, self.form] = self.filled(node.name, node.name, shape, 0)

    def flatten(self, node: g.Flatten) -> None:
        _, channels, height, width = self.graph.shapes[node.inputs[0]]
        permutes = channels > 1 and height * width > 1
        reader = next((c for c in self.graph.consumers(node.name) if not isinstance(c, g.Dense)), None)
        if permutes and (reader is not None or node.name == self.graph.output):
            raise UnsupportedModuleError(
                node.name,
                f"flattening {channels} channels of {height}×{width} for anything but a Linear",
                "pool to 1×1 first, or let a Linear follow at once",
            )
        shape = list(self.graph.shapes[node.name])
        target = self.constant(f"{node.name}/shape", np.array(shape, np.int32))
        inputs = [self.read(node.inputs[0], node), target]
        self.operator(_Op.RESHAPE, inputs, self.value(node.name), s.ReshapeOptions(new_shape=shape))

    def weights(self, node: g.Conv | g.Dense) -> list[int]:
        """Constants of a layer."""
        site = _site_link(self.graph, node)
        precision = self.precisions[node.name]
        if self.form is Form.FLOAT32:
            weight = site.in_file_order(node.weight)
            if precision is Precision.FLOAT16:
                made_ = self.float16(site.weight, weight)
            else:
                made_ = self.constant(site.weight, weight)
            return [made_, self.constant(f"{node.name}.bias", node.bias)]
        assert self.quantization is not None
        made = integer_weights(
            node.weight,
            node.bias + np.float32(self.quantization.bias_shifts.get(node.name, 0.0)),
            self.affine(node.inputs[0], self.form).scale,
            per_channel=isinstance(node, g.Conv),
            scheme=self.quantization.scheme,
            wide=self.form is Form.INT16,
        )
        axis = 3 if site.kind == sites.DEPTHWISE and len(made.scale) > 1 else 0
        return [
            self.constant(site.weight, site.in_file_order(made.weight), _quantization(made.scale, 0, axis)),
            self.constant(f"{node.name}.bias", made.bias, _quantization(made.bias_scale, 0)),
        ]

    def float16(self, name: str, weight: NDArray[np.float32]) -> int:
        """Weights of which the file holds half the bits; a runtime widens them once, when it loads the file."""
        narrow = self.constant(name, weight.astype(np.float16))
        self.tensors.append(s.Tensor(shape=list(weight.shape), type=s.TensorType.FLOAT32, name=f"{name}/float32"))
        self.operator(_Op.DEQUANTIZE, [narrow], len(self.tensors) - 1, version=_FLOAT16_DEQUANTIZE_VERSION)
        return len(self.tensors) - 1

    def dense(self, node: g.Dense) -> None:
        options = s.FullyConnectedOptions(fused_activation_function=_ACTIVATIONS[node.activation])
        inputs = [self.read(node.inputs[0], node), *self.weights(node)]
        self.operator(_Op.FULLY_CONNECTED, inputs, self.value(node.name), options)

    def conv(self, node: g.Conv) -> None:
        source = self.windowed(node)
        common: dict[str, int] = {
            "padding": source.padding,
            "stride_h": node.stride[0],
            "stride_w": node.stride[1],
            "dilation_h_factor": node.dilation[0],
            "dilation_w_factor": node.dilation[1],
            "fused_activation_function": _ACTIVATIONS[node.activation],
        }
        weights = self.weights(node)
        if node.depthwise:
            options: Record = s.DepthwiseConv2DOptions(depth_multiplier=len(node.weight) // node.groups, **common)
            version = _DILATED_DEPTHWISE_VERSION if node.dilation != (1, 1) else 1
            code = _Op.DEPTHWISE_CONV_2D
        else:
            options = s.Conv2DOptions(**common)
            version = _GROUPED_CONV_VERSION if node.groups > 1 else 1
            code = _Op.CONV_2D
        self.operator(code, [source.tensor, *weights], self.value(node.name), options, version)

    def pool(self, node: g.Pool) -> None:
        source = self.windowed(node)
        options = s.Pool2DOptions(
            padding=source.padding,
            stride_h=node.stride[0],
            stride_w=node.stride[1],
            filter_height=node.kernel[0],
            filter_width=node.kernel[1],
        )
        code = _Op.AVERAGE_POOL_2D if node.average else _Op.MAX_POOL_2D
        if not needs_rescaling(self.graph, node):
            self.operator(code, [source.tensor], self.value(node.name), options)
            return
        # Zeros were counted in; windows over the border are scaled up to the mean of the cells that are there.
        shape = _nhwc(self.graph.shapes[node.name])
        counted = self.computed(f"{node.name}/counted", shape, node.inputs[0], self.form)
        self.operator(code, [source.tensor], counted, options)
        factors = self.border_factors(node)
        self.operator(_Op.MUL, [counted, factors], self.value(node.name), s.MulOptions())

    def border_factors(self, node: g.Pool) -> int:
        factors = border_factors(self.graph, node)[None, :, :, None]
        name = f"{node.name}/factors"
        if self.form is Form.FLOAT32:
            return self.constant(name, factors)
        assert self.quantization is not None
        peak, most = float(factors.max()), np.iinfo(_STORED[self.form]).max
        scale = power_of_two_step(peak) if self.quantization.scheme is Scheme.POWER_OF_TWO else peak / most
        if peak / scale > most + 0.5:  # 4, the factor of a corner, is 128 steps; in twice the step it is exact
            scale *= 2
        return self.constant(name, np.rint(factors / scale).astype(_STORED[self.form]), _quantization(scale, 0))

    def windowed(self, node: g.Conv | g.Pool) -> _Windowed:
        """Bring about a window operator's borders: by TFLite's own padding if that fits, else by an operator."""
        b, name = node.borders, node.inputs[0]
        tensor = self.read(name, node)
        if not b:
            return _Windowed(tensor, s.Padding.VALID)
        n, channels, height, width = self.graph.shapes[name]
        if fits_same(self.graph, node):
            return _Windowed(tensor, s.Padding.SAME)
        shape = (n, height + b.top + b.bottom, width + b.left + b.right, channels)
        padded = self.computed(f"{node.name}/padded", shape, name, self.form)
        sizes = np.array([[0, 0], [b.top, b.bottom], [b.left, b.right], [0, 0]], np.int32)
        inputs = [tensor, self.constant(f"{node.name}/borders", sizes)]
        if isinstance(node, g.Pool) and not node.average and not self.non_negative(name):
            # Zero could win a maximum, so that the lowest number stands in; PADV2 is slower where zero would do.
            self.operator(_Op.PADV2, [*inputs, self.lowest(node, name)], padded, s.PadV2Options())
        else:
            self.operator(_Op.PAD, inputs, padded, s.PadOptions())
        return _Windowed(padded, s.Padding.VALID)

    def lowest(self, node: g.Pool, name: str) -> int:
        lowest = np.finfo(np.float32).min if self.form is Form.FLOAT32 else np.iinfo(_STORED[self.form]).min
        return self.filled(f"{node.name}/lowest", name, (1,), float(lowest))

    def filled(self, name: str, like: str, shape: g.Shape, content: float) -> int:
        """A constant of one number, in the form at hand and the scale of a value.

        Args:
            name: of the tensor.
            like: the value.
            shape: of the tensor.
            content: as it is stored, the zero point of integers for 0.
        """
        if self.form is Form.FLOAT32:
            return self.constant(name, np.full(shape, content, np.float32))
        affine = self.affine(like, self.form)
        stored = affine.zero_point if content == 0 else content
        made = np.full(shape, stored, _STORED[self.form])
        return self.constant(name, made, _quantization(affine.scale, affine.zero_point))

    def non_negative(self, name: str) -> bool:
        """Whether a value can be seen never to be below zero."""
        rectified = (g.Activation.RELU, g.Activation.RELU6)
        node = self.producers.get(name)
        if isinstance(node, g.Fusing):
            return node.activation in rectified
        if isinstance(node, g.Unary):
            return node.kind in rectified
        if isinstance(node, (g.Concat, g.Pool, g.Pad)):
            return all(self.non_negative(source) for source in node.inputs)
        return isinstance(node, g.Zeros)


def _nhwc(shape: g.Shape) -> g.Shape:
    return (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape


def _quantization(scale: float | NDArray[np.float32], zero_point: int, axis: int = 0) -> s.Quantization:
    scales = np.atleast_1d(np.asarray(scale, np.float32))
    zero_points = np.full(scales.shape, zero_point, np.int64)
    return s.Quantization(scale=scales, zero_point=zero_points, quantized_dimension=axis)
