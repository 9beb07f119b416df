"""Faults in the weights of a deployed model: bytes of the ``.tflite`` file, patched in a copy.

>>> weights = find_weights(data)
>>> plan = FaultPlan(parse("iBF(p=1e-4)"), targets=("*conv*",))
>>> sites = plan.select([weight.site for weight in weights])
>>> faults = draw_weights(plan, sites, contents(data, weights), pattern=7)
>>> faulty = inject(data, weights, faults)

A file is patched rather than the memory of a running interpreter because delegates keep packed copies of the weights.
A flip may turn a weight into -128, which the TFLite quantisation specification rules out for int8 weights and which a
memory does not know about: it is written as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, Iterator, List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from fault_injection.errors import UnsupportedModelError
from fault_injection.space import Faults, Site, apply, check
from fault_injection.tflite import Model, read_model
from fault_injection.tflite.schema import BuiltinOperator, Tensor, TensorType
from fault_injection.tflite.sites import SiteNames, type_name

#: Operators with weights: the input that holds them, and the dimension of output channels.
_WEIGHTS: Dict[int, Tuple[int, int]] = {
    BuiltinOperator.CONV_2D: (1, 0),
    BuiltinOperator.DEPTHWISE_CONV_2D: (1, 3),
    BuiltinOperator.FULLY_CONNECTED: (1, 0),
}
_BYTE = 8
_BITS = {TensorType.INT8: 8, TensorType.UINT8: 8, TensorType.FLOAT32: 32}


@dataclass(frozen=True)
class WeightTensor:
    """Weights as they lie in a file.

    Attributes:
        site: shape as in the file: (out, height, width, in), (1, height, width, out) or (out, in). The name is the
            file's; where that is empty or not unique, with "#graph.tensor" added. The operator is the first user.
        offset: position of the first byte in the file.
    """

    site: Site
    offset: int

    @property
    def name(self) -> str:
        """Of the site."""
        return self.site.name

    @property
    def size_bytes(self) -> int:
        """In the file."""
        return self.site.size * self.site.bits // 8


def find_weights(data: bytes) -> List[WeightTensor]:
    """The weights of a model, 8-bit integers and 32-bit floats, in the order in which they are used.

    A constant that is used twice is one. Biases are left out, as are weights of other types in a model that has both.

    Args:
        data: a ``.tflite`` file.

    Raises:
        MalformedModelError: it cannot be read.
        UnsupportedModelError: it has no such weights, or some that are stored in a sparse form.
    """
    model = read_model(data)
    start = _address(np.frombuffer(data, np.uint8))
    names = SiteNames(model)
    found: Dict[int, WeightTensor] = {}
    others: List[str] = []
    for operator, graph, index, tensor in _uses(model):
        content = model.buffers[tensor.buffer].data
        if content is None or not len(content) or tensor.buffer in found:
            continue
        name = names(graph, index)
        bits = _BITS.get(TensorType(tensor.type)) if tensor.type in list(TensorType) else None
        if bits is None:
            others.append(type_name(tensor.type))
            continue
        shape = tuple(tensor.shape or ())
        if tensor.sparsity is not None or math.prod(shape) * bits != len(content) * 8:
            raise UnsupportedModelError(f"weights {name!r} are not stored densely, {bits // 8} bytes for each value")
        channel_axis = _WEIGHTS[operator][1]
        if len(shape) <= channel_axis or min(shape) < 0:
            raise UnsupportedModelError(f"weights {name!r} of {operator.name} have the shape {list(shape)}")
        site = Site(
            name,
            operator.name,
            shape,
            channel_axis=channel_axis,
            bits=bits,
            zero=_zero_point(tensor),
            signed=tensor.type != TensorType.UINT8,
        )
        found[tensor.buffer] = WeightTensor(site, _address(content) - start)
    if not found:
        raise UnsupportedModelError(
            f"faults in weights need 8-bit or float32 ones; those of this model are {others[0]}: export it as int8"
            if others
            else "the model has no weights: no convolution or fully connected layer with constants"
        )
    return list(found.values())


def contents(data: bytes, weights: Sequence[WeightTensor]) -> Dict[str, NDArray[np.uint8]]:
    """The stored bytes of each tensor, by name: views into the file."""
    return {weight.name: np.frombuffer(data, np.uint8, weight.size_bytes, weight.offset) for weight in weights}


def inject(data: bytes, weights: Sequence[WeightTensor], faults: Sequence[Faults]) -> bytes:
    """A copy of the file with faults in it.

    Args:
        data: the file that `weights` were found in, faulty or not.
        weights: at least those that are hit.
        faults: of weights.

    Raises:
        NoSuchTargetError: a fault lies in no tensor, or outside of it.
        UnsupportedModelError: faults of 8-bit values in floating-point weights, or the reverse.
    """
    by_name = {weight.name: weight for weight in weights}
    check(faults, [weight.site for weight in weights])
    content = bytearray(data)
    for group in faults:
        weight = by_name[group.site]
        width = 32 if group.operands.dtype == np.uint32 else 8
        if width != weight.site.bits:
            raise UnsupportedModelError(
                f"faults of {width}-bit values; those of {weight.name!r} have {weight.site.bits}"
            )
        word = np.dtype(np.uint8 if width == _BYTE else "<u4")
        stored = np.frombuffer(content, word, weight.site.size, weight.offset)
        stored[group.elements] = apply(stored[group.elements], group, weight.site.signed)
    return bytes(content)


def _zero_point(tensor: Tensor) -> int:
    quantization = tensor.quantization
    if quantization is None or quantization.zero_point is None or not len(quantization.zero_point):
        return 0
    return int(quantization.zero_point[0])


def _uses(model: Model) -> Iterator[Tuple[BuiltinOperator, int, int, Tensor]]:
    """Operator, graph, tensor number and tensor wherever an operator has weights, as the file stores them.

    Weights of half the bits pass an operator that widens them.
    """
    for number, graph in enumerate(model.subgraphs):
        widened: Dict[int, int] = {}
        for operator in graph.operators:
            if model.operator_codes[operator.opcode_index].code == BuiltinOperator.DEQUANTIZE:
                widened.update(zip(operator.outputs or [], operator.inputs or []))
        for operator in graph.operators:
            code = model.operator_codes[operator.opcode_index].code
            place = _WEIGHTS.get(code, (-1, 0))[0]
            if place >= 0 and operator.inputs and len(operator.inputs) > place and operator.inputs[place] >= 0:
                index = widened.get(operator.inputs[place], operator.inputs[place])
                yield BuiltinOperator(code), number, index, graph.tensors[index]


def _address(array: NDArray[np.uint8]) -> int:
    return int(array.ctypes.data)
