"""Numbers for people: one unit and one number of decimals for a whole column or axis."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from search.objectives import Aggregate, Direction, Objective, Quantity
from search.values import Origin, Value

_PREFIXES = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "J": ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ")),
    "B": ((1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB"), (1.0, "B")),
    "ratio": ((1.0, ""),),
    "": ((1e9, "billions"), (1e6, "millions"), (1e3, "thousands"), (1.0, "")),
}
_WORDS = {
    "accuracy": "Accuracy",
    "latency_s": "Latency",
    "energy_j": "Energy",
    "peak_memory_bytes": "Peak memory",
    "model_bytes": "Model size",
    "macs": "MACs",
    "parameters": "Parameters",
}
#: Devices that a heading has room for.
_NAMED = 3


@dataclass(frozen=True)
class Unit:
    """How the numbers of one quantity are shown.

    Attributes:
        factor: what one of it is in SI units.
        suffix: its sign, for example "ms"; may be empty.
        decimals: behind the point.
    """

    factor: float
    suffix: str
    decimals: int

    @classmethod
    def fitting(cls, base: str, values: Iterable[float]) -> Unit:
        """Three figures for the middle one of `values`.

        Args:
            base: "s", "J", "B", "%" for shares, "ratio", or "" for counts.
            values: in SI units.
        """
        magnitudes = sorted(abs(value) for value in values if value)
        if base == "%":
            return cls(0.01, "%", 1)
        middle = magnitudes[len(magnitudes) // 2] if magnitudes else 1.0
        prefixes = _PREFIXES[base]
        factor, suffix = next((entry for entry in prefixes if middle >= entry[0]), prefixes[-1])
        whole = base in ("", "B") and factor == 1.0
        decimals = 0 if whole else min(max(2 - math.floor(math.log10(middle / factor)), 0), 6)
        return cls(factor, suffix, decimals)

    def number(self, value: float) -> str:
        """`value` without its unit."""
        return f"{value / self.factor:,.{self.decimals}f}"

    def text(self, value: float) -> str:
        """`value` with its unit."""
        return f"{self.number(value)} {self.suffix}".strip()

    def figure(self, value: Value) -> str:
        """The value with its interval, and its origin where it was not measured; or the reason why there is none."""
        if value.value is None:
            return f"unavailable: {value.unavailable}"
        interval = ""
        if value.low is not None and value.high is not None:
            interval = f" ({self.number(value.low)} – {self.number(value.high)})"
        origin = "" if value.origin is Origin.MEASURED else f", {value.origin.value}"
        return f"{self.text(value.value)}{interval}{origin}"


def has_interval(value: Value) -> bool:
    """Whether there is an interval to show."""
    return value.low is not None and value.high is not None


def base_of(quantity: Quantity) -> str:
    """The unit that a quantity's numbers are shown in multiples of."""
    if isinstance(quantity, Aggregate):
        return "ratio"
    return "%" if quantity.kind == "accuracy" else quantity.unit


def heading(quantity: Quantity) -> str:
    """`accuracy@pi4@iBF(p=0.001)` is "Accuracy on pi4 under iBF(p=0.001)"."""
    if isinstance(quantity, Aggregate):
        kinds = {_WORDS[part.kind].lower() for part in quantity.parts}
        devices = list(dict.fromkeys(part.device for part in quantity.parts))
        over = _listed(devices) if len(devices) <= _NAMED else f"{len(devices)} devices"
        return f"{quantity.kind.capitalize()} {kinds.pop() if len(kinds) == 1 else 'cost'} over {over}"
    device = f" on {quantity.device}" if quantity.device else ""
    fault = f" under {quantity.fault}" if quantity.fault else ""
    return f"{_WORDS[quantity.kind]}{device}{fault}"


def in_sentence(quantity: Quantity) -> str:
    """The heading inside a sentence: "accuracy on pi4", but "MACs"."""
    words = heading(quantity)
    return words if words[1].isupper() else words[0].lower() + words[1:]


def chance(probability: float) -> str:
    """A probability in whole percent; nothing that was drawn looks certain."""
    return "> 99 %" if probability >= 0.995 else f"{100 * probability:.0f} %"


def spelled(quantity: Quantity) -> str:
    """Inside a sentence, with all that makes an aggregate: "worst of latency on a / 20 ms and energy on b / 1 J"."""
    if not isinstance(quantity, Aggregate):
        return in_sentence(quantity)
    total = sum(term.weight for term in quantity.terms)
    words = []
    for term in quantity.terms:
        unit = Unit.fitting(base_of(term.quantity), [term.reference])
        share = f" ({100 * term.weight / total:.3g} %)" if total > len(quantity.terms) else ""
        words.append(f"{in_sentence(term.quantity)} / {term.reference / unit.factor:.6g} {unit.suffix}{share}")
    return f"{quantity.kind} of {_listed(words)}"


def better(objective: Objective) -> str:
    """Which way is better, in two words."""
    return "higher is better" if objective.direction is Direction.MAXIMIZE else "lower is better"


def duration(seconds: float) -> str:
    """75 is "1 min 15 s", with spaces that do not break."""
    if seconds < 60:
        return f"{seconds:.1f}\u00a0s" if seconds < 10 else f"{seconds:.0f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min\u00a0{rest}\u00a0s"
    return f"{minutes // 60}\u00a0h\u00a0{minutes % 60}\u00a0min"


def count(number: int, noun: str) -> str:
    """1, "candidate" is "1 candidate"; 3 are "3 candidates"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
