"""What every predictor has to do. A predictor's tests inherit `PredictorContract` and give `make`."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import pytest
from numpy.typing import NDArray

from search.predictors.base import Predictor, PredictorError
from search.spaces.base import Architecture, SpaceError
from search.spaces.nb201 import Nb201Space

SPACE = Nb201Space()


def draw(count: int, seed: int = 0) -> list[Architecture]:
    """Different cells."""
    rng = np.random.default_rng(seed)
    found: dict[Architecture, None] = {}
    while len(found) < count:
        found.setdefault(SPACE.sample(rng))
    return list(found)


def figures(architectures: list[Architecture]) -> NDArray[np.float64]:
    """A made-up latency in seconds: operators add up, but for a gain where two follow each other."""
    costs = {"skip_connect": 0.1, "nor_conv_1x1": 1.0, "nor_conv_3x3": 4.0, "avg_pool_3x3": 1.5}
    found = []
    for architecture in architectures:
        terms = SPACE.operators(architecture)
        figure = 1.0 + sum(cost * terms[key] for key, cost in costs.items())
        found.append(1e-3 * figure * (0.7 if terms["nor_conv_3x3"] and terms["avg_pool_3x3"] else 1.0))
    return np.array(found)


class PredictorContract(ABC):
    """Determinism, few and constant examples, and what is refused."""

    @abstractmethod
    def make(self, seed: int = 0) -> Predictor:
        """A new predictor for `SPACE`."""

    def test_the_same_seed_and_examples_give_the_same_predictions_in_any_order(self) -> None:
        known, unknown = draw(40), draw(60, seed=1)
        values = figures(known)
        shuffled = np.random.default_rng(2).permutation(len(known))
        first, second = self.make(seed=3), self.make(seed=3)
        # What was learned and seen before makes no difference either.
        second.fit(unknown, figures(unknown))
        second.predict(unknown)
        first.fit(known, values)
        second.fit([known[place] for place in shuffled], values[shuffled])
        one, other = first.predict(unknown), second.predict(unknown)
        assert np.array_equal(one.mean, other.mean)
        assert np.array_equal(one.std, other.std)

    def test_it_ranks_what_it_has_not_seen(self) -> None:
        from scipy.stats import kendalltau

        known, every = draw(60), draw(200)
        unknown = [architecture for architecture in every if architecture not in known]
        predictor = self.make()
        predictor.fit(known, figures(known))
        assert kendalltau(predictor.predict(unknown).mean, figures(unknown))[0] > 0.5

    def test_one_example_is_enough_to_answer(self) -> None:
        predictor = self.make()
        predictor.fit(draw(1), [0.004])
        found = predictor.predict(draw(5, seed=1))
        assert np.isfinite(found.mean).all()
        assert (found.std >= 0.0).all()

    def test_constant_figures_are_learned(self) -> None:
        predictor = self.make()
        predictor.fit(draw(30), [0.004] * 30)
        found = predictor.predict(draw(5, seed=1))
        assert np.isfinite(found.mean).all()
        if predictor.predicts_figures:
            assert found.mean == pytest.approx([0.004] * 5, rel=0.05)

    def test_nothing_asked_is_nothing_answered(self) -> None:
        predictor = self.make()
        predictor.fit(draw(3), [1.0, 2.0, 3.0])
        assert predictor.predict([]).mean.shape == (0,)

    def test_nothing_is_predicted_before_anything_was_learned(self) -> None:
        with pytest.raises(PredictorError, match="nothing was learned"):
            self.make().predict(draw(1))

    def test_what_cannot_be_learned_from_is_refused(self) -> None:
        known = draw(2)
        for values, complaint in (([1.0], "2 architectures and 1"), ([1.0, float("nan")], f"{known[1]} is not finite")):
            with pytest.raises(PredictorError, match=complaint):
                self.make().fit(known, values)
        with pytest.raises(PredictorError, match="given twice"):
            self.make().fit([known[0], known[0]], [1.0, 2.0])
        with pytest.raises(PredictorError, match="0 architectures"):
            self.make().fit([], [])

    def test_what_is_no_network_of_the_space_is_refused(self) -> None:
        predictor = self.make()
        with pytest.raises(SpaceError):
            predictor.fit([Architecture("x-yz-abc")], [1.0])
        predictor.fit(draw(3), [1.0, 2.0, 3.0])
        with pytest.raises(SpaceError):
            predictor.predict([Architecture("x-yz-abc")])
