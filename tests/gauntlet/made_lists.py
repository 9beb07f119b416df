"""A result with all that comes several times: rails, series of the machine's state, operators, processes."""

from __future__ import annotations

from protos.figures import measured, unavailable
from protos.gauntlet.v1 import artifact_pb2, job_pb2, measurement_pb2
from tests.gauntlet import canned, made_comparison


def series(quantity: str, source: str, *points: float) -> measurement_pb2.Series:
    """Start, lowest, peak and end; none of them: it could not be read."""
    found = measurement_pb2.Series(quantity=quantity, source=source)
    for number, name in enumerate(("start", "lowest", "peak", "end")):
        figure = measured(points[number], 9) if points else unavailable(f"{source} could not be read")
        getattr(found, name).CopyFrom(figure)
    return found


def watched() -> measurement_pb2.Conditions:
    """Two thermal zones, one of them dead; a clock that fell; and the rest once each."""
    return measurement_pb2.Conditions(
        series=[
            series("temperature_c", "x86_pkg_temp", 41.0, 41.0, 63.5, 60.0),
            series("temperature_c", "acpitz"),
            series("frequency_hz", "cpu1", 3.0e9, 1.2e9, 3.0e9, 1.2e9),
            series("power_w", "VDD_IN", 1.8, 1.7, 5.2, 1.9),
            series("resident_bytes", "/proc/self/status", 50e6, 50e6, 52e6, 52e6),
            series("throttle_count", "thermal_throttle", 7.0, 7.0, 9.0, 9.0),
            series("cooling_state", "processor cooling devices", 0.0, 0.0, 2.0, 2.0),
        ],
        samples=artifact_pb2.ArtifactRef(digest="ef" * 32, size_bytes=700, media_type="samples/conditions"),
    )


def with_lists() -> job_pb2.Job:
    """A succeeded job with everything at once, as no single job has it: a comparison stands alone."""
    job = canned.with_data()
    energy = job.result.energy
    energy.idle_before_w, energy.idle_after_w, energy.batches = 1.7, 1.9, 20
    for name, energy_j, counted in (("VDD_IN", 0.0021, True), ("VDD_CPU_GPU_CV", 0.0012, False)):
        energy.rails.add(name=name, energy_j=energy_j, counted=counted)
    job.result.conditions.CopyFrom(watched())
    profiled = canned.with_profile(3)
    profiled.result.profile.operators[1].name = ""
    job.result.profile.CopyFrom(profiled.result.profile)
    compared = made_comparison.compared()
    job.spec.measurement.comparison.CopyFrom(compared.spec.measurement.comparison)
    job.result.comparison.CopyFrom(compared.result.comparison)
    return job
