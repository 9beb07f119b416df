"""Known hosts: what OpenSSH writes is read as it reads it, and what is added is read by it."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.deployment import hostkeys
from orchestrator.deployment.errors import HostKeyError, InventoryError
from orchestrator.deployment.hostkeys import ShownKey
from orchestrator.deployment.hosts import Host

ED, RSA = "ssh-ed25519", "ssh-rsa"
ONE, TWO = b"one key", b"another key"


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return tmp_path / ".ssh" / "known_hosts"


def host(known: Path, address: str = "pi4.lab", port: int = 22, alias: str = "") -> Host:
    return Host("pi4", address, port, known_hosts=(known,), key_alias=alias)


def line(names: str, kind: str = ED, blob: bytes = ONE) -> str:
    return f"{names} {kind} {base64.b64encode(blob).decode()}\n"


def write(known: Path, text: str) -> None:
    known.parent.mkdir(exist_ok=True)
    known.write_text(text)


def verdict(at: Host, kind: str = ED, blob: bytes = ONE) -> str:
    try:
        hostkeys.check(ShownKey(at, kind, blob))
    except HostKeyError as error:
        return "changed" if error.changed else "unknown"
    return "known"


@pytest.mark.parametrize(
    ("names", "address", "port", "known_there"),
    [
        ("pi4.lab", "pi4.lab", 22, True),
        ("pi4.lab", "PI4.lab", 22, True),
        ("pi4.lab,192.168.1.20", "192.168.1.20", 22, True),
        ("[pi4.lab]:2222", "pi4.lab", 2222, True),
        ("[pi4.lab]:2222", "pi4.lab", 22, False),
        ("[pi4.lab]:2222", "pi4.lab", 2223, False),
        ("pi4.lab", "pi4.lab", 2222, True),
        ("*.lab", "pi4.lab", 22, True),
        ("pi?.lab", "pi4.lab", 22, True),
        ("*.lab,!pi4.lab", "pi4.lab", 22, False),
        ("[::1]:2222", "::1", 2222, True),
        ("::1", "::1", 22, True),
        ("p.4.lab", "pi4.lab", 22, False),
        ("[p]i4.lab", "pi4.lab", 22, False),
    ],
)
def test_names_mean_what_they_mean_to_ssh(known: Path, names: str, address: str, port: int, known_there: bool) -> None:
    write(known, line(names))
    assert verdict(host(known, address, port)) == ("known" if known_there else "unknown")


def test_a_name_without_a_port_never_says_no_of_another_port(known: Path) -> None:
    write(known, line("pi4.lab", blob=TWO))
    assert verdict(host(known)) == "changed"
    assert verdict(host(known, port=2222)) == "unknown"


def test_an_alias_stands_for_the_address(known: Path) -> None:
    write(known, line("boards", blob=ONE) + line("pi4.lab", blob=TWO))
    assert verdict(host(known, alias="boards")) == "known"
    assert verdict(host(known, port=2222, alias="boards")) == "known"


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed (Debian: openssh-client)")
@pytest.mark.parametrize("port", [22, 2222])
def test_names_that_ssh_keygen_hashed(known: Path, port: int) -> None:
    name = "pi4.lab" if port == 22 else "[pi4.lab]:2222"
    key = base64.b64decode("AAAAC3NzaC1lZDI1NTE5AAAAIH0F7n3xc44njbZd566VlU2ERxLKJN8NIJNV3iXKIFnl")
    write(known, line(name, blob=key) + line("other", blob=key))
    subprocess.run(["ssh-keygen", "-H", "-f", str(known)], check=True, capture_output=True)
    assert "pi4" not in known.read_text()
    assert verdict(host(known, port=port), blob=key) == "known"
    assert verdict(host(known, "another.lab", port), blob=key) == "unknown"


def test_a_changed_key_is_told_with_file_line_and_remedy(known: Path) -> None:
    write(known, "# boards\n\n" + line("other") + line("[pi4.lab]:2222", blob=TWO))
    with pytest.raises(HostKeyError) as caught:
        hostkeys.check(ShownKey(host(known, port=2222), ED, ONE))
    assert caught.value.changed
    assert f"{known}, line 4" in caught.value.message
    assert caught.value.fingerprint in caught.value.message
    assert f"ssh-keygen -R '[pi4.lab]:2222' -f {known}" in caught.value.remedy
    assert "--trust" not in caught.value.remedy


def test_one_of_several_known_keys_will_do(known: Path) -> None:
    write(known, line("pi4.lab", blob=TWO) + line("pi4.lab", RSA, TWO) + line("pi4.lab", blob=ONE))
    assert verdict(host(known)) == "known"


def test_a_host_that_lacks_the_kinds_that_are_known_of_it_has_changed(known: Path) -> None:
    write(known, line("pi4.lab", RSA, TWO))
    assert verdict(host(known), ED, ONE) == "changed"


def test_known_kinds_are_asked_for_first(known: Path) -> None:
    write(known, line("pi4.lab", RSA) + line("pi4.lab", ED) + line("other", "ecdsa-sha2-nistp256"))
    assert hostkeys.known_kinds(host(known)) == [ED, RSA]
    assert hostkeys.known_kinds(host(known, "third")) == []


def test_kinds_that_nobody_can_ask_for_say_nothing(known: Path) -> None:
    write(known, line("pi4.lab", "ssh-dss", TWO))
    assert hostkeys.known_kinds(host(known)) == []
    assert verdict(host(known)) == "unknown"


def test_a_revoked_key_is_refused_even_if_it_is_known(known: Path) -> None:
    write(known, line("pi4.lab") + "@revoked " + line("*"))
    with pytest.raises(HostKeyError, match="revoked") as caught:
        hostkeys.check(ShownKey(host(known), ED, ONE))
    assert caught.value.changed
    assert "line 2" in caught.value.remedy


def test_certificate_authorities_are_said_to_be_unsupported(known: Path) -> None:
    write(known, "@cert-authority " + line("*.lab", blob=TWO))
    with pytest.raises(HostKeyError, match="not supported") as caught:
        hostkeys.check(ShownKey(host(known), ED, ONE))
    assert not caught.value.changed


@pytest.mark.parametrize(
    "junk",
    ["garbage", "pi4.lab ssh-ed25519", "pi4.lab ssh-ed25519 %%%", "|1|x|y ssh-ed25519 AAAA", "\xff\xfe", "@", ""],
)
def test_lines_that_mean_nothing_are_passed_over(known: Path, junk: str) -> None:
    write(known, f"{junk}\n" + line("pi4.lab"))
    assert verdict(host(known)) == "known"


@given(st.binary(max_size=200), st.text(max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_file_of_whatever_content_makes_a_key_known(known: Path, content: bytes, address: str) -> None:
    known.parent.mkdir(exist_ok=True)
    known.write_bytes(content)
    assert verdict(host(known, address)) != "known"


def test_a_file_that_cannot_be_read_is_told(known: Path) -> None:
    known.mkdir(parents=True)
    with pytest.raises(InventoryError, match="Is a directory"):
        verdict(host(known))


def test_what_a_person_agreed_to_is_known_from_then_on(known: Path) -> None:
    at = host(known, port=2222)
    with pytest.raises(HostKeyError) as caught:
        hostkeys.check(ShownKey(at, ED, ONE))
    assert not caught.value.changed
    assert "--trust" in caught.value.remedy
    assert hostkeys.remember(caught.value.shown) == known
    assert verdict(at) == "known"
    assert known.stat().st_mode & 0o777 == 0o600
    assert known.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_added_stands_on_a_line_of_its_own(known: Path) -> None:
    write(known, line("other").rstrip("\n"))
    hostkeys.remember(ShownKey(host(known), ED, ONE))
    hostkeys.remember(ShownKey(host(known, "pi5.lab"), ED, TWO))
    assert known.read_text().splitlines() == [
        text.rstrip() for text in (line("other"), line("pi4.lab"), line("pi5.lab", blob=TWO))
    ]


def test_names_are_hashed_where_the_others_are(known: Path) -> None:
    at = host(known, port=2222)
    write(known, line("|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg="))
    hostkeys.remember(ShownKey(at, ED, TWO))
    assert "pi4" not in known.read_text()
    assert verdict(at, blob=TWO) == "known"
    if shutil.which("ssh-keygen"):
        found = subprocess.run(
            ["ssh-keygen", "-F", "[pi4.lab]:2222", "-f", str(known)], capture_output=True, check=False
        )
        assert base64.b64encode(TWO) in found.stdout


def test_a_file_that_keeps_nothing_is_told() -> None:
    with pytest.raises(InventoryError, match="does not keep host keys") as caught:
        hostkeys.remember(ShownKey(host(Path(os.devnull)), ED, ONE))
    assert "UserKnownHostsFile" in caught.value.remedy


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InventoryError, match="cannot be written"):
        hostkeys.remember(ShownKey(host(tmp_path / "file" / "known_hosts"), ED, ONE))


def test_lines_with_other_than_ascii_in_place_of_a_key_are_left_out(known: Path) -> None:
    write(known, f"pi4.lab {ED} schlüssel\n|1|sälz|hash {ED} {base64.b64encode(TWO).decode()}\n{line('pi4.lab')}")
    assert verdict(host(known)) == "known"
