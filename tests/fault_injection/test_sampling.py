"""Which bits are hit: the distribution, and that it is the same draw everywhere. All seeds are fixed."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import List

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fault_injection import sampling
from fault_injection.models import IndependentBitFlips
from fault_injection.sampling import BitFlips, draw_bit_flips, draw_hits, generator

GOLDEN_BIT = [[99, 1], [253, 6], [389, 7], [459, 1], [555, 4], [867, 6], [884, 7], [930, 4], [934, 2]]
GOLDEN_VALUE = [[27, 3], [29, 2], [52, 5], [124, 5], [167, 4], [276, 2], [495, 0], [786, 7], [797, 4]]
GOLDEN_RARE = [139109738, 210598142, 256659663, 506413757, 529625940, 603476966, 788814324, 842332967, 971334588]

#: Of a standard normal: one honest test in 16,000 lies beyond.
FAR = 4.0


def hits(cells: int, p: float, pattern: int = 0, seed: int = 1) -> NDArray[np.int64]:
    return draw_hits(generator(seed, pattern, "w"), cells, p)[0]


def deviation(observed: NDArray[np.int64], expected: NDArray[np.float64]) -> float:
    """Pearson's chi-square as a standard normal (Wilson and Hilferty, 1931)."""
    degrees = len(observed) - 1
    statistic = float((((observed - expected) ** 2) / expected).sum())
    spread = 2 / (9 * degrees)
    return ((statistic / degrees) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)


def uniform(counts: NDArray[np.int64]) -> float:
    return deviation(counts, np.full(len(counts), counts.sum() / len(counts)))


def binomial_deviation(counts: List[int], cells: int, p: float) -> float:
    """Counts of hits against the binomial distribution, tails joined until each bin expects five."""
    logs = [
        math.lgamma(cells + 1)
        - math.lgamma(k + 1)
        - math.lgamma(cells - k + 1)
        + k * math.log(p)
        + (cells - k) * math.log1p(-p)
        for k in range(cells + 1)
    ]
    expected = np.exp(logs) * len(counts)
    observed = np.bincount(counts, minlength=cells + 1)
    edges, total = [0], 0.0
    for k, share in enumerate(expected):
        total += share
        if total >= 5 and expected[k + 1 :].sum() >= 5:
            edges.append(k + 1)
            total = 0.0
    return deviation(np.add.reduceat(observed, edges), np.add.reduceat(expected, edges))


@pytest.mark.parametrize(("cells", "p"), [(1000, 0.004), (400, 0.05), (60, 0.5), (30_000, 3e-4), (20, 0.9)])
def test_the_number_of_hits_is_binomial(cells: int, p: float) -> None:
    counts = [len(hits(cells, p, pattern)) for pattern in range(4000)]
    assert abs(binomial_deviation(counts, cells, p)) < FAR


