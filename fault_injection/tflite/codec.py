"""FlatBuffers read and written from descriptions: dataclasses whose fields say how they lie in a table.

Generated FlatBuffers code is 20,000 lines for TFLite and packs a model slowly, because the stock builder works
backwards, byte group by byte group. Here one small reader and one small writer serve every table. The writer lays
parents first::

    | root offset | "TFL3" | vtable | table | its vectors, strings and tables, depth first … |

which FlatBuffers allows (references are unsigned and point forwards) and which makes a table one ``struct.pack``: its
form depends only on which fields are present, so it is worked out once per combination and kept.

A table that no class describes is carried as :class:`Opaque`, vtable and inline bytes as they lie. That is exact as
long as it holds no references; :mod:`fault_injection.tflite.schema` therefore describes every table that does. A
field that a description does not know is an error, never dropped.

Format: https://flatbuffers.dev/internals/
"""

import dataclasses
import functools
import struct
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Type, TypeVar

import numpy as np

R = TypeVar("R", bound="Record")

_SIZES = {"b": 1, "B": 1, "?": 1, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8}
_DTYPES = {code: np.dtype("<" + code) for code in _SIZES}
# Every byte of an honest file is reached about once. Shared references could make a small file unfold without end.
_MAX_UNFOLDING = 4
_SLACK_BYTES = 4096


class MalformedModelError(ValueError):
    """The bytes are no model, or one that this code cannot carry without loss."""


class Record:
    """Base of the described tables: dataclasses of :func:`scalar` and its siblings, in the schema's order."""


@dataclasses.dataclass(frozen=True)
class Opaque:
    """A table without references that nobody described.

    Attributes:
        type_id: its number in the union that holds it.
        vtable: the vtable, bytes as they lie.
        body: the inline part, its leading offset to the vtable included.
        phase: position modulo 8, which keeps wide fields aligned.
    """

    type_id: int
    vtable: bytes
    body: bytes
    phase: int


class _Kind(NamedTuple):
    form: str  # scalar, list, array, text, record, records, union
    code: str = ""
    default: Any = None
    record: Optional[Type[Record]] = None
    members: Mapping[int, Type[Record]] = {}
    last_member: int = 0


def _field(kind: _Kind, default: Any = None) -> Any:
    return dataclasses.field(default=default, metadata={"kind": kind})


def scalar(code: str, default: Any = 0) -> Any:
    """A number or truth value; ``code`` as in :mod:`struct`. A value equal to the default is not stored."""
    return _field(_Kind("scalar", code, default), default)


def numbers(code: str) -> Any:
    """A short vector of numbers, ``List[int]``; absent is None."""
    return _field(_Kind("list", code))


def array(code: str) -> Any:
    """A vector of numbers as a numpy array: a read-only view into the file once read; absent is None."""
    return _field(_Kind("array", code))


def text() -> Any:
    """A string; absent is None. Bytes that are not UTF-8 survive as surrogates."""
    return _field(_Kind("text"))


def record(of: Type[Record]) -> Any:
    """A table; absent is None."""
    return _field(_Kind("record", record=of))


def records(of: Type[Record]) -> Any:
    """A vector of tables; absent is None."""
    return _field(_Kind("records", record=of))


def union(members: Mapping[int, Type[Record]], last_member: int) -> Any:
    """One of several tables (two slots: type and value); absent is None.

    Args:
        members: described tables by type number.
        last_member: the highest number of the schema at hand; up to it, tables not in ``members`` are carried as
            :class:`Opaque`.
    """
    return _field(_Kind("union", members=members, last_member=last_member))


class _Entry(NamedTuple):
    name: str
    slot: int
    kind: _Kind


class _Layout(NamedTuple):
    entries: Tuple[_Entry, ...]
    slots: int


_LAYOUTS: Dict[Type[Record], _Layout] = {}


def _layout(cls: Type[Record]) -> _Layout:
    layout = _LAYOUTS.get(cls)
    if layout is None:
        entries, slot = [], 0
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            kind: _Kind = field.metadata["kind"]
            entries.append(_Entry(field.name, slot, kind))
            slot += 2 if kind.form == "union" else 1
        layout = _LAYOUTS[cls] = _Layout(tuple(entries), slot)
    return layout


