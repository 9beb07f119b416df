"""A comparison of strategies as a campaign would leave it, made up: for tests of its renderings."""

from __future__ import annotations

import numpy as np

from search.comparison import Comparison

#: Queries after which two thirds of the way are done, and the end of the way.
STRATEGIES = {
    "guided": (45, 0.992),
    "nsga2": (85, 0.985),
    "Optuna TPE": (65, 0.984),
    "Optuna NSGA-II": (90, 0.983),
    "pymoo NSGA-II": (92, 0.981),
    "local search": (95, 0.982),
    "random": (110, 0.930),
}


def contest(
    seeds: int = 12, budget: int = 300, strategies: int = len(STRATEGIES), title: str = "Pi 4 + Eyeriss"
) -> Comparison:
    """Curves that rise in steps to nearly 1."""
    random = np.random.default_rng(2)
    runs: dict[str, dict[int, list[float]]] = {}
    for name, (pace, end) in list(STRATEGIES.items())[:strategies]:
        runs[name] = {}
        for seed in range(seeds):
            own = pace * np.exp(random.normal(0, 0.2))
            series = end * (1 - 0.5 * np.exp(-np.arange(1, budget + 1) / own)) - abs(random.normal(0, 0.006))
            kept = np.where(random.random(budget) < 0.3, series, 0)
            runs[name][seed] = np.maximum.accumulate(kept).tolist()
    return Comparison(title, runs, budget, 0.95, notes=("figures are replayed from nb201_classes.parquet",))
