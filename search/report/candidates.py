"""The candidates as tables: winners, everybody, and those that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from search.evaluations import Evaluation
from search.objectives import Direction, Objective
from search.report.inputs import ReportInput
from search.report.markup import Markup, join, section, table, tag
from search.report.units import Unit, better, chance, count, has_interval, heading
from search.values import Origin, Value

Units = dict[str, Unit]


def winners(report: ReportInput, units: Units) -> Markup:
    """The front, with the files to take away."""
    lead = (
        f"{count(len(report.front), 'candidate')} that no other one beats in every objective at once. "
        "The best value of each objective is set in bold; intervals stand below the values. On the true front: how "
        "probable that is, given the noise of all figures; without an interval a figure is taken as exact."
    )
    ordered = sorted(report.front, key=lambda e: _cost(e, report.objectives[0]))
    parts = [_members(report, units, ordered, "Candidates on the front")]
    if not ordered:
        lead, parts = "", [tag("p", "No candidate delivered all objectives within the constraints.")]
    if report.may_belong:
        words = "Noise alone can have kept them from it: measured more precisely, they may change places."
        parts += [
            tag("h3", "May belong to the front", class_="below"),
            tag("p", words, class_="soft"),
            _members(report, units, report.may_belong, "Candidates that may belong to the front"),
        ]
    return section("winners", "Winners", *parts, lead=lead)


def _members(report: ReportInput, units: Units, members: Sequence[Evaluation], caption: str) -> Markup:
    macs, parameters = _counts(report)
    rows = []
    for evaluation in members:
        cells: list[object] = [join([_number(evaluation), " ", _architecture(evaluation)])]
        for objective in report.objectives:
            value = evaluation.value(objective.name)
            top = bool(report.front) and _best_of(report.front, objective) == value.value
            cells.append(tag("span", figure_cell(value, units[objective.name]), class_="best" if top else None))
        cells += [_count(macs, evaluation.macs), _count(parameters, evaluation.parameters)]
        cells += [chance(report.membership[evaluation.number]), _files(report, evaluation)]
        rows.append(cells)
    goals = [_head(objective, units) for objective in report.objectives]
    heads = ["Candidate", *goals, *_count_heads(report), "On the true front", "Files"]
    return table(caption, heads, rows, numeric=range(1, len(heads) - 1), class_="figures")


def everybody(report: ReportInput, units: Units) -> Markup:
    """All candidates, sortable."""
    macs, parameters = _counts(report)
    heads = [
        _sorter("No."),
        _sorter("Architecture"),
        *(_sorter(_head(objective, units)) for objective in report.objectives),
        *map(_sorter, _count_heads(report)),
        _sorter("Outcome"),
    ]
    body = []
    for evaluation in report.evaluations:
        on_front = evaluation.number in report.front_numbers
        cells = [
            tag("th", _number(evaluation), scope="row", data_value=evaluation.number),
            tag("td", _architecture(evaluation), data_value=evaluation.architecture),
        ]
        for objective in report.objectives:
            value = evaluation.value(objective.name)
            known = "" if value.value is None else repr(value.value)
            cells.append(tag("td", figure_cell(value, units[objective.name]), class_="number", data_value=known))
        outcome, order = _outcome(report, evaluation)
        cells += [
            tag("td", _count(macs, evaluation.macs), class_="number", data_value=evaluation.macs),
            tag("td", _count(parameters, evaluation.parameters), class_="number", data_value=evaluation.parameters),
            tag("td", outcome, data_value=order),
        ]
        body.append(tag("tr", *cells, class_="front" if on_front else None))
    numeric = range(2, len(heads) - 1)
    head = tag(
        "tr",
        *(tag("th", cell, scope="col", class_="number" if i in numeric else None) for i, cell in enumerate(heads)),
    )
    caption = tag("caption", "All candidates in the order of their results")
    whole = tag("table", caption, tag("thead", head), tag("tbody", *body), class_="figures sortable", id="all")
    frame = tag("div", whole, class_="scroll tall", tabindex=0, role="region", aria_label="All candidates")
    box = tag("input", type="checkbox", id="front-only")
    choice = tag("p", tag("label", box, " Show the front only"), class_="choice needs-script")
    lead = "Every candidate that was tried. Press a column's name to sort by it."
    return section("candidates", "All candidates", choice, frame, lead=lead)


def failures(report: ReportInput) -> Markup:
    """Failures by kind, in the runtime's own words."""
    if not report.failed:
        return Markup("")
    kinds = Counter(evaluation.failure.kind for evaluation in report.failed if evaluation.failure)
    items = []
    for kind, number in kinds.most_common():
        said: dict[tuple[str, str, str], list[int]] = {}
        for evaluation in report.failed:
            failure = evaluation.failure
            if failure is not None and failure.kind == kind:
                said.setdefault((failure.step, failure.message, failure.remedy), []).append(evaluation.number)
        quotes = [
            tag(
                "li",
                tag("q", message),
                tag("span", f" {step}" if step else "", class_="soft"),
                tag("span", f" · {_candidates(numbers)}", class_="soft"),
                tag("p", remedy, class_="remedy") if remedy else "",
            )
            for (step, message, remedy), numbers in said.items()
        ]
        title = tag("h3", kind.capitalize(), tag("span", f" {count(number, 'candidate')}", class_="soft"))
        items += [title, tag("ul", *quotes, class_="quotes")]
    lead = "A candidate that fails costs a query and is never bred. In the words of the part that failed:"
    return section("failures", "Failures", *items, lead=lead)


