"""REINFORCE on independent logits, as TuNAS has it (Bender et al. 2020), with measurements for a supernet's guesses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.strategies.policy.base import PolicySearch
from search.strategies.policy.logits import Logits


class Reinforce(PolicySearch[Logits]):
    """∇J = (R(y) − R̄) · ∇ log P(y) + weight · ∇ entropy, R̄ the moving average of rewards, by Adam.

    TuNAS takes tens of thousands of steps at 3e-4, none in the first quarter, when the supernet knows nothing, and
    trains all operations and filters evenly meanwhile. Here a step costs a measurement and there is no supernet: the
    learning rate is for hundreds of steps, only as many go by without a step as a first mean of rewards needs, and that
    mean moves faster than TuNAS's 0.95 lets it. These, and the entropy, which TuNAS has not, were chosen on the
    yardstick's tuning problems, and are ours.

    Not among the strategies by name, but what TabNAS builds on: with TuNAS's reward it finds more than random search on
    recorded hardware, though not beyond doubt on all of it (`benchmarks/policies.py`), and TabNAS does.
    """

    def _fresh(self) -> Logits:
        return Logits(self.space.decisions, self._rate)

    def _improve(self, policy: Logits, choices: NDArray[np.int64], advantage: float, rng: np.random.Generator) -> None:
        policy.climb(advantage * policy.score(choices[None]) + self._entropy * policy.unrest())
