"""What a search is after: named quantities with a direction, and bounds that must hold.

The text form is `QUANTITY[@DEVICE][@FAULT]`:

    accuracy                      on clean hardware
    accuracy@iBF(p=0.001)         under a fault condition
    latency_s@pi4                 on a device
    accuracy@pi4@iBF(p=0.001)     on a device, under a fault condition
    macs                          of the architecture alone

A fault condition is told from a device by its parentheses. What stands in them is `fault_injection`'s business: here
it is only a name, made canonical by the function that the caller gives.
"""

from __future__ import annotations

import difflib
import enum
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from search.errors import ObjectiveError
from search.values import Value


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
_BOUND = re.compile(r"(?P<name>.*?)\s*(?P<relation><=|>=|==|=|<|>)\s*(?P<bound>[^<>=]+)")

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
            near = difflib.get_close_matches(kind, _KINDS, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_KINDS)}"
            raise ObjectiveError(f"{text!r}: no such quantity as {kind!r}", hint)
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

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Objective:
    """A quantity to make as small or as large as possible.

    Attributes:
        quantity: what.
        direction: which way is better.
    """

    quantity: Quantity
    direction: Direction

    @classmethod
    def parse(cls, text: str, canonical: Canonical = without_spaces) -> Objective:
        """Read a quantity's text form; the quantity tells the direction.

        Raises:
            ObjectiveError: see `Quantity.parse`.
        """
        quantity = Quantity.parse(text, canonical)
        return cls(quantity, quantity.better)

    @property
    def name(self) -> str:
        """The quantity's canonical text form."""
        return self.quantity.name

    @property
    def unit(self) -> str:
        """SI unit; empty for ratios and counts."""
        return self.quantity.unit

    def cost(self, value: float) -> float:
        """`value` turned so that smaller is better."""
        return -value if self.direction is Direction.MAXIMIZE else value


@dataclass(frozen=True)
class Constraint:
    """A bound that must hold.

    Attributes:
        quantity: what is bounded.
        upper: True for `<=`, False for `>=`.
        bound: in the quantity's unit.
    """

    quantity: Quantity
    upper: bool
    bound: float

    @classmethod
    def parse(cls, text: str, canonical: Canonical = without_spaces) -> Constraint:
        """Read `QUANTITY <= NUMBER` or `QUANTITY >= NUMBER`, in SI units.

        Raises:
            ObjectiveError: not of that form; see also `Quantity.parse`.
        """
        # A fault condition holds '=' of its own: the relation is looked for behind the last parenthesis.
        head, parenthesis, tail = text.rpartition(")")
        match = _BOUND.fullmatch(tail.strip())
        if match is None or not (head or match["name"]):
            raise ObjectiveError(f"{text!r} is no constraint", "write it like latency_s@local <= 0.0005")
        if match["relation"] not in ("<=", ">="):
            remedy = "write <= or >=: a bound of a measured quantity is never met to the last digit"
            raise ObjectiveError(f"{text!r}: {match['relation']!r} is not supported", remedy)
        quantity = Quantity.parse(f"{head}{parenthesis}{match['name']}", canonical)
        try:
            bound = float(match["bound"])
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            unit = f", in {quantity.unit}" if quantity.unit else ""
            raise ObjectiveError(f"{text!r}: {match['bound'].strip()!r} is no number", f"write a plain number{unit}")
        return cls(quantity, match["relation"] == "<=", bound)

    @property
    def name(self) -> str:
        """The quantity's canonical text form."""
        return self.quantity.name

    def violation(self, value: float) -> float:
        """How far `value` is beyond the bound, as a share of the bound (in the unit itself where the bound is 0)."""
        beyond = value - self.bound if self.upper else self.bound - value
        return max(0.0, beyond) / (abs(self.bound) or 1.0)

    def __str__(self) -> str:
        return f"{self.name} {'<=' if self.upper else '>='} {self.bound:.12g}"


def total_violation(values: Mapping[str, Value], constraints: Iterable[Constraint]) -> float:
    """The sum of all violations: 0 for a feasible candidate (Deb et al. 2002, section VI).

    A missing figure cannot be shown to keep its bound: its violation is infinite.

    Args:
        values: figures by name.
        constraints: the bounds.
    """
    total = 0.0
    for constraint in constraints:
        known = values.get(constraint.name)
        total += math.inf if known is None or known.value is None else constraint.violation(known.value)
    return total


def check_consistent(objectives: Iterable[Objective], constraints: Iterable[Constraint]) -> None:
    """Refuse objectives that are named twice and bounds that no value can meet.

    Raises:
        ObjectiveError: it names the two.
    """
    seen: set[str] = set()
    for objective in objectives:
        if objective.name in seen:
            raise ObjectiveError(f"the objective {objective.name} is named twice", "leave one out")
        seen.add(objective.name)
    bounds = list(constraints)
    for lower in (bound for bound in bounds if not bound.upper):
        for upper in (bound for bound in bounds if bound.upper and bound.name == lower.name):
            if lower.bound > upper.bound:
                raise ObjectiveError(f"no value meets both '{lower}' and '{upper}'", "widen one of the two")
    for bound in bounds:
        least, most = (0.0, 1.0) if bound.quantity.kind == "accuracy" else (0.0, math.inf)
        if (bound.upper and bound.bound < least) or (not bound.upper and bound.bound > most):
            raise ObjectiveError(
                f"no value meets '{bound}'", f"{bound.quantity.kind} lies between {least:g} and {most:g}"
            )
