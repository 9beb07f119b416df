"""What operators are given: a lab's status, the table of metrics, the Prometheus configuration, the alert rules."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from orchestrator.client import Client
from orchestrator.counters import Counters, Queue
from orchestrator.metrics import FleetCollector, Snapshot
from tests.orchestrator.lab import ScriptedAgent, a_job, running
from tests.orchestrator.test_metrics import free_address

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
_NAME = re.compile(r"gauntlet_[a-z_]+")


def exported() -> set[str]:
    """Names as Prometheus shows them; of a histogram its own."""
    everything = Snapshot([], 0, Queue({}, 1.0), 0, 0, 0, 0, 0.0, 2.0)
    families = [*Counters().registry.collect(), *FleetCollector(lambda: everything, 1.0).collect()]
    suffixes = {"counter": "_total", "info": "_info"}
    return {family.name + suffixes.get(family.type, "") for family in families}


async def test_a_status_tells_who_asks_what_waits_and_what_is_stored(tmp_path: Path) -> None:
    async with running(tmp_path) as address, Client(address, patience_s=5) as client:
        agent = ScriptedAgent(address)
        await agent.hello()
        await client.submit([await a_job(client, campaign_id="c1"), await a_job(client)])
        await agent.hear("lease")
        status = await client.status()
    assert (status.caller, status.secure) == ("local", False)
    assert (status.artifact_files, status.artifact_bytes) == (1, len(b"a model"))
    assert status.store_bytes >= 4096
    assert {(share.user, share.campaign_id) for share in status.shares} == {("local", "c1"), ("local", "")}
    assert sum(share.queued + share.held for share in status.shares) == 2


def test_the_handbook_lists_every_metric_and_no_other() -> None:
    table = [line for line in (ROOT / "docs" / "operating.md").read_text().splitlines() if line.startswith("| `gaunt")]
    assert set(_NAME.findall("\n".join(line.split("|")[1] for line in table))) == exported()


def test_the_alerts_ask_for_what_there_is() -> None:
    rules = (PROMETHEUS / "gauntlet.rules.yml").read_text()
    asked = {name for name in _NAME.findall(rules) if not name.startswith("gauntlet_rules")}
    assert len(asked) >= 6
    assert asked <= exported()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize("arguments", ["check config prometheus.yml", "test rules gauntlet.rules_test.yml"])
def test_promtool_takes_configuration_and_rules(arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments.split()], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed (Debian: prometheus)")
async def test_prometheus_itself_scrapes_a_lab_and_takes_its_alerts(tmp_path: Path) -> None:
    lab_metrics, own = free_address(), free_address()
    config = (PROMETHEUS / "prometheus.yml").read_text().replace("127.0.0.1:9151", lab_metrics).replace("15s", "1s")
    (tmp_path / "prometheus.yml").write_text(config)
    shutil.copy(PROMETHEUS / "gauntlet.rules.yml", tmp_path)
    options = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    async with running(tmp_path, metrics_address=lab_metrics) as address:
        agent = ScriptedAgent(address)
        await agent.hello()
        with (tmp_path / "log").open("wb") as log:
            server = subprocess.Popen(["prometheus", *options, f"--web.listen-address={own}"], stderr=log)  # noqa: ASYNC220
        try:
            async with asyncio.timeout(60):
                while not (found := await asyncio.to_thread(ask, own, "query?query=gauntlet_agent_connected")):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            [series] = found["result"]
            assert series["metric"]["device_id"] == "d1"
            assert series["value"][1] == "1"
            [group] = (await asyncio.to_thread(ask, own, "rules"))["groups"]
            assert len(group["rules"]) == 8
            assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}  # unknown: not evaluated yet
        finally:
            server.kill()
            server.wait()


def ask(address: str, what: str) -> dict[str, Any]:
    """Of Prometheus' API; empty while it has no answer."""
    try:
        with urllib.request.urlopen(f"http://{address}/api/v1/{what}", timeout=10) as response:
            data: dict[str, Any] = json.load(response)["data"]
    except OSError:  # it is just starting
        return {}
    return data if data.get("result") or data.get("groups") else {}
