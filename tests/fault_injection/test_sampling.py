"""Which cells are hit: the distribution, and that it is the same draw everywhere. All seeds are fixed."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction
from typing import List, Sequence, Tuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fault_injection import sampling
from fault_injection.sampling import (
    DENSE_P,
    EXTRAS,
    GAPS,
    NORMAL_ONE,
    OPERANDS,
    SampleHits,
    Stream,
    below,
    chosen,
    draw_hits,
    draw_hits_in_samples,
    halves,
    normals,
    octets,
)

#: Of a standard normal: one honest test in 16,000 lies beyond.
FAR = 4.0

GOLDEN_HITS = {
    (1000, 1e-2): (44, 157, 235, 298, 367, 544, 635, 853),
    (10**9, 1e-8): (
        103433665,
        347052261,
        428822628,
        442557496,
        662867404,
        728899810,
        733880666,
        770403997,
        784161843,
        815098602,
        932571761,
    ),
    (2**48, 3e-14): (
        7262088021441,
        30275050746949,
        35332678144401,
        36326911747239,
        47609905399273,
        111925799269178,
        114106770272961,
        117011323334675,
        158925987729999,
        182662489674254,
        215442211417646,
    ),
    (2**48, 1e-18 * 2**13): (23754779215297, 96451923620933, 113054423110033, 116316399445159, 152956896789993),
    (40, 0.3): (1, 2, 6, 7, 10, 17, 19, 26, 28, 29, 34, 35, 38, 39),
    (40, 0.5): (0, 1, 2, 3, 4, 5, 7, 12, 15, 16, 17, 18, 19, 21, 22, 23, 24, 25, 29, 31, 34, 35, 37, 38, 39),
    (40, 0.75): (
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        11,
        12,
        15,
        16,
        17,
        18,
        19,
        21,
        22,
        23,
        24,
        25,
        28,
        29,
        30,
        31,
        33,
        34,
        35,
        37,
        38,
        39,
    ),
}
GOLDEN_DIGESTS = {
    1e-06: "3bcbf76f837454f7",
    0.001: "beff19d1a11b14f6",
    0.03: "83e288692fbfb7e8",
    0.49: "861d790051724a79",
    0.5: "1d1e0b5861765ae1",
    0.51: "61f890ebc22a42e7",
    0.99: "6aa43b967fb31397",
}
GOLDEN_WORDS = [5500973216034575237, 12065819944001622360, 17095047745756223500]
GOLDEN_NORMALS = [1051, 4697, 3567, 7662, -3807, -1229]


def stream(pattern: int = 0, seed: int = 1, site: str = "w") -> Stream:
    return Stream(seed, pattern, site)


def hits(cells: int, p: float, pattern: int = 0, seed: int = 1) -> NDArray[np.int64]:
    return draw_hits(stream(pattern, seed), cells, p)


def deviation(observed: NDArray[np.int64], expected: NDArray[np.float64]) -> float:
    """Pearson's chi-square as a standard normal (Wilson and Hilferty, 1931)."""
    degrees = len(observed) - 1
    statistic = float((((observed - expected) ** 2) / expected).sum())
    spread = 2 / (9 * degrees)
    return ((statistic / degrees) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)


def uniform(counts: NDArray[np.int64]) -> float:
    return deviation(counts, np.full(len(counts), counts.sum() / len(counts)))


def binomial_deviation(counts: NDArray[np.int64], cells: int, p: float) -> float:
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


def same(one: SampleHits, other: SampleHits) -> bool:
    return one.cells.dtype == other.cells.dtype and all(map(np.array_equal, one, other))


# -------------------------------------------------------------------------------------------------------- how many


@pytest.mark.parametrize(
    ("cells", "p"),
    [(1000, 0.004), (400, 0.05), (60, 0.49), (60, DENSE_P), (60, 0.51), (30_000, 3e-4), (200, 0.99), (64, 0.75)],
)
def test_the_number_of_hits_is_binomial(cells: int, p: float) -> None:
    counts = draw_hits_in_samples(stream(), cells, p, range(4000)).counts
    assert abs(binomial_deviation(counts, cells, p)) < FAR


