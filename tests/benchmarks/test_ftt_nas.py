"""The reproduction of FTT-NAS: what is chosen, compared and kept, and that it is what its documentation promises."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import _ftt_study
from benchmarks._ftt_networks import baseline
from benchmarks._ftt_report import best_baseline, by_seed, paired, tables, with_interval
from benchmarks._ftt_settings import MOBILENET, QUICK, RESNET, SETTINGS, VGG, Setting
from benchmarks._ftt_study import RANDOM, RESULTS, SEARCHED, Piece, Results, Study, pieces
from benchmarks._ftt_tasks import Training, carry_out, choose, deployed_accuracy, matched, write_campaign
from benchmarks._report import Report, main
from benchmarks.ftt_nas import parser
from search.campaign.config import load, parse
from search.campaign.problem import fault_seed, final_fault_seed, space
from search.data import Augmentation, Split
from search.errors import SearchError
from search.evaluations import Evaluation, Failure
from search.export import export_tflite
from search.fault_training import FaultTraining
from search.spaces.mobile import MobileSpace
from search.values import Value

SHORT = SETTINGS["short"][0]
CONFIG = parse(
    {
        "data": "digits",
        "objectives": ["accuracy@adSAF(p=0.08)", "accuracy"],
        "constraints": ["macs <= 100"],
    },
    "test",
)
FAULTY = next(objective.name for objective in CONFIG.parsed_objectives() if "@" in objective.name)


def _evaluation(number: int, macs: int, faulty: float, failure: Failure | None = None) -> Evaluation:
    figures = {FAULTY: Value(faulty), "accuracy": Value(0.9)}
    return Evaluation(number, f"a{number}", macs, 10, figures, failure=failure)


def test_the_network_with_the_highest_accuracy_under_faults_within_the_bounds_is_chosen() -> None:
    failed = _evaluation(3, 10, 0.99, Failure("crash", "it crashed"))
    known = [_evaluation(0, 50, 0.4), _evaluation(1, 100, 0.6), _evaluation(2, 101, 0.8), failed]
    assert choose(CONFIG, known).number == 1


def test_a_search_without_a_usable_candidate_says_so() -> None:
    with pytest.raises(SearchError, match="no candidate"):
        choose(CONFIG, [_evaluation(0, 101, 0.8)])


def test_random_networks_have_the_macs_of_the_searched_one_and_differ_between_seeds() -> None:
    searched_space = MobileSpace((3, 16, 16), 10)
    searched = searched_space.sample(np.random.default_rng(5))
    drawn = [matched(searched_space, searched, seed, number) for seed in range(3) for number in (1, 2)]
    assert len(set(drawn)) == 6
    assert searched not in drawn
    macs = searched_space.macs(searched)
    assert all(abs(searched_space.macs(network) - macs) <= 0.05 * macs for network in drawn)
    assert matched(searched_space, searched, 0, 1) == drawn[0]


def test_a_space_without_another_network_of_that_size_is_refused() -> None:
    one = MobileSpace((3, 16, 16), 10, widths=((8,),), depth=1, kernels=(3,), expansions=(1,), kinds=("c",))
    with pytest.raises(SearchError, match="hardly any"):
        matched(one, one.sample(np.random.default_rng(0)), 0, 1)


def test_the_example_is_bounded_by_what_resnet_20_needs(tmp_path: Path) -> None:
    write_campaign(tmp_path / "c.yaml", replace(SHORT.recipe, data=str(tmp_path)), {}, 0)
    config = load(tmp_path / "c.yaml")
    resnet = baseline(RESNET, (3, 16, 16), 10)
    macs = resnet.macs(resnet.sample(np.random.default_rng(0)))
    least, most = (bound.bound for bound in config.parsed_constraints())
    assert least < macs <= most
    assert most - macs < 0.001 * macs
    searched = space(config, (3, 16, 16), 10)
    rng = np.random.default_rng(0)
    within = [least <= searched.macs(searched.sample(rng)) <= most for _ in range(400)]
    assert 0.03 < np.mean(within) < 0.5  # there is something to choose from, and it can be drawn


def test_every_setting_makes_a_campaign_that_can_be_read(tmp_path: Path) -> None:
    for setting in [QUICK, *(one for several in SETTINGS.values() for one in several)]:
        recipe = replace(setting.recipe, data=setting.recipe.data or str(tmp_path))
        write_campaign(tmp_path / "c.yaml", recipe, setting.campaign, 2)
        config = load(tmp_path / "c.yaml")
        assert config.seed == 2
        assert setting.recipe.endpoint in setting.recipe.conditions
        trained = config.supernet.faults
        assert trained is not None
        assert trained.settings().model == setting.recipe.faults.model  # the same faults in search and training
        assert any("@" in objective.name for objective in config.parsed_objectives())


def test_no_pattern_of_faults_serves_two_purposes() -> None:
    for setting in (one for several in SETTINGS.values() for one in several):
        config = CONFIG.model_copy(update={"seed": setting.searches - 1})
        training = {seed + 3_000_003 for seed in range(max(setting.seeds, setting.searches))}
        search = {fault_seed(CONFIG), fault_seed(config), final_fault_seed(CONFIG), final_fault_seed(config)}
        assert setting.recipe.test_seed not in training | search
        assert not training & search


def test_the_search_comes_first_and_what_it_finds_waits_for_it(tmp_path: Path) -> None:
    order = pieces(SHORT)
    assert order[0] == Piece("search", 0)
    assert len(set(order)) == len(order)
    assert {piece.seed for piece in order if piece.role == SEARCHED} == {0, 1, 2}
    assert [piece.role for piece in order if not piece.faulty] == [RESNET, SEARCHED]


class _Executor(ThreadPoolExecutor):
    """Counts what it is given."""

    def __init__(self) -> None:
        super().__init__(1)
        self.given: list[str] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.given.append(args[0].network if isinstance(args[0], Training) else "search")
        return super().submit(fn, *args, **kwargs)


SEARCH_RESULT = {
    "architecture": "8-c3_8-c5",
    "macs": 1_000_000,
    "parameters": 1000,
    "inherited": {"accuracy@local": Value(0.6).to_json(), FAULTY: Value(0.3).to_json()},
    "confirmed": {},
    "candidates": 4,
    "failed": 0,
    "train_s": 1.0,
    "search_s": 2.0,
}


def _result(task: Training) -> dict[str, Any]:
    level = {RESNET: 0.5, VGG: 0.4, "8-c3_8-c5": 0.6}.get(task.network, 0.45) + 0.01 * task.seed
    level -= 0.0 if task.faulty else 0.2
    under = {condition: [level - 0.01, level + 0.01] for condition in SHORT.recipe.conditions}
    hit = dict.fromkeys(SHORT.recipe.conditions, 0.09)
    shared = {"under": under, "hit": hit, "clean": 0.7, "macs": 1e6, "parameters": 1e3, "train_s": 2.0}
    return {**shared, "architecture": task.network}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces take no time."""
    monkeypatch.setattr(_ftt_study, "search", lambda *_: SEARCH_RESULT)
    monkeypatch.setattr(_ftt_study, "carry_out", _result)
    monkeypatch.setattr(_ftt_study, "space_of", lambda file: MobileSpace((3, 16, 16), 10, widths=((8,), (8, 16))))


