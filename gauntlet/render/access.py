"""Tables of tokens, certificates and the audit log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from protos.gauntlet.v1 import admin_pb2


def role_name(role: admin_pb2.Role) -> str:
    """One of agent, user and admin."""
    return admin_pb2.Role.Name(role).removeprefix("ROLE_").lower()


def kind_name(kind: admin_pb2.TokenKind) -> str:
    """One of join and api."""
    return admin_pb2.TokenKind.Name(kind).removeprefix("TOKEN_KIND_").lower()


def minute(at: str) -> str:
    """Of an RFC 3339 time, what people read; empty stays empty."""
    return at[:16].replace("T", " ")


def tokens_table(tokens: Iterable[admin_pb2.Token], now: str) -> Table:
    """One line a token; `now` in RFC 3339."""
    table = _table("token", "for", "role", "kind", "made (UTC)", "state")
    table.columns[0].no_wrap = table.columns[4].no_wrap = True
    for token in tokens:
        if token.revoked_at:
            state = Text(f"revoked {minute(token.revoked_at)}", "red")
        elif token.used_at:
            state = Text(f"used {minute(token.used_at)}", "dim")
        elif token.expires_at < now:
            state = Text("expired", "dim")
        else:
            state = Text(f"good until {minute(token.expires_at)}", "green")
        table.add_row(
            *_texts(token.token_id, token.name, role_name(token.role), kind_name(token.kind), minute(token.created_at)),
            state,
        )
    return table


def certificates_table(certificates: Iterable[admin_pb2.Certificate], now: str) -> Table:
    """One line a certificate; `now` in RFC 3339."""
    table = _table("name", "role", "serial", "issued (UTC)", "state")
    table.columns[3].no_wrap = True
    for certificate in certificates:
        if certificate.revoked_at:
            state = Text(f"revoked {minute(certificate.revoked_at)}: {certificate.revoked_because}", "red")
        elif certificate.expires_at < now:
            state = Text(f"expired {minute(certificate.expires_at)}", "dim")
        else:
            state = Text(f"good until {minute(certificate.expires_at)}", "green")
        table.add_row(
            *_texts(certificate.name, role_name(certificate.role), certificate.serial, minute(certificate.issued_at)),
            state,
        )
    return table


def audit_table(entries: Iterable[admin_pb2.AuditEntry]) -> Table:
    """One line an entry."""
    table = _table("when (UTC)", "who", "what", "", "from")
    table.columns[0].no_wrap = True
    for entry in entries:
        detail = Text(entry.detail) if entry.allowed else Text(f"refused: {entry.detail}", "red")
        what = f"{entry.action} {entry.object}".strip()
        host = entry.peer.partition(":")[2].rpartition(":")[0] if entry.peer.startswith("ip") else entry.peer
        table.add_row(*_texts(entry.at[:19].replace("T", " "), entry.actor, what), detail, Text(host))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _texts(*cells: str) -> Sequence[Text]:
    return [Text(cell) for cell in cells]
