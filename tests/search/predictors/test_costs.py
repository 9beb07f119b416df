"""Cost models: what they share with every predictor, what they know of operators, and how sure they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from search.predictors.base import PredictorError
from search.predictors.costs import CostModel
from search.predictors.design import Design
from search.spaces.base import Architecture
from search.spaces.mobile import MobileSpace
from tests.search.predictors.contract import SPACE, PredictorContract, draw, figures


class TestCostModel(PredictorContract):
    def make(self, seed: int = 0) -> CostModel:
        return CostModel(SPACE, seed)


DESIGN = Design(SPACE)


@pytest.fixture(scope="module")
def pi4(data: Path) -> tuple[list[Architecture], NDArray[np.float64]]:
    """All classes with their latency in seconds."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="the recorded tables are Parquet: install pyarrow")
    table = parquet.read_table(data / "nb201_classes.parquet", columns=["arch_str", "raspi4_latency_ms"]).to_pydict()
    return [SPACE.parse(text) for text in table["arch_str"]], np.array(table["raspi4_latency_ms"]) * 1e-3


def additive(architectures: list[Architecture]) -> NDArray[np.float64]:
    """Costs that add up, over two orders of magnitude."""
    costs = {"skip_connect": 0.02, "nor_conv_1x1": 0.3, "nor_conv_3x3": 4.0, "avg_pool_3x3": 0.8}
    return np.array([0.05 + sum(costs.get(k, 0.0) * n for k, n in SPACE.operators(a).items()) for a in architectures])


def test_costs_that_add_up_are_known_after_few_measurements_cheap_and_dear_alike() -> None:
    model, rest = CostModel(SPACE), draw(300, seed=1)
    known = draw(12)
    model.fit(known, additive(known))
    assert np.abs(model.predict(rest).mean / additive(rest) - 1).max() < 0.03


def test_trees_are_used_where_operators_do_not_add_up_and_only_there() -> None:
    known, rest = draw(120), draw(300, seed=1)
    noise = np.exp(np.random.default_rng(0).normal(0.0, 0.05, len(known)))
    for truth, wanted in ((additive, False), (figures, True)):
        model = CostModel(SPACE)
        model.fit(known, truth(known) * noise)
        assert model.uses_trees is wanted
        assert np.median(np.abs(model.predict(rest).mean / truth(rest) - 1)) < 0.05


def test_operators_that_no_example_had_cost_their_share_of_the_macs() -> None:
    space = MobileSpace((3, 32, 32), 10)
    rng = np.random.default_rng(0)
    networks = list(dict.fromkeys(space.sample(rng) for _ in range(400)))

    def truth(architecture: Architecture) -> float:
        """Depthwise convolutions take four times as long a multiplication, each layer two microseconds."""
        layers = list(space.plan(architecture).convolutions())
        work = [
            layer.kernel**2 * layer.positions * layer.outputs * (4 if layer.depthwise else layer.inputs)
            for layer in layers
        ]
        return 2e-6 * len(layers) + sum(work) / 2e10

    values = np.array([truth(architecture) for architecture in networks])
    model = CostModel(space)
    model.fit(networks[:60], values[:60])
    seen = {key for network in networks[:60] for key in space.operators(network)}
    errors = {
        network: abs(predicted / value - 1)
        for network, predicted, value in zip(networks[60:], model.predict(networks[60:]).mean, values[60:], strict=True)
    }
    strange = [error for network, error in errors.items() if not set(space.operators(network)) <= seen]
    assert len(strange) > 20
    assert np.median(strange) < 0.15


def test_intervals_hold_what_they_promise_on_recorded_latencies(
    pi4: tuple[list[Architecture], NDArray[np.float64]],
) -> None:
    networks, values = pi4
    held = []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(networks))
        known, rest = order[:80], order[80:2000]
        model = CostModel(SPACE, seed, DESIGN)
        model.fit([networks[place] for place in known], values[known])
        bounds = model.interval([networks[place] for place in rest], 0.9)
        held.append(((bounds.low <= values[rest]) & (values[rest] <= bounds.high)).mean())
    assert 0.85 < np.mean(held) < 0.96


def test_recorded_latencies_are_learned_better_than_by_macs(
    pi4: tuple[list[Architecture], NDArray[np.float64]],
) -> None:
    networks, values = pi4
    order = np.random.default_rng(0).permutation(len(networks))
    known, rest = order[:100], order[100:2000]
    model = CostModel(SPACE, design=DESIGN)
    model.fit([networks[place] for place in known], values[known])
    errors = np.abs(model.predict([networks[place] for place in rest]).mean / values[rest] - 1)
    macs = DESIGN.macs(networks)
    line = np.polyfit(macs[known], values[known], 1, w=1 / values[known])
    others = np.abs(np.polyval(line, macs[rest]) / values[rest] - 1)
    assert np.quantile(errors, 0.5) < 0.85 * np.quantile(others, 0.5)
    assert np.quantile(errors, 0.9) < 0.75 * np.quantile(others, 0.9)


def test_with_too_few_examples_no_bound_is_finite() -> None:
    model, rest = CostModel(SPACE), draw(5, seed=1)
    known = draw(10)
    model.fit(known, figures(known))
    bounds = model.interval(rest, 0.95)
    assert (bounds.low == 0.0).all()
    assert np.isinf(bounds.high).all()
    bounds = model.interval(rest, 0.9)
    assert (bounds.low > 0.0).all()
    assert np.isfinite(bounds.high).all()


@given(st.integers(2, 60), st.floats(1e-6, 1e3), st.floats(0.01, 0.99), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_predictions_are_positive_and_within_their_intervals(
    count: int, unit: float, confidence: float, seed: int
) -> None:
    known, rest = draw(count, seed), draw(20, seed + 1)
    values = unit * 10 ** np.random.default_rng(seed).uniform(-1, 1, count)
    model = CostModel(SPACE, seed, DESIGN)
    model.fit(known, values)
    found, bounds = model.predict(rest), model.interval(rest, confidence)
    assert (found.mean > 0.0).all()
    assert ((bounds.low <= found.mean) & (found.mean <= bounds.high)).all()


def test_the_unit_makes_no_difference() -> None:
    known, rest = draw(50), draw(50, seed=1)
    seconds, milliseconds = CostModel(SPACE), CostModel(SPACE)
    seconds.fit(known, figures(known))
    milliseconds.fit(known, figures(known) * 1000)
    assert milliseconds.predict(rest).mean == pytest.approx(seconds.predict(rest).mean * 1000, rel=1e-6)


@pytest.mark.parametrize("cost", [0.0, -0.001])
def test_costs_that_are_not_positive_are_refused(cost: float) -> None:
    known = draw(2)
    with pytest.raises(PredictorError, match=f"the cost of {known[1]} is .* costs are positive"):
        CostModel(SPACE).fit(known, [0.01, cost])


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_that_is_none_is_refused(confidence: float) -> None:
    model = CostModel(SPACE)
    model.fit(draw(3), [1.0, 2.0, 3.0])
    with pytest.raises(PredictorError, match="between 0 and 1"):
        model.interval(draw(1), confidence)
