"""The parts of the page that hold figures. Each adds its charts to those that the page's script draws."""

from __future__ import annotations

import itertools

from search.report import candidates, charts, robustness
from search.report.drawing import Chart
from search.report.inputs import ReportInput
from search.report.markup import Markup, section, table, tag
from search.report.shell import figure
from search.report.units import Unit


def fronts(report: ReportInput, units: dict[str, Unit], drawn: list[Chart]) -> Markup:
    """Each pair of objectives."""
    pairs = list(itertools.combinations(report.objectives, 2))
    if not pairs or not report.succeeded:
        return Markup("")
    figures = []
    for index, pair in enumerate(pairs):
        chart = charts.front_chart(report, pair, units, index)
        drawn.append(chart)
        figures.append(figure(chart))
    lead = (
        "Each dot is one candidate. Blue ones are winners over all objectives at once; the line is the front of the "
        "two objectives shown, so a winner may lie behind it for being better in a third. Whiskers are intervals."
    )
    beyond = len(report.feasible) < len(report.succeeded)
    return section("fronts", "Fronts", _key(line=True, cross=beyond), tag("div", *figures, class_="grid"), lead=lead)


def progress(report: ReportInput, drawn: list[Chart]) -> Markup:
    """Hypervolume over queries."""
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
    return section("progress", "Progress", figure(chart), lead=lead)


def faults(report: ReportInput, drawn: list[Chart]) -> Markup:
    """Accuracy against fault rate."""
    figures = []
    for index, model in enumerate(robustness.fault_models(report)):
        chart = robustness.fault_chart(report, model, index)
        if chart is not None:
            drawn.append(chart)
            figures += [figure(chart), _fault_table(report, model)]
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
        cells = [candidates.figure_cell(points[rate].accuracy, percent) if rate in points else "–" for rate in rates]
        patterns = "/".join(str(points[rate].patterns) for rate in rates if rate in points)
        rows.append(
            [
                evaluation.number,
                candidates.figure_cell(robustness.clean_accuracy(evaluation), percent),
                *cells,
                patterns,
            ]
        )
    heads = ["Candidate", "clean, %", *(f"{rate:g}, %" for rate in rates), "Patterns"]
    caption = f"Accuracy of front members by rate of {model}"
    numbers = table(caption, heads, rows, numeric=range(1, len(heads)))
    return tag("details", tag("summary", "The same in numbers"), numbers)


def equal_macs(report: ReportInput, drawn: list[Chart]) -> Markup:
    """What robustness owes to structure and not to size."""
    figures = []
    for index, condition in enumerate(robustness.drop_conditions(report)):
        chart = robustness.drop_chart(report, condition, index)
        if chart is not None:
            drawn.append(chart)
            figures.append(figure(chart))
    if not figures:
        return Markup("")
    lead = (
        "Larger networks lose less to faults, so robustness is fair only between networks of one size: of two dots one "
        "above the other, the lower one owes it to its structure. Loss is clean accuracy minus accuracy under faults."
    )
    grid = tag("div", *figures, class_="grid")
    return section("equal-macs", "Robustness at equal MACs", _key(line=False, cross=False), grid, lead=lead)


def _key(*, line: bool, cross: bool) -> Markup:
    """What the dots of several figures mean."""
    entries = [("win", "on the front of all objectives", True), ("", "other candidates", True)]
    entries += [("line", "front of the two objectives shown", line), ("cross", "breaks a constraint", cross)]
    shown = [tag("li", tag("i", class_=look, aria_hidden="true"), words) for look, words, there in entries if there]
    return tag("ul", *shown, class_="key")
