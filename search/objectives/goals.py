"""A direction for a quantity, or a bound on it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from search.errors import ObjectiveError
from search.objectives.aggregates import Aggregate, parse_quantity
from search.objectives.quantities import Canonical, Direction, Quantity, without_spaces
from search.values import Value

_BOUND = re.compile(r"(?P<name>.*?)\s*(?P<relation><=|>=|==|=|<|>)\s*(?P<bound>[^<>=]+)")
#: A bound on an aggregate and one on its part that are meant to be equal differ by this share at most.
_ROUNDING = 1e-9


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
            ObjectiveError: see `parse_quantity`.
        """
        quantity = parse_quantity(text, canonical)
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
            ObjectiveError: not of that form; see also `parse_quantity`.
        """
        # A fault condition holds '=' of its own: the relation is looked for behind the last parenthesis.
        head, parenthesis, tail = text.rpartition(")")
        match = _BOUND.fullmatch(tail.strip())
        if match is None or not (head or match["name"]):
            raise ObjectiveError(f"{text!r} is no constraint", "write it like latency_s@local <= 0.0005")
        if match["relation"] not in ("<=", ">="):
            remedy = "write <= or >=: a bound of a measured quantity is never met to the last digit"
            raise ObjectiveError(f"{text!r}: {match['relation']!r} is not supported", remedy)
        quantity = parse_quantity(f"{head}{parenthesis}{match['name']}", canonical)
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
        for upper in (bound for bound in bounds if bound.upper):
            if _least(upper.quantity, lower) > upper.bound:
                raise ObjectiveError(f"no value meets both '{lower}' and '{upper}'", "widen one of the two")
    for bound in bounds:
        least, most = (0.0, 1.0) if bound.quantity.kind == "accuracy" else (0.0, math.inf)
        if (bound.upper and bound.bound < least) or (not bound.upper and bound.bound > most):
            raise ObjectiveError(
                f"no value meets '{bound}'", f"{bound.quantity.kind} lies between {least:g} and {most:g}"
            )


def _least(quantity: Quantity, lower: Constraint) -> float:
    """The least that a quantity can be where a lower bound holds; what the bound does not concern may be anything."""
    if quantity == lower.quantity:
        return lower.bound
    if isinstance(quantity, Aggregate) and lower.quantity in quantity.parts:
        ratio = quantity.combined([lower.bound if part == lower.quantity else 0.0 for part in quantity.parts])
        return ratio * (1 - _ROUNDING)
    return -math.inf
