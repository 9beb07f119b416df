"""A comparison of strategies in the terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from gauntlet.render import strategies
from search.comparison import Comparison
from tests.search.report.made_contest import contest


def printed(comparison: Comparison, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(strategies.render(comparison, width))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_and_lists_the_best_first(width: int) -> None:
    made = contest(seeds=6)
    text = printed(made, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    rows = [line for line in text.splitlines() if "±" in line]
    assert [row[: row.index("  ")] for row in rows] == list(made.ranking.mean_rank)
    for name in made.names:
        assert str(made.queries(name)) in text
        assert str(made.hypervolume(name, made.budget)) in text
    assert "figures are replayed" in text


def test_only_a_wide_terminal_shows_every_look() -> None:
    made = contest(seeds=2)
    assert ("at 75" in printed(made, 80), "at 75" in printed(made, 120)) == (False, True)


def test_curves_rise_on_a_common_scale() -> None:
    made = Comparison("", {"half": {0: [0.0, 0.5]}, "whole": {0: [0.0, 1.0]}}, 2)
    text = printed(made, 80)
    assert "▁█" in text
    assert "▁▅" in text


def test_without_a_target_there_are_no_queries_to_it() -> None:
    text = printed(replace(contest(seeds=2), target=None), 80)
    assert "queries to" not in text
    assert "area under the curve" in text


def test_flat_curves_and_a_single_run_are_drawn() -> None:
    assert "strategy" in printed(Comparison("", {"a": {0: [0.5]}}, 1), 80)
