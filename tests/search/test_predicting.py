from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search.errors import ObjectiveError, RunLogError
from search.evaluations import Evaluation, Failure
from search.predicting import LEAST, Known, PredictionError, forecasts
from search.replay.recording import record
from search.runlog import RunLog
from search.spaces.base import Architecture
from search.spaces.nb201 import Nb201Space
from search.values import Origin, Value

SPACE = Nb201Space()


def cells(count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    found: dict[Architecture, None] = {}
    while len(found) < count:
        found[SPACE.sample(rng)] = None
    return list(found)


def true_cost(architecture: Architecture) -> float:
    return 1e-3 + 1e-10 * SPACE.macs(architecture)


def known(count: int, noise: float = 0.02, **more: Value) -> Known:
    rng = np.random.default_rng(1)
    evaluations = {}
    for number, architecture in enumerate(cells(count)):
        latency = Value(true_cost(architecture) * float(np.exp(noise * rng.standard_normal())))
        figures = {"latency_s@pi": latency, "energy_j@pi": Value.missing("no meter"), **more}
        evaluations[architecture.text] = Evaluation(number, architecture.text, 0, 0, figures=figures)
    return Known("mine", SPACE, evaluations)


def test_a_network_that_nobody_measured_gets_a_labelled_figure_with_an_interval() -> None:
    fresh = [a for a in cells(120, seed=5) if a.text not in known(60).evaluations]
    [forecast] = forecasts(known(60), ["latency_s@pi"], fresh)
    true = np.array([true_cost(architecture) for architecture in fresh])
    assert {value.origin for value in forecast.values} == {Origin.PREDICTED}
    assert {value.samples for value in forecast.values} == {60}
    mean = np.array([value.value for value in forecast.values], dtype=float)
    low = np.array([value.low for value in forecast.values], dtype=float)
    high = np.array([value.high for value in forecast.values], dtype=float)
    assert np.median(np.abs(mean / true - 1)) < 0.02
    assert ((low <= true) & (true <= high)).mean() > 0.9


def test_how_far_to_trust_it_is_measured_on_figures_that_were_held_out() -> None:
    fresh = cells(1, seed=7)
    [calm] = forecasts(known(60, noise=0.02), ["latency_s@pi"], fresh)
    [wild] = forecasts(known(60, noise=0.4), ["latency_s@pi"], fresh)
    # No model can foretell the noise: what was not held out could look better than it.
    assert calm.trust.median_error is not None
    assert wild.trust.median_error is not None
    assert 0.008 < calm.trust.median_error < 0.03
    assert 0.15 < wild.trust.median_error < 0.5
    assert calm.trust.tau is not None
    assert wild.trust.tau is not None
    assert calm.trust.tau > wild.trust.tau
    assert calm.trust.measurements == 60
    assert calm.trust.covered is not None
    assert 54 <= calm.trust.covered <= 60


def test_accuracies_stay_between_0_and_1_and_are_ranked() -> None:
    rng = np.random.default_rng(2)
    accuracies = {}
    for number, architecture in enumerate(cells(150)):
        share = min(1.0, 0.5 + 0.1 * architecture.text.count("3") + 0.02 * float(rng.standard_normal()))
        accuracies[architecture.text] = Evaluation(number, architecture.text, 0, 0, figures={"accuracy": Value(share)})
    fresh = Known("mine", SPACE, accuracies).unknown(30)
    [forecast] = forecasts(Known("mine", SPACE, accuracies), ["accuracy"], fresh)
    for value in forecast.values:
        assert value.low is not None
        assert value.value is not None
        assert value.high is not None
        assert 0 <= value.low <= value.value <= value.high <= 1
    assert forecast.trust.tau is not None
    assert forecast.trust.tau > 0.6
    assert forecast.trust.covered is not None
    assert 135 <= forecast.trust.covered <= 150


def test_what_was_measured_is_told_as_it_was_measured() -> None:
    some = known(20)
    architecture = Architecture(next(iter(some.evaluations)))
    [forecast] = forecasts(some, ["latency_s@pi"], [architecture])
    assert forecast.values == (some.evaluations[architecture.text].figures["latency_s@pi"],)


def test_what_cannot_run_is_not_said_to_take_so_long() -> None:
    some = known(20)
    architecture = cells(1, seed=9)[0]
    failure = Failure("crashed", "signal 11")
    broken = Evaluation(99, architecture.text, 0, 0, failure=failure)
    everything = Known("mine", SPACE, {**some.evaluations, architecture.text: broken})
    [forecast] = forecasts(everything, ["latency_s@pi"], [architecture])
    assert forecast.values == (Value.missing("crashed: signal 11"),)


def test_what_was_not_measured_for_another_reason_is_predicted() -> None:
    some = known(20)
    architecture = cells(1, seed=9)[0]
    figures = {"latency_s@pi": Value.missing("device lost: unplugged")}
    lost = Evaluation(99, architecture.text, 0, 0, figures=figures)
    everything = Known("mine", SPACE, {**some.evaluations, architecture.text: lost})
    [forecast] = forecasts(everything, ["latency_s@pi"], [architecture])
    assert forecast.values[0].origin is Origin.PREDICTED


def test_too_few_measurements_for_an_interval_make_none() -> None:
    [forecast] = forecasts(known(12), ["latency_s@pi"], cells(1, seed=9))
    assert forecast.values[0].low is None
    assert forecast.trust.covered is None


def test_too_few_measurements_are_refused_with_what_there_is_enough_of() -> None:
    with pytest.raises(PredictionError, match="'mine' has 9 measurements of latency_s@pi, a prediction wants 10"):
        known(LEAST - 1).names(["latency_s@pi"])
    with pytest.raises(PredictionError, match="'mine' has 0 measurements of energy_j@pi") as caught:
        known(LEAST).names(["energy_j@pi"])
    assert caught.value.remedy == "measured often enough: latency_s@pi (10)"
    with pytest.raises(PredictionError, match="'mine' has too few measurements of any cost") as caught:
        known(3).names()
    assert caught.value.remedy == "measure more"
    with pytest.raises(ObjectiveError, match="no such quantity as 'latency_ms'"):
        known(LEAST).names(["latency_ms@pi"])


def test_without_a_wish_all_costs_are_predicted() -> None:
    some = known(
        LEAST, accuracy=Value(0.9), **{"peak_memory_bytes@pi": Value(1e6), "worst(latency_s@pi/1)": Value(1.0)}
    )
    assert some.names() == ["latency_s@pi", "peak_memory_bytes@pi"]
    assert some.names(["accuracy", "accuracy"]) == ["accuracy"]


def test_random_networks_are_different_ones_that_nobody_measured() -> None:
    some = known(30)
    drawn = some.unknown(20, seed=3)
    assert len({architecture.text for architecture in drawn} - some.evaluations.keys()) == 20
    assert drawn == some.unknown(20, seed=3)
    assert drawn != some.unknown(20, seed=4)
    assert some.unknown(0) == []


def test_a_text_that_names_no_network_is_refused() -> None:
    with pytest.raises(PredictionError, match="'resnet' is no network of the space nb201-") as caught:
        known(3).architecture("resnet")
    assert caught.value.remedy.startswith("write it like ")


def test_a_table_is_read(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="recorded tables are Parquet: install pyarrow")
    some = known(12)
    read = Known.read(record(tmp_path, SPACE, list(some.evaluations.values()), {}, title="mine"))
    assert (read.title, read.space, read.counts()) == ("mine", SPACE, some.counts())
    assert next(iter(read.evaluations.values())).figures["latency_s@pi"].origin is Origin.REPLAYED


def test_a_run_is_read_while_it_runs(tmp_path: Path) -> None:
    config = {"title": "mine", "data": "digits", "objectives": ["accuracy", "latency_s@pi"]}
    with RunLog.create(tmp_path / "run", "1", {"config": config}, durable=False) as log:
        log.asked(["8-c3_8-c3_8-c3", "8-c5_8-c3_8-c3"])
        log.told(Evaluation(1, "8-c5_8-c3_8-c3", 1, 1, figures={"latency_s@pi": Value(0.1)}))
        read = Known.read(tmp_path / "run")
    assert list(read.evaluations) == ["8-c5_8-c3_8-c3"]
    assert read.space.parse("8-c3_8-c3_8-c3").text == "8-c3_8-c3_8-c3"


def test_neither_a_run_nor_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunLogError, match="holds no run"):
        Known.read(tmp_path)
