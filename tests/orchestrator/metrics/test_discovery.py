"""/sd: which agents Prometheus can scrape itself."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from orchestrator.client import Client
from orchestrator.metrics import discovery
from orchestrator.registry import Registry, Session
from protos.gauntlet.v1 import device_pb2
from tests.orchestrator.lab import ScriptedAgent, running
from tests.orchestrator.metrics.scraping import Lab, free_address


def agent(address: str, hostname: str = "pi4.lab", agent_id: str = "pi4") -> device_pb2.AgentDescription:
    return device_pb2.AgentDescription(agent_id=agent_id, hostname=hostname, metrics_address=address)


def targets(*agents: device_pb2.AgentDescription) -> list[str]:
    groups = json.loads(discovery.document(agents, own_host="server"))
    return [target for group in groups for target in group["targets"]]


def test_each_agent_is_a_group_with_its_name() -> None:
    agents = [agent("pi5:9152", agent_id="pi5"), agent("10.0.0.4:9152"), device_pb2.AgentDescription(agent_id="mute")]
    assert json.loads(discovery.document(agents, own_host="server")) == [
        {"targets": ["10.0.0.4:9152"], "labels": {"agent_id": "pi4"}},
        {"targets": ["pi5:9152"], "labels": {"agent_id": "pi5"}},
    ]


@pytest.mark.parametrize(
    ("address", "hostname", "target"),
    [
        ("0.0.0.0:9152", "pi4.lab", "pi4.lab:9152"),
        ("[::]:9152", "pi4.lab", "pi4.lab:9152"),
        ("[fd00::4]:9152", "pi4.lab", "[fd00::4]:9152"),
        ("127.0.0.1:9152", "server", "127.0.0.1:9152"),
        ("localhost:9152", "server", "localhost:9152"),
    ],
)
def test_an_address_becomes_where_it_can_be_reached(address: str, hostname: str, target: str) -> None:
    assert targets(agent(address, hostname)) == [target]


@pytest.mark.parametrize(
    ("address", "hostname"),
    [
        ("127.0.0.1:9152", "pi4.lab"),  # its own loopback, which is not ours
        ("localhost:9152", "pi4.lab"),
        ("0.0.0.0:9152", ""),
        ("0.0.0.0:9152", "a/b"),
        ("0.0.0.0:9152", "-x"),
        ("pi4:0", "pi4"),
        ("pi4", "pi4"),
        ("unix:/run/metrics", "pi4"),
        ("http://pi4:9152", "pi4"),
        ("pi4/metrics?x=:9152", "pi4"),
        ("user@pi4:9152", "pi4"),
        ("pi 4:9152", "pi4"),
        ("x" * 400 + ":9152", "pi4"),
        ("pi4:9152\n", "pi4"),
    ],
)
def test_what_leads_nowhere_is_left_out_and_the_others_stay(address: str, hostname: str) -> None:
    assert targets(agent(address, hostname), agent("10.0.0.5:9152", agent_id="other")) == ["10.0.0.5:9152"]


def test_an_agent_that_vanished_is_listed_for_a_while_and_one_that_left_is_not() -> None:
    now = [1000.0]
    registry = Registry(lambda: now[0])

    def session(agent_id: str) -> Session:
        opened = Session(agent("10.0.0.4:9152", agent_id=agent_id), "1-x", now[0])
        registry.attach(opened, [])
        return opened

    def listed() -> list[str]:
        return sorted(found.agent_id for found in registry.agents(3600))

    vanished, left = session("vanished"), session("left")
    left.goodbye = "told to stop"
    registry.detach(vanished, "cut off")
    registry.detach(left, "told to stop")
    assert listed() == ["vanished"]
    again = session("vanished")
    registry.detach(vanished, "once more")
    assert listed() == ["vanished"]
    registry.detach(again, "cut off")
    now[0] += 3601
    assert listed() == []


async def test_the_orchestrator_serves_it_and_nothing_else(tmp_path: Path) -> None:
    address = free_address()

    def ask(path: str, method: str = "GET") -> tuple[int, str, Any]:
        request = urllib.request.Request(f"http://{address}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.headers["Content-Type"], response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Content-Type"], error.read().decode()

    async with running(tmp_path, metrics_address=address) as lab_address, Client(lab_address, patience_s=5) as client:
        lab = Lab(lab_address, address, client)
        assert await lab.text("/sd") == "[]"
        connected = ScriptedAgent(lab_address, metrics_address="10.0.0.4:9152")
        await connected.hello()
        status, media_type, text = await asyncio.to_thread(ask, "/sd?x=1")
        assert (status, media_type) == (200, "application/json")
        assert json.loads(text) == [{"targets": ["10.0.0.4:9152"], "labels": {"agent_id": "a1"}}]
        for path in ("/", "/metrics/", "/sd/", "/../etc/passwd"):
            status, _, text = await asyncio.to_thread(ask, path)
            assert (status, text) == (404, "nothing here but /metrics and /sd\n")
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert (await asyncio.to_thread(ask, "/sd", method))[0] == 405
        assert (await asyncio.to_thread(ask, "/metrics", "HEAD"))[::2] == (200, "")
