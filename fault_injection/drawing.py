"""Draw the faults of a plan: patterns of weights and of features, element by element.

Each model is a rule that says into how many **cells** a value falls (its bits, its multiply-accumulates, its memory
cells), with what probability a cell is hit, and what the hits make of it. All cells of a sample's features lie in
one row, site after site, and are drawn in one go; weights are drawn tensor by tensor, so that aiming at fewer of them
leaves the faults of the others as they are.
"""

from __future__ import annotations

from functools import lru_cache
from typing import List, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fault_injection import models as m
from fault_injection.analog import drift, noise, resolve
from fault_injection.cells import cells_of, draw_operands, faults_of
from fault_injection.errors import UnsupportedModelError
from fault_injection.plan import FaultPlan, Lifetime
from fault_injection.sampling import OPERANDS, SampleHits, Stream, below, chosen, draw_hits_in_samples, halves
from fault_injection.space import Effect, Faults, Site

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
        drawn = [drift(plan.model, site, contents[site.name], plan.seed, pattern, sample) for site in sites]
    else:
        stream = Stream(plan.seed, pattern, "")
        for site in sites:
            stream.turn_to(plan.seed, pattern, site.name)
            found = _draw(plan, [site], stream, (sample,))
            if isinstance(plan.model, m.StuckCells) and plan.model.variant != "memory":
                found = [resolve(plan.model, site, group, contents[site.name]) for group in found]
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


def _upset(plan: FaultPlan, sites: Sequence[Site], pattern: int, samples: Sequence[int]) -> SampleHits:
    """One cell of all, for each sample."""
    stream = Stream(plan.seed, pattern, _UPSET)
    total = sum(cells_of(plan, site) for site in sites)
    cells = np.empty(len(samples), np.int64)
    for index, sample in enumerate(samples):
        stream.seek(sample, OPERANDS)
        cells[index] = below(stream.words(1), total)
    return SampleHits(cells, np.ones(len(samples), np.int64))


def _draw(plan: FaultPlan, sites: Sequence[Site], stream: Stream, samples: Sequence[int]) -> List[Faults]:
    """Faults of each site, hit or not; those of adSAF's arrays are still cells, see :func:`resolve`."""
    if isinstance(plan.model, m.GaussianNoise):
        return noise(plan.model, sites, stream, samples)
    rate = getattr(plan.model, _rate_name(plan.model.name))
    cells = draw_hits_in_samples(stream, sum(cells_of(plan, site) for site in sites), rate, samples)
    return _split(plan, sites, cells, stream, samples)


@lru_cache(maxsize=64)
def _rate_name(model: str) -> str:
    return m.rate_name(m.MODELS[model])


def _split(
    plan: FaultPlan, sites: Sequence[Site], hits: SampleHits, stream: Stream, samples: Sequence[int]
) -> List[Faults]:
    """Share out the cells of a row among the sites, and let each site's make its faults."""
    operands = draw_operands(plan, hits, stream, samples)
    if len(sites) == len(samples) == 1:
        return [faults_of(plan, sites[0], hits.cells, np.zeros(1, np.int64), hits.counts, operands)]
    offsets = np.concatenate([[0], np.cumsum([cells_of(plan, site) for site in sites])])
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
            faults_of(plan, site, cells[here], places, counts[index], None if operands is None else operands[here])
        )
    return drawn


def _ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """All numbers from each start on, as many as its length says, one range after another."""
    ends = lengths.cumsum()
    numbers: NDArray[np.int64] = np.arange(ends[-1])
    numbers += np.repeat(starts - ends + lengths, lengths)
    return numbers


def _repeated(faults: Faults, site: Site, samples: int) -> Faults:
    """The same faults in every sample of a batch."""
    shift = np.arange(samples, dtype=np.int64) * site.size
    elements = (shift[:, None] + faults.elements).reshape(-1)
    return Faults(faults.site, faults.effect, elements, np.tile(faults.operands, samples))
