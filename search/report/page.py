"""The page of a search."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from search.objectives import Constraint
from search.report import audit_page, background, candidates, figures, finalists, shell
from search.report.drawing import Chart, units_of
from search.report.inputs import ReportInput
from search.report.markup import Markup, facts, join, tag
from search.report.units import Unit, base_of, duration, spelled
from search.values import Origin

_TITLES = {
    "winners": "Winners",
    "finalists": "Finalists",
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


def render(report: ReportInput) -> str:
    """The page as HTML.

    Args:
        report: the campaign.
    """
    units = units_of(report)
    drawn: list[Chart] = []
    parts = [
        candidates.winners(report, units),
        finalists.finalists(report.finalists),
        figures.fronts(report, units, drawn),
        figures.progress(report, drawn),
        figures.faults(report, drawn),
        figures.equal_macs(report, drawn),
        audit_page.ranking(report, drawn),
        candidates.everybody(report, units),
        candidates.failures(report),
        background.time_spent(report),
        background.devices(report),
        background.provenance(report),
        background.missing(report),
    ]
    return shell.page(report.title, _header(report), _TITLES, parts, drawn, report.software_version)


def write_report(report: ReportInput, path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        report: the campaign.
        path: of the file; an older one is replaced.
    """
    shell.write(render(report), path)


def _header(report: ReportInput) -> Markup:
    tiles = [
        ("Candidates", f"{len(report.evaluations):,}"),
        ("On the front", f"{len(report.front):,}"),
        ("Failed", f"{len(report.failed):,}"),
        ("Hypervolume", f"{report.hypervolume[-1]:.2f}" if report.hypervolume else "–"),
        ("Duration", duration(report.wall_s) if report.wall_s is not None else "–"),
    ]
    goals = [tag("li", f"{o.direction.value} {spelled(o.quantity)}") for o in report.objectives]
    bounds = [tag("li", f"keep {spelled(c.quantity)} {_bound(c.upper)} {_in_unit(c)}") for c in report.constraints]
    names = ", ".join(str(device.get("device_id")) for device in report.devices) or "no device"
    used = [f"{value} {name}" for name, value in report.budget.items()]
    return join(
        [
            tag("p", "Gauntlet search report", class_="kicker"),
            tag("h1", report.title),
            tag("p", " · ".join([shell.moment(report.created), f"{_how(report)} {names}", *used]), class_="meta"),
            facts(tiles, "tiles"),
            tag(
                "div",
                tag("ul", *goals, *bounds, class_="goals"),
                tag("p", _origins(report), class_="soft"),
                class_="aims",
            ),
        ]
    )


def _how(report: ReportInput) -> str:
    return "replayed from" if set(_counted(report)) == {Origin.REPLAYED} else "measured on"


def _counted(report: ReportInput) -> Counter[Origin]:
    """How many figures of objectives are of each origin, those left out that are counted and not measured."""
    values = (
        evaluation.value(objective.name)
        for evaluation in report.succeeded
        for objective in report.objectives
        if not objective.quantity.is_static
    )
    return Counter(value.origin for value in values if value.value is not None)


def _origins(report: ReportInput) -> str:
    """What was measured and what was not."""
    found = _counted(report)
    if not found:
        return "No figure was measured."
    if set(found) == {Origin.REPLAYED}:
        return "All figures are replayed from a recorded table; none was measured here."
    if set(found) == {Origin.MEASURED}:
        return "All figures are measured; MACs and parameters are counted."
    return "Of the figures, " + ", ".join(f"{number:,} are {origin.value}" for origin, number in found.items()) + "."


def _bound(upper: bool) -> str:
    return "at most" if upper else "at least"


def _in_unit(constraint: Constraint) -> str:
    return Unit.fitting(base_of(constraint.quantity), [constraint.bound]).text(constraint.bound)
