"""TabNAS: a policy that discards what is infeasible, and corrects its gradient for it (Yang et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search.evaluations import Evaluation
from search.objectives import Constraint, Objective, total_violation
from search.predictors.costs import CostModel
from search.predictors.design import Design
from search.strategies.known import by_number
from search.strategies.policy.base import State
from search.strategies.policy.logits import Logits
from search.strategies.policy.reinforce import Reinforce
from search.strategies.settings import checked_count

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space

#: Costs are predicted from so many answers on, and learned anew whenever there are twice as many.
_FIRST_COSTS = 20
#: Proposals that seem infeasible before one of them is made.
_ROUNDS = 8


class TabNas(Reinforce):
    """∇J = (Q(y) − Q̄) · ∇ log [P(y) / P(V)] + weight · ∇ entropy, V the feasible, of which alone y are drawn.

    ∇ log P(V) is estimated from N draws of P. If none of them lies in V, the step is left out.

    Feasible is what keeps the bounds on MACs and parameters, and whose other costs may well keep theirs: at a standard
    deviation less than is predicted by a cost model, which learns from the search's own measurements. An architecture
    that was measured and broke a bound is discarded like the others: it moves nothing. The reward is meant to be
    quality alone, as in reward: {kind: single, objective: accuracy}.
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
        samples: int = 64,
    ) -> None:
        """Begin a search.

        Args:
            space: see `Strategy`.
            objectives: see `Strategy`.
            constraints: see `Strategy`.
            seed: see `Strategy`.
            reward: see `PolicySearch`.
            learning_rate: see `PolicySearch`.
            warmup: see `PolicySearch`.
            momentum: see `PolicySearch`.
            entropy: see `PolicySearch`.
            samples: N, draws for P(V).

        Raises:
            StrategyError, ObjectiveError: a setting is none.
        """
        super().__init__(space, objectives, constraints, seed, reward, learning_rate, warmup, momentum, entropy)
        self._samples = checked_count("samples", samples, 1)
        self._bounds = [b for b in self.constraints if b.upper and not b.quantity.is_static]
        self._design = Design(space)
        self._costs: list[tuple[int, dict[Constraint, CostModel]]] = []
        self._judged: dict[Architecture, bool] = {}

    def _propose(self, rng: np.random.Generator, attempt: int) -> Architecture:
        proposed = super()._propose(rng, attempt)
        for further in range(1, _ROUNDS if self._costs else 1):
            if self._promising([proposed])[0]:
                break
            proposed = super()._propose(rng, attempt + further)
        # If nothing seems feasible, or no longer, what one costs is learned by measuring it.
        return proposed

    def _learn(self, evaluation: Evaluation, state: State[Logits]) -> None:
        self._learn_costs(evaluation.number)
        if evaluation.failure is not None or total_violation(evaluation.values, self.constraints) == 0:
            super()._learn(evaluation, state)

    def _improve(self, policy: Logits, choices: NDArray[np.int64], advantage: float, rng: np.random.Generator) -> None:
        drawn = policy.sample(rng, self._samples)
        feasible = drawn[self._promising([self.space.decode(row) for row in drawn.tolist()])]
        if len(feasible):
            policy.climb(advantage * policy.score_within(choices, feasible) + self._entropy * policy.unrest())

    def _promising(self, architectures: Sequence[Architecture]) -> NDArray[np.bool_]:
        """Which of these keep all bounds, as far as is known."""
        new = [a for a in dict.fromkeys(architectures) if a not in self._judged]
        judged = np.array([self._may_be_asked_for(a) for a in new], dtype=np.bool_)
        for bound, model in self._costs[-1][1].items() if self._costs else ():
            predicted = model.predict(new)
            least = (predicted.mean - predicted.std).tolist()
            judged &= np.array([bound.violation(cost) == 0 for cost in least], dtype=np.bool_)
        self._judged.update(zip(new, judged.tolist(), strict=True))
        return np.array([self._judged[architecture] for architecture in architectures])

    def _learn_costs(self, number: int) -> None:
        """Have the cost models that the answers up to `number` give."""
        while self._costs and self._costs[-1][0] >= number:
            self._costs.pop()
            self._judged.clear()
        answers = [other for other in by_number(self.evaluations) if other.number <= number]
        times, rest = divmod(len(answers), _FIRST_COSTS)
        if not self._bounds or rest or times & (times - 1):
            return
        models = {}
        for bound in self._bounds:
            known = [(self._architecture(a), a.value(bound.name).value or 0.0) for a in answers]
            known = [(architecture, cost) for architecture, cost in known if cost > 0]
            if known:
                models[bound] = CostModel(self.space, self.seed, self._design)
                models[bound].fit([architecture for architecture, _ in known], [cost for _, cost in known])
        self._costs.append((number, models))
        self._judged.clear()
