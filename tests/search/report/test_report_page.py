"""The report: whole, self-contained, safe with any name, and there even when little is known."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from search.evaluations import Evaluation, Failure
from search.objectives import Constraint, Objective, derived
from search.report import ReportInput, render, write_report
from search.report.units import heading
from search.values import Origin, Value
from tests.search.report import sample

EVIL = """</script><script>alert(1)</script>"'><img src=x onerror=alert(2)><b>bold</b>&amp;"""


def hostile_audit(audit: Mapping[str, Any]) -> Mapping[str, Any]:
    """An audit in which every text is."""
    first, second = audit["rankings"]
    subnets = [{**subnet, "architecture": EVIL} for subnet in audit["subnets"]]
    for subnet in subnets:
        for by_name in ("inherited", "standalone"):
            subnet[by_name] = {**subnet[by_name], f"accuracy@{EVIL}": subnet[by_name][second["quantity"]]}
    rankings = [{**first, "verdict": EVIL, "reason": EVIL}, {**second, "quantity": f"accuracy@{EVIL}"}]
    return {**audit, "subnets": subnets, "rankings": rankings, "missing": {EVIL: EVIL}, "failed": {EVIL: EVIL}}


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def ids(self) -> set[str | None]:
        return {attributes["id"] for _, attributes in self.tags if "id" in attributes}

    @property
    def charts(self) -> dict[str, Any]:
        return {chart["id"]: chart for chart in json.loads(self.scripts[0])}


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(sample.report()))


def test_every_part_is_there_and_every_chart_has_its_place(page: Page) -> None:
    parts = "winners fronts progress faults equal-macs ranking candidates failures time devices provenance missing"
    assert set(parts.split()) <= page.ids
    assert set(page.charts) == {
        "front-0",
        "front-1",
        "front-2",
        "hypervolume",
        "faults-0",
        "drop-0",
        "audit",
        "audit-1",
    }
    assert set(page.charts) <= page.ids
    links = {attributes.get("href") for tag, attributes in page.tags if tag == "a"}
    assert {f"#{part}" for part in parts.split()} <= links


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    for tag, attributes in page.tags:
        assert not {"src", "srcset", "action"} & set(attributes), tag
        assert tag not in ("link", "iframe", "object", "base")
        assert not re.match(r"[a-z]+:|//", attributes.get("href") or ""), attributes


def test_only_our_own_scripts_may_run(page: Page) -> None:
    policy = next(a["content"] or "" for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in page.scripts[1:]]
    assert f"script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}';" in policy
    assert len(page.scripts) == 3


def test_what_is_told_is_what_was_found(page: Page) -> None:
    report = sample.report()
    for words in ("NSGA-II, population 20", "AMD EPYC 9B14", "no RAPL in this container", "7.75 GiB"):
        assert words in page.text
    assert "Node number 7 (CONV_2D) failed to prepare" in page.text
    best = max(report.front, key=lambda e: e.value("accuracy").value or 0)
    assert f"{100 * (best.value('accuracy').value or 0):.1f}" in page.text
    rows = sum(tag == "tr" and attributes.get("class") == "front" for tag, attributes in page.tags)
    assert rows == len(report.front) > 3
    links = [attributes.get("href") for tag, attributes in page.tags if tag == "a"]
    assert links.count(f"winners/{best.number}.tflite") == 2


def test_members_and_those_that_may_belong_have_their_probability(page: Page) -> None:
    report = sample.report()
    assert report.may_belong
    assert "May belong to the front" in page.text
    unsure = min(report.membership[evaluation.number] for evaluation in report.front)
    assert unsure < 0.9
    assert f" {100 * unsure:.0f} % " in page.text
    chips = sum(tag == "span" and attributes.get("class") == "chip maybe" for tag, attributes in page.tags)
    assert chips == len(report.may_belong)


def test_a_noise_floor_makes_places_less_sure() -> None:
    report = sample.report()
    noisy = replace(report, floors={"local": 0.2})
    assert sum(noisy.membership.values()) > sum(report.membership.values())


def test_a_candidate_that_noise_may_have_kept_from_its_bound_is_named_without_a_front() -> None:
    told = Evaluation(0, "net", 1, 1, {"latency_s@a": Value(1.01e-3, 0.9e-3, 1.12e-3, 0.95)})
    bound = Constraint.parse("latency_s@a <= 0.001")
    seen = Page(render(ReportInput("t", "2026", "1", (Objective.parse("latency_s@a"),), (bound,), (told,)))).text
    assert "No candidate delivered all objectives within the constraints" in seen
    assert "May belong to the front" in seen


def test_exact_figures_leave_no_doubt() -> None:
    objectives = (Objective.parse("accuracy"), Objective.parse("macs"))
    told = tuple(Evaluation(n, f"net-{n}", n, 1, {"accuracy": Value(0.9 - 0.01 * n)}) for n in range(1, 4))
    seen = Page(render(ReportInput("t", "2026", "1", objectives, evaluations=told))).text
    assert "> 99 %" in seen
    assert "May belong" not in seen


