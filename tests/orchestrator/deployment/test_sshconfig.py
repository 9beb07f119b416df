"""Hosts by name: as the user's own SSH configuration has them, read by OpenSSH."""

from __future__ import annotations

import getpass
import shutil
from pathlib import Path

import pytest

from orchestrator.deployment import sshconfig
from orchestrator.deployment.errors import InventoryError
from orchestrator.deployment.sshconfig import named

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed (Debian: openssh-client)")


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's configuration, to be written."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path / ".ssh" / "config"


@needs_ssh
def test_a_name_of_the_configuration(config: Path, tmp_path: Path) -> None:
    config.write_text(
        "Include more\n"
        "Host pi*\n  User pi\n  IdentityFile ~/.ssh/lab\n  UserKnownHostsFile ~/lab_hosts ~/old_hosts\n"
        "  HostKeyAlias boards\n  IdentitiesOnly yes\n  IdentityAgent ~/agent\n"
    )
    (config.parent / "more").write_text("Host pi4\n  HostName 192.168.1.20\n  Port 2022\n")
    host = named("pi4")
    assert (host.name, host.address, host.port, host.user) == ("pi4", "192.168.1.20", 2022, "pi")
    assert host.identity_files == (tmp_path / ".ssh" / "lab",)
    assert host.known_hosts[:2] == (tmp_path / "lab_hosts", tmp_path / "old_hosts")
    assert host.key_alias == "boards"
    assert host.identities_only
    assert host.identity_agent.endswith("/agent")
    assert named("other").identity_agent == "SSH_AUTH_SOCK"


@needs_ssh
def test_jump_hosts_in_their_order(config: Path) -> None:
    config.write_text("Host pi4\n  ProxyJump ann@first:2222,second\nHost second\n  HostName 10.0.0.2\n")
    second = named("pi4").jump
    assert second is not None
    assert second.address == "10.0.0.2"
    first = second.jump
    assert first is not None
    assert (first.address, first.user, first.port, first.jump) == ("first", "ann", 2222, None)


@needs_ssh
@pytest.mark.parametrize(
    ("text", "name", "address", "port", "user"),
    [
        ("pi@192.168.1.20:2222", "192.168.1.20", "192.168.1.20", 2222, "pi"),
        ("jetson.local", "jetson.local", "jetson.local", 22, ""),
        ("[fe80::1%eth0]:22", "fe80--1-eth0", "fe80::1%eth0", 22, ""),
        ("ann@[::1]", "1", "::1", 22, "ann"),
    ],
)
def test_a_host_without_configuration(text: str, name: str, address: str, port: int, user: str) -> None:
    host = named(text)
    assert (host.name, host.address, host.port) == (name, address, port)
    assert host.user == user or getpass.getuser()


@pytest.mark.parametrize(
    "text", ["", "-oProxyCommand=reboot", "a b", "pi4:99999", "pi4:x", "::1", "pi@", "a@b@c", "[]"]
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(InventoryError) as caught:
        named(text)
    assert "is no host" in caught.value.message
    assert "~/.ssh/config" in caught.value.remedy


@needs_ssh
@pytest.mark.parametrize(
    ("config_text", "message"),
    [
        ("Host pi4\n  Hostname\n", "line 2"),
        ("Host pi4\n  ProxyCommand nc %h %p\n", "ProxyCommand in ~/.ssh/config is not supported"),
        ("Host *\n  ProxyJump gate\n", "jumphost loop via gate"),
        ("Host pi4\n  ProxyJump gate\nHost gate\n  ProxyJump pi4\n", "pi4 → gate → pi4 jump in a circle"),
    ],
)
def test_a_configuration_that_cannot_be_used(config: Path, config_text: str, message: str) -> None:
    config.write_text(config_text)
    with pytest.raises(InventoryError) as caught:
        named("pi4")
    assert message in caught.value.message


def test_without_openssh_the_defaults_hold(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sshconfig.shutil, "which", lambda _: None)
    host = named("pi@10.0.0.5:2022")
    assert (host.address, host.port, host.user) == ("10.0.0.5", 2022, "pi")
    assert host.identity_files[0] == Path.home() / ".ssh" / "id_ed25519"
    assert host.known_hosts[0] == Path.home() / ".ssh" / "known_hosts"
    config.write_text("Host pi4\n  HostName 10.0.0.5\n")
    with pytest.raises(InventoryError, match="ssh is not installed"):
        named("pi4")
