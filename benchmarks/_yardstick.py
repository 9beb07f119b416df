"""The yardstick of search: real recorded hardware over the isomorphism classes of NAS-Bench-201.

A query is a class that was not asked for before, whoever asks and in whatever spelling; a class that fails on a device
costs a query and yields a failure; a class without a record is outside the space. Hypervolume is a share of that of
the true front, on a scale on which the useful part of that front spans 0 to 1, with the reference point at 1.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.evaluations import Evaluation
from search.objectives import Objective
from search.pareto import Points, Scale, costs, hypervolume, hypervolume_series
from search.replay.nb201 import read_nb201
from search.spaces.base import Architecture, Space
from search.spaces.restricted import restricted

#: What `accuracy` is.
TEST, VALIDATION = "test", "validation"


@dataclass(frozen=True)
class Setting:
    """A problem by name.

    Attributes:
        name: for tables.
        objectives: their text forms.
        target: share of the true hypervolume that counts as found.
        accuracy: of the table, `TEST` or `VALIDATION`.
        worst_error: beyond it the front is of no use.
    """

    name: str
    objectives: tuple[str, ...]
    target: float
    accuracy: str = TEST
    worst_error: float = 0.15


#: What is reported.
PROBLEMS = (
    Setting("Pi 4 + Eyeriss", ("accuracy", "latency_s@raspi4", "latency_s@eyeriss"), 0.95),
    Setting("Pi 4 + Edge TPU", ("accuracy", "latency_s@raspi4", "latency_s@edgetpu"), 0.97),
    Setting("Pi 4 + analog drift", ("accuracy", "latency_s@raspi4", "accuracy@drift(days=1)"), 0.95),
)
#: What hyper-parameters are chosen on: other devices, and another accuracy, the same share of whose classes is useful.
TUNING = (
    Setting("Pixel 3 + FPGA", ("accuracy", "latency_s@pixel3", "latency_s@fpga"), 0.95, VALIDATION, 0.42),
    Setting("Pixel 3 + Edge GPU", ("accuracy", "latency_s@pixel3", "latency_s@edgegpu"), 0.97, VALIDATION, 0.42),
    Setting("Edge GPU energy + FPGA", ("accuracy", "energy_j@edgegpu", "latency_s@fpga"), 0.95, VALIDATION, 0.42),
)


class Problem:
    """A setting with its space and its answers.

    Attributes:
        setting: what it was made of.
        space: the classes that the table knows.
        objectives: of the setting.
        scale: on which the useful part of the true front spans 0 to 1.
    """

    def __init__(self, setting: Setting, folder: Path) -> None:
        self.setting = setting
        self.objectives = tuple(map(Objective.parse, setting.objectives))
        self._quantities = [objective.quantity for objective in self.objectives]
        self._table = read_nb201(folder, setting.accuracy)
        self._members = self._table.members(self._quantities)
        self.space: Space = restricted(self._table.space, self._members, setting.name.replace(" ", "-"))
        points = self._all_points()
        self.scale = Scale.of(points[points[:, 0] <= setting.worst_error - 1.0])
        self._true = hypervolume(points, self.scale)

    def evaluate(self, number: int, architecture: Architecture) -> Evaluation:
        """What the table says of a class."""
        told = self._table.evaluation(number, architecture, self._quantities)
        return told if told.failure is None else replace(told, figures={})

    def hypervolume(self, evaluations: Sequence[Evaluation]) -> float:
        """Share of the true hypervolume, 0-1."""
        points = [point for e in evaluations if (point := costs(e, self.objectives)) is not None]
        if not points:
            return 0.0
        return hypervolume(np.array(points), self.scale) / self._true

    def series(self, evaluations: Sequence[Evaluation]) -> NDArray[np.float64]:
        """The share after each query: (queries,)."""
        return np.array(hypervolume_series(evaluations, self.objectives, scale=self.scale)) / self._true

    def queries(self, series: NDArray[np.float64]) -> float:
        """Queries until the target was reached; infinite if it was not."""
        reached = np.flatnonzero(series >= self.setting.target)
        return float(reached[0] + 1) if len(reached) else float("inf")

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """Of all classes: the truth."""
        return [self.evaluate(number, member) for number, member in enumerate(self._members)]

    def _all_points(self) -> Points:
        return np.array([point for e in self.evaluations if (point := costs(e, self.objectives)) is not None])
