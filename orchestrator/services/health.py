"""grpc.health.v1.Health: may this orchestrator be given work? Asked by load balancers and `grpc_health_probe`."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from protos.gauntlet.v1 import agent_pb2, artifact_pb2, campaign_pb2, fleet_pb2

#: The whole, by the protocol's own convention, and each service.
NAMES = (
    "",
    *(
        service.full_name
        for file in (agent_pb2, artifact_pb2, campaign_pb2, fleet_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
    ),
)


class Health:
    """SERVING from `begin` to `end`; then NOT_SERVING, for good."""

    def __init__(self) -> None:
        self._servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve it."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def begin(self) -> None:
        """Everything is up."""
        for name in NAMES:
            await self._servicer.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def end(self) -> None:
        """The end has begun."""
        await self._servicer.enter_graceful_shutdown()
