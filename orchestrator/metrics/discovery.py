"""``/sd``: which agents can be scraped themselves, in the form of Prometheus' HTTP service discovery.

    [{"targets": ["pi4.lab:9152"], "labels": {"agent_id": "pi4"}}, …]

Source: prometheus.io/docs/prometheus/latest/http_sd. An agent names its address itself, so that all that is no plain
host and port is left out: one malformed target and Prometheus would take none.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
from collections.abc import Iterable

from protos import addresses
from protos.gauntlet.v1 import device_pb2

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


def document(agents: Iterable[device_pb2.AgentDescription], own_host: str = "") -> bytes:
    """The answer.

    Args:
        agents: those that are known.
        own_host: name of the host that asks for it; empty: of this one.
    """
    own_host = own_host or socket.gethostname()
    found = ((agent.agent_id, _target(agent, own_host)) for agent in agents if agent.metrics_address)
    groups = [{"targets": [target], "labels": {"agent_id": agent_id}} for agent_id, target in sorted(found) if target]
    return json.dumps(groups).encode()


def _target(agent: device_pb2.AgentDescription, own_host: str) -> str:
    """Where it can be scraped; empty where it cannot."""
    try:
        host, port = addresses.split(agent.metrics_address)
    except addresses.AddressError:
        return ""
    number = _number(host)
    if number is not None and number.is_unspecified:  # it listens everywhere: its name will lead there
        host, number = agent.hostname, None
    target = addresses.join(host, port)
    # Another host's loopback would lead to whoever listens here.
    if not port or (addresses.is_local(target) and agent.hostname != own_host):
        return ""
    return target if number is not None or _NAME.fullmatch(host) else ""


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
