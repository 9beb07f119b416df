"""Runs on the yardstick's problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._yardstick import Problem
from search.strategies import Strategy


def search(problem: Problem, strategy: Strategy, queries: int) -> Strategy:
    """The strategy after so many queries, in batches of 20, each told before the next is asked for."""
    for first in range(0, queries, 20):
        batch = strategy.ask(min(20, queries - first))
        strategy.tell([problem.evaluate(number, a) for number, a in enumerate(batch, first)])
    return strategy


def shares(
    problem: Problem, make: Callable[..., Strategy], queries: int, seed: int, **settings: Any
) -> NDArray[np.float64]:
    """Share of the true hypervolume after each query: (queries,)."""
    strategy = make(problem.space, problem.objectives, seed=seed, **settings)
    return problem.series(search(problem, strategy, queries).evaluations)
