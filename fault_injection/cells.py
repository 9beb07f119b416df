"""Into how many cells a value falls, and what hits make of it: a rule for each model."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from fault_injection import models as m
from fault_injection.plan import FaultPlan, Scale
from fault_injection.sampling import OPERANDS, SampleHits, Stream, chosen, halves, octets
from fault_injection.space import Effect, Faults, Site

#: Bits of a magnitude in one of adSAF's two arrays.
MAGNITUDE_BITS = 7
_LARGEST_BIAS = 127


def _bits(plan: FaultPlan) -> Tuple[int, int]:
    """Lowest bit that may be hit, and how many there are."""
    low, high = plan.bits or (0, plan.model.dtype_bits - 1)
    return low, high - low + 1


def _cells_per_value(plan: FaultPlan, site: Site) -> int:
    model = plan.model
    if isinstance(model, m.MacBitBias):
        return site.macs
    if isinstance(model, m.StuckCells):
        return {"all": 2, "bit": 2 * MAGNITUDE_BITS, "memory": 8}[model.variant]
    if isinstance(model, m.BurstFlips):
        return site.bits
    if isinstance(model, (m.StuckBits, m.SingleUpset)) or getattr(model, "per", "") == "bit":
        return _bits(plan)[1]
    return 1


def cells_of(plan: FaultPlan, site: Site) -> int:
    """Cells of a site, of weights or of features in one sample."""
    if isinstance(plan.model, m.ChannelFault):
        return site.channels
    return site.size * _cells_per_value(plan, site)


def draw_operands(plan: FaultPlan, hits: SampleHits, stream: Stream, samples: Sequence[int]) -> Optional[NDArray[Any]]:
    """A random number for each hit, where the model needs one: a byte, or half a word where shares must be exact."""
    model = plan.model
    if isinstance(model, (m.MacBitBias, m.RandomValue)) or getattr(model, "to", "") == "random":
        view, size, dtype = octets, 8, np.uint8
    elif isinstance(model, m.StuckCells) or getattr(model, "per", "") == "value":
        view, size, dtype = halves, 2, np.uint32  # type: ignore[assignment]
    else:
        return None
    numbers = np.empty(int(hits.counts.sum()), dtype)
    begin = 0
    for sample, count in zip(samples, hits.counts.tolist()):
        stream.seek(sample, OPERANDS)
        numbers[begin : begin + count] = view(stream.words(-(-count // size)))[:count]
        begin += count
    return numbers


def faults_of(
    plan: FaultPlan,
    site: Site,
    cells: NDArray[Any],
    samples: NDArray[np.int64],
    counts: NDArray[np.int64],
    operands: Optional[NDArray[Any]],
) -> Faults:
    """The faults of one site.

    Args:
        plan: the model, and which bits.
        site: which.
        cells: that are hit, counted within the site, sample after sample.
        samples: their positions in the batch.
        counts: of cells in each sample.
        operands: see :func:`draw_operands`.
    """
    model = plan.model
    if isinstance(model, m.ChannelFault):
        return _channels(model, site, cells, samples, counts, operands)
    if isinstance(model, m.BurstFlips):
        return _bursts(plan, model, site, cells, samples, counts)
    per_value = _cells_per_value(plan, site)
    elements = cells // per_value if per_value > 1 else cells
    if isinstance(model, m.MacBitBias):
        assert operands is not None
        elements = _in_batch(elements, site, samples, counts)
        return _first(site, Effect.ADD, elements, _biases(operands, plan.scale))
    place = cells - elements * per_value if per_value > 1 else None
    elements = _in_batch(elements, site, samples, counts)
    if isinstance(model, m.RandomValue):
        assert operands is not None
        return Faults(site.name, Effect.SET, elements, operands)
    low, width = _bits(plan)
    if isinstance(model, m.StuckCells):
        assert operands is not None
        assert place is not None
        ones = chosen(operands, model.sa1).astype(np.uint32)
        if model.variant == "memory":
            mask = np.uint32(1) << place.astype(np.uint32)
            return _merged(site, Effect.STICK, elements, (mask << 8 | mask * ones).astype(np.uint16))
        # Two masks of up to 14 cells; resolved against the weights.
        mask = np.uint32(1) << place.astype(np.uint32)
        return _merged(site, Effect.STICK, elements, mask << 16 | mask * ones)
    if getattr(model, "per", "") == "value":
        assert operands is not None
        bit = low + (operands.astype(np.uint64) * np.uint64(width) >> np.uint64(32)).astype(np.int64)
    else:
        bit = low + (np.zeros(len(cells), np.int64) if place is None else place)
    word = np.uint8 if site.bits == 8 else np.uint32
    mask = np.ones(len(cells), word) << bit.astype(word)
    kept = ~plan.protected.get(site.name, 0)
    if kept != ~0:
        mask &= np.array(kept & ((1 << site.bits) - 1), word)
        elements, mask = elements[mask != 0], mask[mask != 0]
    if isinstance(model, m.StuckBits):
        wide = mask.astype(np.uint16)
        return _merged(site, Effect.STICK, elements, wide << 8 | wide * model.to)
    return _merged(site, Effect.FLIP, elements, mask)


def _biases(numbers: NDArray[np.uint8], scale: Scale) -> NDArray[np.int16]:
    """±2^a by the low four bits of a byte: three of the exponent, one of the sign."""
    steps: NDArray[np.int16] = np.left_shift(np.int16(1), numbers & np.uint8(7), dtype=np.int16)
    if scale is Scale.DEPLOYED:
        positive = np.int16(_LARGEST_BIAS)
        np.minimum(steps, positive + (numbers >> 3 & 1), out=steps)  # only +128 is too large
    sign = (numbers >> np.uint8(3) & np.uint8(1)).astype(np.int16)
    np.negative(sign, out=sign)
    steps ^= sign
    steps -= sign
    return steps


def _in_batch(
    elements: NDArray[Any], site: Site, samples: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[Any]:
    """Elements of each sample as elements of the batch."""
    if len(samples) == 1 and samples[0] == 0:
        return elements
    last = site.size * (int(samples[-1]) + 1)
    dtype = np.int32 if last <= np.iinfo(np.int32).max else np.int64
    result: NDArray[Any] = elements.astype(dtype, copy=False)
    result += np.repeat((samples * site.size).astype(dtype), counts)
    return result


def _first(site: Site, effect: Effect, elements: NDArray[Any], operands: NDArray[Any]) -> Faults:
    """Of several hits of one value, which has but one fault, the first counts."""
    fresh = np.ones(len(elements), bool)
    np.not_equal(elements[1:], elements[:-1], out=fresh[1:])
    if not fresh.all():
        elements, operands = elements[fresh], operands[fresh]
    return Faults(site.name, effect, elements, operands)


def _merged(site: Site, effect: Effect, elements: NDArray[Any], operands: NDArray[Any]) -> Faults:
    """Several hits of one value act together: of FLIP by exclusive or, of STICK by or."""
    fresh = elements[1:] != elements[:-1]
    if not fresh.all():
        starts = np.concatenate([[0], np.flatnonzero(fresh) + 1])
        combine = np.bitwise_xor if effect is Effect.FLIP else np.bitwise_or
        elements, operands = elements[starts], combine.reduceat(operands, starts)
        if effect is Effect.FLIP and not operands.all():  # two bursts may undo each other
            elements, operands = elements[operands != 0], operands[operands != 0]
    return Faults(site.name, effect, elements, operands)


def _channels(
    model: m.ChannelFault,
    site: Site,
    cells: NDArray[Any],
    samples: NDArray[np.int64],
    counts: NDArray[np.int64],
    operands: Optional[NDArray[Any]],
) -> Faults:
    numbers = np.arange(site.size, dtype=np.int64).reshape(site.shape)
    spread = np.moveaxis(numbers, site.channel_axis, 0).reshape(site.channels, -1)
    elements = spread[cells] + np.repeat(samples * site.size, counts)[:, None]
    if operands is None:
        largest = _LARGEST_BIAS if site.signed else 255
        byte = {"zero": site.zero & 255, "max": largest}[model.to]
        values = np.full(elements.shape, byte, np.uint8)
    else:
        values = np.repeat(operands[:, None], elements.shape[1], axis=1)
    order = elements.reshape(-1).argsort(kind="stable")
    return Faults(site.name, Effect.SET, elements.reshape(-1)[order], values.reshape(-1)[order])


def _bursts(
    plan: FaultPlan,
    model: m.BurstFlips,
    site: Site,
    cells: NDArray[Any],
    samples: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> Faults:
    bits = cells[:, None].astype(np.int64) + np.arange(model.length)
    first = np.repeat(samples * site.size * site.bits, counts)[:, None]
    bits = np.sort((bits + first)[bits < site.size * site.bits])
    masks = np.ones(len(bits), np.uint8) << (bits % site.bits).astype(np.uint8)
    return _merged(site, Effect.FLIP, bits // site.bits, masks)
