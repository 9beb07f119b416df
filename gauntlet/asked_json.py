"""What a measurement was asked to be, as JSON: the numbers of each part of the protocol that it uses."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from protos.gauntlet.v1 import measurement_pb2

_PARTS = ("memory", "energy", "profile", "accuracy", "multi_stream", "offline", "throttle", "setup")


def asked_document(spec: measurement_pb2.MeasurementSpec) -> dict[str, Any]:
    """Part by part; None for what was not asked for."""
    return {part: _numbers(getattr(spec, part)) if spec.HasField(part) else None for part in _PARTS}


def _numbers(part: Message) -> dict[str, Any]:
    """All fields but those that are messages themselves; of an artifact, the digest."""
    found: dict[str, Any] = {}
    for field in part.DESCRIPTOR.fields:
        value = getattr(part, field.name)
        if field.message_type is not None:
            found[f"{field.name}_digest"] = value.digest
        else:
            found[field.name] = value if isinstance(value, (str, int, float)) else list(value)
    return found
