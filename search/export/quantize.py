"""Full integer quantization: activations to int8 per tensor, weights to int8 per channel, biases to int32.

The scheme is TFLite's 8-bit specification (https://ai.google.dev/edge/litert/models/quantization_spec): weights are
symmetric in [−127, 127], activations asymmetric in [−128, 127], and a bias has the scale of its input times that of
its weights. Ranges are the extremes seen on the calibration images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.export.borders import needs_rescaling
from search.export.errors import ExportError
from search.export.graph import Concat, Flatten, Graph, Node, Pad, Pool, Weights
from search.export.reference import evaluate, single_thread

# Small batches stay in the cache; channels that lie innermost suit the convolutions: together a third faster.
_BATCH = 16
# Leaves the accumulator, which adds products to the bias, room within its 32 bits.
_BIAS_LIMIT = 2.0**30


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


@dataclass(frozen=True)
class IntegerWeights:
    """Weights and bias of one layer; ``scale`` holds one entry per output channel, or one for all."""

    weight: NDArray[np.int8]
    scale: NDArray[np.float32]
    bias: NDArray[np.int32]
    bias_scale: NDArray[np.float32]


def integer_weights(weight: Weights, bias: Weights, input_scale: float, *, per_channel: bool) -> IntegerWeights:
    """Quantize a layer.

    Args:
        weight: (out, …).
        bias: (out,).
        input_scale: of the layer's input.
        per_channel: one scale per output channel, else one for all (which older runtimes ask of dense layers).
    """
    magnitude = np.abs(weight.reshape(len(weight), -1)).max(axis=1) / 127.0
    # A channel whose weights are all but zero would have a scale at which its bias overflows.
    scale = np.maximum(magnitude, np.abs(bias) / (input_scale * _BIAS_LIMIT)).astype(np.float32)
    if not per_channel:
        scale = scale.max(keepdims=True)
    scale = np.where(scale > 0, scale, np.float32(1.0))
    spread = scale.reshape(-1, *(1,) * (weight.ndim - 1))
    bias_scale = scale * np.float32(input_scale)
    return IntegerWeights(
        np.clip(np.rint(weight / spread), -127, 127).astype(np.int8),
        scale,
        np.rint(bias.astype(np.float64) / bias_scale).astype(np.int32),
        bias_scale,
    )


def _shares_scale(graph: Graph, node: Node) -> bool:
    """Whether an operation moves stored numbers unchanged, so that its result must have the scale of its inputs."""
    return isinstance(node, (Concat, Flatten, Pad)) or (isinstance(node, Pool) and not needs_rescaling(graph, node))


def calibrate(graph: Graph, images: Tensor) -> dict[str, Affine]:
    """Quantization of every value.

    Values that must share a scale do, through whole chains of concatenations, poolings and padding, and theirs covers
    them all.

    Args:
        graph: the network.
        images: (N, C, H, W), as the network gets them, N ≥ 1: typical inputs.

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

    leader = _tied(graph)
    for name, first in leader.items():
        lows[first], highs[first] = min(lows[first], lows[name]), max(highs[first], highs[name])
    return {name: Affine.covering(lows[leader[name]], highs[leader[name]]) for name in lows}


def _tied(graph: Graph) -> dict[str, str]:
    """For every value the one that speaks for all that share its scale (union-find)."""
    parent = {name: name for name in graph.shapes}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for node in graph.nodes:
        if _shares_scale(graph, node):
            for name in node.inputs:
                parent[find(name)] = find(node.name)
    return {name: find(name) for name in parent}