# -------------------------------------------------------------------------------------------------------------- reading


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.left = _MAX_UNFOLDING * len(data) + _SLACK_BYTES

    def u32(self, at: int) -> int:
        value: int = struct.unpack_from("<I", self.data, at)[0]
        return value

    def spend(self, at: int, size: int) -> None:
        if at < 0 or at + size > len(self.data):
            raise MalformedModelError(f"a reference points outside the file: {size} bytes at {at} of {len(self.data)}")
        self.left -= size
        if self.left < 0:
            raise MalformedModelError("the file unfolds to many times its size")

    def vtable(self, at: int) -> Tuple[int, Tuple[int, ...], int]:
        """Position, field offsets and inline size of the table at ``at``."""
        self.spend(at, 4)
        start = at - struct.unpack_from("<i", self.data, at)[0]
        if start < 0:
            raise MalformedModelError(f"the vtable of the table at {at} lies before the file")
        vtable_size, size = struct.unpack_from("<HH", self.data, start)
        if vtable_size < 4 or vtable_size % 2 or size < 4:
            raise MalformedModelError(f"the table at {at} has an impossible vtable")
        self.spend(start, vtable_size)
        self.spend(at, size)
        offsets = struct.unpack_from(f"<{vtable_size // 2 - 2}H", self.data, start + 4)
        if offsets and max(offsets) >= size:
            raise MalformedModelError(f"the table at {at} has a field outside itself")
        return start, offsets, size

    def table(self, cls: Type[R], at: int) -> R:
        _, offsets, _ = self.vtable(at)
        known = len(offsets)
        layout = _layout(cls)
        if any(offsets[layout.slots :]):
            raise MalformedModelError(f"{cls.__name__} has fields of a newer schema, which would be lost")
        values: Dict[str, Any] = {}
        for name, slot, kind in layout.entries:
            if kind.form == "union":
                if slot + 1 < known and offsets[slot] and offsets[slot + 1]:
                    type_id, where = self.data[at + offsets[slot]], at + offsets[slot + 1]
                    values[name] = self.member(kind, type_id, where + self.u32(where))
            elif slot < known and offsets[slot]:
                where = at + offsets[slot]
                if kind.form == "scalar":
                    values[name] = struct.unpack_from("<" + kind.code, self.data, where)[0]
                else:
                    values[name] = self.reference(kind, where + self.u32(where))
        return cls(**values)

    def member(self, kind: _Kind, type_id: int, at: int) -> Any:
        if type_id == 0:
            return None
        if type_id in kind.members:
            return self.table(kind.members[type_id], at)
        if type_id > kind.last_member:
            raise MalformedModelError(f"union member {type_id} belongs to a newer schema (known to {kind.last_member})")
        start, offsets, size = self.vtable(at)
        return Opaque(type_id, self.data[start : start + 4 + 2 * len(offsets)], self.data[at : at + size], at % 8)

    def reference(self, kind: _Kind, at: int) -> Any:
        if kind.form == "record":
            assert kind.record is not None
            return self.table(kind.record, at)
        self.spend(at, 4)
        count, first = self.u32(at), at + 4
        if kind.form == "text":
            self.spend(first, count)
            return self.data[first : first + count].decode("utf-8", "surrogateescape")
        if kind.form == "records":
            assert kind.record is not None
            self.spend(first, 4 * count)
            positions = struct.unpack_from(f"<{count}I", self.data, first)
            return [self.table(kind.record, first + 4 * i + offset) for i, offset in enumerate(positions)]
        self.spend(first, _SIZES[kind.code] * count)
        if kind.form == "array":
            return np.frombuffer(self.data, _DTYPES[kind.code], count, first)
        return list(struct.unpack_from(f"<{count}{kind.code}", self.data, first))


def decode(data: bytes, cls: Type[R], identifier: bytes) -> R:
    """Read a file.

    Args:
        data: the file; arrays of the result are views into it.
        cls: what its root is.
        identifier: the four bytes that name the format.

    Raises:
        MalformedModelError: no file of this format, damaged, or with fields of a newer schema.
    """
    if len(data) < 8 or data[4:8] != identifier:
        raise MalformedModelError(
            f"not a {identifier.decode('ascii')} file: {len(data)} bytes, identifier {data[4:8]!r}"
        )
    reader = _Reader(data)
    try:
        return reader.table(cls, reader.u32(0))
    except struct.error as error:
        raise MalformedModelError(f"the file is cut off or damaged: {error}") from error


# -------------------------------------------------------------------------------------------------------------- writing


class _Form(NamedTuple):
    """How a table looks when a given set of its fields is present."""

    body: struct.Struct
    vtable: bytes
    order: Tuple[int, ...]  # which of the gathered values goes where
    positions: Tuple[int, ...]  # inline position of each gathered value
    phase: int  # position modulo 8


