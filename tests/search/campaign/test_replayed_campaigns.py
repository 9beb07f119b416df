"""Campaigns over a recorded table: to the end, stopped and resumed, compared, and learned from."""

from __future__ import annotations

import json
import math
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from search.campaign.campaign import Campaign, Observer, create
from search.campaign.comparing import comparison_of
from search.campaign.config import load
from search.campaign.contest import Contest
from search.campaign.reporting import report, report_input
from search.campaign.warm_start import FROM
from search.errors import SearchError
from search.evaluations import Evaluation
from search.replay.fleet import ReplayFleet
from search.replay.schema import About
from search.replay.table import Column, Table
from search.runlog import RunLog, read_history
from search.spaces.nb201 import Nb201Space
from search.values import Origin

CELLS = 60
FAILING = 5


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Sixty cells on two boards, made up: what is larger is better and slower, and some do not compile for one."""
    space = Nb201Space()
    rng = np.random.default_rng(0)
    cells = sorted({space.sample(rng) for _ in range(4 * CELLS)})[:CELLS]
    size = np.array([space.macs(cell) for cell in cells], dtype=np.float64)
    columns = {
        "accuracy": Column(0.5 + 0.4 * size / size.max() + rng.normal(0, 0.02, CELLS)),
        "latency_s@pi": Column(1e-3 + 1e-10 * size),
        "latency_s@tpu": Column(np.where(np.arange(CELLS) < FAILING, np.nan, 1e-4 + 1e-11 * size[::-1])),
    }
    failures = {"tpu": dict.fromkeys(range(FAILING), "unsupported operation: no kernel")}
    made = Table(About("made up"), space, [cell.text for cell in cells], columns, failures)
    made.write(tmp_path / "made.parquet")
    return made


def write(folder: Path, name: str = "c.yaml", **changes: Any) -> Path:
    plain: dict[str, Any] = {
        "replay": "made.parquet",
        "objectives": ["accuracy", "latency_s@pi", "latency_s@tpu"],
        "search": {"strategy": "nsga2", "settings": {"population": 6}, "candidates": 24, "batch": 6},
    }
    path = folder / name
    path.write_text(yaml.safe_dump({**plain, **changes}))
    return path


async def carry_out(path: Path, run: Path, table: Table, stop_after: int = 10_000) -> list[Evaluation]:
    """A campaign, or what is left of it; stopped once so many candidates are told."""
    log = RunLog.open(run) if (run / "log.jsonl").exists() else create(run, load(path))
    seen: list[int] = []
    observer = Observer(evaluated=lambda evaluation, done, total: seen.append(done))
    with log:
        kind = Contest if load(path).compare.strategies else Campaign
        campaign = kind(log, observer, lambda: bool(seen) and max(seen) >= stop_after)
        campaign.check()
        async with ReplayFleet(table) as fleet:
            return (await campaign.run(fleet)).evaluations


async def test_all_figures_are_called_replayed_and_the_table_is_recorded(tmp_path: Path, table: Table) -> None:
    told = await carry_out(write(tmp_path), tmp_path / "run", table)
    assert len({e.architecture for e in told}) == 24
    failed = [e for e in told if e.failure is not None]
    assert {e.failure.kind for e in failed if e.failure} <= {"unsupported operation"}
    figures = [e.value(name) for e in told for name in ("accuracy", "latency_s@pi") if e not in failed]
    assert {value.origin for value in figures} == {Origin.REPLAYED}
    cards = [json.loads(card.read_text()) for card in (tmp_path / "run" / "winners").glob("*.json")]
    assert cards
    assert all(card["model"] is None and card["chosen_on"]["what"] == "a recorded table" for card in cards)
    recorded = Table.read(tmp_path / "run" / "table.parquet")
    for evaluation in told:
        cell = recorded.space.parse(evaluation.architecture)
        assert recorded.figure(cell, "latency_s@pi").value == table.figure(cell, "latency_s@pi").value
    page = report(tmp_path / "run").read_text()
    assert "eplayed" in page


async def test_how_long_a_run_took_is_not_told_if_a_process_was_killed(tmp_path: Path, table: Table) -> None:
    run = tmp_path / "run"
    await carry_out(write(tmp_path), run, table)
    assert (report_input(read_history(run), run).wall_s or 0) > 0
    with RunLog.open(run) as log:
        log.note("devices", [])  # as a process does when it begins
    resumed = report_input(read_history(run), run)
    assert resumed.wall_s is None
    assert "The run was resumed once." in resumed.notes


async def test_a_comparison_takes_as_long_as_its_searches(tmp_path: Path, table: Table) -> None:
    began = time.monotonic()
    compare = {"strategies": ["local", "random"], "seeds": 1}
    path = write(tmp_path, search={"candidates": 12, "batch": 6}, compare=compare)
    with create(tmp_path / "run", load(path)) as log:
        contest = Contest(log, Observer())
        contest._began -= 1000.0
        contest.check()
        async with ReplayFleet(table) as fleet:
            await contest.run(fleet)
    spent = time.monotonic() - began + 1000.0
    assert 1000.0 < (report_input(log.history, tmp_path / "run").wall_s or 0) < spent


async def test_a_stopped_campaign_goes_on_as_it_would_have(tmp_path: Path, table: Table) -> None:
    path = write(tmp_path)
    whole = await carry_out(path, tmp_path / "whole", table)
    part = await carry_out(path, tmp_path / "run", table, stop_after=6)
    assert 6 <= len(part) < 24
    resumed = await carry_out(path, tmp_path / "run", table)
    assert {(e.number, e.architecture) for e in resumed} == {(e.number, e.architecture) for e in whole}


async def test_strategies_are_compared_over_seeds_and_share_one_front(tmp_path: Path, table: Table) -> None:
    both = ["nsga2", {"strategy": "random", "name": "by-chance"}]
    path = write(
        tmp_path, search={"candidates": 12, "batch": 6}, compare={"strategies": both, "seeds": 3, "target": 0.5}
    )
    run = tmp_path / "run"
    await carry_out(path, run, table, stop_after=6)
    stopped = sorted(p.parent.name for p in run.glob("*/log.jsonl"))
    assert stopped == ["nsga2-0"]
    assert comparison_of(run, load(path)) is None
    told = await carry_out(path, run, table)
    assert sorted(p.parent.name for p in run.glob("*/log.jsonl")) == [
        f"{label}-{seed}" for label in ("by-chance", "nsga2") for seed in range(3)
    ]
    searches = [read_history(log.parent).evaluations for log in run.glob("*/log.jsonl")]
    assert {e.architecture for e in told} == {e.architecture for found in searches for e in found}
    assert len(told) == len({e.architecture for e in told})
    assert all(len(found) == 12 for found in searches)
    compared = comparison_of(run, load(path))
    assert compared is not None
    assert compared.names == ("nsga2", "by-chance")
    assert compared.seeds == (0, 1, 2)
    # Seeds are paired: each strategy has its own first candidates, and the same ones whenever it is run.
    assert 0 < compared.hypervolume("nsga2", 12).value <= 1
    assert list((run / "winners").glob("*.json"))
    report(run)
    assert "by-chance" in (run / "comparison.html").read_text()


async def test_a_comparison_measures_nothing_twice(tmp_path: Path, table: Table) -> None:
    class Counting(ReplayFleet):
        submitted: list[tuple[str, bool]] = []  # noqa: RUF012  # of this test alone

        async def submit(self, specs: Any) -> Any:
            answer = await super().submit(specs)
            self.submitted += [(job.job_id, job.created) for job in answer]
            return answer

    path = write(tmp_path, search={"candidates": 40, "batch": 10}, compare={"strategies": ["nsga2", "random"]})
    with create(tmp_path / "run", load(path)) as log:
        contest = Contest(log, Observer())
        contest.check()
        async with Counting(table) as fleet:
            await contest.run(fleet)
            jobs = [job_id for job_id, created in fleet.submitted if created]
            assert len(jobs) == len(set(jobs)) < len(fleet.submitted)


async def test_a_comparison_of_one_objective_is_on_the_scale_of_what_was_seen(tmp_path: Path, table: Table) -> None:
    path = write(
        tmp_path,
        objectives=["latency_s@tpu"],
        search={"candidates": 12, "batch": 6},
        compare={"strategies": ["local", "random"], "seeds": 1},
    )
    await carry_out(path, tmp_path / "run", table)
    compared = comparison_of(tmp_path / "run", load(path))
    assert compared is not None
    everything = [e.value("latency_s@tpu").value for e in read_history(tmp_path / "run").evaluations]
    seen = np.array([value for value in everything if value is not None])
    told = [e.value("latency_s@tpu").value for e in read_history(tmp_path / "run" / "random-0").evaluations]
    best = np.minimum.accumulate([math.inf if value is None else value for value in told])
    # Nothing counts from a tenth of the span behind the worst on.
    expected = 1 - (best - seen.min()) / (seen.max() - seen.min()) / 1.1
    assert compared.runs["random"][0] == pytest.approx(np.maximum(expected, 0.0))


async def test_what_a_warm_start_brought_is_no_query_of_a_comparison(tmp_path: Path, table: Table) -> None:
    await carry_out(write(tmp_path), tmp_path / "earlier", table)
    path = write(
        tmp_path,
        search={"candidates": 6, "batch": 6},
        warm_start=["earlier"],
        compare={"strategies": ["local", "random"], "seeds": 1},
    )
    await carry_out(path, tmp_path / "run", table)
    compared = comparison_of(tmp_path / "run", load(path))
    assert compared is not None
    assert all(len(series) == 6 for runs in compared.runs.values() for series in runs.values())


async def test_a_warm_start_enters_what_was_measured_alike_and_learns_from_the_rest(
    tmp_path: Path, table: Table
) -> None:
    earlier = await carry_out(write(tmp_path), tmp_path / "earlier", table)
    complete = [e for e in earlier if e.failure is None]
    path = write(tmp_path, "warm.yaml", warm_start=["earlier"])
    told = await carry_out(path, tmp_path / "warm", table)
    entered = [e for e in told if FROM in e.provenance]
    assert {e.architecture for e in entered} == {e.architecture for e in complete}
    assert len(told) == len(entered) + 24
    assert len({e.architecture for e in told}) == len(told)
    # Resumed, the warm start is not entered again.
    assert await carry_out(path, tmp_path / "warm", table) == told
    # A table's figures are no candidates, but something to learn from.
    with create(tmp_path / "other", load(write(tmp_path, "t.yaml", warm_start=["made.parquet"]))) as log:
        campaign = Campaign(log, Observer())
        campaign.check()
        async with ReplayFleet(table) as fleet:
            await campaign.run(fleet)
        assert len(campaign.strategy.learned) == CELLS
        assert len(log.history.told) == 24


async def learned_from(path: Path, run: Path, table: Table) -> tuple[list[Evaluation], tuple[Evaluation, ...]]:
    """What a warm start entered, and what it left to predictors."""
    with create(run, load(path)) as log:
        campaign = Campaign(log, Observer())
        campaign.check()
        async with ReplayFleet(table) as fleet:
            await campaign.run(fleet)
        return [e for e in log.history.evaluations if FROM in e.provenance], campaign.strategy.learned


async def test_what_was_not_measured_for_a_new_bound_is_no_known_candidate(tmp_path: Path, table: Table) -> None:
    await carry_out(write(tmp_path, objectives=["accuracy", "latency_s@pi"]), tmp_path / "earlier", table)
    bounded = {"objectives": ["accuracy", "latency_s@pi"], "warm_start": ["earlier"]}
    path = write(tmp_path, "bounded.yaml", constraints=["latency_s@tpu <= 1"], **bounded)
    entered, learned = await learned_from(path, tmp_path / "bounded", table)
    assert not entered
    assert len(learned) == 24


async def test_a_failure_on_a_device_that_is_not_asked_about_is_none(tmp_path: Path, table: Table) -> None:
    earlier = await carry_out(
        write(tmp_path, search={"strategy": "random", "candidates": CELLS}), tmp_path / "e", table
    )
    failed = {e.architecture for e in earlier if e.failure is not None}
    assert len(failed) == FAILING
    objectives = ["accuracy", "worst(latency_s@pi/0.002)"]
    path = write(tmp_path, "pi.yaml", objectives=objectives, warm_start=["e"], search={"candidates": 1})
    entered, _ = await learned_from(path, tmp_path / "pi", table)
    assert failed < {e.architecture for e in entered}
    assert all(e.failure is None and e.value(objectives[1]).value for e in entered)
    path = write(tmp_path, "table.yaml", objectives=objectives, warm_start=["made.parquet"], search={"candidates": 1})
    _, learned = await learned_from(path, tmp_path / "table", table)
    assert all(e.failure is None and e.value(objectives[1]).value for e in learned)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objectives": ["accuracy", "latency_s@nowhere"]}, "latency_s@nowhere"),
        ({"objectives": ["accuracy", "energy_j@pi"]}, "energy_j@pi"),
        ({"replay": "absent.parquet"}, r"absent\.parquet"),
        ({"search": {"strategy": "nsga2", "settings": {"populatoin": 3}}}, "did you mean population"),
        ({"warm_start": ["absent"]}, "absent"),
        ({"compare": {"strategies": ["nsga2", "evolution"]}}, "evolution: 3 objectives and no reward"),
    ],
)
async def test_what_cannot_be_replayed_is_one_line(
    tmp_path: Path, table: Table, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SearchError) as caught:
        await carry_out(write(tmp_path, **changes), tmp_path / "run", table)
    assert re.search(words, f"{caught.value.message} {caught.value.remedy}")
    assert "\n" not in caught.value.message


def test_a_warm_start_that_is_not_there_takes_no_folder(tmp_path: Path, table: Table) -> None:
    with pytest.raises(SearchError, match="absent"):
        create(tmp_path / "run", load(write(tmp_path, warm_start=["absent"])))
    assert not (tmp_path / "run").exists()


async def test_a_search_that_ends_early_says_why_and_is_complete(tmp_path: Path, table: Table) -> None:
    path = write(tmp_path, stop={"plateau": {"queries": 12, "gain": 0.9}})
    told = await carry_out(path, tmp_path / "run", table)
    assert len(told) == 18
    assert list((tmp_path / "run" / "winners").glob("*.json"))
    page = report(tmp_path / "run").read_text()
    assert "The search ended early: the last 12 queries" in page
    assert "not complete" not in page
