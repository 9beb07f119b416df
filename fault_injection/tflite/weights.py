"""Faults in the weights of a deployed model: bytes of the ``.tflite`` file, patched in a copy.

>>> weights = select(find_weights(data), ["*conv*"])
>>> flips = draw(weights, IndependentBitFlips(p=1e-4), seed=0, pattern=7)
>>> faulty = inject(data, weights, flips)
>>> assert inject(faulty, weights, flips) == data

A file is patched rather than the memory of a running interpreter because delegates keep packed copies of the weights.
A flip may turn a weight into -128, which the TFLite quantisation specification rules out for int8 weights and which a
memory does not know about: it is written as it is.
"""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass
from typing import Dict, Iterator, List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from fault_injection.errors import NoSuchTargetError, UnsupportedModelError
from fault_injection.models import IndependentBitFlips
from fault_injection.sampling import BITS, BitFlips, draw_bit_flips
from fault_injection.tflite import Model, read_model
from fault_injection.tflite.schema import BuiltinOperator, Tensor, TensorType
from fault_injection.tflite.sites import SiteNames, type_name

#: Operators with weights, and the input that holds them.
_WEIGHTS_INPUT: Dict[int, int] = {
    BuiltinOperator.CONV_2D: 1,
    BuiltinOperator.DEPTHWISE_CONV_2D: 1,
    BuiltinOperator.FULLY_CONNECTED: 1,
}
_EIGHT_BITS = (TensorType.INT8, TensorType.UINT8)
_NAMED = 5


@dataclass(frozen=True)
class WeightTensor:
    """8-bit weights as they lie in a file.

    Attributes:
        name: as in the file; where that is empty or not unique, with "#graph.tensor" added. The site of its faults.
        operator: what uses them first, for example "CONV_2D".
        shape: as in the file: (out, height, width, in), (1, height, width, out) or (out, in).
        offset: position of the first byte in the file.
        size: values, which is bytes.
    """

    name: str
    operator: str
    shape: Tuple[int, ...]
    offset: int
    size: int


def find_weights(data: bytes) -> List[WeightTensor]:
    """The 8-bit weights of a model, in the order in which they are used. A constant that is used twice is one.

    Biases (int32) are left out, as are weights of other types in a model that has both.

    Args:
        data: a ``.tflite`` file.

    Raises:
        MalformedModelError: it cannot be read.
        UnsupportedModelError: it has no 8-bit weights, or some that are stored in a sparse form.
    """
    model = read_model(data)
    start = _address(np.frombuffer(data, np.uint8))
    names = SiteNames(model)
    found: Dict[int, WeightTensor] = {}
    others: List[Tuple[str, str]] = []
    for operator, graph, index, tensor in _uses(model):
        content = model.buffers[tensor.buffer].data
        if content is None or tensor.buffer in found:
            continue
        site = names(graph, index)
        if tensor.type not in _EIGHT_BITS:
            others.append((site, type_name(tensor.type)))
            continue
        shape = tuple(tensor.shape or ())
        if tensor.sparsity is not None or math.prod(shape) != len(content):
            raise UnsupportedModelError(f"weights {site!r} are not stored densely, one byte for each value")
        found[tensor.buffer] = WeightTensor(site, operator, shape, _address(content) - start, len(content))
    if not found:
        raise UnsupportedModelError(
            f"bit flips need 8-bit weights; those of this model are {others[0][1]}: export it as int8"
            if others
            else "the model has no weights: no convolution or fully connected layer with constants"
        )
    return list(found.values())


def select(weights: Sequence[WeightTensor], targets: Sequence[str]) -> List[WeightTensor]:
    """Those whose name matches one of the patterns, all if there are none.

    Args:
        weights: of a file.
        targets: shell patterns (``*``, ``?``, ``[…]``), case-sensitive.

    Raises:
        NoSuchTargetError: a pattern matches nothing.
    """
    for pattern in targets:
        if not any(fnmatch.fnmatchcase(weight.name, pattern) for weight in weights):
            names = ", ".join(weight.name for weight in weights[:_NAMED])
            more = f" and {len(weights) - _NAMED} more" if len(weights) > _NAMED else ""
            raise NoSuchTargetError(f"no 8-bit weights match {pattern!r}; the model has: {names}{more}")
    return [w for w in weights if not targets or any(fnmatch.fnmatchcase(w.name, t) for t in targets)]


def draw(weights: Sequence[WeightTensor], model: IndependentBitFlips, seed: int, pattern: int) -> List[BitFlips]:
    """Draw one pattern: the flips of each tensor that is hit."""
    drawn = (draw_bit_flips(model, seed, pattern, weight.name, weight.size) for weight in weights)
    return [flips for flips in drawn if len(flips)]


def inject(data: bytes, weights: Sequence[WeightTensor], flips: Sequence[BitFlips]) -> bytes:
    """A copy of the file with bits flipped. Injecting the same faults again undoes it.

    Args:
        data: the file that `weights` were found in, faulty or not.
        weights: at least those that are hit.
        flips: faults.

    Raises:
        NoSuchTargetError: a fault lies in no tensor, or outside of it.
    """
    by_name = {weight.name: weight for weight in weights}
    content = np.frombuffer(data, np.uint8).copy()
    for hit in flips:
        weight = by_name.get(hit.site)
        if weight is None:
            raise NoSuchTargetError(f"the model has no 8-bit weights called {hit.site!r}")
        if len(hit) and (int(hit.elements.min()) < 0 or int(hit.elements.max()) >= weight.size):
            raise NoSuchTargetError(f"a fault lies outside of {hit.site!r}, which holds {weight.size} values")
        if len(hit) and int(hit.bits.max()) >= BITS:
            raise NoSuchTargetError(
                f"a fault in {hit.site!r} hits bit {int(hit.bits.max())}; there are 0 to {BITS - 1}"
            )
        # Several bits of a value may be hit, which plain fancy indexing would lose.
        np.bitwise_xor.at(content, weight.offset + hit.elements, np.uint8(1) << hit.bits)
    return content.tobytes()


def _uses(model: Model) -> Iterator[Tuple[str, int, int, Tensor]]:
    """Operator, graph, tensor number and tensor wherever an operator has weights."""
    for number, graph in enumerate(model.subgraphs):
        for operator in graph.operators:
            code = model.operator_codes[operator.opcode_index].code
            place = _WEIGHTS_INPUT.get(code)
            if place is not None and operator.inputs and len(operator.inputs) > place and operator.inputs[place] >= 0:
                index = operator.inputs[place]
                yield BuiltinOperator(code).name, number, index, graph.tensors[index]


def _address(array: NDArray[np.uint8]) -> int:
    return int(array.ctypes.data)
