"""Faults of analog memory: noise and drift of every value, and stuck cells of two arrays that hold one weight."""

from __future__ import annotations

import math
import sys
from functools import lru_cache
from typing import Any, Dict, List, Sequence

import numpy as np
from numpy.typing import NDArray

from fault_injection import models as m
from fault_injection.cells import MAGNITUDE_BITS
from fault_injection.sampling import NORMAL_ONE, Stream, normals
from fault_injection.space import Effect, Faults, Site

_FULL_SCALE = 127
_DRIFT_ONE = 1 << 24


def noise(model: m.GaussianNoise, sites: Sequence[Site], stream: Stream, samples: Sequence[int]) -> List[Faults]:
    """Normal noise in whole steps; values that it leaves as they are are left out."""
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


def resolve(model: m.StuckCells, site: Site, cells: Faults, content: NDArray[np.uint8]) -> Faults:
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
        full = (1 << MAGNITUDE_BITS) - 1
        for place, array in enumerate(arrays):
            here = (stuck >> (place * MAGNITUDE_BITS) & full).astype(np.int16)
            on = (ones >> (place * MAGNITUDE_BITS) & full).astype(np.int16)
            # -128 has no magnitude of seven bits and reads as -127.
            array[:] = np.minimum(array, full) & ~here | on
    read = np.clip(arrays[0] - arrays[1], -_FULL_SCALE, _FULL_SCALE).astype(np.int8).view(np.uint8)
    changed = read != stored
    return Faults(site.name, Effect.SET, cells.elements[changed], read[changed])


def drift(
    model: m.ConductanceDrift, site: Site, content: NDArray[np.uint8], seed: int, pattern: int, sample: int
) -> Faults:
    """What weights read as when their conductances have faded, each by an exponent of its own."""
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
