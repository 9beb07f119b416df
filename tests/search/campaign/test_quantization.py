"""How candidates are stored as a part of the search: what a campaign file may say of it, and what it makes."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.campaign import makers
from search.campaign.campaign import create
from search.campaign.candidates import CandidateError, export
from search.campaign.config import CampaignConfig, load, parse
from search.campaign.makers import AloneMaker, SupernetMaker, maker_for
from search.campaign.problem import Problem
from search.campaign.sections import ConfigError
from search.conditions import unfit_for
from search.errors import SearchError
from search.replay.schema import TableError
from search.replay.spaces import document_of, space_of
from search.runlog import read_history
from search.spaces.mobile import MobileSpace
from search.spaces.quantized import QuantizedSpace
from search.spaces.storage import PRECISIONS
from tests.search.campaign import tiny

ALL = list(PRECISIONS)
OBJECTIVES = ["accuracy", "latency_s@local", "model_bytes"]


def document(**changes: Any) -> dict[str, Any]:
    chosen = {"precisions": ALL, "clip": [1.0, 0.8]}
    return {"objectives": OBJECTIVES, "faults": {}, "quantization": chosen, **changes}


def read(folder: Path, **changes: Any) -> CampaignConfig:
    return load(tiny.write(folder, **document(**changes)))


def test_without_the_key_the_space_is_what_it_was(tmp_path: Path) -> None:
    problem = Problem.of(load(tiny.write(tmp_path)))
    assert isinstance(problem.space, MobileSpace)
    one = problem.space.sample(np.random.default_rng(0))
    assert (problem.networks, problem.network(one)) == (problem.space, one)
    assert problem.storage(one).precision == "int8"


def test_the_key_makes_it_a_choice_and_survives_the_log(tmp_path: Path) -> None:
    config = read(tmp_path, quantization={"precisions": ["int8", "float32"], "per": "stage"})
    problem = Problem.of(config)
    assert isinstance(problem.space, QuantizedSpace)
    assert isinstance(problem.networks, MobileSpace)
    assert problem.space.parts == ("stage1", "stage2")
    assert parse(config.model_dump(mode="json"), "log") == config
    with create(tmp_path / "run", config) as log:
        assert log.history.about["config"]["quantization"]["per"] == "stage"


@pytest.mark.parametrize("weights", ["shared", "alone"])
def test_a_network_in_other_numbers_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str) -> None:
    pytest.importorskip("ai_edge_litert")
    config = read(tmp_path, weights=weights, training={"epochs": 1})
    problem = Problem.of(config)
    maker = maker_for(problem, tmp_path / "supernet.pt")
    assert isinstance(maker, SupernetMaker if weights == "shared" else AloneMaker)
    made: list[object] = []
    what, where = (
        ("train_alone", makers) if weights == "alone" else ("subnet", type(maker.supernet))  # type: ignore[attr-defined]
    )
    whole = getattr(where, what)

    def counting(*arguments: Any, **others: Any) -> Any:
        made.append(arguments)
        return whole(*arguments, **others)

    monkeypatch.setattr(where, what, counting)
    monkeypatch.setattr("search.campaign.candidates._LEAST_AGREEMENT", 0.0)  # the supernet has not learned anything
    network = problem.networks.sample(np.random.default_rng(0)).text
    stored = {text: maker.make(problem.space.parse(f"{network}_q{text}")) for text in ("b1000", "f1000", "w800")}
    assert len(made) == 1
    assert [candidate.model.precision for candidate in stored.values() if candidate.model] == [
        "int8",
        "float32",
        "int16x8",
    ]
    assert len({candidate.digest for candidate in stored.values()}) == 3
    assert len({value.figures["model_bytes"].value for value in stored.values()}) == 3
    again = maker_for(Problem.of(config), tmp_path / "supernet.pt")
    assert again.make(problem.space.parse(f"{network}_qw800")).digest == stored["w800"].digest


def test_a_file_that_no_runtime_runs_fails_in_the_runtimes_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ai_edge_litert")
    problem = Problem.of(read(tmp_path))
    network = problem.space.module(problem.space.sample(np.random.default_rng(0))).eval()

    def refuses(*_: object) -> None:
        raise RuntimeError("Only float32, uint8 and int8 are supported currently,\ngot INT16. Node number 0 failed.")

    monkeypatch.setattr("search.campaign.candidates.verify", refuses)
    assert problem.data is not None
    with pytest.raises(CandidateError, match=r"does not run on this host: Only .* currently, got INT16") as caught:
        export(network, problem.data, "inherited_accuracy", {})
    assert caught.value.kind == "not runnable"


def test_a_table_of_such_a_search_brings_its_space() -> None:
    space = QuantizedSpace(MobileSpace((1, 8, 8), 3), ("int8", "float16"), "stage", (1.0, 0.9))
    assert space_of(json.loads(json.dumps(document_of(space)))) == space
    with pytest.raises(TableError, match="cannot be made from the table alone"):
        space_of({"kind": "quantized", "precisions": ["int8"]})


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantization": {"precisions": ["int4"]}}, "quantization"),
        ({"quantization": {"precision": ["int8"]}}, "no key quantization.precision"),
        ({"quantization": {"clip": [0]}}, "greater than 0"),
        ({"quantization": {"per": "block"}}, "quantization.per"),
        (
            {"quantization": {"precisions": ["int8", "float16"]}, "faults": {"models": ["adSAF(p=0.04)"]}},
            "strikes weights of 8 bits, of which float16 has none, and would look immune: leave out float16",
        ),
        (
            {"quantization": {"precisions": ["int8", "int16x8"]}, "objectives": ["accuracy@MiBB(p_m=0.001)"]},
            "strikes features of 8 bits, of which int16x8 has none",
        ),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse(tiny.document(**document(**changes)), "x")
    assert caught.value.remedy


def test_a_recorded_table_cannot_be_stored_otherwise() -> None:
    with pytest.raises(ConfigError, match="a recorded table has its own"):
        parse({"replay": "nb201", "objectives": ["accuracy"], "quantization": {}}, "x")


def test_stages_of_cells_are_refused(tmp_path: Path) -> None:
    config = read(tmp_path, space={"kind": "nb201"}, quantization={"precisions": ALL, "per": "stage"})
    with pytest.raises(SearchError, match="only the mobile space says what a stage is; write per: network"):
        Problem.of(config)


def test_faults_fit_what_has_numbers_of_their_width() -> None:
    assert not unfit_for("adSAF(p=0.04)", ["int8", "int16x8"])
    assert not unfit_for("iBF32(p=0.001)", ["float32"])
    assert not unfit_for("somebody's chip", ["float32"])
    assert "float16" in unfit_for("iBF32(p=0.001)", ["float32", "float16"])
    assert "int16x8" in unfit_for("MiBB(p_m=0.001)", ["int8", "int16x8"])


# ----------------------------------------------------------------------------------------------------- whole campaigns


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_campaign_over_precisions_runs_and_resumes_with_the_same_files(tmp_path: Path) -> None:
    from tests.search.campaign.test_campaign_runs import start

    chosen = {"precisions": ["int8", "int16x8"], "per": "stage", "clip": [1.0, 0.7]}
    path = tiny.write(
        tmp_path,
        objectives=["accuracy", "latency_s@local", "accuracy@adSAF(p=0.04)"],
        faults={"images": 30, "min_patterns": 5, "max_patterns": 5},
        quantization=chosen,
        search={"candidates": tiny.CANDIDATES, "batch": 3, "strategy": "random"},
    )
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    process = start(tmp_path, path, "--run", straight)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    told = read_history(straight).evaluations
    assert all(evaluation.failure is None and len(evaluation.faults) == 1 for evaluation in told)
    kinds = Counter(evaluation.precision for evaluation in told)
    assert len(kinds) > 1
    for card in (straight / "winners").glob("*.json"):
        assert json.loads(card.read_text())["precision"] in kinds
    assert (straight / "table.parquet").exists()

    process = start(tmp_path, path, "--run", killed)
    deadline = time.monotonic() + 100
    while not (killed / "models").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    process = start(tmp_path, "--resume", killed)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    resumed = {e.architecture: e.digests for e in read_history(killed).evaluations}
    assert resumed == {e.architecture: e.digests for e in told}
