"""GBDT-NAS's predictor."""

from __future__ import annotations

import numpy as np

from search.predictors.gbdt import Gbdt
from tests.search.predictors.contract import SPACE, PredictorContract, draw, figures


class TestGbdt(PredictorContract):
    def make(self, seed: int = 0) -> Gbdt:
        return Gbdt(SPACE, seed)


def test_figures_are_in_the_unit_that_was_learned() -> None:
    known, rest = draw(300), draw(100, seed=1)
    predictor = Gbdt(SPACE)
    predictor.fit(known, figures(known))
    assert np.median(np.abs(predictor.predict(rest).mean / figures(rest) - 1)) < 0.1
