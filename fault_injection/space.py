"""What can be hit, and what was: sites, and faults at them, the same for torch modules and deployed models.

An element of a site is counted in the order of the **deployed** tensor: feature maps as (height, width, channels),
weights as (out, height, width, in), or (1, height, width, out) of a depthwise layer. What a fault does to an element is
one of four things, on the 8-bit integer (or the 32 bits of a float) that it is:

    FLIP    q ^ operand             soft errors
    SET     operand                 cells and channels that read as something else; noise on weights of known value
    STICK   q & ~mask | ones        operand = mask << 8 | ones: bits that always read as the same
    ADD     q + operand, saturating faulty arithmetic, noise
"""

from __future__ import annotations

import enum
import hashlib
import math
from dataclasses import dataclass
from typing import Any, Iterable, List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from fault_injection.errors import FaultError, NoSuchTargetError


@dataclass(frozen=True)
class Site:
    """A tensor that faults may strike.

    Attributes:
        name: what its random numbers depend on, and what a file of faults calls it.
        operator: what computes or uses it, for example "CONV_2D".
        shape: in the deployed order; of features without the batch.
        channel_axis: which dimension counts output channels.
        macs: multiply-accumulates behind each value of a feature map; 1 for weights.
        bits: width of a value, 8 or 32.
        zero: integer that stands for the real number 0.
        signed: 8-bit values are two's complement (int8), else unsigned (uint8).
    """

    name: str
    operator: str
    shape: Tuple[int, ...]
    channel_axis: int
    macs: int = 1
    bits: int = 8
    zero: int = 0
    signed: bool = True

    @property
    def size(self) -> int:
        """Values; of features in one sample."""
        return math.prod(self.shape)

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.shape[self.channel_axis]


class Effect(enum.IntEnum):
    """What becomes of a value, see the module."""

    FLIP = 0
    SET = 1
    STICK = 2
    ADD = 3


@dataclass(frozen=True, eq=False)
class Faults:
    """Faults of one pattern at one site: the truth about it, of which plan and seed are only the recipe.

    Attributes:
        site: name.
        effect: of all of them.
        elements: which values, as an index into the flattened tensor; of features the batch that was asked for is its
            first dimension. Ascending and distinct, int32 or int64, shape (n,).
        operands: see :class:`Effect`, shape (n,); uint8 or uint32 for FLIP, uint8 for SET, uint16 for STICK, int16 for
            ADD.
    """

    site: str
    effect: Effect
    elements: NDArray[Any]
    operands: NDArray[Any]

    def __len__(self) -> int:
        return len(self.elements)


def apply(values: NDArray[Any], faults: Faults, signed: bool = True) -> NDArray[Any]:
    """What becomes of the values that are hit.

    Args:
        values: they, in the order of the faults; uint8 bytes of 8-bit tensors, or uint32 words, shape (n,).
        faults: their elements are not looked at.
        signed: for ADD, the bytes are two's complement.

    Returns:
        An array of the same type.
    """
    if faults.effect is Effect.FLIP:
        flipped: NDArray[Any] = values ^ faults.operands
        return flipped
    if faults.effect is Effect.SET:
        return faults.operands
    if faults.effect is Effect.STICK:
        mask = (faults.operands >> 8).astype(np.uint8)
        read: NDArray[Any] = values & ~mask | faults.operands.astype(np.uint8)
        return read
    numbers = values.view(np.int8) if signed else values
    limits = np.iinfo(numbers.dtype)
    # Two bytes would hold what is drawn, not all that a file may say.
    total = numbers.astype(np.int32)
    total += faults.operands
    return total.clip(limits.min, limits.max).astype(numbers.dtype).view(np.uint8)


def check(faults: Sequence[Faults], sites: Sequence[Site], batch: int = 1) -> None:
    """Do these faults lie in these sites?

    Args:
        faults: anybody's.
        sites: of the model.
        batch: samples, of features.

    Raises:
        NoSuchTargetError: an unknown site, an element outside of it, or one that is hit twice.
        FaultError: faults without an operand, or operands without a fault.
    """
    by_name = {site.name: site for site in sites}
    for group in faults:
        site = by_name.get(group.site)
        if site is None:
            raise NoSuchTargetError(f"the model has nothing called {group.site!r} that could be hit")
        if len(group.operands) != len(group):
            raise FaultError(f"{len(group)} faults in {group.site!r} have {len(group.operands)} operands")
        if not len(group):
            continue
        if int(group.elements.min()) < 0 or int(group.elements.max()) >= site.size * batch:
            raise NoSuchTargetError(f"a fault lies outside of {group.site!r}, which holds {site.size} values")
        # Not a difference: numbers without a sign would wrap around.
        if (group.elements[1:] <= group.elements[:-1]).any():
            raise NoSuchTargetError(f"the faults in {group.site!r} are not in order, or one element is hit twice")


def hits(faults: Iterable[Faults]) -> int:
    """How many faults these are: bits for FLIP and STICK, values for the others."""
    total = 0
    for group in faults:
        if group.effect is Effect.FLIP:
            total += count_bits(group.operands)
        elif group.effect is Effect.STICK:
            total += count_bits((group.operands >> 8).astype(np.uint8))
        else:
            total += len(group)
    return total


def count_bits(words: NDArray[Any]) -> int:
    """Bits that are set."""
    return int(np.unpackbits(np.ascontiguousarray(words).view(np.uint8)).sum())


def digest(faults: Iterable[Faults]) -> str:
    """A fingerprint of faults, by which two machines compare what they drew: hexadecimal, 16 characters."""
    content = hashlib.sha256()
    for group in faults:
        if len(group):
            content.update(f"{group.site}\0{int(group.effect)}\0{len(group)}\0".encode("utf-8", "surrogateescape"))
            content.update(group.elements.astype("<i8").tobytes())
            content.update(group.operands.astype("<i8").tobytes())
    return content.hexdigest()[:16]


def fingerprint_of_features(faults: Iterable[Faults], sites: Sequence[Site]) -> str:
    """The digest of the first sample's faults, which stands for all: theirs would cost more than to draw them."""
    return digest(part_of_batch(faults, sites, 0, 1))


def part_of_batch(faults: Iterable[Faults], sites: Iterable[Site], start: int, count: int) -> List[Faults]:
    """Those in the samples from `start` on, `count` of them, as if they were a batch of their own."""
    sizes = {site.name: site.size for site in sites}
    parts = []
    for group in faults:
        size = sizes[group.site]
        begin, end = group.elements.searchsorted([start * size, (start + count) * size])
        if end > begin:
            elements = group.elements[begin:end] - group.elements.dtype.type(start * size)
            parts.append(Faults(group.site, group.effect, elements, group.operands[begin:end]))
    return parts
