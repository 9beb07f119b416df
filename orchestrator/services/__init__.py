"""The gRPC services: thin shells that check what comes in and call the parts that do the work."""

from __future__ import annotations

import math
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import grpc

from protos.gauntlet.v1 import admin_pb2

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"  # a `type` statement needs Python 3.12


async def abort(context: Context, code: grpc.StatusCode, message: str) -> NoReturn:
    """End a call with an error: the first line of `message` says what is wrong, a second what to do."""
    await context.abort(code, message)
    raise AssertionError("abort does not return")


@dataclass(frozen=True)
class Caller:
    """Who calls.

    Attributes:
        name: of the certificate or token.
        role: what it may do, see admin.proto.
        credential: serial number of the certificate, or id of the token; empty without TLS.
        expires_at: when that ends, in Unix time.
    """

    name: str
    role: admin_pb2.Role
    credential: str = ""
    expires_at: float = math.inf

    def __str__(self) -> str:
        """For people: "anna (user)"."""
        if self is LOCAL or self.role == admin_pb2.ROLE_UNSPECIFIED:
            return self.name
        return f"{self.name} ({admin_pb2.Role.Name(self.role).removeprefix('ROLE_').lower()})"


#: Whoever reaches an orchestrator without TLS is on its machine, and may do everything.
LOCAL = Caller("local", admin_pb2.ROLE_ADMIN)
#: Who makes the call that this task serves; set by `orchestrator.security.guard`.
CALLER: ContextVar[Caller] = ContextVar("caller", default=LOCAL)


def caller(context: Context) -> Caller:
    """Who makes this call. Asked with the call's context, since outside of a call nobody is there."""
    return CALLER.get()
