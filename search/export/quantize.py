"""Integer quantization: weights to int8, activations to int8 or int16, biases to int32 or int64.

Whatever the scheme, a file keeps to TFLite's specification
(https://ai.google.dev/edge/litert/models/quantization_spec): weights are symmetric in [−127, 127], activations in
[−128, 127] or symmetric in [−32767, 32767], and a bias has the scale of its input times that of its weights. Ranges are
the extremes seen on the calibration images.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.export.borders import needs_rescaling
from search.export.errors import ExportError
from search.export.graph import FUSIBLE, Add, Concat, Flatten, Graph, Layer, Node, Pad, Pool, Unary, Weights
from search.export.reference import evaluate, single_thread

# Small batches stay in the cache; channels that lie innermost suit the convolutions: together a third faster.
_BATCH = 16
# Leaves the accumulator, which adds products to the bias, room within its 32 bits; beside int16 within the 48 that are
# rescaled.
_BIAS_LIMIT, _WIDE_BIAS_LIMIT = 2.0**30, 2.0**46


class Scheme(enum.Enum):
    """How an int8 file stores numbers."""

    DEPLOYED = "deployed"
    """What devices run best: activations asymmetric per tensor, convolution weights per channel, fused activations."""

    POWER_OF_TWO = "power of two"
    """The fixed point of FTT-NAS (Ning et al.): everything symmetric per tensor with step 2^(S−7), S = ⌈log2 max|t|⌉,
    and no activation fused, so that a layer's signed result is a tensor of its own. For faults as that paper has them;
    what it costs in accuracy is no property of the network."""


def power_of_two_step(peak: float) -> float:
    """2^(S−7) with S = ⌈log2 peak⌉, exactly; a value that is always zero gets the step of numbers up to 1.

    Args:
        peak: largest magnitude, ≥ 0. A power of two itself is 128 steps, one more than there are: it is clipped.
    """
    if peak == 0:
        return 2.0**-7
    mantissa, exponent = math.frexp(peak)  # 0.5 ≤ mantissa < 1
    return math.ldexp(1.0, exponent - (mantissa == 0.5) - 7)


@dataclass(frozen=True)
class Affine:
    """``real = scale · (stored − zero_point)``."""

    scale: float
    zero_point: int

    @staticmethod
    def covering(low: float, high: float) -> Affine:
        """For values between ``low`` and ``high``; zero, which borders are filled with, is met exactly."""
        low, high = min(low, 0.0), max(high, 0.0)
        # A value that is always zero may have any scale; this one keeps biases that are derived from it small.
        scale = float(np.float32((high - low) / 255.0)) if high > low else 1.0 / 255.0
        return Affine(scale, int(np.clip(round(-128 - low / scale), -128, 127)))

    @staticmethod
    def words(low: float, high: float) -> Affine:
        """16 bits for values between ``low`` and ``high``, symmetric."""
        peak = max(-low, high)
        return Affine(float(np.float32(peak / 32767.0)) if peak > 0 else 1.0 / 32767.0, 0)

    @staticmethod
    def fixed_point(low: float, high: float) -> Affine:
        """For values between ``low`` and ``high``, symmetric, with a power of two as its step."""
        return Affine(power_of_two_step(max(-low, high)), 0)


@dataclass(frozen=True)
class Quantization:
    """How a file stores the numbers of a graph.

    Attributes:
        scheme: the rules.
        values: of every value of the graph, in 8 bits.
        words: of every value in 16 bits; empty for the scheme of powers of two.
        bias_shifts: what to add to every bias of a layer, by the layer's name.
    """

    scheme: Scheme
    values: dict[str, Affine]
    words: dict[str, Affine] = field(default_factory=dict)
    bias_shifts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class IntegerWeights:
    """Weights and bias of one layer; ``scale`` holds one entry per output channel, or one for all."""

    weight: NDArray[np.int8]
    scale: NDArray[np.float32]
    bias: NDArray[np.signedinteger[Any]]
    bias_scale: NDArray[np.float32]


def integer_weights(
    weight: Weights, bias: Weights, input_scale: float, *, per_channel: bool, scheme: Scheme, wide: bool = False
) -> IntegerWeights:
    """Quantize a layer.

    Args:
        weight: (out, …).
        bias: (out,).
        input_scale: of the layer's input.
        per_channel: one scale per output channel, else one for all (which older runtimes ask of dense layers). The
            scheme of powers of two has one for all in any case.
        scheme: what scales there may be.
        wide: the layer reads 16 bits, so that its bias has 64.
    """
    magnitude = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    # A channel whose weights are all but zero would have a scale at which its bias overflows.
    least = np.abs(bias) / (input_scale * (_WIDE_BIAS_LIMIT if wide else _BIAS_LIMIT))
    if scheme is Scheme.POWER_OF_TWO:
        scale = np.array([power_of_two_step(float(np.maximum(magnitude, 128.0 * least).max()))], np.float32)
    else:
        scale = np.maximum(magnitude / 127.0, least).astype(np.float32)
        if not per_channel:
            scale = scale.max(keepdims=True)
        scale = np.where(scale > 0, scale, np.float32(1.0))
    spread = scale.reshape(-1, *(1,) * (weight.ndim - 1))
    bias_scale = scale * np.float32(input_scale)
    return IntegerWeights(
        np.clip(np.rint(weight / spread), -127, 127).astype(np.int8),
        scale,
        np.rint(bias.astype(np.float64) / bias_scale).astype(np.dtype(np.int64 if wide else np.int32)),
        bias_scale,
    )


def _shares_scale(graph: Graph, node: Node, scheme: Scheme) -> bool:
    """Whether an operation moves stored numbers unchanged, so that its result has the scale of its inputs.

    TFLite demands it, but for rectifiers: those could have a finer step, but the paper's networks compute on with the
    numbers that were stored before.
    """
    if isinstance(node, Unary):
        return scheme is Scheme.POWER_OF_TWO and node.kind in FUSIBLE
    return isinstance(node, (Concat, Flatten, Pad)) or (isinstance(node, Pool) and not needs_rescaling(graph, node))


def calibrate(graph: Graph, images: Tensor, scheme: Scheme) -> Quantization:
    """Quantization of every value.

    Values that must share a scale do, through whole chains of concatenations, poolings and padding, and theirs covers
    them all.

    Args:
        graph: the network.
        images: (N, C, H, W), as the network gets them, N ≥ 1: typical inputs.
        scheme: what scales there may be.

    Raises:
        ExportError: images that do not fit, or that lead to NaN or infinity.
    """
    expected = graph.shapes[graph.input][1:]
    if images.dim() != 4 or tuple(images.shape[1:]) != expected or not len(images):
        raise ExportError(f"calibration images must be (N, {', '.join(map(str, expected))}): {tuple(images.shape)}")
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}

    def observe(name: str, content: Tensor) -> None:
        low, high = (float(bound) for bound in torch.aminmax(content))
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ExportError(f"{name}: NaN or infinity on the calibration images")
        lows[name], highs[name] = min(low, lows.get(name, low)), max(high, highs.get(name, high))

    pixels = images.to("cpu", torch.float32, memory_format=torch.channels_last)
    with single_thread():
        for batch in torch.split(pixels, _BATCH):
            evaluate(graph, batch, observe)

    leader = _tied(graph, scheme)
    for name, first in leader.items():
        lows[first], highs[first] = min(lows[first], lows[name]), max(highs[first], highs[name])
    if scheme is Scheme.DEPLOYED:
        ranges = {name: (lows[leader[name]], highs[leader[name]]) for name in lows}
        return Quantization(
            scheme,
            {name: Affine.covering(*bounds) for name, bounds in ranges.items()},
            {name: Affine.words(*bounds) for name, bounds in ranges.items()},
        )
    values = {name: Affine.fixed_point(lows[leader[name]], highs[leader[name]]) for name in lows}
    return Quantization(scheme, values, bias_shifts=_against_ties(graph, values))


def _against_ties(graph: Graph, values: dict[str, Affine]) -> dict[str, float]:
    """Shifts of biases that undo, on average, the rounding of ties in sums.

    With powers of two, 2^k steps of the finer summand are one of the sum's, so that one sum in 2^k lies halfway, and
    runtimes round those up: by half a step of the finer summand on average. Along the shortcuts of a ResNet-44 that
    adds up to two and a half points of accuracy. A layer that is read by the sum alone can take it off beforehand.
    """
    shifts: dict[str, float] = {}
    layers = {node.name for node in graph.nodes if isinstance(node, Layer)}
    for node in graph.nodes:
        if isinstance(node, Add):
            finer = min(values[name].scale for name in node.inputs)
            layer = next((n for n in node.inputs if n in layers and sum(1 for _ in graph.consumers(n)) == 1), None)
            if layer is not None and finer < values[node.name].scale:
                shifts[layer] = -finer / 2
    return shifts


def _tied(graph: Graph, scheme: Scheme) -> dict[str, str]:
    """For every value the one that speaks for all that share its scale (union-find)."""
    parent = {name: name for name in graph.shapes}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for node in graph.nodes:
        if _shares_scale(graph, node, scheme):
            for name in node.inputs:
                parent[find(name)] = find(node.name)
    return {name: find(name) for name in parent}
