"""One number to make as large as possible, for methods that know a single objective.

            the cheaper below T0          at T0     the dearer above T0
mnasnet     rises slowly                  acc       falls slowly           acc · (T/T0)^β
  … hard    acc                           acc       falls as 1/T           acc · min(1, T0/T)
tunas       falls                         acc       falls                  acc + β · |T/T0 − 1|
ftt         -- no cost --                                                  (1 − α) · clean + α · faulty
single      -- one objective, turned so that more is better --
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.errors import ObjectiveError, hint
from search.evaluations import Evaluation
from search.objectives import Aggregate, Canonical, Direction, Objective, Quantity, parse_quantity, without_spaces


class Reward(ABC):
    """What a candidate is worth; figures are taken by the names of `quantities`, aggregates included."""

    @property
    @abstractmethod
    def quantities(self) -> tuple[Quantity, ...]:
        """What has to be known."""

    def __call__(self, evaluation: Evaluation) -> float | None:
        """The reward, more is better; None for a candidate that failed or lacks a figure."""
        found = [evaluation.value(quantity.name).value for quantity in self.quantities]
        known = [value for value in found if value is not None]
        return self._of(*known) if evaluation.failure is None and len(known) == len(found) else None

    def feasible(self, evaluation: Evaluation) -> bool:
        """Whether there is a reward, and the cost keeps its target where the reward has one."""
        return self(evaluation) is not None

    @abstractmethod
    def _of(self, *values: float) -> float | None:
        """The reward of the quantities' values, in their order."""


@dataclass(frozen=True)
class _Targeted(Reward):
    """Accuracy against one cost.

    Attributes:
        accuracy: a quantity to make large.
        cost: one to make small.
        target: T0, what the cost may be, in its unit; positive.
    """

    accuracy: Quantity
    cost: Quantity
    target: float

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return self.accuracy, self.cost

    def feasible(self, evaluation: Evaluation) -> bool:
        cost = evaluation.value(self.cost.name).value
        return super().feasible(evaluation) and cost is not None and cost <= self.target


@dataclass(frozen=True)
class MnasNet(_Targeted):
    """`acc · (T/T0)^w`, Tan et al. 2019, equations 2 and 3.

    With one exponent, the soft form, T0 is but a constant factor: the best candidate is the same for every target, and
    may be far from each.

    Attributes:
        below: w where the cost keeps its target; 0 in the hard form. Not positive.
        above: w where it does not; −1 in the hard form. Not positive.
    """

    below: float = -0.07
    above: float = -0.07

    def _of(self, *values: float) -> float | None:
        accuracy, cost = values
        if cost <= 0:
            # No negative power of it is finite, and nothing that was measured costs nothing.
            return None
        return accuracy * math.pow(cost / self.target, self.below if cost <= self.target else self.above)


@dataclass(frozen=True)
class TuNas(_Targeted):
    """`acc + β · |T/T0 − 1|`, Bender et al. 2020: too fast is as bad as too slow, so that the target is met.

    Attributes:
        beta: how much a cost off its target counts; not positive.
    """

    beta: float = -0.10

    def _of(self, *values: float) -> float:
        accuracy, cost = values
        return accuracy + self.beta * abs(cost / self.target - 1)


@dataclass(frozen=True)
class FttNas(Reward):
    """`(1 − α) · clean + α · faulty`, Ning et al. (FTT-NAS).

    Attributes:
        clean: accuracy on clean hardware.
        faulty: accuracy under a fault condition.
        alpha: what faults count, 0-1.
    """

    clean: Quantity
    faulty: Quantity
    alpha: float

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The two accuracies."""
        return self.clean, self.faulty

    def _of(self, *values: float) -> float:
        clean, faulty = values
        return (1 - self.alpha) * clean + self.alpha * faulty


@dataclass(frozen=True)
class Single(Reward):
    """One objective, turned so that more is better."""

    objective: Objective

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The objective's."""
        return (self.objective.quantity,)

    def _of(self, *values: float) -> float:
        return -self.objective.cost(*values)


_KEYS = {
    "mnasnet": ("accuracy", "cost", "target", "beta", "hard"),
    "tunas": ("accuracy", "cost", "target", "beta"),
    "ftt": ("clean", "faulty", "alpha"),
    "single": ("objective",),
}


