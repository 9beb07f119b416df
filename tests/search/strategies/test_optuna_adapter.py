"""Optuna's samplers: the contract, what they are told, and the study that its dashboard reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks._stats import mean_interval
from benchmarks._yardstick import Problem
from search.errors import StrategyError
from search.objectives import Constraint, Objective
from search.strategies import RandomSearch, Strategy
from search.strategies.registry import make
from tests.search.strategies.contract import StrategyContract
from tests.search.strategies.nb201 import shares
from tests.search.strategies.problems import OBJECTIVES, DigitSpace

optuna = pytest.importorskip("optuna", reason="install gauntlet[optuna]")

from search.strategies.optuna_adapter import OptunaSearch  # noqa: E402  # after the skip


class TestTpe(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return OptunaSearch(space, OBJECTIVES, constraints, seed)


class TestTpeWithOneObjective(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return OptunaSearch(space, OBJECTIVES[:1], constraints, seed)


class TestNsgaII(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return OptunaSearch(space, OBJECTIVES, constraints, seed, "nsgaii", population=10)


class TestNsgaIII(StrategyContract):
    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return OptunaSearch(space, OBJECTIVES, constraints, seed, "nsgaiii", population=10)


class TestRandom(StrategyContract):
    learns = False

    def make(self, space: Any, constraints: Sequence[Constraint] = (), seed: int = 0) -> Strategy:
        return OptunaSearch(space, OBJECTIVES, constraints, seed, "random")


def stored(path: Path, bounds: Sequence[Constraint] = (), seed: int = 0, study: str = "gauntlet") -> OptunaSearch:
    space: Any = DigitSpace()
    return OptunaSearch(space, OBJECTIVES, bounds, seed, storage=f"sqlite:///{path / 'search.db'}", study=study)


def test_a_study_in_a_database_holds_what_was_told(tmp_path: Path) -> None:
    space = DigitSpace()
    bound = Constraint.parse("latency_s@board <= 0.0005")
    strategy = stored(tmp_path, [bound])
    asked = strategy.ask(6)
    told = [space.evaluate(number, a) for number, a in enumerate(asked[:4])] + [space.failed(4, asked[4])]
    strategy.tell(told)

    study = optuna.load_study(study_name="gauntlet", storage=f"sqlite:///{tmp_path / 'search.db'}")
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["accuracy", "latency_s@board"]
    assert len(study.trials) == 5
    for evaluation, trial in zip(told[:4], study.trials, strict=False):
        figures = [evaluation.value(objective.name).value for objective in OBJECTIVES]
        assert trial.values == figures
        assert trial.user_attrs == {"architecture": evaluation.architecture, "number": evaluation.number}
        assert "".join(trial.params[decision.name] for decision in space.decisions) == evaluation.architecture
        assert trial.constraints == {str(bound): pytest.approx(max(0.0, figures[1] / 0.0005 - 1))}
    assert study.trials[4].state is optuna.trial.TrialState.FAIL
    assert study.trials[4].user_attrs["failure"] == "unsupported operation: no kernel"
    assert {t.user_attrs["architecture"] for t in study.best_trials} <= {e.architecture for e in told}


def test_a_search_that_goes_on_finds_its_trials_again(tmp_path: Path) -> None:
    space = DigitSpace()
    first = stored(tmp_path)
    asked = first.ask(5)
    told = [space.evaluate(number, a) for number, a in enumerate(asked)]
    first.tell(told[:3])
    second = stored(tmp_path)
    second.recall(asked)
    second.tell(told[:4])
    study = optuna.load_study(study_name="gauntlet", storage=f"sqlite:///{tmp_path / 'search.db'}")
    assert [trial.user_attrs["number"] for trial in study.trials] == [0, 1, 2, 3]


def test_the_study_of_another_search_is_refused(tmp_path: Path) -> None:
    space: Any = DigitSpace()
    for seed, study in ((0, "gauntlet"), (1, "mine")):
        strategy = stored(tmp_path, seed=seed, study=study)
        strategy.tell([space.evaluate(0, strategy.ask(1)[0])])
    other = stored(tmp_path, seed=1)
    answer = space.evaluate(0, other.ask(1)[0])
    with pytest.raises(StrategyError, match=r"candidate 0 of 'gauntlet'.* of another search"):
        other.tell([answer])
    with pytest.raises(StrategyError, match="storage"):
        OptunaSearch(space, OBJECTIVES[:1], storage=f"sqlite:///{tmp_path / 'search.db'}")
    elsewhere = (OBJECTIVES[0], Objective.parse("latency_s@elsewhere"))
    with pytest.raises(StrategyError, match=r"'gauntlet' in the storage is after accuracy, latency_s@board"):
        OptunaSearch(space, elsewhere, storage=f"sqlite:///{tmp_path / 'search.db'}")


@pytest.mark.parametrize("url", ["nothing", "postgresql://me:secret@127.0.0.1:1/none", "sqlite:////none/there.db"])
def test_a_storage_that_cannot_be_opened_is_refused_without_its_password(url: str) -> None:
    space: Any = DigitSpace()
    with pytest.raises(StrategyError, match="storage: Optuna cannot use it") as caught:
        OptunaSearch(space, OBJECTIVES, storage=url)
    assert "secret" not in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"sampler": "tbe"}, "did you mean tpe"), ({"population": 1}, "population"), ({"smapler": "tpe"}, "sampler")],
)
def test_impossible_settings_are_refused(settings: Mapping[str, Any], message: str) -> None:
    space: Any = DigitSpace()
    with pytest.raises(StrategyError) as caught:
        make("optuna", space, OBJECTIVES, settings=settings)
    assert message in f"{caught.value.message} {caught.value.remedy}"


def test_known_architectures_cost_nothing_also_where_the_sampler_insists_on_them() -> None:
    """Flat figures, so that TPE likes whatever it knows: a space of 64 is still searched out."""
    space: Any = DigitSpace(length=3)
    strategy = OptunaSearch(space, OBJECTIVES[:1], seed=2)
    for number in range(64):
        strategy.tell([space.evaluate(number, strategy.ask(1)[0])])
    assert len({evaluation.architecture for evaluation in strategy.evaluations}) == 64


def test_optuna_itself_stays_as_talkative_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    before = optuna.logging.get_verbosity()
    space: Any = DigitSpace()
    strategy = OptunaSearch(space, OBJECTIVES, sampler="nsgaiii")
    strategy.tell([space.failed(number, a) for number, a in enumerate(strategy.ask(3))])
    assert optuna.logging.get_verbosity() == before
    assert capsys.readouterr() == ("", "")


def test_beats_random_search_on_recorded_hardware(pixel_and_fpga: Problem) -> None:
    """NSGA-II of Optuna, hypervolume after 140 queries, five paired seeds, on (error, Pixel 3, FPGA)."""
    gains = [
        shares(pixel_and_fpga, OptunaSearch, 140, seed, sampler="nsgaii")[-1]
        - shares(pixel_and_fpga, RandomSearch, 140, seed)[-1]
        for seed in range(5)
    ]
    assert mean_interval(gains)[0] > 0
