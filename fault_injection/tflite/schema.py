"""The tables of a ``.tflite`` file that matter here, as dataclasses.

Field by field they follow the public schema (TensorFlow Lite ``schema.fbs``, version 3, as of LiteRT 2.3). Described
are the structure of a model, the options that the exporter writes or an instrumentation reads, and **every** table
that holds references; option tables of plain numbers are carried as :class:`~fault_injection.tflite.codec.Opaque`. So
any model of this schema can be read and written again without loss, whatever its operators.

Names are the schema's own, in its order: the position of a field is its slot in the file.
"""
# ruff: noqa: RUF009 (the functions make dataclass fields)

import dataclasses
import enum
from typing import Dict, List, Optional, Type, Union

import numpy as np
from numpy.typing import NDArray

from fault_injection.tflite.codec import Opaque, Record, array, numbers, record, records, scalar, text, union


class TensorType(enum.IntEnum):
    """Element types of tensors that this package computes with; files may hold others, as plain numbers."""

    FLOAT32 = 0
    FLOAT16 = 1
    INT32 = 2
    UINT8 = 3
    INT64 = 4
    BOOL = 6
    INT16 = 7
    INT8 = 9


class BuiltinOperator(enum.IntEnum):
    """Operators that this package writes or looks into; files may hold others, as plain numbers."""

    ADD = 0
    AVERAGE_POOL_2D = 1
    CONCATENATION = 2
    CONV_2D = 3
    DEPTHWISE_CONV_2D = 4
    DEQUANTIZE = 6
    FULLY_CONNECTED = 9
    MAX_POOL_2D = 17
    MUL = 18
    RELU = 19
    RELU6 = 21
    RESHAPE = 22
    SOFTMAX = 25
    CUSTOM = 32
    PAD = 34
    MEAN = 40
    MAXIMUM = 55
    MINIMUM = 57
    PADV2 = 60
    QUANTIZE = 114
    HARD_SWISH = 117
    SELECT_V2 = 123
    PLACEHOLDER_FOR_GREATER_OP_CODES = 127
    BITCAST = 159
    BITWISE_XOR = 160


class Padding(enum.IntEnum):
    """How the borders of a window operator are filled."""

    SAME = 0
    VALID = 1


