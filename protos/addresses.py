"""Which addresses may be used without TLS: this machine's own."""

from __future__ import annotations

import ipaddress

#: Longest path of a unix socket that every system takes.
_MAX_SOCKET_PATH = 100


class AddressError(ValueError):
    """An address that cannot or must not be used; the first line says why, a second what to do."""


def check_local(address: str) -> None:
    """Accept ``unix:/path`` and ``host:port`` on loopback.

    Raises:
        AddressError: malformed, or open to other machines.
    """
    if address.startswith("unix:"):
        if len(address) - len("unix:") > _MAX_SOCKET_PATH:
            raise AddressError(f"{address}: the path of a socket has at most {_MAX_SOCKET_PATH} characters")
        return
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65_535:
        raise AddressError(f"{address!r} is no address\nwrite HOST:PORT, for example 127.0.0.1:50151, or unix:/PATH")
    if not _is_loopback(host.strip("[]")):
        raise AddressError(
            f"refusing {address}: without TLS only this machine's loopback may be used\n"
            f"use 127.0.0.1:{port}, and bring a remote board in with: ssh -R {port}:127.0.0.1:{port} BOARD"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
