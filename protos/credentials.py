"""What somebody who has joined a lab keeps: a key and certificate, or an API token, and whom to trust. One file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, List, Tuple

import grpc
from cryptography import x509

from protos import addresses, contract


class CredentialsError(Exception):
    """Credentials that cannot be used; a second line says what to do."""


@dataclass(frozen=True)
class Credentials:
    """Proof of who one is, for one lab.

    Attributes:
        address: of the orchestrator, where these are used.
        authority: the lab's authority, PEM: nobody else is trusted.
        name: of the agent or user.
        role: agent, user or admin.
        key: private key of the certificate, PEM; empty with a token.
        chain: the certificate, PEM; empty with a token.
        token: an API token; empty with a certificate.
    """

    address: str
    authority: str
    name: str
    role: str
    key: str = ""
    chain: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.name!r} ({self.role}) at {self.address})"  # the rest is secret

    def validity(self) -> Tuple[float, float]:
        """From when to when the certificate is good, in Unix time."""
        leaf = x509.load_pem_x509_certificate(self.chain.encode())
        return leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()

    def save(self, path: Path) -> None:
        """Write the file in one step, readable by its owner only.

        Raises:
            CredentialsError: it cannot be written.
        """
        new = path.with_name(path.name + ".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(asdict(self), file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError as error:
            raise CredentialsError(f"cannot write {path}: {error.strerror}\nmake room, or mend its folder") from error

    @classmethod
    def load(cls, path: Path) -> Credentials:
        """Read the file.

        Raises:
            CredentialsError: it is damaged, or others can read it.
            FileNotFoundError: there is none.
        """
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise CredentialsError(
                f"{path} can be read by others (mode {mode:o}), and holds a private key\n"
                f"chmod 600 {path}, if nobody had it; else revoke it and join again with a new token"
            )
        try:
            known = cls(**json.loads(path.read_text(encoding="utf-8")))
            if not all(isinstance(value, str) for value in asdict(known).values()):
                raise TypeError("a value is no text")
            addresses.split(known.address)
            x509.load_pem_x509_certificate(known.authority.encode())
            if known.chain:
                known.validity()
        except (ValueError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            raise CredentialsError(f"{path} is damaged: {reason}\njoin again with a new token") from error
        return known

    def channel(self, address: str = "") -> grpc.aio.Channel:
        """A connection that trusts this lab's orchestrator only, and shows who we are.

        Args:
            address: empty: the one that goes with these.
        """
        tls = grpc.ssl_channel_credentials(
            self.authority.encode(), self.key.encode() or None, self.chain.encode() or None
        )
        if self.token:
            tls = grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(self.token))
        return secure_channel(address or self.address, tls)


def secure_channel(address: str, tls: grpc.ChannelCredentials, *more: Tuple[str, Any]) -> grpc.aio.Channel:
    """A channel with TLS and the project's options."""
    options: List[Tuple[str, Any]] = [*contract.CLIENT_OPTIONS, *more]
    return grpc.aio.secure_channel(address, tls, options=options)


def check_clock(now: float, valid_from: float) -> None:
    """Is this machine's clock right, as far as a certificate of the lab can tell?

    Raises:
        CredentialsError: it is before the certificate's beginning: TLS would fail in words that nobody understands.
    """
    if now < valid_from:
        raise CredentialsError(
            f"this machine's clock says {day(now)}, which is before the lab's certificate of {day(valid_from)}\n"
            "wait for time synchronisation, or set the clock: timedatectl"
        )


def day(unix_s: float) -> str:
    """A time of day for people."""
    return f"{datetime.fromtimestamp(unix_s, timezone.utc):%Y-%m-%d %H:%M} UTC"
