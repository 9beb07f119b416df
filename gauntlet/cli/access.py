"""`gauntlet login`, and of `gauntlet lab`: init, token, tokens, certificates, revoke, audit."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from gauntlet.cli.output import DirOption, JsonOption, LabDirOption, LabOption, open_lab, print_json, stderr, stdout

_FIRST_TOKEN_S = 3600.0
_DEFAULT_LIFE = {"join": "1h", "api": "30d"}


class Role(enum.Enum):
    """What the holder of a token may do."""

    AGENT = "agent"
    USER = "user"
    ADMIN = "admin"


def init(
    folder: DirOption = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="Name or address by which others reach this server; repeatable."),
    ] = None,
) -> None:
    """Give a lab its own authority, so that others can reach it over TLS.

    Run it on the server, before the lab is started. Run again, it adds names and prints a new first token.
    """
    import asyncio

    from gauntlet import folder as lab_folder
    from gauntlet.errors import UsageError
    from orchestrator.security.setup import SetupError, set_up

    chosen = lab_folder.prepare(folder or lab_folder.default_folder())
    try:
        made = asyncio.run(set_up(chosen, names or [], _FIRST_TOKEN_S))
    except SetupError as error:
        message, _, remedy = str(error).partition("\n")
        raise UsageError(message, remedy) from error
    host = (names or [made.names[0]])[0]
    host = f"[{host}]" if ":" in host else host
    at = f" --dir {chosen}" if folder else ""
    say = stdout()
    say.print(f"the lab's authority is in {made.folder}: keep it secret, and keep a copy", soft_wrap=True)
    say.print(f"the server answers to {', '.join(made.names)}", soft_wrap=True)
    say.print("\nstart it, and log in as its administrator within the hour:\n", style="bold")
    say.print(f"  gauntlet lab up{at} --address 0.0.0.0:50151", soft_wrap=True)
    say.print(f"  gauntlet login {host}:50152 {made.token}", soft_wrap=True)
    say.print("\nthen make a token for each agent and user:\n", style="bold")
    say.print(f"  gauntlet lab token NAME --lab {host}:50151", soft_wrap=True)


def token(
    name: Annotated[str, typer.Argument(help="Id of the agent, or name of the user, that it is for.")],
    role: Annotated[Role, typer.Option(help="What its holder may do.")] = Role.AGENT,
    api: Annotated[
        bool, typer.Option("--api", metavar="", help="Sent with each call instead of a certificate: for programs.")
    ] = False,
    life: Annotated[
        str, typer.Option("--for", metavar="TIME", help="Good for so long.  [dim]\\[default: 1h; 30d with --api][/]")
    ] = "",
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token with which one agent or user can join. It is shown this once, and good for one certificate."""
    from gauntlet.cli.parse import duration_s
    from gauntlet.render.access import minute
    from protos import addresses
    from protos.gauntlet.v1 import admin_pb2

    kind = "api" if api else "join"
    request = admin_pb2.CreateTokenRequest(
        kind=admin_pb2.TOKEN_KIND_API if api else admin_pb2.TOKEN_KIND_JOIN,
        role=f"ROLE_{role.name}",
        name=name,
        lifetime_s=duration_s(life or _DEFAULT_LIFE[kind]),
    )
    with open_lab(lab, lab_dir, measures=False) as opened:
        made, address = opened.client.create_token(request), opened.client.address
    if as_json:
        return print_json(_document(token={**_plain(made.token), "text": made.text}))
    # A lab on a unix socket cannot be joined now; where it will be, its operator knows.
    entrance = addresses.join(addresses.split(address)[0], made.open_port) if made.open_port else "HOST:PORT"
    command = "gauntlet-agent join" if role is Role.AGENT else "gauntlet login"
    stderr().print(f"good until {minute(made.token.expires_at)} UTC, for {name} ({role.value}); on its machine:")
    # Alone on standard output, so that it can be piped or pasted.
    typer.echo(f"{command} {entrance} {made.text}")
    return None


def tokens(lab: LabOption = "", lab_dir: LabDirOption = None, as_json: JsonOption = False) -> None:
    """List the tokens that were made, without their secrets."""
    from gauntlet.render.access import tokens_table

    with open_lab(lab, lab_dir, measures=False) as opened:
        known = opened.client.tokens()
    if as_json:
        print_json(_document(tokens=[_plain(entry) for entry in known]))
    else:
        stdout().print(tokens_table(known, _now()))


def certificates(lab: LabOption = "", lab_dir: LabDirOption = None, as_json: JsonOption = False) -> None:
    """List the certificates that were issued."""
    from gauntlet.render.access import certificates_table

    with open_lab(lab, lab_dir, measures=False) as opened:
        known = opened.client.certificates()
    if as_json:
        print_json(_document(certificates=[_plain(entry) for entry in known]))
    else:
        stdout().print(certificates_table(known, _now()))


def revoke(
    what: Annotated[str, typer.Argument(help="Name of an agent or user, a certificate's serial, or a token's id.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the books.")] = "",
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shut somebody out at once: certificates and tokens end, and what is connected with them."""
    with open_lab(lab, lab_dir, measures=False) as opened:
        ended = opened.client.revoke(what, reason)
    if as_json:
        print_json(_document(revoked=_plain(ended)))
    else:
        from gauntlet.render.units import count

        stdout().print(
            f"revoked: {count(ended.certificates, 'certificate')}, {count(ended.tokens, 'token')}; "
            f"{count(ended.closed_sessions, 'live connection')} closed"
        )


def audit(
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="So many entries.")] = 50,
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who did what, and who was refused; newest first."""
    from gauntlet.render.access import audit_table

    with open_lab(lab, lab_dir, measures=False) as opened:
        entries = opened.client.audit(limit)
    if as_json:
        print_json(_document(audit=[_plain(entry) for entry in entries]))
    else:
        stdout().print(audit_table(entries))


def login(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="As `gauntlet lab token` printed it.")],
    text: Annotated[str, typer.Argument(metavar="TOKEN", help="gjt1-… or gat1-…; '-': read it from standard input.")],
) -> None:
    """Log in to a lab with a token: later commands use it with --lab HOST:PORT."""
    import asyncio

    from gauntlet.errors import UsageError
    from orchestrator.client.credentials import path_of
    from protos.credentials import CredentialsError
    from protos.enrolment import JoinError, join

    try:
        got = asyncio.run(join(address, sys.stdin.readline() if text == "-" else text, "person"))
        got.save(path_of(got.address))
    except (JoinError, CredentialsError) as error:
        message, _, remedy = str(error).partition("\n")
        raise UsageError(message, remedy) from error
    say = stdout()
    say.print(f"logged in to {got.address} as {got.name} ({got.role}); use it so:", soft_wrap=True)
    say.print(f"  gauntlet devices --lab {got.address}        or: export GAUNTLET_LAB={got.address}", soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Make these commands of `gauntlet lab`."""
    for command in (init, token, tokens, certificates, revoke, audit):
        app.command(command.__name__)(command)


def _document(**content: Any) -> dict[str, Any]:
    from gauntlet.results_json import document

    return document(**content)


def _plain(message: Any) -> dict[str, Any]:
    """A message for programs: enumerations as words."""
    from google.protobuf.json_format import MessageToDict

    from gauntlet.render.access import kind_name, role_name

    plain: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    words: dict[str, Callable[[Any], str]] = {"role": role_name, "kind": kind_name}
    return {key: words[key](getattr(message, key)) if key in words else value for key, value in plain.items()}


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat()
