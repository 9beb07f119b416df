"""What the guard does for calls that change something."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from orchestrator.security.audit import AuditLog
from orchestrator.security.guard import Guard
from orchestrator.store.sql import SqlStore
from protos.gauntlet.v1 import admin_pb2
from tests.orchestrator.conftest import Clock
from tests.orchestrator.lab import PATIENCE_S

_REVOKE = "/gauntlet.v1.AdminService/Revoke"


async def test_who_hangs_up_takes_back_nothing_of_a_revocation(tmp_path: Path, clock: Clock) -> None:
    store = await SqlStore.open(tmp_path / "lab.sqlite")
    begun, go, took_effect = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def revoke(request: Any, context: Any) -> admin_pb2.RevokeResponse:
        begun.set()
        await go.wait()  # the store writes, and does so whoever still waits for it
        took_effect.set()
        return admin_pb2.RevokeResponse()

    async def handler(details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(revoke)  # type: ignore[arg-type]

    details: Any = SimpleNamespace(method=_REVOKE)
    guarded = await Guard(None, AuditLog(store.security, clock)).intercept_service(handler, details)
    context: Any = SimpleNamespace(peer=lambda: "ipv4:192.0.2.1:5000")
    call = asyncio.ensure_future(guarded.unary_unary(admin_pb2.RevokeRequest(what="pi4"), context))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go.set()
    entries: list[admin_pb2.AuditEntry] = []
    async with asyncio.timeout(PATIENCE_S):
        await took_effect.wait()
        while not entries:
            entries, _ = await store.security.audit(5, "")
    assert [(entry.action, entry.object) for entry in entries] == [("revoke", "pi4")]
    await store.close()
