"""Which parts of a measurement are timed: those that a device which is not fit spoils."""

from __future__ import annotations

from typing import List, Union

from protos.gauntlet.v1 import measurement_pb2

_PARTS = ("latency", "energy", "multi_stream", "offline", "comparison")


def timed_parts(of: Union[measurement_pb2.MeasurementSpec, measurement_pb2.MeasurementResult]) -> List[str]:
    """Names of the timed parts that a specification asks for or a result holds; a comparison stands alone."""
    return [part for part in _PARTS if of.HasField(part)]
