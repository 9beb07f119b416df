"""Where a campaign trains, and what it writes down meanwhile: what a file may say, and what becomes of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.campaign.campaign import create
from search.campaign.config import parse
from search.campaign.makers import AloneMaker, SupernetMaker, maker_for
from search.campaign.problem import Problem, training, training_alone
from search.campaign.sections import ConfigError
from search.errors import SearchError
from tests.search.campaign import tiny

KEYS = {"device": "cuda:1", "mixed_precision": "bf16"}
MIBB = {"model": "MiBB(p_m=0.0001)", "position": "before", "scale": "power-of-two"}


def problem(tmp_path: Path, **changes: Any) -> Problem:
    tiny.write_data(tmp_path / "blobs.npz")
    document = tiny.document(data=str(tmp_path / "blobs.npz"), objectives=["accuracy"], **changes)
    return Problem.of(parse(document, "x"))


def test_keys_reach_both_kinds_of_training() -> None:
    config = parse(tiny.document(supernet={**KEYS, "faults": MIBB}, training={**KEYS, "faults": MIBB}), "x")
    for settings in (training(config), training_alone(config)):
        assert (settings.device, settings.mixed_precision) == ("cuda:1", "bf16")
        assert settings.faults is not None
        assert (settings.faults.position, settings.faults.scale) == ("before", "power-of-two")


def test_left_out_they_are_what_they_always_were() -> None:
    config = parse(tiny.document(supernet={"faults": {"model": "adSAF(p=0.1)"}}), "x")
    settings = training(config)
    assert (settings.device, settings.mixed_precision) == ("cpu", "none")
    assert settings.faults is not None
    assert (settings.faults.position, settings.faults.scale) == ("weights", "deployed")


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"device": "gpu"}, "training.device: device must be auto, cpu, cuda or cuda:NUMBER: gpu"),
        ({"mixed_precision": "int8"}, "training.mixed_precision: .*'none', 'bf16' or 'fp16'"),
        ({"faults": {"model": "adSAF(p=0.1)", "position": "before"}}, "adSAF does not strike features"),
        ({"faults": {"model": "adSAF(p=0.1)", "scale": "linear"}}, "'deployed' or 'power-of-two'"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(section: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse(tiny.document(training=section), "x")
    assert "\n" not in caught.value.message
    assert caught.value.remedy


def test_a_device_that_is_not_there_ends_a_campaign_and_fails_no_candidate(tmp_path: Path) -> None:
    missing = {"device": "cuda:99"}
    shared = maker_for(problem(tmp_path, supernet=missing), tmp_path / "supernet.pt")
    assert isinstance(shared, SupernetMaker)
    with pytest.raises(SearchError, match="device cuda:99: torch finds"):
        shared.train(lambda progress: None, lambda: False)
    asked = problem(tmp_path, weights="alone", training=missing)
    alone = maker_for(asked, tmp_path / "supernet.pt")
    assert isinstance(alone, AloneMaker)
    with pytest.raises(SearchError, match="device cuda:99: torch finds"):
        alone.make(asked.space.sample(np.random.default_rng(0)))


@pytest.mark.parametrize(("weights", "section"), [("shared", "supernet"), ("alone", "training")])
def test_a_machine_that_cannot_train_so_leaves_no_run_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str, section: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    for keys, says in (({"device": "cuda:99"}, "device cuda:99"), ({"tensorboard": True}, "not installed")):
        config = problem(tmp_path, weights=weights, **{section: keys}).config
        with pytest.raises(SearchError, match=says):
            create(tmp_path / "run", config)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wanted", [True, False])
def test_each_training_has_a_folder_for_tensorboard_if_that_is_wanted(tmp_path: Path, wanted: bool) -> None:
    section = {"tensorboard": wanted, "epochs": 1}
    shared = maker_for(problem(tmp_path, supernet=section), tmp_path / "supernet.pt")
    assert isinstance(shared, SupernetMaker)
    shared.train(lambda progress: None, lambda: False)
    asked = problem(tmp_path, weights="alone", training=section)
    alone = maker_for(asked, tmp_path / "supernet.pt")
    rng = np.random.default_rng(0)
    for _ in range(2):
        alone.make(asked.space.sample(rng))
    folders = {file.parent.name for file in (tmp_path / "tensorboard").glob("*/*tfevents*")}
    assert len(folders) == (3 if wanted else 0)
    assert ("supernet" in folders) is wanted
