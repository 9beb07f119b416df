"""The report's page: one file that needs no network, no server and no other file."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
from datetime import datetime
from importlib import resources
from pathlib import Path

from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from search.objectives import Constraint
from search.report import background, candidates, charts, robustness
from search.report.drawing import Chart, units_of
from search.report.inputs import ReportInput
from search.report.markup import Markup, embed, facts, join, section, table, tag
from search.report.units import Unit, duration, heading
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
        _fronts(report, units, drawn),
        _progress(report, drawn),
        _faults(report, drawn),
        _equal_macs(report, drawn),
        _ranking(report, drawn),
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
    goals = [tag("li", f"{o.direction.value} {heading(o.quantity)}") for o in report.objectives]
    bounds = [tag("li", f"keep {heading(c.quantity)} {_bound(c.upper)} {_in_unit(c)}") for c in report.constraints]
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


def _fronts(report: ReportInput, units: dict[str, Unit], drawn: list[Chart]) -> Markup:
    pairs = list(itertools.combinations(report.objectives, 2))
    if not pairs or not report.succeeded:
        return Markup("")
    figures = []
    for index, pair in enumerate(pairs):
        chart = charts.front_chart(report, pair, units, index)
        drawn.append(chart)
        figures.append(_figure(chart, f"{heading(pair[0].quantity)} and {heading(pair[1].quantity)}"))
    lead = (
        "Each dot is one candidate. Blue ones are winners over all objectives at once; the line is the front of the "
        "two objectives shown, so a winner may lie behind it for being better in a third. Whiskers are intervals."
    )
    return section("fronts", "Fronts", tag("div", *figures, class_="grid"), lead=lead)


def _progress(report: ReportInput, drawn: list[Chart]) -> Markup:
    if not report.succeeded:
        return Markup("")
    chart = charts.hypervolume_chart(report)
    drawn.append(chart)
    series = report.hypervolume
    late = next(index for index, volume in enumerate(series, 1) if volume >= 0.95 * series[-1])
    lead = (
        f"How much of the objectives' space the front dominates after each query; 95 % of the final value was "
        f"there after {late} of {len(series)}. A curve that still rises at its end asks for a larger budget. The box "
        "reaches from the best of each objective to 1.1 times the final front's span: compare no other run by it."
    )
    return section("progress", "Progress", _figure(chart, "Hypervolume over queries"), lead=lead)


def _faults(report: ReportInput, drawn: list[Chart]) -> Markup:
    figures = []
    for model in robustness.fault_models(report):
        chart = robustness.fault_chart(report, model)
        if chart is not None:
            drawn.append(chart)
            figures += [_figure(chart, f"Accuracy under {model}"), _fault_table(report, model)]
    if not figures:
        return Markup("")
    lead = (
        "Accuracy of the deployed file as faults become more frequent: front members in colour, the smallest and the "
        "largest candidate in grey. Whiskers are intervals over fault patterns; curves are set a little apart "
        "sideways, so that the whiskers do not hide one another."
    )
    return section("faults", "Accuracy under faults", *figures, lead=lead)


def _fault_table(report: ReportInput, model: str) -> Markup:
    rates = sorted({p.rate for e in report.front for p in robustness.curve(e, model)})
    percent = Unit(0.01, "%", 1)
    rows = []
    for evaluation in report.front:
        points = {point.rate: point for point in robustness.curve(evaluation, model)}
        cells = [percent.figure(points[rate].accuracy) if rate in points else "–" for rate in rates]
        patterns = "/".join(str(points[rate].patterns) for rate in rates if rate in points)
        rows.append([evaluation.number, percent.figure(robustness.clean_accuracy(evaluation)), *cells, patterns])
    heads = ["Candidate", "clean", *(f"{rate:g}" for rate in rates), "Patterns"]
    numbers = table(f"Accuracy of front members by rate of {model}", heads, rows)
    return tag("details", tag("summary", "The same in numbers"), numbers)


def _equal_macs(report: ReportInput, drawn: list[Chart]) -> Markup:
    figures = []
    for index, condition in enumerate(robustness.drop_conditions(report)):
        chart = robustness.drop_chart(report, condition, index)
        if chart is not None:
            drawn.append(chart)
            figures.append(_figure(chart, f"Accuracy lost under {condition}"))
    if not figures:
        return Markup("")
    lead = (
        "Larger networks lose less to faults, so robustness is fair only between networks of one size: of two dots one "
        "above the other, the lower one owes it to its structure. Loss is clean accuracy minus accuracy under faults."
    )
    return section("equal-macs", "Robustness at equal MACs", tag("div", *figures, class_="grid"), lead=lead)


def _ranking(report: ReportInput, drawn: list[Chart]) -> Markup:
    chart = charts.audit_chart(report)
    if chart is None or report.audit is None:
        return Markup("")
    drawn.append(chart)
    audit = report.audit
    low, high = audit["tau_interval"] or (None, None)
    spread = " – ".join(f"{100 * end:.1f}" for end in audit["standalone_range"])
    inherited = " – ".join(f"{100 * end:.1f}" for end in audit["inherited_range"])
    pairs = [
        ("Verdict", tag("strong", audit["verdict"])),
        ("Kendall's τ", f"{_tau(audit['tau'])} ({_tau(low)} to {_tau(high)})"),
        ("Ceiling, seed against seed", _tau(audit["ceiling"])),
        ("Trained alone", f"{spread} %"),
        ("Inherited", f"{inherited} % (± {100 * audit['noise']:.1f} from the number of images)"),
    ]
    lead = (
        "The search compares networks by weights inherited from the supernet. Trained alone they score otherwise; what "
        "counts is that the order is the same: dots that rise from left to right."
    )
    figure = _figure(chart, "Inherited accuracy against accuracy trained alone", f"{audit['reason']}.")
    return section("ranking", "Does the supernet rank?", tag("div", figure, facts(pairs), class_="beside"), lead=lead)


def _figure(chart: Chart, title: str, caption: str = "") -> Markup:
    style = f"--height:{chart.height}px"
    plot = tag("div", id=chart.identity, class_="chart", style=style, role="img", aria_label=chart.summary)
    return tag("figure", tag("h3", title), plot, tag("figcaption", caption) if caption else "")


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
        return "All figures are measured."
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


def _tau(number: float | None) -> str:
    return "unknown" if number is None else f"{number:.2f}"


def _resource(name: str) -> Markup:
    return Markup(resources.files("search.report").joinpath(name).read_text(encoding="utf-8"))


def _hash(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
