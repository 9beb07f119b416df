"""What operators are given: the table of metrics, the Prometheus configuration, the alert rules."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.counters import Counters, Queue
from orchestrator.metrics import FleetCollector, Snapshot

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
_NAME = re.compile(r"gauntlet_[a-z_]+")


def exported() -> set[str]:
    """Names as Prometheus shows them; of a histogram its own."""
    everything = Snapshot([], 0, Queue({}, 1.0), 0, 0, 0, 0, 0.0, 2.0)
    families = [*Counters().registry.collect(), *FleetCollector(lambda: everything, 1.0).collect()]
    suffixes = {"counter": "_total", "info": "_info"}
    return {family.name + suffixes.get(family.type, "") for family in families}


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
