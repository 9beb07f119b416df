"""Comparisons that know how sure the figures are: differences inside the noise are ties.

A figure's noise is the half-width of its interval, or its device's noise floor where that is larger: how far the
figure may be from the truth, in 95 of 100 cases. A figure with neither is taken as exact. Noise of different figures is
taken as independent. Candidates that share test images and fault patterns differ by less than that, so accuracies are
called ties rather too often than too seldom; an aggregate and its parts are drawn apart as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from protos.gauntlet.v1 import fleet_pb2
from search.evaluations import Evaluation
from search.objectives import Constraint, Objective, Quantity
from search.pareto import costs, nondominated
from search.values import Value

#: Patterns of noise: a probability of a half is known to 2 points.
DRAWS = 500
#: From this probability on, a candidate off the measured front is worth naming.
WORTH_NAMING = 0.2
#: Half-widths of a 95 % interval in a standard deviation of the normal distribution.
_DEVIATIONS = 1.96
#: Device by device, the relative difference of two latencies that means nothing there.
Floors = Mapping[str, float]
_NO_FLOORS: Floors = MappingProxyType({})


def floors_of(names: Iterable[str], devices: Iterable[fleet_pb2.Device]) -> dict[str, float]:
    """Noise floors of devices, as far as they were measured.

    Args:
        names: ids or classes; of a class, the largest floor among its devices.
        devices: of the lab.
    """
    floors: dict[str, float] = {}
    asked = set(names)
    for device in devices:
        floor = Value.from_figure(device.noise_floor.floor).value
        for name in {device.description.device_id, device.description.device_class} & asked:
            if floor is not None:
                floors[name] = max(floor, floors.get(name, 0.0))
    return floors


def noise(value: Value, quantity: Quantity, floors: Floors = _NO_FLOORS) -> float:
    """How far a figure may be from the truth, in its unit; 0 if it is exact, or missing.

    Args:
        value: the figure, with a 95 % interval or without one.
        quantity: what it is of.
        floors: of devices by the names that quantities have them by, as shares of 1. They are floors of latencies, and
            of no other quantity; an aggregate has the largest of its parts, which neither form can exceed.
    """
    half = 0.0 if value.low is None or value.high is None else (value.high - value.low) / 2
    shares = [floors.get(part.device, 0.0) for part in quantity.parts if part.kind == "latency_s"]
    return max(half, max(shares, default=0.0) * abs(value.value or 0.0))


def tie(a: Value, b: Value, quantity: Quantity, floors: Floors = _NO_FLOORS) -> bool:
    """Whether two figures differ by no more than their noise, added in squares; a missing one ties with nothing."""
    if a.value is None or b.value is None:
        return False
    return abs(a.value - b.value) <= math.hypot(noise(a, quantity, floors), noise(b, quantity, floors))


def dominates(a: Evaluation, b: Evaluation, objectives: Sequence[Objective], floors: Floors = _NO_FLOORS) -> bool:
    """Whether `a` is better than `b` beyond noise in one objective, and worse beyond noise in none.

    Ties are not transitive, so neither is this: it compares two candidates, and ranks no more. Candidates that failed,
    or lack a figure, neither dominate nor are dominated.
    """
    mine, other = costs(a, objectives), costs(b, objectives)
    if mine is None or other is None:
        return False
    better = False
    for objective, cost, bar in zip(objectives, mine, other, strict=True):
        if tie(a.value(objective.name), b.value(objective.name), objective.quantity, floors):
            continue
        if cost > bar:
            return False
        better = True
    return better


def membership(
    evaluations: Sequence[Evaluation],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint] = (),
    floors: Floors = _NO_FLOORS,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[int, float]:
    """How probable it is that each candidate belongs to the true front, given how sure its figures are.

    All figures are drawn anew around what was measured, those of the constraints too, normal and independent; counted
    is how often a candidate is feasible and not dominated. Exact figures give 0 and 1, as `front` does. Nothing is
    assumed about the truth but the figures: that the best of many measured ones were lucky is not taken back.

    Args:
        evaluations: candidates with different numbers.
        objectives: the axes.
        constraints: bounds that must hold.
        floors: see `noise`.
        draws: patterns of noise; see `standard_error`.
        seed: the same seed and the same candidates give the same probabilities.

    Returns:
        By candidate number, 0-1. Those that failed, or lack a figure of an objective or a constraint, are not in it.
    """
    quantities = list(dict.fromkeys([*(o.quantity for o in objectives), *(c.quantity for c in constraints)]))
    known, figures = [], []
    for evaluation in evaluations:
        values = [evaluation.value(quantity.name) for quantity in quantities]
        if evaluation.failure is None and all(value.value is not None for value in values):
            known.append(evaluation.number)
            figures.append(values)
    if not known:
        return {}
    centre = np.array([[value.value for value in values] for values in figures], dtype=np.float64)
    deviation = np.array([[noise(v, q, floors) for v, q in zip(values, quantities, strict=True)] for values in figures])
    deviation /= _DEVIATIONS
    if not deviation.any():
        draws = 1
    drawn = centre + deviation * np.random.default_rng(seed).standard_normal((draws, *centre.shape))
    signs = [objective.cost(1.0) for objective in objectives]
    points = drawn[:, :, [quantities.index(objective.quantity) for objective in objectives]] * signs
    feasible = np.ones(drawn.shape[:2], dtype=np.bool_)
    for constraint in constraints:
        bounded = drawn[:, :, quantities.index(constraint.quantity)]
        feasible &= bounded <= constraint.bound if constraint.upper else bounded >= constraint.bound
    # What some candidate beats even when that one is drawn worst and this one best is on no draw's front.
    best, sure = points.min(axis=0)[:, None], points.max(axis=0)[feasible.all(axis=0)]
    sure = sure[nondominated(sure)]
    feasible &= ~((sure <= best).all(axis=2) & (sure < best).any(axis=2)).any(axis=1)
    counts = np.zeros(len(known))
    for places, rows in zip(points, feasible, strict=True):
        counts[rows] += nondominated(places[rows])
    return dict(zip(known, (counts / draws).tolist(), strict=True))


def may_belong(probabilities: Mapping[int, float], members: Iterable[int]) -> list[int]:
    """Candidates off the measured front that may well belong to the true one, the most probable first.

    Args:
        probabilities: from `membership`.
        members: numbers of the candidates on the measured front.
    """
    others = probabilities.keys() - set(members)
    likely = [number for number in others if probabilities[number] >= WORTH_NAMING]
    return sorted(likely, key=lambda number: (-probabilities[number], number))


def standard_error(probability: float, draws: int = DRAWS) -> float:
    """How far a probability of `membership` may be off because the draws were few: one standard deviation, 0-0.5."""
    return math.sqrt(probability * (1 - probability) / draws)
