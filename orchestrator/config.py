"""Settings of one orchestrator process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from protos.addresses import AddressError, check_local

DEFAULT_ADDRESS = "127.0.0.1:50151"


class ConfigError(ValueError):
    """A setting that cannot be used; the message says which, a second line what to do."""


@dataclass(frozen=True)
class Config:
    """Where it listens, where it keeps its state, and its limits.

    Attributes:
        address: ``host:port`` on loopback, or ``unix:/path``.
        folder: database and artifacts.
        heartbeat_interval_s: how often agents report.
        lease_duration_s: a lease, and a silent session, end after this long without a heartbeat.
        max_artifact_bytes: largest single artifact.
        max_store_bytes: all artifacts together.
        retention_s: artifacts of finished jobs are kept this long.
        upload_grace_s: an artifact that no job names yet is kept this long.
        incumbent_answer_s: how long a connected agent has to answer when another claims its id.
    """

    address: str
    folder: Path
    heartbeat_interval_s: float = 2.0
    lease_duration_s: float = 10.0
    max_artifact_bytes: int = 256 * 1024**2
    max_store_bytes: int = 20 * 1024**3
    retention_s: float = 30 * 86_400.0
    upload_grace_s: float = 86_400.0
    incumbent_answer_s: float = 2.0

    def __post_init__(self) -> None:
        try:
            check_local(self.address)
        except AddressError as error:
            raise ConfigError(str(error)) from error
        if self.lease_duration_s < 2 * self.heartbeat_interval_s:
            raise ConfigError("a lease must last at least two heartbeats")
