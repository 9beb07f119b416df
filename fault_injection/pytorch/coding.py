"""How real numbers are stored in 8 bits, and what faults make of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from fault_injection.plan import Scale
from fault_injection.pytorch.calls import Range
from fault_injection.space import Effect, Faults, apply

_STEPS = 255
_LARGEST = 127
_INT8 = (-128, 127)
_UINT8 = (0, 255)
_WIDE = (-128, 128)

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Affine:
    """real = scale · (stored − zero).

    Attributes:
        scale: one number, or one for each output channel, shape (channels,).
        zero: integer that stands for 0.
        signed: stored as int8, else as uint8.
    """

    scale: Union[float, FloatArray]
    zero: int = 0
    signed: bool = True

    @property
    def limits(self) -> Tuple[int, int]:
        """Lowest and highest number that can be stored."""
        return _INT8 if self.signed else _UINT8


def fixed_point_step(peak: float) -> float:
    """2^(S − 7) with S = ⌈log2 peak⌉, exactly: the dynamic fixed point of FTT-NAS (Ning et al., ACM TODAES 2021).

    Args:
        peak: largest magnitude, ≥ 0; what is always zero gets the step of numbers up to 1.
    """
    if peak == 0:
        return 2.0**-7
    mantissa, exponent = math.frexp(peak)  # 0.5 ≤ mantissa < 1
    return math.ldexp(1.0, exponent - (mantissa == 0.5) - 7)


def affine_of_features(values: Range, scale: Scale) -> Affine:
    """How a feature map of this range is stored where no deployed file says it.

    Args:
        values: seen in calibration.
        scale: `DEPLOYED`: asymmetric, 0 being exact, as TFLite's converters choose it.
    """
    if scale is Scale.POWER_OF_TWO:
        return Affine(fixed_point_step(values.peak))
    low, high = min(values.low, 0.0), max(values.high, 0.0)
    step = float(np.float32((high - low) / _STEPS)) or 1.0 / _STEPS
    return Affine(step, int(np.clip(round(_INT8[0] - low / step), *_INT8)))


def affine_of_weights(weights: FloatArray, per_channel: bool, scale: Scale) -> Affine:
    """How weights are stored where no deployed file says it: symmetric.

    Args:
        weights: the output channels first, shape (channels, …).
        per_channel: one scale for each output channel where the scale is `DEPLOYED`.
        scale: see :class:`~fault_injection.plan.Scale`.
    """
    peaks = np.abs(weights.reshape(len(weights), -1)).max(axis=1, initial=0)
    peaks = np.where(np.isfinite(peaks), peaks, 0)
    if scale is Scale.POWER_OF_TWO:
        return Affine(fixed_point_step(float(peaks.max(initial=0))))
    steps = (peaks if per_channel else peaks.max(keepdims=True)) / np.float32(_LARGEST)
    known: FloatArray = np.where(steps > 0, steps, 1).astype(np.float32)
    return Affine(known if per_channel else float(known[0]))


def stored_bytes(values: FloatArray, steps: Union[float, FloatArray], affine: Affine) -> NDArray[np.uint8]:
    """What a memory holds for these values; NaN reads as 0.

    Args:
        values: real numbers.
        steps: the scale of each, to be broadcast.
        affine: its scale is not looked at.
    """
    numbers = _numbers(values, steps, affine)
    np.nan_to_num(numbers, copy=False, nan=affine.zero)
    return _to_bytes(numbers, affine)


def broken(
    values: FloatArray, faults: Faults, steps: Union[float, FloatArray], affine: Affine, wide: bool = False
) -> Tuple[FloatArray, int]:
    """What faults make of 8-bit values.

    Args:
        values: real numbers that are hit, in the order of the faults, shape (n,).
        faults: of one site.
        steps: scale of each value, one number or shape (n,).
        affine: the rest of how they are stored.
        wide: sums saturate at ±128 steps as in FTT-NAS, not at what 8 bits hold.

    Returns:
        The real numbers that they become, and how many of the values were NaN or infinite: NaN is stored as 0, infinity
        as the largest number.
    """
    if faults.effect is Effect.SET:
        return _to_real(faults.operands, steps, affine), non_finite(values)
    numbers = _numbers(values, steps, affine)
    bad = 0
    if not math.isfinite(float(values.sum())):  # a sum of finite ones may overflow, but then nothing is lost
        bad = non_finite(values)
        np.nan_to_num(numbers, copy=False, nan=affine.zero)
    if faults.effect is Effect.ADD:
        numbers += faults.operands
        # np.clip costs several times as much for short arrays.
        low, high = _WIDE if wide else affine.limits
        np.minimum(np.maximum(numbers, low, out=numbers), high, out=numbers)
        if affine.zero:
            numbers -= affine.zero
        numbers *= steps
        return numbers, bad
    return _to_real(apply(_to_bytes(numbers, affine), faults, affine.signed), steps, affine), bad


def broken_bytes(
    stored: NDArray[np.uint8], faults: Faults, steps: Union[float, FloatArray], affine: Affine, wide: bool = False
) -> Tuple[FloatArray, NDArray[np.uint8]]:
    """What faults make of bytes in a memory.

    Args:
        stored: they, in the order of the faults, shape (n,).
        faults: of one site.
        steps: see :func:`broken`.
        affine: see :func:`broken`.
        wide: see :func:`broken`.

    Returns:
        The real numbers that they become, and the bytes (+128 steps are stored as 127).
    """
    if faults.effect is Effect.ADD and wide:
        values, _ = broken(_to_real(stored, steps, affine), faults, steps, affine, wide)
        return values, stored_bytes(values, steps, affine)
    read = apply(stored, faults, affine.signed)
    return _to_real(read, steps, affine), read


def broken_words(values: FloatArray, faults: Faults) -> Tuple[FloatArray, int]:
    """What faults make of 32-bit floating-point values; arguments and result as of :func:`broken`."""
    return apply(values.view(np.uint32), faults).view(np.float32), non_finite(values)


def non_finite(values: NDArray[Any]) -> int:
    """How many are NaN or infinite."""
    return int(len(values) - np.count_nonzero(np.isfinite(values)))


def _numbers(values: FloatArray, steps: Union[float, FloatArray], affine: Affine) -> FloatArray:
    """The integers that are stored, as floats; NaN stays."""
    numbers: FloatArray = np.divide(values, steps, dtype=np.float32)
    np.rint(numbers, out=numbers)
    if affine.zero:
        numbers += np.float32(affine.zero)
    low, high = affine.limits
    np.minimum(np.maximum(numbers, low, out=numbers), high, out=numbers)
    return numbers


def _to_bytes(numbers: FloatArray, affine: Affine) -> NDArray[np.uint8]:
    return numbers.astype(np.int8 if affine.signed else np.uint8).view(np.uint8)


def _to_real(stored: NDArray[np.uint8], steps: Union[float, FloatArray], affine: Affine) -> FloatArray:
    numbers: FloatArray = (stored.view(np.int8) if affine.signed else stored).astype(np.float32)
    if affine.zero:
        numbers -= np.float32(affine.zero)
    numbers *= np.asarray(steps, np.float32)
    return numbers
