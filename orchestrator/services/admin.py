"""AdminService: tokens, certificates and the audit log, for administrators."""

from __future__ import annotations

import grpc

from orchestrator.security.access import Access, AccessRefusedError
from orchestrator.services import Context, abort, caller
from protos.gauntlet.v1 import admin_pb2, admin_pb2_grpc

_DEFAULT_PAGE, _MAX_PAGE = 100, 1000


class AdminService(admin_pb2_grpc.AdminServiceServicer):
    """A shell around `Access`.

    Args:
        access: who may come in.
        open_port: where tokens are used; 0 without TLS.
    """

    def __init__(self, access: Access, open_port: int) -> None:
        self._access = access
        self._open_port = open_port

    async def CreateToken(  # noqa: N802
        self, request: admin_pb2.CreateTokenRequest, context: Context
    ) -> admin_pb2.CreateTokenResponse:
        """See admin.proto."""
        try:
            token, text = await self._access.create_token(request, str(caller(context)))
        except AccessRefusedError as error:
            await abort(context, error.code, str(error))
        return admin_pb2.CreateTokenResponse(token=token, text=text, open_port=self._open_port)

    async def ListTokens(  # noqa: N802
        self, request: admin_pb2.ListTokensRequest, context: Context
    ) -> admin_pb2.ListTokensResponse:
        """See admin.proto."""
        return admin_pb2.ListTokensResponse(tokens=await self._access.books.tokens())

    async def Revoke(  # noqa: N802
        self, request: admin_pb2.RevokeRequest, context: Context
    ) -> admin_pb2.RevokeResponse:
        """See admin.proto."""
        ended, sessions = await self._access.revoke(request.what, request.reason)
        if not ended.serials and not ended.token_ids:
            message = f"nothing to revoke: {request.what!r} is no good token, certificate or name"
            await abort(context, grpc.StatusCode.NOT_FOUND, f"{message}\nsee gauntlet lab certificates")
        return admin_pb2.RevokeResponse(
            tokens=len(ended.token_ids), certificates=len(ended.serials), closed_sessions=sessions
        )

    async def ListCertificates(  # noqa: N802
        self, request: admin_pb2.ListCertificatesRequest, context: Context
    ) -> admin_pb2.ListCertificatesResponse:
        """See admin.proto."""
        return admin_pb2.ListCertificatesResponse(certificates=await self._access.books.certificates())

    async def ListAudit(  # noqa: N802
        self, request: admin_pb2.ListAuditRequest, context: Context
    ) -> admin_pb2.ListAuditResponse:
        """See admin.proto."""
        try:
            limit = min(request.page_size or _DEFAULT_PAGE, _MAX_PAGE)
            entries, token = await self._access.books.audit(limit, request.page_token)
        except ValueError as error:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"unknown page token: {error}")
        return admin_pb2.ListAuditResponse(entries=entries, next_page_token=token)
