"""A real server with TLS: who gets in, who does not, and who is shut out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from orchestrator.client import Client, ClientError, NotFound, Refused, Unreachable
from orchestrator.client.credentials import path_of
from orchestrator.config import Config, ConfigError
from orchestrator.security import roles
from orchestrator.security.authority import Authority
from orchestrator.store.base import StoreError
from orchestrator.store.security import SecurityBooks
from protos import contract
from protos.credentials import Credentials
from protos.enrolment import JoinError, join, renew
from protos.gauntlet.v1 import (
    admin_pb2,
    agent_pb2,
    artifact_pb2,
    campaign_pb2,
    fleet_pb2,
    fleet_pb2_grpc,
    job_pb2,
)
from protos.joining import new_request, parse_token
from tests.orchestrator.lab import a_job, device
from tests.orchestrator.security.lab import SecureLab, secure_lab


@pytest.fixture(autouse=True)
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[SecureLab]:
    async with secure_lab(tmp_path) as lab:
        yield lab


def _service_methods() -> list[str]:
    files = (admin_pb2, agent_pb2, artifact_pb2, campaign_pb2, fleet_pb2)
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    return [f"/{service.full_name}/{method.name}" for service in services for method in service.methods]


def test_the_table_of_roles_names_every_method_and_no_other() -> None:
    ours = {method for method in roles.ALLOWED if method.startswith("/gauntlet.")}
    assert ours == set(_service_methods())
    assert not roles.may(admin_pb2.ROLE_ADMIN, "/gauntlet.v1.FleetService/Unheard")


@pytest.mark.parametrize("method", _service_methods())
async def test_a_stranger_is_served_nothing_but_what_joining_needs(lab: SecureLab, method: str) -> None:
    nobody = replace(lab.admin, key="", chain="")
    async with nobody.channel(lab.entrance) as channel:
        call = channel.unary_unary(method, response_deserializer=bytes)
        code, words = grpc.StatusCode.OK, ""
        try:
            await call(b"", timeout=5)
        except grpc.aio.AioRpcError as error:
            code, words = error.code(), error.details() or ""
    if method.endswith("/GetAuthority"):
        assert code is grpc.StatusCode.OK
    elif method.endswith("/Enrol"):
        assert code is grpc.StatusCode.INVALID_ARGUMENT  # an empty request
    elif "AgentService" in method:
        assert code is grpc.StatusCode.UNIMPLEMENTED  # not served at this port at all
    else:
        assert (code, words.splitlines()[0]) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "the lab does not know you, or no more",
        )


async def test_whoever_has_joined_does_what_his_role_allows(lab: SecureLab) -> None:
    pi4, anna = await lab.joined("pi4"), await lab.joined("anna", "user")
    agent = lab.agent(pi4)
    await agent.hello()
    async with lab.client(anna) as client:
        assert (await client.status()).caller == "anna (user)"
        (job,) = await client.submit([await a_job(client)])
        lease = await agent.hear("lease")
        assert lease.job_id == job.job_id
        await agent.finish(lease)
        assert (await client.job(job.job_id)).state == job_pb2.JOB_STATE_SUCCEEDED
        for forbidden in (client.certificates(), client.tokens(), client.audit(), client.revoke("pi4", "")):
            with pytest.raises(Refused, match="your role may not do this"):
                await forbidden
    async with lab.client(pi4, lab.address) as client:
        with pytest.raises(Refused, match="your role may not do this"):
            await client.status()
    code, words = await lab.agent(anna).refusal()
    assert (code, words.splitlines()[0]) == (grpc.StatusCode.PERMISSION_DENIED, "your role may not do this")
    await agent.hang_up()


async def test_an_agent_cannot_pass_for_another_one(lab: SecureLab) -> None:
    agent = lab.agent(await lab.joined("pi4"), "pi5")
    await agent.say(
        hello=agent_pb2.Hello(
            protocol_version=contract.PROTOCOL_VERSION, agent={"agent_id": "pi5"}, session_epoch="1", devices=[device()]
        )
    )
    code, words = await agent.refusal()
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert words.startswith("the certificate is for 'pi4', not for agent 'pi5'\njoin with a token")


async def test_the_main_port_lets_nobody_in_without_a_certificate_of_its_own_authority(
    lab: SecureLab, tmp_path: Path
) -> None:
    theirs = Authority.create(tmp_path / "other", time.time)
    key, request = new_request("pi4")
    chain = theirs.issue("pi4", admin_pb2.ROLE_ADMIN, theirs.read_request(request.decode())[0], 1e6).chain
    for who in (replace(lab.admin, key="", chain=""), replace(lab.admin, key=key.decode(), chain=chain)):
        async with lab.client(who, lab.address) as client:
            with pytest.raises(Unreachable):
                await client.status()


async def test_an_expired_certificate_is_refused_by_tls(lab: SecureLab) -> None:
    earlier = Authority.load(lab.folder, lambda: 1_700_000_000.0)
    key, request = new_request("pi4")
    chain = earlier.issue("pi4", admin_pb2.ROLE_AGENT, earlier.read_request(request.decode())[0], 3600).chain
    old = replace(lab.admin, key=key.decode(), chain=chain)
    code, _ = await lab.agent(old, "pi4").refusal()
    assert code is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_that_the_books_do_not_know_is_worth_nothing(lab: SecureLab) -> None:
    authority = Authority.load(lab.folder, time.time)
    key, request = new_request("eve")
    chain = authority.issue("eve", admin_pb2.ROLE_ADMIN, authority.read_request(request.decode())[0], 3600).chain
    async with lab.client(replace(lab.admin, key=key.decode(), chain=chain)) as client:
        with pytest.raises(Refused, match="the lab does not know you"):
            await client.status()


async def test_an_agents_certificate_cannot_serve_as_the_orchestrators(lab: SecureLab) -> None:
    pi4 = await lab.joined("127.0.0.1")
    server = grpc.aio.server()
    fleet_pb2_grpc.add_FleetServiceServicer_to_server(fleet_pb2_grpc.FleetServiceServicer(), server)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(pi4.key.encode(), pi4.chain.encode())]))
    await server.start()
    async with lab.admin.channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await fleet_pb2_grpc.FleetServiceStub(channel).GetStatus(fleet_pb2.GetStatusRequest(), timeout=5)
    await server.stop(None)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_revocation_closes_live_streams_before_it_returns(lab: SecureLab) -> None:
    pi4, anna = await lab.joined("pi4"), await lab.joined("anna", "user")
    agent = lab.agent(pi4)
    await agent.hello()
    async with lab.client(anna) as client, anna.channel() as channel:
        (job,) = await client.submit([await a_job(client)])
        watching = fleet_pb2_grpc.FleetServiceStub(channel).WatchJobs(fleet_pb2.WatchJobsRequest(job_ids=[job.job_id]))
        assert (await watching.read()).job.job_id == job.job_id
        async with lab.client(lab.admin, lab.address) as admin:
            revoked = await admin.revoke("pi4", "lost")
            assert (revoked.certificates, revoked.closed_sessions) == (1, 1)
            assert (await admin.status()).connected_agents == 0
            assert (await admin.revoke("anna", "left")).closed_sessions == 1
            with pytest.raises(NotFound, match="nothing to revoke"):
                await admin.revoke("anna", "again")
        assert await watching.code() is grpc.StatusCode.UNAUTHENTICATED
    code, words = await agent.refusal()
    assert (code, words.splitlines()[0]) == (
        grpc.StatusCode.UNAUTHENTICATED,
        "the certificate or token was revoked, replaced or has expired",
    )
    assert (await lab.agent(pi4).refusal())[0] is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.0.0.1:65535"])
def test_with_tls_both_ports_have_to_be_known(address: str, tmp_path: Path) -> None:
    Authority.create(tmp_path, time.time)
    with pytest.raises(ConfigError, match=r"ports|no address") as refused:
        Config(folder=tmp_path, address=address)
    assert len(refused.value.problems[0].splitlines()) == 2


async def test_a_full_disk_is_said_in_one_line(lab: SecureLab, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise StoreError("the disk is full\nmake room")

    monkeypatch.setattr(SecurityBooks, "add_token", full)
    with pytest.raises(Refused, match=r"^the disk is full$") as refused:
        await lab.token("pi4")
    assert refused.value.remedy == "make room"


async def test_a_user_cancels_his_own_jobs_only(lab: SecureLab) -> None:
    agent = lab.agent(await lab.joined("pi4"))
    await agent.hello()
    anna, ben = await lab.joined("anna", "user"), await lab.joined("ben", "user")
    async with lab.client(anna) as client:
        (job,) = await client.submit([await a_job(client, campaign_id="shared")])
    async with lab.client(ben) as client:
        with pytest.raises(Refused, match="was submitted by anna, not by you"):
            await client.cancel([job.job_id])
        assert await client.cancel(campaign_id="shared") == []
    async with lab.client(lab.admin) as client:
        assert await client.cancel([job.job_id]) == [job.job_id]
    await agent.hang_up()


async def test_a_stream_ends_with_its_certificate(tmp_path: Path) -> None:
    async with secure_lab(tmp_path, certificate_life_s=2.0) as lab:
        agent = lab.agent(await lab.joined("pi4"))
        await agent.hello()
        assert (await agent.refusal())[0] is grpc.StatusCode.UNAUTHENTICATED


async def test_renewal_gives_a_new_key_and_leaves_the_name(lab: SecureLab) -> None:
    pi4 = await lab.joined("pi4")
    async with pi4.channel() as channel:
        renewed = await renew(pi4, channel)
    assert (renewed.name, renewed.address) == ("pi4", pi4.address)
    assert renewed.key != pi4.key
    for who in (renewed, pi4):  # the old one lasts until it expires: the session moves over in between
        agent = lab.agent(who)
        await agent.hello()
        await agent.hang_up()


async def test_a_revoked_certificate_cannot_be_renewed(lab: SecureLab) -> None:
    pi4 = await lab.joined("pi4")
    async with lab.client(lab.admin) as admin:
        await admin.revoke("pi4", "lost")
    async with pi4.channel() as channel:
        with pytest.raises(JoinError, match="the lab does not know you"):
            await renew(pi4, channel)


async def test_an_api_token_opens_the_entrance_and_ends_with_its_revocation(lab: SecureLab) -> None:
    text = await lab.token("ci", "user", api=True)
    ci = await join(lab.entrance, text, "person")
    assert (ci.name, ci.role, ci.address) == ("ci", "user", lab.entrance)
    async with lab.client(ci) as client:
        assert (await client.status()).caller == "ci (user)"
        with pytest.raises(Refused, match="your role may not do this"):
            await client.tokens()
        async with lab.client(lab.admin, lab.address) as admin:
            await admin.revoke(parse_token(text).digest[:12], "leaked")
        with pytest.raises(Refused, match="the lab does not know you"):
            await client.status()
    with pytest.raises(JoinError, match="the lab does not know you"):
        await join(lab.entrance, text, "person")


async def test_one_token_lets_one_in(lab: SecureLab) -> None:
    token = await lab.token("pi4")
    got = await asyncio.gather(*(join(lab.entrance, token, "agent") for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, Credentials) for one in got) == 1
    assert {str(one).splitlines()[0] for one in got if isinstance(one, Exception)} == {
        "this token is not good here: unknown, used, expired or revoked"
    }


async def test_who_joins_again_ends_what_he_had(lab: SecureLab) -> None:
    first = await lab.joined("pi4")
    agent = lab.agent(first)
    await agent.hello()
    second = await lab.joined("pi4")
    assert (await agent.refusal())[0] is grpc.StatusCode.UNAUTHENTICATED
    agent = lab.agent(second)
    await agent.hello()
    await agent.hang_up()


async def test_a_token_of_another_lab_is_not_even_sent(lab: SecureLab) -> None:
    ours = parse_token(await lab.token("pi4"))
    with pytest.raises(JoinError, match="not the one that made this token; the token was not sent"):
        await join(lab.entrance, str(replace(ours, pin="0" * 32)), "agent")
    await join(lab.entrance, str(ours), "agent")  # it is still good


@pytest.mark.parametrize(
    ("holder", "name", "words"),
    [
        ("agent", "pi5", "the token is for 'pi4', not for 'pi5'; it was not used up"),
        ("person", "", "the token is for an agent, not for a person; it was not used up"),
    ],
)
async def test_a_token_for_somebody_else_is_not_used_up(lab: SecureLab, holder: str, name: str, words: str) -> None:
    token = await lab.token("pi4")
    with pytest.raises(JoinError) as refused:
        await join(lab.entrance, token, holder, name)
    assert str(refused.value).splitlines()[0] == words
    assert (await join(lab.entrance, token, "agent", "pi4")).name == "pi4"


async def test_joining_goes_wrong_in_one_line_with_a_remedy(lab: SecureLab) -> None:
    token = await lab.token("pi4")
    trials = {
        "takes nobody without a certificate": (lab.address, token, None),
        "nobody answers": ("127.0.0.1:1", token, None),
        "this is no token of a lab": (lab.entrance, token[:-1], None),
        "is no address": ("lab", token, None),
        "clock says 1970-01-01 00:01 UTC": (lab.entrance, token, lambda: 60.0),
    }
    for words, (address, text, clock) in trials.items():
        with pytest.raises(JoinError, match=words) as refused:
            await join(address, text, "agent", **({"clock": clock} if clock else {}))
        assert len(str(refused.value).splitlines()) == 2
    assert (await join(lab.entrance, token, "agent")).name == "pi4"


async def test_a_server_without_tls_is_no_lab_to_join(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(JoinError, match=r"does not speak TLS|nobody answers"):
        await join(f"127.0.0.1:{port}", f"gjt1-{'a' * 32}-{'0' * 32}", "agent")
    server.close()


async def test_a_client_without_credentials_says_how_to_log_in() -> None:
    with pytest.raises(ClientError, match="you are not logged in to the lab at lab") as refused:
        Client("lab.example:50151")
    assert "gauntlet login" in refused.value.remedy


async def test_a_client_whose_certificate_has_expired_says_how_to_log_in_again(lab: SecureLab) -> None:
    earlier = Authority.load(lab.folder, lambda: 1_700_000_000.0)
    key, request = new_request("anna")
    chain = earlier.issue("anna", admin_pb2.ROLE_USER, earlier.read_request(request.decode())[0], 3600).chain
    replace(lab.admin, key=key.decode(), chain=chain).save(path_of(lab.address))
    with pytest.raises(ClientError, match="expired on 2023-11-14") as refused:
        Client(lab.address)
    assert "gauntlet login" in refused.value.remedy


async def test_what_is_done_and_what_is_refused_is_in_the_books(lab: SecureLab) -> None:
    anna = await lab.joined("anna", "user")
    async with lab.client(anna) as client:
        for _ in range(15):
            with pytest.raises(Refused):
                await client.revoke("admin", "")
    async with lab.client(lab.admin) as admin:
        await admin.revoke("anna", "tried too much")
        entries = await admin.audit()
    done = [(entry.actor, entry.action, entry.object) for entry in reversed(entries) if entry.allowed]
    assert done == [
        ("nobody", "join", "admin"),
        ("admin (admin)", "token.create", "anna"),
        ("nobody", "join", "anna"),
        ("admin (admin)", "revoke", "anna"),
    ]
    refused = [(entry.actor, entry.action, entry.detail) for entry in entries if not entry.allowed]
    # Of one peer, the first ten in a minute.
    assert refused == [("anna (user)", "revoke", "your role may not do this")] * 10


async def test_the_books_outlast_the_process(tmp_path: Path) -> None:
    async with secure_lab(tmp_path) as lab:
        anna, eve = await lab.joined("anna", "user"), await lab.joined("eve", "user")
        async with lab.client(lab.admin) as admin:
            await admin.revoke("eve", "")
    async with secure_lab(tmp_path) as lab:
        async with lab.client(replace(anna, address=lab.address)) as client:
            assert (await client.status()).caller == "anna (user)"
        async with lab.client(replace(eve, address=lab.address)) as client:
            with pytest.raises(Refused, match="the lab does not know you"):
                await client.status()
