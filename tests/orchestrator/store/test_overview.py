"""What is looked at again and again: the queue by what it waits for, campaigns by when they published."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from orchestrator import jobs
from orchestrator.counters import Counters, CountingStore
from orchestrator.store.base import NewJob, Queued, Share
from orchestrator.store.overview import MOST_CAMPAIGNS, MOST_FIGURES, Backlog, CampaignReading
from protos import figures
from protos.gauntlet.v1 import campaign_pb2
from tests.orchestrator.conftest import Clock

RUNNING, FINISHED = campaign_pb2.CAMPAIGN_STATE_RUNNING, campaign_pb2.CAMPAIGN_STATE_FINISHED


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[CountingStore]:
    opened = await CountingStore.open(tmp_path / "lab.sqlite", clock=clock)
    opened.counters = Counters()
    yield opened
    await opened.close()


async def shown(store: CountingStore, clock: Clock) -> list[CampaignReading]:
    return (await store.overview(clock()))[1]


async def publish(
    store: CountingStore,
    campaign_id: str,
    title: str = "",
    state: campaign_pb2.CampaignState = RUNNING,
    **values: float,
) -> None:
    await store.save_campaign(campaign_pb2.Campaign(campaign_id=campaign_id, title=title or campaign_id, state=state))
    if values:
        records = [
            campaign_pb2.CampaignRecord(key=key, figure=figures.measured(value)) for key, value in values.items()
        ]
        assert await store.save_records(campaign_id, records)


async def test_the_queue_by_what_it_waits_for_and_what_is_held(
    store: CountingStore, clock: Clock, new_job: Callable[..., NewJob]
) -> None:
    first = clock()
    await store.submit([new_job(job_id="a", signature="x"), new_job(job_id="b", signature="y", user="ada")])
    clock.advance(10)
    await store.submit([new_job(signature="x"), new_job(job_id="c", signature="x"), new_job(job_id="d", signature="z")])
    await store.apply("c", jobs.Leased("l1", "d1"))
    await store.apply("c", jobs.Started("l1"))
    await store.apply("d", jobs.Leased("l2", "d2"))
    queue, _ = await store.overview(clock())
    assert queue.waiting == {"x": Backlog(2, first), "y": Backlog(1, first)}
    assert queue.held == {jobs.State.LEASED: 1, jobs.State.RUNNING: 1}
    assert queue.shares == {Share("ada", ""): Queued(1, 0), Share("local", ""): Queued(2, 2)}


async def test_an_empty_lab_has_neither_queue_nor_campaigns(store: CountingStore, clock: Clock) -> None:
    queue, campaigns = await store.overview(clock())
    assert (queue.waiting, queue.held, queue.shares) == ({}, {jobs.State.LEASED: 0, jobs.State.RUNNING: 0}, {})
    assert campaigns == []


async def test_figures_of_a_campaign_are_those_published_last(store: CountingStore, clock: Clock) -> None:
    await publish(store, "digits-1", "digits", evaluated=3, hypervolume=0.5)
    clock.advance(60)
    evaluated = campaign_pb2.CampaignRecord(key="evaluated", figure=figures.measured(4))
    missing = campaign_pb2.CampaignRecord(key="trained", figure=figures.unavailable("nothing to train"))
    curve = campaign_pb2.CampaignRecord(key="curve", series=campaign_pb2.SeriesRecord(y=[1.0]))
    long_key = campaign_pb2.CampaignRecord(key="k" * 65, figure=figures.measured(1))
    large = campaign_pb2.CampaignRecord(key="large", figure=figures.unavailable("w" * 1000))
    assert await store.save_records("digits-1", [evaluated, missing, curve, long_key, large])
    [reading] = await shown(store, clock)
    assert reading == CampaignReading("digits", RUNNING, clock(), {"evaluated": 4, "hypervolume": 0.5})


async def test_a_campaign_that_publishes_records_is_updated(store: CountingStore, clock: Clock) -> None:
    await publish(store, "c")
    [before] = await store.campaigns()
    clock.advance(60)
    await store.save_records("c", [])
    [after] = await store.campaigns()
    assert before.created_at == before.updated_at == after.created_at < after.updated_at


async def test_one_that_ended_is_shown_for_an_hour_and_a_silent_one_for_a_day(
    store: CountingStore, clock: Clock
) -> None:
    await publish(store, "ended", state=FINISHED)
    await publish(store, "runs")

    async def titles() -> set[str]:
        return {reading.title for reading in await shown(store, clock)}

    clock.advance(3600)
    assert await titles() == {"ended", "runs"}
    clock.advance(1)
    assert await titles() == {"runs"}
    clock.advance(86_400 - 3600)
    assert await titles() == set()


async def test_of_several_with_one_title_the_last_that_published(store: CountingStore, clock: Clock) -> None:
    # Two series with one label set, and Prometheus takes nothing of the whole scrape.
    await publish(store, "a", "digits", evaluated=1)
    clock.advance(1)
    await publish(store, "b", "digits", state=FINISHED, evaluated=2)
    await publish(store, "c", "x" * 64 + "1")
    await publish(store, "d", "x" * 64 + "2")
    await store.save_campaign(campaign_pb2.Campaign(campaign_id="nameless", state=RUNNING))
    readings = {reading.title: reading for reading in await shown(store, clock)}
    assert set(readings) == {"digits", "x" * 64, "untitled"}
    assert readings["digits"].figures == {"evaluated": 2}


async def test_neither_campaigns_nor_their_figures_are_without_end(store: CountingStore, clock: Clock) -> None:
    for number in range(MOST_CAMPAIGNS + 5):
        clock.advance(1)
        await publish(store, f"c{number}", **{f"f{n:02}": n for n in range(MOST_FIGURES + 5)})
    readings = await shown(store, clock)
    assert [reading.title for reading in readings] == [f"c{24 - place}" for place in range(MOST_CAMPAIGNS)]
    assert {len(reading.figures) for reading in readings} == {MOST_FIGURES}
