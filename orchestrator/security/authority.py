"""The lab's own certificate authority: made once, kept in the lab's folder, signs all that the lab trusts.

    authority (10 years) ──signs──▶ the orchestrator's certificate (90 days, for its names; made anew by itself)
                         └─signs──▶ certificates of agents, users and administrators (30 days; renewed by their holders)

Every certificate says what it is for: those of agents and users cannot pass for the orchestrator's, nor it for theirs.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from orchestrator.security import FOLDER, has_authority
from protos.gauntlet.v1 import admin_pb2
from protos.joining import ANY_ORCHESTRATOR, pin_of

_AUTHORITY_LIFE = timedelta(days=3650)
_SERVER_LIFE = timedelta(days=90)
#: Clocks of boards differ a little from the orchestrator's.
_SKEW = timedelta(minutes=10)
#: Serial numbers have 64 bits, of which 63 are random: enough that none is guessed, and short enough for people.
_FIRST_SERIAL = 1 << 63
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class AuthorityError(Exception):
    """The authority cannot be used; a second line says what to do."""


@dataclass(frozen=True)
class Issued:
    """A certificate just signed.

    Attributes:
        serial: lower-case hexadecimal.
        expires_at: Unix time.
        chain: PEM, the leaf alone: the authority itself is what everybody trusts.
    """

    serial: str
    expires_at: float
    chain: str


class Authority:
    """Signs certificates. Make one with `create`, use it with `load`.

    Args:
        folder: where its files lie, 0700.
        clock: Unix time.
    """

    def __init__(
        self,
        folder: Path,
        certificate: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
        clock: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._key = key
        self._clock = clock
        self.certificate = certificate
        #: PEM.
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        #: Goes into each token.
        self.pin = pin_of(certificate)

    @classmethod
    def create(cls, lab: Path, clock: Callable[[], float]) -> Authority:
        """Make the authority of a lab; one that is there already is loaded.

        Raises:
            AuthorityError: the folder cannot be written, or what is there cannot be used.
        """
        if has_authority(lab):
            return cls.load(lab, clock)
        key = ec.generate_private_key(ec.SECP256R1())
        now = _time(clock())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Gauntlet lab on {socket.gethostname()}"[:64])])
        certificate = (
            _builder(name, name, key.public_key(), now - _SKEW, now + _AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        try:
            folder = lab / FOLDER
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            # The certificate last: with it the authority exists.
            _write(folder / "authority.key", _encode_key(key))
            _write(folder / "authority.pem", certificate.public_bytes(serialization.Encoding.PEM))
        except OSError as error:
            raise AuthorityError(f"cannot write {lab / FOLDER}: {error.strerror}\nchoose another --dir") from error
        return cls(folder, certificate, key, clock)

    @classmethod
    def load(cls, lab: Path, clock: Callable[[], float]) -> Authority:
        """The authority of a lab.

        Raises:
            AuthorityError: it is missing, damaged, expired, or its key can be read by others.
        """
        folder = lab / FOLDER
        key_file = folder / "authority.key"
        try:
            mode = key_file.stat().st_mode & 0o777
            if mode & 0o077:
                raise AuthorityError(
                    f"{key_file} can be read by others (mode {mode:o}): whoever had it can let anybody in\n"
                    f"chmod 600 {key_file}, if nobody had; else remove {folder}, and init and join anew"
                )
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
            certificate = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
        except OSError as error:
            raise AuthorityError(
                f"{error.filename}: {error.strerror}\nrestore {folder} from a copy, or run: gauntlet lab init"
            ) from error
        except ValueError as error:
            raise AuthorityError(f"the files in {folder} are damaged\nrestore them from a copy") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise AuthorityError(f"the key and the certificate in {folder} do not belong together\nrestore a copy")
        if certificate.not_valid_after_utc <= _time(clock()):
            raise AuthorityError(
                f"the lab's authority expired on {certificate.not_valid_after_utc:%Y-%m-%d}\n"
                f"remove {folder}, run gauntlet lab init, and join anew"
            )
        return cls(folder, certificate, key, clock)

    def read_request(self, signing_request: str) -> tuple[ec.EllipticCurvePublicKey, str, str]:
        """Public key, name and kind of holder in a PKCS#10 request; its sender has proved to have the private key.

        Raises:
            ValueError: malformed, or a key of another kind than P-256.
        """
        request = x509.load_pem_x509_csr(signing_request.encode())
        key = request.public_key()
        if not request.is_signature_valid:
            raise ValueError("the request's signature is wrong")
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("the request's key is not of the curve P-256")
        said = {attribute.oid: str(attribute.value) for attribute in request.subject}
        return key, said.get(NameOID.COMMON_NAME, ""), said.get(NameOID.ORGANIZATIONAL_UNIT_NAME, "")

    def issue(self, name: str, role: admin_pb2.Role, key: ec.EllipticCurvePublicKey, lifetime_s: float) -> Issued:
        """Sign a certificate for an agent, a user or an administrator."""
        now = _time(self._clock())
        life = timedelta(seconds=lifetime_s)
        end = min(now + life, self.certificate.not_valid_after_utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        role_name = admin_pb2.Role.Name(role).removeprefix("ROLE_").lower()
        certificate = self._sign(
            _builder(subject, self.certificate.subject, key, now - min(_SKEW, life / 10), end)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"gauntlet://role/{role_name}")]),
                critical=False,
            )
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        return Issued(f"{certificate.serial_number:x}", end.timestamp(), pem)

    # ------------------------------------------------------------------------------------------------ the server's own

    def server_names(self) -> list[str]:
        """Names and addresses that the orchestrator's certificate is for; none before there is one."""
        try:
            leaf = x509.load_pem_x509_certificate((self._folder / "server.pem").read_bytes())
            san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (OSError, ValueError, x509.ExtensionNotFound):
            return []
        names = [*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))]
        return [name for name in names if name != ANY_ORCHESTRATOR]

    def add_server_names(self, names: Sequence[str]) -> list[str]:
        """Make the orchestrator's certificate good for these names too, beside this host's; all of them."""
        known = dict.fromkeys([*self.server_names(), *names, socket.gethostname(), *_LOOPBACK])
        self._renew_server(list(known))
        return list(known)

    def server_pem(self) -> bytes:
        """Key and certificate of the orchestrator; made anew when less than a third of its life is left.

        Raises:
            AuthorityError: it cannot be written.
        """
        file = self._folder / "server.pem"
        # Missing or damaged: nothing that could not be made again.
        with contextlib.suppress(OSError, ValueError):
            pem = file.read_bytes()
            leaf = x509.load_pem_x509_certificate(pem)
            if leaf.not_valid_after_utc - _time(self._clock()) > _SERVER_LIFE / 3 and self._signed(leaf):
                return pem
        self.add_server_names([])
        return file.read_bytes()

    def _renew_server(self, names: Sequence[str]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        now = _time(self._clock())
        end = min(now + _SERVER_LIFE, self.certificate.not_valid_after_utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gauntlet orchestrator")])
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in (*names, ANY_ORCHESTRATOR)])
        leaf = self._sign(
            _builder(subject, self.certificate.subject, key.public_key(), now - _SKEW, end)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(alternatives, critical=False)
        )
        try:
            # One file: half of a pair would be of no use.
            _write(self._folder / "server.pem", _encode_key(key) + leaf.public_bytes(serialization.Encoding.PEM))
        except OSError as error:
            raise AuthorityError(
                f"cannot write {self._folder}: {error.strerror}\nmake room, or mend its permissions"
            ) from error

    def _signed(self, leaf: x509.Certificate) -> bool:
        try:
            leaf.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def _sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(_FIRST_SERIAL + secrets.randbits(63))
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise AuthorityError(f"{name!r} is no host name\nwrite it in plain letters (ASCII)") from error


def _encode_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _time(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)


def _write(path: Path, content: bytes) -> None:
    """In one step, for the owner only."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
