"""`gauntlet lab init`, `gauntlet login` and their tables, as people meet them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from rich.console import Console

from gauntlet.cli.app import run
from gauntlet.render.access import audit_table, certificates_table, tokens_table
from protos.gauntlet.v1 import admin_pb2
from tests.orchestrator.security.lab import free_ports, secure_lab


def test_init_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = tmp_path / "lab"
    assert run(["lab", "init", "--dir", str(lab), "--name", "lab.example"]) == 0
    first = capsys.readouterr().out
    assert f"gauntlet lab up --dir {lab} --address 0.0.0.0:50151" in first
    assert "gauntlet login lab.example:50152 gjt1-" in first
    assert run(["lab", "init", "--dir", str(lab), "--name", "10.0.0.7"]) == 0
    again = capsys.readouterr().out
    assert "lab.example" in again
    assert "10.0.0.7" in again
    # The same authority: the pins of both tokens are equal, the secrets are not.
    pins = [text.split("gjt1-")[1].split()[0].split("-") for text in (first, again)]
    assert pins[0][1] == pins[1][1]
    assert pins[0][0] != pins[1][0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["login", "127.0.0.1:1", "nonsense"], "this is no token of a lab"),
        (["login", "127.0.0.1:1", f"gjt1-{'a' * 32}-{'0' * 32}"], "nobody answers at 127.0.0.1:1"),
        (["lab", "tokens", "--lab", "lab.example:50151"], "you are not logged in to the lab at lab.example:50151"),
        (["lab", "up", "--address", "0.0.0.0:50151"], "refusing 0.0.0.0:50151"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("GAUNTLET_LAB_DIR", str(tmp_path / "lab"))
    assert run(words) in (1, 2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"error: {message}")
    assert lines[1].strip().startswith("remedy: ")


async def test_an_administrator_makes_a_token_and_revokes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    async with secure_lab(tmp_path, open_address=f"127.0.0.1:{free_ports()}") as lab:
        await lab.client(lab.admin).close()  # keeps the credentials, as a login does
        at = ["--lab", lab.address]
        assert await asyncio.to_thread(run, ["lab", "token", "pi4", *at]) == 0
        assert capsys.readouterr().out.startswith(f"gauntlet-agent join {lab.entrance} gjt1-")
        assert await asyncio.to_thread(run, ["lab", "tokens", "--json", *at]) == 0
        (pi4, admin) = json.loads(capsys.readouterr().out)["tokens"]
        assert (pi4["name"], pi4["role"], pi4["kind"], pi4["used_at"]) == ("pi4", "agent", "join", "")
        assert (admin["name"], bool(admin["used_at"])) == ("admin", True)
        assert await asyncio.to_thread(run, ["lab", "revoke", pi4["token_id"], *at]) == 0
        assert "0 certificates, 1 token;" in capsys.readouterr().out
        assert await asyncio.to_thread(run, ["lab", "revoke", "nobody", *at]) == 2
        assert "nothing to revoke: 'nobody'" in capsys.readouterr().err


def test_the_tables_tell_what_is_good_and_fit_80_columns() -> None:
    token = admin_pb2.Token(
        token_id="ace4286f242a",
        kind=admin_pb2.TOKEN_KIND_JOIN,
        role=admin_pb2.ROLE_AGENT,
        name="pi4",
        created_at="2026-11-21T16:49:00Z",
        expires_at="2026-11-21T17:49:00Z",
    )
    certificate = admin_pb2.Certificate(
        serial="d4fe2113712888ed",
        name="pi4",
        role=admin_pb2.ROLE_AGENT,
        expires_at="2026-12-21T16:49:00Z",
        revoked_at="2026-11-22T10:00:00Z",
        revoked_because="card lost",
    )
    entry = admin_pb2.AuditEntry(
        at="2026-11-21T16:49:42Z",
        actor="nobody",
        action="join",
        detail="no",
        peer="ipv4:192.0.2.1:5000",
    )
    console = Console(width=80, record=True)
    with console.capture() as shown:
        console.print(tokens_table([token], "2026-11-21T17:00:00Z"))
        console.print(tokens_table([token], "2026-11-21T18:00:00Z"))
        console.print(certificates_table([certificate], "2026-11-22T18:00:00Z"))
        console.print(audit_table([entry]))
    text = shown.get()
    assert "good until 2026-11-21 17:49" in text
    assert "expired" in text
    assert "revoked 2026-11-22 10:00: card lost" in " ".join(text.split())
    assert "refused: no" in text
    assert "192.0.2.1\n" in text
    assert max(map(len, text.splitlines())) <= 80
