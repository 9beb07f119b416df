"""Damaged files: real ones with bits flipped, offsets overwritten, pieces cut out, moved or doubled."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]
#: What sits badly as an offset, a length, a count or an index.
_WORDS = [0, 1, 2, 3, 4, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF]


@st.composite
def damaged(draw: Draw, whole: bytes) -> bytes:
    """The file with one to four injuries."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        injury = draw(st.sampled_from(["bit", "byte", "word", "point", "cut", "lose", "move", "insert"]))
        if injury == "bit":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif injury == "byte":
            data[at] = draw(st.integers(0, 255))
        elif injury in ("word", "point"):
            at = min(at & ~3, max(0, len(data) - 4))
            word = draw(st.sampled_from(_WORDS)) if injury == "word" else draw(st.integers(0, len(data)))
            data[at : at + 4] = struct.pack("<I", word)
        elif injury == "cut":
            del data[at:]
        else:
            end = min(len(data), at + draw(st.integers(1, 64)))
            piece = bytes(data[at:end])
            if injury == "lose":
                del data[at:end]
            elif injury == "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=16))
            else:
                to = draw(st.integers(0, len(data) - 1))
                data[to : to + len(piece)] = piece
    return bytes(data)
