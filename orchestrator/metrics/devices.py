"""The series of each device: about a dozen, whatever it does, so that a fleet of thousands can be watched."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

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


def text(snapshot: Snapshot) -> str:
    """All that is known of devices that are there, or were within the hour, in Prometheus' text format.

    Written here and not by the library, which takes several times as long over so many series with so few labels: time
    in which the event loop waits for its turn.
    """
    known = [
        (_labels(reading), reading.device.state.value, values)
        for reading in snapshot.readings
        if (values := dict(_figures(reading, snapshot.now)))
    ]
    states = [f'{PREFIX}state{{{labels},state="{state}"}} 1\n' for labels, state, _ in known]
    lines = [_heading(f"{PREFIX}state", "1: where it stands, one series a device.", "gauge"), *states]
    for kind, names in (("gauge", _GAUGES), ("counter", telemetry.COUNTERS)):
        for name, meaning in names.items():
            full = PREFIX + name + ("_total" if kind == "counter" else "")
            lines.append(_heading(full, meaning, kind))
            lines += [
                f"{full}{{{labels}}} {value!r}\n"
                for labels, _, values in known
                # Neither NaN nor infinity is what a sensor measured.
                if (value := values.get(name)) is not None and math.isfinite(value)
            ]
    return "".join(lines)


def _heading(name: str, meaning: str, kind: str) -> str:
    return f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"


def _labels(reading: Reading) -> str:
    """Ids have neither quotes nor line ends, see `contract.is_id`."""
    values = (reading.device.device_id, reading.device_class)
    return ",".join(f'{label}="{value}"' for label, value in zip(LABELS, values, strict=True))


def _figures(reading: Reading, now: float) -> Iterator[tuple[str, float | None]]:
    """What is known of a device; None: not reported."""
    device = reading.device
    connected = device.session is not None
    seen = datetime.fromisoformat(reading.last_seen_at).timestamp()
    if not connected and now - seen > EXPIRES_AFTER_S:
        return
    yield "connected", int(connected)
    yield "last_seen_timestamp_seconds", seen
    if not connected:
        return  # what it reported then says nothing of now
    yield "busy", int(device.lease_id is not None)
    if reading.telemetry is not None:
        yield from telemetry.values(reading.telemetry, reading.description.sensors)
    if reading.check is not None and reading.check.HasField("shift"):
        yield "fitness_shift_ratio", reading.check.shift
    if reading.noise_floor is not None:
        yield "noise_floor_ratio", value_of(reading.noise_floor.floor)
