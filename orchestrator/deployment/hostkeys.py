"""Which host keys are known: OpenSSH's known_hosts files, read and added to as sshd(8) describes their format.

An unknown key is never accepted silently, a changed one never at all. A host that shows another kind of key than the
known ones counts as changed, since the known kinds are asked for first: whoever shows another one lacks them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.deployment.errors import HostKeyError, InventoryError
from orchestrator.deployment.hosts import SSH_PORT, Host

#: Those that can be asked for.
KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
#: What a sshd calls the files of its keys; all others are ECDSA's.
_FILES = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}
_HASHED = "|1|"
_REVOKED = "@revoked"
_AUTHORITY = "@cert-authority"


@dataclass(frozen=True)
class ShownKey:
    """The key that a host showed.

    Attributes:
        host: which; on the way to another one, if it is a jump host.
        kind: such as "ssh-ed25519".
        blob: the public key.
    """

    host: Host
    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` writes it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


@dataclass(frozen=True)
class _Entry:
    """A line of a file."""

    file: Path
    line: int
    marker: str
    names: str
    kind: str
    blob: bytes


def known_kinds(host: Host) -> list[str]:
    """Kinds of keys that are known for a host, to be asked for first."""
    known = {entry.kind for entry in _known(host, _name(host)) if not entry.marker}
    return [kind for kind in KINDS if kind in known]


def check(shown: ShownKey) -> None:
    """Is it the known key?

    Raises:
        HostKeyError: unknown, changed or revoked.
        InventoryError: a file cannot be read.
    """
    host = shown.host
    known = _known(host, _name(host))
    # What is known of the address without a port says yes, and never no, as with ssh: another daemon, another key.
    elsewhere = [] if host.key_alias else _known(host, host.address.lower())
    same = [entry for entry in known + elsewhere if (entry.kind, entry.blob) == (shown.kind, shown.blob)]
    for entry in same:
        if entry.marker == _REVOKED:
            raise HostKeyError(
                f"{host.where} shows a revoked host key, {shown.fingerprint}",
                f"do not connect: {entry.file}, line {entry.line}, calls it stolen or out of use",
                shown,
                changed=True,
            )
    if any(not entry.marker for entry in same):
        return
    others = [entry for entry in known if not entry.marker and entry.kind in KINDS]
    if others:
        entry = next((entry for entry in others if entry.kind == shown.kind), others[0])
        old = ShownKey(host, entry.kind, entry.blob)
        raise HostKeyError(
            f"{host.where} shows another host key than the known one: {shown.kind} {shown.fingerprint}, "
            f"not {old.kind} {old.fingerprint} ({entry.file}, line {entry.line})",
            "somebody may be in between; if it was installed anew: "
            f"ssh-keygen -R {shlex.quote(_name(host))} -f {shlex.quote(str(entry.file))}",
            shown,
            changed=True,
        )
    authority = next((entry for entry in known if entry.marker == _AUTHORITY), None)
    remark = f" (certificates as in {authority.file}, line {authority.line}, are not supported)" if authority else ""
    raise HostKeyError(
        f"the host key of {host.where} is not known: {shown.kind} {shown.fingerprint}{remark}",
        f"compare it with `ssh-keygen -l -f /etc/ssh/ssh_host_{_FILES.get(shown.kind, 'ecdsa')}_key.pub` there, then "
        "`gauntlet deploy --trust`",
        shown,
        changed=False,
    )


def remember(shown: ShownKey) -> Path:
    """Add a key to the user's known ones, after a person agreed; names are hashed where that file's are.

    Returns:
        The file.

    Raises:
        InventoryError: it cannot be written.
    """
    file = next(iter(shown.host.known_hosts), Path(os.devnull))
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        old = file.read_bytes() if file.is_file() else b""
        hashed = any(entry.names.startswith(_HASHED) for entry in _entries(file))
        name = _hash(_name(shown.host)) if hashed else _name(shown.host)
        line = f"{name} {shown.kind} {base64.b64encode(shown.blob).decode()}\n".encode()
        # One write at the end of the file: nothing of what another process adds at this moment is lost.
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line if not old or old.endswith(b"\n") else b"\n" + line)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InventoryError(f"{file} cannot be written: {error.strerror}", "host keys are kept there") from error
    if not any(entry.blob == shown.blob and not entry.marker for entry in _known(shown.host, _name(shown.host))):
        raise InventoryError(f"{file} does not keep host keys", "set another UserKnownHostsFile in ~/.ssh/config")
    return file


def _name(host: Host) -> str:
    """As what its key is kept."""
    name = (host.key_alias or host.address).lower()
    return name if host.port == SSH_PORT or host.key_alias else f"[{name}]:{host.port}"


def _known(host: Host, name: str) -> list[_Entry]:
    return [entry for file in host.known_hosts for entry in _entries(file) if _matches(entry.names, name)]


def _entries(file: Path) -> Iterator[_Entry]:
    try:
        content = file.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise InventoryError(f"{file} cannot be read: {error.strerror}", "host keys are kept there") from error
    for number, line in enumerate(content.splitlines(), 1):
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#"):
            continue
        try:
            blob = base64.b64decode(words[2], validate=True)
        except ValueError:
            continue  # as ssh does
        yield _Entry(file, number, marker, words[0], words[1], blob)


def _matches(names: str, name: str) -> bool:
    """Does the first field of a line mean this host? Patterns, separated by commas, or one hash."""
    if names.startswith(_HASHED):
        salt, _, digest = names.removeprefix(_HASHED).partition("|")
        try:
            return hmac.compare_digest(base64.b64decode(digest), _digest(base64.b64decode(salt), name))
        except ValueError:
            return False
    found = False
    for pattern in names.lower().split(","):
        if re.fullmatch(_expression(pattern.removeprefix("!")), name):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _expression(pattern: str) -> str:
    """Only * and ? mean something: brackets are part of names."""
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")


def _hash(name: str) -> str:
    salt = secrets.token_bytes(hashlib.sha1(usedforsecurity=False).digest_size)
    parts = (base64.b64encode(part).decode() for part in (salt, _digest(salt, name)))
    return _HASHED + "|".join(parts)


def _digest(salt: bytes, name: str) -> bytes:
    return hmac.digest(salt, name.encode(), "sha1")
