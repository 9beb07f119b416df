"""What kernels make of an int8 weight of -128, which a bit flip can leave and which TFLite's specification rules out.

Each kernel is held against integer arithmetic. Inputs and weights are made so that no rounding is in doubt: kernels
differ in how they round halves, and some round twice. With M = 2^-k, weights that are multiples of 4 and a bias that
is 2 more, a sum is 2 more than a multiple of 4, so neither it nor its half lies halfway between two results.
"""

from __future__ import annotations

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


def weights_of(layer: str, content: str) -> NDArray[np.int8]:
    """Multiples of 4 with -128 among them, or nothing but -128."""
    shape = WEIGHTS_SHAPE[layer]
    if content == "all":
        return np.full(shape, -128, np.int8)
    drawn = np.random.default_rng(0).integers(-32, 32, shape) * 4
    drawn.reshape(-1)[::7] = -128
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
@pytest.mark.parametrize("content", ["some", "all"])
@pytest.mark.parametrize("image", ["lowest", "random"])
@pytest.mark.parametrize("scales", ["one", "each"])
def test_minus_128_is_a_weight_like_any_other(
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
    assert np.array_equal(run(interpreter, x)[0], expected)
