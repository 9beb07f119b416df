"""``/metrics`` of an agent, for who wants to scrape it itself; the orchestrator passes on the same without it.

    Prometheus ──HTTP──▶ a thread of its own: what the last heartbeat said, or, without a lab, a look of its own

Names are those of the orchestrator for the same things. prometheus-client is loaded here, and so only where it is asked
for.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from device_agent.identity import StateError
from device_agent.session import Agent
from device_agent.telemetry import SharedTelemetry
from protos import telemetry
from protos.gauntlet.v1 import device_pb2
from protos.scraping import METRICS_TYPE, Page, PageServer
from protos.telemetry import LABELS, PREFIX


class Exporter:
    """Serves ``/metrics`` until it is closed.

    Args:
        about: the agent, with the address.
        agent: itself.
        readings: of its devices.

    Raises:
        StateError: the address cannot be used.
    """

    def __init__(self, about: device_pb2.AgentDescription, agent: Agent, readings: SharedTelemetry) -> None:
        registry = CollectorRegistry()
        registry.register(_AgentCollector(about, agent, readings))
        ProcessCollector(registry=registry)
        try:
            self._server = PageServer(
                about.metrics_address, {"/metrics": Page(METRICS_TYPE, lambda: generate_latest(registry))}
            )
        except OSError as error:
            raise StateError(
                f"cannot serve metrics on {about.metrics_address}: {error.strerror}\nchoose another --metrics-address"
            ) from error

    def close(self) -> None:
        """End, in half a second."""
        self._server.close()


class _AgentCollector(Collector):
    def __init__(self, about: device_pb2.AgentDescription, agent: Agent, readings: SharedTelemetry) -> None:
        self._about = about
        self._agent = agent
        self._readings = readings

    def describe(self) -> Iterable[Any]:
        return ()  # nothing ahead of a scrape

    def collect(self) -> Iterator[Any]:
        about = {
            "agent_id": self._about.agent_id,
            "version": self._about.software_version,
            "python": self._about.python_version,
        }
        yield InfoMetricFamily("gauntlet_agent", "What this agent is.", about)
        status = self._agent.status()
        yield GaugeMetricFamily(
            f"{PREFIX}unsent_results", "Ended jobs that the orchestrator has not acknowledged.", value=status.unsent
        )
        connected = GaugeMetricFamily(f"{PREFIX}connected", "1 while its agent has a session.", labels=LABELS)
        busy = GaugeMetricFamily(f"{PREFIX}busy", "1 while it holds a job.", labels=LABELS)
        for device, holds in status.devices:
            connected.add_metric([device.device_id, device.device_class], status.connected)
            busy.add_metric([device.device_id, device.device_class], holds)
        yield connected
        yield busy
        yield from self._telemetry({device.device_id: device for device, _ in status.devices})

    def _telemetry(self, known: Mapping[str, device_pb2.DeviceDescription]) -> Iterator[Any]:
        families: Dict[str, Any] = {
            **{name: GaugeMetricFamily(PREFIX + name, text, labels=LABELS) for name, text in telemetry.GAUGES.items()},
            **{
                name: CounterMetricFamily(PREFIX + name, text, labels=LABELS)
                for name, text in telemetry.COUNTERS.items()
            },
        }
        for reading in self._readings.recent():
            device = known.get(reading.device_id)
            if device is not None:
                for name, value in telemetry.values(reading, device.sensors):
                    if value is not None:
                        families[name].add_metric([device.device_id, device.device_class], value)
        yield from families.values()
