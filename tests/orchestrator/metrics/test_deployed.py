"""What operators are given: the table of metrics, Prometheus' configuration, its rules and their tests."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.orchestrator.metrics.scraping import exported

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
_NAME = re.compile(r"\bgauntlet_[a-z_]+")
_PARTS_OF_HISTOGRAMS = re.compile(r"_(bucket|count|sum)$")
#: What an agent exports that no orchestrator does.
AGENTS_OWN = {"gauntlet_agent_info", "gauntlet_agent_unsent_results"}
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((PROMETHEUS / "gauntlet.rules.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def metrics_in(expression: str) -> set[str]:
    """Names that an expression asks for, without what rules record: those have a colon before."""
    names = re.findall(r"(?<![a-z_:])gauntlet_[a-z_]+(?![a-z_]*:)", expression)
    return {name if name in exported() else _PARTS_OF_HISTOGRAMS.sub("", name) for name in names}


def recorded_in(expression: str) -> set[str]:
    """Names of recording rules that it asks for."""
    return set(re.findall(r"\b[a-z_]+:[a-z_]+:[a-z0-9_]+", expression))


def asked_of_agents(expression: str) -> set[str]:
    """Names that it asks for of agents which are scraped themselves."""
    return metrics_in(expression) & AGENTS_OWN if 'job="gauntlet-agents"' in expression else set()


def test_the_handbook_lists_every_metric_and_no_other() -> None:
    text = (ROOT / "docs/monitoring.md").read_text()

    def listed(section: str) -> set[str]:
        lines = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0].splitlines()
        return set(_NAME.findall("\n".join(line.split("|")[1] for line in lines if line.startswith("| `gaunt"))))

    assert listed("Metrics") == exported()
    assert listed("Metrics of an agent") == AGENTS_OWN


def test_rules_ask_for_what_there_is() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked: set[str] = set()
    for rule in rules():
        asked |= metrics_in(rule["expr"])
        assert recorded_in(rule["expr"]) <= recorded, rule
    assert len(asked) >= 15
    assert asked <= exported()


def test_each_alert_says_how_grave_it_is_what_it_means_and_where_to_read_on() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({alert["alert"] for alert in alerts}) == len(alerts) == 16
    for alert in alerts:
        assert alert["labels"]["severity"] in ("critical", "warning", "info")
        assert alert["annotations"]["runbook"] == f"docs/operating.md#{alert['alert'].lower()}"
        assert alert["annotations"]["summary"]
        assert alert["annotations"]["description"].endswith(".")
        assert "for" in alert


def test_each_alert_is_tested_to_be_heard_and_not_to_be() -> None:
    documents = [yaml.safe_load(path.read_text()) for path in PROMETHEUS.glob("gauntlet.rules_test*.yml")]
    heard: dict[str, set[bool]] = {rule["alert"]: set() for rule in rules() if "alert" in rule}
    for test in (test for document in documents for test in document["tests"]):
        for check in test.get("alert_rule_test", ()):
            heard[check["alertname"]].add(bool(check["exp_alerts"]))
    assert {name: seen for name, seen in heard.items() if seen != {True, False}} == {}


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed (Debian: prometheus-alertmanager)")
def test_amtool_takes_the_example_of_alertmanager() -> None:
    example = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"

    def amtool(*arguments: str) -> str:
        done = subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    amtool("check-config", str(example))
    receivers = {
        severity: amtool("config", "routes", "test", f"--config.file={example}", f"severity={severity}")
        for severity in ("critical", "warning", "info")
    }
    assert receivers == {"critical": "operators", "warning": "operators", "info": "nobody"}


@needs_promtool
@pytest.mark.parametrize(
    "arguments", ["check config prometheus.yml", "test rules gauntlet.rules_test.yml gauntlet.rules_test_days.yml"]
)
def test_promtool_takes_configuration_and_rules(arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments.split()], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
