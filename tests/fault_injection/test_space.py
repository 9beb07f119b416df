"""What faults make of values, and which of them are refused."""

from __future__ import annotations

from typing import Any, Callable, List, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fault_injection.errors import FaultError, NoSuchTargetError
from fault_injection.space import Effect, Faults, Site, apply, check, count_bits, digest, hits, part_of_batch

BYTES = np.arange(256, dtype=np.uint8)
OPERAND_TYPES = {Effect.FLIP: np.uint8, Effect.SET: np.uint8, Effect.STICK: np.uint16, Effect.ADD: np.int16}


def faults(effect: Effect, elements: Sequence[int], operands: Sequence[int], site: str = "w") -> Faults:
    return Faults(site, effect, np.array(elements, np.int64), np.array(operands, OPERAND_TYPES[effect]))


def on_all(effect: Effect, operand: int, signed: bool = True) -> List[int]:
    broken = apply(BYTES.copy(), faults(effect, range(256), [operand] * 256), signed)
    assert broken.dtype == np.uint8
    return broken.tolist()


def number(byte: int, signed: bool) -> int:
    return byte - 256 if signed and byte > 127 else byte


def sum_of(byte: int, operand: int, signed: bool) -> int:
    low, high = (-128, 127) if signed else (0, 255)
    return max(low, min(high, number(byte, signed) + operand)) & 255


@pytest.mark.parametrize("operand", [0, 1, 127, 128, 255, 0b10100101])
def test_a_flip_is_an_exclusive_or(operand: int) -> None:
    assert on_all(Effect.FLIP, operand) == [byte ^ operand for byte in range(256)]


@pytest.mark.parametrize("operand", [0, 127, 128, 255])
def test_a_set_value_reads_as_it_is_set(operand: int) -> None:
    assert on_all(Effect.SET, operand) == [operand] * 256


@pytest.mark.parametrize("mask", [0, 1, 128, 255, 0b10100101])
@pytest.mark.parametrize("ones", [0, 1, 128, 255, 0b00100101])
def test_stuck_bits_read_as_they_are_stuck_and_others_as_stored(mask: int, ones: int) -> None:
    ones &= mask
    assert on_all(Effect.STICK, mask << 8 | ones) == [byte & ~mask & 255 | ones for byte in range(256)]


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("operand", [0, 1, -1, 64, 127, 128, -128, 255, -255, 256, -256, 546, 32767, -32768])
def test_a_sum_saturates(operand: int, signed: bool) -> None:
    assert on_all(Effect.ADD, operand, signed) == [sum_of(byte, operand, signed) for byte in range(256)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(-(2**15), 2**15 - 1)), min_size=1), st.booleans())
def test_each_value_meets_its_own_operand(pairs: List[Any], signed: bool) -> None:
    values = np.array([byte for byte, _ in pairs], np.uint8)
    kept = values.copy()
    group = faults(Effect.ADD, range(len(pairs)), [operand for _, operand in pairs])
    assert apply(values, group, signed).tolist() == [sum_of(byte, operand, signed) for byte, operand in pairs]
    assert np.array_equal(values, kept)


def test_floats_flip_in_32_bits() -> None:
    words = np.array([1.0, -0.0, np.inf, 3.14], np.float32).view(np.uint32)
    masks = np.array([1 << 31, 1 << 31, 1, 0xFFFFFFFF], np.uint32)
    broken = apply(words, Faults("w", Effect.FLIP, np.arange(4), masks))
    assert broken.dtype == np.uint32
    assert broken.tolist() == [int(w) ^ int(m) for w, m in zip(words, masks)]


@pytest.mark.parametrize("effect", list(Effect))
def test_no_faults_change_nothing(effect: Effect) -> None:
    assert apply(np.empty(0, np.uint8), faults(effect, [], [])).tolist() == []


SITE = Site("w", "CONV_2D", (2, 3, 3, 4), 0)


def test_a_site_counts_its_values_and_channels() -> None:
    assert (SITE.size, SITE.channels) == (72, 2)
    assert Site("dw", "DEPTHWISE_CONV_2D", (1, 3, 3, 5), 3).channels == 5
    assert Site("f", "FULLY_CONNECTED", (10,), 0).size == 10


@pytest.mark.parametrize(
    ("elements", "batch"), [([], 1), ([0], 1), ([71], 1), ([0, 71], 1), ([0, 72, 143], 2), (range(72), 1)]
)
def test_faults_inside_are_allowed(elements: Sequence[int], batch: int) -> None:
    check([faults(Effect.FLIP, elements, [1] * len(elements))], [SITE], batch)


