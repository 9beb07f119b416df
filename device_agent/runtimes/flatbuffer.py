"""Does a .tflite file hold together? For runtimes that follow its offsets without a look: they crash on a cut file.

A flatbuffer is tables that point at each other by offset (flatbuffers.dev/internals). Checked here are the parts that
every model has; what they mean is for the runtime to judge.

    file:   u32 offset of the root table | "TFL3" | …
    table:  i32 distance back to its vtable | fields
    vtable: u16 its size | u16 the table's size | u16 offset of each field
    vector: u32 length | elements
    a reference is a u32 distance forward
"""

from __future__ import annotations

import struct
from typing import Dict, Mapping, NamedTuple, Union


class One(NamedTuple):
    """A field that refers to a single table."""

    layout: Layout


#: Fields of a table by number: the element size of a vector of scalars (1 for a string), the fields of the tables in a
#: vector, or one table.
Layout = Mapping[int, Union[int, "Layout", One]]

_QUANTISATION: Layout = {0: 4, 1: 4, 2: 4, 3: 8}
_TENSOR: Layout = {0: 4, 3: 1, 4: One(_QUANTISATION)}
_OPERATOR: Layout = {1: 4, 2: 4, 4: One({})}
_TENSOR_MAP: Layout = {0: 1}
# tensorflow/compiler/mlir/lite/schema/schema.fbs
_MODEL: Layout = {
    1: {1: 1},
    2: {0: _TENSOR, 1: 4, 2: 4, 3: _OPERATOR, 4: 1},
    3: 1,
    4: {0: 1},
    6: {0: 1},
    7: {0: _TENSOR_MAP, 1: _TENSOR_MAP, 2: 1},
}


class BrokenFileError(ValueError):
    """An offset leads out of the file, or all of them to the same place."""


def check_model(data: bytes) -> None:
    """Follow the offsets of a model.

    Raises:
        BrokenFileError: one leads nowhere, or so many to the same tables that a small file unfolds without end.
    """
    try:
        _Walk(data).table(_unsigned(data, 0), _MODEL)
    except struct.error as error:
        raise BrokenFileError("an offset leads beyond the end of the file") from error


class _Walk:
    def __init__(self, data: bytes) -> None:
        self._data = data
        # A table and the reference to it take eight bytes: an honest file has far fewer, even if some are shared.
        self._left = len(data)

    def table(self, position: int, layout: Layout) -> None:
        data = self._data
        self._left -= 1
        if self._left < 0:
            raise BrokenFileError("it unfolds to many times its size")
        fields = _fields(data, position)
        for number, inner in layout.items():
            at = fields.get(number)
            if at is None:
                continue
            vector = at + _unsigned(data, at)
            if isinstance(inner, One):
                self.table(vector, inner.layout)
                continue
            length = _unsigned(data, vector)
            size = inner if isinstance(inner, int) else 4
            if vector + 4 + length * size > len(data):
                raise BrokenFileError(f"a vector of {length} elements leads beyond the end of the file")
            if not isinstance(inner, int):
                for element in range(vector + 4, vector + 4 + 4 * length, 4):
                    self.table(element + _unsigned(data, element), inner)


def _fields(data: bytes, position: int) -> Dict[int, int]:
    vtable = position - struct.unpack_from("<i", data, position)[0]
    if not 0 <= vtable < len(data):
        raise BrokenFileError("a table's description lies outside of the file")
    size, table_size = struct.unpack_from("<HH", data, vtable)
    if size < 4 or size % 2 or position + table_size > len(data):
        raise BrokenFileError("a table's description makes no sense")
    offsets = struct.unpack_from(f"<{size // 2 - 2}H", data, vtable + 4)
    if any(offset >= table_size for offset in offsets):
        raise BrokenFileError("a field lies outside of its table")
    return {number: position + offset for number, offset in enumerate(offsets) if offset}


def _unsigned(data: bytes, position: int) -> int:
    number: int = struct.unpack_from("<I", data, position)[0]
    return number