def test_an_aggregate_is_spelled_out_once_and_short_elsewhere() -> None:
    texts = ("accuracy", "average(0.7*latency_s@pi4/0.02, 0.3*energy_j@pixel3/1.5)")
    objectives = tuple(map(Objective.parse, texts))
    figures = {"accuracy": Value(0.9), "latency_s@pi4": Value(0.01), "energy_j@pixel3": Value(3.0)}
    figures |= derived(figures, [objectives[1].quantity])
    told = (Evaluation(0, "net", 1, 1, figures),)
    bound = Constraint.parse("worst(latency_s@a/0.02, latency_s@b/0.01) <= 1")
    seen = Page(render(ReportInput("t", "2026", "1", objectives, (bound,), told))).text
    assert "minimize average of energy on pixel3 / 1.5 J (30 %) and latency on pi4 / 20 ms (70 %)" in seen
    assert "keep worst of latency on a / 20 ms and latency on b / 10 ms at most 1.00" in seen
    assert "Average cost over pixel3 and pi4" in seen
    assert heading(bound.quantity) == "Worst latency over a and b"
    many = Objective.parse(f"worst({', '.join(f'latency_s@d{n}/1' for n in range(5))})").quantity
    assert heading(many) == "Worst latency over 5 devices"


def test_names_cannot_break_the_page() -> None:
    made = sample.report(12)
    evil = [
        replace(
            evaluation,
            architecture=f"{EVIL}{evaluation.number}",
            provenance={EVIL: EVIL},
            failure=Failure(EVIL, EVIL, EVIL, EVIL) if evaluation.number % 4 == 0 else None,
        )
        for evaluation in made.evaluations
    ]
    hostile = replace(
        made,
        title=EVIL,
        created=EVIL,
        software_version=EVIL,
        evaluations=tuple(evil),
        settings={EVIL: EVIL},
        budget={EVIL: EVIL},
        devices=({"device_id": EVIL, "device_class": EVIL, "runtimes": [{"name": EVIL, "version": EVIL}]},),
        audit=hostile_audit(made.audit or {}),
        stage_s={EVIL: 1.0},
        files={number: {EVIL: "javascript:alert(3)"} for number in range(12)},
        unavailable=((EVIL, EVIL),),
        notes=(EVIL,),
    )
    seen = Page(render(hostile))
    assert len(seen.scripts) == 3
    assert not {"img", "b"} & {tag for tag, _ in seen.tags}
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    assert not [a for _, a in seen.tags if (a.get("href") or "").startswith("javascript:")]
    assert EVIL in seen.text
    # Plotly reads a little HTML of its own.
    dots = [hover for chart in seen.charts.values() for trace in chart["data"] for hover in trace.get("customdata", [])]
    assert dots
    assert not [hover for hover in dots if "<img" in hover or "<b>bold" in hover]


def test_missing_figures_and_other_origins_are_labelled() -> None:
    objectives = (Objective.parse("accuracy"), Objective.parse("energy_j@pi4"))
    accuracy = Value(0.9, origin=Origin.PREDICTED)
    told = (
        Evaluation(0, "a", 10, 1, {"accuracy": accuracy, "energy_j@pi4": Value(0.002, origin=Origin.REPLAYED)}),
        Evaluation(1, "b", 10, 1, {"accuracy": accuracy, "energy_j@pi4": Value.missing("the meter was unplugged")}),
    )
    text = Page(render(ReportInput("t", "2026", "1", objectives, evaluations=told))).text
    assert "2 are predicted, 1 are replayed" in text
    assert "Energy on pi4 the meter was unplugged 1" in text
    assert "Supernet ranking quality the supernet was not audited" in text


@pytest.mark.parametrize("failed", [True, False])
def test_a_campaign_without_a_result_has_a_report(failed: bool) -> None:
    told = (Evaluation(0, "a", 10, 1, failure=Failure("timed out", "60 s were up")),) if failed else ()
    bare = ReportInput("Nothing yet", "2026-01-01", "1", (Objective.parse("accuracy"),), evaluations=told)
    text = Page(render(bare)).text
    assert "No candidate delivered all objectives within the constraints" in text
    assert ("60 s were up" in text) == failed


def test_one_objective_and_nothing_feasible_are_survived() -> None:
    made = sample.report(8)
    narrow = replace(made, objectives=made.objectives[:1], constraints=(Constraint.parse("latency_s@local <= 0"),))
    seen = Page(render(narrow))
    assert "breaks a constraint" in seen.text
    assert "fronts" not in seen.ids


def test_the_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("older")
    write_report(sample.report(6), path)
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert path.stat().st_size < 6_000_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_a_browser_draws_it(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no Chromium; on Debian: apt-get install chromium")
    write_report(sample.report(20), tmp_path / "report.html")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--enable-logging=stderr"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [browser, *flags, profile, "--dump-dom", (tmp_path / "report.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count('class="main-svg"') >= 7
    assert "CONSOLE" not in done.stderr
