"""Draw the faults of a plan: patterns of weights and of features, element by element.

Each model is a rule that says into how many **cells** a value falls (its bits, its multiply-accumulates, its memory
cells), with what probability a cell is hit, and what the hits make of it. All cells of a sample's features lie in
one row, site after site, and are drawn in one go; weights are drawn tensor by tensor, so that aiming at fewer of them
leaves the faults of the others as they are.
"""

from __future__ import annotations

import math
import sys
from functools import lru_cache
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from fault_injection import models as m
from fault_injection.errors import UnsupportedModelError
from fault_injection.plan import FaultPlan, Lifetime, Scale
from fault_injection.sampling import (
    NORMAL_ONE,
    OPERANDS,
    SampleHits,
    Stream,
    below,
    chosen,
    draw_hits_in_samples,
    halves,
    normals,
    octets,
)
from fault_injection.space import Effect, Faults, Site

_FULL_SCALE = 127
_DRIFT_ONE = 1 << 24
_MAGNITUDE_BITS = 7
_FEATURES, _DUTY, _UPSET = "\0features", "\0duty", "\0upset"


def draw_weights(
    plan: FaultPlan, sites: Sequence[Site], contents: Mapping[str, NDArray[np.uint8]], pattern: int, sample: int = 0
) -> List[Faults]:
    """Draw one pattern of faults in weights.

    Args:
        plan: aimed at weights.
        sites: that the plan selected.
        contents: the stored bytes of each site, flattened; some models look at them.
        pattern: its number.
        sample: number of the sample, for transient faults; 0 for others.

    Returns:
        Faults of each site that is hit, in the order of `sites`.

    Raises:
        UnsupportedModelError: weights that the model does not apply to.
    """
    _check_signed(plan, sites)
    drawn: List[Faults] = []
    if isinstance(plan.model, m.SingleUpset):
        cells = _upset(plan, sites, pattern, (sample,))
        drawn = _split(plan, sites, cells, Stream(plan.seed, pattern, _UPSET), (sample,))
    elif isinstance(plan.model, m.ConductanceDrift):
        drawn = [_drift(plan.model, site, contents[site.name], plan.seed, pattern, sample) for site in sites]
    else:
        stream = Stream(plan.seed, pattern, "")
        for site in sites:
            stream.turn_to(plan.seed, pattern, site.name)
            found = _draw(plan, [site], stream, (sample,))
            if isinstance(plan.model, m.StuckCells) and plan.model.variant != "memory":
                found = [_resolve(plan.model, site, group, contents[site.name]) for group in found]
            drawn += found
    return [faults for faults in drawn if len(faults)]


def draw_features(plan: FaultPlan, sites: Sequence[Site], pattern: int, samples: Sequence[int]) -> List[Faults]:
    """Draw the faults of one pattern in the feature maps of a batch.

    Args:
        plan: aimed at features. Transient faults are drawn for each sample; others once, for all samples alike.
        sites: that the plan selected, in the order of execution.
        pattern: its number.
        samples: numbers of the samples in the data set.

    Returns:
        Faults of each site that is hit, in the order of `sites`; elements count through the batch.

    Raises:
        UnsupportedModelError: features that the model does not apply to.
    """
    _check_signed(plan, sites)
    if not len(samples):
        return []
    stream = Stream(plan.seed, pattern, _FEATURES)
    transient = plan.lifetime is Lifetime.TRANSIENT
    asked = samples if transient else (0,)
    if isinstance(plan.model, m.SingleUpset):
        drawn = _split(plan, sites, _upset(plan, sites, pattern, asked), stream, asked)
    else:
        drawn = _draw(plan, sites, stream, asked)
    if not transient:
        drawn = [_repeated(faults, site, len(samples)) for faults, site in zip(drawn, sites)]
    return [faults for faults in drawn if len(faults)]


def showing(plan: FaultPlan, pattern: int, samples: Sequence[int]) -> NDArray[np.bool_]:
    """In which samples the faults show: all of them, unless they are intermittent; shape (samples,)."""
    if plan.lifetime is not Lifetime.INTERMITTENT:
        return np.ones(len(samples), bool)
    stream = Stream(plan.seed, pattern, _DUTY)
    words = np.empty(len(samples), np.uint64)
    for index, sample in enumerate(samples):
        stream.seek(sample, OPERANDS)
        words[index] = stream.words(1)[0]
    return chosen(halves(words)[1::2], plan.duty)


def effect_on_features(model: m.FaultModel) -> Effect:
    """What a model does to the values of feature maps that it hits."""
    if isinstance(model, (m.MacBitBias, m.GaussianNoise)):
        return Effect.ADD
    if isinstance(model, (m.RandomValue, m.ChannelFault)):
        return Effect.SET
    return Effect.STICK if isinstance(model, m.StuckBits) else Effect.FLIP


