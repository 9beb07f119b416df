"""The health service, asked as a probe or a load balancer does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestrator.services.health import NAMES
from tests.orchestrator.lab import ScriptedAgent, running

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def test_the_whole_and_each_service_are_serving(tmp_path: Path) -> None:
    async with running(tmp_path) as address, grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert {"", "gauntlet.v1.FleetService", "gauntlet.v1.AgentService"} <= set(NAMES)
        for name in NAMES:
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="gauntlet.v1.NoService"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_whoever_watches_is_told_of_the_end_and_agents_why(tmp_path: Path) -> None:
    seen: list[int] = []
    async with running(tmp_path) as address:
        channel = grpc.aio.insecure_channel(address)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
        seen.append((await watch.read()).status)
        agent = ScriptedAgent(address)
        await agent.hello()

        async def end() -> None:
            seen.append((await watch.read()).status)

        ending = asyncio.ensure_future(end())
    await ending
    assert seen == [SERVING, NOT_SERVING]
    assert await agent.refusal() == (grpc.StatusCode.UNAVAILABLE, "the orchestrator stops")
    await channel.close()