def _setting(**changes: Any) -> Setting:
    return replace(SHORT, recipe=replace(SHORT.recipe, data="digits"), baselines=(RESNET, VGG), once=(), **changes)


@pytest.mark.usefixtures("made")
def test_a_study_is_carried_out_once(tmp_path: Path) -> None:
    with _Executor() as workers:
        assert Study(_setting(), tmp_path).carry_out(workers, 2) == []
    assert workers.given[0] == "search"
    assert len(workers.given) == len(pieces(_setting()))
    lines = (tmp_path / RESULTS).read_text().splitlines()
    (tmp_path / RESULTS).write_text("\n".join(lines[:-2]) + "\n" + lines[-1][:20])  # killed while it wrote
    with _Executor() as workers:
        Study(_setting(), tmp_path).carry_out(workers, 2)
    assert len(workers.given) == 2
    assert sorted((tmp_path / RESULTS).read_text().splitlines()) == sorted(lines)


@pytest.mark.usefixtures("made")
def test_differences_are_taken_in_pairs_and_against_the_best_of_the_others(tmp_path: Path) -> None:
    study = Study(_setting(), tmp_path)
    with _Executor() as workers:
        study.carry_out(workers, 1)
    assert best_baseline(study) == RESNET
    found = tables(study, [])
    differences = next(table for table in found if "less others" in table.title)
    against = {str(row["against"]): row for row in differences.rows}
    assert against[f"(a) best of the others: {RESNET}"]["0.08"] == "+10.0 (+10.0 to +10.0)"
    assert against["(b) random, of its MACs"]["0.08"] == "+15.0 (+15.0 to +15.0)"
    assert {row["a gain"] for row in differences.rows} == {"yes"}
    worth = next(table for table in found if "training with faults less" in table.title)
    assert {row["network"]: row["0.08"] for row in worth.rows} == {RESNET: "+20.0", SEARCHED: "+20.0"}
    searches = next(table for table in found if table.title.endswith("the searches"))
    assert {row["inherited, faults"] for row in searches.rows} == {"30"}