@pytest.mark.parametrize("p", [1e-6, 1e-5, 1e-4, 2e-4, 3e-4, 1e-3, 0.01, 0.1, 0.3, 0.499, 0.5, 0.501, 0.7, 0.9, 0.99])
def test_hits_have_the_mean_and_the_variance_of_a_binomial(p: float) -> None:
    samples = 2000
    cells = max(100, round(20 / p))
    counts = draw_hits_in_samples(stream(3), cells, p, range(samples)).counts
    variance = cells * p * (1 - p)
    fourth = variance * (1 + 3 * variance * (1 - 2 / cells))  # central moment of a binomial, at p(1-p) small
    assert abs(counts.mean() - cells * p) < FAR * math.sqrt(variance / samples)
    assert abs(counts.var(ddof=1) - variance) < FAR * math.sqrt((fourth - variance**2) / samples)


def test_counts_of_many_hits_have_the_right_mean() -> None:
    for p in (1e-3, 0.2, 0.45, 0.6):
        cells = round(2e6 / p)
        count = len(hits(cells, p, 5))
        assert abs(count - cells * p) < FAR * math.sqrt(cells * p * (1 - p))


# ----------------------------------------------------------------------------------------------------------- where


@pytest.mark.parametrize("p", [3e-5, 1e-3, 0.02, 0.3, 0.6, 0.97])
def test_every_place_is_as_likely_as_any_other(p: float) -> None:
    cells, bins = 64_000, 64
    patterns = max(1, round(20_000 / (cells * p)))
    places = draw_hits_in_samples(stream(2), cells, p, range(patterns)).cells
    scale = math.sqrt(1 - p)  # counts of a bin are binomial, not Poisson
    for counts in (np.bincount(places // (cells // bins), minlength=bins), np.bincount(places % bins, minlength=bins)):
        # Residues tell whether the digits of a gap are right, not only its size.
        mean = patterns * cells / bins * p
        assert abs(deviation(mean + (counts - mean) / scale, np.full(bins, mean))) < FAR


@pytest.mark.parametrize("p", [1e-5, 1e-3, 0.1, 0.45, 0.55, 0.9])
def test_gaps_are_geometric(p: float) -> None:
    gaps = np.diff(hits(round(30_000 / p), p)) - 1
    limits = np.unique([math.floor(math.log(1 - q / 24) / math.log1p(-p)) for q in range(24)])
    bins = np.searchsorted(limits, gaps, side="right") - 1
    survival = (1 - p) ** np.append(limits, np.inf)
    observed = np.bincount(bins, minlength=len(limits))
    assert abs(deviation(observed, (survival[:-1] - survival[1:]) * len(gaps))) < FAR


def test_digits_of_gaps_are_right_one_by_one() -> None:
    """At p = 1e-4 a gap has two digits; each against its own law, and both together."""
    p, count = 1e-4, 200_000
    gaps = np.diff(hits(round(count / p), p)) - 1
    low, high = gaps % 4096, gaps // 4096
    groups = np.arange(4096) // 128
    shares = np.bincount(groups, (1 - p) ** np.arange(4096))
    assert abs(deviation(np.bincount(groups[low]), shares / shares.sum() * len(gaps))) < FAR
    y = (1 - p) ** 4096
    law = np.append(y ** np.arange(12) * (1 - y), y**12)
    assert abs(deviation(np.bincount(np.minimum(high, 12), minlength=13), law * len(gaps))) < FAR
    joint = np.bincount(np.minimum(high, 3) * 32 + groups[low], minlength=128).reshape(4, 32)
    expected = np.outer(np.append(y ** np.arange(3) * (1 - y), y**3), shares / shares.sum()) * len(gaps)
    assert abs(deviation(joint.reshape(-1), expected.reshape(-1))) < FAR


def test_hits_of_neighbours_patterns_samples_and_sites_are_independent() -> None:
    for cells, p in ((200_000, 0.05), (50_000, 0.6)):
        draws = [
            hits(cells, p),
            hits(cells, p, pattern=1),
            hits(cells, p, seed=2),
            draw_hits(stream(site="v"), cells, p),
            draw_hits(stream(), cells, p, sample=1),
        ]
        flags = np.zeros((len(draws) + 1, cells), bool)
        for row, drawn in enumerate(draws):
            flags[row, drawn] = True
        flags[-1] = np.roll(flags[0], 1)
        for other in flags[1:]:
            both = int((flags[0] & other).sum())
            assert abs(both - cells * p * p) < FAR * math.sqrt(cells * p * p * (1 - p * p)) * (1 + p)


def test_these_tests_can_fail() -> None:
    """A rate that is off by 5 %, places that favour even cells by 5 %, and gaps cut off at a digit, are seen."""
    counts = draw_hits_in_samples(stream(), 1000, 0.02 * 1.05, range(4000)).counts
    assert binomial_deviation(counts, 1000, 0.02) > FAR
    places = hits(2_000_000, 0.02)
    uneven = np.where(places % 40 == 1, places - 1, places)
    assert uniform(np.bincount(uneven % 2, minlength=2)) > FAR


# -------------------------------------------------------------------------------------------------- exact thresholds


def powers_of(p: float, digits: int) -> List[List[Fraction]]:
    """y^d, d = 0 … 4096, of each digit: exact in the lowest, correct to 400 bits in the others."""
    y, result = 1 - Fraction(p), []
    for _ in range(digits):
        powers = [Fraction(1)]
        for _ in range(4096):
            exact = powers[-1] * y
            powers.append(Fraction(exact.numerator * (1 << 400) // exact.denominator, 1 << 400))
        result.append(powers)
        y = powers[-1]
    return result


@pytest.mark.parametrize("p", [0.4999, 0.3, 0.011, 1e-3, 2e-6, 1e-9, 1e-12, 1e-15, 1e-18])
def test_thresholds_are_those_of_exact_arithmetic(p: float) -> None:
    tables = sampling._thresholds(p)
    for place, powers in enumerate(powers_of(p, len(tables))):
        table = tables[place]
        last = place == len(tables) - 1
        assert table.thresholds.dtype == np.uint32
        # Of a digit that is not the last, given that it lies below 4096.
        rest = 1 if last else 1 - powers[4096]
        assert (np.diff(table.thresholds.astype(np.int64)) >= 0).all()
        for digit in (1, 2, 3, 37, 38, 1000, 2048, 4094, 4095):
            if digit > len(table.thresholds):
                assert last
                assert table.thresholds[-1] == 2**32 - 1
                assert powers[digit] < Fraction(1, 2**32)
                continue
            exact = (1 - powers[digit]) / rest * 2**32
            assert abs(int(table.thresholds[digit - 1]) - min(exact, 2**32 - 1)) <= 1
        if last:
            assert powers[4096] < Fraction(1, 2**64) or len(tables) == 5


@pytest.mark.parametrize("p", [0.4, 0.011, 1e-4, 1e-9])
def test_looking_up_a_digit_is_counting_thresholds(p: float) -> None:
    for table in sampling._thresholds(p):
        edges = table.thresholds[:: max(1, len(table.thresholds) // 300)].astype(np.int64)
        parts = np.concatenate([edges - 1, edges, edges + 1, [0, 1, 2**32 - 2, 2**32 - 1, 65535, 65536]])
        parts = parts.clip(0, 2**32 - 1).astype(np.uint32)
        expected = np.searchsorted(table.thresholds, parts, side="right")
        before = table.guide.copy()
        found = table.look_up(parts)
        assert found.tolist() == expected.tolist()
        found += 1  # the caller's own
        assert np.array_equal(table.guide, before)


def test_the_mean_gap_is_right() -> None:
    """Of the thresholds themselves, no sampling: the rate is off by no more than rounding to 32 bits."""
    for p in (0.499, 0.3, 0.05, 0.0107, 0.0106, 1e-3, 1e-5, 1e-8, 1e-12):
        mean = 0.0
        for place, table in enumerate(sampling._thresholds(p)):
            survival = 1 - table.thresholds.astype(np.float64) / 2**32
            mean += float(survival.sum()) * 4096**place
        assert mean == pytest.approx((1 - p) / p, rel=1e-7)


# ------------------------------------------------------------------------------------------------------ odd requests


@pytest.mark.parametrize("cells", [0, 1, 2, 63, 64, 65, 1000])
def test_nothing_and_everything(cells: int) -> None:
    assert len(hits(cells, 0.0)) == 0
    assert hits(cells, 1.0).tolist() == list(range(cells))
    for p in (1e-300, 5e-324, 1e-20):
        assert len(hits(cells, p)) == 0


@pytest.mark.parametrize("p", [0.0, 1e-3, 0.7, 1.0])
def test_no_cells_or_no_samples_have_no_hits(p: float) -> None:
    nothing = draw_hits_in_samples(stream(), 0, p, (3, 4))
    assert (nothing.cells.tolist(), nothing.counts.tolist()) == ([], [0, 0])
    nobody = draw_hits_in_samples(stream(), 100, p, ())
    assert (nobody.cells.tolist(), nobody.counts.tolist()) == ([], [])


def test_rare_hits_of_huge_memories() -> None:
    cells = 2**48
    for p in (1e-14, 1e-15):
        drawn = draw_hits_in_samples(stream(), cells, p, range(3000))
        assert drawn.cells.dtype == np.int64
        assert abs(drawn.counts.sum() - 3000 * cells * p) < FAR * math.sqrt(3000 * cells * p)
        bins = np.bincount((drawn.cells >> 44).astype(np.int64), minlength=16)
        assert abs(uniform(bins)) < FAR
        assert abs(uniform(np.bincount(drawn.cells & 15, minlength=16))) < FAR
    # 2.8e-4 hits in each: about one in all.
    assert draw_hits_in_samples(stream(), cells, 1e-18, range(4000)).counts.sum() <= 7
    assert draw_hits_in_samples(stream(), cells, 1e-20, range(4000)).counts.sum() == 0
    assert len(hits(2**40, 1e-7)) == pytest.approx(2**40 * 1e-7, rel=0.02)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5000), st.floats(0, 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_places_are_distinct_ascending_and_inside(cells: int, p: float, seed: int, pattern: int) -> None:
    places = draw_hits(Stream(seed, pattern, "layer/ü\udc80"), cells, p, sample=seed)
    assert (np.diff(places) > 0).all()
    assert not len(places) or (places[0] >= 0 and places[-1] < cells)


# ------------------------------------------------------------------------------------------------- the same whatever


@pytest.mark.parametrize("p", [1e-7, 1e-4, 0.02, 0.3, 0.49, 0.5, 0.6, 1.0])
@pytest.mark.parametrize(("rows", "block", "margin"), [(2, 1, 6), (8, 64, 6), (1 << 18, 1 << 15, -1), (3, 1 << 15, 0)])
def test_sizes_of_blocks_do_not_change_the_draw(
    p: float, rows: int, block: int, margin: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = round(min(3000, 30_000 * p) / p)
    whole = draw_hits_in_samples(stream(), cells, p, range(5))
    going_on: List[int] = []
    draw_on = sampling._draw_on

    def noted(*given: object) -> NDArray[np.int64]:
        going_on.append(1)
        return draw_on(*given)  # type: ignore[arg-type]

    def few(cells: int, p: float, digits: int) -> int:
        expected = cells * p
        size = min(max(2, int(expected + margin * math.sqrt(expected))), rows)
        return size + size % 2 if digits % 2 else size

    monkeypatch.setattr(sampling, "_BLOCK_ROWS", block)
    monkeypatch.setattr(sampling, "_rows", few)
    monkeypatch.setattr(sampling, "_draw_on", noted)
    assert same(draw_hits_in_samples(stream(), cells, p, range(5)), whole)
    if p < DENSE_P and cells * p > 100 and (rows < 10 or margin < 0):
        assert len(going_on) >= 2


@pytest.mark.parametrize("p", [1e-4, 0.02, 0.49])
def test_the_largest_block_does_not_change_the_draw(p: float, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw_hits_in_samples(stream(), 30_000, p, range(4))
    for rows in (1, 2, 5, 100):
        monkeypatch.setattr(sampling, "_MAX_ROWS", rows)
        assert same(draw_hits_in_samples(stream(), 30_000, p, range(4)), whole)


@pytest.mark.parametrize("p", [1e-4, 0.02, 0.49])
def test_a_smaller_memory_has_the_first_of_the_hits(p: float) -> None:
    """So the end of the memory is no place like another for gaps: they are cut, not drawn again."""
    whole = hits(30_000, p)
    assert np.array_equal(hits(20_000, p), whole[whole < 20_000])
    last = int(whole[-1])
    assert np.array_equal(hits(last + 1, p), whole)
    assert np.array_equal(hits(last, p), whole[:-1])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=8),
    st.sampled_from([1e-3, 0.05, 0.4, 0.5, 0.8, 1.0]),
    st.integers(1, 600),
)
def test_a_sample_gets_its_hits_whatever_else_is_drawn(samples: List[int], p: float, cells: int) -> None:
    together = draw_hits_in_samples(stream(), cells, p, samples)
    used = stream()
    ends = np.cumsum(together.counts)
    for sample, part in enumerate(np.split(together.cells, ends[:-1])):
        assert part.tolist() == draw_hits(used, cells, p, samples[sample]).tolist()
    assert ends[-1] == len(together.cells)


def test_many_samples_come_in_blocks_and_are_the_same() -> None:
    samples = [7 * n for n in range(300)]
    whole = draw_hits_in_samples(stream(), 9000, 0.1, samples)
    parts = [draw_hits_in_samples(stream(), 9000, 0.1, samples[i : i + 37]) for i in range(0, 300, 37)]
    assert np.array_equal(whole.cells, np.concatenate([part.cells for part in parts]))
    assert np.array_equal(whole.counts, np.concatenate([part.counts for part in parts]))


def test_a_stream_can_be_read_again_and_in_parts() -> None:
    one = stream()
    one.seek(5, GAPS)
    whole = one.words(10).tolist()
    assert len(set(whole)) == 10
    one.seek(5, GAPS)
    assert one.words(3).tolist() + one.words(7).tolist() == whole
    others: List[Tuple[int, int]] = [(5, OPERANDS), (5, EXTRAS), (6, GAPS), (2**64 - 1, GAPS)]
    seen = set(whole)
    for sample, lane in others:
        one.seek(sample, lane)
        words = one.words(10).tolist()
        assert not seen & set(words)
        seen |= set(words)


@pytest.mark.parametrize("other", [Stream(2, 0, "w"), Stream(1, 1, "w"), Stream(1, 0, "v"), Stream(1, 0, "w\0")])
def test_whatever_tells_draws_apart_gives_other_words(other: Stream) -> None:
    one = stream()
    one.seek(0, GAPS)
    other.seek(0, GAPS)
    assert not set(one.words(50).tolist()) & set(other.words(50).tolist())


# --------------------------------------------------------------------------------------------------- parts of words


def test_words_fall_apart_alike_on_machines_of_either_byte_order() -> None:
    words = np.array([0x0102030405060708, 0xF1F2F3F4F5F6F7F8], np.uint64)
    for given_words in (words, words.astype(">u8"), words.astype("<u8")):
        assert halves(given_words).tolist() == [0x05060708, 0x01020304, 0xF5F6F7F8, 0xF1F2F3F4]
        assert octets(given_words).tolist() == [8, 7, 6, 5, 4, 3, 2, 1, 0xF8, 0xF7, 0xF6, 0xF5, 0xF4, 0xF3, 0xF2, 0xF1]
    assert halves(words.reshape(2, 1)).shape == (2, 2)


def test_chosen_is_true_with_its_probability() -> None:
    edges = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], np.uint32)
    assert chosen(edges, 0.0).tolist() == [False] * 6
    assert chosen(edges, 1.0).tolist() == [True] * 6
    assert chosen(edges, 0.5).tolist() == [True, True, True, False, False, False]
    assert chosen(edges, 1 - 2**-32).tolist() == [True] * 5 + [False]
    assert chosen(edges, 2**-32).tolist() == [True] + [False] * 5
    assert chosen(edges.reshape(2, 3), 2**-40).shape == (2, 3)
    one = stream()
    one.seek(0, EXTRAS)
    parts = halves(one.words(100_000))
    for p in (0.001, 0.163, 0.9):
        assert abs(int(chosen(parts, p).sum()) - 200_000 * p) < FAR * math.sqrt(200_000 * p * (1 - p))


def test_below_is_uniform() -> None:
    one = stream()
    one.seek(0, EXTRAS)
    words = one.words(12_000)
    for limit in (1, 3, 7, 60):
        numbers = [below(words[i : i + 1], limit) for i in range(len(words))]
        assert 0 <= min(numbers) <= max(numbers) == limit - 1
        if limit > 1:
            assert abs(uniform(np.bincount(numbers, minlength=limit))) < FAR
    assert below(np.array([2**64 - 1], np.uint64), 2**48) == 2**48 - 1
    assert below(np.array([0], np.uint64), 2**48) == 0
    assert below(np.array([2**63], np.uint64), 2**48) == 2**47


# --------------------------------------------------------------------------------------------------------- normals


def test_the_table_of_normals_is_symmetric_and_standard() -> None:
    table = sampling._normal_table()
    assert len(table) == 1 << 16
    assert np.array_equal(table, -table[::-1])
    assert (np.diff(table) >= 0).all()
    numbers = table / NORMAL_ONE
    assert numbers.max() < 4.4
    assert (numbers**2).mean() == pytest.approx(1, abs=2e-4)
    assert (numbers**4).mean() == pytest.approx(3, abs=5e-3)
    share = [(numbers < limit).mean() for limit in (-2, -1, 0, 1, 2)]
    assert share == pytest.approx([0.0227501, 0.1586553, 0.5, 0.8413447, 0.9772499], abs=1e-4)


def test_no_normal_lies_so_near_to_a_border_that_machines_could_differ() -> None:
    """Quantiles come from float logarithms, which differ in the last place between machines."""
    inverse = sampling.NormalDist().inv_cdf
    scaled = np.array([inverse((i + 0.5) / (1 << 16)) * NORMAL_ONE for i in range(1 << 15, 1 << 16)])
    assert np.abs(scaled - np.floor(scaled) - 0.5).min() > 1e-6


def test_normals_have_their_moments_and_do_not_depend_on_the_count() -> None:
    numbers = normals(stream(), 400_000) / NORMAL_ONE
    assert abs(numbers.mean()) < FAR / math.sqrt(len(numbers))
    assert abs(numbers.var() - 1) < FAR * math.sqrt(2 / len(numbers))
    assert abs((numbers[:-1] * numbers[1:]).mean()) < FAR / math.sqrt(len(numbers))
    whole = normals(stream(), 11, sample=4)
    for count in range(11):
        assert np.array_equal(normals(stream(), count, sample=4), whole[:count])


# ---------------------------------------------------------------------------------------------------------- golden


def golden_digest(p: float) -> str:
    drawn = draw_hits_in_samples(Stream(7, 3, "conv/größe"), max(1000, round(300 / p)), p, (0, 1, 2**63))
    content = drawn.counts.astype("<i8").tobytes() + drawn.cells.astype("<i8").tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


@pytest.mark.parametrize(("request_", "cells"), list(GOLDEN_HITS.items()))
def test_the_draw_is_the_same_on_every_machine(request_: Tuple[int, float], cells: Sequence[int]) -> None:
    """Figures from one machine, held against all others. Whoever changes them needs another domain of keys."""
    assert draw_hits(Stream(2**64 - 1, 2**64 - 1, "w"), *request_, sample=9).tolist() == list(cells)


@pytest.mark.parametrize(("p", "digest"), list(GOLDEN_DIGESTS.items()))
def test_longer_draws_are_the_same_on_every_machine(p: float, digest: str) -> None:
    assert golden_digest(p) == digest


def test_words_and_normals_are_the_same_on_every_machine() -> None:
    one = Stream(1, 2, "w")
    one.seek(3, EXTRAS)
    assert one.words(3).tolist() == GOLDEN_WORDS
    assert normals(one, 6, sample=3).tolist() == GOLDEN_NORMALS
