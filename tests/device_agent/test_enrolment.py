"""How an agent keeps, checks and renews what a lab gave it; the lab is a server of the test's own."""

from __future__ import annotations

import asyncio
import datetime
import json
from pathlib import Path
from typing import Any, List, Tuple

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device_agent import enrolment
from device_agent.cli import main
from device_agent.identity import StateError, StateFolder, keep_id, known_id
from protos.credentials import Credentials, CredentialsError
from protos.gauntlet.v1 import admin_pb2, admin_pb2_grpc

NOW = 1_790_000_000.0
TOKEN = f"gjt1-{'a' * 32}-{'0' * 32}"


def certificate(start: float = NOW, life_s: float = 3600.0) -> Tuple[str, str]:
    """Key and certificate of an agent, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pi4")])
    at = datetime.datetime.fromtimestamp(start, datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at)
        .not_valid_after(at + datetime.timedelta(seconds=life_s))
        .sign(key, hashes.SHA256())
    )
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded.decode(), signed.public_bytes(serialization.Encoding.PEM).decode()


def credentials(start: float = NOW, life_s: float = 3600.0) -> Credentials:
    key, chain = certificate(start, life_s)
    return Credentials("lab.example:50151", chain, "pi4", "agent", key, chain)


def test_what_is_kept_comes_back_and_is_for_its_owner_only(tmp_path: Path) -> None:
    held = credentials()
    held.save(tmp_path / enrolment.FILE)
    assert enrolment.load(tmp_path) == held
    assert (tmp_path / enrolment.FILE).stat().st_mode & 0o777 == 0o600
    assert held.key not in repr(held)


def test_who_never_joined_has_nothing(tmp_path: Path) -> None:
    assert enrolment.load(tmp_path) is None


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    credentials().save(tmp_path / enrolment.FILE)
    (tmp_path / enrolment.FILE).chmod(0o640)
    with pytest.raises(StateError, match=r"can be read by others \(mode 640\).*\nchmod 600"):
        enrolment.load(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: json.dumps({**json.loads(text), "extra": "x"}),
        lambda text: json.dumps({**json.loads(text), "name": 3}),
        lambda text: json.dumps({**json.loads(text), "address": "nowhere"}),
        lambda text: json.dumps({**json.loads(text), "chain": "-----BEGIN CERTIFICATE-----"}),
    ],
)
def test_a_damaged_file_says_to_join_again(tmp_path: Path, damage: Any) -> None:
    file = tmp_path / enrolment.FILE
    credentials().save(file)
    file.write_text(damage(file.read_text()))
    with pytest.raises(StateError, match=r"is damaged: .*\njoin again with a new token"):
        enrolment.load(tmp_path)


def test_a_crash_while_writing_leaves_the_old_credentials(tmp_path: Path) -> None:
    held = credentials()
    held.save(tmp_path / enrolment.FILE)
    (tmp_path / f"{enrolment.FILE}.new").write_text('{"address": "lab')
    assert enrolment.load(tmp_path) == held
    credentials().save(tmp_path / enrolment.FILE)


def test_a_certificate_for_another_agent_is_not_used(tmp_path: Path) -> None:
    credentials().save(tmp_path / enrolment.FILE)
    with pytest.raises(StateError, match="is for agent 'pi4', not for 'pi5'\njoin with a token for 'pi5'"):
        enrolment.load(tmp_path, "pi5")


async def test_an_expired_certificate_says_how_to_join_again() -> None:
    with pytest.raises(StateError, match=r"of agent 'pi4' expired on 2026-09-21 .*\n.*gauntlet-agent join"):
        await enrolment.ready(credentials(), lambda: NOW + 3600)


async def test_a_board_without_a_clock_waits_until_it_has_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(enrolment, "_CLOCK_PAUSE_S", 0.0)
    clock = iter([12.0, 12.0, 13.0, 13.0, NOW + 1, NOW + 1])
    await enrolment.ready(credentials(), lambda: next(clock))
    assert [record.getMessage()[:50] for record in caplog.records] == [
        "waiting: this machine's clock says 1970-01-01 00:0"
    ]


def test_it_is_renewed_with_a_third_of_its_life_left() -> None:
    assert enrolment.renewal_due(credentials(life_s=3000.0)) == NOW + 2000.0


class Lab(admin_pb2_grpc.EnrolmentServiceServicer):
    """Renews, or refuses to."""

    def __init__(self, *answers: Any) -> None:
        self.answers: List[Any] = list(answers)

    async def Renew(self, request: Any, context: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            return admin_pb2.RenewResponse(certificate_chain=answer)
        await context.abort(answer, "not now")


class Uplink:
    """Where the agent's connection is, and with what it was opened."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.used: List[Credentials] = []

    def use(self, held: Credentials) -> None:
        self.used.append(held)


