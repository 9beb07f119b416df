"""A stranger cannot fill the books."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.security.audit import REFUSALS, WINDOW_S, Refusals
from orchestrator.store import security
from orchestrator.store.sql import SqlStore
from protos.gauntlet.v1 import admin_pb2
from tests.orchestrator.conftest import Clock


def test_the_first_refusals_of_a_peer_are_entered_and_the_rest_counted(clock: Clock) -> None:
    refusals = Refusals(clock)
    assert [refusals.admit("a") for _ in range(REFUSALS + 5)] == [""] * REFUSALS + [None] * 5
    assert refusals.admit("b") == ""
    clock.advance(WINDOW_S)
    assert refusals.admit("a") == "and 5 more before, not entered"


def test_many_peers_take_bounded_memory(clock: Clock) -> None:
    refusals = Refusals(clock)
    for number in range(5_000):
        assert refusals.admit(str(number)) == ""
    assert len(refusals._seen) <= 1_000


async def test_old_entries_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "AUDIT_KEPT", 5)
    store = await SqlStore.open(tmp_path / "lab.sqlite")
    for number in range(12):
        await store.security.record(admin_pb2.AuditEntry(action="try", object=str(number)))
    newest, token = await store.security.audit(3, "")
    rest, end = await store.security.audit(3, token)
    assert [entry.object for entry in (*newest, *rest)] == ["11", "10", "9", "8", "7"]
    assert end == ""
    await store.close()
