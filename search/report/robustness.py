"""The figures of robustness: accuracy against fault rate, and what it costs at equal MACs."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from search.evaluations import Evaluation, FaultAccuracy
from search.objectives import Direction, Objective
from search.report.drawing import Chart, Trace, bars, marker, remark, wrapped
from search.report.inputs import ReportInput
from search.report.units import Unit
from search.values import Value

#: Curves with a colour of their own; more could not be told apart.
_NAMED = 5
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down")
#: Neighbouring curves are set apart by this factor of the rate, so that their intervals do not hide one another.
_APART = 1.035


def fault_models(report: ReportInput) -> list[str]:
    """The fault models that were tried, each a curve."""
    return sorted({point.model for evaluation in report.succeeded for point in evaluation.faults})


def curve(evaluation: Evaluation, model: str) -> list[FaultAccuracy]:
    """A candidate's points under a fault model that have a value, by rate."""
    points = (p for p in evaluation.faults if p.model == model and p.rate > 0 and p.accuracy.value is not None)
    return sorted(points, key=lambda point: point.rate)


def clean_accuracy(evaluation: Evaluation, device: str = "") -> Value:
    """Accuracy without faults: on that device if it was measured there."""
    names = [f"accuracy@{device}", "accuracy"] if device else ["accuracy"]
    known = [evaluation.values[name] for name in names if name in evaluation.values]
    return known[0] if known else Value.missing("clean accuracy was not measured")


def named_members(report: ReportInput) -> list[Evaluation]:
    """Members of the front to be told apart: the best in each objective first, then in the order of the front."""
    ordered = [_best(report.front, objective) for objective in report.objectives] if report.front else []
    members = {evaluation.number: evaluation for evaluation in [*ordered, *report.front]}
    return list(members.values())[:_NAMED]


def fault_chart(report: ReportInput, model: str, index: int) -> Chart | None:
    """Accuracy against fault rate: front members in colour, the rest of the front behind, and both ends in size."""
    drawn = [evaluation for evaluation in report.succeeded if curve(evaluation, model)]
    if not drawn:
        return None
    rates = sorted({point.rate for evaluation in drawn for point in curve(evaluation, model)})
    clean_at = rates[0] / 4
    named = [evaluation for evaluation in named_members(report) if evaluation in drawn]
    smallest = min(drawn, key=lambda evaluation: evaluation.macs or 0)
    largest = max(drawn, key=lambda evaluation: evaluation.macs or 0)
    curves = list({evaluation.number: evaluation for evaluation in [*named, smallest, largest]}.values())
    traces: list[Trace] = []
    for place, evaluation in enumerate(curves):
        on_front = evaluation in named
        color = f"@series-{place + 1}" if on_front else "@ink-soft"
        size = ", smallest" if evaluation is smallest else ", largest" if evaluation is largest else ""
        shift = _APART ** (place - (len(curves) - 1) / 2)
        line = _line(evaluation, model, clean_at, shift, f"Candidate {evaluation.number}{size}", color)
        symbol = _SYMBOLS[place] if on_front else "circle-open"
        dash = "solid" if on_front else "dot" if evaluation is smallest else "dash"
        traces.append({**line, "line": {**line["line"], "dash": dash}, "marker": marker(color, 8, symbol)})
    behind = [e for e in report.front if e in drawn and e not in curves]
    for place, evaluation in enumerate(behind):
        line = _line(evaluation, model, clean_at, 1.0, "Others on the front", "@accent-soft")
        del line["error_y"]
        line |= {"mode": "lines", "showlegend": place == 0, "legendgroup": "front", "opacity": 0.6}
        traces.insert(place, {**line, "legendrank": 2000})
    ticks = [clean_at, *rates]
    axis = {
        "title": {"text": f"Fault rate, {html.escape(model)}"},
        "type": "log",
        "tickvals": ticks,
        "ticktext": ["clean", *(f"{rate:g}" for rate in rates)],
    }
    summary = f"Lines: accuracy against the rate of {model} faults, from clean to {rates[-1]:g}, with intervals."
    layout = {"xaxis": axis, "yaxis": {"title": {"text": "Accuracy, %"}}}
    return Chart(f"faults-{index}", f"Accuracy under {model}", summary, traces, layout, 420)


