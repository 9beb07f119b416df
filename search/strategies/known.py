"""What is known so far, in the order of asking: the order of telling, which no seed fixes, decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.evaluations import Evaluation
from search.objectives import Constraint, Objective, total_violation
from search.pareto import Points, constrained_ranks, costs


def by_number(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """In the order of asking."""
    return sorted(evaluations, key=lambda evaluation: evaluation.number)


@dataclass(frozen=True, eq=False)
class Known:
    """The candidates that have a figure for every objective, N of them.

    Attributes:
        evaluations: in the order of asking.
        points: costs, (N, objectives).
        violations: total violation of the bounds, (N,); infinite where the figure of a bound is missing.
    """

    evaluations: tuple[Evaluation, ...]
    points: Points
    violations: NDArray[np.float64]

    @classmethod
    def of(
        cls, evaluations: Sequence[Evaluation], objectives: Sequence[Objective], constraints: Sequence[Constraint]
    ) -> Known:
        """Those among `evaluations`."""
        pairs = [(e, point) for e in by_number(evaluations) if (point := costs(e, objectives)) is not None]
        return cls(
            tuple(evaluation for evaluation, _ in pairs),
            np.array([point for _, point in pairs], dtype=np.float64).reshape(-1, len(objectives)),
            np.array([total_violation(evaluation.values, constraints) for evaluation, _ in pairs], dtype=np.float64),
        )

    @property
    def ranks(self) -> NDArray[np.int64]:
        """See `constrained_ranks`: (N,)."""
        return constrained_ranks(self.points, self.violations)
