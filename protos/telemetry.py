"""How a device's telemetry is called in metrics: the orchestrator passes it on, and an agent that is scraped tells it
itself, both by the same names.
"""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, Optional, Tuple

from protos.figures import value_of
from protos.gauntlet.v1 import device_pb2

#: Before each of the names below.
PREFIX = "gauntlet_agent_"
LABELS = ("device_id", "device_class")
#: Name without prefix, and what it means.
GAUGES: Dict[str, str] = {
    "temperature_celsius": "Its hottest sensor.",
    "frequency_hertz": "Clock of its cores.",
    "load_average": "Processes that ran or waited to, over a minute.",
    "throttling_reasons": "How many things hold its clocks back now.",
    "disk_free_bytes": "Where its agent keeps artifacts and results.",
    "battery_ratio": "Charge of its battery.",
}
#: Likewise; `_total` is added where they are served.
COUNTERS: Dict[str, str] = {"energy_joules": "Of its meter, from any beginning."}


def values(
    telemetry: device_pb2.DeviceTelemetry, sensors: Iterable[device_pb2.Sensor]
) -> Iterator[Tuple[str, Optional[float]]]:
    """Each name with its value; None: not to be had.

    Args:
        telemetry: of one device.
        sensors: of that device, as it described itself.
    """
    yield "temperature_celsius", value_of(telemetry.temperature_c)
    yield "frequency_hertz", value_of(telemetry.frequency_hz)
    yield "load_average", value_of(telemetry.load_average)
    yield "energy_joules", value_of(telemetry.energy_j)
    yield "disk_free_bytes", value_of(telemetry.disk_free_bytes)
    yield "battery_ratio", value_of(telemetry.battery_ratio)
    # Where nothing would tell, no reason is no news.
    tells = any(sensor.quantity == "throttling" and not sensor.unavailable for sensor in sensors)
    reasons = len(telemetry.throttling)
    yield "throttling_reasons", float(reasons) if reasons or tells else None
