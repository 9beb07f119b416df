"""Random search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from search.objectives import Constraint
from search.strategies import RandomSearch, Strategy
from tests.search.strategies.contract import StrategyContract
from tests.search.strategies.problems import OBJECTIVES


class TestRandomSearch(StrategyContract):
    learns = False

    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return RandomSearch(space, OBJECTIVES, constraints, seed)
