"""The report's page: one file that needs no network, no server and no other file."""

from __future__ import annotations

import base64
import hashlib
import os
from datetime import datetime
from importlib import resources
from pathlib import Path

from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from search.objectives import Constraint
from search.report import background, candidates, figures
from search.report.drawing import Chart, units_of
from search.report.inputs import ReportInput
from search.report.markup import Markup, embed, facts, join, tag
from search.report.units import Unit, duration, in_sentence
from search.values import Origin


def render(report: ReportInput) -> str:
    """The page as HTML.

    Args:
        report: the campaign.
    """
    units = units_of(report)
    drawn: list[Chart] = []
    parts = [
        candidates.winners(report, units),
        figures.fronts(report, units, drawn),
        figures.progress(report, drawn),
        figures.faults(report, drawn),
        figures.equal_macs(report, drawn),
        figures.ranking(report, drawn),
        candidates.everybody(report, units),
        candidates.failures(report),
        background.time_spent(report),
        background.devices(report),
        background.provenance(report),
        background.missing(report),
    ]
    data = embed([{"id": c.identity, "data": c.data, "layout": c.layout, "height": c.height} for c in drawn])
    library, script = Markup(get_plotlyjs()), _resource("page.js")
    # Only these two scripts run, whatever a name that was not escaped might hold.
    hashes = " ".join(f"'sha256-{_hash(source)}'" for source in (library, script))
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        tag("title", f"{report.title} · Gauntlet"),
        tag("style", _resource("page.css")),
    )
    body = tag(
        "body",
        tag("a", "Skip to the results", href="#winners", class_="skip"),
        tag("header", _header(report)),
        _contents(parts),
        tag("main", *parts),
        tag(
            "footer",
            f"Made by Gauntlet {report.software_version}. Works offline; nothing in it is loaded from elsewhere.",
        ),
        tag("script", data, type="application/json", id="charts"),
        tag("script", library),
        tag("script", script),
    )
    return f'<!DOCTYPE html>\n<html lang="en">{head}{body}</html>\n'


def write_report(report: ReportInput, path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        report: the campaign.
        path: of the file; an older one is replaced.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(render(report), encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _header(report: ReportInput) -> Markup:
    tiles = [
        ("Candidates", f"{len(report.evaluations):,}"),
        ("On the front", f"{len(report.front):,}"),
        ("Failed", f"{len(report.failed):,}"),
        ("Hypervolume", f"{report.hypervolume[-1]:.2f}" if report.hypervolume else "–"),
        ("Duration", duration(report.wall_s) if report.wall_s is not None else "–"),
    ]
    goals = [tag("li", f"{o.direction.value} {in_sentence(o.quantity)}") for o in report.objectives]
    bounds = [tag("li", f"keep {in_sentence(c.quantity)} {_bound(c.upper)} {_in_unit(c)}") for c in report.constraints]
    names = ", ".join(str(device.get("device_id")) for device in report.devices) or "no device"
    used = [f"{value} {name}" for name, value in report.budget.items()]
    return join(
        [
            tag("p", "Gauntlet search report", class_="kicker"),
            tag("h1", report.title),
            tag("p", " · ".join([_moment(report.created), f"measured on {names}", *used]), class_="meta"),
            facts(tiles, "tiles"),
            tag(
                "div",
                tag("ul", *goals, *bounds, class_="goals"),
                tag("p", _origins(report), class_="soft"),
                class_="aims",
            ),
        ]
    )


def _contents(parts: list[Markup]) -> Markup:
    """Links to the parts that are there."""
    titles = {
        "winners": "Winners",
        "fronts": "Fronts",
        "progress": "Progress",
        "faults": "Faults",
        "equal-macs": "Equal MACs",
        "ranking": "Supernet",
        "candidates": "Candidates",
        "failures": "Failures",
        "time": "Time",
        "devices": "Devices",
        "provenance": "Provenance",
        "missing": "Not measured",
    }
    there = [tag("a", name, href=f"#{key}") for key, name in titles.items() if any(f' id="{key}"' in p for p in parts)]
    return tag("nav", *there, aria_label="Contents")


def _origins(report: ReportInput) -> str:
    """What was measured and what was not."""
    found: dict[Origin, int] = {}
    for evaluation in report.succeeded:
        for objective in report.objectives:
            value = evaluation.value(objective.name)
            if value.value is not None and not objective.quantity.is_static:
                found[value.origin] = found.get(value.origin, 0) + 1
    if not found:
        return "No figure was measured."
    if set(found) == {Origin.MEASURED}:
        return "All figures are measured; MACs and parameters are counted."
    return "Of the figures, " + ", ".join(f"{number:,} are {origin.value}" for origin, number in found.items()) + "."


def _bound(upper: bool) -> str:
    return "at most" if upper else "at least"


def _in_unit(constraint: Constraint) -> str:
    base = "%" if constraint.quantity.kind == "accuracy" else constraint.quantity.unit
    return Unit.fitting(base, [constraint.bound]).text(constraint.bound)


def _moment(created: str) -> str:
    try:
        return datetime.fromisoformat(created).strftime("%-d %B %Y, %H:%M %Z").strip()
    except ValueError:
        return created


def _resource(name: str) -> Markup:
    return Markup(resources.files("search.report").joinpath(name).read_text(encoding="utf-8"))


def _hash(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
