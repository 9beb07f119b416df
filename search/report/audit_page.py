"""The part of the page that says how well a supernet ranks."""

from __future__ import annotations

import math

from search.report.audit import Document, audit_rows, effort_sentences, quantity_heading, read_audit
from search.report.drawing import Chart, Trace, marker, remark, wrapped
from search.report.inputs import ReportInput
from search.report.markup import Markup, join, section, table, tag
from search.report.shell import figure
from search.report.units import Unit


def ranking(report: ReportInput, drawn: list[Chart]) -> Markup:
    """What inherited accuracy is worth."""
    if report.audit is None:
        return Markup("")
    audit = read_audit(report.audit)
    figures = []
    for index, found in enumerate(audit["rankings"]):
        chart = _chart(audit, found["quantity"], index)
        drawn.append(chart)
        verdict = join([tag("strong", str(found["verdict"]).capitalize()), f": {found['reason']}."])
        figures.append(figure(chart, verdict))
    lead = (
        "The search compares networks by weights inherited from the supernet. Trained alone they score otherwise; what "
        "counts is that the order is the same: dots that rise from left to right, and not only because larger networks "
        "are better at everything. Whiskers reach over the seeds."
    )
    heads = ["", *(quantity_heading(found["quantity"]) for found in audit["rankings"])]
    rows = [[name, *cells] for name, cells in audit_rows(audit)]
    numbers = table("How well the supernet ranks, with 95 % intervals", heads, rows, numeric=())
    said = tag("p", " ".join(effort_sentences(audit)), class_="soft")
    grid = tag("div", *figures, class_="grid pairs")
    below = tag("div", numbers, said, _networks(audit), class_="below")
    return section("ranking", "Does the supernet rank?", grid, below, lead=lead)


def _chart(audit: Document, quantity: str, index: int) -> Chart:
    """Inherited against stand-alone accuracy, MACs as colour."""
    subnets = audit["subnets"]
    alone = [[100 * value for value in subnet["standalone"][quantity]] for subnet in subnets]
    means = [sum(values) / len(values) for values in alone]
    counts = [subnet["macs"] for subnet in subnets]
    known = all(counts)
    trace: Trace = {
        "x": [100 * subnet["inherited"][quantity] for subnet in subnets],
        "y": means,
        "mode": "markers",
        "marker": {**marker("@accent"), **(_colour(counts) if known else {})},
        "customdata": [
            wrapped(subnet["architecture"]) + (f"<br>{subnet['macs']:,} MACs" if known else "") for subnet in subnets
        ],
        "hovertemplate": "%{customdata}<br>inherited %{x:.1f} %<br>trained alone %{y:.1f} %<extra></extra>",
    }
    if any(len(values) > 1 for values in alone):
        trace["error_y"] = {
            "type": "data",
            "array": [max(values) - mean for values, mean in zip(alone, means, strict=True)],
            "arrayminus": [mean - min(values) for values, mean in zip(alone, means, strict=True)],
            "color": "@other",
            "thickness": 1,
            "width": 0,
        }
    shade = f"<br>{remark('darker dots have more MACs')}" if known and len(set(counts)) > 1 else ""
    layout = {
        "xaxis": {"title": {"text": f"Inherited from the supernet, %{shade}"}},
        "yaxis": {"title": {"text": "Trained alone, %"}},
        "showlegend": False,
    }
    title = f"{quantity_heading(quantity)}: trained alone against inherited"
    summary = (
        f"Scatter plot of {quantity_heading(quantity).lower()} trained alone against inherited, for {len(subnets)} "
        "networks, with their MACs as colour. All values are in the table of networks."
    )
    return Chart("audit" if index == 0 else f"audit-{index}", title, summary, [trace], layout, 380)


def _colour(macs: list[int]) -> dict[str, object]:
    """A shade by the logarithm of MACs, with a bar that says which is which."""
    low, high = min(macs), max(macs)
    if low == high:
        return {}
    unit = Unit.fitting("", macs)
    ticks = [low, math.sqrt(low * high), high]
    return {
        "color": [math.log2(number) for number in macs],
        # Both ends can be told from the paper, and from each other without seeing colours.
        "colorscale": [[0, "@shade-low"], [1, "@shade-high"]],
        "showscale": True,
        "colorbar": {
            "title": {"text": " ".join(filter(None, ["MACs,", unit.suffix])).rstrip(","), "side": "right"},
            "tickvals": [math.log2(tick) for tick in ticks],
            "ticktext": [unit.number(tick) for tick in ticks],
            "thickness": 10,
            "outlinewidth": 0,
        },
    }


def _networks(audit: Document) -> Markup:
    """Every network with its accuracies."""
    quantities = [found["quantity"] for found in audit["rankings"]]
    heads: list[object] = ["Network", "MACs"]
    for quantity in quantities:
        heads += [f"{quantity_heading(quantity)}: inherited, %", "trained alone, %"]
    rows = []
    for subnet in audit["subnets"]:
        cells: list[object] = [subnet["architecture"], "–" if subnet["macs"] is None else f"{subnet['macs']:,}"]
        for quantity in quantities:
            alone = " / ".join(f"{100 * value:.1f}" for value in subnet["standalone"][quantity])
            cells += [f"{100 * subnet['inherited'][quantity]:.1f}", alone]
        rows.append(cells)
    shown = table("Networks of the audit", heads, rows, numeric=range(1, len(heads)))
    return tag("details", tag("summary", "The networks in numbers"), shown)
