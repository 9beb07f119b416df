"""A fault plan as it travels, made into one that can be carried out."""

from __future__ import annotations

from typing import Any

from device_agent.errors import MeasurementError
from device_agent.measure.tensors import invalid_data
from fault_injection.errors import FaultError, UnsupportedModelError
from fault_injection.models import parse
from fault_injection.plan import FaultPlan, Lifetime, Position, Scale
from fault_injection.precision import Precision
from fault_injection.tflite import MalformedModelError
from protos.gauntlet.v1 import failure_pb2, fault_pb2

_POSITIONS = {
    fault_pb2.FAULT_SITE_WEIGHTS: Position.WEIGHTS,
    fault_pb2.FAULT_SITE_BEFORE_ACTIVATION: Position.BEFORE_ACTIVATION,
    fault_pb2.FAULT_SITE_AFTER_ACTIVATION: Position.AFTER_ACTIVATION,
}
_SCALES = {
    fault_pb2.FAULT_SCALE_UNSPECIFIED: Scale.DEPLOYED,
    fault_pb2.FAULT_SCALE_DEPLOYED: Scale.DEPLOYED,
    fault_pb2.FAULT_SCALE_POWER_OF_TWO: Scale.POWER_OF_TWO,
}
_LIFETIMES = {
    fault_pb2.FAULT_LIFETIME_UNSPECIFIED: None,
    fault_pb2.FAULT_LIFETIME_TRANSIENT: Lifetime.TRANSIENT,
    fault_pb2.FAULT_LIFETIME_PERMANENT: Lifetime.PERMANENT,
    fault_pb2.FAULT_LIFETIME_INTERMITTENT: Lifetime.INTERMITTENT,
}
_HIGHEST_BIT = 31


def read_plan(message: fault_pb2.FaultPlan) -> FaultPlan:
    """What to break.

    Raises:
        MeasurementError: invalid data where the plan makes no sense, unsupported operation where it is of a newer kind.
    """
    try:
        bits = None
        if message.HasField("lowest_bit") or message.HasField("highest_bit"):
            high = message.highest_bit if message.HasField("highest_bit") else _HIGHEST_BIT
            bits = (message.lowest_bit, high)
        lifetime = _known(_LIFETIMES, fault_pb2.FaultLifetime, message.lifetime)
        return FaultPlan(
            model=parse(message.fault_model),
            position=_known(_POSITIONS, fault_pb2.FaultSite, message.site),
            scale=_known(_SCALES, fault_pb2.FaultScale, message.scale),
            targets=tuple(message.targets),
            operations=tuple(message.operations),
            bits=bits,
            lifetime=lifetime,
            duty=message.duty if lifetime is Lifetime.INTERMITTENT else 1.0,
            protected=dict(message.protected_bits),
            seed=message.seed,
        )
    except FaultError as error:
        raise invalid_data(f"fault plan: {error}") from error


def read_precision(message: fault_pb2.FaultPlan) -> Precision:
    """How many patterns.

    Raises:
        MeasurementError: invalid data.
    """
    if not 0 < message.confidence < 1:
        raise invalid_data(f"fault_plan.confidence must lie between 0 and 1, not {message.confidence:g}")
    if not 1 <= message.min_patterns <= message.max_patterns:
        least, most = message.min_patterns, message.max_patterns
        raise invalid_data(f"a fault plan needs 1 <= min_patterns <= max_patterns, not {least} and {most}")
    return Precision(message.half_width, message.confidence, message.min_patterns, message.max_patterns)


def refused(error: Exception) -> MeasurementError:
    """A fault plan that does not fit the model: its author's mistake, or something that this model cannot have."""
    if isinstance(error, (UnsupportedModelError, MalformedModelError)):
        return MeasurementError(failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION, f"fault plan: {error}")
    return invalid_data(f"fault plan: {error}")


def _known(table: Any, enum: Any, number: int) -> Any:
    if number in table:
        return table[number]
    name = enum.Name(number) if number in enum.values() else str(number)
    raise MeasurementError(
        failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION,
        f"fault plan: this agent does not know {name.lower().replace('_', ' ')}",
    )
