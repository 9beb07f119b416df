"""What goes into the audit log, and how often a stranger may make it grow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.services import Caller
from orchestrator.store.base import StoreError
from orchestrator.store.security import SecurityBooks
from protos.gauntlet.v1 import admin_pb2

log = logging.getLogger(__name__)

#: Refused attempts of one peer that are entered, in one window.
REFUSALS, WINDOW_S = 10, 60.0
_MAX_PEERS = 1_000
_MAX_TEXT = 400


def _text(text: str) -> str:
    """Of a peer: one line, printable, not too long."""
    return "".join(c if c.isprintable() else "?" for c in text[:_MAX_TEXT])


def _token(request: admin_pb2.CreateTokenRequest, response: Any) -> tuple[str, str, str]:
    kind = admin_pb2.TokenKind.Name(request.kind).removeprefix("TOKEN_KIND_").lower()
    role = admin_pb2.Role.Name(request.role).removeprefix("ROLE_").lower()
    token = f"token {response.token.token_id}" if response else ""
    return "token.create", request.name, " ".join(filter(None, (kind, role, token)))


def _cancel(request: Any, response: Any) -> tuple[str, str, str]:
    named = ", ".join(request.job_ids) or f"campaign {request.campaign_id}"
    return "job.cancel", named, f"{len(response.cancelled_job_ids)} cancelled" if response else ""


def _control(request: Any, response: Any) -> tuple[str, str, str]:
    action = request.WhichOneof("action") or "nothing"
    reason = getattr(getattr(request, action, None), "reason", "")
    return f"device.{action}", request.device_id, reason


def _revoke(request: Any, response: Any) -> tuple[str, str, str]:
    return "revoke", request.what, request.reason


def _enrol(request: Any, response: Any) -> tuple[str, str, str]:
    return "join", response.name if response else "", "got a certificate" if response else ""


def _renew(request: Any, response: Any) -> tuple[str, str, str]:
    return "renew", "", ""


#: Calls that are entered when they were carried out: action, object and detail, from the request and the response
#: (None when it was refused).
AUDITED: Mapping[str, Callable[[Any, Any], tuple[str, str, str]]] = {
    "/gauntlet.v1.AdminService/CreateToken": _token,
    "/gauntlet.v1.AdminService/Revoke": _revoke,
    "/gauntlet.v1.FleetService/CancelJobs": _cancel,
    "/gauntlet.v1.FleetService/ControlDevice": _control,
    "/gauntlet.v1.EnrolmentService/Enrol": _enrol,
    "/gauntlet.v1.EnrolmentService/Renew": _renew,
}


class Refusals:
    """How many refused attempts of a peer are entered: the first few of each window.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[float, int]] = {}

    def admit(self, peer: str) -> str | None:
        """Enter this one? None: no. Otherwise a remark on what was left out before; may be empty."""
        now = self._clock()
        start, count = self._seen.get(peer, (-WINDOW_S, 0))
        if now - start >= WINDOW_S:
            if peer not in self._seen and len(self._seen) >= _MAX_PEERS:
                # A flood from many addresses at once: the oldest windows go first.
                del self._seen[next(iter(self._seen))]
            self._seen.pop(peer, None)
            self._seen[peer] = (now, 1)
            left_out = max(0, count - REFUSALS)
            return f"and {left_out} more before, not entered" if left_out else ""
        self._seen[peer] = (start, count + 1)
        return "" if count < REFUSALS else None


class AuditLog:
    """Enters what is done and what is refused.

    Args:
        books: where it is kept.
        clock: monotonic seconds.
    """

    def __init__(self, books: SecurityBooks, clock: Callable[[], float]) -> None:
        self._books = books
        self._refusals = Refusals(clock)

    async def done(self, who: Caller, method: str, request: Any, response: Any, peer: str) -> None:
        """A call was carried out."""
        action, what, detail = AUDITED[method](request, response)
        await self._enter(who, action, what, detail, peer, allowed=True)

    async def refused(self, who: Caller, method: str, request: Any, reason: str, peer: str) -> None:
        """A call was refused: the caller is not known, or may not."""
        remark = self._refusals.admit(host_of(peer))
        if remark is None:
            return
        described = AUDITED.get(method) if request is not None else None
        action, what, _ = described(request, None) if described else (method.rpartition(".")[2], "", "")
        await self._enter(who, action, what, "; ".join(filter(None, (reason, remark))), peer, allowed=False)

    async def _enter(self, who: Caller, action: str, what: str, detail: str, peer: str, *, allowed: bool) -> None:
        entry = admin_pb2.AuditEntry(
            actor=str(who), action=action, object=_text(what), detail=_text(detail), allowed=allowed, peer=peer
        )
        try:
            await self._books.record(entry)
        except StoreError as error:
            log.error("not entered into the audit log: %s %s by %s: %s", action, entry.object, who, error)


def host_of(peer: str) -> str:
    """The machine behind gRPC's name of a peer, ``ipv4:192.0.2.1:5000``."""
    return peer.rpartition(":")[0] if peer.startswith("ip") else peer
