"""Gaussian processes: the contract, and how sure they are."""

from __future__ import annotations

import numpy as np
import pytest

from search.predictors.gaussian import GaussianProcess
from tests.search.predictors.contract import SPACE, PredictorContract, draw, figures


class TestGaussianProcess(PredictorContract):
    def make(self, seed: int = 0) -> GaussianProcess:
        return GaussianProcess(SPACE, seed)


def test_deviations_say_how_far_off_predictions_are() -> None:
    every = draw(260)
    noise = np.random.default_rng(0).normal(scale=5e-4, size=len(every))
    values = figures(every) + noise
    process = GaussianProcess(SPACE)
    process.fit(every[:60], values[:60])
    found = process.predict(every[60:])
    off = (found.mean - values[60:]) / found.std
    assert 0.6 < np.sqrt(np.mean(off**2)) < 1.5
    assert 0.85 < np.mean(np.abs(off) < 1.96) <= 1.0


def test_it_is_surer_of_what_it_was_told() -> None:
    known, others = draw(40), draw(80)[40:]
    process = GaussianProcess(SPACE)
    process.fit(known, figures(known))
    assert np.median(process.predict(known).std) < np.median(process.predict(others).std)


def test_costs_over_orders_of_magnitude_are_learned_as_ratios() -> None:
    """A product of factors: a sum in logarithms."""
    every = draw(160)
    values = np.exp(figures(every) * 500.0)
    assert values.max() / values.min() > 1000
    process = GaussianProcess(SPACE)
    process.fit(every[:60], values[:60])
    found = process.predict(every[60:]).mean
    assert (found > 0).all()
    assert np.median(np.abs(np.log(found / values[60:]))) < 0.3


def test_figures_may_be_negative() -> None:
    known, others = draw(60), draw(100)[60:]
    process = GaussianProcess(SPACE)
    process.fit(known, figures(known) - 0.01)
    expected = figures(others) - 0.01
    assert np.median(np.abs(process.predict(others).mean - expected)) < 0.25 * expected.std()
    assert process.predict(known[:1]).mean == pytest.approx(figures(known[:1]) - 0.01, abs=2e-3)
