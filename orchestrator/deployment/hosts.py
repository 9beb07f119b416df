"""Which hosts, and how they are reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Host:
    """A host and what is wanted of it.

    Attributes:
        name: as people call it; the agent's id and the device's.
        address: host name or IP address.
        port: of its sshd.
        user: who logs in, and whom the agent runs as.
        identity_files: private keys to try before those of the user's SSH agent.
        jump: through which it is reached; None: directly.
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
    port: int = 22
    user: str = ""
    identity_files: tuple[Path, ...] = ()
    jump: Host | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    device_class: str = ""
    python: Path | None = None
    service: str = "auto"
    agent_options: tuple[str, ...] = ()
