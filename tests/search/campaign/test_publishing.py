"""What whoever watches is told of a campaign: how far it is, and whether it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.client.errors import Unreachable
from protos.figures import value_of
from protos.gauntlet.v1 import campaign_pb2
from search.campaign import publishing
from search.campaign.campaign import Campaign, Observer, create
from search.campaign.config import load
from search.campaign.contest import Contest
from search.replay.fleet import ReplayFleet
from search.replay.table import Table
from search.runlog import RunLog
from tests.search.campaign.test_replayed_campaigns import table, write

__all__ = ["table"]  # a fixture

State = campaign_pb2.CampaignState


class Watched(ReplayFleet):
    """Keeps every state that a campaign was said to be in."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self.states: list[tuple[str, str]] = []

    async def publish_campaign(self, campaign: campaign_pb2.Campaign) -> None:
        self.states.append((campaign.title, State.Name(campaign.state).removeprefix("CAMPAIGN_STATE_").lower()))
        await super().publish_campaign(campaign)

    async def figures(self) -> dict[str, float | None]:
        [campaign] = await self.campaigns()
        records = await self.records(campaign.campaign_id)
        return {r.key: value_of(r.figure) for r in records if r.WhichOneof("kind") == "figure"}


async def run(
    path: Path,
    folder: Path,
    fleet: Watched,
    *,
    evaluated: Callable[[int], None] = lambda done: None,
    stop_after: int = 99,
) -> None:
    seen = [0]

    def watch(_: object, done: int, __: int) -> None:
        seen.append(done)
        evaluated(done)

    log = RunLog.open(folder) if (folder / "log.jsonl").exists() else create(folder, load(path))
    with log:
        kind = Contest if load(path).compare.strategies else Campaign
        campaign = kind(log, Observer(evaluated=watch), lambda: max(seen) >= stop_after)
        campaign.check()
        await campaign.run(fleet)


async def test_figures_say_how_far_it_is(tmp_path: Path, table: Table) -> None:
    async with Watched(table) as fleet:
        await run(write(tmp_path, title="made"), tmp_path / "run", fleet)
        figures = await fleet.figures()
    assert fleet.states == [("made", "running"), ("made", "finished")]
    assert (figures["planned"], figures["evaluated"]) == (24, 24)
    assert 0 <= (figures["failed"] or 0) <= 5
    assert 1 <= (figures["front"] or 0) <= 24
    [campaign] = await fleet.campaigns()
    [curve] = [r.series for r in await fleet.records(campaign.campaign_id) if r.WhichOneof("kind") == "series"]
    assert len(curve.y) == 24
    assert figures["hypervolume"] == curve.y[-1] > 0


async def test_one_that_is_stopped_is_paused_and_runs_again_when_it_is_resumed(tmp_path: Path, table: Table) -> None:
    path = write(tmp_path, title="made")
    async with Watched(table) as fleet:
        await run(path, tmp_path / "run", fleet, stop_after=6)
        paused = await fleet.figures()
        await run(path, tmp_path / "run", fleet)
    assert [state for _, state in fleet.states] == ["running", "paused", "running", "finished"]
    assert 6 <= (paused["evaluated"] or 0) < 24


async def test_one_that_breaks_off_has_failed(tmp_path: Path, table: Table) -> None:
    def fail(done: int) -> None:
        if done == 3:
            raise RuntimeError("a strategy with a fault")

    async with Watched(table) as fleet:
        with pytest.raises(RuntimeError):
            await run(write(tmp_path, title="made"), tmp_path / "run", fleet, evaluated=fail)
    assert [state for _, state in fleet.states] == ["running", "failed"]


async def test_one_whose_lab_is_gone_tells_nobody(tmp_path: Path, table: Table) -> None:
    class Gone(Watched):
        async def publish_records(self, campaign_id: str, records: object) -> None:
            raise Unreachable("the lab does not answer", "")

    async with Gone(table) as fleet:
        with pytest.raises(Unreachable):
            await run(write(tmp_path, title="made"), tmp_path / "run", fleet)
    assert [state for _, state in fleet.states] == ["running"]


async def test_the_searches_of_a_comparison_end_one_by_one(tmp_path: Path, table: Table) -> None:
    path = write(
        tmp_path,
        title="duel",
        search={"candidates": 6, "batch": 6},
        compare={"strategies": ["nsga2", "random"], "seeds": 1},
    )
    async with Watched(table) as fleet:
        await run(path, tmp_path / "run", fleet)
    last = dict(fleet.states)
    assert set(last.values()) == {"finished"}
    assert set(last) == {"duel", "duel: nsga2, seed 0", "duel: random, seed 0"}


async def test_a_training_gives_signs_of_life_and_needs_no_lab(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_TRAINING_TOLD_EVERY_S", 0.0)
    told: list[float | None] = []
    enough = asyncio.Event()

    class Unsteady(Watched):
        async def publish_records(self, campaign_id: str, records: object) -> None:
            [record] = records  # type: ignore[attr-defined]
            told.append(value_of(record.figure))
            if len(told) == 2:
                raise Unreachable("the lab does not answer", "")
            if len(told) == 4:
                enough.set()

    async with Unsteady(table) as fleet:
        async with publishing.training(fleet, "c", lambda: len(told) / 8):
            await asyncio.wait_for(enough.wait(), 10)
        at_the_end = len(told)
        for _ in range(3):
            await asyncio.sleep(0)
    assert told[:4] == [0, 1 / 8, 2 / 8, 3 / 8]
    assert len(told) == at_the_end
