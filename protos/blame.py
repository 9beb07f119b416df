"""Whose fault is a failure? The answer decides what happens to the job."""

from __future__ import annotations

import enum
import signal

from protos.gauntlet.v1 import failure_pb2 as pb


class Blame(enum.Enum):
    """Who has to change for the job to succeed."""

    #: Never retried; a search learns from it.
    MODEL = "model"
    #: Retried on another device, counted against this one.
    DEVICE = "device"
    #: Retried.
    FLEET = "fleet"
    #: Somebody asked for it: never retried.
    USER = "user"


_BY_KIND = {
    pb.FAILURE_KIND_INVALID_MODEL: Blame.MODEL,
    pb.FAILURE_KIND_UNSUPPORTED_OPERATION: Blame.MODEL,
    pb.FAILURE_KIND_WRONG_OUTPUT: Blame.MODEL,
    pb.FAILURE_KIND_OUT_OF_MEMORY: Blame.MODEL,
    pb.FAILURE_KIND_TIMED_OUT: Blame.MODEL,
    pb.FAILURE_KIND_INVALID_DATA: Blame.USER,
    pb.FAILURE_KIND_CANCELLED: Blame.USER,
    pb.FAILURE_KIND_QUEUE_DEADLINE: Blame.USER,
    pb.FAILURE_KIND_RUNTIME_ABSENT: Blame.DEVICE,
    pb.FAILURE_KIND_DEVICE_LOST: Blame.DEVICE,
    pb.FAILURE_KIND_DEVICE_UNFIT: Blame.DEVICE,
    pb.FAILURE_KIND_DISK_FULL: Blame.DEVICE,
    pb.FAILURE_KIND_CORRUPT_ARTIFACT: Blame.FLEET,
    pb.FAILURE_KIND_INTERNAL: Blame.FLEET,
}

#: Signals that come from outside the process (a person, the kernel's out-of-memory killer), not from the model's code.
_EXTERNAL_SIGNALS = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT}


def blame(failure: pb.Failure) -> Blame:
    """Whose fault `failure` is. Unknown kinds, from a newer peer, are the fleet's."""
    if failure.kind == pb.FAILURE_KIND_CRASHED:
        return Blame.DEVICE if failure.signal in _EXTERNAL_SIGNALS else Blame.MODEL
    return _BY_KIND.get(failure.kind, Blame.FLEET)


def kind_name(kind: int) -> str:
    """How people read a failure kind: FAILURE_KIND_INVALID_MODEL is "invalid model"."""
    try:
        name = pb.FailureKind.Name(kind)
    except ValueError:
        return f"unknown failure {kind}"
    return name[len("FAILURE_KIND_") :].lower().replace("_", " ")