def _candidates(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return f"candidate{'s' if len(numbers) > 1 else ''} {shown}{more}"


def _outcome(report: ReportInput, evaluation: Evaluation) -> tuple[Markup, int]:
    """What became of a candidate, and its place when sorted by that."""
    if evaluation.failure is not None:
        words = tag("span", evaluation.failure.kind, class_="failed", title=evaluation.failure.message)
        return words, 4
    if evaluation.number in report.front_numbers:
        return join([tag("span", "front", class_="chip"), " ", _files(report, evaluation)]), 0
    if evaluation in report.may_belong:
        return tag("span", "may belong", class_="chip maybe"), 1
    if evaluation.number not in report.feasible_numbers:
        return tag("span", "breaks a constraint", class_="soft"), 3
    return tag("span", "dominated", class_="soft"), 2


def _files(report: ReportInput, evaluation: Evaluation) -> Markup:
    # Quoted whole, a path cannot be a URL of another scheme.
    links = [tag("a", what, href=quote(path)) for what, path in report.files.get(evaluation.number, {}).items()]
    return tag("span", *links, class_="files") if links else tag("span", "–", class_="soft")


def figure_cell(value: Value, unit: Unit) -> Markup:
    """A value with its interval below it, and its origin where it was not measured."""
    if value.value is None:
        return tag("span", "–", class_="soft", title=value.unavailable)
    parts: list[object] = [unit.number(value.value)]
    if value.origin is not Origin.MEASURED:
        parts.append(tag("span", value.origin.value, class_="origin"))
    if has_interval(value):
        parts.append(tag("small", f"{unit.number(value.low or 0.0)} – {unit.number(value.high or 0.0)}"))
    return join(parts)


def _head(objective: Objective, units: Units) -> Markup:
    suffix = units[objective.name].suffix
    return tag("span", heading(objective.quantity), f", {suffix}" if suffix else "", title=better(objective))


def _sorter(content: object) -> Markup:
    return tag("button", content, type="button")


def _number(evaluation: Evaluation) -> Markup:
    return tag("span", evaluation.number, class_="candidate")


def _architecture(evaluation: Evaluation) -> Markup:
    return tag("code", evaluation.architecture)


def _counts(report: ReportInput) -> tuple[Unit, Unit]:
    macs = Unit.fitting("", [e.macs for e in report.evaluations if e.macs is not None])
    return macs, Unit.fitting("", [e.parameters for e in report.evaluations if e.parameters is not None])


def _count(unit: Unit, count: int | None) -> str:
    """A network that could not be built has none."""
    return "–" if count is None else unit.number(count)


def _count_heads(report: ReportInput) -> list[str]:
    names = zip(("MACs", "Parameters"), _counts(report), strict=True)
    return [f"{name}, {unit.suffix}" if unit.suffix else name for name, unit in names]


def _cost(evaluation: Evaluation, objective: Objective) -> float:
    return objective.cost(evaluation.value(objective.name).value or 0.0)


def _best_of(evaluations: Sequence[Evaluation], objective: Objective) -> float:
    pick = max if objective.direction is Direction.MAXIMIZE else min
    return pick(evaluation.value(objective.name).value or 0.0 for evaluation in evaluations)
