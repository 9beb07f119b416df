"""Reading the results of many jobs, one after another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.client import Client, SyncClient, aio
from protos.gauntlet.v1 import failure_pb2, job_pb2
from tests.orchestrator.lab import ScriptedAgent, a_job, running

COUNT = 9


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    async with running(tmp_path) as address:
        yield address


async def work(client: Client, address: str) -> list[str]:
    """Jobs of which every third fails, and one that still waits; the even ones are a campaign's."""
    specs = [await a_job(client, campaign_id="even" if number % 2 == 0 else "") for number in range(COUNT)]
    agent = ScriptedAgent(address)
    await agent.hello()
    failure = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_INVALID_MODEL, message="no")
    ids = []
    for number, spec in enumerate(specs):
        [submitted] = await client.submit([spec])
        ids.append(submitted.job_id)
        lease = await agent.hear("lease")
        if number == COUNT - 1:
            break  # held, never finished
        await agent.finish(lease, **({"failure": failure} if number % 3 == 2 else {}))
    return ids


async def test_ended_jobs_come_whole_newest_first_over_all_pages(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aio, "_PAGE", 2)
    monkeypatch.setattr(aio, "_FETCHED_AT_ONCE", 3)
    async with Client(address) as client:
        ids = await work(client, address)
        good = [job_id for number, job_id in enumerate(ids[:-1]) if number % 3 != 2]
        found = [job async for job in client.ended()]
        assert [job.job_id for job in found] == good[::-1]
        assert all(job.HasField("result") for job in found)
        everything = [job async for job in client.ended(failed=True)]
        assert [job.job_id for job in everything] == ids[-2::-1]
        assert {job.state for job in everything} == {job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED}
        even = [job.job_id async for job in client.ended("even", failed=True)]
        assert even == ids[-3::-2]
        assert [job async for job in client.ended("nobody")] == []
        middle = datetime.fromisoformat(everything[2].finished_at)
        assert [job.job_id async for job in client.ended(since=middle, failed=True)] == ids[-2:-5:-1]
        assert [job async for job in client.ended(since=datetime.now(UTC) + timedelta(hours=1))] == []


async def test_the_synchronous_client_reads_them_too_and_may_stop_early(address: str) -> None:
    async with Client(address) as client:
        ids = await work(client, address)

    def read() -> tuple[list[str], str]:
        with SyncClient(address) as client:
            everything = [job.job_id for job in client.ended(failed=True)]
            jobs = client.ended(failed=True)
            first = next(jobs).job_id
            jobs.close()  # type: ignore[attr-defined]  # a generator
            return everything, first

    everything, first = await asyncio.to_thread(read)
    assert everything == ids[-2::-1]
    assert first == ids[-2]