@pytest.mark.parametrize("p", [3e-5, 1e-3, 0.02, 0.3])
def test_every_place_is_as_likely_as_any_other(p: float) -> None:
    cells, bins = 64_000, 64
    patterns = max(1, round(20_000 / (cells * p)))
    places = np.concatenate([hits(cells, p, pattern) for pattern in range(patterns)])
    assert abs(uniform(np.bincount(places * bins // cells, minlength=bins))) < FAR
    # Residues tell whether the digits of a gap are right, not only its size.
    assert abs(uniform(np.bincount(places % 61, minlength=61))) < FAR


@pytest.mark.parametrize("p", [1e-3, 0.1])
def test_gaps_are_geometric(p: float) -> None:
    gaps = np.diff(hits(round(30_000 / p), p)) - 1
    limits = np.unique([math.floor(math.log(1 - q / 24) / math.log1p(-p)) for q in range(24)])
    bins = np.searchsorted(limits, gaps, side="right") - 1
    survival = (1 - p) ** np.append(limits, np.inf)
    observed = np.bincount(bins, minlength=len(limits))
    assert abs(deviation(observed, (survival[:-1] - survival[1:]) * len(gaps))) < FAR


@pytest.mark.parametrize("per", ["bit", "value"])
def test_every_bit_is_as_likely_as_any_other(per: str) -> None:
    flips = draw_bit_flips(IndependentBitFlips(0.1, per), 3, 0, "w", 100_000)
    assert abs(uniform(np.bincount(flips.bits, minlength=8))) < FAR
    joint = np.bincount(flips.elements % 4 * 8 + flips.bits, minlength=32)
    assert abs(uniform(joint)) < FAR


def test_hits_of_neighbouring_cells_patterns_and_sites_are_independent() -> None:
    cells, p = 200_000, 0.05
    one = np.zeros(cells, bool)
    one[hits(cells, p)] = True
    others = [np.roll(one, 1), np.zeros(cells, bool), np.zeros(cells, bool), np.zeros(cells, bool)]
    others[1][hits(cells, p, pattern=1)] = True
    others[2][hits(cells, p, seed=2)] = True
    others[3][draw_hits(generator(1, 0, "v"), cells, p)[0]] = True
    for other in others:
        both = int((one & other).sum())
        assert abs(both - cells * p * p) < FAR * math.sqrt(cells * p * p)


def test_these_tests_can_fail() -> None:
    """A rate that is off by 5 %, and places that favour even cells by 5 %, are seen."""
    counts = [len(hits(1000, 0.02 * 1.05, pattern)) for pattern in range(4000)]
    assert binomial_deviation(counts, 1000, 0.02) > FAR
    places = hits(2_000_000, 0.02)
    uneven = np.where(places % 40 == 1, places - 1, places)
    assert uniform(np.bincount(uneven % 2, minlength=2)) > FAR


@pytest.mark.parametrize("p", [0.7, 0.011, 1e-3, 2e-6, 1e-9])
def test_thresholds_give_each_gap_its_exact_probability(p: float) -> None:
    tables = [[int(t) for t in table] for table in sampling._thresholds(p)]
    x, word = 1 - Fraction(p), 1 << 64

    def digit_probability(table: List[int], digit: int) -> Fraction:
        upper = table[digit] if digit < len(table) else word
        return Fraction(upper - (table[digit - 1] if digit else 0), word)

    for gap in (0, 1, 2, 37, 4095, 4096, 4097, 3 * 4096 + 5, 2 * 4096**2 + 9):
        wanted = math.exp(gap * math.log1p(-p)) * p if gap > 40 else float(x**gap * (1 - x))
        got, rest = 1.0, gap
        for table in tables:
            got *= float(digit_probability(table, rest % 4096))
            rest //= 4096
        if not rest:
            assert got == pytest.approx(wanted, rel=1e-9, abs=2**-60)


def test_nothing_and_everything() -> None:
    assert len(hits(1000, 0.0)) == len(hits(0, 0.5)) == len(hits(1000, 1e-300)) == 0
    assert hits(1000, 1.0).tolist() == list(range(1000))
    all_values = draw_bit_flips(IndependentBitFlips(1, "value"), 0, 0, "w", 500)
    assert all_values.elements.tolist() == list(range(500))
    assert len(hits(10**6, 5e-324)) == 0
    assert len(hits(10**6, 1e-9)) <= 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5000), st.floats(0, 1), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
def test_places_are_distinct_ascending_and_inside(cells: int, p: float, seed: int, pattern: int) -> None:
    places = draw_hits(generator(seed, pattern, "layer/ü"), cells, p)[0]
    assert (np.diff(places) > 0).all()
    assert not len(places) or (places[0] >= 0 and places[-1] < cells)


@pytest.mark.parametrize("p", [1e-4, 0.02, 0.6, 1.0])
def test_neither_block_size_nor_memory_size_changes_the_draw(p: float, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, extra = draw_hits(generator(5, 6, "w"), 30_000, p, extra=1)
    smaller = draw_hits(generator(5, 6, "w"), 20_000, p, extra=1)[0]
    assert np.array_equal(smaller, whole[whole < 20_000])
    monkeypatch.setattr(sampling, "_MAX_ROWS", 3 if p < 0.1 else 1000)
    again, extra_again = draw_hits(generator(5, 6, "w"), 30_000, p, extra=1)
    assert np.array_equal(whole, again)
    assert np.array_equal(extra, extra_again)


def listed(flips: BitFlips) -> List[List[int]]:
    return np.stack([flips.elements, flips.bits], axis=1).tolist()


def test_the_draw_is_the_same_on_every_machine() -> None:
    """Figures from one machine, held against all others."""
    by_bit = draw_bit_flips(IndependentBitFlips(1e-3), 7, 3, "conv/weights", 1000)
    assert listed(by_bit) == GOLDEN_BIT
    by_value = draw_bit_flips(IndependentBitFlips(5e-3, "value"), 2**64 - 1, 2**32 - 1, "größe", 1000)
    assert listed(by_value) == GOLDEN_VALUE
    rare = draw_hits(generator(0, 0, "w"), 10**9, 1e-8)[0]
    assert rare.tolist() == GOLDEN_RARE
