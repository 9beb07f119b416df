"""The committed dashboards, and what they ask Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
GRAFANA = ROOT / "deploy" / "grafana"
_LABEL_VALUES = re.compile(r"label_values\((.+), ([a-z_]+)\)")


def dashboards() -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def substituted(expression: str) -> str:
    """As Grafana sends it when everything is chosen."""
    chosen = re.sub(r"\$(instance|device_class|device_id|campaign)\b", ".*", expression)
    return chosen.replace("$__rate_interval", "1m")


def questions() -> Iterator[tuple[str, str]]:
    """Every expression of every panel and variable, with its place."""
    for name, dashboard in dashboards().items():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
                assert found, variable
                yield f"{name}: ${variable['name']}", f"count by ({found[2]}) ({substituted(found[1])})"
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}: {target['refId']}", substituted(target["expr"])
