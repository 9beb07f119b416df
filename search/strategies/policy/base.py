"""What strategies with a learned policy share: how a policy learns from answers that come late, and only once.

REINFORCE wants samples of its own policy P. A measured search asks for nothing twice, so its samples are those of
P(y | y is new), and the mean of their rewards is what it climbs: what the next measurements are worth, which a policy
that only repeats the best it knows would not improve. The gradient of log P(y | new) is that of log P(y) less that of
log P(new). The latter is the same for all y; times the advantage it is zero on the average, because the baseline is the
mean reward of these very samples. So refusing what is known biases nothing here, and the correction that TabNAS makes
for what is infeasible is not made for it: on the tuning problems it changed nothing but the time it took.

A policy that has made up its mind has little left that is new. So with each proposal that is turned down, a larger
share of the decisions is drawn evenly: what is asked for lies as near to the policy's favourites as novelty lets it.

    told, in the order of asking     0 ──▶ 1 ──▶ 2 ──────────▶ 4 ──▶ 5 …         a step of the policy each
                                                       ▲ 3 comes late: back to the state after 2, and on from there
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from search.evaluations import Evaluation
from search.objectives import Constraint, Objective, total_violation
from search.strategies.base import Strategy
from search.strategies.known import by_number
from search.strategies.settings import checked, checked_count, reward_of

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space

#: Proposals that are turned down until every decision is drawn evenly.
_PATIENCE = 100
#: Keeps the random numbers of learning apart from those of candidates.
_LEARNING = 1
#: Answers that may be overtaken before all is learned anew when one comes late.
_REMEMBERED = 64


class Policy(Protocol):
    """A distribution over the choices of a space."""

    def sample(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Independent draws: (count, decisions)."""
        ...

    def copy(self) -> Self:
        """One that learns without this one."""
        ...


P = TypeVar("P", bound=Policy)


@dataclass
class State(Generic[P]):
    """What was learned from the answers up to `number`.

    Attributes:
        policy: the distribution.
        number: of the last answer; -1 before the first.
        baseline: the moving average of rewards; None before the first.
        worst: the least reward that an architecture had; infinite before the first.
    """

    policy: P
    number: int = -1
    baseline: float | None = None
    worst: float = math.inf


class PolicySearch(Strategy, Generic[P]):
    """Samples a policy, and lets it learn what its samples were worth.

    A bound that is broken takes from the reward the share by which it is, at most 1. A candidate that failed is worth
    as little as the worst before it; one whose figures are missing through no fault of its own teaches nothing. Where
    several spellings mean the same architecture, the policy learns of the canonical one.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        seed: int,
        reward: Mapping[str, Any] | None,
        warmup: int,
        momentum: float,
    ) -> None:
        super().__init__(space, objectives, constraints, seed)
        self.reward = reward_of(reward, objectives)
        self._warmup = checked_count("warmup", warmup, 0)
        self._momentum = checked("momentum", momentum, 0, 1)
        self._options = np.array([len(decision.options) for decision in space.decisions])
        self._state = State(self._fresh())
        self._history: deque[State[P]] = deque(maxlen=_REMEMBERED)
        self._learned = 0

    @abstractmethod
    def _fresh(self) -> P:
        """A policy that knows nothing."""

    @abstractmethod
    def _improve(self, policy: P, choices: NDArray[np.int64], advantage: float, rng: np.random.Generator) -> None:
        """Make `choices`, (decisions,), likelier by how much better than expected they were, or less likely."""

    def _propose(self, rng: np.random.Generator, attempt: int) -> Architecture:
        return self.space.decode(self._drawn(rng, attempt, 1)[0].tolist())

    def _drawn(self, rng: np.random.Generator, attempt: int, count: int) -> NDArray[np.int64]:
        """Choices of the policy, the more of them at random the more was turned down: (count, decisions)."""
        self._catch_up()
        choices = self._state.policy.sample(rng, count)
        evenly = rng.random(choices.shape) < attempt / _PATIENCE
        return np.where(evenly, rng.integers(self._options, size=choices.shape), choices)

    def _catch_up(self) -> None:
        """Learn from what was told since, in the order of asking."""
        new = self.evaluations[self._learned :]
        if not new:
            return
        self._learned = len(self.evaluations)
        first = min(evaluation.number for evaluation in new)
        while self._state.number > first:
            self._state = self._history.pop() if self._history else State(self._fresh())
        for evaluation in by_number(self.evaluations):
            if evaluation.number > self._state.number:
                self._history.append(replace(self._state, policy=self._state.policy.copy()))
                self._state.number = evaluation.number
                self._learn(evaluation, self._state)

    def _learn(self, evaluation: Evaluation, state: State[P]) -> None:
        reward = self._worth(evaluation, state)
        if reward is None:
            return
        state.worst = min(state.worst, reward)
        baseline = reward if state.baseline is None else state.baseline
        if evaluation.number >= self._warmup:
            choices = np.array(self.space.encode(self._architecture(evaluation)))
            rng = np.random.default_rng((self.seed, evaluation.number, _LEARNING))
            self._improve(state.policy, choices, reward - baseline, rng)
        state.baseline = baseline + (1 - self._momentum) * (reward - baseline)

    def _worth(self, evaluation: Evaluation, state: State[P]) -> float | None:
        """The reward; None if the answer teaches nothing."""
        if evaluation.failure is not None:
            return state.worst if math.isfinite(state.worst) else None
        reward, violation = self.reward(evaluation), total_violation(evaluation.values, self.constraints)
        return None if reward is None or math.isinf(violation) else reward - min(violation, 1.0)
