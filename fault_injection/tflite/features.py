"""Faults in the feature maps of a deployed model, as inputs of its graph at run time.

>>> sites = find_features(data)
>>> faulty = instrument(data, sites, Carrier.FLIP)
>>> (mask,) = faulty.inputs[sites[0].name]

An interpreter is built once, and each pattern of faults costs no more than writing it to its inputs. In front of
everything that reads a feature map, a small operator lets the faults in::

    operator ──► map ──► each reader         operator ──► map ──► BITWISE_XOR ──► map/faulty ──► each reader
                                                          map/flip ──┘

A site lies behind the activation that is fused into its operator. Where the fault tensors hold no fault
(:func:`no_fault`), the new operators pass every bit on, and the outputs are those of the file as it was **from the same
kernels**. XNNPACK runs ADD, but neither BITWISE_XOR, BITCAST nor SELECT_V2: it cuts the graph there, and each piece
computes what it computes within the whole.

A fault tensor keeps what is written into it, so that sparse faults can be written and taken back one by one through
``interpreter.tensor(number)()``. Such a view must be gone before the interpreter is invoked.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np

from fault_injection.drawing import effect_on_features
from fault_injection.errors import NoSuchTargetError, UnsupportedModelError
from fault_injection.plan import FaultPlan, Position, Scale
from fault_injection.space import Effect, Site
from fault_injection.tflite import Model, read_model, write_model
from fault_injection.tflite import schema as s
from fault_injection.tflite.rewriting import Rewriting
from fault_injection.tflite.schema import Activation, BuiltinOperator, TensorType
from fault_injection.tflite.sites import SiteNames, type_name

#: Operators with multiply-accumulates, and the dimensions of their weights that are summed over.
_SUMMED: Dict[int, slice] = {
    BuiltinOperator.CONV_2D: slice(1, 4),
    BuiltinOperator.DEPTHWISE_CONV_2D: slice(1, 3),
    BuiltinOperator.FULLY_CONNECTED: slice(1, 2),
}
_TYPES = (TensorType.INT8, TensorType.UINT8, TensorType.FLOAT32)
_UINT8_ZERO_POINT = 128


@dataclass(frozen=True)
class FeatureTensor:
    """What an operator with multiply-accumulates computes: the site of faults in features.

    Attributes:
        name: as in the file; where that is empty or not unique, with "#graph.tensor" added.
        operator: what computes it: "CONV_2D", "DEPTHWISE_CONV_2D" or "FULLY_CONNECTED".
        shape: of one sample, as it lies in memory: (height, width, channels) or (channels,); of a dense layer that
            keeps its dimensions, all but the first.
        dtype: "int8", "uint8" or "float32".
        scale: real = scale · (stored − zero_point); None for float32, or if the tensor has not got exactly one.
        zero_point: None where `scale` is.
        activation: fused into the operator: "none", "relu", "relu6", …; faults come after it.
        macs: multiply-accumulates behind each value: kernel height · width · input channels / groups, or inputs of a
            dense layer.
    """

    name: str
    operator: str
    shape: Tuple[int, ...]
    dtype: str
    scale: Optional[float]
    zero_point: Optional[int]
    activation: str
    macs: int

    @property
    def site(self) -> Site:
        """It as faults are drawn for."""
        return Site(
            self.name,
            self.operator,
            self.shape,
            channel_axis=len(self.shape) - 1,
            macs=self.macs,
            bits=32 if self.dtype == "float32" else 8,
            zero=self.zero_point or 0,
            signed=self.dtype != "uint8",
        )


class Carrier(enum.Enum):
    """What lets faults into a feature map, and what its fault tensors hold.

    All have the feature map's shape, batch included.

    - FLIP: exclusive or with a mask, one tensor of the map's type; for float32 one of int32, for the float's bits.
    - ADD: a bias in steps of the map's scale, one tensor of the map's type. The sum is exact and saturates at the ends
      of the type. int8 has zero point 0 and carries -128 to 127 steps: +128 cannot be stored, the caller clips it to
      127, which makes a step less where the stored value is below 0 and no difference elsewhere. uint8 has zero point
      128: stored 0 to 255 are -128 to 127 steps, and 128 is no fault. float32 is added as it is; no fault is **-0.0**,
      as 0.0 would turn -0.0 into 0.0.
    - SET: a condition (bool) and a value of the map's type and scale, two tensors in this order. The value stands
      where the condition holds.
    """

    FLIP = "flip"
    ADD = "add"
    SET = "set"


_CARRIERS = {Effect.FLIP: Carrier.FLIP, Effect.ADD: Carrier.ADD, Effect.SET: Carrier.SET}


@dataclass(frozen=True)
class Instrumented:
    """A model whose feature maps can be hit.

    Attributes:
        data: the ``.tflite`` file.
        inputs: by name of a site, the places of its fault tensors among the model's inputs, counted as the file (and
            ``get_input_details()``) has them: one for FLIP and ADD, condition and value for SET.
    """

    data: bytes
    inputs: Dict[str, Tuple[int, ...]]


def find_features(data: bytes) -> List[FeatureTensor]:
    """The feature maps of a model, in the order of execution: outputs of its convolutions and dense layers.

    Only the main graph is searched. Maps of other types than int8, uint8 and float32 are left out, as are those whose
    size is not known before run time, or whose first dimension is not the batch.

    Args:
        data: a ``.tflite`` file.

    Raises:
        MalformedModelError: it cannot be read.
        UnsupportedModelError: it has no feature maps that faults can be put into.
    """
    return [feature for _, feature in numbers_of(read_model(data))]


def select_features(data: bytes, plan: FaultPlan) -> List[FeatureTensor]:
    """The feature maps that a plan aims at.

    Raises:
        MalformedModelError: the file cannot be read.
        UnsupportedModelError: it has not got what the plan breaks, where or in the steps that it breaks it, or a
            deployed graph cannot carry such faults.
        NoSuchTargetError: the plan aims at nothing.
    """
    features = find_features(data)
    chosen = {site.name for site in plan.select([feature.site for feature in features])}
    selected = [feature for feature in features if feature.name in chosen]
    _check_position(plan, selected)
    carrier_of(plan)
    return selected


def no_fault(site: FeatureTensor, carrier: Carrier) -> Union[int, float]:
    """What the (first) fault tensor of a site holds wherever there is no fault."""
    if carrier is not Carrier.ADD:
        return 0
    return {"int8": 0, "uint8": _UINT8_ZERO_POINT, "float32": -0.0}[site.dtype]


def instrument(data: bytes, sites: Sequence[FeatureTensor], carrier: Carrier) -> Instrumented:
    """Make faults in feature maps inputs of the graph.

    Whatever reads a site, outputs and signatures of the model included, reads the faulty map instead. The new inputs
    follow those of the model, in the order of `sites`, called after them: "conv/flip", "conv/add", or "conv/set" and
    "conv/value". If the model has a signature, they become part of it.

    Args:
        data: a ``.tflite`` file.
        sites: found in it.
        carrier: how faults come in.

    Raises:
        MalformedModelError: it cannot be read.
        NoSuchTargetError: a site is not in it.
        UnsupportedModelError: a site has not got what the carrier needs.
    """
    model = read_model(data)
    found = {feature.name: (index, feature) for index, feature in numbers_of(model)}
    rewriting = Rewriting(model)
    inputs: Dict[str, Tuple[int, ...]] = {}
    for site in dict.fromkeys(sites):
        index, feature = found.get(site.name, (-1, None))
        if feature is None:
            raise NoSuchTargetError(f"the model has no feature map called {site.name!r}")
        if feature != site:
            raise NoSuchTargetError(f"the feature map {site.name!r} was found in another model: {site} is {feature}")
        inputs[site.name] = _let_in(rewriting, index, site, carrier)
    rewriting.finish()
    return Instrumented(write_model(model), inputs)


def numbers_of(model: Model) -> List[Tuple[int, FeatureTensor]]:
    """The feature maps of a model that is read, with the numbers of their tensors; see :func:`find_features`."""
    graph = model.subgraphs[0]
    names = SiteNames(model)
    batch = (graph.tensors[graph.inputs[0]].shape or [])[:1] if graph.inputs else []
    found: List[Tuple[int, FeatureTensor]] = []
    unfit: List[str] = []
    for operator, kind, index, weights in _summing(model):
        tensor = graph.tensors[index]
        shape = tensor.shape or []
        if tensor.type not in _TYPES:
            unfit.append(
                f"faults in features need int8, uint8 or float32; {names(0, index)!r} is {type_name(tensor.type)}"
            )
        elif len(shape) < 2 or min(shape[1:] + (tensor.shape_signature or [])[1:]) < 1:
            unfit.append(f"the feature map {names(0, index)!r} has a size that is not known before run time: {shape}")
        elif shape[:1] != batch:
            unfit.append(f"the first dimension of the feature map {names(0, index)!r}, {shape}, is not the batch")
        else:
            scale, zero_point = _quantisation(tensor)
            feature = FeatureTensor(
                name=names(0, index),
                operator=kind.name,
                shape=tuple(shape[1:]),
                dtype=type_name(tensor.type),
                scale=scale,
                zero_point=zero_point,
                activation=_activation(operator),
                macs=math.prod((weights.shape or [])[_SUMMED[kind]]),
            )
            found.append((index, feature))
    if not found:
        raise UnsupportedModelError(
            unfit[0] if unfit else "the model has no feature maps: no convolution or fully connected layer"
        )
    return found


def _summing(model: Model) -> Iterator[Tuple[s.Operator, BuiltinOperator, int, s.Tensor]]:
    """Operators with multiply-accumulates, what they are, the number of their output, and their weights."""
    graph = model.subgraphs[0]
    for operator in graph.operators:
        code = model.operator_codes[operator.opcode_index].code
        inputs, outputs = operator.inputs or [], operator.outputs or []
        if code in _SUMMED and len(inputs) > 1 and inputs[1] >= 0 and outputs and outputs[0] >= 0:
            yield operator, BuiltinOperator(code), outputs[0], graph.tensors[inputs[1]]


def _quantisation(tensor: s.Tensor) -> Tuple[Optional[float], Optional[int]]:
    stored = tensor.quantization
    if tensor.type == TensorType.FLOAT32 or stored is None or stored.scale is None or len(stored.scale) != 1:
        return None, None
    points = stored.zero_point
    return float(stored.scale[0]), int(points[0]) if points is not None and len(points) else 0


def _activation(operator: s.Operator) -> str:
    options = operator.builtin_options
    if not isinstance(options, (s.Conv2DOptions, s.DepthwiseConv2DOptions, s.FullyConnectedOptions)):
        return "none"
    number = options.fused_activation_function
    return Activation(number).name.lower() if number in list(Activation) else f"number {number}"


def _let_in(rewriting: Rewriting, site: int, feature: FeatureTensor, carrier: Carrier) -> Tuple[int, ...]:
    """Make operators and inputs for a tensor; gives the places of the inputs."""
    tensor = rewriting.graph.tensors[site]
    first = len(rewriting.graph.inputs)
    faulty = rewriting.tensor(tensor, f"{feature.name}/faulty")
    if carrier is Carrier.SET:
        condition = rewriting.input(tensor, f"{feature.name}/set", type=TensorType.BOOL, quantization=None)
        value = rewriting.input(tensor, f"{feature.name}/value")
        made = [rewriting.operator(BuiltinOperator.SELECT_V2, [condition, value, site], faulty, s.SelectV2Options())]
    elif carrier is Carrier.ADD:
        bias = rewriting.input(tensor, f"{feature.name}/add", quantization=_bias_quantisation(tensor, feature))
        # Version 2 is the first with int8.
        version = 2 if tensor.type == TensorType.INT8 else 1
        made = [rewriting.operator(BuiltinOperator.ADD, [site, bias], faulty, s.AddOptions(), version)]
    elif tensor.type == TensorType.FLOAT32:
        mask = rewriting.input(tensor, f"{feature.name}/flip", type=TensorType.INT32, quantization=None)
        bits, flipped = (
            rewriting.tensor(tensor, f"{feature.name}/{n}", type=TensorType.INT32) for n in ("bits", "xor")
        )
        made = [
            rewriting.operator(BuiltinOperator.BITCAST, [site], bits, s.BitcastOptions()),
            rewriting.operator(BuiltinOperator.BITWISE_XOR, [bits, mask], flipped, s.BitwiseXorOptions()),
            rewriting.operator(BuiltinOperator.BITCAST, [flipped], faulty, s.BitcastOptions()),
        ]
    else:
        mask = rewriting.input(tensor, f"{feature.name}/flip", quantization=None)
        made = [rewriting.operator(BuiltinOperator.BITWISE_XOR, [site, mask], faulty, s.BitwiseXorOptions())]
    rewriting.follow(site, faulty, made)
    return tuple(range(first, len(rewriting.graph.inputs)))


def _bias_quantisation(tensor: s.Tensor, feature: FeatureTensor) -> Optional[s.Quantization]:
    if tensor.type == TensorType.FLOAT32:
        return None
    if feature.scale is None or tensor.quantization is None:
        raise UnsupportedModelError(f"{feature.name!r} has no scale of its own, which adding needs; flip or set it")
    zero_point = _UINT8_ZERO_POINT if tensor.type == TensorType.UINT8 else 0
    return s.Quantization(scale=tensor.quantization.scale, zero_point=np.array([zero_point], np.int64))


def _check_position(plan: FaultPlan, features: Sequence[FeatureTensor]) -> None:
    if plan.position is Position.BEFORE_ACTIVATION:
        fused = next((feature for feature in features if feature.activation != "none"), None)
        if fused is not None:
            raise UnsupportedModelError(
                f"faults before the activation need it unfused, {fused.name!r} has {fused.activation} fused: "
                "export with power-of-two scales, which leaves activations apart, or take faults after it"
            )
    if plan.scale is Scale.POWER_OF_TWO:
        for feature in features:
            if not feature.scale or feature.zero_point or math.frexp(feature.scale)[0] != 0.5:
                raise UnsupportedModelError(
                    f"the scale of {feature.name!r} is no power of two around 0: export with power-of-two scales, or "
                    "take the deployed scale"
                )


def carrier_of(plan: FaultPlan) -> Carrier:
    """What lets the faults of a plan in.

    Raises:
        UnsupportedModelError: nothing does.
    """
    effect = effect_on_features(plan.model)
    if effect not in _CARRIERS:
        raise UnsupportedModelError(
            f"a deployed graph cannot carry {plan.model.name} in its features; torch models can"
        )
    return _CARRIERS[effect]
