"""Debian's Prometheus watches a real lab with real agents, as its configuration, rules and dashboards have it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.client import Client
from protos import figures
from protos.gauntlet.v1 import agent_pb2, campaign_pb2
from tests.orchestrator.lab import ScriptedAgent, a_job, running
from tests.orchestrator.metrics.dashboards import questions
from tests.orchestrator.metrics.scraping import Lab, free_address, worked
from tests.orchestrator.metrics.test_deployed import AGENTS_OWN, PROMETHEUS, rules

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed (Debian: prometheus)"),
]
_PATIENCE_S = 60
#: Panels that rightly show nothing of this lab: nothing is in quarantine, nobody trains, an agent tells no more.
_SILENT = {
    "campaigns.json: Training of the supernet: A",
    "device.json: Drift of the reference model: A",
    "device.json: Drift of the reference model: B",
    "device.json: Clock: A",
    "device.json: Battery: A",
}


class Prometheus:
    """A server's API."""

    def __init__(self, address: str) -> None:
        self._address = address

    def get(self, what: str, **parameters: str) -> Any:
        """The data of an answer; None while the server starts."""
        url = f"http://{self._address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        except OSError:
            pass
        return None

    def ask(self, expression: str) -> dict[frozenset[tuple[str, str]], float]:
        """Values by labels, now."""
        data = self.get("query", query=expression) or {"result": []}
        return {frozenset(one["metric"].items()): float(one["value"][1]) for one in data["result"]}

    async def until(self, expression: str, fits: Callable[[set[float]], bool]) -> None:
        """Wait until the values that it has now fit."""
        async with asyncio.timeout(_PATIENCE_S):
            while not fits(set((await asyncio.to_thread(self.ask, expression)).values())):  # noqa: ASYNC110
                await asyncio.sleep(0.1)


@contextlib.contextmanager
def prometheus(folder: Path, metrics_address: str) -> Iterator[Prometheus]:
    """One with the configuration that operators are given, but for its addresses and its pace."""
    config = (PROMETHEUS / "prometheus.yml").read_text().replace("127.0.0.1:9151", metrics_address)
    config = config.replace("15s", "1s").replace("30s", "1s").replace("127.0.0.1:9093", free_address())
    (folder / "prometheus.yml").write_text(config)
    shutil.copy(PROMETHEUS / "gauntlet.rules.yml", folder)
    own = free_address()
    options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(["prometheus", *options, f"--web.listen-address={own}"], stderr=log)
        try:
            yield Prometheus(own)
        finally:
            server.kill()
            server.wait()


@contextlib.contextmanager
def an_agent(folder: Path, lab_address: str, metrics_address: str) -> Iterator[subprocess.Popen[bytes]]:
    """The real one, as a process."""
    command = [sys.executable, "-m", "device_agent", "run", "--orchestrator", lab_address, "--no-fitness"]
    command += ["--agent-id", "board", "--state-dir", str(folder / "agent"), "--metrics-address", metrics_address]
    with (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen([*command, "--lifeline"], stdin=subprocess.PIPE, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    address = free_address()
    quick = {"heartbeat_interval_s": 0.5, "lease_duration_s": 3.0}
    async with (
        running(tmp_path, metrics_address=address, **quick) as lab_address,
        Client(lab_address, patience_s=5) as client,
    ):
        yield Lab(lab_address, address, client)


async def test_prometheus_watches_a_lab_and_sees_an_agent_die(lab: Lab, tmp_path: Path) -> None:
    await publish_a_campaign(lab)
    working = await worked(lab)
    # It works on none of these, so that some wait as long as this takes.
    await lab.client.submit([await a_job(lab.client, device_id="d1") for _ in range(30)])
    beating = asyncio.ensure_future(keep_alive(working))
    agent_metrics = free_address()
    try:
        with (
            prometheus(tmp_path, lab.metrics_address) as server,
            an_agent(tmp_path, lab.address, agent_metrics) as agent,
        ):
            # It is found by /sd, which the configuration names.
            await server.until(f'up{{job="gauntlet-agents", instance="{agent_metrics}"}}', lambda found: found == {1})
            await server.until('up{job="gauntlet"}', lambda found: found == {1})
            both = 'gauntlet_agent_load_average{device_id="board"}'
            await server.until(f"count by (device_id) ({both})", lambda found: found == {2})
            told = await asyncio.to_thread(server.ask, "group by (job, agent_id) (gauntlet_agent_connected == 1)")
            assert {tuple(sorted(labels)) for labels in told} == {
                (("agent_id", "board"), ("job", "gauntlet-agents")),
                (("job", "gauntlet"),),
            }
            own = await asyncio.to_thread(server.get, "label/__name__/values", **{"match[]": '{job="gauntlet-agents"}'})
            assert set(own) >= AGENTS_OWN
            await rules_are_well(server)
            await dashboards_are_answered(server)

            agent.kill()
            of_board = 'job="gauntlet", device_id="board"'
            await server.until(f"gauntlet_agent_connected{{{of_board}}}", lambda found: found == {0})
            await server.until(f'gauntlet_agent_state{{{of_board}, state="lost"}}', lambda found: found == {1})
            # And it stays in /sd, to be missed there, too.
            await server.until('up{job="gauntlet-agents"}', lambda found: found == {0})
            await server.until('ALERTS{alertname="GauntletDeviceLost", device_id="board"}', lambda found: found == {1})
    finally:
        beating.cancel()


async def publish_a_campaign(lab: Lab) -> None:
    state = campaign_pb2.CAMPAIGN_STATE_RUNNING
    await lab.client.publish_campaign(campaign_pb2.Campaign(campaign_id="c1", title="digits", state=state))
    values = {"planned": 20, "evaluated": 5, "failed": 1, "front": 2, "hypervolume": 0.25}
    records = [campaign_pb2.CampaignRecord(key=key, figure=figures.measured(value)) for key, value in values.items()]
    await lab.client.publish_records("c1", records)


async def keep_alive(agent: ScriptedAgent) -> None:
    while True:
        await agent.say(pong=agent_pb2.Pong())
        await asyncio.sleep(0.5)


async def rules_are_well(server: Prometheus) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            groups = (await asyncio.to_thread(server.get, "rules"))["groups"]
            health = [rule["health"] for group in groups for rule in group["rules"]]
            if "unknown" not in health:  # not yet looked at
                break
            await asyncio.sleep(0.1)
    assert health == ["ok"] * len(rules())


async def dashboards_are_answered(server: Prometheus) -> None:
    """Every panel shows something of this lab, but for those that rightly do not."""
    left = {place: expression for place, expression in questions() if place not in _SILENT}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            while left:
                for place, expression in list(left.items()):
                    # A rate needs a few scrapes.
                    if await asyncio.to_thread(server.ask, expression.replace("[1m]", "[5m]")):
                        del left[place]
                await asyncio.sleep(0.2)
    assert left == {}
