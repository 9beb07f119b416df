"""The best candidates, trained alone: which, how, what is kept of it, and what a stop or a kill costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from search.campaign import finalists, winners
from search.campaign.campaign import about
from search.campaign.candidates import Candidate, CandidateError
from search.campaign.config import CampaignConfig, load, parse
from search.campaign.finalists import Entry, Finalists, finalists_of, spread
from search.campaign.makers import SupernetMaker, maker_for
from search.campaign.measurements import DataSets
from search.campaign.problem import Problem
from search.campaign.reporting import report_input
from search.campaign.sections import ConfigError
from search.campaign.uploads import NO_DATA
from search.errors import SearchError
from search.evaluations import Evaluation
from search.executors import executor
from search.objectives import Objective
from search.runlog import RunLog
from search.supernet import TrainingDivergedError
from search.supernet.standalone import Trained, Training, carry_out, read_weights
from search.values import Value
from tests.search.campaign import tiny

OBJECTIVES = [Objective.parse("accuracy"), Objective.parse("latency_s@local")]


def member(number: int, accuracy: float, latency_s: float, architecture: str = "a") -> Evaluation:
    figures = {"accuracy": Value(accuracy), "latency_s@local": Value(latency_s)}
    return Evaluation(number, architecture, 1, 1, figures=figures, digests={"int8": "0" * 64})


# ----------------------------------------------------------------------------------------------------- which


def test_finalists_are_far_from_each_other_and_the_most_accurate_comes_first() -> None:
    front = [member(0, 0.5, 1.0), member(1, 0.9, 9.0), member(2, 0.88, 8.8), member(3, 0.7, 5.0)]
    assert [one.number for one in spread(front, OBJECTIVES, 3)] == [1, 0, 3]


points = st.lists(st.tuples(st.floats(0, 1), st.floats(1e-6, 1)), max_size=12)


@given(points, st.integers(0, 14))
def test_of_a_front_as_many_are_taken_as_there_are_and_none_twice(found: list[tuple[float, float]], count: int) -> None:
    front = [member(number, *point) for number, point in enumerate(found)]
    chosen = spread(front, OBJECTIVES, count)
    assert len({one.number for one in chosen}) == len(chosen) == min(count, len(front))
    if chosen:
        assert chosen[0].value("accuracy").value == max(point[0] for point in found)


# ------------------------------------------------------------------------------------------------------- how


class Told:
    """A supernet that learned nothing, two candidates on its front, and finalists on the run's log."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        chosen = {"networks": 2, "epochs": 1, "seeds": 2, **changes.pop("finalists", {})}
        self.config = load(tiny.write(folder, finalists=chosen, **changes))
        self.run = folder / "run"
        self.problem = Problem.of(self.config)
        self.maker = maker_for(self.problem, self.run / "supernet.pt")
        self.said: list[tuple[int, int]] = []
        rng = np.random.default_rng(0)
        texts = [self.problem.space.sample(rng).text for _ in range(2)]
        with RunLog.create(self.run, "1.0", about(self.config)) as log:
            log.asked(texts)
            for number, text in enumerate(texts):
                figures = {o.name: Value(0.5 - 0.1 * number) for o in self.config.parsed_objectives()}
                log.told(Evaluation(number, text, 1, 1, figures=figures))
            log.note("finals", {str(n): {"accuracy": Value(0.4 + n / 10).to_json()} for n in range(2)})

    def train(self, stop: Callable[[], bool] = lambda: False) -> bool:
        with RunLog.open(self.run) as log:
            trainings = self._of(log, stop)
            return asyncio.run(trainings.train(trainings.choose(log.history.evaluations)))

    def measure(self, evaluator: Any) -> bool:
        with RunLog.open(self.run) as log:
            trainings = self._of(log)
            entries = trainings.choose([])
            return asyncio.run(trainings.measure(entries, evaluator, NO_DATA))

    def known(self) -> list[finalists.Finalist]:
        with RunLog.open(self.run) as log:
            return finalists_of(log.history)

    def _of(self, log: RunLog, stop: Callable[[], bool] = lambda: False) -> Finalists:
        return Finalists(log, self.problem, self.maker, lambda *n: self.said.append(n), lambda text: None, stop)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[Training]:
    """Trainings are done in this process, and counted."""
    done: list[Training] = []

    def in_this_process(workers: int, threads: int, note: object) -> AbstractContextManager[Executor]:
        assert workers >= 1
        return executor(0)

    def counted(training: Training) -> Trained:
        done.append(training)
        return carry_out(training)

    monkeypatch.setattr(finalists, "executor", in_this_process)
    monkeypatch.setattr(finalists, "carry_out", counted)
    return done