class Activation(enum.IntEnum):
    """What is applied to an operator's output within the operator."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3
    TANH = 4
    SIGN_BIT = 5


# -------------------------------------------------------------------------------------------------------------- options


@dataclasses.dataclass(eq=False)
class Conv2DOptions(Record):
    """Convolution; the weights lie as (out, height, width, in)."""

    padding: int = scalar("b")
    stride_w: int = scalar("i")
    stride_h: int = scalar("i")
    fused_activation_function: int = scalar("b")
    dilation_w_factor: int = scalar("i", 1)
    dilation_h_factor: int = scalar("i", 1)
    quantized_bias_type: int = scalar("b")


@dataclasses.dataclass(eq=False)
class DepthwiseConv2DOptions(Record):
    """Depthwise convolution; the weights lie as (1, height, width, out)."""

    padding: int = scalar("b")
    stride_w: int = scalar("i")
    stride_h: int = scalar("i")
    depth_multiplier: int = scalar("i")
    fused_activation_function: int = scalar("b")
    dilation_w_factor: int = scalar("i", 1)
    dilation_h_factor: int = scalar("i", 1)


@dataclasses.dataclass(eq=False)
class Pool2DOptions(Record):
    """Maximum or average over windows; the average leaves padding out of its count."""

    padding: int = scalar("b")
    stride_w: int = scalar("i")
    stride_h: int = scalar("i")
    filter_width: int = scalar("i")
    filter_height: int = scalar("i")
    fused_activation_function: int = scalar("b")


@dataclasses.dataclass(eq=False)
class FullyConnectedOptions(Record):
    """Matrix product; the weights lie as (out, in)."""

    fused_activation_function: int = scalar("b")
    weights_format: int = scalar("b")
    keep_num_dims: bool = scalar("?", False)
    asymmetric_quantize_inputs: bool = scalar("?", False)
    quantized_bias_type: int = scalar("b")
    quant_spec: Optional[NDArray[np.uint8]] = array("B")


@dataclasses.dataclass(eq=False)
class ConcatenationOptions(Record):
    """Concatenation along ``axis``."""

    axis: int = scalar("i")
    fused_activation_function: int = scalar("b")


@dataclasses.dataclass(eq=False)
class AddOptions(Record):
    """Elementwise sum, with broadcasting."""

    fused_activation_function: int = scalar("b")
    pot_scale_int16: bool = scalar("?", True)


@dataclasses.dataclass(eq=False)
class MulOptions(Record):
    """Elementwise product, with broadcasting."""

    fused_activation_function: int = scalar("b")


@dataclasses.dataclass(eq=False)
class PadOptions(Record):
    """Padding with zeros."""


@dataclasses.dataclass(eq=False)
class PadV2Options(Record):
    """Padding with a given value."""


@dataclasses.dataclass(eq=False)
class ReshapeOptions(Record):
    """New shape; an operator may give it as a tensor instead."""

    new_shape: Optional[List[int]] = numbers("i")


@dataclasses.dataclass(eq=False)
class ReducerOptions(Record):
    """Mean and other reductions; the axes are a tensor."""

    keep_dims: bool = scalar("?", False)


@dataclasses.dataclass(eq=False)
class SelectV2Options(Record):
    """Elementwise choice between two tensors by a third of truth values, with broadcasting."""


@dataclasses.dataclass(eq=False)
class BitcastOptions(Record):
    """The same bits as another type."""


@dataclasses.dataclass(eq=False)
class BitwiseXorOptions(Record):
    """Elementwise exclusive or of integers, with broadcasting."""


def _carried(name: str, codes: str) -> Type[Record]:
    """A table that holds references and that nobody here looks into: its fields are called f0, f1, …

    Args:
        name: the schema's name.
        codes: the fields in order: a number's code, ``[code]`` for a vector, ``s`` for a string.
    """
    fields = []
    for i, code in enumerate(codes.split()):
        made = text() if code == "s" else array(code[1:-1]) if code[0] == "[" else scalar(code)
        fields.append((f"f{i}", object, made))
    return dataclasses.make_dataclass(name, fields, bases=(Record,), eq=False)


OPTIONS: Dict[int, Type[Record]] = {
    1: Conv2DOptions,
    2: DepthwiseConv2DOptions,
    3: _carried("ConcatEmbeddingsOptions", "i [i] [i]"),
    5: Pool2DOptions,
    8: FullyConnectedOptions,
    10: ConcatenationOptions,
    11: AddOptions,
    17: ReshapeOptions,
    21: MulOptions,
    22: PadOptions,
    27: ReducerOptions,
    30: _carried("SqueezeOptions", "[i]"),
    43: PadV2Options,
    98: SelectV2Options,
    111: _carried("VarHandleOptions", "s s"),
    115: _carried("BucketizeOptions", "[f]"),
    124: BitcastOptions,
    125: BitwiseXorOptions,
}
"""Described members of the union BuiltinOptions."""
_LAST_OPTIONS = 126

OPTIONS_2: Dict[int, Type[Record]] = {
    2: _carried("StablehloBroadcastInDimOptions", "[q]"),
    3: _carried("StablehloSliceOptions", "[q] [q] [q]"),
    4: _carried("StablehloConvolutionOptions", "[q] [q] [q] [q] [?] q q [q] q q [q] q q [q] q q [i]"),
    5: _carried("StablehloCustomCallOptions", "s ? s i [i] [B]"),
    6: _carried("StablehloReduceOptions", "[q] i"),
    7: _carried("StablehloScatterOptions", "? [q] [q] [q] q ? i"),
    9: _carried("StablehloDynamicSliceOptions", "[q]"),
    10: _carried("StablehloPadOptions", "[q] [q] [q]"),
    12: _carried("StablehloDotGeneralOptions", "[q] [q] [q] [q] [i]"),
    13: _carried("StablehloReduceWindowOptions", "[q] [q] [q] [q] [q] i"),
    16: _carried("StablehloGatherOptions", "[q] [q] [q] q [q] ?"),
    17: _carried("StablehloTransposeOptions", "[q]"),
    21: _carried("StableHLOCompositeOptions", "s i [B] b i"),
    23: _carried("StablehloCaseOptions", "[i]"),
}
"""Described members of the union BuiltinOptions2."""
_LAST_OPTIONS_2 = 23


# ------------------------------------------------------------------------------------------------------------ structure

_DETAILS: Dict[int, Type[Record]] = {
    1: _carried("CustomQuantization", "[B]"),
    2: _carried("BlockwiseQuantization", "i i i [i]"),
    3: _carried("MultiAxisQuantization", "i i i [i]"),
}
_SPARSE_INDICES: Dict[int, Type[Record]] = {
    1: _carried("Int32Vector", "[i]"),
    2: _carried("Uint16Vector", "[H]"),
    3: _carried("Uint8Vector", "[B]"),
}


@dataclasses.dataclass(eq=False)
class Quantization(Record):
    """``real = scale · (stored − zero_point)``, for a tensor or for each slice along ``quantized_dimension``."""

    min: Optional[NDArray[np.float32]] = array("f")
    max: Optional[NDArray[np.float32]] = array("f")
    scale: Optional[NDArray[np.float32]] = array("f")
    zero_point: Optional[NDArray[np.int64]] = array("q")
    details: Union[Record, Opaque, None] = union(_DETAILS, 3)
    quantized_dimension: int = scalar("i")


@dataclasses.dataclass(eq=False)
class DimensionMetadata(Record):
    """One dimension of a sparse tensor."""

    format: int = scalar("b")
    dense_size: int = scalar("i")
    array_segments: Union[Record, Opaque, None] = union(_SPARSE_INDICES, 3)
    array_indices: Union[Record, Opaque, None] = union(_SPARSE_INDICES, 3)


@dataclasses.dataclass(eq=False)
class Sparsity(Record):
    """How a sparse tensor is stored."""

    traversal_order: Optional[List[int]] = numbers("i")
    block_map: Optional[List[int]] = numbers("i")
    dim_metadata: Optional[List[DimensionMetadata]] = records(DimensionMetadata)


@dataclasses.dataclass(eq=False)
class VariantSubType(Record):
    """What a tensor of type VARIANT holds."""

    shape: Optional[List[int]] = numbers("i")
    type: int = scalar("b")
    has_rank: bool = scalar("?", False)


@dataclasses.dataclass(eq=False)
class Tensor(Record):
    """A value of the graph; ``buffer`` 0 means computed, any other constant."""

    shape: Optional[List[int]] = numbers("i")
    type: int = scalar("b")
    buffer: int = scalar("I")
    name: Optional[str] = text()
    quantization: Optional[Quantization] = record(Quantization)
    is_variable: bool = scalar("?", False)
    sparsity: Optional[Sparsity] = record(Sparsity)
    shape_signature: Optional[List[int]] = numbers("i")
    has_rank: bool = scalar("?", False)
    variant_tensors: Optional[List[VariantSubType]] = records(VariantSubType)
    external_buffer: int = scalar("I")


@dataclasses.dataclass(eq=False)
class OperatorCode(Record):
    """A kind of operator, in a version."""

    deprecated_builtin_code: int = scalar("b")
    custom_code: Optional[str] = text()
    version: int = scalar("i", 1)
    builtin_code: int = scalar("i")

    @property
    def code(self) -> int:
        """The operator's number: old files have it in the narrow field, new ones in the wide one."""
        return max(self.deprecated_builtin_code, self.builtin_code)


