"""What kernels make of an int8 weight of -128, which a bit flip can leave and which TFLite's specification rules out.

Each kernel is held against integer arithmetic. Inputs and weights are made so that no rounding is in doubt: kernels
differ in how they round halves, and some round twice. With M = 2^-k, weights that are multiples of 4 and a bias that
is 2 more, a sum is 2 more than a multiple of 4, so neither it nor its half lies halfway between two results.

Measured: exact on x86-64, whatever the kernel. On 64-bit Arm (emulated: Cortex-A53, A72, A76) some kernels add two
products in 16 bits before they widen, which -127 keeps from overflowing: where both are -128 · -128, their 32,768
becomes -32,768, and 65,536 are missing from the sum. These are XNNPACK's depthwise convolutions and, on cores without
dot products (A53, A72: Raspberry Pi 3 and 4), its convolutions and dense layers, and the built-in convolutions. It
takes two weights of -128 that meet in one register, and inputs of -128: one among other weights is exact everywhere.
"""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fault_injection.tflite import schema as s
from tests.fault_injection.tflite.tiny import ALL_KERNELS, Array, B, Kernels, Tiny, delegated, run

INPUT_SHAPE = {"conv": (1, 6, 6, 16), "depthwise": (1, 6, 6, 16), "dense": (1, 64)}
WEIGHTS_SHAPE = {"conv": (8, 3, 3, 16), "depthwise": (1, 3, 3, 16), "dense": (10, 64)}
CHANNELS = {"conv": (8, 0), "depthwise": (16, 3), "dense": (10, 0)}
# The zero point that makes the largest product: (-128 - 127) · -128.
ZERO_POINT = 127


def adds_pairs_in_16_bits(kernels: Kernels, layer: str) -> bool:
    """Can a kernel of this machine lose 65,536?"""
    if platform.machine() != "aarch64":
        return False
    dot_products = " asimddp" in Path("/proc/cpuinfo").read_text()
    return not dot_products or (kernels.xnnpack and layer == "depthwise")


def weights_of(layer: str, content: str) -> NDArray[np.int8]:
    """Multiples of 4 with -128 among them: once for each channel, often, or nothing else."""
    shape = WEIGHTS_SHAPE[layer]
    drawn = np.random.default_rng(0).integers(-31, 32, shape) * 4
    if content == "once":
        channels, axis = CHANNELS[layer]
        by_channel = np.moveaxis(drawn, axis, 0).reshape(channels, -1)
        assert np.shares_memory(by_channel, drawn)
        by_channel[np.arange(channels), np.arange(channels) % by_channel.shape[1]] = -128
    else:
        drawn.reshape(-1)[:: {"often": 7, "only": 1}[content]] = -128
    return drawn.astype(np.int8)


def sums(layer: str, image: NDArray[np.int8], weights: NDArray[np.int8]) -> Array:
    """Sums of products, without padding, in 64-bit integers: shape (batch, [height, width,] channels)."""
    x, w = image.astype(np.int64) - ZERO_POINT, weights.astype(np.int64)
    if layer == "dense":
        return x @ w.T
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    if layer == "conv":
        return np.asarray(np.einsum("nhwcij,oijc->nhwo", windows, w))
    return np.asarray(np.einsum("nhwcij,ijc->nhwc", windows, w[0]))


def model(layer: str, weights: NDArray[np.int8], bias: NDArray[np.int32], shifts: Array, out: tuple[int, ...]) -> bytes:
    """The layer with M = 2^-shifts, one for all channels or one for each."""
    tiny = Tiny()
    _, axis = CHANNELS[layer]
    source = tiny.tensor(INPUT_SHAPE[layer], scale=1.0, zero_point=ZERO_POINT)
    scales = 2.0**-shifts
    constants = [tiny.constant(weights, scales, axis=axis), tiny.constant(bias, scales)]
    result = tiny.tensor(out, scale=1.0)
    code, version, options = {
        "conv": (B.CONV_2D, 3, s.Conv2DOptions(padding=1, stride_w=1, stride_h=1)),
        "depthwise": (
            B.DEPTHWISE_CONV_2D,
            3,
            s.DepthwiseConv2DOptions(padding=1, stride_w=1, stride_h=1, depth_multiplier=1),
        ),
        "dense": (B.FULLY_CONNECTED, 4, s.FullyConnectedOptions()),
    }[layer]
    assert isinstance(version, int)
    tiny.operator(code, [source, *constants], result, options, version)
    return tiny.data([source], [result])


@pytest.mark.parametrize("kernels", ALL_KERNELS)
@pytest.mark.parametrize("layer", ["conv", "depthwise", "dense"])
@pytest.mark.parametrize("content", ["once", "often", "only"])
@pytest.mark.parametrize("image", ["lowest", "random"])
@pytest.mark.parametrize("scales", ["one", "each"])
def test_minus_128_is_a_weight_like_any_other_or_two_lose_65536(
    kernels: Kernels, layer: str, content: str, image: str, scales: str
) -> None:
    random = np.random.default_rng(1)
    shape = INPUT_SHAPE[layer]
    x = np.full(shape, -128, np.int8) if image == "lowest" else random.integers(-128, 128, shape).astype(np.int8)
    weights = weights_of(layer, content)
    bias = (random.integers(-100, 100, CHANNELS[layer][0]) * 4 + 2).astype(np.int32)
    exact = sums(layer, x, weights) + bias
    # The largest sum of a channel takes up most of the output's range.
    largest = np.abs(exact).max(axis=tuple(range(exact.ndim - 1)))
    shifts = np.ceil(np.log2(largest / 127))
    shifts = shifts.max(keepdims=True) if scales == "one" else shifts + np.arange(len(shifts)) % 3
    assert shifts.min() >= 3
    expected = np.floor(exact / 2.0**shifts + 0.5).astype(int)
    assert 40 < np.abs(expected).max() <= 127
    interpreter = kernels.load(model(layer, weights, bias, shifts, exact.shape))
    assert delegated(interpreter) == kernels.delegates(np.int8)
    missing = (expected - run(interpreter, x)[0]) * 2.0**shifts
    if adds_pairs_in_16_bits(kernels, layer) and image == "lowest" and content != "once":
        pairs = (weights == -128).sum() // 2
        assert set(np.unique(missing / 65536)) <= set(range(pairs + 1))
    else:
        assert not missing.any()
