"""Fronts, ranks and hypervolume of evaluations, by moocore.

All points here are costs: smaller is better in every column (`Objective.cost`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import moocore  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from search.evaluations import Evaluation
from search.objectives import Constraint, Objective, total_violation

Points = NDArray[np.float64]

#: Where the reference point stands when the front spans 0 to 1: the extremes of the front count too.
REFERENCE = 1.1


def costs(evaluation: Evaluation, objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """The candidate's place among the objectives, smaller better; None if it failed or lacks one of the figures."""
    if evaluation.failure is not None:
        return None
    values = [evaluation.value(objective.name).value for objective in objectives]
    known = [objective.cost(value) for objective, value in zip(objectives, values, strict=True) if value is not None]
    return tuple(known) if len(known) == len(values) else None


def nondominated(points: Points) -> NDArray[np.bool_]:
    """Which points no other dominates; equal points keep each other.

    Args:
        points: costs, shape (points, objectives).
    """
    if len(points) == 0:
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(moocore.is_nondominated(points, keep_weakly=True), dtype=np.bool_)


def ranks(points: Points) -> NDArray[np.int64]:
    """The non-dominated front that each point belongs to, from 0; equal points share it.

    Args:
        points: costs, shape (points, objectives).
    """
    if len(points) == 0:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(moocore.pareto_rank(points), dtype=np.int64)


def constrained_ranks(points: Points, violations: NDArray[np.float64]) -> NDArray[np.int64]:
    """Ranks under constrained domination (Deb et al. 2002, definition 1).

    The feasible dominate the infeasible; of two infeasible ones that with the smaller total violation dominates.

    Args:
        points: costs, shape (points, objectives).
        violations: total violation of each point, 0 for a feasible one, may be infinite.
    """
    result = np.zeros(len(points), dtype=np.int64)
    feasible = violations == 0
    result[feasible] = ranks(points[feasible])
    if not feasible.all():
        first = result[feasible].max(initial=-1) + 1
        result[~feasible] = first + np.unique(violations[~feasible], return_inverse=True)[1]
    return result


def front(
    evaluations: Sequence[Evaluation], objectives: Sequence[Objective], constraints: Sequence[Constraint] = ()
) -> list[Evaluation]:
    """The feasible candidates that no other feasible one dominates, in the order given.

    Failed candidates, and those that lack a figure of an objective or of a constraint, are not on it.
    """
    found = _feasible(evaluations, objectives, constraints)
    mask = nondominated(np.array([point for _, point in found], dtype=np.float64).reshape(-1, len(objectives)))
    return [evaluation for (evaluation, _), on_front in zip(found, mask, strict=True) if on_front]


@dataclass(frozen=True)
class Scale:
    """What stands for 0 and for 1 in each objective, in costs.

    Attributes:
        ideal: the best of each objective.
        nadir: the worst of each objective on the front.
    """

    ideal: tuple[float, ...]
    nadir: tuple[float, ...]

    @classmethod
    def of(cls, points: Points) -> Scale:
        """The scale on which the front of `points` spans 0 to 1.

        Where the front is flat in an objective, all points give the span; where these are flat too, it is 1.

        Args:
            points: costs, shape (points, objectives); at least one.
        """
        on_front = points[nondominated(points)]
        ideal = on_front.min(axis=0)
        nadir = on_front.max(axis=0)
        nadir = np.where(nadir > ideal, nadir, points.max(axis=0))
        nadir = np.where(nadir > ideal, nadir, ideal + 1.0)
        return cls(tuple(ideal.tolist()), tuple(nadir.tolist()))

    def apply(self, points: Points) -> Points:
        """`points` on this scale."""
        ideal = np.asarray(self.ideal)
        scaled: Points = (points - ideal) / (np.asarray(self.nadir) - ideal)
        return scaled


def hypervolume(points: Points, scale: Scale, reference: float = REFERENCE) -> float:
    """The share of the box between ideal and reference point that `points` dominate, 0-1.

    Args:
        points: costs, shape (points, objectives).
        scale: what spans 0 to 1.
        reference: the reference point on that scale, the same in all objectives. What is worse adds nothing.
    """
    if len(points) == 0:
        return 0.0
    # Whatever is better than the ideal is worth no more than it: the share stays a share.
    scaled = np.maximum(scale.apply(points), 0.0)
    volume = float(moocore.hypervolume(scaled, ref=np.full(scaled.shape[1], reference)))
    return volume / math.pow(reference, scaled.shape[1])


def hypervolume_series(
    evaluations: Sequence[Evaluation],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint] = (),
    scale: Scale | None = None,
) -> list[float]:
    """Hypervolume after each query. Failures, infeasible and incomplete candidates are queries that add nothing.

    Args:
        evaluations: in the order of telling.
        objectives: the axes.
        constraints: bounds that must hold.
        scale: what spans 0 to 1; None takes it from the front of all of them, so that runs cannot be compared by it.

    Returns:
        One number for each evaluation, never falling.
    """
    found = {evaluation.number: point for evaluation, point in _feasible(evaluations, objectives, constraints)}
    if not found:
        return [0.0] * len(evaluations)
    scale = scale or Scale.of(np.array(list(found.values()), dtype=np.float64))
    series: list[float] = []
    volume, best = 0.0, np.empty((0, len(objectives)))
    for evaluation in evaluations:
        point = found.get(evaluation.number)
        if point is not None and not (best <= point).all(axis=1).any():
            best = np.vstack([best, point])
            best = best[nondominated(best)]
            volume = hypervolume(best, scale)
        series.append(volume)
    return series


def feasible_points(
    evaluations: Sequence[Evaluation], objectives: Sequence[Objective], constraints: Sequence[Constraint] = ()
) -> Points:
    """Costs of the candidates that have all figures and keep the bounds, (points, objectives)."""
    found = [point for _, point in _feasible(evaluations, objectives, constraints)]
    return np.array(found, dtype=np.float64).reshape(-1, len(objectives))


def _feasible(
    evaluations: Sequence[Evaluation], objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> list[tuple[Evaluation, tuple[float, ...]]]:
    found = []
    for evaluation in evaluations:
        point = costs(evaluation, objectives)
        if point is not None and total_violation(evaluation.values, constraints) == 0:
            found.append((evaluation, point))
    return found
