"""Make Grafana's dashboards of ``deploy/grafana/dashboards.yaml``, or check that the committed ones are current.

A panel is a title, a few questions to Prometheus and a unit; the sixty lines of JSON that Grafana wants of it are made
here, so that all panels look alike and a question stands on one line. Grafana's model of a dashboard:
grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model.

Usage: python tools/generate_dashboards.py [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

GRAFANA = Path(__file__).resolve().parent.parent / "deploy" / "grafana"
SOURCE = GRAFANA / "dashboards.yaml"
FOLDER = GRAFANA / "dashboards"

Json = dict[str, Any]

#: Of Grafana 10.
_SCHEMA_VERSION = 38
_COLUMNS = 24
_PROMETHEUS: Json = {"type": "prometheus", "uid": "${datasource}"}
_LAB = 'job="gauntlet", instance=~"$instance"'
_CLASS = f'{_LAB}, device_class=~"$device_class"'
_DEVICE = f'{_CLASS}, device_id=~"$device_id"'
_CAMPAIGN = f'{_LAB}, campaign=~"$campaign"'
_MATCHERS = {"<lab>": _LAB, "<class>": _CLASS, "<device>": _DEVICE, "<campaign>": _CAMPAIGN}
#: What can be chosen above the panels: a label of a series, which what was chosen before narrows.
_CHOICES = {
    "instance": ("Lab", 'gauntlet_orchestrator_info{job="gauntlet"}'),
    "device_class": ("Class", f"gauntlet_agent_connected{{{_LAB}}}"),
    "device_id": ("Device", f"gauntlet_agent_connected{{{_CLASS}}}"),
    "campaign": ("Campaign", f"gauntlet_campaign_state{{{_LAB}}}"),
}
_STATES = {
    "online": "green",
    "busy": "blue",
    "enrolled": "text",
    "draining": "yellow",
    "quarantined": "orange",
    "lost": "red",
}


@dataclass(frozen=True)
class Panel:
    """As it stands in the source.

    Attributes:
        asks: PromQL by legend.
        kind, unit: Grafana's words.
        limits: from which values on it is yellow, then red.
        stack: series add up.
        minimum, maximum: of the axis; None: as far as the values go.
    """

    title: str
    asks: Mapping[str, str]
    kind: str = "timeseries"
    unit: str = "short"
    description: str = ""
    width: int = 8
    height: int = 8
    limits: tuple[float, float] | None = None
    stack: bool = False
    minimum: float | None = 0
    maximum: float | None = None


def documents() -> Iterator[tuple[str, Json]]:
    """Each dashboard by the name of its file, as Grafana reads it."""
    for name, source in yaml.safe_load(SOURCE.read_text()).items():
        yield f"{name}.json", _dashboard(name, **source)


def _dashboard(name: str, title: str, description: str, choose: list[str], rows: list[Json]) -> Json:
    links = {"type": "dashboards", "title": "Gauntlet", "tags": ["gauntlet"], "includeVars": True, "keepTime": True}
    return {
        "uid": f"gauntlet-{name}",
        "title": title,
        "description": description,
        "tags": ["gauntlet"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "links": [links],
        "templating": {"list": [_source_variable(), *map(_variable, choose)]},
        "panels": list(_panels(rows)),
    }


def _panels(rows: list[Json]) -> Iterator[Json]:
    """From left to right and from top to bottom, each row under its heading."""
    number, y = 0, 0
    for row in rows:
        number += 1
        place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
        yield {"type": "row", "id": number, "title": row["title"], "collapsed": False, "gridPos": place, "panels": []}
        x, y, line = 0, y + 1, 0
        for plain in row["panels"]:
            panel = Panel(**plain)
            if x + panel.width > _COLUMNS:
                x, y, line = 0, y + line, 0
            number += 1
            yield _panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": panel.height})
            x, line = x + panel.width, max(line, panel.height)
        y += line


def _panel(panel: Panel, number: int, place: Json) -> Json:
    at_once = panel.kind in ("stat", "bargauge")
    asks = [
        {
            "refId": chr(ord("A") + position),
            "datasource": _PROMETHEUS,
            "expr": _expression(ask),
            "legendFormat": legend or "__auto",
            "range": not at_once,
            "instant": at_once,
            **({"format": "heatmap"} if panel.kind == "heatmap" else {}),
        }
        for position, (legend, ask) in enumerate(panel.asks.items())
    ]
    return {
        "type": panel.kind,
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "datasource": _PROMETHEUS,
        "gridPos": place,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _options(panel.kind),
        "targets": asks,
    }


def _expression(ask: str) -> str:
    for token, matchers in _MATCHERS.items():
        ask = ask.replace(token, matchers)
    return ask


def _defaults(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    if panel.limits is not None:
        steps += [{"color": "yellow", "value": panel.limits[0]}, {"color": "red", "value": panel.limits[1]}]
    made: Json = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.minimum is not None:
        made["min"] = panel.minimum
    if panel.maximum is not None:
        made["max"] = panel.maximum
    if panel.kind == "timeseries":
        made["custom"] = {
            "fillOpacity": 20 if panel.stack else 0,
            "stacking": {"mode": "normal" if panel.stack else "none"},
            "showPoints": "never",
            "thresholdsStyle": {"mode": "line" if panel.limits else "off"},
        }
    return made


def _overrides(panel: Panel) -> list[Json]:
    """A state of a device has its colour, wherever it is drawn."""
    if "{{state}}" not in panel.asks:
        return []
    return [
        {
            "matcher": {"id": "byName", "options": state},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
        }
        for state, color in _STATES.items()
    ]


def _options(kind: str) -> Json:
    last: Json = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    return {
        "timeseries": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "stat": {**last, "colorMode": "value", "graphMode": "none"},
        "bargauge": {**last, "orientation": "horizontal", "displayMode": "basic"},
        "state-timeline": {"showValue": "never", "mergeValues": True, "legend": {"showLegend": False}},
        "heatmap": {"calculate": False, "yAxis": {"unit": "s"}},
    }[kind]


def _source_variable() -> Json:
    return {"type": "datasource", "name": "datasource", "label": "Source", "query": "prometheus", "refresh": 1}


def _variable(name: str) -> Json:
    label, series = _CHOICES[name]
    query = f"label_values({series}, {name})"
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": _PROMETHEUS,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def main() -> int:
    """Entry point; exit code 1 when a file is not as it would be made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file would change")
    check = parser.parse_args().check
    stale = []
    for name, document in documents():
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        path = FOLDER / name
        if not path.is_file() or path.read_text() != text:
            stale.append(name)
            if not check:
                FOLDER.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    if check and stale:
        print(f"not as generated: {', '.join(stale)}; run python tools/generate_dashboards.py", file=sys.stderr)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
