"""What orchestrator, agents and clients must agree on beyond the messages: version, names, limits, channel options."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from importlib import metadata
from pathlib import Path

PROTOCOL_VERSION = 1

#: Ids of agents, devices and campaigns: safe as file names, labels and log fields.
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DIGEST_PATTERN = re.compile(r"[0-9a-f]{64}")

#: gRPC messages stay under this; files travel as artifacts, in chunks.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
#: Of one device; an agent that has a larger one is refused.
MAX_DESCRIPTION_BYTES = 16 * 1024
#: 256 KiB uploads are two to three times faster than 16 KiB ones.
CHUNK_BYTES = 256 * 1024

#: A cut link is noticed after about 15 s on both sides; without keepalive neither side notices within 40 s.
SERVER_OPTIONS = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Without it, clients that ping this often are sent away with "too_many_pings".
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    # Of one connection: an agent has a session and a few transfers, a client a call for each job that it asks for.
    ("grpc.max_concurrent_streams", 1_000),
    # A connection that does not get through its handshake holds a socket; the default is two minutes.
    ("grpc.server_handshake_timeout_ms", 10_000),
]
CLIENT_OPTIONS = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # The session has a back-off of its own, with jitter; gRPC's may grow to two minutes, and one of two seconds kept in
    # step with a link that failed every other second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Not what its name says: so long a connection may take to come about, TLS over a slow link included.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    # Loopback and fleet addresses are never meant to pass through a web proxy.
    ("grpc.enable_http_proxy", 0),
]


@lru_cache(maxsize=1)
def software_version() -> str:
    """Version of the installed distribution."""
    try:
        return metadata.version("gauntlet")
    except metadata.PackageNotFoundError:
        return "0+uninstalled"


def is_id(text: str) -> bool:
    """Is this a well-formed agent, device or campaign id?"""
    return ID_PATTERN.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Is this a SHA-256 in lower-case hexadecimal?"""
    return DIGEST_PATTERN.fullmatch(text) is not None


def digest_of_bytes(data: bytes) -> str:
    """SHA-256 in lower-case hexadecimal: the name of an artifact."""
    return hashlib.sha256(data).hexdigest()


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's content, read in chunks."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1024 * 1024):
            sha.update(chunk)
    return sha.hexdigest()
