"""The lab's own authority: made once, kept to its owner, and careful about what it signs."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from orchestrator.security.authority import Authority, AuthorityError
from protos.gauntlet.v1 import admin_pb2
from protos.joining import new_request
from tests.orchestrator.conftest import Clock

DAY_S = 86_400.0


def leaf(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def test_it_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path, clock: Clock) -> None:
    made = Authority.create(tmp_path, clock)
    made.add_server_names(["lab.example"])
    assert Authority.create(tmp_path, clock).pin == made.pin == Authority.load(tmp_path, clock).pin
    folder = tmp_path / "security"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()} == {
        "authority.key": 0o600,
        "authority.pem": 0o600,
        "server.pem": 0o600,
    }


def test_a_certificate_says_whose_it_is_and_what_for(tmp_path: Path, clock: Clock) -> None:
    authority = Authority.create(tmp_path, clock)
    key, _, _ = authority.read_request(new_request("pi4")[1].decode())
    issued = authority.issue("pi4", admin_pb2.ROLE_AGENT, key, 30 * DAY_S)
    certificate = leaf(issued.chain.encode())
    certificate.verify_directly_issued_by(authority.certificate)
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == ["gauntlet://role/agent"]
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert f"{certificate.serial_number:x}" == issued.serial
    assert issued.expires_at == clock.now + 30 * DAY_S


def test_the_servers_certificate_is_made_anew_with_a_third_of_its_life_left(tmp_path: Path, clock: Clock) -> None:
    authority = Authority.create(tmp_path, clock)
    authority.add_server_names(["lab.example", "192.0.2.7"])
    first = authority.server_pem()
    clock.advance(59 * DAY_S)
    assert authority.server_pem() == first
    clock.advance(2 * DAY_S)
    second = authority.server_pem()
    assert leaf(second).serial_number != leaf(first).serial_number
    assert "lab.example" in authority.server_names()
    assert "192.0.2.7" in authority.server_names()


@pytest.mark.parametrize("damage", ["", "nonsense"])
def test_a_damaged_certificate_of_the_server_is_made_anew(tmp_path: Path, clock: Clock, damage: str) -> None:
    authority = Authority.create(tmp_path, clock)
    (tmp_path / "security" / "server.pem").write_text(damage)
    leaf(authority.server_pem()).verify_directly_issued_by(authority.certificate)


def test_what_is_wrong_with_its_files_is_said_with_a_remedy(tmp_path: Path, clock: Clock) -> None:
    Authority.create(tmp_path, clock)
    key = tmp_path / "security" / "authority.key"
    good = key.read_bytes()
    key.chmod(0o644)
    with pytest.raises(AuthorityError, match=r"can be read by others \(mode 644\)"):
        Authority.load(tmp_path, clock)
    key.chmod(0o600)
    key.write_bytes(good[: len(good) // 2])
    with pytest.raises(AuthorityError, match="are damaged\nrestore them from a copy"):
        Authority.load(tmp_path, clock)
    key.write_bytes(new_request("x")[0])
    with pytest.raises(AuthorityError, match="do not belong together"):
        Authority.load(tmp_path, clock)
    key.unlink()
    with pytest.raises(AuthorityError, match="No such file"):
        Authority.load(tmp_path, clock)
    key.touch(0o600)
    key.write_bytes(good)
    clock.advance(3651 * DAY_S)
    with pytest.raises(AuthorityError, match=r"expired on 20\d\d-"):
        Authority.load(tmp_path, clock)


def test_a_name_that_is_none_is_refused(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(AuthorityError, match="'läb' is no host name"):
        Authority.create(tmp_path, clock).add_server_names(["läb"])


def test_requests_that_are_none_are_refused(tmp_path: Path, clock: Clock) -> None:
    authority = Authority.create(tmp_path, clock)
    requests = []
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        requests.append(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode())
    for request in ("", "nonsense", new_request("x")[0].decode(), *requests):
        with pytest.raises(ValueError, match=r"."):
            authority.read_request(request)
