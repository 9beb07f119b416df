"""Whose weights candidates have: what a campaign file may say of it, and what it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.campaign.config import NB201, CampaignConfig, parse
from search.campaign.makers import AloneMaker, SupernetMaker, maker_for
from search.campaign.problem import Problem, training
from search.campaign.sections import ConfigError
from search.supernet import CheckpointError, load_weights, make_supernet
from search.supernet.cells_ftt import FttSupernet
from search.supernet.cells_nb201 import Nb201Supernet
from tests.search.campaign import tiny

CELLS = {
    "nb201": {"kind": "nb201", "channels": 2, "cells": 1},
    "ftt": {"kind": "ftt", "channels": 2, "cells": 3, "steps": 2},
}
OWN = {"kind": "choices", "builder": "mine.py:build", "choices": {"width": [1, 2]}}


def read(**changes: Any) -> CampaignConfig:
    return parse(tiny.document(**changes), "x")


def test_the_mobile_space_shares_and_others_do_not_unless_told() -> None:
    assert read().weights == "shared"
    assert read(weights="alone").weights == "alone"
    for space in (*CELLS.values(), OWN):
        assert read(space=space).weights == "alone"
        assert not read(space=space).has_supernet
    for space in CELLS.values():
        assert read(space=space, weights="shared").has_supernet
    replayed = parse({"replay": NB201, "objectives": ["accuracy"]}, "x")
    assert replayed.weights is None
    assert not replayed.has_supernet


@pytest.mark.parametrize("space", CELLS.values(), ids=CELLS)
def test_cells_are_trained_by_single_paths_unless_told(space: dict[str, Any]) -> None:
    assert training(read(space=space, weights="shared")).method == "single-path"
    assert training(read()).method == "sandwich"


def test_what_was_left_out_is_in_the_log_and_old_logs_mean_what_they_did() -> None:
    for config in (read(), read(space=CELLS["ftt"], weights="shared"), read(space=CELLS["nb201"])):
        written = config.model_dump(mode="json")
        assert parse(written, "log") == config
    old = {key: value for key, value in read(space=CELLS["nb201"]).model_dump(mode="json").items() if key != "weights"}
    assert parse(old, "log") == read(space=CELLS["nb201"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights": "both"}, r"weights: .*'shared' or 'alone'"),
        ({"space": OWN, "weights": "shared"}, r"weights: networks of a function of your own .*write alone"),
        (
            {"space": CELLS["ftt"], "weights": "shared", "supernet": {"method": "sandwich"}},
            r"supernet.method: the sandwich needs a largest and a smallest network.*write single-path",
        ),
        ({"supernet": {"method": "close"}}, r"supernet.method: close needs operations .*choose a space of kind nb201"),
        (
            {"space": CELLS["ftt"], "weights": "shared", "supernet": {"method": "close", "stages": 4, "epochs": 3}},
            "supernet: 4 stages need as many epochs: lower them, or train longer",
        ),
        (
            {"data": "", "replay": NB201, "space": {}, "weights": "shared"},
            "weights: a recorded table has none; leave it out",
        ),
    ],
)
def test_what_does_not_fit_together_is_one_clear_line(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        read(**changes)
    assert "\n" not in caught.value.message
    assert caught.value.remedy


def problem(tmp_path: Path, **changes: Any) -> Problem:
    tiny.write_data(tmp_path / "blobs.npz")
    return Problem.of(read(data=str(tmp_path / "blobs.npz"), objectives=["accuracy"], **changes))


def test_candidates_get_their_weights_from_where_the_file_says(tmp_path: Path) -> None:
    for kind, supernet in (("nb201", Nb201Supernet), ("ftt", FttSupernet)):
        for method, sets in (("single-path", None), ("close", 2)):
            how = {"method": method, "stages": 2, "epochs": 2}
            asked = problem(tmp_path, space=CELLS[kind], weights="shared", supernet=how)
            maker = maker_for(asked, tmp_path / "supernet.pt")
            assert isinstance(maker, SupernetMaker)
            assert isinstance(maker.supernet, supernet)
            assert maker.supernet.sets == sets
        assert isinstance(maker_for(problem(tmp_path, space=CELLS[kind]), tmp_path / "supernet.pt"), AloneMaker)
    assert isinstance(maker_for(problem(tmp_path, weights="alone"), tmp_path / "supernet.pt"), AloneMaker)


def test_a_checkpoint_of_another_space_is_refused(tmp_path: Path) -> None:
    asked = problem(tmp_path, space=CELLS["nb201"], weights="shared", supernet={"epochs": 1})
    maker = maker_for(asked, tmp_path / "supernet.pt")
    assert isinstance(maker, SupernetMaker)
    assert maker.train(lambda progress: None, lambda: True) is False
    other = problem(tmp_path, space=CELLS["ftt"], weights="shared", supernet={"epochs": 1})
    with pytest.raises(CheckpointError, match="holds weights of another space: nb201-"):
        load_weights(tmp_path / "supernet.pt", make_supernet(other.space))
    another = maker_for(other, tmp_path / "supernet.pt")
    assert isinstance(another, SupernetMaker)
    with pytest.raises(CheckpointError, match="belongs to another training: space"):
        another.train(lambda progress: None, lambda: True)
