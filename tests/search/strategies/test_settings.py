"""Settings of strategies: a reward looks for its figures under the names that a campaign gives them."""

from __future__ import annotations

from typing import Any

import pytest

from search.campaign.config import parse
from search.evaluations import Evaluation
from search.strategies.settings import reward_of
from search.values import Value
from tests.search.strategies.problems import OBJECTIVES

SHORT = "accuracy@iBF(p=0.003)"


def test_a_fault_condition_in_short_is_the_one_that_is_measured() -> None:
    document: dict[str, Any] = {"kind": "ftt", "faulty": SHORT, "alpha": 0.25}
    config = parse(
        {"data": "digits", "objectives": ["accuracy"], "search": {"strategy": "ftt", "settings": {"reward": document}}},
        "x",
    )
    reward = reward_of(config.search.settings["reward"], OBJECTIVES)
    measured = [quantity.name for quantity in config.quantities()]
    assert {quantity.name for quantity in reward.quantities} <= set(measured)
    figures = {name: Value(0.8 if name == "accuracy" else 0.4) for name in measured}
    assert reward(Evaluation(0, "net", 1, 1, figures=figures)) == pytest.approx(0.7)


def test_a_condition_that_only_a_table_knows_is_kept() -> None:
    reward = reward_of({"kind": "ftt", "faulty": "accuracy@drift( days=1 )", "alpha": 0.5}, OBJECTIVES)
    assert reward.quantities[1].name == "accuracy@drift(days=1)"
