"""What is measured, where, and under which faults."""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from search.errors import ObjectiveError, hint


class Direction(enum.StrEnum):
    """Which way is better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class _Place(enum.Enum):
    """Does a quantity belong to a device?"""

    DEVICE = "device"
    EITHER = "either"
    ARCHITECTURE = "architecture"


@dataclass(frozen=True)
class _Kind:
    direction: Direction
    unit: str
    place: _Place


_KINDS = {
    "accuracy": _Kind(Direction.MAXIMIZE, "", _Place.EITHER),
    "latency_s": _Kind(Direction.MINIMIZE, "s", _Place.DEVICE),
    "energy_j": _Kind(Direction.MINIMIZE, "J", _Place.DEVICE),
    "peak_memory_bytes": _Kind(Direction.MINIMIZE, "B", _Place.DEVICE),
    "model_bytes": _Kind(Direction.MINIMIZE, "B", _Place.ARCHITECTURE),
    "macs": _Kind(Direction.MINIMIZE, "", _Place.ARCHITECTURE),
    "parameters": _Kind(Direction.MINIMIZE, "", _Place.ARCHITECTURE),
}
#: Known before anything is trained, exported or measured: what breaks a bound on them is never asked for.
STATIC_QUANTITIES = frozenset({"macs", "parameters"})

_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FAULT = re.compile(r"[A-Za-z][A-Za-z0-9_]*\([^@]*\)")

Canonical = Callable[[str], str]


def without_spaces(fault: str) -> str:
    """The least that makes two spellings of a fault condition one."""
    return "".join(fault.split())


@dataclass(frozen=True)
class Quantity:
    """What is measured, where, and under which faults.

    Attributes:
        kind: for example "latency_s"; its unit is in its name.
        device: device id or class; empty for a quantity that belongs to no device in particular.
        fault: the fault condition in canonical form; empty for clean hardware.
    """

    kind: str
    device: str = ""
    fault: str = ""

    @classmethod
    def parse(cls, text: str, canonical: Canonical = without_spaces) -> Quantity:
        """Read `QUANTITY[@DEVICE][@FAULT]`.

        Args:
            text: the text form.
            canonical: gives two spellings of one fault condition the same text; may raise `ValueError`.

        Raises:
            ObjectiveError: not of that form, an unknown quantity, or a device or fault where none can be.
        """
        kind, *parts = (part.strip() for part in text.split("@"))
        known = _KINDS.get(kind)
        if known is None:
            raise ObjectiveError(f"{text!r}: no such quantity as {kind!r}", hint(kind, _KINDS))
        fault = parts.pop() if parts and "(" in parts[-1] else ""
        device = parts.pop() if parts else ""
        if parts or "(" in device:
            raise ObjectiveError(f"{text!r} has too many parts", "write QUANTITY, QUANTITY@DEVICE or …@DEVICE@FAULT")
        if "@" in text and not (device or fault):
            raise ObjectiveError(f"{text!r}: nothing follows '@'", "name a device or a fault, or leave '@' out")
        if device and not _DEVICE.fullmatch(device):
            remedy = "letters, digits, '.', '_' and '-'; a fault condition has parentheses"
            raise ObjectiveError(f"{text!r}: {device!r} is no device", remedy)
        if fault and not _FAULT.fullmatch(fault):
            raise ObjectiveError(f"{text!r}: {fault!r} is no fault condition", "write it like iBF(p=0.001)")
        if device and known.place is _Place.ARCHITECTURE:
            raise ObjectiveError(f"{text!r}: {kind} does not depend on a device", f"write {kind}")
        if not device and known.place is _Place.DEVICE:
            raise ObjectiveError(f"{text!r} does not say on which device", f"write {kind}@DEVICE")
        if fault and kind != "accuracy":
            remedy = f"only accuracy is measured under faults; write {text.rsplit('@', 1)[0].strip()}"
            raise ObjectiveError(f"{text!r}: {kind} is measured on clean hardware", remedy)
        try:
            return cls(kind, device, canonical(fault) if fault else "")
        except ValueError as error:
            raise ObjectiveError(f"{text!r}: {error}") from error

    @property
    def name(self) -> str:
        """The canonical text form: the key of figures everywhere."""
        return "@".join(part for part in (self.kind, self.device, self.fault) if part)

    @property
    def unit(self) -> str:
        """SI unit; empty for ratios and counts."""
        return _KINDS[self.kind].unit

    @property
    def better(self) -> Direction:
        """Which way is better."""
        return _KINDS[self.kind].direction

    @property
    def is_static(self) -> bool:
        """Known before anything is measured."""
        return self.kind in STATIC_QUANTITIES

    @property
    def is_device_cost(self) -> bool:
        """Spent by a device, so that less is better."""
        return _KINDS[self.kind].place is _Place.DEVICE

    @property
    def parts(self) -> tuple[Quantity, ...]:
        """The plain quantities that have to be known for it: itself."""
        return (self,)

    def __str__(self) -> str:
        return self.name


def undeliverable(quantities: Iterable[Quantity], available: Iterable[str]) -> list[tuple[Quantity, list[str]]]:
    """The plain quantities that nobody can deliver, each once, with the names that come nearest.

    Args:
        quantities: what objectives and bounds ask for, aggregates included.
        available: names of the figures that a table, or the devices of a lab, can give.
    """
    known = list(available)
    asked = dict.fromkeys(part for quantity in quantities for part in quantity.parts)
    return [(part, difflib.get_close_matches(part.name, known)) for part in asked if part.name not in known]
