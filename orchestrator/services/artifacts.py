"""ArtifactService: files in and out, by digest."""

from __future__ import annotations

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
from orchestrator.services import Context, abort
from protos.gauntlet.v1 import artifact_pb2, artifact_pb2_grpc

_MAX_STAT = 10_000
_CODES: dict[type[ArtifactError], tuple[grpc.StatusCode, str]] = {
    TooLargeError: (grpc.StatusCode.RESOURCE_EXHAUSTED, "use a smaller file"),
    NoSpaceError: (grpc.StatusCode.RESOURCE_EXHAUSTED, "free some space where the orchestrator keeps its folder"),
    DigestMismatchError: (grpc.StatusCode.INVALID_ARGUMENT, "upload it again"),
    NotFoundError: (grpc.StatusCode.NOT_FOUND, "upload it"),
}


class ArtifactService(artifact_pb2_grpc.ArtifactServiceServicer):
    """A shell around the artifact store."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts

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
        first = await anext(requests, artifact_pb2.UploadArtifactRequest())
        if first.WhichOneof("part") != "header":
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, "the first message must be the header")
        try:
            async with await self._artifacts.begin(first.header) as upload:
                async for request in requests:
                    await upload.write(request.chunk)
                return artifact_pb2.UploadArtifactResponse(artifact=await upload.finish())
        except ArtifactError as error:
            await _refuse(context, error)

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
