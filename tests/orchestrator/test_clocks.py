"""Deadlines and a wall clock that is set."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator.clocks import steady
from orchestrator.store.base import NewJob
from orchestrator.store.sql import SqlStore
from protos.gauntlet.v1 import job_pb2

YEAR_S = 365 * 86_400.0


@pytest.mark.parametrize("jump_s", [-YEAR_S, 3600.0, 50 * YEAR_S])
async def test_a_wall_clock_that_is_set_makes_no_job_come_due(
    jump_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await SqlStore.open(tmp_path / "lab.sqlite")

    def job(number: int) -> NewJob:
        spec = job_pb2.JobSpec(idempotency_key=str(number), deadline_s=60.0, queue_timeout_s=60.0)
        return NewJob(f"{number:032x}", spec, "s", ())

    await store.submit([job(1)])
    before = steady()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    await store.submit([job(2)])
    assert await store.late(steady()) == []
    assert await store.overdue(steady()) == []
    assert len(await store.late(before + 90.0)) == 2
    assert len(await store.overdue(before + 90.0)) == 2
    await store.close()
