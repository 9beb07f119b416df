"""The series of each device: about a dozen, whatever it does, so that a fleet of thousands can be watched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from orchestrator.metrics.snapshot import Snapshot
from orchestrator.registry import Reading
from protos import telemetry
from protos.figures import value_of
from protos.telemetry import LABELS, PREFIX

#: A device that was not seen for so long is no longer spoken for.
EXPIRES_AFTER_S = 3600.0
_GAUGES = {
    "connected": "1 while its agent has a session, 0 afterwards; an hour after it was last seen it is gone.",
    "last_seen_timestamp_seconds": "When it was last heard.",
    "busy": "1 while it holds a job.",
    **telemetry.GAUGES,
    "fitness_shift_ratio": ("Its reference model in the last check, against what was expected: 0.1 is 10 % slower."),
    "noise_floor_ratio": "Smaller differences between two models mean nothing on it.",
}


def collect(snapshot: Snapshot) -> Iterator[Metric]:
    """All that is known of devices that are there, or were within the hour."""
    families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {
        **{name: GaugeMetricFamily(PREFIX + name, meaning, labels=LABELS) for name, meaning in _GAUGES.items()},
        **{
            name: CounterMetricFamily(PREFIX + name, meaning, labels=LABELS)
            for name, meaning in telemetry.COUNTERS.items()
        },
    }
    states = GaugeMetricFamily(f"{PREFIX}state", "1: where it stands, one series a device.", labels=[*LABELS, "state"])
    for reading in snapshot.readings:
        device = reading.device
        labels = [device.device_id, reading.device_class]
        known = {name: value for name, value in _figures(reading, snapshot.now) if value is not None}
        for name, value in known.items():
            families[name].add_metric(labels, value)
        if known:
            states.add_metric([*labels, device.state.value], 1)
    yield states
    yield from families.values()


def _figures(reading: Reading, now: float) -> Iterator[tuple[str, float | None]]:
    """What is known of a device; None: not reported."""
    device = reading.device
    connected = device.session is not None
    seen = datetime.fromisoformat(reading.last_seen_at).timestamp()
    if not connected and now - seen > EXPIRES_AFTER_S:
        return
    yield "connected", connected
    yield "last_seen_timestamp_seconds", seen
    if not connected:
        return  # what it reported then says nothing of now
    yield "busy", device.lease_id is not None
    if reading.telemetry is not None:
        yield from telemetry.values(reading.telemetry, reading.description.sensors)
    if reading.check is not None and reading.check.HasField("shift"):
        yield "fitness_shift_ratio", reading.check.shift
    if reading.noise_floor is not None:
        yield "noise_floor_ratio", value_of(reading.noise_floor.floor)
