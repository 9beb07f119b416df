"""The form of addresses, and which of them may be used without TLS: this machine's own."""

from __future__ import annotations

import ipaddress
from typing import Tuple

#: Longest path of a unix socket that every system takes.
_MAX_SOCKET_PATH = 100


class AddressError(ValueError):
    """An address that cannot or must not be used; the first line says why, a second what to do."""


def check_form(address: str) -> None:
    """Accept ``unix:/path`` and ``host:port``.

    Raises:
        AddressError: malformed.
    """
    if address.startswith("unix:"):
        if len(address) - len("unix:") > _MAX_SOCKET_PATH:
            raise AddressError(f"{address}: the path of a socket has at most {_MAX_SOCKET_PATH} characters")
        return
    host, separator, port = address.rpartition(":")
    if not host or not separator or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise AddressError(f"{address!r} is no address\nwrite HOST:PORT, for example 127.0.0.1:50151, or unix:/PATH")


def split(address: str) -> Tuple[str, int]:
    """Host and port; an IPv6 host stands in brackets in the address, and without them here.

    Raises:
        AddressError: malformed, or a unix socket.
    """
    check_form(address)
    if address.startswith("unix:"):
        raise AddressError(f"{address} is a unix socket\nwrite HOST:PORT")
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def join(host: str, port: int) -> str:
    """The address of a host and port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_local(address: str) -> bool:
    """Can only this machine reach this well-formed address?"""
    return address.startswith("unix:") or _is_loopback(address.rpartition(":")[0].strip("[]"))


def check_local(address: str) -> None:
    """Accept ``unix:/path`` and ``host:port`` on loopback.

    Raises:
        AddressError: malformed, or open to other machines.
    """
    check_form(address)
    if not is_local(address):
        port = address.rpartition(":")[2]
        raise AddressError(
            f"refusing {address}: without TLS only this machine's loopback may be used\n"
            "for TLS run `gauntlet lab init` on the server and `gauntlet-agent join` on the board; "
            f"or use 127.0.0.1:{port} on both, with ssh -R {port}:127.0.0.1:{port} BOARD"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
