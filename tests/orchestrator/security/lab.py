"""A real orchestrator with TLS in this process, and those who join it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.client import Client
from orchestrator.client.credentials import path_of
from orchestrator.config import Config
from orchestrator.security.setup import set_up
from orchestrator.server import serve
from protos.credentials import Credentials
from protos.enrolment import join
from protos.gauntlet.v1 import admin_pb2
from tests.orchestrator.lab import PATIENCE_S, ScriptedAgent


@dataclass
class SecureLab:
    """A lab that runs.

    Attributes:
        address: for those who have a certificate.
        entrance: for those who have none.
        admin: its first administrator.
        folder: of the lab.
    """

    address: str
    entrance: str
    admin: Credentials
    folder: Path

    async def token(self, name: str, role: str = "agent", *, api: bool = False, life_s: float = 60.0) -> str:
        """What an administrator hands out."""
        request = admin_pb2.CreateTokenRequest(
            kind=admin_pb2.TOKEN_KIND_API if api else admin_pb2.TOKEN_KIND_JOIN,
            role=f"ROLE_{role.upper()}",
            name=name,
            lifetime_s=life_s,
        )
        async with self.client(self.admin) as client:
            return (await client.create_token(request)).text

    async def joined(self, name: str, role: str = "agent") -> Credentials:
        """Somebody with a certificate."""
        holder = "agent" if role == "agent" else "person"
        return await join(self.entrance, await self.token(name, role), holder)

    def client(self, who: Credentials, address: str = "") -> Client:
        """A client that was logged in with these credentials."""
        address = address or who.address
        who.save(path_of(address))
        return Client(address, patience_s=0.0)

    def agent(self, who: Credentials, agent_id: str = "") -> ScriptedAgent:
        """An agent that shows these credentials, and says that it is `agent_id`."""
        return ScriptedAgent(self.address, agent_id or who.name, channel=who.channel(self.address))


@contextlib.asynccontextmanager
async def secure_lab(folder: Path, **settings: Any) -> AsyncIterator[SecureLab]:
    """A lab with an authority of its own, on loopback."""
    lab = folder / "lab"
    lab.mkdir(exist_ok=True)
    token = (await set_up(lab, [], 60.0)).token
    port = free_ports()
    config = Config(address=f"127.0.0.1:{port}", folder=lab, **settings)
    until, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(serve(config, until, ready.set))
    waiting = asyncio.ensure_future(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
    try:
        yield SecureLab(config.address, config.entrance, await join(config.entrance, token, "person"), lab)
    finally:
        until.set()
        await asyncio.wait_for(task, PATIENCE_S)


def free_ports() -> int:
    """The first of two neighbours that nobody uses now."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            with contextlib.suppress(OSError):
                two.bind(("127.0.0.1", port + 1))
                return port