async def test_renewal_is_tried_until_it_succeeds_then_kept_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(enrolment, "_FIRST_RETRY_S", 0.01)
    _, chain = certificate(NOW + 3500, 30 * 86400.0)
    server = grpc.aio.server()
    lab = Lab(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE, chain)
    admin_pb2_grpc.add_EnrolmentServiceServicer_to_server(lab, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    moved = asyncio.Event()

    async def renewed() -> None:
        moved.set()

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        uplink: Any = Uplink(channel)
        clock = iter([NOW + 3000, NOW + 3000, NOW + 3000, NOW + 3700])  # each try, and what it says afterwards
        task = asyncio.ensure_future(
            enrolment.renew_forever(credentials(), tmp_path, uplink, renewed, lambda: next(clock, NOW + 3700))
        )
        await asyncio.wait_for(moved.wait(), 10)
        task.cancel()
    await server.stop(None)
    kept = enrolment.load(tmp_path)
    assert kept is not None
    assert uplink.used == [kept]
    assert (kept.chain, kept.name) == (chain, "pi4")
    messages = [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert messages[0] == "certificate not renewed yet: not now"
    # The second failure came after its end: it says what a person has to do.
    assert "expired on" in messages[1]
    assert "gauntlet-agent join HOST:PORT TOKEN" in messages[1]


async def test_what_could_not_be_kept_is_renewed_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolment, "_FIRST_RETRY_S", 0.01)
    lost, kept = credentials(NOW + 2500, 30 * 86400.0), credentials(NOW + 2500, 30 * 86400.0)
    answers = [lost, kept]
    save = Credentials.save

    async def renew(*_: object) -> Credentials:
        return answers.pop(0)

    def full_at_first(self: Credentials, path: Path) -> None:
        if self is lost:
            raise CredentialsError("cannot write: no space left on device")
        save(self, path)

    monkeypatch.setattr("protos.enrolment.renew", renew)
    monkeypatch.setattr(Credentials, "save", full_at_first)
    moved = asyncio.Event()

    async def renewed() -> None:
        moved.set()

    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        uplink: Any = Uplink(channel)
        task = asyncio.ensure_future(
            enrolment.renew_forever(credentials(), tmp_path, uplink, renewed, lambda: NOW + 3000)
        )
        await asyncio.wait_for(moved.wait(), 10)
        task.cancel()
    assert uplink.used == [kept]
    assert enrolment.load(tmp_path) == kept


def test_an_agent_keeps_the_id_that_it_joined_with(tmp_path: Path) -> None:
    keep_id(tmp_path, "pi4")
    state = StateFolder(tmp_path)
    assert (state.agent_id, known_id(tmp_path)) == ("pi4", "pi4")
    state.close()


def test_joining_beside_a_running_agent_is_refused(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    with pytest.raises(StateError, match="belongs to a running agent"):
        enrolment.join(tmp_path, "127.0.0.1:1", TOKEN)
    state.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["join", "127.0.0.1:1", "secret"], "this is no token of a lab"),
        (["join", "127.0.0.1:1", TOKEN], "nobody answers at 127.0.0.1:1"),
        (["join", "127.0.0.1", TOKEN], "'127.0.0.1' is no address"),
        (["run"], "this agent has joined no lab"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: List[str], words: str
) -> None:
    assert main([*arguments, "--state-dir", str(tmp_path / "agent")]) == 2
    error, remedy = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {words}")
    assert remedy


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CredentialsError, match="cannot write"):
        credentials().save(tmp_path / "file" / enrolment.FILE)