@pytest.mark.usefixtures("made")
def test_nothing_is_claimed_before_every_seed_is_there(tmp_path: Path) -> None:
    study = Study(_setting(), tmp_path)
    study.results.add(Piece("search", 0), SEARCH_RESULT)
    for role, network in ((SEARCHED, "8-c3_8-c5"), (f"{RANDOM} 1", "other")):
        piece = Piece(role, 0)
        study.results.add(piece, _result(Training(study.setting.recipe, network, None, 0, True, study.model(piece))))
    found = tables(study, ["ResNet-20, seed 0, faults: no memory"])
    differences = next(table for table in found if "less others" in table.title)
    assert [row.get("a gain") for row in differences.rows] == [None]
    assert any("none has been trained" in note for note in differences.notes)
    assert any("no memory" in note for note in found[0].notes)


@pytest.mark.usefixtures("made")
def test_what_fails_does_not_hold_up_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise SearchError("no such folder", "name one")

    monkeypatch.setattr(_ftt_study, "search", broken)
    with _Executor() as workers:
        failures = Study(_setting(), tmp_path).carry_out(workers, 1)
    assert failures[0].startswith("search, seed 0, faults: no such folder")
    assert any(failure.startswith("searched, seed 2") for failure in failures)
    assert workers.given.count(RESNET) == 4  # three seeds, and once without faults


def test_results_of_another_recipe_are_refused(tmp_path: Path) -> None:
    Results(tmp_path, "one").add(Piece(RESNET, 0), {})
    with pytest.raises(SearchError, match="another recipe"):
        Results(tmp_path, "two")


def test_a_line_that_is_no_result_is_named(tmp_path: Path) -> None:
    (tmp_path / RESULTS).write_text(json.dumps({"key": "a"}) + "\n")
    with pytest.raises(SearchError, match="line 1 is no result"):
        Results(tmp_path, "one")


def test_a_recipe_is_the_same_wherever_the_data_lies() -> None:
    assert replace(SHORT.recipe, data="here").digest == replace(SHORT.recipe, data="there").digest
    assert replace(SHORT.recipe, epochs=9).digest != SHORT.recipe.digest
    assert replace(SHORT.recipe, augment=Augmentation(crop=1)).digest != SHORT.recipe.digest
    assert replace(SHORT.recipe, faults=FaultTraining("adSAF(p=0.04)")).digest != SHORT.recipe.digest


