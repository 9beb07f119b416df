"""A small table of NAS-Bench-201 cells, on two devices that nobody has."""

from __future__ import annotations

from typing import Any

import numpy as np

from search.replay.schema import About, FigureFacts
from search.replay.table import Column, Table
from search.spaces.nb201 import Nb201Space

CELLS = ("3-3p-s3s", "1-11-111", "n-nn-pnn", "n-nn-3nn")
NAN = np.nan


def small_table(**changed: Any) -> Table:
    """Four cells: the third fails on the TPU, the fourth has no record there and no accuracy under faults."""
    facts = FigureFacts("measured", 0.95, "order statistics")
    columns = {
        "accuracy": Column(np.array([0.9, 0.8, 0.5, 0.7]), samples=np.array([1000, 1000, 1000, 500])),
        "latency_s@pi": Column(
            np.array([0.030, 0.020, 0.010, 0.015]),
            np.array([0.029, 0.019, NAN, 0.014]),
            np.array([0.031, 0.021, NAN, 0.016]),
            np.array([100, 200, 300, 400]),
            facts=facts,
        ),
        "latency_s@tpu": Column(np.array([0.003, 0.002, NAN, NAN])),
        "energy_j@pi": Column(np.array([0.3, NAN, 0.1, 0.2]), unavailable={1: "the meter was unplugged"}),
        "accuracy@iBF(p=0.001, per=bit)": Column(
            np.array([0.6, 0.7, 0.4, NAN]),
            np.array([0.5, 0.6, 0.3, NAN]),
            np.array([0.7, 0.8, 0.5, NAN]),
            np.array([30, 40, 50, 1]),
            facts=facts,
        ),
    }
    parts: dict[str, Any] = {
        "about": About("four cells", {"pi": {"description": "a board"}}, ("nobody",), "none", "2026-01-01T00:00:00Z"),
        "space": Nb201Space(),
        "rows": CELLS,
        "columns": columns,
        "failures": {"tpu": {2: "unsupported operation: AVERAGE_POOL_2D"}},
        "measure_s": np.array([2.0, 3.0, NAN, 4.0]),
    }
    return Table(**{**parts, **changed})
