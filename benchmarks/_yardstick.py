"""The yardstick of search: real recorded hardware over the isomorphism classes of NAS-Bench-201.

A query is a class that was not asked for before, whoever asks and in whatever spelling; a class that fails on a device
costs a query and yields a failure; a class without a record is outside the space. Hypervolume is a share of that of
the true front, on a scale on which the useful part of that front spans 0 to 1, with the reference point at 1.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.evaluations import Evaluation, Failure
from search.objectives import Objective
from search.pareto import Points, Scale, costs, hypervolume
from search.spaces.base import Architecture, Space
from search.spaces.nb201 import Nb201Space
from search.spaces.restricted import restricted
from search.values import Origin, Value

_MS = 1e-3
_MJ = 1e-3
_PERCENT = 1e-2
#: Column and unit of each quantity; the two accuracies are told apart by the problem.
COLUMNS = {
    "latency_s@raspi4": ("raspi4_latency_ms", _MS),
    "latency_s@pixel3": ("pixel3_latency_ms", _MS),
    "latency_s@edgegpu": ("edgegpu_latency_ms", _MS),
    "latency_s@eyeriss": ("eyeriss_latency_ms", _MS),
    "latency_s@fpga": ("fpga_latency_ms", _MS),
    "latency_s@edgetpu": ("edgetpu_latency_ms", _MS),
    "energy_j@edgegpu": ("edgegpu_energy_mj", _MJ),
    "energy_j@eyeriss": ("eyeriss_energy_mj", _MJ),
    "accuracy@drift(days=1)": ("analog_drift_1day_acc_pct", _PERCENT),
}
TEST, VALIDATION = "cifar10_test_acc_pct", "cifar10_valid_acc_epoch12_pct"


@dataclass(frozen=True)
class Setting:
    """A problem by name.

    Attributes:
        name: for tables.
        objectives: their text forms.
        target: share of the true hypervolume that counts as found.
        accuracy: column of the table.
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
#: What hyper-parameters are chosen on: other devices, and another accuracy.
TUNING = (
    Setting("Pixel 3 + FPGA", ("accuracy", "latency_s@pixel3", "latency_s@fpga"), 0.95, VALIDATION, 0.30),
    Setting("Pixel 3 + Edge GPU", ("accuracy", "latency_s@pixel3", "latency_s@edgegpu"), 0.97, VALIDATION, 0.30),
    Setting("Edge GPU energy + FPGA", ("accuracy", "energy_j@edgegpu", "latency_s@fpga"), 0.95, VALIDATION, 0.30),
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
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]

        self.setting = setting
        self.objectives = tuple(map(Objective.parse, setting.objectives))
        whole = Nb201Space()
        self._answers: dict[str, tuple[dict[str, Value], Failure | None]] = {}
        for row in parquet.read_table(folder / "nb201_classes.parquet").to_pylist():
            answer = self._answer(row)
            if answer is not None:
                self._answers[whole.parse(row["arch_str"]).text] = answer
        members = [Architecture(text) for text in self._answers]
        self.space: Space = restricted(whole, members, setting.name.replace(" ", "-"))
        points = self._all_points()
        self.scale = Scale.of(points[points[:, 0] <= setting.worst_error - 1.0])
        self._true = hypervolume(points, self.scale)

    def evaluate(self, number: int, architecture: Architecture) -> Evaluation:
        """What the table says of a class."""
        figures, failure = self._answers[architecture.text]
        macs, parameters = self.space.macs(architecture), self.space.parameters(architecture)
        return Evaluation(number, architecture.text, macs, parameters, figures=figures, failure=failure)

    def hypervolume(self, evaluations: Sequence[Evaluation]) -> float:
        """Share of the true hypervolume, 0-1."""
        points = [point for e in evaluations if (point := costs(e, self.objectives)) is not None]
        if not points:
            return 0.0
        return hypervolume(np.array(points), self.scale) / self._true

    def series(self, evaluations: Sequence[Evaluation]) -> NDArray[np.float64]:
        """The share after each query: (queries,)."""
        import moocore  # type: ignore[import-untyped]

        best: Points = np.empty((0, len(self.objectives)))
        found, last = [], 0.0
        for evaluation in evaluations:
            point = costs(evaluation, self.objectives)
            if point is not None:
                place = np.array([point])
                if not (best <= place).all(axis=1).any():
                    best = np.vstack([best[~(place <= best).all(axis=1)], place])
                    scaled = np.maximum(self.scale.apply(best), 0.0)
                    volume = float(moocore.hypervolume(scaled, ref=np.full(best.shape[1], 1.1)))
                    last = volume / 1.1 ** best.shape[1] / self._true
            found.append(last)
        return np.array(found)

    def queries(self, series: NDArray[np.float64]) -> float:
        """Queries until the target was reached; infinite if it was not."""
        reached = np.flatnonzero(series >= self.setting.target)
        return float(reached[0] + 1) if len(reached) else float("inf")

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """Of all classes: the truth."""
        return [self.evaluate(number, Architecture(text)) for number, text in enumerate(self._answers)]

    def _all_points(self) -> Points:
        return np.array([point for e in self.evaluations if (point := costs(e, self.objectives)) is not None])

    def _answer(self, row: dict[str, Any]) -> tuple[dict[str, Value], Failure | None] | None:
        figures: dict[str, Value] = {}
        for objective in self.objectives:
            column, unit = (
                (self.setting.accuracy, _PERCENT) if objective.name == "accuracy" else COLUMNS[objective.name]
            )
            value = row[column]
            if column.startswith("edgetpu") and row["edgetpu_status"] == "failed":
                return {}, Failure("unsupported operation", "it does not compile for the Edge TPU", objective.name)
            if value is None:
                return None
            figures[objective.name] = Value(value * unit, origin=Origin.REPLAYED)
        return figures, None
