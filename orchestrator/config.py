"""Settings of one orchestrator process. `orchestrator.settings` reads them from a file, the environment and flags."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from orchestrator.security import has_authority
from protos.addresses import AddressError, check_form, check_local, join, split

DEFAULT_ADDRESS = "127.0.0.1:50151"

Seconds = Annotated[float, Gt(0), Lt(math.inf)]
Bytes = Annotated[int, Ge(1)]


class ConfigError(ValueError):
    """Settings that cannot be used.

    Attributes:
        problems: of each the first line says which and what is wrong, a second what to do.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where it listens, where it keeps its state, and its limits.

    Every field is a key of the configuration file, a variable of the environment and a flag, see
    `orchestrator.settings`; the text beside its type says to people what it means.
    """

    address: Annotated[
        str, "where to listen: HOST:PORT, on loopback unless `gauntlet lab init` was run; or unix:/PATH"
    ] = DEFAULT_ADDRESS
    open_address: Annotated[
        str, "with TLS: where people join and use API tokens; empty: the next port after that of `address`"
    ] = ""
    certificate_life_s: Annotated[Seconds, "certificates of agents and users last so long"] = 30 * 86_400.0
    folder: Annotated[Path, "folder of the lab's database and artifacts"]
    heartbeat_interval_s: Annotated[Seconds, "how often agents report"] = 2.0
    lease_duration_s: Annotated[
        Seconds, "a device that was not heard for so long is lost, its job goes elsewhere; at least two heartbeats"
    ] = 10.0
    max_artifact_bytes: Annotated[Bytes, "largest single artifact"] = 256 * 1024**2
    max_store_bytes: Annotated[Bytes, "all artifacts together"] = 20 * 1024**3
    retention_s: Annotated[Seconds, "artifacts of finished jobs are kept this long"] = 30 * 86_400.0
    upload_grace_s: Annotated[Seconds, "an artifact that no job names yet is kept this long"] = 86_400.0
    incumbent_answer_s: Annotated[
        Seconds, "how long a connected agent has to answer when another one claims its id"
    ] = 2.0
    quarantine: Annotated[bool, "put devices out of service that crash, fail or drift again and again"] = True
    first_probe_s: Annotated[Seconds, "a device in quarantine is checked after so long, then ever less often"] = 30.0
    stop_timeout_s: Annotated[Seconds, "an orchestrator that is told to stop is gone after this long"] = 10.0
    metrics_address: Annotated[str, "where Prometheus finds /metrics, such as 127.0.0.1:9151; empty: nowhere"] = ""
    log_format: Annotated[Literal["text", "json"], "text for people, json for programs: one object a line"] = "text"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], "the least that is logged"] = "info"

    def __post_init__(self) -> None:
        try:
            check_form(self.address)
            for setting, example in (("open_address", "0.0.0.0:50152"), ("metrics_address", "127.0.0.1:9151")):
                _check_host_and_port(setting, getattr(self, setting), example)
            if self.secure and 0 in (split(self.address)[1], split(self.entrance)[1]):
                raise AddressError("with TLS others have to know the ports\nname them, such as 50151, not 0")
            if not self.has_authority:
                check_local(self.address)
        except AddressError as error:
            raise ConfigError(str(error)) from error
        if self.lease_duration_s < 2 * self.heartbeat_interval_s:
            raise ConfigError(
                "a lease must last at least two heartbeats\n"
                f"lease_duration_s is {self.lease_duration_s:g}, heartbeat_interval_s {self.heartbeat_interval_s:g}"
            )

    @property
    def has_authority(self) -> bool:
        """Has `gauntlet lab init` been run in the folder?"""
        return has_authority(self.folder)

    @property
    def secure(self) -> bool:
        """Does it serve with TLS? Always, once there is an authority, but for a unix socket."""
        return self.has_authority and not self.address.startswith("unix:")

    @property
    def entrance(self) -> str:
        """With TLS: where those connect who have no certificate."""
        host, port = split(self.address)
        return self.open_address or join(host, port + 1)


def _check_host_and_port(setting: str, address: str, example: str) -> None:
    try:
        if address:
            split(address)
    except AddressError as error:
        raise ConfigError(f"{setting} {address!r} is no address\nwrite HOST:PORT, for example {example}") from error
