"""Which hosts, and how they are reached."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.deployment.errors import InventoryError
from protos.addresses import join

SSH_PORT = 22


def default_known_hosts() -> tuple[Path, ...]:
    """Where OpenSSH keeps the keys of hosts, ssh_config(5); the first one is the user's own to write."""
    own = Path.home() / ".ssh"
    machine = Path("/etc/ssh")
    return (own / "known_hosts", own / "known_hosts2", machine / "ssh_known_hosts", machine / "ssh_known_hosts2")


@dataclass(frozen=True)
class Host:
    """A host and what is wanted of it.

    Attributes:
        name: as people call it; the agent's id and the device's.
        address: host name or IP address.
        port: of its sshd.
        user: who logs in, and whom the agent runs as.
        identity_files: private keys to try; those that do not exist are left out.
        identities_only: the SSH agent's other keys are not tried (ssh_config's IdentitiesOnly).
        identity_agent: the SSH agent's socket, "SSH_AUTH_SOCK", the variable that names it, or "none" (IdentityAgent).
        jump: through which it is reached; None: directly.
        known_hosts: files with the host keys that are known; a new one is added to the first.
        key_alias: under which its host key is known, if not by its address (ssh_config's HostKeyAlias).
        labels: of the device.
        device_class: empty: found out by the agent.
        python: a standalone Python to bring (a .tar.gz here); None: the board's own where it is new enough, else one
            from a package.
        service: "auto", "system" (systemd, needs root or sudo), "user" (systemd's, with lingering) or "process"
            (a process group of its own with a file that holds its id).
        agent_options: more words for `gauntlet-agent run`, such as ``--allow-setup``.
    """

    name: str
    address: str
    port: int = SSH_PORT
    user: str = field(default_factory=getpass.getuser)
    identity_files: tuple[Path, ...] = ()
    identities_only: bool = False
    identity_agent: str = "SSH_AUTH_SOCK"
    jump: Host | None = None
    known_hosts: tuple[Path, ...] = field(default_factory=default_known_hosts)
    key_alias: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    device_class: str = ""
    python: Path | None = None
    service: str = "auto"
    agent_options: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Its address, with the port if that is not the usual one: for people."""
        return self.address if self.port == SSH_PORT else join(self.address, self.port)


def check_distinct(hosts: Sequence[Host]) -> None:
    """Each host once: by its name, and by where it is.

    Raises:
        InventoryError: two of them are one.
    """
    names: set[str] = set()
    places: dict[tuple[object, ...], str] = {}
    for host in hosts:
        if host.name in names:
            raise InventoryError(f"{host.name} is named twice", "name each host once")
        names.add(host.name)
        # The same private address behind two gateways is two hosts.
        place = (host.address.lower(), host.port, host.jump and (host.jump.address.lower(), host.jump.port))
        if place in places:
            raise InventoryError(
                f"{places[place]} and {host.name} are one host: {host.where}", "name it once, or correct the address"
            )
        places[place] = host.name
