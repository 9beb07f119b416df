"""The client for code that does not await."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence

import pytest

from orchestrator.client.errors import Unreachable
from orchestrator.client.sync import SyncClient
from protos.gauntlet.v1 import fleet_pb2, job_pb2


class _Interrupted:
    """Stands for the client underneath: who submits for the first time is interrupted before he hears an answer."""

    def __init__(self, gone: bool = False) -> None:
        self.gone, self.submissions, self.cancelled = gone, 0, list[str]()

    async def submit(self, specs: Sequence[job_pb2.JobSpec]) -> list[fleet_pb2.SubmittedJob]:
        self.submissions += 1
        if self.submissions == 1:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        if self.gone:
            raise Unreachable("the orchestrator is gone")
        return [fleet_pb2.SubmittedJob(job_id=f"job of {spec.idempotency_key}") for spec in specs]

    async def cancel(self, job_ids: Sequence[str], campaign_id: str = "") -> list[str]:
        self.cancelled += job_ids
        return list(job_ids)

    async def close(self) -> None:
        pass


@pytest.fixture
def client() -> Iterator[SyncClient]:
    with SyncClient("unix:/nowhere") as made:
        yield made


def test_jobs_of_which_no_answer_came_are_cancelled_by_who_is_interrupted(
    client: SyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = _Interrupted()
    monkeypatch.setattr(client, "_client", below)
    with pytest.raises(KeyboardInterrupt):
        client.submit([job_pb2.JobSpec(idempotency_key="a"), job_pb2.JobSpec(), job_pb2.JobSpec(idempotency_key="b")])
    assert below.cancelled == ["job of a", "job of b"]  # without a key it would be queued for a second time


def test_an_interruption_stays_one_when_nothing_can_be_cancelled(
    client: SyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = _Interrupted(gone=True)
    monkeypatch.setattr(client, "_client", below)
    with pytest.raises(KeyboardInterrupt):
        client.submit([job_pb2.JobSpec(idempotency_key="a")])
    assert below.submissions == 2
    assert below.cancelled == []
