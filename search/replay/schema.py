"""What a recorded table may hold: its columns, and what its file says about itself.

    architecture                     text in the space's spelling, one row each
    QUANTITY[@DEVICE][@FAULT]        number in the quantity's SI unit; null: nobody recorded it
    … .low  .high                    ends of its interval
    … .samples                       observations behind it
    … .unavailable                   why there is none, although somebody tried
    failure[@DEVICE]                 "kind: message" where the architecture cannot run
    measure_s                        seconds of devices that its measurements took

Everything else is in one JSON object in the file's metadata, under the key `gauntlet`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search.conditions import canonical_condition
from search.errors import SearchError, hint
from search.objectives import Quantity

FORMAT = 1
METADATA_KEY = b"gauntlet"
ARCHITECTURE, FAILURE, MEASURE_S = "architecture", "failure", "measure_s"
#: What may stand beside a figure, behind its name and a dot.
PARTS = ("low", "high", "samples", "unavailable")
#: Figures that a search notes and no objective names.
NOTED = ("inherited_accuracy", "fine_tuned_accuracy", "trained_accuracy", "export_agreement")
_REMEDY = "see docs/replay.md for what a table holds"


class TableError(SearchError):
    """A recorded table that cannot be read, or cannot give what is asked of it."""


@dataclass(frozen=True)
class ColumnName:
    """What a column holds.

    Attributes:
        name: of the figure, canonical; "failure", "failure@DEVICE", "architecture" or "measure_s" else.
        part: one of `PARTS`, or empty for the figure itself.
        device: that it belongs to; empty for none.
        is_figure: False for the four others.
    """

    name: str
    part: str = ""
    device: str = ""
    is_figure: bool = False


@dataclass(frozen=True)
class FigureFacts:
    """What holds for all figures of a column.

    Attributes:
        origin: how the figures came about before they were recorded, for people; replayed, they are "replayed".
        confidence: of the intervals, 0-1; 0 without intervals.
        method: how the intervals were computed.
    """

    origin: str = "measured"
    confidence: float = 0.0
    method: str = ""


@dataclass(frozen=True)
class About:
    """What a table says about itself.

    Attributes:
        title: for people.
        devices: by name: what is known of each, as plain data; "description" is a line for people.
        sources: where the figures come from, a line each.
        licence: under which they may be used; may be empty.
        created: UTC, RFC 3339; may be empty.
        software_version: of what wrote the table; may be empty.
        protocol: how was measured, as plain data.
    """

    title: str
    devices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    licence: str = ""
    created: str = ""
    software_version: str = ""
    protocol: Mapping[str, Any] = field(default_factory=dict)


def figure_name(text: str) -> Quantity | str:
    """A figure's name: a quantity, or one of `NOTED`.

    Raises:
        TableError: neither; what the architecture alone tells is no column, for the space counts it.
        ObjectiveError: a quantity of a wrong form.
    """
    if text in NOTED:
        return text
    quantity = Quantity.parse(text, canonical_condition)
    if quantity.is_static:
        raise TableError(f"{text} is counted by the space, not recorded", "leave the column out")
    return quantity


def column_name(text: str) -> ColumnName:
    """Read a column's name.

    Raises:
        TableError: no column of a table.
    """
    base, dot, part = text.rpartition(".")
    if not dot or part not in PARTS:
        base, part = text, ""
    if base in (ARCHITECTURE, MEASURE_S) and not part:
        return ColumnName(base)
    kind, at, device = base.partition("@")
    if kind == FAILURE and bool(at) == bool(device) and "@" not in device and not part:
        return ColumnName(base, device=device)
    try:
        figure = figure_name(base)
    except SearchError as error:
        remedy = hint(text, (ARCHITECTURE, MEASURE_S, FAILURE), error.remedy or _REMEDY)
        raise TableError(f"column {text!r}: {error.message}", remedy) from error
    device = figure.device if isinstance(figure, Quantity) else ""
    return ColumnName(str(figure), part, device, is_figure=True)


def to_metadata(about: About, space: Mapping[str, Any], figures: Mapping[str, FigureFacts]) -> bytes:
    """The file's JSON object."""
    document = {
        "format": FORMAT,
        **vars(about),
        "space": dict(space),
        "figures": {name: vars(facts) for name, facts in figures.items()},
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


def from_metadata(content: bytes | None) -> tuple[About, Mapping[str, Any], Mapping[str, FigureFacts]]:
    """Read what `to_metadata` wrote.

    Returns:
        What the table says about itself, its space as plain data, and what holds for its figures by name.

    Raises:
        TableError: it is missing, damaged, or of a later version.
    """
    if content is None:
        raise TableError("its metadata has no key 'gauntlet': it does not say of which space it is", _REMEDY)
    try:
        document = json.loads(content)
        version = document["format"]
    except (ValueError, TypeError, KeyError) as error:
        raise TableError("the key 'gauntlet' of its metadata is no JSON object with a format", _REMEDY) from error
    if version != FORMAT:
        writer = document.get("software_version") or "another version"
        raise TableError(
            f"it is a table of format {version}, by Gauntlet {writer}; this version reads {FORMAT}",
            "read it with the version that wrote it, or record it anew",
        )
    try:
        about = About(
            title=str(document["title"]),
            devices={str(name): dict(facts) for name, facts in document.get("devices", {}).items()},
            sources=tuple(map(str, document.get("sources", ()))),
            licence=str(document.get("licence", "")),
            created=str(document.get("created", "")),
            software_version=str(document.get("software_version", "")),
            protocol=dict(document.get("protocol", {})),
        )
        figures = {
            str(figure_name(name)): FigureFacts(
                str(facts.get("origin", "measured")), float(facts.get("confidence", 0.0)), str(facts.get("method", ""))
            )
            for name, facts in document.get("figures", {}).items()
        }
        return about, dict(document["space"]), figures
    except KeyError as error:
        raise TableError(f"its metadata lacks {error}", _REMEDY) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise TableError(f"its metadata is damaged: {error}", _REMEDY) from error
