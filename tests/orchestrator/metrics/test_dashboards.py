"""Grafana's dashboards without a Grafana: their form, and that what they ask is a question with an answer."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.orchestrator.metrics.dashboards import GRAFANA, ROOT, dashboards, panels, questions
from tests.orchestrator.metrics.scraping import exported
from tests.orchestrator.metrics.test_deployed import asked_of_agents, metrics_in, recorded_in, rules

#: Of the client library itself.
_PROCESS = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}
_LABELS = {"agent_id", "campaign", "device_class", "device_id", "event", "figure", "instance", "kind", "le", "outcome"}
_LABELS |= {"state", "user"}


@pytest.fixture(params=["campaigns.json", "device.json", "fleet.json"])
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dashboards()[request.param]


def test_they_are_what_is_made_of_their_source() -> None:
    tool = [sys.executable, "tools/generate_dashboards.py", "--check"]
    done = subprocess.run(tool, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert sorted(dashboards()) == ["campaigns.json", "device.json", "fleet.json"]


def test_each_can_be_told_from_the_others() -> None:
    all_of_them = dashboards().values()
    assert len({dashboard["uid"] for dashboard in all_of_them}) == len({d["title"] for d in all_of_them}) == 3


def test_panels_have_ids_of_their_own_and_a_place_of_their_own(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
        cells = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert not cells & taken, panel["title"]
        taken |= cells


def test_panels_say_what_they_show_and_ask_the_source_that_was_chosen(dashboard: dict[str, Any]) -> None:
    known = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert "datasource" in known
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        for holder in (panel, *panel["targets"]):
            assert holder["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert set(re.findall(r"\$([a-z_]+)", target["expr"])) <= known | {"__rate_interval"}
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= _LABELS


def test_they_ask_for_what_there_is() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for place, expression in questions():
        asked = metrics_in(expression) - asked_of_agents(expression)
        assert asked <= exported(), place
        assert recorded_in(expression) <= recorded, place
        others = set(re.findall(r"\b(?:up|process_[a-z_]+)(?={)", expression))
        assert others <= _PROCESS, place
        assert asked or others or asked_of_agents(expression) or recorded_in(expression), place


def test_what_is_exported_of_devices_and_campaigns_is_shown() -> None:
    shown = set().union(*(metrics_in(expression) for _, expression in questions()))
    missing = {name for name in exported() - shown if name.startswith(("gauntlet_agent_", "gauntlet_campaign_"))}
    assert missing == set()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_every_question_is_promql(tmp_path: Path) -> None:
    asked = [{"record": f"question:{number}", "expr": expr} for number, (_, expr) in enumerate(questions())]
    assert len(asked) > 60
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": asked}]}))
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_they_are_provisioned_from_where_they_are_put() -> None:
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/gauntlet.yml").read_text())["datasources"]
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
    [provider] = yaml.safe_load((GRAFANA / "provisioning/dashboards/gauntlet.yml").read_text())["providers"]
    assert provider["type"] == "file"
    compose = yaml.safe_load((ROOT / "deploy/container/compose.yaml").read_text())
    assert f"../grafana/dashboards:{provider['options']['path']}:ro" in compose["services"]["grafana"]["volumes"]
