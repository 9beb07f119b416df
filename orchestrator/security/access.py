"""Who is let in: joins, renewals, tokens, revocations, and who somebody is by what he shows.

Good certificates and API tokens are kept in memory, so that a call costs a look into a dictionary. Whoever is not among
them is a stranger: a certificate that the authority once signed is worth nothing when the books do not know it.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Iterable

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.security.authority import Authority, Issued
from orchestrator.services import Caller
from orchestrator.store.security import Ended, NewCertificate, SecurityBooks, TokenRow, TokenSpentError
from protos import contract
from protos.gauntlet.v1 import admin_pb2
from protos.joining import API, JOIN, TokenError, make_token, parse_token

DAY_S = 86_400.0
CERTIFICATE_LIFE_S = 30 * DAY_S
_MAX_TOKEN_LIFE_S = 366 * DAY_S
_KINDS = {admin_pb2.TOKEN_KIND_JOIN: JOIN, admin_pb2.TOKEN_KIND_API: API}
#: Nothing tells which of these it is: whoever tries tokens learns nothing.
_BAD_TOKEN = "this token is not good here: unknown, used, expired or revoked\nask an administrator for a new one"  # noqa: S105
_FOR = ("a person, not for an agent", "an agent, not for a person")
_MAX_CACHED_CERTIFICATES = 20_000


class AccessRefusedError(Exception):
    """No; the first line says why, a second what to do."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Line:
    """A live stream of a certificate or token, which ends with it."""

    def __init__(self) -> None:
        #: Set when what it was opened with is good no more.
        self.revoked = asyncio.Event()
        #: Set once it has ended.
        self.ended = asyncio.Event()


