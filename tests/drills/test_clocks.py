"""The orchestrator's clock is set while it works, as on a board that finds a time server: nothing expires or hangs.

There is no way to set the clock of one process from outside: the orchestrator runs in this one, on a clock that jumps.
"""

from __future__ import annotations

import asyncio
import sys
import time
import types
from pathlib import Path

import pytest

from orchestrator import dispatcher
from orchestrator.client import Client
from orchestrator.custody import Custody
from orchestrator.store.sql import SqlStore
from protos.gauntlet.v1 import agent_pb2, device_pb2, job_pb2
from tests.drills.ledger import Ledger
from tests.orchestrator.lab import ScriptedAgent, a_job, device, running

HOUR_S, YEAR_S = 3600.0, 365 * 86_400.0


class JumpingClock:
    """The time of day, until it is set."""

    def __init__(self) -> None:
        self._real = time.time
        self.offset_s = 0.0

    def __call__(self) -> float:
        return self._real() + self.offset_s


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> JumpingClock:
    """Wherever the orchestrator looks for the time of day, also where a default took hold of it at import.

    Not in the client, nor in gRPC's Python half: that makes deadlines of it for its other half, whose clock is real.
    """
    real, clock = time.time, JumpingClock()
    defaults = SqlStore.open.__func__.__kwdefaults__  # type: ignore[attr-defined]
    assert defaults["clock"] is real
    monkeypatch.setitem(defaults, "clock", clock)
    replaced = tuple(clock if default is real else default for default in Custody.__init__.__defaults__ or ())
    assert clock in replaced
    monkeypatch.setattr(Custody.__init__, "__defaults__", replaced)
    jumping = types.SimpleNamespace(**{**vars(time), "time": clock})
    for name, module in list(sys.modules.items()):
        is_ours = name.startswith("orchestrator.") and not name.startswith("orchestrator.client")
        if is_ours and getattr(module, "time", None) is time:
            monkeypatch.setattr(module, "time", jumping)
    monkeypatch.setattr(dispatcher, "_COLLECT_EVERY_S", 0.1)
    return clock


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S, YEAR_S, -YEAR_S])
async def test_a_clock_that_jumps_ends_nothing(tmp_path: Path, wall_clock: JumpingClock, jump_s: float) -> None:
    ledger = Ledger()
    async with (
        running(tmp_path, heartbeat_interval_s=0.2, lease_duration_s=5.0) as address,
        Client(address) as client,
    ):
        agent = ScriptedAgent(address)
        await agent.hello(device())
        specs = [await a_job(client), await a_job(client, queue_timeout_s=60.0), await a_job(client, deadline_s=60.0)]
        ledger.submitting(specs)
        for spec, job in zip(specs, await client.submit(specs), strict=True):
            ledger.submitted(spec, job.job_id)
        lease = await agent.hear("lease")
        unused = await client.put_bytes(b"uploaded, and not named by a job yet", "model/tflite", "next.tflite")

        wall_clock.offset_s = jump_s
        for _ in range(6):  # two looks at what is overdue, and several at what may be thrown away
            await agent.say(heartbeat=agent_pb2.Heartbeat(held_lease_ids=[lease.lease_id]))
            await asyncio.sleep(0.2)
        jobs = [await client.job(job_id) for job_id in ledger.acknowledged.values()]
        queued = job_pb2.JOB_STATE_QUEUED
        assert [job.state for job in jobs] == [job_pb2.JOB_STATE_LEASED, queued, queued]
        assert jobs[0].attempts[0].lease_id == lease.lease_id
        assert [d.state for d in await client.devices()] == [device_pb2.DEVICE_STATE_BUSY]
        assert await client.get_artifact(unused.digest)

        for job_id in ledger.acknowledged.values():
            assert lease.job_id == job_id
            assert (await agent.finish(lease)).disposition == agent_pb2.DISPOSITION_COMMITTED
            job = await client.job(job_id)
            assert job.state == job_pb2.JOB_STATE_SUCCEEDED
            ledger.saw(job)
            if job_id != jobs[-1].job_id:
                lease = await agent.hear("lease")
        await agent.hang_up()
    ledger.check(tmp_path / "lab", wall_clock=False)
