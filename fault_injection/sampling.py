"""Which cells are hit: sparse, seeded, and the same on every machine, Python and NumPy.

Random words come from Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), a
counter-based generator. Its key is made of the seed and whatever tells one draw from another (the number of the
pattern, a tensor's name); its counter starts at (sample, lane). So it makes no difference which tensors are drawn, in
what order, in what batches, or how a campaign is cut into jobs. NumPy guarantees the raw stream of its bit generators
(NEP 19).

Libraries draw binomial counts and geometric gaps with floating-point logarithms, which differ in the last place between
machines and now and then give another fault. Here everything is integers. With x = 1 - p, the gap G >= 0 before a hit
has P(G >= g) = x^g, and its digits in a base B are **independent**:

    G = g0 + B g1 + B² g2 + …      P(gk = d) ∝ y^d with y = x^(B^k), d = 0 … B-1

because x^G is the product of x^(gk B^k). Each digit is half a random word, looked up among thresholds that are computed
once for each p, in fixed point. Every cell is thus hit independently with probability p, up to 2^-32 for each digit;
the number of hits is binomial and their places are distinct without rejection, at a cost that grows with the hits.

From one hit in two on, asking each cell costs less than gaps do: 64 cells at once are compared with p, bit by bit
from the top, and words leave as soon as all their cells have differed from it (about eight words of randomness for 64
cells, whatever p is).
"""

from __future__ import annotations

import hashlib
import math
import struct
from bisect import bisect_left
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import Any, List, NamedTuple, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

#: Part of every key: another way to draw must get another domain.
_DOMAIN = b"gauntlet faults 2\0"

#: From this probability on, cells are asked one by one.
DENSE_P = 0.5

_BASE_BITS = 12
_BASE = 1 << _BASE_BITS
# Gaps of 2^60 and more lie beyond any memory.
_MAX_DIGITS = 5
_FRACTION_BITS = 256
_ONE = 1 << _FRACTION_BITS
_DIGIT_BITS = 32
_LARGEST_WORD = (1 << _DIGIT_BITS) - 1
_GUIDE_BITS = 16
_HALVES = np.dtype([("lower", "<u2"), ("upper", "<u2")])
_SEVERAL = np.int32(-(1 << 30))
_LEAST_P = 2.0**-60
_MAX_ROWS = 1 << 18
_BLOCK_ROWS = 1 << 15
_INT32_CELLS = 1 << 30
_LANES = 64
_DENSE_BITS = 64

_NORMAL_BITS = 16
#: Fixed point of :func:`normals`.
NORMAL_ONE = 1 << 12

#: Lanes of a stream: what the words are for.
GAPS, OPERANDS, EXTRAS = range(3)


class Stream:
    """Random words that belong to a key; for each sample and lane a sequence of their own.

    Args:
        seed: root of all patterns, 0 to 2^64 - 1.
        pattern: its number, 0 to 2^64 - 1.
        site: name of a tensor, or of what else is drawn for.
    """

    def __init__(self, seed: int, pattern: int, site: str) -> None:
        self._philox = np.random.Philox(key=0)
        # Setting the state costs an eighth of making a generator.
        self._state: Any = self._philox.state
        self._counter: NDArray[np.uint64] = self._state["state"]["counter"]
        self.turn_to(seed, pattern, site)

    def turn_to(self, seed: int, pattern: int, site: str) -> None:
        """Become the stream of another key, at its beginning: cheaper than a new one. Arguments as for the class."""
        text = _DOMAIN + struct.pack("<QQ", seed, pattern) + site.encode("utf-8", "surrogateescape")
        self._state["state"]["key"] = np.frombuffer(hashlib.sha256(text).digest()[:16], "<u8").astype(np.uint64)
        self.seek(0, GAPS)

    def seek(self, sample: int, lane: int) -> None:
        """Go to the beginning of a sequence.

        Args:
            sample: 0 to 2^64 - 1.
            lane: one of GAPS, OPERANDS, EXTRAS.
        """
        self._counter[2], self._counter[3] = lane, sample
        self._philox.state = self._state

    def words(self, count: int) -> NDArray[np.uint64]:
        """The next `count` words, shape (count,)."""
        return self._philox.random_raw(count)


