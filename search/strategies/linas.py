"""LINAS (DyNAS-T, Cummings et al. 2022): measure a few, learn from them, search the predictions, measure the best.

measured ──► a model for each figure ──► NSGA-II on predictions ──► its front, the loneliest first ──► measured
▲                                      thousands of queries that cost nothing                          │
└──────────────────────────────────────────────────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search.objectives import STATIC_QUANTITIES, Constraint, Objective
from search.pareto import Points, constrained_ranks
from search.strategies.base import Strategy
from search.strategies.known import Known, by_number
from search.strategies.nsga2 import crowded_order
from search.strategies.settings import checked_count, checked_name

if TYPE_CHECKING:
    from search.spaces.base import Architecture, Space

Features = NDArray[np.float64]
#: Costs and total violations of some architectures.
_Predict = Callable[[Sequence["Architecture"]], tuple[Points, NDArray[np.float64]]]
_MODELS = ("ridge", "svr")
#: Probability that a child of two is mutated, too.
_MUTATION = 0.6


class Linas(Strategy):
    """LINAS under ask/tell; whenever something was told, the models learn anew and the inner search begins anew.

    What was measured stands in the inner search with its measured figures. Failed candidates teach nothing.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        seed: int = 0,
        initial: int = 50,
        predictor: str = "ridge",
        population: int = 50,
        generations: int = 20,
    ) -> None:
        """Begin a search.

        Args:
            space: see `Strategy`.
            objectives: see `Strategy`.
            constraints: see `Strategy`.
            seed: see `Strategy`.
            initial: architectures sampled at first.
            predictor: "ridge" for ridge regression, "svr" for support vectors with radial basis functions. On other
                devices than those reported the latter was ahead after 100 queries, and behind after 300.
            population: of the inner search.
            generations: of the inner search.
        """
        super().__init__(space, objectives, constraints, seed)
        self._initial = checked_count("initial", initial, 2)
        self._predictor = checked_name("predictor", predictor, _MODELS)
        self._population = checked_count("population", population, 2)
        self._generations = checked_count("generations", generations, 1)
        self._measured_bounds = [bound for bound in self.constraints if not bound.quantity.is_static]
        names = [objective.name for objective in self.objectives] + [bound.name for bound in self._measured_bounds]
        self._names = list(dict.fromkeys(names))
        self._features: dict[str, Features] = {}
        self._pool: list[Architecture] = []

    def _propose(self, rng: np.random.Generator, attempt: int) -> Architecture:
        if len(self._architectures) >= self._initial and attempt == 0:
            self._search()
            for architecture in self._pool:
                if architecture.text not in self._architectures:
                    return architecture
        return self.space.sample(rng)

    def _search(self) -> None:
        """Bring the pool up to date with what was told: NSGA-II on what was measured and on predictions."""
        if not self._has_news():
            return
        self._pool = []
        predict = self._learned()
        known = Known.of(self.evaluations, self.objectives, self.constraints)
        if predict is None or not known.evaluations:
            return
        rng = np.random.default_rng((self.seed, len(self.evaluations)))
        found = [self._architecture(evaluation) for evaluation in known.evaluations]
        points, violations = known.points, known.violations
        seen = set(self._told)
        for _ in range(self._generations):
            order = crowded_order(points, constrained_ranks(points, violations))
            parents = [found[index] for index, _ in order[: self._population]]
            children = {child.text: child for child in self._children(parents, rng)}
            unseen = [child for text, child in children.items() if text not in seen]
            new = [child for child in unseen if self._may_be_asked_for(child)]
            if not new:
                continue
            seen.update(children)
            found += new
            predicted = predict(new)
            points = np.vstack([points, predicted[0]])
            violations = np.concatenate([violations, predicted[1]])
        order = crowded_order(points, constrained_ranks(points, violations))
        self._pool = [found[index] for index, _ in order if index >= len(known.evaluations)]

    def _children(self, parents: Sequence[Architecture], rng: np.random.Generator) -> Iterator[Architecture]:
        """Of tournaments of two; `parents` come best first."""
        for _ in range(self._population):
            first, second = rng.integers(len(parents), size=(2, 2)).min(axis=1)
            child = self.space.crossover(parents[first], parents[second], rng)
            yield self.space.mutate(child, rng) if first == second or rng.random() < _MUTATION else child

    def _learned(self) -> _Predict | None:
        """What predicts; None where a figure is not known of two."""
        models: dict[str, Callable[[Features], NDArray[np.float64]]] = {}
        for name in self._names:
            known = [
                (self._architecture(evaluation), value)
                for evaluation in by_number(self.evaluations)
                if evaluation.failure is None and (value := evaluation.value(name).value) is not None
            ]
            if len(known) < 2:
                return None
            models[name] = _fitted(self._predictor, self._table([a for a, _ in known]), np.array([v for _, v in known]))

        def predict(architectures: Sequence[Architecture]) -> tuple[Points, NDArray[np.float64]]:
            table = self._table(architectures)
            columns = {name: model(table) for name, model in models.items()}
            for name in STATIC_QUANTITIES.intersection(columns):
                columns[name] = np.array([getattr(self.space, name)(a) for a in architectures], dtype=np.float64)
            points = [[objective.cost(value) for value in columns[objective.name]] for objective in self.objectives]
            violations = [[b.violation(value) for value in columns[b.name]] for b in self._measured_bounds]
            return np.array(points).T, np.array(violations).reshape(-1, len(table)).sum(axis=0)

        return predict

    def _table(self, architectures: Sequence[Architecture]) -> Features:
        """What the models see: (architectures, features)."""
        for architecture in architectures:
            if architecture.text not in self._features:
                self._features[architecture.text] = self.space.features(architecture)
        return np.array([self._features[architecture.text] for architecture in architectures])


def _fitted(kind: str, table: Features, values: NDArray[np.float64]) -> Callable[[Features], NDArray[np.float64]]:
    """A model of standardised figures on standardised features."""
    from sklearn.linear_model import Ridge  # a second to load
    from sklearn.svm import SVR

    centre, spread = table.mean(axis=0), table.std(axis=0)
    spread[spread == 0] = 1.0
    middle, scale = values.mean(), values.std() or 1.0
    model: Any = Ridge() if kind == "ridge" else SVR(C=10.0, epsilon=0.05)
    model.fit((table - centre) / spread, (values - middle) / scale)

    def predict(rows: Features) -> NDArray[np.float64]:
        return np.asarray(model.predict((rows - centre) / spread) * scale + middle)

    return predict
