"""What strategies with a learned policy share: how a policy learns from answers that come late, and only once.

REINFORCE wants samples of its own policy P. A measured search asks for nothing twice, so its samples are those of
P(y | y is new), and the mean of their rewards is what it climbs: what the next measurements are worth, which a policy
that only repeats the best it knows would not improve. The gradient of log P(y | new) is that of log P(y) less that of
log P(new). The latter is the same for all y; times the advantage it is zero on the average, because the baseline is the
mean reward of these very samples. So refusing what is known biases nothing here, and the correction that TabNAS makes
for what is infeasible is not made for it: on the tuning problems it changed nothing but the time it took.

A policy that has made up its mind has little left that is new. So with each proposal that is turned down, a larger
share of the decisions is drawn evenly: what is asked for lies as near to the policy's favourites as novelty lets it.

Rewards are measured in whatever unit, and the worst are far off: a network that is never better than chance. So
advantages are divided by their moving average, bounded, and joined by the policy's entropy, which keeps it from making
up its mind on the first dozens of answers. Published searches, with tens of thousands of steps, do without the former.

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

#: Draws at once, of which the first new one is proposed.
_DRAWS = 16
#: Draws that are turned down until every decision is drawn evenly.
_PATIENCE = 100
#: Keeps the random numbers of learning apart from those of candidates.
_LEARNING = 1
#: Advantages beyond so many times the usual one count as that many.
_OUTLIER = 2.0
#: States are kept after about so many answers, and so many of them; what comes later still makes all be learned anew.
_KEPT_EVERY = 8
_KEPT = 16


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
        spread: the moving average of how far a reward was from it.
        worst: the least reward that an architecture had; infinite before the first.
    """

    policy: P
    number: int = -1
    baseline: float | None = None
    spread: float = 0.0
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
        constraints: Sequence[Constraint] = (),
        seed: int = 0,
        reward: Mapping[str, Any] | None = None,
        learning_rate: float = 0.1,
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
            reward: see `parse_reward`; by default the one objective.
            learning_rate: Adam's, 0-10: about how far a step moves a parameter of the policy.
            warmup: answers before the first step.
            momentum: of the moving averages of rewards and advantages, 0-1.
            entropy: weight of the policy's entropy, in nats, beside an advantage of the usual size.

        Raises:
            StrategyError, ObjectiveError: a setting is none.
        """
        super().__init__(space, objectives, constraints, seed)
        self.reward = reward_of(reward, objectives)
        self._rate = checked("learning_rate", learning_rate, 0, 10)
        self._warmup = checked_count("warmup", warmup, 0)
        self._momentum = checked("momentum", momentum, 0, 1)
        self._entropy = checked("entropy", entropy, 0, 10)
        self._options = np.array([len(decision.options) for decision in space.decisions])
        self._state = State(self._fresh())
        self._history: deque[State[P]] = deque(maxlen=_KEPT)
        self._learned = 0

    @abstractmethod
    def _fresh(self) -> P:
        """A policy that knows nothing."""

    @abstractmethod
    def _improve(self, policy: P, choices: NDArray[np.int64], advantage: float, rng: np.random.Generator) -> None:
        """One step uphill: `choices`, (decisions,), likelier by their advantage, and the policy the more even."""

    def _propose(self, rng: np.random.Generator, attempt: int) -> Architecture:
        self._catch_up()
        choices = self._state.policy.sample(rng, _DRAWS)
        evenly = rng.random(choices.shape) < attempt * _DRAWS / _PATIENCE
        choices = np.where(evenly, rng.integers(self._options, size=choices.shape), choices)
        drawn = [self.space.decode(row) for row in choices.tolist()]
        for architecture, kept in zip(drawn, self._promising(drawn), strict=True):
            if kept and architecture.text not in self._architectures:
                return architecture
        return drawn[0]

    def _promising(self, architectures: Sequence[Architecture]) -> NDArray[np.bool_]:
        """Which of these may be asked for: (architectures,)."""
        return np.array([self.space.allows(architecture) for architecture in architectures])

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
                if not self._history or self._state.number >= self._history[-1].number + _KEPT_EVERY:
                    self._history.append(replace(self._state, policy=self._state.policy.copy()))
                self._state.number = evaluation.number
                self._learn(evaluation, self._state)

    def _learn(self, evaluation: Evaluation, state: State[P]) -> None:
        reward = self._worth(evaluation, state)
        if reward is None:
            return
        state.worst = min(state.worst, reward)
        advantage = 0.0 if state.baseline is None else reward - state.baseline
        state.baseline = reward - self._momentum * advantage
        state.spread += (1 - self._momentum) * (abs(advantage) - state.spread)
        if evaluation.number >= self._warmup and state.spread > 0:
            choices = np.array(self.space.encode(self._architecture(evaluation)))
            rng = np.random.default_rng((self.seed, evaluation.number, _LEARNING))
            within = min(max(advantage / state.spread, -_OUTLIER), _OUTLIER)
            self._improve(state.policy, choices, within, rng)

    def _worth(self, evaluation: Evaluation, state: State[P]) -> float | None:
        """The reward; None if the answer teaches nothing."""
        if evaluation.failure is not None:
            return state.worst if math.isfinite(state.worst) else None
        reward, violation = self.reward(evaluation), total_violation(evaluation.values, self.constraints)
        return None if reward is None or math.isinf(violation) else reward - min(violation, 1.0)
