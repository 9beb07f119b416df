"""From a host to a connection: through its jump hosts, with its key checked and ours accepted."""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from orchestrator.deployment import hostkeys
from orchestrator.deployment.authentication import authenticate
from orchestrator.deployment.connection import Connection
from orchestrator.deployment.errors import DeploymentError, UnreachableError
from orchestrator.deployment.hosts import Host
from orchestrator.deployment.watch import Watch

#: How long a host may keep silent.
PATIENCE_S = 15.0
#: Of an RSA key, how it may sign: never with SHA-1, which "ssh-rsa" would be.
_RSA = ("rsa-sha2-512", "rsa-sha2-256")
# What goes wrong is raised; without any handler Python would print paramiko's tracebacks.
_QUIET = logging.NullHandler()


@dataclass
class _Gate:
    """A jump host that many go through, on one connection: a sshd drops those that come all at once (MaxStartups)."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    transport: paramiko.Transport | None = None
    failed: UnreachableError | None = None
    failed_at_s: float = 0.0


class Dialer:
    """Connects to hosts; may be used by many threads. To be closed, or used with `with`.

    Args:
        patience_s: how long a host may keep silent, at each step and later on.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._gates: dict[tuple[object, ...], _Gate] = {}
        logging.getLogger("paramiko").addHandler(_QUIET)

    def __enter__(self) -> Dialer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def connect(self, host: Host) -> Connection:
        """Connect and log in.

        Raises:
            HostKeyError: its key, or that of a jump host, is not the known one.
            AuthenticationError: it takes none of the user's keys.
            UnreachableError: it does not answer, or not as an SSH server.
            InventoryError: a file with host keys cannot be read.
        """
        return Connection(host, self._transport(host), self._patience_s)

    def close(self) -> None:
        """Hang up at the jump hosts; connections through them end."""
        with self._lock:
            gates = list(self._gates.values())
            self._gates.clear()
        for gate in gates:
            if gate.transport is not None:
                gate.transport.close()

    def _transport(self, host: Host) -> paramiko.Transport:
        sock = self._socket(host) if host.jump is None else self._through(host, host.jump)
        try:
            transport = paramiko.Transport(sock)
            # The watch is the one to be faster.
            transport.banner_timeout = transport.handshake_timeout = 2 * self._patience_s
            transport.auth_timeout = self._patience_s
            options = transport.get_security_options()
            known = [name for kind in hostkeys.known_kinds(host) for name in (_RSA if kind == "ssh-rsa" else (kind,))]
            # Else a host is asked for a kind that nobody knows of it, and seems to have changed.
            options.key_types = (*known, *(kind for kind in options.key_types if kind not in known))
            self._log_in(transport, host)
        except BaseException:
            sock.close()
            raise
        # So that no router on the way forgets the connection between two steps.
        transport.set_keepalive(int(max(self._patience_s, 1)))
        return transport

    def _log_in(self, transport: paramiko.Transport, host: Host) -> None:
        with Watch(self._patience_s, transport.close) as watch:
            try:
                transport.start_client()
                key = transport.get_remote_server_key()
                hostkeys.check(hostkeys.ShownKey(host, key.get_name(), key.asbytes()))
            except IncompatiblePeer as error:
                raise UnreachableError(
                    f"{host.where} has no method in common that is still safe: {error}", "update its sshd"
                ) from error
            except (paramiko.SSHException, EOFError, OSError) as error:
                transport.close()
                reason = "says nothing" if watch.expired else _said(error)
                raise UnreachableError(
                    f"{host.where} does not answer as an SSH server: {reason}",
                    "is that sshd's port? does it take more connections (MaxStartups)?",
                ) from error
            except BaseException:
                transport.close()
                raise
        # Not under a watch: an agent may ask a person. paramiko has limits for this part of its own.
        try:
            authenticate(transport, host)
        except DeploymentError:
            transport.close()
            raise
        except (paramiko.SSHException, EOFError, OSError) as error:
            transport.close()
            raise UnreachableError(f"{host.where} hung up while logging in: {_said(error)}", "see its log") from error

    def _socket(self, host: Host) -> socket.socket:
        try:
            sock = socket.create_connection((host.address, host.port), timeout=self._patience_s)
            # Commands are small packets in turns, for which Nagle's algorithm would wait.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except (socket.gaierror, UnicodeError) as error:  # the latter: what cannot be a name
            reason = error.strerror if isinstance(error, socket.gaierror) else "no such name is possible"
            raise UnreachableError(
                f"there is no host {host.address}: {reason}", "check the address, or its entry in ~/.ssh/config"
            ) from error
        except ConnectionRefusedError as error:
            raise UnreachableError(
                f"{host.where} refuses connections", "is sshd running there, and on this port?"
            ) from error
        except (TimeoutError, OSError) as error:
            reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise UnreachableError(
                f"{host.where} cannot be reached: {reason.lower()}", "is it switched on, and on this network?"
            ) from error

    def _through(self, host: Host, jump: Host) -> paramiko.Channel:
        gate = self._gate(jump)
        # paramiko's limit is for the way from there on. Whoever does not even take the question is lost to all.
        with Watch(3 * self._patience_s, gate.close):
            try:
                return gate.open_channel(
                    "direct-tcpip", (host.address, host.port), ("127.0.0.1", 0), timeout=self._patience_s
                )
            except (paramiko.SSHException, EOFError, OSError) as error:
                reason = error.text if isinstance(error, paramiko.ChannelException) else _said(error)
                raise UnreachableError(
                    f"{host.where} cannot be reached through {jump.name}: {reason}",
                    f"is it reachable from there? does {jump.name} forward (AllowTcpForwarding)?",
                ) from error

    def _gate(self, jump: Host) -> paramiko.Transport:
        with self._lock:
            gate = self._gates.setdefault(_place(jump), _Gate())
        with gate.lock:
            if gate.transport is not None and gate.transport.is_active():
                return gate.transport
            # Twenty boards need not wait for one dead gateway in turn.
            if gate.failed is not None and time.monotonic() < gate.failed_at_s + self._patience_s:
                raise UnreachableError(gate.failed.message, gate.failed.remedy)
            try:
                gate.transport = self._transport(jump)
            except UnreachableError as error:
                gate.failed, gate.failed_at_s = error, time.monotonic()
                raise
            return gate.transport


def _place(host: Host) -> tuple[object, ...]:
    return (host.address.lower(), host.port, host.user, host.jump and _place(host.jump))


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or "the connection ended"
