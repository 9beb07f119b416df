"""The reference model, and how it is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Optional, Sequence

from protos import contract
from protos.gauntlet.v1 import artifact_pb2, device_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

#: Made by tools/make_reference_model.py.
MODEL = Path(__file__).with_name("reference.tflite")
_TIMEOUT_S = 60.0


class Reference:
    """The reference model on a device.

    Args:
        runtimes: of the device, best first.
        model: the file.

    Attributes:
        unavailable: why it cannot be measured here; empty if it can.
        paths: of the model, by digest.
    """

    def __init__(self, runtimes: Sequence[device_pb2.Runtime], model: Path = MODEL) -> None:
        runtime = next((runtime for runtime in runtimes if "tflite" in runtime.formats), None)
        self.unavailable = ""
        self.paths: Dict[str, Path] = {}
        if runtime is None:
            self.unavailable = "no runtime for the reference model: install ai-edge-litert (32-bit Arm: tflite-runtime)"
            return
        try:
            digest = contract.digest_of_file(model)
        except OSError as error:
            self.unavailable = f"the reference model {model} cannot be read ({error.strerror}): install the agent again"
            return
        self.paths = {digest: model}
        self._model = artifact_pb2.ArtifactRef(digest=digest, media_type="model/tflite", name=model.name)
        delegate = "xnnpack" if "xnnpack" in runtime.delegates else ""
        self._runtime = pb.RuntimeSpec(name=runtime.name, threads=1, delegate=delegate)

    def latency(self) -> pb.MeasurementSpec:
        """About 0.7 s: what a check measures. The median of a quiet device is known to about 0.1 % by then."""
        latency = pb.LatencySpec(
            warmup_min_runs=10,
            warmup_min_s=0.2,
            warmup_max_s=0.6,
            warmup_tolerance=0.02,
            min_samples=30,
            max_samples=100_000,
            min_s=0.4,
            max_s=0.8,
            half_width=0.01,
            confidence=0.95,
            pinning=pb.PINNING_AUTO,
        )
        return self._spec(latency=latency)

    def noise_floor(self) -> pb.MeasurementSpec:
        """The model against itself, as clients compare two by default."""
        comparison = pb.ComparisonSpec(
            model=self._model,
            processes=6,
            max_processes=15,
            min_segment_s=0.005,
            min_segment_samples=5,
            min_sample_s=100e-6,
            min_blocks=20,
            max_blocks=1_000,
            max_s=2.0,
            half_width=0.01,
            confidence=0.95,
            warmup_min_runs=10,
            warmup_min_s=0.3,
            warmup_max_s=3.0,
            warmup_tolerance=0.02,
            pinning=pb.PINNING_AUTO,
        )
        return self._spec(comparison=comparison)

    def _spec(
        self, latency: Optional[pb.LatencySpec] = None, comparison: Optional[pb.ComparisonSpec] = None
    ) -> pb.MeasurementSpec:
        return pb.MeasurementSpec(
            model=self._model, runtime=self._runtime, latency=latency, comparison=comparison, timeout_s=_TIMEOUT_S
        )


def conditions(device_id: str, ran: pb.Provenance) -> str:
    """What must be the same for two measurements of the reference model to be comparable."""
    runtime = f"{ran.runtime} {ran.runtime_version}, {ran.delegate}, {ran.threads} thread"
    return f"{device_id}: {ran.model_digest[:16]} on {runtime}"
