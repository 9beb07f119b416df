"""What an agent says, checked and bounded before anything is done with it: pure."""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from orchestrator import jobs
from protos import contract
from protos.gauntlet.v1 import agent_pb2, device_pb2, failure_pb2, measurement_pb2

_MAX_AGENT_BYTES = 4 * 1024
_MAX_EPOCH = 200
#: Beside the largest specification, and its attempts, a job still fits into a message.
_MAX_RESULT_BYTES = contract.MAX_MESSAGE_BYTES * 13 // 16
#: Characters of a failure that are kept: of its message and remedy, of its worker's last words.
MAX_REASON, _MAX_LAST_WORDS = 1000, 8192


class SessionRefusedError(Exception):
    """The agent may not connect like this."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def outcome(finished: agent_pb2.JobFinished) -> tuple[jobs.Event, measurement_pb2.MeasurementResult | None]:
    """How a job ended, and its result.

    Raises:
        SessionRefusedError: there is neither result nor failure.
    """
    if finished.result.ByteSize() > _MAX_RESULT_BYTES:
        failure = failure_pb2.Failure(
            kind=failure_pb2.FAILURE_KIND_INTERNAL,
            message=f"the result has {finished.result.ByteSize()} bytes, more than {_MAX_RESULT_BYTES}",
            remedy="ask for less in one job",
        )
        return jobs.Failed(finished.lease_id, failure), None
    if finished.HasField("result"):
        return jobs.Succeeded(finished.lease_id), finished.result
    if finished.HasField("failure"):
        return jobs.Failed(finished.lease_id, _bounded(finished.failure)), None
    raise SessionRefusedError(grpc.StatusCode.INVALID_ARGUMENT, "a finished job with neither result nor failure")


def _bounded(failure: failure_pb2.Failure) -> failure_pb2.Failure:
    return failure_pb2.Failure(
        kind=failure.kind,
        message=failure.message[:MAX_REASON],
        remedy=failure.remedy[:MAX_REASON],
        signal=failure.signal if failure.HasField("signal") else None,
        stderr_tail=failure.stderr_tail[-_MAX_LAST_WORDS:],
        last_step=failure.last_step[:MAX_REASON],
    )


def check_hello(hello: agent_pb2.Hello) -> None:
    """Accept an agent of this protocol that describes itself and its devices.

    Raises:
        SessionRefusedError: it does not.
    """
    if hello.protocol_version != contract.PROTOCOL_VERSION:
        newer = "upgrade the orchestrator, or " if hello.protocol_version > contract.PROTOCOL_VERSION else ""
        raise SessionRefusedError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"the agent speaks protocol {hello.protocol_version}, this orchestrator {contract.PROTOCOL_VERSION}\n"
            f"{newer}install gauntlet {contract.software_version()} on the device",
        )
    if not contract.is_id(hello.agent.agent_id) or not 1 <= len(hello.session_epoch) <= _MAX_EPOCH:
        raise SessionRefusedError(grpc.StatusCode.INVALID_ARGUMENT, "a hello needs an agent id and a session epoch")
    if hello.agent.ByteSize() > _MAX_AGENT_BYTES:
        raise SessionRefusedError(
            grpc.StatusCode.INVALID_ARGUMENT, f"an agent describes itself in {_MAX_AGENT_BYTES} bytes"
        )
    check_devices(hello.devices)


def check_devices(descriptions: Iterable[device_pb2.DeviceDescription]) -> None:
    """Accept well-formed devices with ids of their own.

    Raises:
        SessionRefusedError: one is not.
    """
    seen = set()
    for description in descriptions:
        device_id = description.device_id
        if not contract.is_id(device_id) or not contract.is_id(description.device_class) or device_id in seen:
            raise SessionRefusedError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"device id {device_id[:80]!r} of class {description.device_class[:80]!r} is malformed or given twice\n"
                "ids and classes have 1-64 letters, digits, '.', '_' or '-'",
            )
        if description.ByteSize() > contract.MAX_DESCRIPTION_BYTES:
            raise SessionRefusedError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"device {device_id}: a description has at most {contract.MAX_DESCRIPTION_BYTES} bytes\n"
                "give it fewer labels",
            )
        seen.add(device_id)
