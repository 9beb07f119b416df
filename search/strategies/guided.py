"""Predictor-guided evolution: measure a few, learn every figure, ask for what may be hoped to push the front most.

::

    told ──▶ a Gaussian process for each figure, and one for who fails
      ▲          │
      │          ▼
      │      candidates: the whole space if it is small; else neighbours and children of the measured front and of
      │          │       the best of each other, generation by generation, all on predictions
      │          ▼
      │      expected hypervolume improvement × probability to succeed and to keep the measured bounds
      │          │
      │          ├─ two of three: the candidate that has the most
      │          └─ every third:  the neighbour of the measured front that would have, were predictions less sure
      │          ▼
      └────── asked for; until it is told it stands on the front with its prediction, so that the next one differs

What is published of this: neighbours of the best, ranked by what was learned (White et al. 2021, "BANANAS"); evolution
on predictions (Cummings et al. 2022, "LINAS"); the improvement (see `search.strategies.volumes`); pending candidates
that count with their predictions (Ginsbourger et al. 2010, "kriging believer"); the probability to keep bounds as a
factor (Gardner et al. 2014).

What counts as an improvement is all that beats the reference point. An accuracy that a tenth of the first candidates,
drawn at random, do not reach is of no use, whatever it costs. A cost may exceed the largest one of the front by the
front's span, but not the largest one of all that is useful: a front that is known in part must be able to grow.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.objectives import Constraint, Direction, Objective
from search.pareto import REFERENCE, Points, Scale, nondominated
from search.predictors.threads import one_thread
from search.spaces.variation import neighbours
from search.strategies.base import Strategy
from search.strategies.known import Known, by_number
from search.strategies.settings import checked_count
from search.strategies.surrogates import USELESS, Beliefs, Surrogates, quantile
from search.strategies.volumes import Boxes

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space

Array = NDArray[np.float64]

#: Spaces with at most so many spellings are predicted as a whole.
_SMALL = 20_000
#: Elsewhere: generations on predictions, new candidates in each, and how many of them breed.
_GENERATIONS, _NEW, _PARENTS = 5, 250, 50
#: Probability that a child of two is mutated, too.
_MUTATION = 0.6
#: Every so many candidates one is a neighbour of the front, as if deviations were so many times larger.
_LOCAL_EVERY, _LOCAL_DOUBT = 3, 5.0
#: By how many spans costs may grow beyond the front that is known.
_GROWTH = 1.0
#: Logarithms of improvements that differ by less are equal: in what order boxes were cut decides nothing.
_EQUAL = 1e-9
#: An improvement too small for a number.
_NONE = 1e-300
#: Candidates looked at together when the best one is sought.
_LOOK = 64


class Guided(Strategy):
    """Predictor-guided evolution.

    Failed candidates teach who fails, and never a figure; a figure is learned from all that have it.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        seed: int = 0,
        initial: int = 20,
    ) -> None:
        """Begin a search.

        Args:
            space: see `Strategy`.
            objectives: see `Strategy`.
            constraints: see `Strategy`.
            seed: see `Strategy`.
            initial: architectures sampled at first.
        """
        super().__init__(space, objectives, constraints, seed)
        self._initial = checked_count("initial", initial, 2)
        self._surrogates = Surrogates(space, self.objectives, self.constraints, seed)
        self._everything: list[Architecture] | None = None
        self._choice: _Choice | None = None

    def _propose(self, rng: np.random.Generator, attempt: int) -> Architecture:
        number = len(self._architectures)
        if number >= self._initial and attempt == 0:
            with one_thread():
                choice = self._up_to_date()
                found = choice and choice.best(local=number % _LOCAL_EVERY == _LOCAL_EVERY - 1)
            if found:
                return found
        return self.space.sample(rng)

    def _up_to_date(self) -> _Choice | None:
        """The choice that there is now; None while too little is known to predict anything."""
        if self._has_news():
            self._choice = self._learned()
        if self._choice is not None:
            for text, architecture in itertools.islice(self._architectures.items(), self._choice.taken, None):
                self._choice.take(architecture, pending=text not in self._told)
        return self._choice

    def _learned(self) -> _Choice | None:
        told = by_number(self.evaluations)
        first = told[: self._initial]
        known = Known.of(told, self.objectives, self.constraints)
        elsewhere = [evaluation for evaluation in self.learned if evaluation.architecture not in self._told]
        if not self._surrogates.learn([*elsewhere, *told], first) or len(known.points) == 0:
            return None
        feasible = known.violations == 0
        useful = feasible if feasible.any() else np.ones_like(feasible)
        floors = {}
        for index, objective in enumerate(self.objectives):
            if objective.direction is Direction.MAXIMIZE:
                floors[index] = objective.cost(quantile(first, objective.name, USELESS))
                enough = useful & (known.points[:, index] <= floors[index])
                useful = enough if enough.any() else useful
        aim = _Aim.of(known.points[useful], known.points[feasible], floors)
        ranks = known.ranks
        members = useful & (ranks == ranks[useful].min())
        front = [self._architecture(e) for e, on in zip(known.evaluations, members, strict=True) if on]
        rng = np.random.default_rng((self.seed, len(told)))
        near = [a for member in front for a in neighbours(self.space, member) if self._may_be_asked_for(a)]
        pool = self._evolved(front, near, aim, rng) if self._whole is None else self._whole
        order = rng.permutation(len(pool))
        return _Choice([pool[index] for index in order], near, self._surrogates, aim)

    # -------------------------------------------------------------------------------------------------- candidates

    @property
    def _whole(self) -> list[Architecture] | None:
        """The whole space, if it is small."""
        options = [len(decision.options) for decision in self.space.decisions]
        if math.prod(options) > _SMALL:
            return None
        if self._everything is None:
            made = {self.space.decode(choices): None for choices in itertools.product(*map(range, options))}
            self._everything = [architecture for architecture in made if self._may_be_asked_for(architecture)]
        return self._everything

    def _evolved(
        self, front: Sequence[Architecture], near: Sequence[Architecture], aim: _Aim, rng: np.random.Generator
    ) -> list[Architecture]:
        """Candidates of a space too large to look at, none of which was told."""
        pool: dict[Architecture, float] = {}
        for generation in range(_GENERATIONS):
            if generation == 0:
                some = rng.permutation(len(near))[:_NEW]
                born = [near[index] for index in some] + [self.space.sample(rng) for _ in range(_NEW)]
            else:
                best = sorted(pool, key=lambda architecture: -pool[architecture])[:_PARENTS]
                born = list(self._children([*front, *best], rng))
            new = [a for a in dict.fromkeys(born) if a not in pool and a.text not in self._told]
            new = [architecture for architecture in new if self._may_be_asked_for(architecture)]
            if new:
                values = aim.values(self._surrogates.believe(new), aim.boxes)
                pool.update(zip(new, values.tolist(), strict=True))
        return list(pool)

    def _children(self, parents: Sequence[Architecture], rng: np.random.Generator) -> Iterator[Architecture]:
        for _ in range(_NEW):
            first, second = (parents[int(index)] for index in rng.integers(len(parents), size=2))
            child = self.space.crossover(first, second, rng)
            yield self.space.mutate(child, rng) if first == second or rng.random() < _MUTATION else child


