"""Independent logits, a vector for each decision: the policy of TuNAS and TabNAS."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from search.spaces.base import Decision

_MOMENTS = (0.9, 0.999)
_TINY = 1e-8


class Logits:
    """P(y) = Π softmax(logits of a decision)[what y takes there]; evenly spread at first.

    Attributes:
        logits: (decisions, most options), −∞ where a decision has fewer.
    """

    def __init__(self, decisions: Sequence[Decision], learning_rate: float) -> None:
        options = np.array([len(decision.options) for decision in decisions])
        self.logits = np.where(np.arange(options.max()) < options[:, None], 0.0, -np.inf)
        self._rate = learning_rate
        self._steps = 0
        self._mean = np.zeros_like(self.logits)
        self._square = np.zeros_like(self.logits)

    def copy(self) -> Self:
        """One that learns without this one."""
        return copy.copy(self)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(decisions, most options): each row sums to 1."""
        shares: NDArray[np.float64] = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def sample(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Independent draws: (count, decisions)."""
        edges = self.probabilities.cumsum(axis=1)
        # The last edge may be a rounding short of 1; an option that is none lies behind it.
        edges /= edges[:, -1:]
        drawn = rng.random((count, len(edges), 1))
        return np.asarray((drawn >= edges).sum(axis=2), dtype=np.int64)

    def score(self, choices: NDArray[np.int64]) -> NDArray[np.float64]:
        """The mean of ∇ log P over some architectures: (decisions, most options).

        Args:
            choices: (architectures, decisions).
        """
        taken = np.arange(self.logits.shape[1]) == choices[:, :, None]
        return np.asarray(taken.mean(axis=0) - self.probabilities)

    def score_within(self, choices: NDArray[np.int64], members: NDArray[np.int64]) -> NDArray[np.float64]:
        """∇ log [P(y) / P(V)] of one architecture y of a set V, estimated: (decisions, most options).

        Yang et al. 2022, with q the sampling probabilities that do not learn: P̂(V) = 1/N · Σ p(z)/q(z) · 1[z ∈ V], so
        that ∇ log P̂(V) is the mean of ∇ log P(z) over those in V.

        Args:
            choices: y, (decisions,).
            members: those of N draws of P that lie in V, (at least one, decisions).
        """
        return self.score(choices[None]) - self.score(members)

    def unrest(self) -> NDArray[np.float64]:
        """∇ of the entropy, in nats: (decisions, most options)."""
        shares = self.probabilities
        logs = np.log(np.maximum(shares, np.finfo(np.float64).tiny))
        entropy = -(shares * logs).sum(axis=1, keepdims=True)
        return np.asarray(-shares * (logs + entropy))

    def climb(self, gradient: NDArray[np.float64]) -> None:
        """One step of Adam (Kingma & Ba 2015) uphill."""
        self._steps += 1
        first, second = _MOMENTS
        # No array is changed in place: copies share them.
        self._mean = self._mean + (1 - first) * (gradient - self._mean)
        self._square = self._square + (1 - second) * (gradient**2 - self._square)
        mean = self._mean / (1 - first**self._steps)
        square = self._square / (1 - second**self._steps)
        self.logits = self.logits + self._rate * mean / (np.sqrt(square) + _TINY)
