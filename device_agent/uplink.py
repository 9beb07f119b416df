"""The agent's connection: one channel, artifacts over it, and the session stream with its messages."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, AsyncIterator, Iterable, Optional, Set, Tuple

import grpc

from device_agent.waiting import within
from protos import contract
from protos.credentials import Credentials
from protos.gauntlet.v1 import agent_pb2, agent_pb2_grpc, artifact_pb2, artifact_pb2_grpc

_TRANSFER_TIMEOUT_S = 600.0
_FINISH_TIMEOUT_S = 5.0


class Uplink:
    """A channel to the orchestrator.

    Args:
        address: ``host:port`` or ``unix:/path``.
        credentials: of a lab that it has joined; None: without TLS.
    """

    def __init__(self, address: str, credentials: Optional[Credentials] = None) -> None:
        self._address = address
        self._closing: Set[asyncio.Future[None]] = set()
        if credentials is None:
            self._open(grpc.aio.insecure_channel(address, options=contract.CLIENT_OPTIONS))
        else:
            self._open(credentials.channel(address))

    def _open(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._agents = agent_pb2_grpc.AgentServiceStub(channel)  # type: ignore[no-untyped-call]
        self._artifacts = artifact_pb2_grpc.ArtifactServiceStub(channel)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """End the channel."""
        for closing in self._closing:
            closing.cancel()
        await self.channel.close(None)

    def use(self, credentials: Credentials) -> None:
        """Connect with these from now on; what is under way on the old connection ends there."""
        closing = asyncio.ensure_future(self.channel.close(_TRANSFER_TIMEOUT_S))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._open(credentials.channel(self._address))

    def session(self) -> Stream:
        """A new session stream."""
        return Stream(self._agents.Session())

    async def download(self, digest: str) -> AsyncIterator[bytes]:
        """The chunks of an artifact."""
        request = artifact_pb2.DownloadArtifactRequest(digest=digest)
        async for response in self._artifacts.DownloadArtifact(request, timeout=_TRANSFER_TIMEOUT_S):
            yield response.chunk

    async def upload(self, files: Iterable[Tuple[artifact_pb2.ArtifactRef, Path]]) -> None:
        """Upload files; the orchestrator takes one that it holds already without complaint."""

        async def requests(ref: artifact_pb2.ArtifactRef, path: Path) -> AsyncIterator[Any]:
            yield artifact_pb2.UploadArtifactRequest(header=ref)
            with path.open("rb") as file:
                while chunk := file.read(contract.CHUNK_BYTES):
                    yield artifact_pb2.UploadArtifactRequest(chunk=chunk)

        calls = [
            self._artifacts.UploadArtifact(requests(ref, path), timeout=_TRANSFER_TIMEOUT_S) for ref, path in files
        ]
        await asyncio.gather(*calls)


class Stream:
    """One session stream: commands come in, events go out in the order sent."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._outbox: asyncio.Queue[agent_pb2.SessionRequest] = asyncio.Queue()
        self._writer = asyncio.ensure_future(self._write())

    def send(self, **event: Any) -> None:
        """Queue an event, by its field name in `SessionRequest`."""
        self._outbox.put_nowait(agent_pb2.SessionRequest(**event))

    async def receive(self) -> Optional[agent_pb2.SessionResponse]:
        """The next command; None when the orchestrator ended the stream.

        Raises:
            grpc.aio.AioRpcError: the connection broke, or the session was refused.
        """
        response = await self._call.read()
        return None if response is grpc.aio.EOF else response  # type: ignore[attr-defined]  # not in the stubs

    async def refusal(self) -> Tuple[grpc.StatusCode, str]:
        """Why the stream ended."""
        return await self._call.code(), await self._call.details() or ""

    async def flush(self, timeout_s: float) -> None:
        """Wait until what was queued is written."""
        with contextlib.suppress(asyncio.TimeoutError):
            await within(self._outbox.join(), timeout_s)

    async def finish(self) -> None:
        """Say all that is queued, then no more: the orchestrator ends the stream."""
        await self.flush(_FINISH_TIMEOUT_S)
        self._writer.cancel()
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.done_writing()

    def close(self) -> None:
        """End the stream."""
        self._writer.cancel()
        self._call.cancel()

    async def _write(self) -> None:
        while True:
            event = await self._outbox.get()
            try:
                await self._call.write(event)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return  # the reader sees the same end, with its reason
            finally:
                self._outbox.task_done()
