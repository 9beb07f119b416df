"""Ways into a lab with TLS beside those of `tests/orchestrator/security`: wrong doors, mixed papers, borrowed names."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from orchestrator.client import Refused
from protos import contract
from protos.credentials import Credentials
from protos.enrolment import JoinError, join
from protos.gauntlet.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    agent_pb2,
    artifact_pb2,
    artifact_pb2_grpc,
    device_pb2,
    fleet_pb2,
    fleet_pb2_grpc,
    job_pb2,
)
from protos.joining import new_request
from tests.orchestrator.lab import ScriptedAgent, a_job, device, running
from tests.orchestrator.security.lab import SecureLab, secure_lab


@pytest.fixture(autouse=True)
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[SecureLab]:
    async with secure_lab(tmp_path) as lab:
        yield lab


async def status(channel: grpc.aio.Channel, *metadata: tuple[str, str]) -> str:
    """What GetStatus says to whoever asks through this channel: the caller's name, or the code of the refusal."""
    async with channel:
        stub = fleet_pb2_grpc.FleetServiceStub(channel)
        try:
            answer = await stub.GetStatus(fleet_pb2.GetStatusRequest(), timeout=3, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return str(answer.caller)


def bearer(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


def stranger(lab: SecureLab) -> Credentials:
    return replace(lab.admin, key="", chain="", token="")


# ---------------------------------------------------------------------------------------------------- wrong doors


async def test_a_plain_connection_to_a_port_with_tls_gets_nowhere(lab: SecureLab) -> None:
    for address in (lab.address, lab.entrance):
        assert await status(grpc.aio.insecure_channel(address)) == "UNAVAILABLE"
        agent = ScriptedAgent(address, channel=grpc.aio.insecure_channel(address))
        assert (await agent.refusal())[0] is grpc.StatusCode.UNAVAILABLE


async def test_tls_to_a_plain_port_gets_nowhere_and_the_plain_lab_goes_on(lab: SecureLab, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    async with running(tmp_path / "plain") as address:
        assert await status(lab.admin.channel(address)) == "UNAVAILABLE"
        assert await status(grpc.aio.insecure_channel(address)) == "local"


async def test_bytes_that_are_no_handshake_do_no_harm(lab: SecureLab) -> None:
    for noise in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + b"\0" * 5000,
        b"",
    ):
        for address in (lab.address, lab.entrance):
            host, port = address.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(noise)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
    assert await status(lab.admin.channel()) == "admin (admin)"


async def test_a_connection_that_never_shakes_hands_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hasty = [(key, 300 if "handshake" in key else value) for key, value in contract.SERVER_OPTIONS]
    monkeypatch.setattr(contract, "SERVER_OPTIONS", hasty)
    async with secure_lab(tmp_path) as lab:
        for address in (lab.address, lab.entrance):
            host, port = address.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_old_versions_of_tls_are_not_spoken(lab: SecureLab, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cadata=lab.admin.authority)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = context.maximum_version = version
    host, port = lab.entrance.split(":")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(host, int(port), ssl=context)


# ---------------------------------------------------------------------------------------------------- mixed papers


async def test_an_api_token_is_good_at_the_entrance_alone_and_no_longer_than_it_lasts(lab: SecureLab) -> None:
    token = await lab.token("ci", "user", api=True, life_s=2.0)
    assert await status(stranger(lab).channel(lab.entrance), bearer(token)) == "ci (user)"
    assert await status(stranger(lab).channel(lab.address), bearer(token)) == "UNAVAILABLE"  # no certificate, no TLS
    await asyncio.sleep(2.1)
    assert await status(stranger(lab).channel(lab.entrance), bearer(token)) == "UNAUTHENTICATED"


async def test_a_token_adds_nothing_to_a_certificate(lab: SecureLab) -> None:
    token = await lab.token("root", "admin", api=True)
    pi4 = await lab.joined("pi4")
    assert await status(pi4.channel(lab.address), bearer(token)) == "PERMISSION_DENIED"


@pytest.mark.parametrize("header", ["Bearer ", "bearer {}", "Basic {}", "Bearer {}x", "Bearer gat1-", "{}"])
async def test_a_token_in_another_form_is_none(lab: SecureLab, header: str) -> None:
    token = await lab.token("ci", "user", api=True)
    found = await status(stranger(lab).channel(lab.entrance), ("authorization", header.format(token)))
    assert found == "UNAUTHENTICATED"


async def test_a_join_token_is_no_password_and_its_hash_is_no_token(lab: SecureLab) -> None:
    for token in (await lab.token("anna", "user"), await lab.token("ci", "user", api=True)):
        books = (lab.folder / "lab.sqlite").read_bytes() + (lab.folder / "lab.sqlite-wal").read_bytes()
        assert token.split("-")[1].encode() not in books
    join_token = await lab.token("ben", "user")
    assert await status(stranger(lab).channel(lab.entrance), bearer(join_token)) == "UNAUTHENTICATED"
    await join(lab.entrance, join_token, "person")
    with pytest.raises(JoinError, match="unknown, used, expired or revoked"):
        await join(lab.entrance, join_token, "person")


async def test_the_role_is_the_tokens_whatever_the_request_says(lab: SecureLab) -> None:
    """A signing request with names and usages of an administrator gives the token's name and role."""
    token = await lab.token("eve", "user")
    _, request = new_request("eve")
    async with stranger(lab).channel(lab.entrance) as channel:
        answer = await admin_pb2_grpc.EnrolmentServiceStub(channel).Enrol(
            admin_pb2.EnrolRequest(token=token, signing_request=request), timeout=5
        )
    assert (answer.name, answer.role) == ("eve", admin_pb2.ROLE_USER)


@pytest.mark.parametrize(
    "request_", ["", "x", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"]
)
async def test_a_malformed_request_uses_no_token_up(lab: SecureLab, request_: str) -> None:
    token = await lab.token("pi4")
    async with stranger(lab).channel(lab.entrance) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await admin_pb2_grpc.EnrolmentServiceStub(channel).Enrol(
                admin_pb2.EnrolRequest(token=token, signing_request=request_), timeout=5
            )
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await join(lab.entrance, token, "agent")).name == "pi4"


async def test_a_revoked_certificate_ends_downloads_and_uploads_too(lab: SecureLab) -> None:
    pi4 = await lab.joined("pi4")
    async with pi4.channel(lab.address) as channel:
        upload = artifact_pb2_grpc.ArtifactServiceStub(channel).UploadArtifact(timeout=10)
        ref = artifact_pb2.ArtifactRef(digest="0" * 64, size_bytes=1000)
        await upload.write(artifact_pb2.UploadArtifactRequest(header=ref))
        # The same channel, in order: once this is answered, the upload has begun.
        await artifact_pb2_grpc.ArtifactServiceStub(channel).StatArtifacts(artifact_pb2.StatArtifactsRequest())
        async with lab.client(lab.admin) as admin:
            assert (await admin.revoke("pi4", "lost")).closed_sessions == 1
        assert await upload.code() is grpc.StatusCode.UNAUTHENTICATED


# ---------------------------------------------------------------------------------------------------- borrowed names


async def refused(agent: ScriptedAgent, *devices: device_pb2.DeviceDescription) -> tuple[grpc.StatusCode, str]:
    await agent.say(
        hello=agent_pb2.Hello(
            protocol_version=contract.PROTOCOL_VERSION,
            agent=device_pb2.AgentDescription(agent_id=agent.agent_id),
            devices=devices,
            session_epoch="1",
        )
    )
    code, details = await agent.refusal()
    return code, details.splitlines()[0]


async def test_no_agent_measures_under_the_name_of_anothers_device_not_even_while_that_is_away(lab: SecureLab) -> None:
    pi4, eve = lab.agent(await lab.joined("pi4")), await lab.joined("eve")
    await pi4.hello(device("pi4"))
    assert await refused(lab.agent(eve), device("pi4")) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "device id 'pi4' is attached by agent pi4",
    )
    await pi4.say(goodbye=agent_pb2.Goodbye(reason="maintenance"))
    await pi4.refusal()
    denied = grpc.StatusCode.PERMISSION_DENIED, "device id 'pi4' belongs to another agent"
    assert await refused(lab.agent(eve), device("pi4")) == denied
    later = lab.agent(eve)
    await later.hello(device("eve"))
    await later.say(devices_changed=agent_pb2.DevicesChanged(devices=[device("eve"), device("pi4")]))
    code, details = await later.refusal()
    assert (code, details.splitlines()[0]) == denied


async def test_who_comes_first_gets_a_device_that_two_agents_claim_at_once(lab: SecureLab) -> None:
    agents = [lab.agent(await lab.joined(name)) for name in ("a", "b", "c")]
    found = await asyncio.gather(*[agent.hello(device("shared")) for agent in agents], return_exceptions=True)
    assert sum(isinstance(answer, agent_pb2.Welcome) for answer in found) == 1


async def test_a_lease_is_not_known_to_whoever_did_not_get_it(lab: SecureLab) -> None:
    """A user reads job and lease ids; an agent with its own certificate cannot end another one's job with them."""
    pi4, eve = lab.agent(await lab.joined("pi4")), lab.agent(await lab.joined("eve"))
    await pi4.hello(device("pi4"))
    await eve.hello(device("eve", "other"))
    async with lab.client(await lab.joined("anna", "user")) as client:
        [submitted] = await client.submit([await a_job(client, device_class="test")])
        lease = await pi4.hear("lease")
        assert (await client.job(submitted.job_id)).attempts[0].lease_id == lease.lease_id
        forged = agent_pb2.Lease(lease_id=lease.lease_id, job_id=lease.job_id, device_id="eve")
        with pytest.raises((AssertionError, grpc.aio.AioRpcError)):
            await eve.finish(forged)
        assert (await client.job(submitted.job_id)).state == job_pb2.JOB_STATE_LEASED
        assert (await pi4.finish(lease)).disposition == agent_pb2.DISPOSITION_COMMITTED
        with pytest.raises(Refused, match="your role may not do this"):
            await client.create_token(admin_pb2.CreateTokenRequest(kind=1, role=3, name="root", lifetime_s=60))