def _check_signed(plan: FaultPlan, sites: Sequence[Site]) -> None:
    if not isinstance(plan.model, (m.StuckCells, m.GaussianNoise, m.ConductanceDrift)):
        return
    if isinstance(plan.model, m.StuckCells) and plan.model.variant == "memory":
        return
    for site in sites:
        if not site.signed:
            raise UnsupportedModelError(f"{plan.model.name} needs signed values, those of {site.name!r} are uint8")


# ----------------------------------------------------------------------------------------------------- cells of a value


def _bits(plan: FaultPlan) -> Tuple[int, int]:
    """Lowest bit that may be hit, and how many there are."""
    low, high = plan.bits or (0, plan.model.dtype_bits - 1)
    return low, high - low + 1


def _cells_per_value(plan: FaultPlan, site: Site) -> int:
    model = plan.model
    if isinstance(model, m.MacBitBias):
        return site.macs
    if isinstance(model, m.StuckCells):
        return {"all": 2, "bit": 2 * _MAGNITUDE_BITS, "memory": 8}[model.variant]
    if isinstance(model, m.BurstFlips):
        return site.bits
    if isinstance(model, (m.StuckBits, m.SingleUpset)) or getattr(model, "per", "") == "bit":
        return _bits(plan)[1]
    return 1


def _cells(plan: FaultPlan, site: Site) -> int:
    if isinstance(plan.model, m.ChannelFault):
        return site.channels
    return site.size * _cells_per_value(plan, site)


def _upset(plan: FaultPlan, sites: Sequence[Site], pattern: int, samples: Sequence[int]) -> SampleHits:
    """One cell of all, for each sample."""
    stream = Stream(plan.seed, pattern, _UPSET)
    total = sum(_cells(plan, site) for site in sites)
    cells = np.empty(len(samples), np.int64)
    for index, sample in enumerate(samples):
        stream.seek(sample, OPERANDS)
        cells[index] = below(stream.words(1), total)
    return SampleHits(cells, np.ones(len(samples), np.int64))


def _draw(plan: FaultPlan, sites: Sequence[Site], stream: Stream, samples: Sequence[int]) -> List[Faults]:
    """Faults of each site, hit or not; those of adSAF's arrays are still cells, see :func:`_resolve`."""
    if isinstance(plan.model, m.GaussianNoise):
        return _noise(plan.model, sites, stream, samples)
    rate = getattr(plan.model, _rate_name(plan.model.name))
    cells = draw_hits_in_samples(stream, sum(_cells(plan, site) for site in sites), rate, samples)
    return _split(plan, sites, cells, stream, samples)


@lru_cache(maxsize=64)
def _rate_name(model: str) -> str:
    return m.rate_name(m.MODELS[model])


def _split(
    plan: FaultPlan, sites: Sequence[Site], hits: SampleHits, stream: Stream, samples: Sequence[int]
) -> List[Faults]:
    """Share out the cells of a row among the sites, and let each site's make its faults."""
    operands = _operands(plan, hits, stream, samples)
    if len(sites) == len(samples) == 1:
        return [_faults(plan, sites[0], hits.cells, np.zeros(1, np.int64), hits.counts, operands)]
    offsets = np.concatenate([[0], np.cumsum([_cells(plan, site) for site in sites])])
    ends = np.cumsum(hits.counts)
    # Where each site begins in each sample: shape (samples, sites + 1).
    borders = np.empty((len(samples), len(offsets)), np.int64)
    inner = offsets.astype(hits.cells.dtype)
    for sample, (end, count) in enumerate(zip(ends.tolist(), hits.counts.tolist())):
        borders[sample] = hits.cells[end - count : end].searchsorted(inner) + (end - count)
    # From sample after sample to site after site, in one go.
    counts = np.diff(borders, axis=1).T
    order = _ranges(borders[:, :-1].T.reshape(-1), counts.reshape(-1))
    cells = hits.cells.take(order)
    operands = None if operands is None else operands.take(order)
    places = np.arange(len(samples))
    drawn, begin = [], 0
    for index, site in enumerate(sites):
        here = slice(begin, begin + int(counts[index].sum()))
        begin = here.stop
        cells[here] -= inner[index]
        drawn.append(
            _faults(plan, site, cells[here], places, counts[index], None if operands is None else operands[here])
        )
    return drawn


def _ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """All numbers from each start on, as many as its length says, one range after another."""
    ends = lengths.cumsum()
    numbers: NDArray[np.int64] = np.arange(ends[-1])
    numbers += np.repeat(starts - ends + lengths, lengths)
    return numbers


