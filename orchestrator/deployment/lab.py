"""The lab's side of a deployment: tokens, certificates, and who is connected."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509

from orchestrator.client import SyncClient
from orchestrator.client.credentials import path_of
from orchestrator.deployment.errors import DeploymentError
from orchestrator.deployment.hosts import Host
from protos import addresses
from protos.credentials import Credentials, CredentialsError
from protos.gauntlet.v1 import admin_pb2, device_pb2, fleet_pb2

_TOKEN_LIFE_S = 600.0
#: A certificate that ends sooner is replaced: its agent renews in time where it runs, so this one has not run for long.
_LEAST_LIFE = timedelta(days=1)
#: So old the list of devices may be when somebody looks: many wait at once.
_FRESH_S = 0.2
_ABSENT = (device_pb2.DEVICE_STATE_ENROLLED, device_pb2.DEVICE_STATE_LOST, device_pb2.DEVICE_STATE_UNSPECIFIED)


@dataclass(frozen=True)
class Held:
    """The certificate that an agent shows, without its key.

    Attributes:
        name: of the agent.
        authority: of its lab, PEM.
        chain: the certificate, PEM.
        joined_at: address of the lab at which it joined.
    """

    name: str
    authority: str
    chain: str
    joined_at: str


class LabSide:
    """A lab with TLS, and an administrator of it.

    Args:
        client: logged in.

    Raises:
        DeploymentError: boards cannot join it, or the user may not let them.
    """

    def __init__(self, client: SyncClient) -> None:
        self.address = client.address
        self._client = client
        self._guard = threading.Lock()
        self._read_at = float("-inf")
        self._devices: Sequence[fleet_pb2.Device] = ()
        status = client.status()
        if not status.secure or client.address.startswith("unix:"):
            raise DeploymentError(
                f"the lab at {client.address} has no TLS, so that boards cannot join it",
                "gauntlet lab init --name HOST, on its server; then: gauntlet lab up --address 0.0.0.0:50151",
            )
        if not status.caller.endswith("(admin)"):
            raise DeploymentError(
                f"{status.caller} may not let boards into the lab at {client.address}",
                "ask its administrator for a token with --role admin, and log in with that",
            )
        try:
            self._authority = Credentials.load(path_of(client.address)).authority
        except (OSError, CredentialsError) as error:
            raise DeploymentError(f"cannot read what `gauntlet login` kept for {client.address}: {error}") from error

    def check_reachable_from(self, host: Host) -> None:
        """Can this host reach the lab at all, as far as its address tells?

        Raises:
            DeploymentError: the lab is on this machine's loopback, and the host is another machine.
        """
        ours = addresses.is_local(self.address)
        if ours and (host.jump is not None or not addresses.is_local(addresses.join(host.address, host.port))):
            raise DeploymentError(
                f"{host.name} cannot reach the lab at {self.address}, which is this machine's own loopback",
                "gauntlet lab init --name HOST, with a name that boards know; log in there, and use --lab HOST:PORT",
            )

    def flaw(self, name: str, held: Held | None) -> str:
        """Why an agent of this name has to join again; empty: it need not."""
        if held is None:
            return "no certificate yet"
        if held.name != name:
            return f"its certificate is for {held.name}"
        if held.authority.strip() != self._authority.strip() or held.joined_at != self.address:
            return "it belongs to another lab"
        try:
            serial = x509.load_pem_x509_certificate(held.chain.encode()).serial_number
        except ValueError:
            return "its certificate is damaged"
        known = {int(one.serial, 16): one for one in self._client.certificates()}
        certificate = known.get(serial)
        if certificate is None:
            return "the lab does not know its certificate"
        if certificate.revoked_at:
            return "its certificate is revoked"
        if datetime.fromisoformat(certificate.expires_at) - datetime.now(UTC) < _LEAST_LIFE:
            return "its certificate expires"
        return ""

    def token(self, name: str) -> tuple[str, str]:
        """A token with which the agent of this name can join once, and where: ``HOST:PORT``, token."""
        made = self._client.create_token(
            admin_pb2.CreateTokenRequest(
                kind=admin_pb2.TOKEN_KIND_JOIN,
                role=admin_pb2.ROLE_AGENT,
                name=name,
                lifetime_s=_TOKEN_LIFE_S,
            )
        )
        return addresses.join(addresses.split(self.address)[0], made.open_port), made.text

    def is_connected(self, name: str) -> bool:
        """Does the agent of this name have a session?"""
        with self._guard:
            if time.monotonic() - self._read_at > _FRESH_S:
                self._devices = self._client.devices()
                self._read_at = time.monotonic()
            return any(device.agent_id == name and device.state not in _ABSENT for device in self._devices)

    def revoke(self, name: str) -> int:
        """Shut the agent of this name out; a person of the same name stays.

        Returns:
            How many certificates ended.
        """
        ended = 0
        for certificate in self._client.certificates():
            if (certificate.name, certificate.role) == (name, admin_pb2.ROLE_AGENT) and not certificate.revoked_at:
                ended += self._client.revoke(certificate.serial, "undeployed").certificates
        for token in self._client.tokens():
            if (token.name, token.role) == (name, admin_pb2.ROLE_AGENT) and not (token.used_at or token.revoked_at):
                self._client.revoke(token.token_id, "undeployed")
        return ended