class Devices:
    """An evaluator that measures nothing, but says what it was given."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def kept(self, candidate: Candidate) -> dict[str, str]:
        return {"int8": candidate.digest}

    async def confirm(self, data: DataSets, digest: str) -> dict[str, Value]:
        self.asked.append(digest)
        return {"accuracy": Value(0.5 + len(self.asked) / 100)}


def test_every_network_is_trained_from_each_beginning_with_each_seed(tmp_path: Path, here: list[Training]) -> None:
    told = Told(tmp_path)
    assert told.train()
    entries = [finalist.entry for finalist in told.known()]
    assert entries == [Entry(n, w, s) for n in (0, 1) for w in ("inherited", "scratch") for s in (0, 1)]
    assert told.said[-1] == (8, 8)
    assert {training.seed for training in here} == {4_000_003, 4_000_004}
    assert {training.weights is None for training in here} == {True, False}
    assert all(training.judged_on == "validation" for training in here)  # no choice may see test images
    assert not list((tmp_path / "run" / "finalists").glob("*.state.pt"))
    states = {path.name: path.read_bytes() for path in (tmp_path / "run" / "finalists").glob("*.pt")}
    assert len(states) == 8 + 2
    assert len(set(states.values())) == 10


def test_what_is_trained_is_not_trained_again_and_comes_out_alike(tmp_path: Path, here: list[Training]) -> None:
    told = Told(tmp_path, finalists={"networks": 1, "seeds": 1})
    assert told.train()
    first = {path.name: read_weights(path.read_bytes()) for path in (tmp_path / "run/finalists").glob("*-0.pt")}
    assert told.train()
    assert len(here) == 2
    for path in (tmp_path / "run" / "finalists").glob("*.pt"):
        path.unlink()  # somebody cleaned up
    assert told.train()
    assert len(here) == 4
    for name, weights in first.items():
        again = read_weights((tmp_path / "run" / "finalists" / name).read_bytes())
        assert all(torch.equal(value, again[key]) for key, value in weights.items())


def test_a_stop_keeps_what_is_finished(tmp_path: Path, here: list[Training]) -> None:
    told = Told(tmp_path, finalists={"networks": 1, "seeds": 2})
    assert not told.train(stop=lambda: told.said[-1][0] > 0)
    before = len(told.known())
    assert 0 < before < 4
    assert told.train()
    assert len(told.known()) == 4


def test_the_networks_are_chosen_once(tmp_path: Path, here: list[Training]) -> None:
    told = Told(tmp_path, finalists={"networks": 1, "seeds": 1, "weights": ["scratch"]})
    with RunLog.open(told.run) as log:
        front = log.history.evaluations
        first = told._of(log).choose(front)
        assert told._of(log).choose(front[::-1][:1]) == first == [Entry(0, "scratch", 0)]


def test_a_training_that_diverges_is_a_finding_and_the_others_go_on(
    tmp_path: Path, here: list[Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverges_once(training: Training) -> Trained:
        if training.seed == 4_000_003:
            raise TrainingDivergedError(3, float("nan"), "the loss", None)
        return carry_out(training)

    monkeypatch.setattr(finalists, "carry_out", diverges_once)
    told = Told(tmp_path, finalists={"networks": 1, "weights": ["scratch"]})
    assert told.train()
    diverged, fine = told.known()
    assert "training stopped in step 3" in diverged.failure
    assert not fine.failure
    devices = Devices()
    assert told.measure(devices)
    assert len(devices.asked) == 1
    assert told.train()  # and it is not tried again
    assert told.known()[0].failure


def test_other_errors_end_it_and_what_is_finished_is_kept(
    tmp_path: Path, here: list[Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    def strikes_nothing(training: Training) -> Trained:
        if training.seed == 4_000_004:
            raise SearchError("nothing to strike")
        return carry_out(training)

    monkeypatch.setattr(finalists, "carry_out", strikes_nothing)
    told = Told(tmp_path, finalists={"networks": 1, "weights": ["scratch"]})
    with pytest.raises(SearchError, match="nothing to strike"):
        told.train()
    assert len(told.known()) == 1


def test_candidates_that_were_trained_alone_begin_from_scratch_only(tmp_path: Path, here: list[Training]) -> None:
    told = Told(tmp_path, weights="alone", finalists={"networks": 1, "seeds": 1, "epochs": 2})
    assert told.train()
    assert [finalist.entry for finalist in told.known()] == [Entry(0, "scratch", 0)]
    assert here[0].settings.epochs == 2


def test_they_are_trained_under_the_faults_of_the_search_unless_told(tmp_path: Path) -> None:
    faults = {"model": "adSAF(p=0.05)", "alpha": 0.4}
    usual = {"supernet": {"epochs": 1, "faults": faults, "augment": {"crop": 1}}}
    one = CampaignConfig.model_validate(tiny.document(**usual, finalists={"networks": 1, "epochs": 3}))
    settings = finalists.settings_of(one)
    assert settings.faults is not None
    assert (settings.faults.alpha, settings.augment.crop, settings.epochs) == (0.4, 1, 3)
    told = {"networks": 1, "faults": {**faults, "alpha": 0.9}, "augment": {"crop": 2}}
    other = finalists.settings_of(CampaignConfig.model_validate(tiny.document(**usual, finalists=told)))
    assert other.faults is not None
    assert (other.faults.alpha, other.augment.crop) == (0.9, 2)


# --------------------------------------------------------------------------------------- what becomes of them


def test_files_cards_and_the_report_say_how_each_was_trained(tmp_path: Path, here: list[Training]) -> None:
    told = Told(tmp_path, finalists={"networks": 1})
    assert told.train()

    class Kept(Devices):
        def kept(self, candidate: Candidate) -> dict[str, str]:
            assert candidate.model is not None
            candidate.model.save(told.run / "models" / f"{candidate.digest}.tflite")
            return super().kept(candidate)

    devices = Kept()
    (told.run / "models").mkdir()
    assert told.measure(devices)
    assert told.measure(devices)  # nothing is measured again
    assert len(devices.asked) == 4
    with RunLog.open(told.run) as log:
        (told.run / "winners").mkdir()
        winners.add_finalists(told.run, told.run / "models", log.history, told.config, "id")
        drawn = report_input(log.history, told.run)
    cards = {path.stem: json.loads(path.read_text()) for path in (told.run / "winners").glob("*.json")}
    assert len(cards) == 4
    card = cards["candidate-000-inherited-1"]
    assert card["trained"]["seed"] == 4_000_004
    assert card["trained"]["weights"] == "those that it was searched with"
    assert card["trained"]["epochs"] == 1
    assert "method" not in card["trained"]
    assert (told.run / "winners" / card["model"]).exists()
    assert 0 < card["confirmed_on"]["figures"]["accuracy"]["value"] < 1
    assert drawn.finalists is not None
    (network,) = drawn.finalists.networks
    assert network.searched["accuracy"].value == pytest.approx(0.4)
    assert {name: len(seeds) for name, seeds in network.trained.items()} == {"inherited": 2, "scratch": 2}
    assert network.files["candidate-000-scratch-0.tflite"] == "winners/candidate-000-scratch-0.tflite"


def test_a_network_that_can_be_no_file_is_said(
    tmp_path: Path, here: list[Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Candidate:
        raise CandidateError("the exported file agrees with its network on 3 % of the images only")

    told = Told(tmp_path, finalists={"networks": 1, "seeds": 1, "weights": ["scratch"]})
    assert told.train()
    monkeypatch.setattr(finalists, "export", broken)
    assert told.measure(Devices())
    assert "agrees with its network" in told.known()[0].failure


# ------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"finalists": {"networks": -1}}, "finalists.networks"),
        ({"finalists": {"networks": 1, "workers": 0}}, "finalists.workers"),
        ({"finalists": {"networks": 1, "weights": ["random"]}}, "finalists.weights"),
        ({"finalists": {"networks": 1, "weights": ["scratch", "scratch"]}}, "each beginning once"),
        ({"finalists": {"networks": 1, "weights": ["inherited"]}, "weights": "alone"}, "write scratch"),
        (
            {
                "finalists": {"networks": 1, "epochs": 2},
                "supernet": {"epochs": 9, "faults": {"model": "adSAF(p=0.1)", "clean_epochs": 5}},
            },
            "do not fit into 2",
        ),
        ({"supernet": {"fine_tune": {"steps": 0}}}, "supernet.fine_tune.steps"),
        ({"supernet": {"fine_tune": {"learning_rate": 0}}}, "supernet.fine_tune.learning_rate"),
    ],
)
def test_settings_that_cannot_be_are_one_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as wrong:
        parse(tiny.document(**changes), "campaign.yaml")
    assert "\n" not in wrong.value.message


def test_a_recorded_table_has_no_networks_to_train() -> None:
    with pytest.raises(ConfigError, match="no networks to train"):
        parse({"replay": "nb201", "objectives": ["accuracy"], "finalists": {"networks": 1}}, "campaign.yaml")


def test_variations_that_images_are_too_small_for_are_said_before_the_search(tmp_path: Path) -> None:
    config = load(tiny.write(tmp_path, finalists={"networks": 1, "augment": {"crop": 50}}))
    with pytest.raises(SearchError, match=r"finalists\.augment"):
        Problem.of(config)


# ------------------------------------------------------------------------------------------------ fine-tuning


def maker_of(folder: Path, **supernet: Any) -> SupernetMaker:
    changes = {"epochs": 1, "batch": 32, "learning_rate": 0.1, **supernet}
    problem = Problem.of(load(tiny.write(folder, supernet=changes)))
    maker = maker_for(problem, folder / "supernet.pt")
    assert isinstance(maker, SupernetMaker)
    return maker


@pytest.mark.parametrize("faults", [None, {"model": "adSAF(p=0.05)", "ramp_epochs": 1}])
def test_a_fine_tuned_candidate_is_the_same_to_the_bit_and_named_as_what_it_is(
    tmp_path: Path, faults: dict[str, Any] | None
) -> None:
    tuned = {"fine_tune": {"steps": 3, "learning_rate": 0.05}, "faults": faults}
    maker = maker_of(tmp_path, **tuned)
    architecture = maker.problem.space.sample(np.random.default_rng(1))
    candidate = maker.make(architecture)
    torch.manual_seed(5)
    assert maker_of(tmp_path, **tuned).make(architecture).digest == candidate.digest
    assert "fine_tuned_accuracy" in candidate.figures
    assert "inherited_accuracy" not in candidate.figures
    plain = maker_of(tmp_path, faults=faults).make(architecture)
    assert "inherited_accuracy" in plain.figures
    assert plain.digest != candidate.digest


def test_fine_tuning_that_diverges_is_the_candidates_failure(tmp_path: Path) -> None:
    maker = maker_of(tmp_path, fine_tune={"steps": 4, "learning_rate": 1e30})
    with pytest.raises(CandidateError, match="training stopped in step") as failed:
        maker.make(maker.problem.space.sample(np.random.default_rng(1)))
    assert failed.value.step == "fine-tuning"
