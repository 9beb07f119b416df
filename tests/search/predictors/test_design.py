"""Matrices of what predictors see."""

from __future__ import annotations

import numpy as np
import pytest

from search.predictors import design
from search.predictors.design import Design
from tests.search.predictors.contract import SPACE, draw


def test_a_row_is_the_features_and_each_decision_one_hot() -> None:
    architecture = SPACE.parse("3-3p-s3s")
    row = Design(SPACE).features([architecture])[0]
    options = sum(len(decision.options) for decision in SPACE.decisions)
    assert np.array_equal(row[:-options], SPACE.features(architecture))
    assert np.flatnonzero(row[-options:]).tolist() == [
        5 * place + choice for place, choice in enumerate(SPACE.encode(architecture))
    ]


def test_operators_and_macs_are_those_of_the_space_however_many_rows_there_are() -> None:
    networks = draw(700)
    table = Design(SPACE)
    operators = table.operators(networks)
    counts, macs = table.counts(networks, operators), table.macs(networks)
    for row, cost, network in zip(counts, macs, networks, strict=True):
        run = {key: count for key, count in SPACE.operators(network).items() if count}
        assert {key: count for key, count in zip(operators, row, strict=True) if count} == run
        assert cost == SPACE.macs(network)


def test_only_operators_that_run_are_named_in_one_order() -> None:
    table = Design(SPACE)
    table.features(draw(50))
    assert table.operators([SPACE.parse("3-nn-nn1"), SPACE.parse("n-nn-3nn")]) == ["nor_conv_3x3", "nor_conv_3x3 0>3"]


def test_rows_are_forgotten_when_there_are_too_many_and_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(design, "MOST_ROWS", 100)
    table, networks = Design(SPACE), draw(150)
    first = table.features(networks[:80])
    table.features(networks[80:])
    assert np.array_equal(table.features(networks[:80]), first)
    # One question may be larger than what is kept.
    assert np.array_equal(table.features(networks)[:80], first)
