"""What a report and a terminal say of an audit, of today's and of earlier releases."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from gauntlet.render.audit import figures, verdicts
from search.report import audit_document, render
from search.report.audit import audit_rows, effort_sentences, read_audit
from search.spaces import Architecture
from search.supernet.audit import Audit, Effort
from search.supernet.rank_quality import AuditedSubnet, rank_quality
from tests.search.report import sample
from tests.search.report.test_report_page import Page


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads(json.dumps(sample.audit(np.random.default_rng(0)), allow_nan=False))  # type: ignore[no-any-return]


def rows_of(document: dict[str, Any]) -> dict[str, list[str]]:
    return dict(audit_rows(document))


def said(rendered: Any) -> str:
    console = Console(file=io.StringIO(), width=140, highlight=False)
    console.print(rendered)
    text = console.file
    assert isinstance(text, io.StringIO)
    return " ".join(text.getvalue().split())


def test_every_figure_is_in_the_rows(document: dict[str, Any]) -> None:
    rows, ranking = rows_of(document), document["rankings"][0]
    tau = ranking["overall"]["inherited"]
    words = f"{tau['value']:.2f} ({tau['low']:.2f} to {tau['high']:.2f})"
    assert rows["Kendall's τ of inherited accuracy"][0] == words
    assert rows["what inheriting adds to MACs"][0][0] in "+−"
    assert rows["pairs there"] == ["75 in 5 bins"] * 2
    assert "MACs" in rows["Best 3 found"][0]
    assert "chance 10 %" in rows["Best 3 found"][0]
    assert rows["Inherited − trained alone, points"][0].startswith("−")
    assert all(len(cells) == 2 for cells in rows.values())
    assert "noise 0.6" in rows["Inherited, %"][0]


def test_the_page_shows_each_quantity(document: dict[str, Any]) -> None:
    page = Page(render(replace(sample.report(8), audit=document)))
    for index, ranking in enumerate(document["rankings"]):
        chart = page.charts["audit" if index == 0 else f"audit-{index}"]
        [trace] = chart["data"]
        assert len(trace["x"]) == len(trace["y"]) == len(trace["marker"]["color"]) == 30
        assert trace["x"][3] == pytest.approx(100 * document["subnets"][3]["inherited"][ranking["quantity"]])
        assert trace["marker"]["color"][3] == pytest.approx(np.log2(document["subnets"][3]["macs"]))
        assert ranking["reason"] in page.text
    assert "Accuracy under iBF(p=0.001)" in page.text
    assert "1 network of 32 was left out: the budget was used up." in page.text
    assert "upsets(n=1) is missing: nothing to break" in page.text


def test_the_terminal_shows_the_same(document: dict[str, Any]) -> None:
    text = said(figures(document))
    for cells in rows_of(document).values():
        assert all(cell.split(" ")[0] in text for cell in cells)
    assert "30 networks, each trained alone 2 times for 6 epochs on 3,500 images" in text
    assert "under faults on 500 with 30 patterns each" in text
    assert "The supernet was trained for 20 epochs" in text
    assert document["rankings"][1]["verdict"] in said(verdicts(document))


def test_what_an_earlier_release_wrote_is_still_read() -> None:
    first = sample.first_audit(np.random.default_rng(4))
    page = Page(render(replace(sample.report(8), audit=first)))
    assert "0.68 (0.41 to 0.88)" in page.text
    assert first["reason"] in page.text
    [trace] = page.charts["audit"]["data"]
    assert trace["marker"]["color"] == "@accent"
    assert trace["x"] == [100 * subnet["inherited"] for subnet in first["subnets"]]
    rows = rows_of(first)
    assert "τ of the number of MACs" not in rows  # which it did not know
    assert rows["Ceiling: τ of seed against seed"] == ["0.81"]
    assert "supernet Accuracy: ranks" in said(verdicts(first))
    assert effort_sentences(first) == []
    assert read_audit(read_audit(first)) == read_audit(first)


def test_an_earlier_audit_without_a_tau_is_read() -> None:
    first = {**sample.first_audit(np.random.default_rng(4)), "tau": None, "tau_interval": None, "ceiling": None}
    assert "Kendall's τ of inherited accuracy" not in rows_of(first)
    assert render(replace(sample.report(8), audit=first))


def test_an_audit_in_which_nothing_varies_becomes_plain_data() -> None:
    rows = [AuditedSubnet(Architecture(f"net-{n}"), 100, {"accuracy": 0.8}, {"accuracy": (0.9,)}) for n in range(9)]
    found = Audit(tuple(rows), (rank_quality(rows, "accuracy", 0.01),), Effort(9, 1, 2.0, 10, 10, 0, 0), 9)
    document = json.loads(json.dumps(audit_document(found), allow_nan=False))
    assert document["rankings"][0]["overall"]["inherited"] is None
    page = Page(render(replace(sample.report(8), audit=document)))
    assert "insufficient" in page.text.lower()
    assert "Kendall" not in page.text
    [trace] = page.charts["audit"]["data"]
    assert trace["marker"]["color"] == "@accent"  # one number of MACs has no shades