@dataclass(frozen=True, eq=False)
class _Aim:
    """What would be an improvement.

    Attributes:
        scale: on which the reference point stands at 1.1.
        boxes: on that scale, what the measured front leaves.
    """

    scale: Scale
    boxes: Boxes

    @classmethod
    def of(cls, useful: Points, feasible: Points, floors: Mapping[int, float]) -> _Aim:
        """What would improve on `feasible`.

        Args:
            useful: costs of those that span the part of the front that matters, at least one.
            feasible: costs of all that keep the bounds.
            floors: objectives that have a worst useful cost, by their places.
        """
        scale = Scale.of(useful)
        ideal, nadir = np.asarray(scale.ideal), np.asarray(scale.nadir)
        dearest = np.maximum(useful.max(axis=0), nadir)
        nadir = np.minimum(dearest, nadir + _GROWTH * (nadir - ideal))
        for place, worst in floors.items():
            if math.isfinite(worst):
                nadir[place] = max(worst, nadir[place])
        wide = Scale(scale.ideal, tuple(nadir.tolist()))
        front = wide.apply(feasible[nondominated(feasible)])
        return cls(wide, Boxes.around(front, np.full(len(ideal), REFERENCE)))

    def values(self, beliefs: Beliefs, boxes: Boxes, doubt: float = 1.0) -> Array:
        """The logarithm of expected improvement × probability to do, (N,).

        Args:
            beliefs: of N candidates.
            boxes: what is left to improve.
            doubt: by how much deviations are larger than believed.
        """
        unit = np.asarray(self.scale.nadir) - np.asarray(self.scale.ideal)
        improvement = boxes.expected_improvement(self.scale.apply(beliefs.mean), doubt * beliefs.std / unit)
        values: Array = np.log(np.maximum(improvement, _NONE)) + beliefs.chance
        return values


