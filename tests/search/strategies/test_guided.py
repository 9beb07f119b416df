"""Predictor-guided evolution: the contract, and what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from search.objectives import Constraint
from search.strategies import Strategy
from search.strategies.guided import Guided
from tests.search.strategies.contract import StrategyContract
from tests.search.strategies.problems import OBJECTIVES


class TestGuided(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return Guided(space, OBJECTIVES, constraints, seed)
