"""ArtifactService: files in and out, by digest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NoReturn

import grpc

from orchestrator.artifacts import (
    ArtifactError,
    ArtifactStore,
    DigestMismatchError,
    NoSpaceError,
    NotFoundError,
    TooLargeError,
)
from orchestrator.limits import Turns
from orchestrator.services import Context, abort, caller
from protos.gauntlet.v1 import artifact_pb2, artifact_pb2_grpc

_MAX_STAT = 10_000
#: Of one caller; more wait for their turn.
_UPLOADS_AT_ONCE = 32
#: An upload under way holds room in the store. It may pause for so long, and must come at this rate in the mean.
_UPLOAD_PAUSE_S = 30.0
_UPLOAD_LEAST_BYTES_PER_S = 32 * 1024


class _EmptyChunkError(ArtifactError):
    """A stream of nothing would never end."""


_CODES: dict[type[ArtifactError], tuple[grpc.StatusCode, str]] = {
    TooLargeError: (grpc.StatusCode.RESOURCE_EXHAUSTED, "use a smaller file"),
    NoSpaceError: (grpc.StatusCode.RESOURCE_EXHAUSTED, "free some space where the orchestrator keeps its folder"),
    DigestMismatchError: (grpc.StatusCode.INVALID_ARGUMENT, "upload it again"),
    NotFoundError: (grpc.StatusCode.NOT_FOUND, "upload it"),
    _EmptyChunkError: (grpc.StatusCode.INVALID_ARGUMENT, "leave the empty ones out"),
}


class ArtifactService(artifact_pb2_grpc.ArtifactServiceServicer):
    """A shell around the artifact store.

    Args:
        artifacts: the store.
        pause_s: an upload that says nothing for so long is over.
    """

    def __init__(self, artifacts: ArtifactStore, pause_s: float = _UPLOAD_PAUSE_S) -> None:
        self._artifacts = artifacts
        self._pause_s = pause_s
        self._uploads = Turns(_UPLOADS_AT_ONCE)

    async def StatArtifacts(  # noqa: N802
        self, request: artifact_pb2.StatArtifactsRequest, context: Context
    ) -> artifact_pb2.StatArtifactsResponse:
        """See artifact.proto."""
        if len(request.digests) > _MAX_STAT:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"at most {_MAX_STAT} digests in one call")
        return artifact_pb2.StatArtifactsResponse(present=await self._artifacts.stat(request.digests))

    async def UploadArtifact(  # noqa: N802
        self, requests: AsyncIterator[artifact_pb2.UploadArtifactRequest], context: Context
    ) -> artifact_pb2.UploadArtifactResponse:
        """See artifact.proto."""
        try:
            async with self._uploads.turn(caller(context).name):
                return artifact_pb2.UploadArtifactResponse(artifact=await self._take(requests, context))
        except ArtifactError as error:
            await _refuse(context, error)
        except TimeoutError:
            message = "the upload came too slowly, or stopped\nupload it again over a better connection"
            await abort(context, grpc.StatusCode.DEADLINE_EXCEEDED, message)

    async def _take(
        self, requests: AsyncIterator[artifact_pb2.UploadArtifactRequest], context: Context
    ) -> artifact_pb2.ArtifactRef:
        async with asyncio.timeout(self._pause_s):
            first = await anext(requests, artifact_pb2.UploadArtifactRequest())
        if first.WhichOneof("part") != "header":
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, "the first message must be the header")
        now = asyncio.get_running_loop().time
        deadline = now() + self._pause_s + first.header.size_bytes / _UPLOAD_LEAST_BYTES_PER_S
        async with await self._artifacts.begin(first.header) as upload, asyncio.timeout(None) as patience:
            patience.reschedule(min(deadline, now() + self._pause_s))
            async for request in requests:
                if not request.chunk:
                    raise _EmptyChunkError("after the header come chunks, none of them empty")
                await upload.write(request.chunk)
                patience.reschedule(min(deadline, now() + self._pause_s))
            patience.reschedule(None)
            return await upload.finish()

    async def DownloadArtifact(  # noqa: N802
        self, request: artifact_pb2.DownloadArtifactRequest, context: Context
    ) -> AsyncIterator[artifact_pb2.DownloadArtifactResponse]:
        """See artifact.proto."""
        try:
            async for chunk in self._artifacts.chunks(request.digest, request.offset_bytes):
                yield artifact_pb2.DownloadArtifactResponse(chunk=chunk)
        except ArtifactError as error:
            await _refuse(context, error)


async def _refuse(context: Context, error: ArtifactError) -> NoReturn:
    code, remedy = _CODES.get(type(error), (grpc.StatusCode.FAILED_PRECONDITION, ""))
    await abort(context, code, f"{error}\n{remedy}")
