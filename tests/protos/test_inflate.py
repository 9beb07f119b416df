"""What is unpacked stays within bounds."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.inflate import InflateError, inflate


@given(st.binary(max_size=2000))
def test_what_was_packed_comes_out(content: bytes) -> None:
    assert inflate(zlib.compress(content), len(content)) == content


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(noise: bytes) -> None:
    try:
        expected = zlib.decompress(noise)
    except zlib.error:
        with pytest.raises(InflateError):
            inflate(noise, 10_000)
    else:
        assert inflate(noise, 10_000) == expected


def test_a_bomb_takes_no_more_memory_than_is_allowed() -> None:
    bomb = zlib.compress(bytes(200_000_000), 9)
    assert len(bomb) < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(InflateError, match="more than 1000000 bytes"):
            inflate(bomb, 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("change", [lambda packed: packed[:-1], lambda packed: packed + b"x"], ids=["cut", "longer"])
def test_what_does_not_end_where_it_should_is_refused(change: object) -> None:
    with pytest.raises(InflateError, match="cut off, or something follows"):
        inflate(change(zlib.compress(b"content")), 100)  # type: ignore[operator]
