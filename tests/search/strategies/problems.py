"""A small discrete problem with a known front, behind the interface of a space."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from search.evaluations import Evaluation, Failure
from search.objectives import Objective
from search.spaces.base import Architecture, Decision
from search.values import Value

OBJECTIVES = (Objective.parse("accuracy"), Objective.parse("latency_s@board"))


class DigitSpace:
    """Texts of `length` digits 0-3. The larger a digit the better, the slower and the more MACs."""

    def __init__(self, length: int = 6) -> None:
        self.length = length

    def size(self) -> int:
        return 4**self.length

    def everything(self) -> list[Architecture]:
        return [Architecture("".join(digits)) for digits in itertools.product("0123", repeat=self.length)]

    def allows(self, architecture: Architecture) -> bool:
        return True

    def sample(self, rng: np.random.Generator) -> Architecture:
        return Architecture("".join(str(digit) for digit in rng.integers(0, 4, self.length)))

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        digits = list(architecture.text)
        place = int(rng.integers(self.length))
        digits[place] = str((int(digits[place]) + int(rng.integers(1, 4))) % 4)
        return Architecture("".join(digits))

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator) -> Architecture:
        pick = rng.integers(0, 2, self.length)
        return Architecture("".join((a, b)[side] for a, b, side in zip(first.text, second.text, pick, strict=True)))

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(Decision(f"digit{place}", tuple("0123")) for place in range(self.length))

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        return tuple(int(digit) for digit in architecture.text)

    def decode(self, choices: Sequence[int]) -> Architecture:
        return Architecture("".join(str(int(choice)) for choice in choices))

    def canonical(self, architecture: Architecture) -> Architecture:
        return architecture

    def parse(self, text: str) -> Architecture:
        return Architecture(text)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(f"digit{place}" for place in range(self.length))

    def features(self, architecture: Architecture) -> NDArray[np.float64]:
        return np.array(self.encode(architecture), dtype=np.float64)

    def operators(self, architecture: Architecture) -> dict[str, float]:
        return {digit: float(architecture.text.count(digit)) for digit in "0123"}

    def macs(self, architecture: Architecture) -> int:
        return 1000 * sum(int(digit) for digit in architecture.text)

    def parameters(self, architecture: Architecture) -> int:
        return 10 * len(architecture.text)

    def evaluate(self, number: int, architecture: Architecture) -> Evaluation:
        """Early digits buy more accuracy and cost no more than late ones."""
        digits = np.array([int(digit) for digit in architecture.text])
        worth = np.linspace(1.0, 0.2, self.length)
        accuracy = 1 - np.exp(-(digits * worth).sum() / self.length)
        figures = {
            "accuracy": Value(float(accuracy)),
            "latency_s@board": Value(1e-4 * float(1 + digits.sum())),
        }
        return Evaluation(
            number, architecture.text, self.macs(architecture), self.parameters(architecture), figures=figures
        )

    def failed(self, number: int, architecture: Architecture) -> Evaluation:
        failure = Failure("unsupported operation", "no kernel", step="latency_s@board")
        return Evaluation(
            number, architecture.text, self.macs(architecture), self.parameters(architecture), failure=failure
        )


Answer = Callable[[int, Architecture], Evaluation]
