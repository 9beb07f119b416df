"""EnrolmentService: for those who have no certificate yet, and for renewal."""

from __future__ import annotations

from orchestrator.security.access import Access, AccessRefusedError
from orchestrator.services import Context, abort, caller
from protos.gauntlet.v1 import admin_pb2, admin_pb2_grpc


class EnrolmentService(admin_pb2_grpc.EnrolmentServiceServicer):
    """A shell around `Access`.

    Args:
        access: who may come in.
        address: where the holder of a certificate connects; an empty host means the one that was used.
    """

    def __init__(self, access: Access, address: str) -> None:
        self._access = access
        self._address = address

    async def GetAuthority(  # noqa: N802
        self, request: admin_pb2.GetAuthorityRequest, context: Context
    ) -> admin_pb2.GetAuthorityResponse:
        """See admin.proto."""
        return admin_pb2.GetAuthorityResponse(certificate=self._access.authority.pem)

    async def Enrol(self, request: admin_pb2.EnrolRequest, context: Context) -> admin_pb2.EnrolResponse:  # noqa: N802
        """See admin.proto."""
        try:
            enrolled, issued = await self._access.enrol(request.token, request.signing_request)
        except AccessRefusedError as error:
            await abort(context, error.code, str(error))
        return admin_pb2.EnrolResponse(
            certificate_chain=issued.chain,
            authority=self._access.authority.pem,
            name=enrolled.name,
            role=enrolled.role,
            lifetime_s=self._access.lifetime_s,
            address=self._address,
        )

    async def Renew(self, request: admin_pb2.RenewRequest, context: Context) -> admin_pb2.RenewResponse:  # noqa: N802
        """See admin.proto."""
        try:
            issued = await self._access.renew(caller(context), request.signing_request)
        except AccessRefusedError as error:
            await abort(context, error.code, str(error))
        return admin_pb2.RenewResponse(certificate_chain=issued.chain, lifetime_s=self._access.lifetime_s)