def test_a_seed_with_several_networks_counts_once() -> None:
    def one(clean: float) -> Mapping[str, Any]:
        return {"clean": clean, "under": {"x": [clean - 0.2, clean]}}

    results = [(0, one(0.5)), (0, one(0.7)), (1, one(0.8))]
    assert by_seed(results, "clean") == pytest.approx({0: 0.6, 1: 0.8})
    assert by_seed(results, "x") == pytest.approx({0: 0.5, 1: 0.7})
    assert paired({0: 0.5, 1: 0.6, 2: 0.9}, {1: 0.5, 0: 0.45}) == pytest.approx([5, 10])


def test_an_interval_over_three_seeds_is_students() -> None:
    assert with_interval([1.0, 2.0, 3.0], "+") == "+2.0 (-0.5 to +4.5)"  # 4.303 · 1 / √3
    assert with_interval([4.0]) == "4.0"
    assert with_interval([]) == "–"


def test_baselines_are_as_large_as_they_are_known_to_be() -> None:
    sizes = {}
    for name in (RESNET, MOBILENET, VGG):
        alone = baseline(name, (3, 32, 32), 10)
        network = alone.sample(np.random.default_rng(0))
        sizes[name] = (alone.macs(network), alone.parameters(network))
    assert sizes[RESNET] == (40_551_040, 269_722)  # He et al.: 0.27 M
    assert 0.1e6 < sizes[MOBILENET][1] < 0.25e6
    assert sizes[VGG][0] < sizes[RESNET][0]


class _Brightest(nn.Module):
    """The class is the channel that is the brightest."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(4, 4, 1)
        self.tell = nn.Linear(4, 4)
        with torch.no_grad():
            self.look.weight.copy_(torch.eye(4)[:, :, None, None])
            self.tell.weight.copy_(torch.eye(4))
            self.look.bias.zero_()
            self.tell.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tell(torch.relu(self.look(x)).mean((2, 3)))


def test_a_deployed_file_is_tested_as_torch_would_and_rates_tell() -> None:
    images, labels = torch.rand(200, 4, 8, 8, generator=torch.manual_seed(0)), torch.arange(200) % 4
    images[torch.arange(200), labels] += 1.0
    network = _Brightest().eval()
    exported = export_tflite(network, (1, 4, 8, 8), calibration=images[:64])
    recipe = replace(SHORT.recipe, conditions=("adSAF(p=0.02)", "adSAF(p=0.6)"), patterns=8)
    found = deployed_accuracy(exported.data, exported.input_name, Split(images, labels), recipe)
    assert found["clean"] == 1.0
    mild, harsh = (float(np.mean(found["under"][condition])) for condition in recipe.conditions)
    assert len(found["under"]["adSAF(p=0.02)"]) == 8
    assert 1.0 >= mild > harsh
    assert 0 < found["hit"]["adSAF(p=0.02)"] < found["hit"]["adSAF(p=0.6)"] < 1


def test_a_network_is_trained_and_tested_and_leaves_its_file(tmp_path: Path) -> None:
    recipe = replace(QUICK.recipe, limit=130, images=30, patterns=2)
    found = carry_out(Training(recipe, VGG, None, 1, True, tmp_path / "models" / "a.tflite"))
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["a.tflite"]
    assert {len(accuracies) for accuracies in found["under"].values()} == {2}
    assert set(found["hit"]) == set(recipe.conditions)
    assert found["train_s"] > 0
    assert 0 <= found["clean"] <= 1


def test_data_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    recipe = replace(SHORT.recipe, data=str(tmp_path / "nowhere"))
    with pytest.raises(SearchError, match="no such file or folder") as caught:
        carry_out(Training(recipe, RESNET, None, 0, True, tmp_path / "a.tflite"))
    assert "--data" in caught.value.remedy


def test_its_own_options_stand_beside_those_of_all_benchmarks(tmp_path: Path) -> None:
    chosen, seen = argparse.Namespace(), list[tuple[str, bool]]()

    def run(quick: bool) -> Report:
        seen.append((chosen.setting, quick))
        return Report(skipped="a test")

    main(run, None, ["--json", str(tmp_path / "figures"), "--quick"], parents=[parser()], chosen=chosen)
    assert seen == [("short", True)]
    assert (tmp_path / "figures").is_file()
