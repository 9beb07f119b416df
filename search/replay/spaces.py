"""A space as plain data in a table's metadata, with the keys of a campaign file and what its data set decides there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from search.replay.schema import TableError
from search.spaces.base import Space, SpaceError
from search.spaces.ftt import FttSpace
from search.spaces.mobile import MobileSpace
from search.spaces.nb201 import Nb201Space
from search.spaces.quantized import QuantizedSpace

_KINDS: Mapping[str, type[MobileSpace] | type[Nb201Space] | type[FttSpace]] = {
    "mobile": MobileSpace,
    "nb201": Nb201Space,
    "ftt": FttSpace,
}
#: Any of them, with the choice of how its networks are stored.
_QUANTIZED = "quantized"


def document_of(space: Space) -> dict[str, Any]:
    """Plain data from which `space_of` makes the space again; of a space of your own, its name only."""
    if isinstance(space, QuantizedSpace):
        stored = {"precisions": space.precisions, "per": space.per, "clips": space.clips}
        return {"kind": _QUANTIZED, "name": space.name, "inner": document_of(space.inner), **stored}
    for kind, type_ in _KINDS.items():
        if isinstance(space, type_):
            return {"kind": kind, "name": space.name, **dataclasses.asdict(space)}
    return {"kind": "other", "name": space.name}


def space_of(document: Mapping[str, Any]) -> Space:
    """The space that a table is of.

    Raises:
        TableError: settings that make no space, or a space of somebody's own.
    """
    settings = {key: value for key, value in document.items() if key not in ("kind", "name")}
    kind = str(document.get("kind"))
    if kind == _QUANTIZED:
        inner = document.get("inner")
        settings["inner"] = space_of(inner if isinstance(inner, Mapping) else {})
    elif kind not in _KINDS:
        raise TableError(
            f"its space {document.get('name', kind)!r} cannot be made from the table alone",
            f"use it in a campaign of that space; there are {', '.join(_KINDS)}",
        )
    make: Callable[..., Space] = QuantizedSpace if kind == _QUANTIZED else _KINDS[kind]
    try:
        return make(**{key: _fixed(value) for key, value in settings.items()})
    except (SpaceError, TypeError, ValueError) as error:
        raise TableError(f"its space {kind!r} has settings that make none: {error}", "record the table anew") from error


def _fixed(value: Any) -> Any:
    """Lists as tuples: spaces are values."""
    return tuple(map(_fixed, value)) if isinstance(value, list) else value
