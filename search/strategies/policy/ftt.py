"""FTT-NAS's search: a recurrent controller rewarded for accuracy with and without faults (Ning et al.)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from search.objectives import Constraint, Objective
from search.strategies.policy.base import PolicySearch
from search.strategies.policy.recurrent import HIDDEN, Controller
from search.strategies.settings import checked

if TYPE_CHECKING:
    from search.spaces.base import Space


class Recurrent:
    """A controller and its optimiser."""

    def __init__(self, options: Sequence[int], seed: int, learning_rate: float) -> None:
        self._controller = Controller(options, seed)
        self._optimiser = torch.optim.Adam(self._controller.parameters(), learning_rate)

    def sample(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Independent draws: (count, decisions)."""
        uniforms = torch.from_numpy(rng.random((count, len(self._controller.options)))).float()
        return np.asarray(self._controller.sample(torch.zeros(count, HIDDEN), uniforms).numpy(), dtype=np.int64)

    def learn(self, choices: NDArray[np.int64], advantage: float, entropy: float) -> None:
        """One step on A · log P(y) + weight · entropy.

        Args:
            choices: y, (decisions,).
            advantage: A.
            entropy: its weight.
        """
        log_probability, spread = self._controller(torch.zeros(1, HIDDEN), torch.from_numpy(choices[None]))
        self._optimiser.zero_grad()
        (-(advantage * log_probability + entropy * spread).sum()).backward()
        self._optimiser.step()

    def copy(self) -> Self:
        """One that learns without this one."""
        return copy.deepcopy(self)


class FttNas(PolicySearch[Recurrent]):
    """∇J = (R(y) − R̄) · ∇ log P(y) + weight · ∇ entropy, by Adam, P a recurrent controller.

    Meant for R = (1 − α) · clean + α · faulty: reward: {kind: ftt, faulty: accuracy@iBF(p=0.001), alpha: 0.5}. The
    paper's candidates share weights and are cheap; here each is measured. The learning rate is chosen for hundreds of
    steps on the yardstick's tuning problems, and ours.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        seed: int = 0,
        reward: Mapping[str, Any] | None = None,
        learning_rate: float = 0.01,
        warmup: int = 20,
        momentum: float = 0.8,
        entropy: float = 0.1,
    ) -> None:
        """Begin a search.

        Args:
            space: see `Strategy`.
            objectives: see `Strategy`.
            constraints: see `Strategy`.
            seed: see `Strategy`.
            reward: see `PolicySearch`.
            learning_rate: see `PolicySearch`; at most 1.
            warmup: see `PolicySearch`.
            momentum: see `PolicySearch`.
            entropy: see `PolicySearch`.

        Raises:
            StrategyError, ObjectiveError: a setting is none.
        """
        checked("learning_rate", learning_rate, 0, 1)
        super().__init__(space, objectives, constraints, seed, reward, learning_rate, warmup, momentum, entropy)

    def _fresh(self) -> Recurrent:
        return Recurrent(self._options.tolist(), self.seed, self._rate)

    def _improve(
        self, policy: Recurrent, choices: NDArray[np.int64], advantage: float, rng: np.random.Generator
    ) -> None:
        policy.learn(choices, advantage, self._entropy)
