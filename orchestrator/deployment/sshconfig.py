"""What the user's own SSH configuration says of a host, as OpenSSH itself reads it.

``ssh -G`` prints it whole, see ssh(1): Include, Match, patterns and tokens resolved. No other reader knows all of them,
and one that leaves something out would reach another host than `ssh` does.
"""

from __future__ import annotations

import getpass
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.deployment.errors import InventoryError
from orchestrator.deployment.hosts import SSH_PORT, Host, default_known_hosts
from protos.contract import is_id

_TIMEOUT_S = 20.0
_MOST_JUMPS = 8
_DESTINATION = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<bracketed>[^\]\s]+)\]|(?P<host>[^:@\s\[\]]+))(?::(?P<port>\d{1,5}))?"
)
_FORM = "write NAME of ~/.ssh/config, or [USER@]HOST[:PORT], an IPv6 address in brackets"


def named(text: str) -> Host:
    """A host by a name of ~/.ssh/config, or as ``[user@]host[:port]``.

    Its name is the host's part; what an id cannot hold, such as the colons of IPv6, becomes "-".

    Raises:
        InventoryError: no such form, or a configuration that cannot be read.
    """
    host = _parsed(text, ())
    name = re.sub(r"[^A-Za-z0-9._-]", "-", host.name).lstrip("._-")
    if not is_id(name):
        raise InventoryError(f"{text!r} makes no name for a device", "give it one in an inventory")
    return replace(host, name=name)


def configured(name: str, address: str, port: int = 0, user: str = "", jumps: Sequence[str] = ()) -> Host:
    """A host, with the user's SSH configuration for all that is not given.

    Args:
        name: for people.
        address: or a name of the configuration.
        port: 0: as configured.
        user: empty: as configured.
        jumps: those on whose behalf it is asked, for a circle to be seen.

    Raises:
        InventoryError: the configuration cannot be read, or asks for what there is not.
    """
    if address in jumps or len(jumps) > _MOST_JUMPS:
        circle = " → ".join([*jumps, address])
        raise InventoryError(f"~/.ssh/config: {circle} jump in a circle", "correct ProxyJump there")
    found = _ask(address, port, user)
    if "proxycommand" in found:
        raise InventoryError(f"{name}: ProxyCommand in ~/.ssh/config is not supported", "use ProxyJump")
    jump = None
    if (chain := found.get("proxyjump", ["none"])[0]) != "none":
        for hop in chain.split(","):
            asked = _parsed(hop, (*jumps, address))
            jump = asked if jump is None else replace(asked, jump=jump)
    known_hosts = [
        file
        for key in ("userknownhostsfile", "globalknownhostsfile")
        for file in found.get(key, [""])[0].split()
        if file != "none"
    ]
    return Host(
        name,
        found["hostname"][0],
        int(found["port"][0]),
        found["user"][0],
        tuple(_own(file) for file in found.get("identityfile", []) if file != "none"),
        found.get("identitiesonly") == ["yes"],
        found.get("identityagent", ["SSH_AUTH_SOCK"])[0],
        jump,
        tuple(map(_own, known_hosts)),
        found.get("hostkeyalias", [""])[0],
    )


def _parsed(text: str, jumps: Sequence[str]) -> Host:
    match = _DESTINATION.fullmatch(text)
    address = match and (match["bracketed"] or match["host"])
    if not match or not address or text.startswith("-") or not 0 <= int(match["port"] or 0) <= 65_535:
        raise InventoryError(f"{text!r} is no host", _FORM)
    return configured(address, address, int(match["port"] or 0), match["user"] or "", jumps)


def _ask(address: str, port: int, user: str) -> Mapping[str, list[str]]:
    """The lines of ``ssh -G``: values by key, several where the key stands several times."""
    file = Path.home() / ".ssh" / "config"
    program = shutil.which("ssh")
    if program is None:
        if file.exists():
            raise InventoryError(
                f"{file} cannot be read: ssh is not installed", "Debian: apt-get install openssh-client"
            )
        return _without_ssh(address, port, user)
    command = [program, "-G"]
    if Path.home() != _account_home():
        command += ["-F", str(file) if file.exists() else "none"]
    command += ["-p", str(port)] if port else []
    command += ["-l", user] if user else []
    try:
        done = subprocess.run(
            [*command, "--", address],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InventoryError(f"`ssh -G {address}` does not end", f"look for a Match exec in {file}") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it says nothing"])[0]
        raise InventoryError(f"`ssh -G {address}` fails: {reason}", "correct what it names")
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key.lower(), []).append(value)
    missing = [key for key in ("hostname", "port", "user") if key not in found]
    if missing:
        raise InventoryError(f"`ssh -G {address}` does not say {missing[0]}", "is this OpenSSH 6.8 or newer?")
    return found


def _account_home() -> Path:
    """What ssh takes for the home folder; everybody else, and who sets it, takes $HOME."""
    return Path(pwd.getpwuid(os.getuid()).pw_dir)


def _own(file: str) -> Path:
    """A file that ssh names, with the home folder that holds here."""
    path = Path(file).expanduser()
    return Path.home() / path.relative_to(_account_home()) if path.is_relative_to(_account_home()) else path


def _without_ssh(address: str, port: int, user: str) -> Mapping[str, list[str]]:
    """What OpenSSH would say without any configuration."""
    return {
        "hostname": [address],
        "port": [str(port or SSH_PORT)],
        "user": [user or getpass.getuser()],
        "identityfile": [f"~/.ssh/id_{kind}" for kind in ("ed25519", "ecdsa", "rsa")],
        "userknownhostsfile": [" ".join(map(str, default_known_hosts()))],
    }
