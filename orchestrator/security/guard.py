"""The one place where it is decided whether a call is served: who calls, may they, and for how long.

call ──▶ certificate, API token or nobody? ──▶ may the role call this? ──▶ the service
                    │ stranger                        │ no                    │ while a stream lasts:
                    ▼                                 ▼                       ▼ revoked or expired?
             UNAUTHENTICATED                  PERMISSION_DENIED         UNAUTHENTICATED
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from orchestrator.security import audit, roles
from orchestrator.security.access import Access
from orchestrator.security.audit import AuditLog
from orchestrator.services import CALLER, LOCAL, Caller, Context, abort
from orchestrator.store.base import StoreError
from protos.gauntlet.v1 import admin_pb2

log = logging.getLogger(__name__)

_NOBODY = Caller("nobody", admin_pb2.ROLE_UNSPECIFIED)
_UNKNOWN = "the lab does not know you, or no more\nask an administrator for a token, and join or log in with it"
_FORBIDDEN = "your role may not do this\nask an administrator of the lab"
_ENDED = "the certificate or token was revoked, replaced or has expired\njoin or log in again"
_REFUSALS = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
Handler = Callable[[Any, Context], Any]


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # no generic class at run time
    """Stands before every method of a server.

    Args:
        access: who is let in; None for a server without TLS, whose callers are all `LOCAL`.
        log: what is done and refused goes there.
    """

    def __init__(self, access: Access | None, log: AuditLog) -> None:
        self._access = access
        self._log = log

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """Wrap the method's handler; an unknown method has none, and the server says so."""
        handler = await continuation(details)
        if handler is None:
            return None
        make: Callable[..., Any] = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        serve: Handler = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        guarded = self._call(details.method, serve) if make is grpc.unary_unary_rpc_method_handler else None
        return make(
            guarded or self._stream(details.method, serve, handler.response_streaming),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _call(self, method: str, serve: Handler) -> Handler:
        async def call(request: Any, context: Context) -> Any:
            who = await self._admit(method, request, context)
            CALLER.set(who)
            if method not in audit.AUDITED:
                async with _store_errors_told(context):
                    return await serve(request, context)
            # A caller that hangs up takes back nothing: what the store has, as a revocation, must take effect as well.
            return await asyncio.shield(audited(who, request, context))

        async def audited(who: Caller, request: Any, context: Context) -> Any:
            peer = context.peer()
            try:
                async with _store_errors_told(context):
                    response = await serve(request, context)
            except grpc.aio.AbortError:
                if context.code() in _REFUSALS:
                    await self._log.refused(who, method, request, _first_line(context), peer)
                raise
            await self._log.done(who, method, request, response, peer)
            return response

        return call

    def _stream(self, method: str, serve: Handler, response_streaming: bool) -> Handler:
        async def work(request: Any, context: Context) -> Any:
            served = serve(request, context)
            async with _store_errors_told(context):
                if not hasattr(served, "__aiter__"):
                    return await served
                async for response in served:
                    await context.write(response)
            return None

        async def stream(request: Any, context: Context) -> Any:
            who = await self._admit(method, None, context)
            CALLER.set(who)
            if self._access is None or not who.credential:
                return await work(request, context)
            return await self._until_revoked(self._access, who, work(request, context), context)

        return stream

    async def _until_revoked(self, access: Access, who: Caller, work: Any, context: Context) -> Any:
        line = access.opened(who.credential)
        serving = asyncio.ensure_future(work)
        revoked = asyncio.ensure_future(line.revoked.wait())
        try:
            await asyncio.wait({serving, revoked}, timeout=access.left_s(who), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                return serving.result()
            await _cancelled(serving)
            log.warning("a stream of %s was closed: %s", who, _ENDED.splitlines()[0])
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, _ENDED)
        finally:
            revoked.cancel()
            await _cancelled(serving)
            access.closed(who.credential, line)

    async def _admit(self, method: str, request: Any, context: Context) -> Caller:
        """Who calls, if they may.

        Raises:
            grpc.aio.AbortError: the call was refused.
        """
        who = LOCAL if self._access is None else _identify(self._access, context)
        if roles.may(who.role, method):
            return who
        known = who is not _NOBODY
        message = _FORBIDDEN if known else _UNKNOWN
        await self._log.refused(who, method, request, message.splitlines()[0], context.peer())
        await context.abort(_REFUSALS[known], message)
        raise AssertionError("abort does not return")


def _identify(access: Access, context: Context) -> Caller:
    """By the certificate, on the port that asks for one; else by the API token."""
    for pem in context.auth_context().get("x509_pem_cert", ()):
        return access.by_certificate(pem) or _NOBODY
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str) and value.startswith("Bearer "):
            return access.by_token(value.removeprefix("Bearer ")) or _NOBODY
    return _NOBODY


@asynccontextmanager
async def _store_errors_told(context: Context) -> AsyncIterator[None]:
    """Whichever call needs the store, a full disk is said in the store's words."""
    try:
        yield
    except StoreError as error:
        await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))


async def _cancelled(task: asyncio.Future[Any]) -> None:
    """End the task; whatever it ends with has been dealt with, or has nobody who waits for it."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})


def _first_line(context: Context) -> str:
    return str(context.details() or "").partition("\n")[0]