def drop_conditions(report: ReportInput) -> list[str]:
    """The fault conditions to compare at equal MACs: those that are objectives, else the harshest of each model."""
    tried = {point.condition for evaluation in report.succeeded for point in evaluation.faults}
    asked = [o.quantity.fault for o in report.objectives if o.quantity.fault in tried]
    if asked:
        return list(dict.fromkeys(asked))
    harshest = {}
    for point in sorted(_points(report.succeeded), key=lambda point: point.rate):
        harshest[point.model] = point.condition
    return list(harshest.values())


def drop_chart(report: ReportInput, condition: str, index: int) -> Chart | None:
    """Accuracy lost to faults, against MACs."""
    rows = [row for evaluation in report.succeeded for row in _drop(evaluation, condition)]
    if not rows:
        return None
    unit = Unit.fitting("", [evaluation.macs or 0 for evaluation, _ in rows])
    traces: list[Trace] = []
    for on_front, name, color in ((False, "Other candidates", "@other"), (True, "On the front", "@accent")):
        group = [(e, drop) for e, drop in rows if (e.number in report.front_numbers) == on_front]
        trace: Trace = {
            "x": [(evaluation.macs or 0) / unit.factor for evaluation, _ in group],
            "y": [100 * (drop.value or 0.0) for _, drop in group],
            "customdata": [f"<b>Candidate {e.number}</b><br>{wrapped(e.architecture)}" for e, _ in group],
            "hovertemplate": "%{customdata}<br>%{y:.1f} points lost<extra></extra>",
            "mode": "markers",
            "name": name,
            "marker": marker(color, 9 if on_front else 7),
        }
        if on_front:
            trace["error_y"] = bars([drop for _, drop in group], 0.01, "@accent-soft")
        traces.append(trace)
    layout = {
        "xaxis": {"title": {"text": ", ".join(filter(None, ["MACs", unit.suffix]))}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "Accuracy lost, points<br>" + remark("lower is better")}},
        "showlegend": False,
    }
    summary = f"Scatter plot of the accuracy lost under {condition} against MACs, for {len(rows)} candidates."
    return Chart(f"drop-{index}", f"Accuracy lost under {condition}", summary, traces, layout, 360)


def _points(evaluations: Iterable[Evaluation]) -> list[FaultAccuracy]:
    return [point for evaluation in evaluations for point in evaluation.faults]


def _best(evaluations: Sequence[Evaluation], objective: Objective) -> Evaluation:
    sign = -1 if objective.direction is Direction.MAXIMIZE else 1
    return min(evaluations, key=lambda evaluation: sign * (evaluation.value(objective.name).value or 0.0))


def _line(evaluation: Evaluation, model: str, clean_at: float, shift: float, name: str, color: str) -> Trace:
    points = curve(evaluation, model)
    clean = clean_accuracy(evaluation, points[0].device)
    values = [clean, *(point.accuracy for point in points)]
    places = [clean_at, *(point.rate for point in points)]
    known = [(place, value) for place, value in zip(places, values, strict=True) if value.value is not None]
    percent = Unit(0.01, "%", 1)
    patterns = ["clean" if place == clean_at else f"{place:g}" for place, _ in known]
    return {
        "x": [place * shift for place, _ in known],
        "y": [100 * (value.value or 0.0) for _, value in known],
        "error_y": bars([value for _, value in known], 0.01, color),
        "customdata": [f"{rate}: {percent.figure(v)}" for rate, (_, v) in zip(patterns, known, strict=True)],
        "hovertemplate": "%{customdata}",
        "mode": "lines+markers",
        "name": name,
        "line": {"color": color, "width": 1.8},
    }


def _drop(evaluation: Evaluation, condition: str) -> list[tuple[Evaluation, Value]]:
    """How much accuracy a condition costs; the interval is that of the faulty accuracy."""
    for point in evaluation.faults:
        clean, faulty = clean_accuracy(evaluation, point.device), point.accuracy
        if point.condition == condition and clean.value is not None and faulty.value is not None:
            low, high = (None, None)
            if faulty.low is not None and faulty.high is not None:
                low, high = clean.value - faulty.high, clean.value - faulty.low
            return [(evaluation, Value(clean.value - faulty.value, low, high, faulty.confidence))]
    return []
