"""The series of each device: about a dozen, whatever it does, so that a fleet of thousands can be watched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from orchestrator.metrics.snapshot import Snapshot
from orchestrator.registry import Reading
from protos.figures import value_of

#: A device that was not seen for so long is no longer spoken for.
EXPIRES_AFTER_S = 3600.0
_LABELS = ("device_id", "device_class")
_GAUGES = (
    ("connected", "1 while its agent has a session, 0 afterwards; an hour after it was last seen it is gone."),
    ("last_seen_timestamp_seconds", "When it was last heard."),
    ("busy", "1 while it holds a job."),
    ("temperature_celsius", "Its hottest sensor."),
    ("frequency_hertz", "Clock of its cores."),
    ("load_average", "Processes that ran or waited to, over a minute."),
    ("throttling_reasons", "How many things hold its clocks back now."),
    ("disk_free_bytes", "Where its agent keeps artifacts and results."),
    ("battery_ratio", "Charge of its battery."),
    ("fitness_shift_ratio", "Its reference model in the last check, against what was expected: 0.1 is 10 % slower."),
    ("noise_floor_ratio", "Smaller differences between two models mean nothing on it."),
)


def collect(snapshot: Snapshot) -> Iterator[Metric]:
    """All that is known of devices that are there, or were within the hour."""
    families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {
        name: GaugeMetricFamily(f"gauntlet_agent_{name}", meaning, labels=_LABELS) for name, meaning in _GAUGES
    }
    families["energy_joules"] = CounterMetricFamily(
        "gauntlet_agent_energy_joules", "Of its meter, from any beginning.", labels=_LABELS
    )
    states = GaugeMetricFamily(
        "gauntlet_agent_state", "1: where it stands, one series a device.", labels=[*_LABELS, "state"]
    )
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
    telemetry = reading.telemetry
    if telemetry is not None:
        yield "temperature_celsius", value_of(telemetry.temperature_c)
        yield "frequency_hertz", value_of(telemetry.frequency_hz)
        yield "load_average", value_of(telemetry.load_average)
        yield "throttling_reasons", _reasons(reading)
        yield "energy_joules", value_of(telemetry.energy_j)
        yield "disk_free_bytes", value_of(telemetry.disk_free_bytes)
        yield "battery_ratio", value_of(telemetry.battery_ratio)
    if reading.check is not None and reading.check.HasField("shift"):
        yield "fitness_shift_ratio", reading.check.shift
    if reading.noise_floor is not None:
        yield "noise_floor_ratio", value_of(reading.noise_floor.floor)


def _reasons(reading: Reading) -> int | None:
    """None where nothing would tell: no reason is then no news."""
    assert reading.telemetry is not None
    count = len(reading.telemetry.throttling)
    tells = any(sensor.quantity == "throttling" and not sensor.unavailable for sensor in reading.description.sensors)
    return count if count or tells else None
