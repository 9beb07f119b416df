"""What is made of a fault campaign, odd ones included: document, tables, terminal, page, pictures."""

from __future__ import annotations

import functools
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fault_injection.campaign import Outcomes
from fault_injection.statistics import yield_curve
from fault_injection.vulnerability import Outcome, Stratum, StratumResult, VulnerabilityMap
from gauntlet.faults import charts, mapping, wording
from gauntlet.faults.document import campaign_document, table_rows, write_parquet
from gauntlet.faults.report import render, write_report
from gauntlet.faults.result import FaultCampaign, Series
from gauntlet.faults.settings import conditions
from gauntlet.render.faults import report
from tests.gauntlet import made_campaign as made
from tests.search.report.test_report_page import EVIL, Page

LONG = [
    f"resnet/stage_{n // 12}/block_{n // 3 % 4}/conv_{n % 3}/kernel;resnet/batch_normalization_{n}/FusedBatchNormV3"
    for n in range(60)
]


@functools.cache
def whole() -> FaultCampaign:
    return made.whole()


@functools.cache
def one_pattern() -> FaultCampaign:
    (condition,) = conditions(["iBF(p=1e-3)"])
    return made.plain([Series(condition, made.outcomes(0.5, 0.1, 1, 3), (), "cap")])


@functools.cache
def no_faults() -> FaultCampaign:
    return made.plain(made.curve(conditions(["iBF"], rates="0,1e-6,1e-4"), 9))


@functools.cache
def few_classes() -> FaultCampaign:
    return made.plain(made.curve(conditions(["iBF"], rates="1e-5:1e-3"), 9, top5=False))


@functools.cache
def non_finite() -> FaultCampaign:
    (condition,) = conditions(["gauss(sigma=0.5)"])
    return made.plain([Series(condition, made.outcomes(0.4, 0.1, 30, 3, non_finite=20), (), "precise")])


@functools.cache
def harmless() -> FaultCampaign:
    """A map in which nothing was seen: no wrong answers, ever."""
    campaign = made.whole()
    device = campaign.devices[0]
    nothing = {outcome: [0.0] * 30 for outcome in Outcome}
    device.map = VulnerabilityMap(tuple(StratumResult.of(Stratum("dense", bit, 4608), nothing) for bit in range(8)))
    device.wrong_answers = mapping.in_the_field(device.map, made.FIELD, 0.95)
    device.trials = []
    return campaign


@functools.cache
def many_tensors() -> FaultCampaign:
    return made.whole(("bench-1", "pi4"), LONG)


@functools.cache
def only_a_map() -> FaultCampaign:
    campaign = made.whole()
    campaign.settings = replace(campaign.settings, conditions=(), protect=None)
    campaign.devices[0].series, campaign.devices[0].trials = [], []
    return campaign


@functools.cache
def begun() -> FaultCampaign:
    campaign = made.whole()
    device = campaign.devices[0]
    device.series = [replace(series, outcomes=Outcomes(0, 0.0), stop="") for series in device.series]
    device.series[0].outcomes = made.outcomes(0.8, 0.1, 3, 4)
    device.map, device.wrong_answers, device.trials = None, None, []
    return campaign


@functools.cache
def nothing() -> FaultCampaign:
    campaign = made.whole()
    campaign.devices = []
    return campaign


@functools.cache
def evil() -> FaultCampaign:
    campaign = made.whole((EVIL, "pi4"), [EVIL, f"{EVIL}2", *LONG[:3]])
    campaign.settings = replace(campaign.settings, model=Path(EVIL.replace("/", "|")), data=Path("$x_2$&<b>.npz"))
    campaign.devices[0].provenance = {"class": EVIL, EVIL: EVIL, "threads": "2"}
    series = campaign.devices[0].series[0]
    plan = replace(series.condition.plan, targets=(EVIL,), operations=(EVIL,))
    campaign.devices[0].series[0] = replace(series, condition=replace(series.condition, plan=plan, sweep=EVIL))
    return campaign


CAMPAIGNS = [
    whole, one_pattern, no_faults, few_classes, non_finite, harmless, many_tensors, only_a_map, begun, nothing, evil
]  # fmt: skip
Make = Callable[[], FaultCampaign]
each_campaign = pytest.mark.parametrize("make", CAMPAIGNS, ids=lambda make: make.__name__)


