"""What a lab has to be for boards to join it, and when an agent has to join again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from orchestrator.client import SyncClient
from orchestrator.deployment.errors import DeploymentError
from orchestrator.deployment.hosts import Host
from orchestrator.deployment.lab import Held, LabSide
from protos import joining
from tests.orchestrator.deployment.site import Site, a_site
from tests.orchestrator.security.lab import secure_lab


@pytest.fixture(autouse=True)
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with a_site(tmp_path, tmp_path) as made:
        yield made


def client(address: str, secure: bool, caller: str) -> SyncClient:
    status = SimpleNamespace(secure=secure, caller=caller)
    return cast(SyncClient, SimpleNamespace(address=address, status=lambda: status))


@pytest.mark.parametrize(
    ("address", "secure", "caller", "message"),
    [
        ("127.0.0.1:50151", False, "local", "has no TLS, so that boards cannot join it"),
        ("unix:/run/lab", True, "admin (admin)", "has no TLS, so that boards cannot join it"),
        ("lab.example:50151", True, "anna (user)", "anna (user) may not let boards into the lab"),
        ("lab.example:50151", True, "admin (admin)", "cannot read what `gauntlet login` kept for lab.example:50151"),
    ],
)
def test_a_lab_that_boards_cannot_join_is_refused(address: str, secure: bool, caller: str, message: str) -> None:
    with pytest.raises(DeploymentError) as raised:
        LabSide(client(address, secure, caller))
    assert message in raised.value.message


async def test_a_lab_on_loopback_is_for_hosts_on_loopback(site: Site) -> None:
    near = Host("near", "127.0.0.1")
    site.side.check_reachable_from(near)
    for far in (Host("far", "192.0.2.1"), replace(near, jump=Host("gate", "192.0.2.2"))):
        with pytest.raises(DeploymentError, match="own loopback") as raised:
            site.side.check_reachable_from(far)
        assert "gauntlet lab init --name" in raised.value.remedy


async def test_only_a_good_certificate_of_this_lab_and_name_is_kept(site: Site, tmp_path: Path) -> None:
    pi4 = await site.lab.joined("pi4")
    held = Held("pi4", pi4.authority, pi4.chain, site.lab.address)

    async def flaw(held: Held | None) -> str:
        return await asyncio.to_thread(site.side.flaw, "pi4", held)

    assert await flaw(held) == ""
    assert await flaw(None) == "no certificate yet"
    assert await flaw(replace(held, name="pi5")) == "its certificate is for pi5"
    assert await flaw(replace(held, joined_at="lab.example:50151")) == "it belongs to another lab"
    assert await flaw(replace(held, chain="rot")) == "its certificate is damaged"
    (tmp_path / "other").mkdir()
    async with secure_lab(tmp_path / "other") as other:
        stranger = await other.joined("pi4")
        assert await flaw(replace(held, authority=stranger.authority)) == "it belongs to another lab"
        assert await flaw(replace(held, chain=stranger.chain)) == "the lab does not know its certificate"
    await asyncio.to_thread(site.side.revoke, "pi4")
    assert await flaw(held) == "its certificate is revoked"


async def test_removal_shuts_out_the_agent_and_not_a_person_of_the_same_name(site: Site) -> None:
    await site.lab.joined("anna")
    await site.lab.joined("pi4")
    entrance, token = await asyncio.to_thread(site.side.token, "pi4")
    assert entrance == site.lab.entrance
    joining.parse_token(token)
    assert await asyncio.to_thread(site.side.revoke, "pi4") == 1
    assert await asyncio.to_thread(site.side.revoke, "admin") == 0
    certificates = await asyncio.to_thread(site.client.certificates)
    assert {one.name: bool(one.revoked_at) for one in certificates} == {"admin": False, "anna": False, "pi4": True}
    tokens = await asyncio.to_thread(site.client.tokens)
    assert all(one.revoked_at or one.used_at for one in tokens if one.name == "pi4")
