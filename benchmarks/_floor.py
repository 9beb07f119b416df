"""The floor of a dispatch: a bare gRPC server that takes bytes and answers with eight.

``python -m benchmarks._floor ADDRESS``, ended by whoever started it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from protos import contract

METHOD = "/benchmarks.Floor/Take"


async def take(request: bytes, context: Any) -> bytes:
    return len(request).to_bytes(8, "big")


async def serve(address: str) -> None:
    server = grpc.aio.server(options=contract.SERVER_OPTIONS)
    # Without serializers, messages are bytes.
    handler = grpc.unary_unary_rpc_method_handler(take)
    service, method = METHOD.strip("/").split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    server.add_insecure_port(address)
    await server.start()
    # Ends with whoever holds the other end of standard input.
    await asyncio.to_thread(sys.stdin.read)


def caller(channel: Any) -> Callable[[bytes], Awaitable[bytes]]:
    """The client's side."""
    method: Callable[[bytes], Awaitable[bytes]] = channel.unary_unary(METHOD)
    return method


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
