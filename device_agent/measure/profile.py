"""Where the time of an inference goes, operator by operator, as the runtime's own profiler tells it.

A profiled inference is slower than a plain one. That is why this is a run of its own, after everything that is timed,
and why its figures carry the whole that they are parts of.
"""

from __future__ import annotations

from pathlib import Path

from device_agent.measure.tensors import example_inputs
from device_agent.runtimes import ProfileUnavailable, Runtime
from protos import figures
from protos.gauntlet.v1 import measurement_pb2 as pb

_DEFAULT_INFERENCES = 50


def measure_profile(runtime: Runtime, path: Path, spec: pb.MeasurementSpec, threads: int) -> pb.ProfileResult:
    """Time the operators of a model, or say why that cannot be.

    Args:
        runtime: that measures the model.
        path: the model's file; checked.
        spec: delegate and number of inferences.
        threads: at least 1.

    Raises:
        MeasurementError: the model cannot be run at all.
    """
    inferences = int(spec.profile.inferences) or _DEFAULT_INFERENCES
    try:
        profile = runtime.profile(path, threads, spec.runtime.delegate, example_inputs, inferences)
    except ProfileUnavailable as why:
        return no_profile(str(why))
    whole_s = profile.whole_s
    if not whole_s > 0:
        return no_profile(f"{profile.source} tells no time for the whole inference")
    covered = sum(operator.time_s for operator in profile.operators) / whole_s
    return pb.ProfileResult(
        operators=[
            pb.OperatorTime(
                index=index,
                type=operator.kind,
                name=operator.name,
                delegate=operator.delegate,
                time_s=operator.time_s,
                share=operator.time_s / whole_s,
            )
            for index, operator in enumerate(profile.operators)
        ],
        whole_s=figures.measured(whole_s, inferences),
        covered=figures.measured(covered, inferences),
        inferences=inferences,
        source=profile.source,
        resolution_s=profile.resolution_s,
    )


def no_profile(reason: str) -> pb.ProfileResult:
    """None, and why."""
    absent = figures.unavailable(reason)
    return pb.ProfileResult(unavailable=reason, whole_s=absent, covered=absent)