class Access:
    """The lab's door.

    Args:
        authority: signs; None in a lab without TLS, where nobody needs to be let in.
        books: what outlives the process.
        clock: Unix time.
        lifetime_s: of certificates for agents, users and administrators.
    """

    def __init__(
        self,
        authority: Authority | None,
        books: SecurityBooks,
        clock: Callable[[], float],
        lifetime_s: float = CERTIFICATE_LIFE_S,
    ) -> None:
        self._authority = authority
        self.books = books
        self.lifetime_s = lifetime_s
        self._clock = clock
        self._certificates: dict[str, NewCertificate] = {}
        #: By digest.
        self._api_tokens: dict[str, TokenRow] = {}
        self._serials: dict[bytes, str] = {}
        self._lines: defaultdict[str, set[Line]] = defaultdict(set)

    @property
    def authority(self) -> Authority:
        """The lab's authority.

        Raises:
            AccessRefusedError: it has none.
        """
        if self._authority is None:
            raise AccessRefusedError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "this lab has no authority: whoever reaches it may do everything\nrun gauntlet lab init and restart it",
            )
        return self._authority

    async def load(self) -> None:
        """Know what earlier lives of the orchestrator let in."""
        self._certificates = {known.serial: known for known in await self.books.good_certificates()}
        self._api_tokens = await self.books.good_api_tokens()

    # ------------------------------------------------------------------------------------------------ who is it?

    def by_certificate(self, pem: bytes) -> Caller | None:
        """Who shows this certificate, which TLS has verified; None for one that is not good, or no more."""
        serial = self._serials.get(pem)
        if serial is None:
            if len(self._serials) >= _MAX_CACHED_CERTIFICATES:
                self._serials.clear()
            serial = self._serials[pem] = f"{x509.load_pem_x509_certificate(pem).serial_number:x}"
        known = self._certificates.get(serial)
        if known is None or known.expires_at <= self._clock():
            return None
        return Caller(known.name, known.role, serial, known.expires_at)

    def by_token(self, text: str) -> Caller | None:
        """Who sends this API token; None for one that is not good, or no more."""
        try:
            token = parse_token(text)
        except TokenError:
            return None
        known = self._api_tokens.get(token.digest)  # by a digest: how long the search takes tells nothing of a secret
        if known is None or known.expires_at <= self._clock():
            return None
        return Caller(known.name, known.role, known.token_id, known.expires_at)

    # ------------------------------------------------------------------------------------------------ coming in

    async def create_token(self, request: admin_pb2.CreateTokenRequest, creator: str) -> tuple[admin_pb2.Token, str]:
        """A new token and its text, which is told this once.

        Raises:
            AccessRefusedError: the request makes no sense.
        """
        _check_request(request)
        token = make_token(_KINDS[request.kind], self.authority.pin)
        wanted = admin_pb2.Token(kind=request.kind, role=request.role, name=request.name, created_by=creator)
        entered = await self.books.add_token(token.digest, wanted, request.lifetime_s)
        if request.kind == admin_pb2.TOKEN_KIND_API:
            expires_at = self._clock() + request.lifetime_s
            self._api_tokens[token.digest] = TokenRow(entered.token_id, entered.name, entered.role, expires_at)
        return entered, str(token)

    async def enrol(self, text: str, signing_request: str) -> tuple[TokenRow, Issued]:
        """Trade a join token for a certificate; what the name had before ends.

        Raises:
            AccessRefusedError: the token is not good, the request malformed or for another name.
        """
        key, name, holder = self._request(signing_request)
        try:
            digest = parse_token(text).digest
        except TokenError:
            digest = ""
        token = await self.books.join_token(digest)
        if token is None:
            raise AccessRefusedError(grpc.StatusCode.UNAUTHENTICATED, _BAD_TOKEN)
        if name not in ("", token.name):
            raise AccessRefusedError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"the token is for {token.name!r}, not for {name!r}; it was not used up\n"
                f"ask for one for {name!r}, or join as {token.name!r} with another state folder",
            )
        if holder and (holder == "agent") != (token.role == admin_pb2.ROLE_AGENT):
            raise AccessRefusedError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"the token is for {_FOR[holder != 'agent']}; it was not used up\n"
                "agents use theirs with gauntlet-agent join, people with gauntlet login",
            )
        issued = self.authority.issue(token.name, token.role, key, self.lifetime_s)
        entered = NewCertificate(issued.serial, token.name, token.role, issued.expires_at)
        try:
            ended = await self.books.enrol(token.token_id, entered)
        except TokenSpentError:
            raise AccessRefusedError(grpc.StatusCode.UNAUTHENTICATED, _BAD_TOKEN) from None
        self._certificates[issued.serial] = entered
        await self._end(ended)
        return token, issued

    async def renew(self, holder: Caller, signing_request: str) -> Issued:
        """A new certificate for the same name and role, with a new key.

        Raises:
            AccessRefusedError: the caller has shown none, or the request is malformed.
        """
        key, _, _ = self._request(signing_request)
        if holder.credential not in self._certificates:
            raise AccessRefusedError(
                grpc.StatusCode.PERMISSION_DENIED, "only the holder of a certificate can renew it\njoin with a token"
            )
        issued = self.authority.issue(holder.name, holder.role, key, self.lifetime_s)
        entered = NewCertificate(issued.serial, holder.name, holder.role, issued.expires_at)
        if not await self.books.renew(holder.credential, entered):
            raise AccessRefusedError(grpc.StatusCode.UNAUTHENTICATED, "this certificate was revoked\njoin with a token")
        self._certificates[issued.serial] = entered
        self._forget_expired()
        return issued

    async def revoke(self, what: str, reason: str) -> tuple[Ended, int]:
        """End a token or certificate, or all that a name has; returns what ended, and how many live streams did."""
        ended = await self.books.revoke(what, reason)
        return ended, await self._end(ended)

    def _request(self, signing_request: str) -> tuple[ec.EllipticCurvePublicKey, str, str]:
        try:
            return self.authority.read_request(signing_request)
        except (ValueError, TypeError) as error:
            raise AccessRefusedError(
                grpc.StatusCode.INVALID_ARGUMENT, f"a malformed signing request: {error}\nrun the same version here"
            ) from error

    # ------------------------------------------------------------------------------------------------ live streams

    def left_s(self, holder: Caller) -> float:
        """How long what the caller has shown is good for."""
        return max(0.0, holder.expires_at - self._clock())

    def opened(self, credential: str) -> Line:
        """A stream was opened with this certificate or token; `closed` takes it off the books."""
        line = Line()
        self._lines[credential].add(line)
        return line

    def closed(self, credential: str, line: Line) -> None:
        """The stream is over."""
        line.ended.set()
        self._lines[credential].discard(line)
        if not self._lines[credential]:
            del self._lines[credential]

    async def _end(self, ended: Ended) -> int:
        """Forget what is good no more, and close its streams; returns how many there were."""
        for serial in ended.serials:
            self._certificates.pop(serial, None)
        gone = set(ended.token_ids)
        self._api_tokens = {digest: row for digest, row in self._api_tokens.items() if row.token_id not in gone}
        credentials: Iterable[str] = [*ended.serials, *ended.token_ids]
        lines = [line for credential in credentials for line in self._lines.get(credential, ())]
        for line in lines:
            line.revoked.set()
        for line in lines:
            await line.ended.wait()
        return len(lines)

    def _forget_expired(self) -> None:
        now = self._clock()
        self._certificates = {s: known for s, known in self._certificates.items() if known.expires_at > now}


def _check_request(request: admin_pb2.CreateTokenRequest) -> None:
    def refuse(message: str) -> AccessRefusedError:
        return AccessRefusedError(grpc.StatusCode.INVALID_ARGUMENT, message)

    if request.kind not in _KINDS:
        raise refuse("a token needs a kind\njoin or API")
    if request.role not in (admin_pb2.ROLE_AGENT, admin_pb2.ROLE_USER, admin_pb2.ROLE_ADMIN):
        raise refuse("a token needs a role\nagent, user or admin")
    if request.kind == admin_pb2.TOKEN_KIND_API and request.role == admin_pb2.ROLE_AGENT:
        raise refuse("an agent needs a certificate\nmake it a join token")
    if not contract.is_id(request.name) or request.name == "local":
        raise refuse(f"{request.name!r} is no name for a token\nuse 1-64 letters, digits, '.', '_' or '-', not 'local'")
    if not (math.isfinite(request.lifetime_s) and 0 < request.lifetime_s <= _MAX_TOKEN_LIFE_S):
        raise refuse(f"a token cannot last {request.lifetime_s:g} s\nat most a year")
