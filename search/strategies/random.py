"""Random search: the baseline that every other strategy has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from search.strategies.base import Strategy

if TYPE_CHECKING:
    from search.spaces.base import Architecture


class RandomSearch(Strategy):
    """Samples the space; learns nothing."""

    def _propose(self, rng: np.random.Generator, attempt: int) -> Architecture:
        return self.space.sample(rng)
