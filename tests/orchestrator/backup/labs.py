"""Labs to be copied."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from pathlib import Path

from orchestrator.backup.contents import artifact_path
from orchestrator.client import Client
from protos.gauntlet.v1 import agent_pb2, failure_pb2
from tests.orchestrator.lab import ScriptedAgent, a_job, running

MODEL = b"a model"
MODEL_DIGEST = hashlib.sha256(MODEL).hexdigest()


async def busy_lab(folder: Path) -> Path:
    """A lab's folder with a job that succeeded, one that failed and two that a device holds."""
    async with running(folder) as address, Client(address, patience_s=5) as client:
        agent = ScriptedAgent(address)
        await agent.hello()
        for outcome in ({}, {"failure": failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_INVALID_MODEL)}):
            await client.submit([await a_job(client, campaign_id="c1")])
            await agent.finish(await next_lease(agent), **outcome)
        await client.submit([await a_job(client, idempotency_key="held")])
        await next_lease(agent)
        await client.submit([await a_job(client, idempotency_key="held too")])
    return folder / "lab"


async def next_lease(agent: ScriptedAgent) -> agent_pb2.Lease:
    """What it is given to do."""
    lease: agent_pb2.Lease = await agent.hear("lease")
    return lease


def rows(lab: Path) -> list[str]:
    """All that a database says."""
    with contextlib.closing(sqlite3.connect(lab / "lab.sqlite")) as connection:
        return list(connection.iterdump())


def model_of(lab: Path) -> bytes:
    return artifact_path(lab, MODEL_DIGEST).read_bytes()
