"""What to protect when not all can be: bits by the harm that they save for each bit of redundancy, and range clipping.

The prediction holds for single upsets, all of which a protection corrects, and on the faults that it was chosen from;
being chosen by the same noisy figures, it promises too much. Verify it on patterns that were not used to choose it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fault_injection.vulnerability import Outcome, VulnerabilityMap, Weights

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Cost:
    """What protection costs in memory.

    Attributes:
        name: in words.
        overhead: extra bits for each protected bit, above 0.
        word_bits: protected bits are encoded in words of so many, the last one filled up; 1 unless `whole`.
        whole: protects whole tensors only; else the k most significant bits of each value, k being free.
    """

    name: str
    overhead: float
    word_bits: int = 1
    whole: bool = False

    def __post_init__(self) -> None:
        if self.overhead <= 0 or self.word_bits < 1 or (self.word_bits > 1 and not self.whole):
            raise ValueError(f"{self.name}: overhead must be above 0, and words of several bits hold whole tensors")

    def extra_bits(self, bits: int) -> float:
        """Redundancy for so many protected bits of one tensor."""
        return -(-bits // self.word_bits) * self.word_bits * self.overhead


TMR = Cost("TMR", overhead=2.0)
"""Triple modular redundancy: two copies, and a vote (Lyons and Vanderkulk, IBM J. R&D 6, 1962)."""
SEC_DED = Cost("SEC-DED(72,64)", overhead=0.125, word_bits=64, whole=True)
"""Single error correction, double error detection with 8 check bits for each 64 (Hsiao, IBM J. R&D 14, 1970)."""


@dataclass(frozen=True)
class Protection:
    """Bits whose faults are corrected before anyone reads them.

    Attributes:
        bits: for each protected site its protected bit positions, 0 being the least significant.
    """

    bits: Mapping[str, Tuple[int, ...]]

    def mask(self, site: str) -> int:
        """A value whose protected bits are one; 0 for a site without any."""
        return sum(1 << bit for bit in set(self.bits.get(site, ())))

    def keeps(self, site: str, bits: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which faults are left: those that hit no protected bit.

        Args:
            site: the tensor that they hit.
            bits: which bit each of them hits, 0-63, shape (n,).

        Returns:
            Shape (n,).
        """
        hit: NDArray[np.uint64] = np.left_shift(np.uint64(1), bits.astype(np.uint64))
        left: NDArray[np.bool_] = (hit & np.uint64(self.mask(site))) == 0
        return left

    def to_dict(self) -> Dict[str, List[int]]:
        """As plain lists, for JSON."""
        return {site: list(bits) for site, bits in self.bits.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Protection:
        """The inverse of :meth:`to_dict`.

        Raises:
            ValueError: `data` is no protection.
        """
        try:
            found = {str(site): tuple(int(bit) for bit in bits) for site, bits in data.items()}
        except (TypeError, AttributeError) as error:
            raise ValueError(f"no protection: {error}") from error
        if not all(0 <= bit < 64 for bits in found.values() for bit in bits):
            raise ValueError("no protection: bit positions lie in 0 to 63")
        return cls(found)


@dataclass(frozen=True)
class Proposal:
    """What to protect for a budget.

    Attributes:
        overhead: extra bits over the bits of the map, at most the budget.
        protection: what they protect.
        harm_left: expected harm of an upset, as a share of that without protection, 0-1.
        harm_bound: no choice within the same budget leaves less than this share; what `harm_left` exceeds it by is the
            most that this one loses to the best, in which choices of smaller budgets need not be contained.
    """

    overhead: float
    protection: Protection
    harm_left: float
    harm_bound: float


@dataclass(frozen=True)
class _Tensor:
    """Ways to protect one tensor: 0 (none) to n, each with its extra bits and the harm that it removes."""

    site: str
    bits: Tuple[Tuple[int, ...], ...]
    cost: Tuple[float, ...]
    saved: Tuple[float, ...]

    def best_step(self, level: int, top: int, most: float) -> Tuple[float, int]:
        """The densest step up from a level, in harm per extra bit, to `top` or below and for at most `most` extra bits.

        Among equals the shortest, which leaves the most choice. A density of 0 stands for none.
        """
        best, target = 0.0, level
        for higher in range(level + 1, top + 1):
            extra = self.cost[higher] - self.cost[level]
            density = (self.saved[higher] - self.saved[level]) / extra
            if extra <= most and density > best * (1 + _ROUNDING):
                best, target = density, higher
        return best, target


def propose(
    vulnerability: VulnerabilityMap,
    cost: Cost,
    budgets: Sequence[float],
    outcome: Outcome = Outcome.CRITICAL,
    weights: Optional[Weights] = None,
) -> List[Proposal]:
    """Choose what to protect, for each of some budgets; what a budget protects, every larger one protects, too.

    Greedy by expected harm removed per extra bit, a step being any number of a tensor's next bits, so that a harmless
    bit above a harmful one hides it from nobody. It follows the upper hull of each tensor's options, as the linear
    relaxation of the multiple-choice knapsack does (Sinha and Zoltners, Operations Research 27, 1979), and is the best
    choice for its cost until a step is too dear for what is left; then cheaper ones fill the rest. How much may be
    lost by that, the relaxation says (`Proposal.harm_bound`). An exact choice for each budget would not be nested;
    here each is made within that of the next larger budget.

    Args:
        vulnerability: harm of an upset in each stratum, and the bits exposed; bits that it does not list are neither
            protected nor paid for.
        cost: of protection.
        budgets: extra memory over the memory of all bits in the map, each 0 or more, in any order.
        outcome: which harm counts.
        weights: of sites, see `VulnerabilityMap.harm`.

    Returns:
        One for each budget, in the order given.
    """
    tensors = _tensors(vulnerability, cost, outcome, weights)
    exposed = sum(result.stratum.population for result in vulnerability.results)
    total = math.fsum(tensor.saved[-1] for tensor in tensors)
    levels = [len(tensor.cost) - 1 for tensor in tensors]
    found: Dict[float, Proposal] = {}
    # From the largest down: what fills the rest of a small budget would stand in the way of better choices later.
    for budget in sorted(set(budgets), reverse=True):
        if not 0 <= budget < math.inf:
            raise ValueError(f"a budget is 0 or more, not {budget}")
        limit = budget * exposed * (1 + _ROUNDING)
        levels, spent = _fill(tensors, levels, limit)
        chosen = {tensor.site: tensor.bits[level] for tensor, level in zip(tensors, levels) if level}
        saved = math.fsum(tensor.saved[level] for tensor, level in zip(tensors, levels))
        left, bound = (1 - saved / total, 1 - _relaxed(tensors, limit) / total) if total > 0 else (0.0, 0.0)
        found[budget] = Proposal(spent / exposed, Protection(chosen), max(0.0, left), max(0.0, min(left, bound)))
    return [found[budget] for budget in budgets]


def _fill(tensors: Sequence[_Tensor], tops: Sequence[int], limit: float) -> Tuple[List[int], float]:
    """Levels, none above its top, that the densest steps reach within the limit, and what they cost."""
    levels, spent = [0] * len(tensors), 0.0
    steps = [tensor.best_step(0, top, limit) for tensor, top in zip(tensors, tops)]
    while True:
        place = max(range(len(tensors)), key=lambda index: steps[index][0])
        density, target = steps[place]
        if density <= 0:
            return levels, spent
        tensor, level = tensors[place], levels[place]
        extra = tensor.cost[target] - tensor.cost[level]
        # A step that was found when more was left may have become too dear; then it is looked for again.
        if extra <= limit - spent:
            spent += extra
            levels[place] = target
        steps[place] = tensor.best_step(levels[place], tops[place], limit - spent)


def _tensors(
    vulnerability: VulnerabilityMap, cost: Cost, outcome: Outcome, weights: Optional[Weights]
) -> List[_Tensor]:
    harm = vulnerability.harm(outcome, weights)
    by_site: Dict[str, List[Tuple[int, int]]] = {}
    for result in vulnerability.results:
        by_site.setdefault(result.stratum.site, []).append((result.stratum.bit, result.stratum.population))
    tensors = []
    for site, strata in by_site.items():
        strata.sort(reverse=True)
        levels = [0, len(strata)] if cost.whole else range(len(strata) + 1)
        tensors.append(
            _Tensor(
                site,
                tuple(tuple(bit for bit, _ in strata[:level]) for level in levels),
                tuple(cost.extra_bits(sum(population for _, population in strata[:level])) for level in levels),
                tuple(math.fsum(harm[site, bit] for bit, _ in strata[:level]) for level in levels),
            )
        )
    return tensors


def _relaxed(tensors: Sequence[_Tensor], limit: float) -> float:
    """Harm removed by the linear relaxation, in which the last step may be taken in part: no choice removes more."""
    steps = []
    for tensor in tensors:
        level = 0
        while True:
            density, target = tensor.best_step(level, len(tensor.cost) - 1, math.inf)
            if density <= 0:
                break
            steps.append((density, tensor.cost[target] - tensor.cost[level]))
            level = target
    saved = 0.0
    for density, extra in sorted(steps, reverse=True):
        taken = min(extra, limit)
        saved += density * taken
        limit -= taken
    return saved


@dataclass(frozen=True)
class RangeClipping:
    """Bounds of feature maps without faults, to which values beyond are clipped (Ranger; Chen et al., DSN 2021).

    Attributes:
        bounds: lowest and highest value of each tensor, real-valued, not quantised.
    """

    bounds: Mapping[str, Tuple[float, float]]

    @classmethod
    def fit(cls, observed: Mapping[str, ArrayLike], quantiles: Tuple[float, float] = (0.0, 1.0)) -> RangeClipping:
        """Bounds from clean data, which should not be the data of the test.

        Args:
            observed: values of each tensor, of any shape, not empty.
            quantiles: shares of values at or below the bounds, 0-1; other than 0 and 1 they clip clean values, too. The
                bounds are observed values, never between two.

        Raises:
            ValueError: a tensor without values, or with NaN or infinity.
        """
        bounds = {}
        for site, values in observed.items():
            array = np.asarray(values, np.float64)
            if not array.size or not np.isfinite(array).all():
                raise ValueError(f"{site}: a range needs finite values of a run without faults")
            low = np.quantile(array, quantiles[0], method="lower")
            high = np.quantile(array, quantiles[1], method="higher")
            bounds[site] = (float(low), float(high))
        return cls(bounds)

    def union(self, other: RangeClipping) -> RangeClipping:
        """The least bounds that hold both, as for batches of the 0 and 1 quantiles."""
        bounds = dict(self.bounds)
        for site, (low, high) in other.bounds.items():
            before = bounds.get(site, (low, high))
            bounds[site] = (min(before[0], low), max(before[1], high))
        return RangeClipping(bounds)

    def to_dict(self) -> Dict[str, List[float]]:
        """As plain lists, for JSON."""
        return {site: list(pair) for site, pair in self.bounds.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RangeClipping:
        """The inverse of :meth:`to_dict`.

        Raises:
            ValueError: `data` holds no ranges.
        """
        try:
            found = {str(site): (float(low), float(high)) for site, (low, high) in data.items()}
        except (TypeError, AttributeError) as error:
            raise ValueError(f"no ranges: {error}") from error
        if not all(low <= high for low, high in found.values()):
            raise ValueError("no ranges: a low bound lies above the high one")
        return cls(found)
