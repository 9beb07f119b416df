"""Any protobuf message, from its descriptor: arbitrary ones, and valid ones with a few fields made wild."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

M = TypeVar("M", bound=Message)
Draw = Callable[[st.SearchStrategy[Any]], Any]

_DEEPEST = 4
#: (lowest, highest) of integers on the wire.
_BITS = {"INT32": 31, "SINT32": 31, "SFIXED32": 31, "INT64": 63, "SINT64": 63, "SFIXED64": 63}
_UNSIGNED = {"UINT32": 32, "FIXED32": 32, "UINT64": 64, "FIXED64": 64}
_TYPES = {number: name[len("TYPE_") :] for name, number in vars(FieldDescriptor).items() if name.startswith("TYPE_")}
#: What is special to paths, SQL, ids, digests, times, JSON, terminals and Unicode.
_STRANGE = ["", "\0", "../../etc/passwd", "a/b", "%", "'; DROP TABLE jobs; --", "0" * 64, "x" * 300, "x" * 70_000]
_STRANGE += ["\x1b[2J", "\U0010ffff", "\ud7ff", "2026-01-01T00:00:00Z", "9" * 18, "9" * 30, "-1", "{", "nan", "ä" * 64]
_NUMBERS = [0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, 0.5, float("nan"), float("inf"), float("-inf")]


def values(field: FieldDescriptor, known: Sequence[str], depth: int) -> st.SearchStrategy[Any]:
    """One element of a field that holds no message."""
    kind = _TYPES[field.type]
    if kind == "STRING":
        return st.one_of(st.sampled_from([*known, *_STRANGE]), st.text(max_size=20))
    if kind == "BYTES":
        return st.one_of(st.binary(max_size=40), st.just(bytes(70_000)))
    if kind == "BOOL":
        return st.booleans()
    if kind in ("DOUBLE", "FLOAT"):
        return st.sampled_from(_NUMBERS) if kind == "FLOAT" else st.one_of(st.sampled_from(_NUMBERS), st.floats())
    if kind == "ENUM":
        # Proto3's enums are open: a newer peer's value arrives as a number.
        return st.one_of(
            st.sampled_from([v.number for v in field.enum_type.values]), st.sampled_from([99, -1, 2**31 - 1])
        )
    if kind in _UNSIGNED:
        top = 2 ** _UNSIGNED[kind] - 1
        return st.one_of(st.sampled_from([0, 1, 2, 100, top]), st.integers(0, top))
    top = 2 ** _BITS[kind]
    return st.one_of(st.sampled_from([0, 1, -1, 100, top - 1, -top]), st.integers(-top, top - 1))


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _put(draw: Draw, message: Message, field: FieldDescriptor, known: Sequence[str], depth: int) -> None:
    """Set a field to something."""
    message.ClearField(field.name)
    count = draw(st.integers(0, 3)) if field.is_repeated else 1
    for _ in range(count):
        if _is_map(field):
            key = draw(values(field.message_type.fields_by_name["key"], known, depth))
            value = field.message_type.fields_by_name["value"]
            entry = getattr(message, field.name)
            if value.message_type is None:
                entry[key] = draw(values(value, known, depth))
            else:
                _fill(draw, entry[key], known, depth + 1)
        elif field.message_type is not None:
            inner = getattr(message, field.name).add() if field.is_repeated else getattr(message, field.name)
            if not field.is_repeated:
                inner.SetInParent()
            _fill(draw, inner, known, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).append(draw(values(field, known, depth)))
        else:
            setattr(message, field.name, draw(values(field, known, depth)))


def _fill(draw: Draw, message: Message, known: Sequence[str], depth: int) -> None:
    fields = list(message.DESCRIPTOR.fields)
    if not fields or depth > _DEEPEST:
        return
    for field in draw(st.lists(st.sampled_from(fields), max_size=6, unique_by=lambda f: f.number)):
        _put(draw, message, field, known, depth)


@st.composite
def messages(draw: Draw, kind: type[M], known: Sequence[str] = ()) -> M:
    """Arbitrary messages; `known` are texts that mean something to whoever gets them."""
    message = kind()
    _fill(draw, message, known, 0)
    return message


@st.composite
def near(draw: Draw, base: M, known: Sequence[str] = ()) -> M:
    """The message with one to three fields, anywhere in it, made wild."""
    message = type(base)()
    message.CopyFrom(base)
    for _ in range(draw(st.integers(1, 3))):
        at: Message = message
        depth = 0
        while True:
            field = draw(st.sampled_from(list(at.DESCRIPTOR.fields)))
            inner = field.message_type is not None and not field.is_repeated and at.HasField(field.name)
            if not (inner and field.message_type.fields and draw(st.booleans())):
                _put(draw, at, field, known, depth)
                break
            at, depth = getattr(at, field.name), depth + 1
    return message
