"""What can go wrong between a client and the orchestrator, each with one line and a remedy."""

from __future__ import annotations

import grpc

_REFUSALS = {
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.OUT_OF_RANGE,
}


class ClientError(Exception):
    """Something that a caller can report in one line.

    Attributes:
        message: what was wrong.
        remedy: what to do about it; may be empty.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class Unreachable(ClientError):  # noqa: N818  # reads as what it is: `except Unreachable`
    """No orchestrator answers there, or it stopped answering."""


class Refused(ClientError):  # noqa: N818
    """The orchestrator understood and said no."""


class NotFound(ClientError):  # noqa: N818
    """No such job, artifact or campaign."""


def from_rpc(error: grpc.RpcError, address: str) -> ClientError:
    """The typed error for a failed call. The server separates message and remedy by a line break."""
    code = error.code()
    message, _, remedy = (error.details() or code.name).partition("\n")
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return Unreachable(
            f"no orchestrator answers at {address}: {message}",
            "start one with `gauntlet lab up`, or check the address; a lab with TLS wants `gauntlet login` first",
        )
    if code is grpc.StatusCode.NOT_FOUND:
        return NotFound(message, remedy)
    if code in _REFUSALS:
        return Refused(message, remedy)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Refused(
            f"the orchestrator at {address} does not know this call: {message}", "run the same version there"
        )
    return ClientError(f"the orchestrator failed: {message}", remedy)
