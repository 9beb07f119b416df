"""Everything that a job did not find out, each with its reason."""

from __future__ import annotations

from gauntlet.results_json import reason_of, why_missing
from protos.gauntlet.v1 import figure_pb2, fleet_pb2, job_pb2, measurement_pb2

_PARTS = {
    "latency": "latency",
    "memory": "peak memory",
    "energy": "energy",
    "accuracy": "accuracy",
    "output_check": "output check",
    "profile": "operators",
}
_HINTS = {
    "latency": "give --scenario single-stream",
    "memory": "--no-memory was given",
    "energy": "--no-energy was given",
    "accuracy": "give labelled inputs with --data",
    "output_check": "give reference outputs with --reference",
    "profile": "give --profile",
}


def reasons(job: job_pb2.Job, device: fleet_pb2.Device | None = None) -> list[tuple[str, str]]:
    """Pairs of names and the reason that they share, in the order of the report."""
    found: dict[str, list[str]] = {}

    def note(name: str, reason: str) -> None:
        names = found.setdefault(reason, [])
        if name not in names:
            names.append(name)

    result = job.result
    for part, name in _PARTS.items():
        if not result.HasField(part):
            reason = why_missing(job, part)
            asked = job.spec.measurement.HasField(part)
            note(name, reason if asked else f"{reason}: {_HINTS[part]}")
    for name, figure in _figures(result):
        if not figure.HasField("estimate"):
            note(name, reason_of(figure))
    before = result.provenance.before
    if not before.governor:
        note("governor", before.governor_unavailable or "not reported")
    # A sensor that is unavailable says how to mend it, the figure often only that it is missing.
    remedies = {sensor.quantity: sensor.unavailable for sensor in device.description.sensors} if device else {}
    for quantity, name in (("energy_j", "energy"), ("temperature_c", "temperature"), ("frequency_hz", "clock")):
        for reason, names in list(found.items()):
            remedy = remedies.get(quantity, "")
            if name in names and remedy and remedy != reason and reason in remedy:
                names.remove(name)
                note(name, remedy)
    return [(", ".join(names), reason) for reason, names in found.items() if names]


def _figures(result: measurement_pb2.MeasurementResult) -> list[tuple[str, figure_pb2.Figure]]:
    """The figures of the parts that are there, save those whose reason stands in the latency table."""
    pairs: list[tuple[str, figure_pb2.Figure]] = []
    if result.HasField("profile") and not result.profile.operators:
        pairs.append(("operators", result.profile.whole_s))
    if result.HasField("energy") and not result.energy.energy_j.HasField("estimate"):
        # Without energy there is no power either; one line says it.
        pairs.append(("energy", result.energy.energy_j))
    if result.HasField("provenance"):
        before = result.provenance.before
        pairs += [
            ("temperature", before.temperature_c),
            ("clock", before.frequency_hz),
            ("load average", before.load_average),
            ("other processes", before.background_cores),
        ]
    return pairs