def terminal(campaign: FaultCampaign, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(report(campaign, width))
    return out.getvalue()


def squeezed(campaign: FaultCampaign) -> str:
    return " ".join(terminal(campaign).split())


def document(campaign: FaultCampaign) -> Any:
    return json.loads(json.dumps(campaign_document(campaign), allow_nan=False))


@each_campaign
def test_any_campaign_is_strict_json_and_a_missing_value_has_its_reason(make: Make) -> None:
    whole = document(make())

    def look(part: Any) -> None:
        if isinstance(part, dict):
            if part.get("value", 0) is None:
                assert part["unavailable"], part
            if part.get("interval", 0) is None:
                assert part["interval_unavailable"], part
            if "value" in part:
                assert part["origin"] in ("measured", "estimated", "predicted")
            for inside in part.values():
                look(inside)
        elif isinstance(part, list):
            for inside in part:
                look(inside)

    look(whole)
    assert whole["schema_version"] == 1


def test_the_document_holds_what_was_measured() -> None:
    campaign = whole()
    device = document(campaign)["devices"][0]
    series = campaign.devices[0].series[3]
    summary = series.summary(0.95)
    found = device["conditions"][3]
    assert summary.accuracy.interval is not None
    assert summary.over_both is not None
    assert found["figures"]["accuracy"] == {
        "value": summary.accuracy.value,
        "samples": 60,
        "interval": {
            "low": summary.accuracy.interval.low,
            "high": summary.accuracy.interval.high,
            "confidence": 0.95,
            "method": "Student's t over patterns",
        },
        "origin": "measured",
    }
    assert found["figures"]["accuracy_over_both"]["interval"]["high"] == summary.over_both.high
    assert [pattern["accuracy"] for pattern in found["patterns"]] == series.outcomes.accuracies
    assert [pattern["digest"] for pattern in found["patterns"]] == series.outcomes.digests
    assert len(device["map"]["strata"]) == 8 * len(made.TENSORS)
    assert device["wrong_answers"]["time_between_s"]["origin"] == "estimated"
    assert [trial["protection"] for trial in device["protection"]] == ["none", "range clipping", *["TMR"] * 4]
    assert device["protection"][2]["harm_left"]["origin"] == "predicted"
    assert device["protection"][2]["gain"]["interval"]["method"] == "Student's t over pairs of patterns"


def test_times_without_end_are_null_with_a_reason() -> None:
    found = document(harmless())["devices"][0]["wrong_answers"]
    assert found["time_between_s"]["value"] is None
    assert "only a lower limit is known" in found["time_between_s"]["unavailable"]
    interval = found["time_between_s"]["interval"]
    assert interval["low"] > 0
    assert interval["high"] is None
    assert interval["unavailable"] == "no finite limit: high"


def test_few_classes_have_no_sdc5_in_the_map_either() -> None:
    campaign = made.whole()
    campaign.devices[0].series = few_classes().devices[0].series
    campaign.devices[0].trials = []
    device = document(campaign)["devices"][0]
    assert device["conditions"][0]["figures"]["sdc5"]["unavailable"] == "fewer than six classes"
    assert device["map"]["strata"][0]["sdc5"]["value"] is None
    assert device["map"]["overall"]["critical"]["value"] > 0


@each_campaign
def test_tables_read_back_as_they_were_written(make: Make, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    campaign = make()
    rows = table_rows(campaign)
    written = write_parquet(campaign, tmp_path / "out")
    assert [path.stem for path in written] == [name for name, lines in rows.items() if lines]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in written)
    for path in written:
        assert parquet.read_table(path).to_pylist() == rows[path.stem]


def test_a_table_of_patterns_has_a_row_for_each(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    campaign = few_classes()
    write_parquet(campaign, tmp_path)
    table = parquet.read_table(tmp_path / "patterns.parquet")
    series = campaign.devices[0].series
    assert table.num_rows == sum(len(entry.outcomes) for entry in series)
    assert table.column("outside_top5").null_count == table.num_rows
    assert str(table.schema.field("outside_top5").type) == "int64"
    assert table.column("digest").to_pylist()[:2] == series[0].outcomes.digests[:2]
    assert set(table.column("condition").to_pylist()) == {str(entry.condition.plan.model) for entry in series}


@each_campaign
@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_terminal_shows_no_line_that_is_too_long(make: Make, width: int) -> None:
    campaign = make()
    shown = terminal(campaign, width)
    assert max(map(len, shown.splitlines())) <= width
    # A rich table that is too wide cuts its cells.
    if make is not evil:
        assert not re.search(r"\d…", shown)


def test_the_terminal_tells_what_counts() -> None:
    shown = squeezed(whole())
    assert "clean accuracy 91.20 %" in shown
    assert "litert 2.3.0, xnnpack, 1 thread" in shown
    assert "MiBB features after the activation, transient" in shown
    assert re.search(r"0\.001 30\.18 1\.38 3\.08 61\.02 19\.40 70\.07 61\.02 60 cap 2,155", shown)
    assert "cap: after 200 patterns, the most that were asked for, not known to ±1 point." in shown
    assert "whole network" in shown
    assert "96 flips in each bit of each tensor, for ±10 points at 95 %, 4,608 in all." in shown
    assert "between wrong answers 15.6 years" in shown
    assert "TMR, budget 25" in shown
    assert "Not measured" not in shown


def test_the_terminal_says_why_something_is_missing() -> None:
    shown = squeezed(one_pattern())
    assert "–" in shown
    assert "± a single pattern has no spread" in shown
    assert "worst 5 % fewer than 20 patterns" in shown
    assert "vulnerability map not asked for: give --map weights" in shown
    assert "accuracy under 11 conditions, not measured yet" in squeezed(begun())
    assert "none seen" in squeezed(harmless())
    assert "no upper limit at 95 %" in squeezed(harmless())


def test_answers_that_are_no_numbers_are_told_in_words() -> None:
    campaign = non_finite()
    count = sum(campaign.devices[0].series[0].outcomes.non_finite)
    words = f"{count} of 15,000 answers held NaN or infinity and counted as wrong"
    assert f"gauss(sigma=0.5): {words}" in squeezed(campaign)
    assert words in Page(render(campaign)).text
    assert "NaN" not in squeezed(one_pattern())


@each_campaign
def test_any_campaign_has_a_page_in_which_every_chart_has_its_place(make: Make) -> None:
    page = Page(render(make()))
    assert set(page.charts) <= page.ids
    links = {(attributes.get("href") or "")[1:] for tag, attributes in page.tags if tag == "a"}
    assert links <= page.ids
    assert len(page.scripts) == 3
    for tag, attributes in page.tags:
        assert not {"src", "srcset", "action"} & set(attributes), tag
        assert tag not in ("link", "iframe", "object", "base", "img")


def test_a_whole_campaign_shows_all_parts() -> None:
    page = Page(render(whole()))
    parts = {
        "accuracy",
        "patterns",
        "yield",
        "answers",
        "map",
        "field",
        "protection",
        "reading",
        "missing",
        "provenance",
    }
    assert parts <= page.ids
    assert set(page.charts) == {
        "accuracy-0", "accuracy-1", "spread", "yield-0", "yield-1", "harm-0", "harm-1", "map-0", "layers-0",
        "protection-0",
    }  # fmt: skip
    for words in ("15.6 years", "(estimated)", "(predicted)", "Fault patterns 720", "sha256 abab", "range clipping"):
        assert words in page.text
    heat = page.charts["map-0"]["data"][0]
    assert heat["x"] == list("76543210")
    assert len(heat["z"]) == 1 + len(made.TENSORS)
    assert "96 flips of 432 bits" in heat["customdata"][1][0]


def test_a_rate_of_zero_stands_left_of_the_others() -> None:
    chart = Page(render(no_faults())).charts["accuracy-0"]
    assert chart["layout"]["xaxis"]["ticktext"] == ["0", "1e-06", "0.0001"]
    assert chart["layout"]["xaxis"]["tickvals"] == [2.5e-7, 1e-6, 1e-4]


def test_names_cannot_break_the_page() -> None:
    page = Page(render(evil()))
    assert not {"img", "b"} & {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert EVIL in page.text
    # Plotly reads a little HTML of its own.
    drawn = json.dumps(page.charts)
    assert "<img" not in drawn
    assert "<b>bold" not in drawn
    assert "&lt;img" in drawn


@pytest.mark.parametrize("make", [one_pattern, no_faults, many_tensors, begun, nothing, evil])
def test_pictures_are_drawn_where_there_is_something_to_draw(make: Make, tmp_path: Path) -> None:
    campaign = make()
    written = write_report(campaign, tmp_path)
    expected = {"report"}
    for device in campaign.devices:
        there = wording.measured(device.series)
        expected |= {"accuracy"} if there else set()
        expected |= {"yield"} if any(s.summary(0.95).yields for s in there) else set()
        expected |= {"map"} if device.map else set()
        expected |= {"protection"} if device.trials else set()
    assert {path.stem for path in written} == expected
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written}
    for path in written[1:]:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_browser_draws_it_without_an_error(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no Chromium; on Debian: apt-get install chromium")
    (tmp_path / "report.html").write_text(render(evil()), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--enable-logging=stderr"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [browser, *flags, profile, "--dump-dom", (tmp_path / "report.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count('class="main-svg"') >= 10
    assert "CONSOLE" not in done.stderr


def test_shares_of_chips_are_read_from_the_curve() -> None:
    curve = yield_curve([0.5, 0.85, 0.85, 0.9], 0.95)
    assert wording.good_chips(curve, 0.9 - 0.05)[0] == 0.75
    assert wording.good_chips(curve, 0.4)[0] == 1
    share, low, high = wording.good_chips(curve, 0.91)
    assert (share, low) == (0, 0)
    assert 0 < high <= 1


def test_a_yield_curve_alone_has_its_band_to_the_ends() -> None:
    curve = yield_curve([0.5] * 3 + [0.9] * 7, 0.95)
    x, shares, _, _ = charts.steps(curve)
    assert (x, shares) == ([0, 50, 50, 90, 90], [1, 1, 0.7, 0.7, 0])
    places, low, high = charts.yield_band(curve, alone=True)
    assert (places[0], places[-1], low[-1]) == (0, 100, 0)
    assert high[-1] == pytest.approx(1 - low[0])
    assert charts.yield_band(curve, alone=False)[0] == [50, 50, 90, 90]


def test_shortened_names_stay_apart() -> None:
    short = wording.short_names(LONG, 28)
    assert short[LONG[0]] == "stage_0/block_0/conv_0"
    assert len(set(short.values())) == 60
    same = [f"{'a' * 30}{n}{'b' * 30}" for n in range(20)]
    for width in (12, 20, 28):
        found = wording.short_names(same, width)
        assert max(map(len, found.values())) <= width
        assert len(set(found.values())) == 20
    assert wording.short_names(["conv1", "dense"], 12) == {"conv1": "conv1", "dense": "dense"}
    assert wording.short_names([], 12) == {}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.25, "250 ms"),
        (1.5, "1.5 s"),
        (3600, "1 hour"),
        (86400 * 3, "3 days"),
        (3.15576e7 * 1234, "1,234 years"),
        (3.15576e7 * 2.5e6, "2.5 million years"),
        (float("inf"), "never"),
    ],
)
def test_long_times_are_told_in_fitting_units(seconds: float, words: str) -> None:
    assert wording.long_time(seconds) == words


def test_conditions_of_one_name_are_told_apart() -> None:
    both = conditions(["iBF(p=0.001)"], position="weights") + conditions(["iBF(p=0.001)"], position="after")
    campaign = made.plain([Series(c, made.outcomes(0.5, 0.1, 30, k), (), "cap") for k, c in enumerate(both)])
    text = Page(render(campaign)).text
    assert "iBF(p=0.001), weights, permanent" in text
    assert "iBF(p=0.001), features after the activation, transient" in text
    assert len(wording.sweeps(campaign.devices[0].series)) == 2


def test_a_campaign_speaks_for_itself() -> None:
    campaign = whole()
    assert campaign.to_dict() == campaign_document(campaign)
