"""The 6,466 classes of NAS-Bench-201 with recorded hardware, as a space: the yardstick's problem."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.evaluations import Evaluation
from search.objectives import Objective
from search.pareto import Points, Scale, costs
from search.spaces.base import Architecture
from search.values import Origin, Value

OBJECTIVES = tuple(map(Objective.parse, ("accuracy", "latency_s@raspi4", "latency_s@eyeriss")))
_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_EDGE = re.compile(r"([a-z_0-9]+)~(\d)")


class CellSpace:
    """Cells of six edges with five operations each; an isomorphism class goes by its number."""

    def __init__(self, folder: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet", reason="the recorded tables are Parquet: install pyarrow")
        cells = parquet.read_table(folder / "nb201_hw.parquet", columns=["arch_str", "isomorph_rep"]).to_pydict()
        genes = [tuple(_OPERATIONS.index(name) for name, _ in _EDGE.findall(text)) for text in cells["arch_str"]]
        self._class_of = dict(zip(genes, cells["isomorph_rep"], strict=True))
        self._genes_of = dict(zip(cells["isomorph_rep"][::-1], genes[::-1], strict=True))
        rows = parquet.read_table(folder / "nb201_classes.parquet").to_pylist()
        self._row_of: dict[int, dict[str, Any]] = {row["isomorph_rep"]: row for row in rows}

    def size(self) -> int:
        return len(self._row_of)

    def _named(self, genes: Any) -> Architecture:
        return Architecture(str(self._class_of[tuple(int(gene) for gene in genes)]))

    def allows(self, architecture: Architecture) -> bool:
        return True

    def sample(self, rng: np.random.Generator) -> Architecture:
        return self._named(rng.integers(0, 5, 6))

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        while True:
            genes = list(self._genes_of[int(architecture.text)])
            edge = rng.integers(6)
            genes[edge] = (genes[edge] + rng.integers(1, 5)) % 5
            neighbour = self._named(genes)
            if neighbour != architecture:
                return neighbour

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator) -> Architecture:
        pairs = zip(self._genes_of[int(first.text)], self._genes_of[int(second.text)], strict=True)
        return self._named([pair[side] for pair, side in zip(pairs, rng.integers(0, 2, 6), strict=True)])

    def macs(self, architecture: Architecture) -> int:
        raise NotImplementedError("the tables do not tell")

    def parameters(self, architecture: Architecture) -> int:
        raise NotImplementedError("the tables do not tell")

    def evaluate(self, number: int, architecture: Architecture) -> Evaluation:
        row = self._row_of[int(architecture.text)]
        figures = {
            "accuracy": Value(row["cifar10_valid_acc_epoch12_pct"] / 100, origin=Origin.REPLAYED),
            "latency_s@raspi4": Value(row["raspi4_latency_ms"] / 1000, origin=Origin.REPLAYED),
            "latency_s@eyeriss": Value(row["eyeriss_latency_ms"] / 1000, origin=Origin.REPLAYED),
        }
        return Evaluation(number, architecture.text, 0, 0, figures=figures)

    def scale(self, worst_error: float) -> Scale:
        """The useful part of the true front spans 0 to 1."""
        every = [self.evaluate(0, Architecture(str(number))) for number in self._row_of]
        points: Points = np.array([costs(evaluation, OBJECTIVES) for evaluation in every])
        return Scale.of(points[points[:, 0] <= worst_error - 1])