def parse_reward(document: Mapping[str, Any], canonical: Canonical = without_spaces) -> Reward:
    """Read a reward from plain data.

        {kind: mnasnet, cost: latency_s@pi4, target: 0.01}       accuracy, beta: -0.07 and hard: false go without saying
        {kind: tunas, cost: "worst(latency_s@a/0.02, …)"}        an aggregate's target is 1; beta: -0.1
        {kind: ftt, faulty: accuracy@iBF(p=0.001), alpha: 0.5}   clean: accuracy
        {kind: single, objective: latency_s@pi4}

    Args:
        document: its keys and values.
        canonical: see `Quantity.parse`.

    Raises:
        ObjectiveError: it names the key that is wrong, and the one that comes near.
    """
    keys = _Keys(document, canonical)
    if keys.kind == "single":
        quantity = keys.quantity("objective")
        return Single(Objective(quantity, quantity.better))
    if keys.kind == "ftt":
        clean = keys.quantity("clean", Direction.MAXIMIZE, "accuracy")
        faulty = keys.quantity("faulty", Direction.MAXIMIZE)
        if not faulty.fault:
            raise ObjectiveError(f"reward.faulty: {faulty} is under no faults", "write accuracy@iBF(p=0.001)")
        return FttNas(clean, faulty, keys.number("alpha", 0, 1))
    accuracy = keys.quantity("accuracy", Direction.MAXIMIZE, "accuracy")
    cost = keys.quantity("cost", Direction.MINIMIZE)
    target = keys.number("target", 1e-12, 1e15, 1.0 if isinstance(cost, Aggregate) else None)
    if keys.kind == "tunas":
        return TuNas(accuracy, cost, target, keys.number("beta", -100, 0, TuNas.beta))
    if not keys.truth("hard"):
        beta = keys.number("beta", -100, 0, MnasNet.above)
        return MnasNet(accuracy, cost, target, beta, beta)
    if "beta" in document:
        raise ObjectiveError("reward.beta has no part in the hard form", "leave out beta, or hard")
    return MnasNet(accuracy, cost, target, 0.0, -1.0)


class _Keys:
    """Plain data of one kind of reward, read key by key."""

    def __init__(self, document: Mapping[str, Any], canonical: Canonical) -> None:
        self._document = document
        self._canonical = canonical
        if "kind" not in document:
            raise ObjectiveError("reward.kind is missing", f"there are {', '.join(_KEYS)}")
        self.kind = str(document["kind"])
        if self.kind not in _KEYS:
            raise ObjectiveError(f"reward.kind: there is no {self.kind!r}", hint(self.kind, _KEYS))
        for key in document:
            if key not in ("kind", *_KEYS[self.kind]):
                known = _KEYS[self.kind]
                raise ObjectiveError(f"there is no key reward.{key} of {self.kind}", hint(str(key), known))

    def quantity(self, key: str, direction: Direction | None = None, default: str | None = None) -> Quantity:
        text = self._get(key, default)
        if not isinstance(text, str):
            raise ObjectiveError(f"reward.{key}: {text!r} is no quantity", "write it like latency_s@pi4")
        try:
            quantity = parse_quantity(text, self._canonical)
        except ObjectiveError as error:
            raise ObjectiveError(f"reward.{key}: {error.message}", error.remedy) from error
        if direction not in (None, quantity.better):
            wanted = "an accuracy" if direction is Direction.MAXIMIZE else "a cost, like latency_s@pi4"
            raise ObjectiveError(f"reward.{key}: {quantity} is to {quantity.better}", f"name {wanted}")
        return quantity

    def number(self, key: str, least: float, most: float, default: float | None = None) -> float:
        value = self._get(key, default)
        try:
            # YAML takes 1e-3 for a text.
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not least <= number <= most:
            message = f"reward.{key}: {value!r} is no number from {least:g} to {most:g}"
            raise ObjectiveError(message, "write a plain number, in SI units")
        return number

    def truth(self, key: str) -> bool:
        value = self._get(key, False)
        if not isinstance(value, bool):
            raise ObjectiveError(f"reward.{key}: {value!r} is neither true nor false", "write true or false")
        return value

    def _get(self, key: str, default: Any) -> Any:
        value = self._document.get(key, default)
        if value is None:
            raise ObjectiveError(f"reward.{key} is missing", f"{self.kind} needs it")
        return value
