"""Libraries that run models on this machine, behind one interface."""

from __future__ import annotations

from typing import List, Protocol, Sequence, Tuple, TypeVar

from device_agent.errors import MeasurementError
from device_agent.runtimes import litert, ort, torch_export
from device_agent.runtimes.base import LoadedModel, ProfileUnavailable, Runtime, Tensor, first_inference
from protos.gauntlet.v1 import failure_pb2

__all__ = [
    "LoadedModel",
    "ProfileUnavailable",
    "Runtime",
    "Tensor",
    "choose",
    "discover",
    "first_inference",
    "format_of",
]

_MEDIA_PREFIX = "model/"
_REMEDIES = {
    "tflite": "install ai-edge-litert (or tflite-runtime on 32-bit Arm) on the device",
    "onnx": "install gauntlet[onnx] on the device",
    "pt2": "such a file can run code where it is loaded: a host with torch takes it only when its agent is started "
    "with --allow-pt2, or with GAUNTLET_ALLOW_PT2=1 in the environment",
}


def discover(allow_pt2: bool = False) -> List[Runtime]:
    """The runtimes that are installed here, best first. Told by metadata: no native code is loaded.

    Args:
        allow_pt2: offer torch too, whose files can run code where they are loaded.
    """
    return [runtime for runtime in (litert.find(), ort.find(), torch_export.find(allow_pt2)) if runtime is not None]


def format_of(media_type: str) -> str:
    """Model format named by an artifact's media type: "model/tflite" is "tflite", and so is an empty one."""
    if not media_type:
        return "tflite"
    return media_type[len(_MEDIA_PREFIX) :] if media_type.startswith(_MEDIA_PREFIX) else media_type


class Offered(Protocol):
    """Any runtime, wherever it runs."""

    @property
    def name(self) -> str:
        """For example "litert"."""

    @property
    def formats(self) -> Tuple[str, ...]:
        """Model formats, for example "tflite"."""


Chosen = TypeVar("Chosen", bound=Offered)


def choose(runtimes: Sequence[Chosen], name: str, model_format: str) -> Chosen:
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
        _REMEDIES.get(model_format, "") if not any(model_format in r.formats for r in runtimes) else "",
    )