@pytest.mark.parametrize(
    ("elements", "batch", "message"),
    [
        ([72], 1, "a fault lies outside of 'w', which holds 72 values"),
        ([-1], 1, "a fault lies outside of 'w'"),
        ([144], 2, "a fault lies outside of 'w'"),
        ([3, 2], 1, "the faults in 'w' are not in order, or one element is hit twice"),
        ([0, 3, 3], 1, "the faults in 'w' are not in order, or one element is hit twice"),
        ([0, 99, 3], 1, "outside of 'w'"),
    ],
)
def test_faults_outside_or_out_of_order_are_refused(elements: List[int], batch: int, message: str) -> None:
    with pytest.raises(NoSuchTargetError, match=message):
        check([faults(Effect.FLIP, elements, [1] * len(elements))], [SITE], batch)


def test_disorder_is_seen_in_numbers_without_a_sign() -> None:
    group = Faults("w", Effect.SET, np.array([5, 4], np.uint64), np.zeros(2, np.uint8))
    with pytest.raises(NoSuchTargetError, match="not in order"):
        check([group], [SITE])


@pytest.mark.parametrize("elements", [[], [0]])
def test_unknown_sites_are_refused(elements: List[int]) -> None:
    with pytest.raises(NoSuchTargetError, match="the model has nothing called 'v' that could be hit"):
        check([faults(Effect.FLIP, elements, [1] * len(elements), "v")], [SITE])


@pytest.mark.parametrize("parts", [([1], []), ([1, 2], [1]), ([1], [1, 2])])
def test_each_fault_has_an_operand(parts: Any) -> None:
    with pytest.raises(FaultError, match=r"faults in 'w' have \d operands"):
        check([faults(Effect.FLIP, *parts)], [SITE])


def test_hits_count_bits_or_values() -> None:
    flips = faults(Effect.FLIP, [1, 2], [0b101, 0b1])
    stuck = faults(Effect.STICK, [1, 5], [0b111 << 8 | 0b1, 255 << 8])
    others = [faults(Effect.SET, [1, 2, 3], [0, 0, 255]), faults(Effect.ADD, [4], [-128])]
    assert [hits([group]) for group in (flips, stuck, *others)] == [3, 11, 3, 1]
    assert hits([flips, stuck, *others]) == 18
    assert hits([]) == 0
    words = Faults("w", Effect.FLIP, np.array([0, 1]), np.array([0xFFFFFFFF, 1 << 31], np.uint32))
    assert hits([words]) == 33
    assert count_bits(np.array([3, 7, 256], np.uint16)[::2]) == 3  # a view with gaps


CHANGES: List[Callable[[Faults], Faults]] = [
    lambda g: Faults("v", g.effect, g.elements, g.operands),
    lambda g: Faults(g.site, Effect.SET, g.elements, g.operands),
    lambda g: Faults(g.site, g.effect, g.elements + 1, g.operands),
    lambda g: Faults(g.site, g.effect, g.elements, g.operands ^ np.uint8(1)),
    lambda g: Faults(g.site, g.effect, g.elements[:1], g.operands[:1]),
]


def test_a_fingerprint_is_of_the_faults_not_of_their_types() -> None:
    group = faults(Effect.FLIP, [3, 70], [1, 128])
    mark = digest([group])
    assert mark == "0d452751dd423dad"
    assert mark == digest([Faults("w", Effect.FLIP, group.elements.astype(np.int32), group.operands.astype(">u4"))])
    assert mark == digest([faults(Effect.SET, [], [], "v"), group])
    marks = {mark, digest([]), digest([group, group]), *(digest([change(group)]) for change in CHANGES)}
    assert len(marks) == len(CHANGES) + 3
    assert digest([Faults("\udc80", Effect.FLIP, group.elements, group.operands)]) != mark


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 4 * 72 - 1), unique=True, max_size=20).map(sorted),
    st.integers(0, 4).flatmap(lambda start: st.tuples(st.just(start), st.integers(0, 4 - start))),
)
def test_a_part_of_a_batch_has_its_faults(elements: List[int], part: Any) -> None:
    start, count = part
    group = faults(Effect.SET, elements, [e % 256 for e in elements])
    found = part_of_batch([group], [SITE], start, count)
    wanted = [e for e in elements if start * 72 <= e < (start + count) * 72]
    assert [e for g in found for e in (g.elements + start * 72).tolist()] == wanted
    assert [o for g in found for o in g.operands.tolist()] == [e % 256 for e in wanted]
    check(found, [SITE], max(1, count))
