"""One number for several devices: the worst or the average of their costs, after Chu et al.

Each device's cost T_k is divided by a reference T0_k of the same unit, often what may be spent at most, so that slow
and fast devices, seconds and joules, can be put together:

    worst(latency_s@pi4/0.02, latency_s@pixel3/0.01)               max_k T_k / T0_k
    average(0.7*latency_s@pi4/0.02, 0.3*latency_s@pixel3/0.01)     Σ_k w_k · T_k / T0_k / Σ_k w_k

Both are at most 1 where every device keeps its reference, and `worst(…) <= 1` says just that. The two forms are those
of Chu et al., "Discovering multi-hardware mobile models via architecture search" (2021); the paper's exact
normalisation was not verified.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from search.errors import ObjectiveError, hint
from search.objectives.quantities import Canonical, Direction, Quantity, without_spaces
from search.values import Origin, Value

_WORST, _AVERAGE = "worst", "average"
_FORM = re.compile(r"(?P<kind>[^(]*)\((?P<terms>.*)\)", re.DOTALL)
#: Between terms, not inside a fault condition.
_COMMA = re.compile(r",(?![^()]*\))")
_TERM = re.compile(r"(?:(?P<weight>[^*@]*)\*)?(?P<quantity>[^*/]*)/(?P<reference>[^/]*)", re.DOTALL)
#: Ratios of such numbers neither overflow nor vanish, and whole ones up to the largest are exact.
_LEAST, _MOST = 1e-12, 1e15
#: From the most to the least trustworthy.
_TRUST = (Origin.MEASURED, Origin.REPLAYED, Origin.ESTIMATED, Origin.PREDICTED)


@dataclass(frozen=True)
class Term:
    """One device's share of an aggregate.

    Attributes:
        quantity: a cost on a device.
        reference: what counts as 1, in the quantity's unit.
        weight: of the average; 1 in the worst case.
    """

    quantity: Quantity
    reference: float
    weight: int = 1

    def __str__(self) -> str:
        weight = "" if self.weight == 1 else f"{self.weight}*"
        return f"{weight}{self.quantity}/{repr(self.reference).removesuffix('.0')}"


@dataclass(frozen=True)
class Aggregate(Quantity):
    """The worst or the average of costs on several devices; a ratio, the smaller the better.

    Attributes:
        terms: by the names of their quantities, each of which occurs once; the weights are whole numbers without a
            common divisor. So two spellings of one aggregate are equal.
    """

    terms: tuple[Term, ...] = ()

    @classmethod
    def parse(cls, text: str, canonical: Canonical = without_spaces) -> Aggregate:
        """Read `worst(QUANTITY@DEVICE/REFERENCE, …)` or `average([WEIGHT*]QUANTITY@DEVICE/REFERENCE, …)`.

        Args:
            text: the text form; references in SI units, weights are 1 where none is written.
            canonical: see `Quantity.parse`.

        Raises:
            ObjectiveError: not of that form, or of quantities that cannot be put together.
        """
        form = _FORM.fullmatch(text.strip())
        if form is None:
            raise ObjectiveError(f"{text!r} has no closing parenthesis", "write it like worst(latency_s@pi4/0.02)")
        kind = form["kind"].strip()
        if kind not in (_WORST, _AVERAGE):
            remedy = hint(kind, (_WORST, _AVERAGE), f"there are {_WORST} and {_AVERAGE}; a fault follows an '@'")
            raise ObjectiveError(f"{text!r}: no such aggregate as {kind!r}", remedy)
        terms = [_term(kind, part, canonical) for part in _COMMA.split(form["terms"])]
        names = [quantity.name for quantity, _, _ in terms]
        for name in names:
            if names.count(name) > 1:
                raise ObjectiveError(f"{text!r} names {name} twice", "leave one out")
        whole = _whole([weight for _, _, weight in terms])
        if max(whole) > _MOST:
            raise ObjectiveError(f"{text!r}: the weights have too many digits", "round them")
        made = (
            Term(quantity, reference, weight) for (quantity, reference, _), weight in zip(terms, whole, strict=True)
        )
        return cls(kind, terms=tuple(sorted(made, key=lambda term: term.quantity.name)))

    @property
    def name(self) -> str:
        """The canonical text form."""
        return f"{self.kind}({', '.join(map(str, self.terms))})"

    @property
    def unit(self) -> str:
        """None: it is a ratio."""
        return ""

    @property
    def better(self) -> Direction:
        """Less."""
        return Direction.MINIMIZE

    @property
    def is_device_cost(self) -> bool:
        """Of several devices: aggregates are not put into one another."""
        return False

    @property
    def parts(self) -> tuple[Quantity, ...]:
        """What has to be measured, in the order of `terms`."""
        return tuple(term.quantity for term in self.terms)

    def combined(self, values: Sequence[float]) -> float:
        """The aggregate of costs in SI units, in the order of `parts`."""
        ratios = [value / term.reference for value, term in zip(values, self.terms, strict=True)]
        return max(ratios) if self.kind == _WORST else self._weighted(ratios)

    def of(self, figures: Mapping[str, Value]) -> Value:
        """The aggregate of measured figures.

        The interval of the worst case reaches from the highest lower end to the highest upper end: it holds the truth
        whenever the parts' intervals do. That of the average comes from the parts' half-widths, taken as independent,
        below and above apart. A part without an interval is taken as exact; without any there is none.

        Args:
            figures: by name.

        Returns:
            A figure of the least trustworthy origin among the parts; a missing one if one of them is missing.
        """
        values = [figures.get(part.name) or Value.missing("not measured") for part in self.parts]
        origin = max((value.origin for value in values), key=_TRUST.index)
        for part, value in zip(self.parts, values, strict=True):
            if value.value is None:
                return Value.missing(f"{part}: {value.unavailable}", origin)
        points = [value.value or 0.0 for value in values]
        found = self.combined(points)
        samples = min(value.samples for value in values)
        confidences = [value.confidence for value in values if value.low is not None]
        if not confidences:
            return Value(found, samples=samples, origin=origin)
        lows = [value.low if value.low is not None else point for value, point in zip(values, points, strict=True)]
        highs = [value.high if value.high is not None else point for value, point in zip(values, points, strict=True)]
        if self.kind == _WORST:
            low, high, method = self.combined(lows), self.combined(highs), "highest ends of the parts' intervals"
        else:
            low, high = found - self._spread(points, lows), found + self._spread(points, highs)
            method = "independent half-widths of the parts"
        return Value(found, low, high, min(confidences), method, samples, origin)

    def _weighted(self, ratios: Sequence[float]) -> float:
        weights = [term.weight for term in self.terms]
        return sum(weight * ratio for weight, ratio in zip(weights, ratios, strict=True)) / sum(weights)

    def _spread(self, points: Sequence[float], ends: Sequence[float]) -> float:
        total = sum(term.weight for term in self.terms)
        distances = zip(self.terms, points, ends, strict=True)
        return math.hypot(*(term.weight * (end - point) / term.reference for term, point, end in distances)) / total


def parse_quantity(text: str, canonical: Canonical = without_spaces) -> Quantity:
    """Read a quantity or an aggregate: the latter has its parenthesis before the first '@'.

    Raises:
        ObjectiveError: see `Quantity.parse` and `Aggregate.parse`.
    """
    kind = Aggregate if "(" in text.partition("@")[0] else Quantity
    return kind.parse(text, canonical)


def derived(figures: Mapping[str, Value], quantities: Iterable[Quantity]) -> dict[str, Value]:
    """The aggregates among `quantities`, by name, from plain figures by name; see `Aggregate.of`."""
    return {quantity.name: quantity.of(figures) for quantity in quantities if isinstance(quantity, Aggregate)}


def _term(kind: str, text: str, canonical: Canonical) -> tuple[Quantity, float, Fraction]:
    form = _TERM.fullmatch(text.strip())
    if form is None:
        raise ObjectiveError(
            f"{text.strip()!r} in {kind}(…) has no reference",
            "write QUANTITY@DEVICE/REFERENCE, for example latency_s@pi4/0.02",
        )
    if form["weight"] is not None and kind == _WORST:
        raise ObjectiveError(f"{text.strip()!r}: the worst case has no weights", "give it a smaller reference instead")
    quantity = Quantity.parse(form["quantity"].strip(), canonical)
    if not quantity.is_device_cost:
        remedy = "its terms are latency_s, energy_j and peak_memory_bytes, each on a device"
        raise ObjectiveError(f"{quantity} is no cost of a device: {kind}(…) cannot hold it", remedy)
    reference = _positive(form["reference"], text, f"in {quantity.unit}")
    weight = _positive(form["weight"] or "1", text, "like 0.3")
    # The shortest text of a float is what was written: 0.7 and 0.3 are 7 to 3, to the digit.
    return quantity, reference, Fraction(repr(weight))


def _positive(text: str, term: str, remark: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not _LEAST <= number <= _MOST:
        raise ObjectiveError(
            f"{term.strip()!r}: {text.strip()!r} is no number between {_LEAST:g} and {_MOST:g}",
            f"write a plain number, {remark}",
        )
    return number


def _whole(weights: Sequence[Fraction]) -> list[int]:
    """Whole numbers in the same proportions, the smallest there are."""
    scale = math.lcm(*(weight.denominator for weight in weights))
    numbers = [int(weight * scale) for weight in weights]
    common = math.gcd(*numbers)
    return [number // common for number in numbers]
