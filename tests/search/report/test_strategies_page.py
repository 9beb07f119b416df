"""The page of a comparison: whole, self-contained, and safe with any name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from search.report.strategies import render_comparison, write_comparison
from tests.search.report.made_contest import contest
from tests.search.report.test_report_page import EVIL, Page


def test_every_strategy_has_a_curve_a_band_and_a_row(tmp_path: Path) -> None:
    made = contest(seeds=6, budget=60)
    path = tmp_path / "comparison.html"
    write_comparison(made, path)
    page = Page(path.read_text(encoding="utf-8"))
    [chart] = json.loads(page.scripts[0])
    assert {trace["name"] for trace in chart["data"] if "name" in trace} == set(made.names)
    assert sum(trace.get("fill") == "toself" for trace in chart["data"]) == len(made.names)
    looks = {(trace["line"]["color"], trace["line"]["dash"]) for trace in chart["data"] if "name" in trace}
    assert len(looks) == len(made.names)
    for name in made.names:
        assert str(made.hypervolume(name, 60)) in page.text
        assert str(made.queries(name)) in page.text
    assert "figures are replayed from nb201_classes.parquet" in page.text
    assert made.ranking.sentences()[0] in page.text


def test_it_loads_nothing_from_elsewhere() -> None:
    page = Page(render_comparison(contest(seeds=2, budget=20)))
    assert not [attributes for _, attributes in page.tags if str(attributes.get("src", "")) or attributes.get("link")]


def test_a_name_cannot_break_out() -> None:
    made = contest(seeds=2, budget=20, strategies=2)
    evil = replace(made, title=EVIL, runs={EVIL: made.runs["guided"], "b": made.runs["nsga2"]}, notes=(EVIL,))
    page = Page(render_comparison(evil))
    assert not [name for name, _ in page.tags if name in ("img", "b")]
    assert len(page.scripts) == 3


def test_few_seeds_and_no_target_are_told_as_such() -> None:
    few = Page(render_comparison(contest(seeds=3, budget=30, strategies=2)))
    assert "Bands: all seeds." in few.text
    assert "too few to tell" in few.text
    aimless = Page(render_comparison(replace(contest(seeds=3, budget=30, strategies=2), target=None)))
    assert "Queries to" not in aimless.text


def test_one_strategy_with_one_seed_makes_a_page() -> None:
    assert "Could it be chance" not in Page(render_comparison(contest(seeds=1, budget=1, strategies=1))).text


def test_those_who_share_the_best_rank_are_all_named() -> None:
    made = contest(seeds=3, budget=30, strategies=1)
    tied = replace(made, runs={"one": made.runs["guided"], "other": made.runs["guided"]})
    assert "one and other" in Page(render_comparison(tied)).text
