"""Logging in: the user's keys, from files and from the SSH agent. Never a password."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from paramiko.agent import AgentSSH

from orchestrator.deployment.errors import AuthenticationError
from orchestrator.deployment.hosts import SSH_PORT, Host

#: Reading the agent's list, and a signature, for which it may ask a person or want a touch.
_AGENT_S = 60.0
#: As paramiko says that the host does not answer, and that the agent refuses.
_SILENCE = "Authentication timeout"
_UNSIGNED = "key cannot be used for signing"


@dataclass
class _Tried:
    """What became of the keys, for people."""

    offered: list[str] = field(default_factory=list)
    encrypted: list[Path] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)


def authenticate(transport: paramiko.Transport, host: Host) -> None:
    """Log in with one of the user's keys.

    In this order: keys of the agent that belong to the host's identity files, those files, the agent's other keys. A
    host takes six by default.

    Raises:
        AuthenticationError: it takes none of them.
        paramiko.SSHException: it does not answer, or hung up.
    """
    tried = _Tried()
    with contextlib.closing(_Agent(host.identity_agent)) as agent:
        tried.unusable += agent.trouble
        patience_s = transport.auth_timeout
        for label, key in _candidates(host, agent, tried):
            tried.offered.append(label)
            transport.auth_timeout = _AGENT_S if isinstance(key, paramiko.AgentKey) else patience_s
            try:
                more = transport.auth_publickey(host.user, key)
            except paramiko.BadAuthenticationType as error:
                allowed = ", ".join(error.allowed_types) or "nothing"
                raise AuthenticationError(
                    f"{host.where} does not take keys for {host.user}, only: {allowed}",
                    "allow PubkeyAuthentication in its sshd_config; passwords are not sent",
                ) from error
            except paramiko.AuthenticationException as error:
                if _SILENCE in str(error):
                    raise
                if not transport.is_active():
                    raise _refused(host, tried, "and hung up") from error
                continue
            except (paramiko.SSHException, OSError) as error:
                # The signature is made in paramiko's own thread, which does not outlive its failure.
                if isinstance(error, TimeoutError) or _UNSIGNED in str(error):
                    raise AuthenticationError(
                        f"{label} does not sign for {host.where}: {error}",
                        "is it locked, or did it ask for a confirmation?",
                    ) from error
                raise
            if more:
                raise AuthenticationError(
                    f"{host.where} takes the key of {host.user}, and wants {' or '.join(more)} too",
                    "let a key alone do for this user (AuthenticationMethods in its sshd_config)",
                )
            return
    raise _refused(host, tried)


def _candidates(host: Host, agent: _Agent, tried: _Tried) -> Iterator[tuple[str, paramiko.PKey]]:
    """Keys with what people call them, each once."""
    own = {blob for file in host.identity_files if (blob := _public(file))}
    held = {key.asbytes(): key for key in agent.get_keys()}
    for blob in held.keys() & own:
        yield _label(held[blob]), held[blob]
    for file in host.identity_files:
        if _public(file) in held:
            continue
        try:
            key = paramiko.PKey.from_path(file)
        except FileNotFoundError:
            continue
        except (TypeError, paramiko.PasswordRequiredException):  # how the libraries below say: encrypted
            tried.encrypted.append(file)
        except Exception as error:  # anything may be in that file, and parsers have their own errors each
            tried.unusable.append(f"{file}: {' '.join(str(error).split())[:100]}")
        else:
            own.add(key.asbytes())
            yield str(file), key
    for blob in held.keys() - own if not host.identities_only else ():
        yield _label(held[blob]), held[blob]


def _label(key: paramiko.AgentKey) -> str:
    return f"{key.comment or key.get_name()} of the SSH agent"


def _public(file: Path) -> bytes | None:
    """The public half that lies beside a private key, if it does."""
    try:
        return base64.b64decode(file.with_name(f"{file.name}.pub").read_text(encoding="utf-8").split()[1])
    except (OSError, ValueError, IndexError):
        return None


def _refused(host: Host, tried: _Tried, then: str = "") -> AuthenticationError:
    offered = f" ({', '.join(tried.offered)})" if tried.offered else ""
    message = f"{host.where} takes none of your keys for {host.user}{offered} {then}".rstrip()
    if not tried.offered:
        message = f"there is no key to log in with as {host.user} at {host.where}"
    if tried.encrypted:
        files = " ".join(map(str, tried.encrypted))
        return AuthenticationError(
            f"{message}; {files} needs a passphrase", f"hand it to your SSH agent: ssh-add {files}"
        )
    if tried.unusable:
        message += f"; not usable: {'; '.join(tried.unusable)}"
    port = f"-p {host.port} " if host.port != SSH_PORT else ""
    return AuthenticationError(message, f"let your key in: ssh-copy-id {port}{host.user}@{host.address}")


class _Agent(AgentSSH):
    """The user's SSH agent: there may be none, and one that hangs is given up.

    Args:
        named: as ssh_config's IdentityAgent: a socket, a variable, "SSH_AUTH_SOCK" or "none".
    """

    def __init__(self, named: str) -> None:
        super().__init__()
        self.trouble: list[str] = []
        variable = named.removeprefix("$")
        path = os.environ.get(variable, "") if variable != named or named == "SSH_AUTH_SOCK" else named
        if path in ("", "none"):
            return
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_AGENT_S)
        try:
            connection.connect(os.path.expanduser(path))
            self._connect(connection)  # type: ignore[attr-defined]  # the types leave it out
        except (OSError, paramiko.SSHException, ValueError) as error:
            connection.close()
            self.trouble.append(f"the SSH agent ({path}): {error}")

    def close(self) -> None:
        """Hang up."""
        self._close()  # type: ignore[attr-defined]
