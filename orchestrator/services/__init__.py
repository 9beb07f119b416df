"""The gRPC services: thin shells that check what comes in and call the parts that do the work."""

from __future__ import annotations

from typing import Any, NoReturn, TypeAlias

import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"  # a `type` statement needs Python 3.12


async def abort(context: Context, code: grpc.StatusCode, message: str) -> NoReturn:
    """End a call with an error: the first line of `message` says what is wrong, a second what to do."""
    await context.abort(code, message)
    raise AssertionError("abort does not return")