@dataclasses.dataclass(eq=False)
class Operator(Record):
    """One step of a graph; inputs and outputs are indices of tensors, −1 stands for an input left out."""

    opcode_index: int = scalar("I")
    inputs: Optional[List[int]] = numbers("i")
    outputs: Optional[List[int]] = numbers("i")
    builtin_options: Union[Record, Opaque, None] = union(OPTIONS, _LAST_OPTIONS)
    custom_options: Optional[NDArray[np.uint8]] = array("B")
    custom_options_format: int = scalar("b")
    mutating_variable_inputs: Optional[NDArray[np.bool_]] = array("?")
    intermediates: Optional[List[int]] = numbers("i")
    large_custom_options_offset: int = scalar("Q")
    large_custom_options_size: int = scalar("Q")
    builtin_options_2: Union[Record, Opaque, None] = union(OPTIONS_2, _LAST_OPTIONS_2)
    debug_metadata_index: int = scalar("i", -1)


@dataclasses.dataclass(eq=False)
class SubGraph(Record):
    """A graph: operators in the order in which they run."""

    tensors: List[Tensor] = records(Tensor)
    inputs: List[int] = numbers("i")
    outputs: List[int] = numbers("i")
    operators: List[Operator] = records(Operator)
    name: Optional[str] = text()
    debug_metadata_index: int = scalar("i", -1)


@dataclasses.dataclass(eq=False)
class Buffer(Record):
    """Bytes of a constant; ``offset`` and ``size`` are for data behind the tables (see :func:`read_model`)."""

    data: Optional[NDArray[np.uint8]] = array("B")
    offset: int = scalar("Q")
    size: int = scalar("Q")


@dataclasses.dataclass(eq=False)
class Metadata(Record):
    """A named buffer for tools, such as ``min_runtime_version``."""

    name: Optional[str] = text()
    buffer: int = scalar("I")


@dataclasses.dataclass(eq=False)
class TensorMap(Record):
    """A signature's name for a tensor."""

    name: Optional[str] = text()
    tensor_index: int = scalar("I")


@dataclasses.dataclass(eq=False)
class SignatureDef(Record):
    """Names for a graph's inputs and outputs."""

    inputs: Optional[List[TensorMap]] = records(TensorMap)
    outputs: Optional[List[TensorMap]] = records(TensorMap)
    signature_key: Optional[str] = text()
    deprecated_tag: Optional[str] = text()
    subgraph_index: int = scalar("I")


@dataclasses.dataclass(eq=False)
class Model(Record):
    """A whole file; ``buffers[0]`` is empty by convention."""

    version: int = scalar("I")
    operator_codes: List[OperatorCode] = records(OperatorCode)
    subgraphs: List[SubGraph] = records(SubGraph)
    description: Optional[str] = text()
    buffers: List[Buffer] = records(Buffer)
    metadata_buffer: Optional[List[int]] = numbers("i")
    metadata: Optional[List[Metadata]] = records(Metadata)
    signature_defs: Optional[List[SignatureDef]] = records(SignatureDef)
    external_buffer_groups: Optional[List[Record]] = records(_carried("ExternalBufferGroup", "s"))
    external_buffers: Optional[List[Record]] = records(_carried("ExternalBuffer", "I I Q Q s"))