def halves(words: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Each word as two, the lower first: shape (..., 2n)."""
    return _little(words).view("<u4")


def octets(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Each word as eight bytes, the lowest first: shape (..., 8n)."""
    return _little(words).view(np.uint8)


def _little(words: NDArray[np.uint64]) -> NDArray[Any]:
    return words.astype("<u8", copy=False)


def draw_hits(stream: Stream, cells: int, p: float, sample: int = 0) -> NDArray[np.int64]:
    """Hit each of `cells` cells independently with probability p.

    Args:
        stream: where randomness comes from; its lane GAPS is used up.
        cells: how many there are, 0 to 2^48.
        p: 0-1.
        sample: see :meth:`Stream.seek`.

    Returns:
        The cells that are hit, ascending, shape (n,).
    """
    return draw_hits_in_samples(stream, cells, p, (sample,)).cells.astype(np.int64)


class SampleHits(NamedTuple):
    """Hits of several samples, one after another.

    Attributes:
        cells: ascending within a sample, shape (n,), int32 or int64.
        counts: how many of them belong to each sample, shape (samples,).
    """

    cells: NDArray[Any]
    counts: NDArray[np.int64]


def draw_hits_in_samples(stream: Stream, cells: int, p: float, samples: Sequence[int]) -> SampleHits:
    """Hit each cell of each sample independently with probability p; see :func:`draw_hits`.

    What a sample gets does not depend on the others.
    """
    dtype = np.int32 if cells < _INT32_CELLS else np.int64
    if not cells or not len(samples) or p < _LEAST_P:
        return SampleHits(np.empty(0, dtype), np.zeros(len(samples), np.int64))
    if p >= DENSE_P:
        dense = []
        for sample in samples:
            stream.seek(sample, GAPS)
            dense.append(_draw_dense(stream, cells, p).astype(dtype))
        return SampleHits(np.concatenate(dense), np.array([len(hits) for hits in dense], np.int64))
    tables = _thresholds(p)
    if len(samples) == 1:
        stream.seek(samples[0], GAPS)
        hits = _draw_on(stream, cells, p, tables)
        return SampleHits(hits.astype(dtype), np.array([len(hits)], np.int64))
    # The sizes of blocks decide how often more is drawn and what the caches hold, never what is drawn.
    rows = _rows(cells, p, len(tables))
    together = max(1, _BLOCK_ROWS // rows)
    found: List[NDArray[Any]] = []
    counts = np.empty(len(samples), np.int64)
    for first in range(0, len(samples), together):
        part = samples[first : first + together]
        words = np.empty((len(part), rows * len(tables) // 2), np.uint64)
        for block, sample in zip(words, part):
            stream.seek(sample, GAPS)
            block[:] = stream.words(len(block))
        gaps = _gaps(words, tables, cells).reshape(len(part), rows)
        gaps[:, 0] -= 1  # the first is counted from -1
        places = np.cumsum(gaps, axis=1, dtype=np.int64)
        for index, (row, sample) in enumerate(zip(places, part), first):
            hits = row[: int(row.searchsorted(cells))]
            if len(hits) == rows:
                stream.seek(sample, GAPS)
                hits = _draw_on(stream, cells, p, tables)
            found.append(hits)
            counts[index] = len(hits)
    return SampleHits(np.concatenate(found, dtype=dtype, casting="same_kind"), counts)


def _rows(cells: int, p: float, digits: int) -> int:
    expected = cells * p
    rows = min(int(expected + 6 * math.sqrt(expected)) + 8, _MAX_ROWS)
    # A row's digits must fill whole words.
    return rows + rows % 2 if digits % 2 else rows


def _draw_on(stream: Stream, cells: int, p: float, tables: Tuple[_Digit, ...]) -> NDArray[np.int64]:
    """All hits of one sample, block after block until the cells end."""
    found: List[NDArray[np.int64]] = []
    last = -1
    while last < cells - 1:
        words = stream.words(_rows(cells - 1 - last, p, len(tables)) * len(tables) // 2)
        places = np.cumsum(_gaps(words, tables, cells), dtype=np.int64)
        places += last
        found.append(places[: int(places.searchsorted(cells))])
        last = int(places[-1])
    return found[0] if len(found) == 1 else np.concatenate(found)


def _gaps(words: NDArray[np.uint64], tables: Tuple[_Digit, ...], cells: int) -> NDArray[Any]:
    """Distance of each hit from the one before, from -1 at the beginning; one after another, shape (rows,).

    One beyond the end is as good as any other beyond it, and sums stay small.
    """
    parts = halves(words).reshape(-1)
    places = len(tables)
    gaps: NDArray[Any] = tables[0].look_up(parts[0::places])
    if places == 2:
        higher = tables[1].look_up(parts[1::2])
        higher <<= np.int32(_BASE_BITS)
        gaps += higher
    elif places > 2:
        gaps = gaps.astype(np.int64)
        for place in range(1, places):
            gaps += tables[place].look_up(parts[place::places]).astype(np.int64) << (_BASE_BITS * place)
        np.minimum(gaps, cells, out=gaps)
    gaps += 1
    return gaps


class _Digit(NamedTuple):
    """One digit of a gap.

    Attributes:
        thresholds: half-words at which it becomes 1, 2, …, ascending.
        guide: the digit by the upper half of a half-word, where that decides (Chen and Asau, 1974); ~d where it is
            d or d + 1; else less than any of these.
    """

    thresholds: NDArray[np.uint32]
    guide: NDArray[np.int32]

    def look_up(self, parts: NDArray[np.uint32]) -> NDArray[np.int32]:
        """The digit of each half-word, an array of its own."""
        digits = self.guide.take(parts.astype("<u4", copy=False).view(_HALVES)["upper"])
        left = np.flatnonzero(digits < 0)
        if len(left):
            known = ~digits.take(left)
            wanted = parts.take(left)
            # What is beyond all thresholds is compared with the last, which decides nothing then.
            several = known >= len(self.thresholds)
            known += wanted >= self.thresholds.take(known, mode="clip")
            if several.any():
                known[several] = self.thresholds.searchsorted(wanted[several], side="right")
            digits[left] = known
        return digits


@lru_cache(maxsize=64)
def _thresholds(p: float) -> Tuple[_Digit, ...]:
    """The digits of a gap, lowest first.

    The last digit is the one beyond which gaps have a probability below 2^-64; it knows no upper end but that.
    """
    digits: List[_Digit] = []
    power = _ONE - _round(Fraction(p) * _ONE)
    while power and len(digits) < _MAX_DIGITS:
        powers = [power]
        while len(powers) < _BASE:
            powers.append(powers[-1] * power >> _FRACTION_BITS)
        beyond = powers[-1]
        if beyond >> (_FRACTION_BITS - 64) and len(digits) < _MAX_DIGITS - 1:
            rest = _ONE - beyond
            words = [(_ONE - y << _DIGIT_BITS) // rest for y in powers[:-1]]
            power = beyond
        else:
            words = [(_ONE - y) >> (_FRACTION_BITS - _DIGIT_BITS) for y in powers]
            # The largest word stands for the first digit that it reaches, not for the end of the table: now and then
            # that would leave out millions of cells.
            words = words[: bisect_left(words, _LARGEST_WORD) + 1]
            power = 0
        digits.append(_digit(np.array([min(word, _LARGEST_WORD) for word in words], np.uint32)))
    return tuple(digits)


def _digit(thresholds: NDArray[np.uint32]) -> _Digit:
    first = np.arange(1 << _GUIDE_BITS, dtype=np.uint32) << np.uint32(_DIGIT_BITS - _GUIDE_BITS)
    last = first | np.uint32((1 << (_DIGIT_BITS - _GUIDE_BITS)) - 1)
    low, high = thresholds.searchsorted(first, side="right"), thresholds.searchsorted(last, side="right")
    undecided = np.where(high - low == 1, ~low, _SEVERAL)
    return _Digit(thresholds, np.where(low == high, low, undecided).astype(np.int32))


def _round(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def _draw_dense(stream: Stream, cells: int, p: float) -> NDArray[np.int64]:
    """Compare 64 cells' random fractions with p at once, a binary place at a time."""
    if p == 1:
        return np.arange(cells, dtype=np.int64)
    places = _round(Fraction(p) * (1 << _DENSE_BITS))
    size = -(-cells // _LANES)
    hit = np.zeros(size, np.uint64)
    active = np.arange(size)
    equal = np.full(size, ~np.uint64(0))  # cells whose fractions have agreed with p so far
    for place in range(_DENSE_BITS - 1, -1, -1):
        words = stream.words(len(active))
        if places >> place & 1:
            hit[active] |= equal & ~words  # 0 where p has 1: below p
            equal &= words
        else:
            equal &= ~words
        open_ = equal != 0
        if not open_.all():
            active, equal = active[open_], equal[open_]
            if not len(active):
                break
    flags = np.unpackbits(octets(hit), bitorder="little")[:cells]
    return np.flatnonzero(flags)


def chosen(parts: NDArray[np.uint32], p: float) -> NDArray[np.bool_]:
    """True with probability p, for each half-word on its own (up to 2^-32)."""
    threshold = _share(p)
    if threshold > _LARGEST_WORD:
        return np.ones(parts.shape, bool)
    return parts < np.uint32(threshold)


@lru_cache(maxsize=64)
def _share(p: float) -> int:
    return _round(Fraction(p) * (1 << _DIGIT_BITS))


def below(words: NDArray[np.uint64], limit: int) -> int:
    """A number from 0 to `limit` - 1 out of the first word, each as likely as the others (up to 2^-64 `limit`)."""
    return int(words[0]) * limit >> 64


def normals(stream: Stream, count: int, sample: int = 0) -> NDArray[np.int32]:
    """Normal numbers of mean 0 and standard deviation 1, as multiples of 1 / `NORMAL_ONE`.

    Quantiles of 65,536 equal shares, each at its middle; so no number lies beyond ±4.33.
    """
    stream.seek(sample, OPERANDS)
    parts = _little(stream.words(-(-count // 4))).view("<u2")[:count]
    return _normal_table().take(parts)


@lru_cache(maxsize=1)
def _normal_table() -> NDArray[np.int32]:
    shares = 1 << _NORMAL_BITS
    upper = [round(NormalDist().inv_cdf((i + 0.5) / shares) * NORMAL_ONE) for i in range(shares // 2, shares)]
    # Symmetric to the bit, so that the mean is exactly 0.
    return np.array([-number for number in reversed(upper)] + upper, np.int32)