@functools.lru_cache(maxsize=4096)
def _form(slot_codes: Tuple[Tuple[int, str], ...]) -> _Form:
    """Lay out fields, widest first, so that no padding is needed but after the offset to the vtable."""
    order = sorted(range(len(slot_codes)), key=lambda i: -_SIZES[slot_codes[i][1]])
    wide = any(_SIZES[code] == 8 for _, code in slot_codes)
    positions, at = [0] * len(slot_codes), 4
    for i in order:
        positions[i] = at
        at += _SIZES[slot_codes[i][1]]
    offsets = [0] * (max((slot for slot, _ in slot_codes), default=-1) + 1)
    for (slot, _), position in zip(slot_codes, positions):
        offsets[slot] = position
    vtable = struct.pack(f"<{len(offsets) + 2}H", 4 + 2 * len(offsets), at, *offsets)
    body = struct.Struct("<i" + "".join(slot_codes[i][1] for i in order))
    # After the four bytes of the vtable's offset, eight-byte fields must lie on multiples of eight.
    return _Form(body, vtable, tuple(order), tuple(positions), 4 if wide else 0)


class _Writer:
    def __init__(self, identifier: bytes) -> None:
        self.out = bytearray(4) + identifier
        self.vtables: Dict[bytes, int] = {}

    def pad(self, phase: int, modulus: int) -> None:
        self.out += bytes((phase - len(self.out)) % modulus)

    def vtable_position(self, vtable: bytes) -> int:
        position = self.vtables.get(vtable)
        if position is None:
            self.pad(0, 2)
            position = self.vtables[vtable] = len(self.out)
            self.out += vtable
        return position

    def patch(self, where: int) -> None:
        """Let the reference at ``where`` point to the end of what is written."""
        struct.pack_into("<I", self.out, where, len(self.out) - where)

    def table(self, value: Record, where: int) -> None:
        codes: List[Tuple[int, str]] = []
        gathered: List[Any] = []
        children: List[Tuple[int, _Kind, Any]] = []  # index into gathered, kind, value
        for name, slot, kind in _layout(type(value)).entries:
            item = getattr(value, name)
            if item is None:
                continue
            if kind.form == "scalar":
                if item != kind.default:
                    codes.append((slot, kind.code))
                    gathered.append(item)
                continue
            if kind.form == "union":
                codes.append((slot, "B"))
                gathered.append(_type_id(kind, item))
                slot += 1
            children.append((len(gathered), kind, item))
            codes.append((slot, "I"))
            gathered.append(0)
        form = _form(tuple(codes))
        vtable = self.vtable_position(form.vtable)
        self.pad(form.phase, 8)
        self.patch(where)
        at = len(self.out)
        self.out += form.body.pack(at - vtable, *[gathered[i] for i in form.order])
        for index, kind, item in children:
            self.reference(kind, item, at + form.positions[index])

    def opaque(self, value: Opaque, where: int) -> None:
        vtable = self.vtable_position(value.vtable)
        self.pad(value.phase, 8)
        self.patch(where)
        self.out += struct.pack("<i", len(self.out) - vtable) + value.body[4:]

    def reference(self, kind: _Kind, value: Any, where: int) -> None:
        if isinstance(value, Opaque):
            self.opaque(value, where)
        elif kind.form in ("record", "union"):
            self.table(value, where)
        elif kind.form == "records":
            self.pad(0, 4)
            self.patch(where)
            first = len(self.out) + 4
            self.out += struct.pack("<I", len(value)) + bytes(4 * len(value))
            for i, item in enumerate(value):
                self.table(item, first + 4 * i)
        elif kind.form == "text":
            encoded = value.encode("utf-8", "surrogateescape")
            self.pad(0, 4)
            self.patch(where)
            self.out += struct.pack("<I", len(encoded)) + encoded + b"\0"
        elif kind.form == "list":
            # The elements, four bytes after the count, must lie on multiples of their size.
            self.pad(4, 8)
            self.patch(where)
            self.out += struct.pack(f"<I{len(value)}{kind.code}", len(value), *value)
        else:
            elements = np.ascontiguousarray(value, _DTYPES[kind.code])
            # TFLite asks for tensors' bytes on multiples of 16; so narrow an alignment costs nothing elsewhere.
            self.pad(12, 16)
            self.patch(where)
            self.out += struct.pack("<I", elements.size)
            self.out += elements.reshape(-1).view(np.uint8).data


def _type_id(kind: _Kind, value: Any) -> int:
    if isinstance(value, Opaque):
        return value.type_id
    for type_id, member in kind.members.items():
        if type(value) is member:
            return type_id
    raise TypeError(f"{type(value).__name__} is no member of this union")


def encode(root: Record, identifier: bytes) -> bytes:
    """Write a file; the inverse of :func:`decode`.

    Args:
        root: the root table.
        identifier: the four bytes that name the format.
    """
    writer = _Writer(identifier)
    writer.table(root, 0)
    return bytes(writer.out)