def _operands(plan: FaultPlan, hits: SampleHits, stream: Stream, samples: Sequence[int]) -> Optional[NDArray[Any]]:
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


# ------------------------------------------------------------------------------------------- what hits make of values


def _faults(
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
        operands: see :func:`_operands`.
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
        positive = np.int16(_FULL_SCALE)
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
        largest = _FULL_SCALE if site.signed else 255
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


def _noise(model: m.GaussianNoise, sites: Sequence[Site], stream: Stream, samples: Sequence[int]) -> List[Faults]:
    factor = round(model.sigma * _FULL_SCALE * NORMAL_ONE)
    half, shift = NORMAL_ONE**2 // 2, 2 * (NORMAL_ONE.bit_length() - 1)
    total = sum(site.size for site in sites)
    steps = np.empty((len(samples), total), np.int16)
    for row, sample in zip(steps, samples):
        row[:] = (normals(stream, total, sample).astype(np.int64) * factor + half) >> shift
    drawn, begin = [], 0
    for site in sites:
        part = steps[:, begin : begin + site.size].reshape(-1)
        elements = np.flatnonzero(part)
        drawn.append(Faults(site.name, Effect.ADD, elements, part[elements]))
        begin += site.size
    return drawn


def _resolve(model: m.StuckCells, site: Site, cells: Faults, content: NDArray[np.uint8]) -> Faults:
    """What weights read as when some cells of their two arrays are stuck; those that read as before are left out."""
    stuck, ones = (cells.operands >> 16).astype(np.uint16), cells.operands.astype(np.uint16)
    stored = content.take(cells.elements)
    weights = stored.view(np.int8).astype(np.int16)
    arrays = [np.maximum(weights, 0), np.maximum(-weights, 0)]
    if model.variant == "all":
        numbers = content.view(np.int8)
        largest = max(int(numbers.max(initial=0)), -int(numbers.min(initial=0)))
        # By the two bits of a cell, stuck or not and at what: the share of the weight that stays, and what is added.
        kept, added = np.array([1, 1, 0, 0], np.int16), np.array([0, 0, 0, largest], np.int16)
        for place, array in enumerate(arrays):
            state = (stuck >> place & 1) << 1 | ones >> place & 1
            array *= kept.take(state)
            array += added.take(state)
    else:
        full = (1 << _MAGNITUDE_BITS) - 1
        for place, array in enumerate(arrays):
            here = (stuck >> (place * _MAGNITUDE_BITS) & full).astype(np.int16)
            on = (ones >> (place * _MAGNITUDE_BITS) & full).astype(np.int16)
            # -128 has no magnitude of seven bits and reads as -127.
            array[:] = np.minimum(array, full) & ~here | on
    read = np.clip(arrays[0] - arrays[1], -_FULL_SCALE, _FULL_SCALE).astype(np.int8).view(np.uint8)
    changed = read != stored
    return Faults(site.name, Effect.SET, cells.elements[changed], read[changed])


def _drift(
    model: m.ConductanceDrift, site: Site, content: NDArray[np.uint8], seed: int, pattern: int, sample: int
) -> Faults:
    numbers = normals(Stream(seed, pattern, site.name), site.size, sample)
    weights = content.view(np.int8).astype(np.int64)
    factors = _fading(model.t, model.nu, model.sd)
    kinds, place = np.unique(numbers, return_inverse=True)
    factor = np.array([factors(int(kind)) for kind in kinds], np.int64)[place]
    magnitude = (np.abs(weights) * factor + _DRIFT_ONE // 2) // _DRIFT_ONE
    read = (np.sign(weights) * magnitude).astype(np.int8).view(np.uint8)
    elements = np.flatnonzero(read != content)
    return Faults(site.name, Effect.SET, elements, read[elements])


@lru_cache(maxsize=8)
def _fading(t: float, nu: float, sd: float) -> Any:
    """What is left of a weight whose exponent lies `number` deviations from the mean, in fixed point."""
    known: Dict[int, int] = {}

    def factor(number: int) -> int:
        if number not in known:
            # Infinity times log(1) would be no number.
            exponent = min(max(0.0, nu + sd * number / NORMAL_ONE), sys.float_info.max)
            known[number] = round(math.exp(-exponent * math.log(t)) * _DRIFT_ONE)
        return known[number]

    return factor


def _repeated(faults: Faults, site: Site, samples: int) -> Faults:
    """The same faults in every sample of a batch."""
    shift = np.arange(samples, dtype=np.int64) * site.size
    elements = (shift[:, None] + faults.elements).reshape(-1)
    return Faults(faults.site, faults.effect, elements, np.tile(faults.operands, samples))
