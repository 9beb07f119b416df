"""What a campaign file says of training: methods and faults, and what is said about their mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from search.campaign.config import parse
from search.campaign.problem import training, training_alone
from search.campaign.sections import ConfigError
from search.fault_training import FaultTraining
from tests.search.campaign import tiny


def document(section: str, **keys: Any) -> dict[str, Any]:
    return tiny.document(**{section: {"epochs": 4, **keys}})


def test_without_keys_training_is_what_it_was() -> None:
    config = parse(document("supernet"), "x")
    assert training(config).method == "sandwich"
    assert training(config).faults is None
    assert training_alone(config).faults is None


@pytest.mark.parametrize(("section", "settings"), [("supernet", training), ("training", training_alone)])
def test_faults_reach_the_training_and_come_back_from_the_log(section: str, settings: Any) -> None:
    config = parse(document(section, faults={"model": "adSAF(p=8e-2)", "clean_epochs": 1, "ramp_epochs": 2}), "x")
    assert settings(config).faults == FaultTraining("adSAF(p=0.08)", 0.7, 1, 2)
    assert parse(config.model_dump(mode="json"), "log") == config


def test_the_method_reaches_the_training() -> None:
    assert training(parse(document("supernet", method="single-path"), "x")).method == "single-path"


@pytest.mark.parametrize("section", ["supernet", "training"])
@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"alpha": 0.5}, "faults.model is missing"),
        ({"model": "adSAFF(p=0.1)"}, "adSAF"),
        ({"model": "adSAF(p=1.5)"}, "adSAF: p must lie in 0 to 1, not 1.5"),
        ({"model": "adSAF(p=0.1)", "alpha": 1.5}, "faults.alpha: "),
        ({"model": "adSAF(p=0.1)", "clean_epochs": -1}, "faults.clean_epochs: "),
        ({"model": "adSAF(p=0.1)", "clean_epochs": 4}, "do not fit into 4 epochs"),
        ({"model": "drift(t=10)", "ramp_epochs": 1}, "leave ramp_epochs out"),
        ({"model": "adSAF(p=0.1)", "ramp": 1}, "no key .*faults.ramp"),
    ],
)
def test_a_wrong_key_is_one_clear_line_with_a_remedy(section: str, faults: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse(document(section, faults=faults), "x.yaml")
    assert caught.value.message.startswith(f"x.yaml: {'there is no key ' if 'no key' in says else ''}{section}")
    assert "\n" not in caught.value.message
    assert caught.value.remedy


def test_a_method_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"supernet.method: .*'sandwich', 'single-path' or 'close'"):
        parse(document("supernet", method="fair"), "x")
