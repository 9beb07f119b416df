"""What an operator is told of a lab by its status."""

from __future__ import annotations

from pathlib import Path

from orchestrator.client import Client
from tests.orchestrator.lab import ScriptedAgent, a_job, running


async def test_a_status_tells_who_asks_what_waits_and_what_is_stored(tmp_path: Path) -> None:
    async with running(tmp_path) as address, Client(address, patience_s=5) as client:
        agent = ScriptedAgent(address)
        await agent.hello()
        await client.submit([await a_job(client, campaign_id="c1"), await a_job(client)])
        await agent.hear("lease")
        status = await client.status()
    assert (status.caller, status.secure) == ("local", False)
    assert (status.artifact_files, status.artifact_bytes) == (1, len(b"a model"))
    assert status.store_bytes >= 4096
    assert {(share.user, share.campaign_id) for share in status.shares} == {("local", "c1"), ("local", "")}
    assert sum(share.queued + share.held for share in status.shares) == 2
