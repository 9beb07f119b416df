"""A comparison as a device would report it."""

from __future__ import annotations

import math
import random

from orchestrator.client.specs import comparison_spec
from protos.figures import measured, unavailable
from protos.gauntlet.v1 import artifact_pb2, figure_pb2, job_pb2, measurement_pb2
from tests.gauntlet import canned

NO_FLOOR = "not given; comparing a model with itself on this device finds it"
_KINDS = {
    "faster": measurement_pb2.COMPARISON_VERDICT_FASTER,
    "slower": measurement_pb2.COMPARISON_VERDICT_SLOWER,
    "indistinguishable": measurement_pb2.COMPARISON_VERDICT_INDISTINGUISHABLE,
}


def model_b() -> artifact_pb2.ArtifactRef:
    return artifact_pb2.ArtifactRef(digest="cd" * 32, size_bytes=331_000, media_type="model/tflite", name="new.tflite")


def run(ratio: float, seed: int, blocks: int = 24) -> measurement_pb2.ComparisonRun:
    draw = random.Random(seed)
    ratios = [ratio * math.exp(draw.gauss(0, 0.002)) for _ in range(blocks)]
    return measurement_pb2.ComparisonRun(
        ratio=measured(ratio, blocks, canned.interval(ratio * 0.999, ratio * 1.001)),
        block_ratios=ratios,
        median_a_s=431e-6,
        median_b_s=431e-6 * ratio,
        calls_per_sample_a=1,
        calls_per_sample_b=1,
        samples_per_segment_a=12,
        samples_per_segment_b=12,
        warmup_settled_a=True,
        warmup_settled_b=True,
        stop_reason=measurement_pb2.STOP_REASON_PRECISE,
        b_first=seed % 2 == 1,
        segments=artifact_pb2.ArtifactRef(digest=f"{seed:02x}" * 32, size_bytes=500, media_type="samples/comparison"),
    )


def compared(
    ratio: float = 0.969,
    verdict: str = "faster",
    half_width: float = 0.004,
    floor: float | None = None,
    aa: bool = False,
) -> job_pb2.Job:
    """A comparison that has ended.

    Args:
        ratio: of B over A.
        verdict: on it.
        half_width: of the ratio's interval.
        floor: noise floor that was asked to be heeded.
        aa: was A compared with itself?
    """
    job = canned.succeeded()
    spec, result = job.spec.measurement, job.result
    for part in ("latency", "memory", "energy"):
        spec.ClearField(part)  # type: ignore[arg-type]
        result.ClearField(part)  # type: ignore[arg-type]
    spec.comparison.CopyFrom(comparison_spec(spec.model if aa else model_b(), noise_floor=floor))
    interval = figure_pb2.Interval(
        low=ratio - half_width, high=ratio + half_width, confidence=0.95, method="Student's t over processes (Stein)"
    )
    offsets = (-0.003, 0.002, 0.0, -0.001, 0.003, -0.001)
    result.comparison.CopyFrom(
        measurement_pb2.ComparisonResult(
            ratio=measured(ratio, 6, interval),
            verdict=_KINDS[verdict],
            noise_floor=unavailable(NO_FLOOR) if floor is None else measured(floor),
            process_spread=measured(0.0024, 6),
            median_a_s=measured(431.2e-6, 6),
            median_b_s=measured(431.2e-6 * ratio, 6),
            runs=[run(ratio + offset, seed) for seed, offset in enumerate(offsets)],
        )
    )
    if aa:
        result.comparison.measured_noise_floor.CopyFrom(measured(abs(ratio - 1) + half_width, 6))
    return job
