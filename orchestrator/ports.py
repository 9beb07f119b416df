"""Where an orchestrator listens, and what it serves there.

without TLS   one port of this machine's own, for everything
with TLS      the main port: whoever calls shows a certificate of the lab's authority
              the open port: for those who join, and for users with an API token; never for agents
"""

from __future__ import annotations

import logging
import time
from typing import Any

import grpc

from orchestrator.artifacts import ArtifactStore
from orchestrator.config import Config, ConfigError
from orchestrator.counters import CountingStore
from orchestrator.hub import Hub
from orchestrator.security.access import Access
from orchestrator.security.audit import AuditLog
from orchestrator.security.authority import Authority, AuthorityError
from orchestrator.security.guard import Guard
from orchestrator.services.admin import AdminService
from orchestrator.services.agents import AgentService
from orchestrator.services.artifacts import ArtifactService
from orchestrator.services.campaigns import CampaignService
from orchestrator.services.enrolment import EnrolmentService
from orchestrator.services.fleet import FleetService
from orchestrator.services.health import Health
from protos import addresses, contract
from protos.gauntlet.v1 import (
    admin_pb2_grpc,
    agent_pb2_grpc,
    artifact_pb2_grpc,
    campaign_pb2_grpc,
    fleet_pb2_grpc,
)

log = logging.getLogger(__name__)


async def bind(
    config: Config, hub: Hub, artifacts: ArtifactStore, store: CountingStore, health: Health
) -> list[grpc.aio.Server]:
    """The servers of an orchestrator, bound and not yet started.

    Raises:
        ConfigError: an address is in use, or the authority cannot be used.
    """
    try:
        authority = Authority.load(config.folder, time.time) if config.has_authority else None
        access = Access(authority, store.security, time.time, config.certificate_life_s)
        await access.load()
        guard = Guard(access if config.secure else None, AuditLog(store.security, time.monotonic))
        main = _server(guard, hub, artifacts, store, access, health)
        agent_pb2_grpc.add_AgentServiceServicer_to_server(AgentService(hub, store.counters), main)  # type: ignore[no-untyped-call]
        if authority is None or not config.secure:
            _listen(config.address, lambda: main.add_insecure_port(config.address))
            return [main]
        entrance = _server(guard, hub, artifacts, store, access, health)
        port = addresses.split(config.address)[1]
        for server in (main, entrance):
            enrolment: Any = EnrolmentService(access, f":{port}")
            admin_pb2_grpc.add_EnrolmentServiceServicer_to_server(enrolment, server)  # type: ignore[no-untyped-call]
        known, anybody = _credentials(authority, certificate=True), _credentials(authority, certificate=False)
        _listen(config.address, lambda: main.add_secure_port(config.address, known))
        _listen(config.entrance, lambda: entrance.add_secure_port(config.entrance, anybody))
        log.info("TLS: who has no certificate yet joins at %s", config.entrance)
        return [main, entrance]
    except AuthorityError as error:
        raise ConfigError(str(error)) from error


def _server(
    guard: Guard, hub: Hub, artifacts: ArtifactStore, store: CountingStore, access: Access, health: Health
) -> grpc.aio.Server:
    """With all that people use."""
    open_port = addresses.split(hub.config.entrance)[1] if hub.config.secure else 0
    server = grpc.aio.server(options=contract.SERVER_OPTIONS, interceptors=[guard])
    fleet_pb2_grpc.add_FleetServiceServicer_to_server(FleetService(hub, artifacts), server)  # type: ignore[no-untyped-call]
    artifact_pb2_grpc.add_ArtifactServiceServicer_to_server(ArtifactService(artifacts), server)  # type: ignore[no-untyped-call]
    campaign_pb2_grpc.add_CampaignServiceServicer_to_server(CampaignService(store), server)  # type: ignore[no-untyped-call]
    admin_pb2_grpc.add_AdminServiceServicer_to_server(AdminService(access, open_port), server)  # type: ignore[no-untyped-call]
    health.add_to(server)
    return server


def _listen(address: str, add: Any) -> None:
    try:
        add()
    except RuntimeError as error:
        raise ConfigError(f"cannot listen on {address}: is it in use?\nchoose another --address") from error


def _credentials(authority: Authority, *, certificate: bool) -> grpc.ServerCredentials:
    """Asked for at each handshake, so that a certificate made anew is in use at once.

    Args:
        authority: signs ours, and verifies those of others.
        certificate: whoever connects has to show one.
    """

    def configuration() -> grpc.ServerCertificateConfiguration:
        pem = authority.server_pem()
        return grpc.ssl_server_certificate_configuration([(pem, pem)], authority.pem.encode())

    def renewed() -> Any:
        try:
            return configuration()
        except AuthorityError as error:
            log.error("the orchestrator's certificate is not renewed: %s", str(error).replace("\n", "; "))
            return None  # go on with the one in use

    return grpc.dynamic_ssl_server_credentials(configuration(), renewed, certificate)