class _Choice:
    """Candidates and what they are worth, until something is told.

    What a candidate is worth never grows while others are taken: an old worth is an upper bound, and only those whose
    bound is above the best have to be worked out again.

    Attributes:
        taken: how many of those that were asked for were taken from the choice.
    """

    def __init__(
        self, pool: Sequence[Architecture], near: Sequence[Architecture], surrogates: Surrogates, aim: _Aim
    ) -> None:
        self._pool = pool
        self._places = {architecture: index for index, architecture in enumerate(pool)}
        self._surrogates = surrogates
        self._aim = aim
        self._boxes = aim.boxes
        self._beliefs = surrogates.believe(pool)
        self._bounds = aim.values(self._beliefs, aim.boxes)
        self._free = np.ones(len(pool), dtype=np.bool_)
        self._near = np.zeros(len(pool), dtype=np.bool_)
        self._near[[self._places[architecture] for architecture in near if architecture in self._places]] = True
        self.taken = 0

    def take(self, architecture: Architecture, pending: bool) -> None:
        """It was asked for: it is no candidate any more, and if it is not told yet it counts as predicted."""
        self.taken += 1
        place = self._places.get(architecture)
        if place is not None:
            self._free[place] = False
        if pending:
            beliefs = self._of(np.array([place])) if place is not None else self._surrogates.believe([architecture])
            if beliefs.chance[0] > math.log(0.5):
                self._boxes = self._boxes.cut(self._aim.scale.apply(beliefs.mean)[0])

    def best(self, local: bool) -> Architecture | None:
        """The candidate that is worth most; None if none is left.

        Args:
            local: among the neighbours of the front, if it has new ones.
        """
        near = np.flatnonzero(self._near & self._free)
        if local and len(near):
            values = self._aim.values(self._of(near), self._boxes, _LOCAL_DOUBT)
            return self._pool[int(near[_first_of_best(values)])]
        free = np.flatnonzero(self._free)
        if len(free) == 0:
            return None
        free = free[np.argsort(-self._bounds[free], kind="stable")]
        values = np.zeros(0)
        for at in range(0, len(free), _LOOK):
            if at and self._bounds[free[at]] < values.max() - _EQUAL:
                break
            values = np.append(values, self._aim.values(self._of(free[at : at + _LOOK]), self._boxes))
        looked_at = np.sort(free[: len(values)])
        self._bounds[free[: len(values)]] = values
        return self._pool[int(looked_at[_first_of_best(self._bounds[looked_at])])]

    def _of(self, places: NDArray[np.int64]) -> Beliefs:
        beliefs = self._beliefs
        return Beliefs(beliefs.mean[places], beliefs.std[places], beliefs.chance[places])


def _first_of_best(values: Array) -> int:
    return int(np.flatnonzero(values >= values.max() - _EQUAL)[0])
