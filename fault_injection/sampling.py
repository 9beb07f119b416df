"""Which bits are hit: sparse, seeded, and the same on every machine, Python and NumPy.

Random words come from Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), a
counter-based generator, keyed by (seed, number of the pattern, site). So it makes no difference which sites are drawn,
in what order, or how a campaign is cut into jobs. NumPy guarantees the raw stream of its bit generators (NEP 19).

Libraries draw binomial counts and geometric gaps with floating-point logarithms, which differ in the last place between
machines and now and then give another fault. Here everything is integers. With x = 1 - p, the gap G >= 0 before a hit
has P(G >= g) = x^g, and its digits in a base B are **independent**:

    G = g0 + B g1 + B² g2 + …      P(gk = d) ∝ y^d with y = x^(B^k), d = 0 … B-1

because x^G is the product of x^(gk B^k). Each digit is one 64-bit word, looked up among thresholds that are computed
once for each p, in fixed point. Every cell is thus hit independently with probability p, up to 2^-64 for each digit;
the number of hits is binomial and their places are distinct without rejection, at a cost that grows with the hits.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import List, Tuple

import numpy as np
from numpy.typing import NDArray

from fault_injection.models import IndependentBitFlips

BITS = 8
#: Part of every key: another way to draw must get another domain.
_DOMAIN = b"gauntlet faults 1\0"

_BASE_BITS = 12
_BASE = 1 << _BASE_BITS
# Gaps of 2^60 and more lie beyond any memory.
_MAX_DIGITS = 5
_FRACTION_BITS = 256
_ONE = 1 << _FRACTION_BITS
_WORD_BITS = 64
_LARGEST_WORD = (1 << _WORD_BITS) - 1
_LEAST_P = Fraction(1, 1 << 128)
_MAX_ROWS = 1 << 18

Words = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class BitFlips:
    """Bits to flip in one tensor: the truth about a pattern, of which the seed is only the recipe.

    Attributes:
        site: name of the tensor.
        elements: index of each hit value in the flattened tensor, ascending, int64, shape (n,).
        bits: which bit of it, 0 (least significant) to 7 (sign), uint8, shape (n,).
    """

    site: str
    elements: NDArray[np.int64]
    bits: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.elements)


def generator(seed: int, pattern: int, site: str) -> np.random.Philox:
    """The stream of random words that belongs to a site in a pattern.

    Args:
        seed: root of all patterns, 0 to 2^64 - 1.
        pattern: its number, 0 to 2^64 - 1.
        site: name of a tensor or layer.
    """
    key = hashlib.sha256(_DOMAIN + struct.pack("<QQ", seed, pattern) + site.encode("utf-8", "surrogateescape"))
    return np.random.Philox(key=np.frombuffer(key.digest()[:16], "<u8").astype(np.uint64))


def draw_hits(words: np.random.Philox, cells: int, p: float, extra: int = 0) -> Tuple[NDArray[np.int64], Words]:
    """Hit each of `cells` cells independently with probability p.

    A memory that is larger agrees with a smaller one on the cells that both have.

    Args:
        words: where randomness comes from; used up.
        cells: how many there are, 0 to 2^48.
        p: 0-1.
        extra: random words that each hit needs besides.

    Returns:
        The cells that are hit, ascending, shape (n,), and their extra words, shape (n, extra).
    """
    found: List[NDArray[np.int64]] = [np.empty(0, np.int64)]
    extras: List[Words] = [np.empty((0, extra), np.uint64)]
    last = -1
    if Fraction(p) >= _LEAST_P:
        tables = _thresholds(p)
        width = len(tables) + extra
        while last < cells - 1:
            # The size of a block decides how often this loop runs, never what is drawn.
            expected = (cells - 1 - last) * p
            rows = min(int(expected + 4 * math.sqrt(expected)) + 8, _MAX_ROWS)
            block = words.random_raw(rows * width).reshape(rows, width)
            gaps = np.zeros(rows, np.int64)
            for place, table in enumerate(tables):
                gaps += table.searchsorted(block[:, place], side="right").astype(np.int64) << (_BASE_BITS * place)
            # A gap beyond the end is as good as any other beyond it, and sums stay small.
            cell = last + np.cumsum(np.minimum(gaps, cells) + 1)
            inside = int(cell.searchsorted(cells))
            found.append(cell[:inside])
            extras.append(block[:inside, len(tables) :])
            last = int(cell[-1])
    return np.concatenate(found), np.concatenate(extras)


def draw_bit_flips(model: IndependentBitFlips, seed: int, pattern: int, site: str, values: int) -> BitFlips:
    """Draw the flips of one pattern in a tensor of 8-bit values.

    Args:
        model: probability and unit.
        seed: root of all patterns.
        pattern: its number.
        site: name of the tensor.
        values: size of the tensor.
    """
    words = generator(seed, pattern, site)
    if model.per == "bit":
        cells, _ = draw_hits(words, values * BITS, model.p)
        return BitFlips(site, cells // BITS, (cells % BITS).astype(np.uint8))
    hits, extra = draw_hits(words, values, model.p, extra=1)
    # The topmost three bits of a word are a number from 0 to 7.
    return BitFlips(site, hits, (extra[:, 0] >> np.uint64(_WORD_BITS - 3)).astype(np.uint8))


@lru_cache(maxsize=64)
def _thresholds(p: float) -> Tuple[Words, ...]:
    """For each digit, lowest first, the words at which it becomes 1, 2, …; empty for p = 1, where no gap is left.

    The last digit is the one beyond which gaps have a probability below 2^-64; it knows no upper end but that.
    """
    tables: List[Words] = []
    power = _ONE - _round(Fraction(p) * _ONE)
    while power and len(tables) < _MAX_DIGITS:
        powers = [power]
        while len(powers) < _BASE:
            powers.append(powers[-1] * power >> _FRACTION_BITS)
        beyond = powers[-1]
        if beyond >> (_FRACTION_BITS - _WORD_BITS) and len(tables) < _MAX_DIGITS - 1:
            rest = _ONE - beyond
            words = [(_ONE - y << _WORD_BITS) // rest for y in powers[:-1]]
            power = beyond
        else:
            words = [(_ONE - y) >> (_FRACTION_BITS - _WORD_BITS) for y in powers]
            power = 0
        tables.append(np.array([min(word, _LARGEST_WORD) for word in words], np.uint64))
    return tuple(tables)


def _round(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)
