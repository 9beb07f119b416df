"""A real orchestrator in this process, and an agent that says what a test wants it to say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from orchestrator.client import Client
from orchestrator.client.specs import job_spec, latency_spec, measurement_spec
from orchestrator.config import Config
from orchestrator.server import serve
from protos import contract
from protos.gauntlet.v1 import agent_pb2, agent_pb2_grpc, artifact_pb2, device_pb2, job_pb2, measurement_pb2

PATIENCE_S = 10.0


@contextlib.asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[str]:
    """An orchestrator on a unix socket in `folder`; yields its address."""
    until, ready = asyncio.Event(), asyncio.Event()
    config = Config(address=f"unix:{folder}/lab.sock", folder=folder / "lab", **settings)
    task = asyncio.ensure_future(serve(config, until, ready.set))
    await asyncio.wait({task, asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield config.address
    finally:
        until.set()
        await asyncio.wait_for(task, PATIENCE_S)


def device(device_id: str = "d1", device_class: str = "test", **fields: Any) -> device_pb2.DeviceDescription:
    """A device that can do everything."""
    return device_pb2.DeviceDescription(
        device_id=device_id,
        device_class=device_class,
        runtimes=[device_pb2.Runtime(name="litert", formats=["tflite"], delegates=["xnnpack", "none"])],
        capabilities=["latency", "memory", "accuracy", "output_check"],
        **fields,
    )


class ScriptedAgent:
    """The agent's end of a session, by hand."""

    def __init__(
        self,
        address: str,
        agent_id: str = "a1",
        epoch: str = "1-x",
        *,
        channel: grpc.aio.Channel | None = None,
        metrics_address: str = "",
    ) -> None:
        self.agent_id = agent_id
        self.metrics_address = metrics_address
        self.epoch = epoch
        self._channel = channel or grpc.aio.insecure_channel(address)
        self._call = agent_pb2_grpc.AgentServiceStub(self._channel).Session()
        self._speaking = asyncio.Lock()  # gRPC takes one write of a stream at a time

    async def hello(self, *devices: device_pb2.DeviceDescription, held: tuple[str, ...] = (), version: int = 0) -> Any:
        """Introduce itself; the welcome."""
        await self.say(
            hello=agent_pb2.Hello(
                protocol_version=version or contract.PROTOCOL_VERSION,
                agent=device_pb2.AgentDescription(
                    agent_id=self.agent_id,
                    hostname="host-of-" + self.agent_id,
                    metrics_address=self.metrics_address,
                ),
                devices=devices or [device()],
                session_epoch=self.epoch,
                held_lease_ids=held,
            )
        )
        return await self.hear("welcome")

    async def say(self, **event: Any) -> None:
        async with self._speaking:
            await self._call.write(agent_pb2.SessionRequest(**event))

    async def hear(self, kind: str) -> Any:
        """The next command of this kind; others are passed over."""
        while not (response := await self.next()).HasField(kind):
            pass
        return getattr(response, kind)

    async def next(self) -> agent_pb2.SessionResponse:
        """The next command of any kind."""
        response = await asyncio.wait_for(self._call.read(), PATIENCE_S)
        assert response is not grpc.aio.EOF, "the orchestrator ended the session"
        return response

    async def refusal(self) -> tuple[grpc.StatusCode, str]:
        """How the session ended."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await asyncio.wait_for(self._call.read(), PATIENCE_S) is not grpc.aio.EOF:
                pass
        return await self._call.code(), await self._call.details()

    async def finish(self, lease: agent_pb2.Lease, **outcome: Any) -> agent_pb2.FinishedAck:
        """Report a job as finished, by default with a result; the acknowledgement."""
        outcome = outcome or {"result": measurement_pb2.MeasurementResult()}
        await self.say(
            job_finished=agent_pb2.JobFinished(
                lease_id=lease.lease_id, job_id=lease.job_id, device_id=lease.device_id, **outcome
            )
        )
        return await self.hear("finished_ack")

    async def hang_up(self) -> None:
        """Cut the connection without a goodbye."""
        self._call.cancel()
        await self._channel.close()


async def a_job(client: Client, **fields: Any) -> job_pb2.JobSpec:
    """A job whose model is uploaded."""
    model = await client.put_bytes(b"a model", "model/tflite", "model.tflite")
    return job_spec(measurement_spec(model, latency=latency_spec()), **fields)


def a_ref(digest: str = "f" * 64) -> artifact_pb2.ArtifactRef:
    """An artifact that nobody uploaded."""
    return artifact_pb2.ArtifactRef(digest=digest, size_bytes=3, media_type="model/tflite", name="gone.tflite")
