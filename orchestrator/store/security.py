"""Certificates, tokens and the audit log as rows."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.engine import Connection, Row

from orchestrator.store.job_reads import parse_token
from orchestrator.store.paging import fitting
from orchestrator.store.tables import audit, certificates, tokens
from orchestrator.times import rfc3339
from protos.gauntlet.v1 import admin_pb2

T = TypeVar("T")

#: Entries of the audit log; older ones are forgotten.
AUDIT_KEPT = 100_000


@dataclass(frozen=True)
class TokenRow:
    """A token that is good now."""

    token_id: str
    name: str
    role: admin_pb2.Role
    expires_at: float


@dataclass(frozen=True)
class NewCertificate:
    """A certificate to be entered; `serial` in hexadecimal, `expires_at` in Unix time."""

    serial: str
    name: str
    role: admin_pb2.Role
    expires_at: float


@dataclass(frozen=True)
class Ended:
    """What a revocation, or a new certificate in place of old ones, has ended."""

    serials: Sequence[str]
    token_ids: Sequence[str]


class TokenSpentError(Exception):
    """A join token was used, revoked or expired in the meantime."""


class Transaction(Protocol):
    """Runs an operation in a transaction; what it wrote is on disk when this returns."""

    def __call__(self, operation: Callable[[Connection], T], /) -> Awaitable[T]:
        """What the operation returned."""


class SecurityBooks:
    """Who was let in, with what, and what they did.

    Args:
        write: see `Writer.run`.
        read: the same for what only reads.
        clock: Unix time.
    """

    def __init__(self, write: Transaction, read: Transaction, clock: Callable[[], float]) -> None:
        self._write = write
        self._read = read
        self._clock = clock

    # ------------------------------------------------------------------------------------------------ tokens

    async def add_token(self, digest: str, token: admin_pb2.Token, lifetime_s: float) -> admin_pb2.Token:
        """Enter a token by the SHA-256 of its secret; kind, role, name and creator come from `token`."""
        row = {
            "token_id": digest[:12],
            "digest": digest,
            "kind": token.kind,
            "role": token.role,
            "name": token.name,
            "created_at": self._clock(),
            "created_by": token.created_by,
            "expires_at": self._clock() + lifetime_s,
        }
        await self._write(lambda c: c.execute(insert(tokens), row))
        stored = await self._read(lambda c: c.execute(select(tokens).where(tokens.c.digest == digest)).one())
        return _token(stored)

    async def join_token(self, digest: str) -> TokenRow | None:
        """The join token with this digest, if it is good now."""
        row = await self._read(lambda c: c.execute(select(tokens).where(tokens.c.token_id == digest[:12])).first())
        # The search was by a part that is no secret; the rest is compared in constant time.
        if row is None or not hmac.compare_digest(row.digest, digest) or row.kind != admin_pb2.TOKEN_KIND_JOIN:
            return None
        if row.revoked_at is not None or row.used_at is not None or row.expires_at <= self._clock():
            return None
        return TokenRow(row.token_id, row.name, row.role, row.expires_at)

    async def good_api_tokens(self) -> dict[str, TokenRow]:
        """API tokens that are good now, by digest."""
        good = (
            (tokens.c.kind == admin_pb2.TOKEN_KIND_API)
            & tokens.c.revoked_at.is_(None)
            & (tokens.c.expires_at > self._clock())
        )
        rows = await self._read(lambda c: c.execute(select(tokens).where(good)).all())
        return {row.digest: TokenRow(row.token_id, row.name, row.role, row.expires_at) for row in rows}

    async def tokens(self) -> list[admin_pb2.Token]:
        """Newest first, as many as fit into a message."""
        rows = await self._read(lambda c: c.execute(select(tokens).order_by(tokens.c.created_at.desc())).all())
        return fitting(map(_token, rows))

    # ------------------------------------------------------------------------------------------------ certificates

    async def enrol(self, token_id: str, certificate: NewCertificate) -> Ended:
        """Spend a join token and enter the certificate that it was good for, both or neither.

        What the name had before ends: whoever joins again has lost it, or it was stolen.

        Raises:
            TokenSpentError: somebody was faster, or it was revoked or expired.
        """
        now = self._clock()

        def both(c: Connection) -> Ended:
            spent = c.execute(
                update(tokens)
                .where(
                    tokens.c.token_id == token_id,
                    tokens.c.used_at.is_(None),
                    tokens.c.revoked_at.is_(None),
                    tokens.c.expires_at > now,
                )
                .values(used_at=now)
            )
            if spent.rowcount != 1:
                raise TokenSpentError
            old = certificates.c.name == certificate.name
            ended = Ended(_revoke_certificates(c, old, "the holder joined again", now), [])
            _enter(c, certificate, now)
            return ended

        return await self._write(both)

    async def renew(self, serial: str, certificate: NewCertificate) -> bool:
        """Enter a certificate beside the one that it will replace, which ends by itself; False if that is revoked."""
        good = (certificates.c.serial == serial) & certificates.c.revoked_at.is_(None)

        def both(c: Connection) -> bool:
            if c.execute(select(certificates.c.serial).where(good)).first() is None:
                return False
            _enter(c, certificate, self._clock())
            return True

        return await self._write(both)

    async def good_certificates(self) -> list[NewCertificate]:
        """Those neither revoked nor expired."""
        good = certificates.c.revoked_at.is_(None) & (certificates.c.expires_at > self._clock())
        rows = await self._read(lambda c: c.execute(select(certificates).where(good)).all())
        return [NewCertificate(row.serial, row.name, row.role, row.expires_at) for row in rows]

    async def certificates(self) -> list[admin_pb2.Certificate]:
        """Newest first, as many as fit into a message."""
        rows = await self._read(
            lambda c: c.execute(select(certificates).order_by(certificates.c.issued_at.desc())).all()
        )
        return fitting(
            admin_pb2.Certificate(
                serial=row.serial,
                name=row.name,
                role=row.role,
                issued_at=rfc3339(row.issued_at),
                expires_at=rfc3339(row.expires_at),
                revoked_at=rfc3339(row.revoked_at),
                revoked_because=row.revoked_because or "",
            )
            for row in rows
        )

    async def revoke(self, what: str, reason: str) -> Ended:
        """End a token or certificate by its id, or all that a name has."""
        now = self._clock()

        def both(c: Connection) -> Ended:
            named = or_(certificates.c.serial == what, certificates.c.name == what)
            serials = _revoke_certificates(c, named, reason, now)
            good = (
                or_(tokens.c.token_id == what, tokens.c.name == what)
                & tokens.c.revoked_at.is_(None)
                & tokens.c.used_at.is_(None)
                & (tokens.c.expires_at > now)
            )
            ids = list(c.execute(select(tokens.c.token_id).where(good)).scalars())
            c.execute(update(tokens).where(good).values(revoked_at=now))
            return Ended(serials, ids)

        return await self._write(both)

    # ------------------------------------------------------------------------------------------------ audit

    async def record(self, entry: admin_pb2.AuditEntry) -> None:
        """Append to the audit log; its time is now."""
        row = {
            "at": self._clock(),
            "actor": entry.actor,
            "action": entry.action,
            "object": entry.object,
            "detail": entry.detail,
            "allowed": entry.allowed,
            "peer": entry.peer,
        }

        def append(c: Connection) -> None:
            (newest,) = c.execute(insert(audit).returning(audit.c.sequence), row).one()
            c.execute(delete(audit).where(audit.c.sequence <= newest - AUDIT_KEPT))

        await self._write(append)

    async def audit(self, limit: int, token: str) -> tuple[list[admin_pb2.AuditEntry], str]:
        """Newest first, and the next token.

        Raises:
            ValueError: `token` is none of this listing.
        """
        query = select(audit).order_by(audit.c.sequence.desc()).limit(limit + 1)
        if (newest := parse_token(token, "the audit log")) is not None:
            query = query.where(audit.c.sequence <= newest)
        rows = await self._read(lambda c: c.execute(query).all())
        entries = [
            admin_pb2.AuditEntry(
                at=rfc3339(row.at),
                actor=row.actor,
                action=row.action,
                object=row.object,
                detail=row.detail,
                allowed=row.allowed,
                peer=row.peer,
            )
            for row in rows[:limit]
        ]
        return entries, str(rows[limit].sequence) if len(rows) > limit else ""


def _enter(c: Connection, certificate: NewCertificate, now: float) -> None:
    row = {
        "serial": certificate.serial,
        "name": certificate.name,
        "role": certificate.role,
        "issued_at": now,
        "expires_at": certificate.expires_at,
    }
    c.execute(insert(certificates), row)


def _revoke_certificates(c: Connection, which: Any, reason: str, now: float) -> list[str]:
    good = which & certificates.c.revoked_at.is_(None) & (certificates.c.expires_at > now)
    serials = list(c.execute(select(certificates.c.serial).where(good)).scalars())
    c.execute(update(certificates).where(good).values(revoked_at=now, revoked_because=reason))
    return serials


def _token(row: Row[Any]) -> admin_pb2.Token:
    return admin_pb2.Token(
        token_id=row.token_id,
        kind=row.kind,
        role=row.role,
        name=row.name,
        created_at=rfc3339(row.created_at),
        created_by=row.created_by,
        expires_at=rfc3339(row.expires_at),
        used_at=rfc3339(row.used_at),
        revoked_at=rfc3339(row.revoked_at),
    )
