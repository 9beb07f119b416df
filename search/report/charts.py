"""The figures of a search: fronts and hypervolume."""

from __future__ import annotations

from collections.abc import Sequence

from search.evaluations import Evaluation
from search.objectives import Direction, Objective
from search.pareto import front
from search.report.drawing import Chart, Trace, bars, hover, marker, objective_axis
from search.report.inputs import ReportInput
from search.report.units import Unit, heading, in_sentence


def front_chart(report: ReportInput, pair: tuple[Objective, Objective], units: dict[str, Unit], index: int) -> Chart:
    """Two objectives against each other: all candidates, the winners, and the front of this pair."""
    # Costs lie on the x axis where there is a choice: "what do I pay, what do I get".
    x, y = sorted(pair, key=lambda objective: objective.direction is Direction.MAXIMIZE)
    shown = [e for e in report.succeeded if e.value(x.name).value is not None and e.value(y.name).value is not None]
    winners = [e for e in shown if e.number in report.front_numbers]
    others = [e for e in shown if e.number not in report.front_numbers and e.number in report.feasible_numbers]
    beyond = [e for e in shown if e.number not in report.feasible_numbers]
    edge = sorted(front(report.evaluations, (x, y), report.constraints), key=lambda e: e.value(x.name).value or 0.0)

    def places(evaluations: Sequence[Evaluation]) -> Trace:
        return {
            "x": _scaled(evaluations, x.name, units),
            "y": _scaled(evaluations, y.name, units),
            "customdata": [hover(report, e, units) for e in evaluations],
            "hovertemplate": "%{customdata}<extra></extra>",
        }

    steps = {
        "x": _scaled(edge, x.name, units),
        "y": _scaled(edge, y.name, units),
        "mode": "lines",
        "name": "Front of these two",
        "hoverinfo": "skip",
        "line": {"color": "@accent", "width": 1.5, "shape": "hv" if x.direction is Direction.MINIMIZE else "vh"},
    }
    traces: list[Trace] = [
        {**places(others), "mode": "markers", "name": "Other candidates", "marker": marker("@other", 7)},
        steps,
        {
            **places(winners),
            "mode": "markers",
            "name": "On the front of all objectives",
            "marker": marker("@accent"),
            "error_x": bars([e.value(x.name) for e in winners], units[x.name].factor, "@accent-soft"),
            "error_y": bars([e.value(y.name) for e in winners], units[y.name].factor, "@accent-soft"),
        },
    ]
    if beyond:
        cross = marker("@warn", 7, "x-thin")
        traces.insert(1, {**places(beyond), "mode": "markers", "name": "Breaks a constraint", "marker": cross})
    summary = (
        f"Scatter plot of {heading(y.quantity)} against {heading(x.quantity)}: {len(shown)} candidates, "
        f"{len(edge)} of them on the front of the two. All values are in the table of candidates."
    )
    layout = {"xaxis": objective_axis(x, units), "yaxis": objective_axis(y, units), "showlegend": False}
    title = f"{heading(y.quantity)} against {in_sentence(x.quantity)}"
    return Chart(f"front-{index}", title, summary, traces, layout, 340)


def hypervolume_chart(report: ReportInput) -> Chart:
    """How the search came along."""
    series = report.hypervolume
    queries = list(range(1, len(series) + 1))
    failed = [query for query, e in zip(queries, report.evaluations, strict=True) if e.failure is not None]
    traces: list[Trace] = [
        {
            "x": queries,
            "y": series,
            "mode": "lines",
            "name": "Hypervolume",
            "line": {"color": "@accent", "width": 2, "shape": "hv"},
            "fill": "tozeroy",
            "fillcolor": "@accent-faint",
            "hovertemplate": "after %{x} queries: %{y:.3f}<extra></extra>",
        }
    ]
    if failed:
        traces.append(
            {
                "x": failed,
                "y": [series[query - 1] for query in failed],
                "mode": "markers",
                "name": "Failed candidate",
                "marker": marker("@warn", 8, "x-thin"),
                "hovertemplate": "query %{x} failed<extra></extra>",
            }
        )
    summary = f"Line: hypervolume rises from {series[0]:.2f} to {series[-1]:.2f} over {len(series)} queries."
    layout = {
        "xaxis": {"title": {"text": "Candidates evaluated"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "Hypervolume, share of the box"}, "rangemode": "tozero"},
        "showlegend": bool(failed),
    }
    return Chart("hypervolume", "Hypervolume over queries", summary, traces, layout, 320)


def _scaled(evaluations: Sequence[Evaluation], name: str, units: dict[str, Unit]) -> list[float]:
    return [(e.value(name).value or 0.0) / units[name].factor for e in evaluations]
