"""Libraries that run models on this machine, behind one interface."""

from __future__ import annotations

from typing import Callable, List, Optional, Sequence

from device_agent.errors import MeasurementError
from device_agent.runtimes import litert
from device_agent.runtimes.base import LoadedModel, Runtime, Tensor
from protos.gauntlet.v1 import failure_pb2

__all__ = ["LoadedModel", "Runtime", "Tensor", "choose", "discover", "format_of"]

#: In order of preference. Each returns None where its library is not installed; none imports native code.
_FACTORIES: Sequence[Callable[[], Optional[Runtime]]] = (litert.find,)
_MEDIA_PREFIX = "model/"


def discover() -> List[Runtime]:
    """The runtimes that are installed here, best first."""
    return [runtime for factory in _FACTORIES for runtime in [factory()] if runtime is not None]


def format_of(media_type: str) -> str:
    """Model format named by an artifact's media type: "model/tflite" is "tflite", and so is an empty one."""
    if not media_type:
        return "tflite"
    return media_type[len(_MEDIA_PREFIX) :] if media_type.startswith(_MEDIA_PREFIX) else media_type


def choose(runtimes: Sequence[Runtime], name: str, model_format: str) -> Runtime:
    """The runtime that was asked for, or the first that takes the format when `name` is empty.

    Raises:
        MeasurementError: runtime absent.
    """
    for runtime in runtimes:
        if model_format in runtime.formats and name in ("", runtime.name):
            return runtime
    offered = ", ".join(f"{r.name} ({', '.join(r.formats)})" for r in runtimes) or "none"
    wanted = f"runtime {name!r}" if name else "a runtime"
    raise MeasurementError(
        failure_pb2.FAILURE_KIND_RUNTIME_ABSENT,
        f"this device has not got {wanted} for {model_format!r} models; it offers: {offered}",
        "" if runtimes else "install ai-edge-litert (or tflite-runtime on 32-bit Arm) on the device",
    )
