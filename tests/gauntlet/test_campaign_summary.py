"""A campaign's end in the terminal, from a run log made up of the report's sample."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

from rich.console import Console

from gauntlet.render.campaign import summary
from search.campaign.warm_start import FROM
from search.objectives import Objective, derived
from search.runlog import History, Note
from search.values import Value
from tests.search.report import sample

WORST = "worst(latency_s@local/0.00006, latency_s@pi4/0.00004)"


def shown(history: History) -> str:
    out = StringIO()
    Console(file=out, width=140).print(summary(history, Path("runs/digits"), True))
    return out.getvalue()


def history(objectives: tuple[str, ...], bound: str = "latency_s@local <= 25e-5") -> History:
    report = sample.report()
    config = {
        "title": "digits",
        "data": "digits",
        "objectives": objectives,
        "constraints": [bound],
    }
    told = {evaluation.number: evaluation for evaluation in report.evaluations}
    return History("1", {"config": config}, told=told)


def test_front_members_and_those_that_may_belong_have_their_probability() -> None:
    made = replace(sample.report(), objectives=(sample.OBJECTIVES[0], sample.OBJECTIVES[2]))
    text = shown(history(tuple(objective.name for objective in made.objectives)))
    rows = {line.split()[0]: line.rstrip() for line in text.splitlines() if line.rstrip().endswith(" %")}
    expected = [*made.front, *made.may_belong]
    assert sorted(rows, key=int) == sorted((str(e.number) for e in expected), key=int)
    unsure = min(made.front, key=lambda e: made.membership[e.number])
    assert rows[str(unsure.number)].endswith(f" {made.membership[unsure.number]:.0%}".replace("%", " %"))
    assert made.may_belong
    assert f"{', '.join(str(e.number) for e in made.may_belong)} may belong to the front" in text


def test_floors_that_the_campaign_noted_are_heeded() -> None:
    plain = history(("accuracy", "latency_s@local"))
    noisy = history(("accuracy", "latency_s@local"))
    noisy.events.append(Note("floors", {"local": 0.2}))
    assert shown(plain) != shown(noisy)


def test_an_aggregate_is_a_plain_ratio() -> None:
    run = history(("accuracy", WORST))
    quantity = Objective.parse(WORST).quantity
    for evaluation in run.evaluations:
        if evaluation.failure is None:
            figures = {"accuracy": Value(0.9), "latency_s@local": Value(3e-5), "latency_s@pi4": Value(3.5e-5)}
            figures |= derived(figures, [quantity])
            run.told[evaluation.number] = replace(evaluation, figures=figures)
    assert "0.875" in shown(run)


def test_without_a_front_the_bound_is_named_that_the_nearest_breaks() -> None:
    run = history(("accuracy", "latency_s@local"), "latency_s@local <= 1e-9")
    latencies = {
        e.number: value
        for e in run.evaluations
        if e.failure is None and (value := e.value("latency_s@local").value) is not None
    }
    nearest = min(latencies, key=lambda number: latencies[number])
    words = f"none keeps all bounds; the nearest is {nearest}, which breaks latency_s@local <= 1e-09"
    assert words in shown(run)
    assert "keeps all bounds" not in shown(history(("accuracy", "latency_s@local")))


def test_what_an_earlier_campaign_measured_is_not_counted_as_measured() -> None:
    run = history(("accuracy", "latency_s@local"))
    count = len(run.told)
    first = run.told[0]
    run.told[0] = replace(first, provenance={**first.provenance, FROM: "runs/monday, candidate 3"})
    assert f"{count - 1} candidates measured, 1 known from earlier campaigns, " in shown(run)
