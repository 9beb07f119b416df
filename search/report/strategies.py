"""A comparison of strategies as a page of its own."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from protos.contract import software_version
from search.comparison import Comparison, share
from search.report import shell
from search.report.drawing import Chart, Trace
from search.report.markup import Markup, facts, join, section, table, tag

_TITLES = {"curves": "Curves", "figures": "Figures", "ranks": "Ranks", "notes": "Notes"}
#: Colours of curves; beyond these they come again with another dash.
_COLORS = 5
_DASHES = ("solid", "dash", "dot", "dashdot")


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        comparison: its texts are taken as untrusted, and are escaped.
        path: of the file; an older one is replaced.
    """
    shell.write(render_comparison(comparison), path)


def render_comparison(comparison: Comparison) -> str:
    """The page as HTML."""
    chart = _chart(comparison)
    parts = [
        section("curves", "Hypervolume over queries", shell.figure(chart), lead=_curves_lead(comparison)),
        section("figures", "In figures", _table(comparison), lead=_figures_lead(comparison)),
        _ranks(comparison),
        _notes(comparison),
    ]
    return shell.page(comparison.title, _header(comparison), _TITLES, parts, [chart], software_version())


def _header(comparison: Comparison) -> Markup:
    ranks = comparison.ranking.mean_rank
    best = [name for name, rank in ranks.items() if rank == min(ranks.values())]
    tiles = [
        ("Strategies", f"{len(comparison.names)}"),
        ("Seeds, paired", f"{len(comparison.seeds)}"),
        ("Queries", f"{comparison.budget:,}"),
        ("Best mean rank", " and ".join(best)),
    ]
    return join(
        [
            tag("p", "Gauntlet comparison of strategies", class_="kicker"),
            tag("h1", comparison.title),
            facts(tiles, "tiles"),
        ]
    )


def _chart(comparison: Comparison) -> Chart:
    queries = list(range(1, comparison.budget + 1))
    bands: list[Trace] = []
    lines: list[Trace] = []
    for place, name in enumerate(comparison.names):
        median, low, high = (line.round(5).tolist() for line in comparison.band(name))
        color = f"@series-{place % _COLORS + 1}"
        shown = html.escape(name)
        bands.append(
            {
                "x": [*queries, *reversed(queries)],
                "y": [*high, *reversed(low)],
                "fill": "toself",
                "mode": "lines",
                "line": {"width": 0, "color": color},
                # Plotly halves the colour of a fill; several bands lie upon one another.
                "opacity": 0.3,
                "hoverinfo": "skip",
                "showlegend": False,
                "legendgroup": shown,
            }
        )
        dash = _DASHES[place // _COLORS % len(_DASHES)]
        lines.append(
            {
                "x": queries,
                "y": median,
                "mode": "lines",
                "name": shown,
                "legendgroup": shown,
                "line": {"color": color, "width": 2, "dash": dash, "shape": "hv"},
                "hovertemplate": f"{shown}<br>after %{{x}} queries: %{{y:.3f}}<extra></extra>",
            }
        )
    shapes = []
    if comparison.target is not None:
        level = {"xref": "paper", "x0": 0, "x1": 1, "y0": comparison.target, "y1": comparison.target}
        shapes.append({"type": "line", **level, "line": {"color": "@ink-soft", "width": 1, "dash": "dot"}})
    # What matters lies near the top: the first queries, which are alike, may begin below the picture.
    floor = min(float(comparison.band(name)[0][len(queries) // 10]) for name in comparison.names)
    top = max(float(comparison.band(name)[2][-1]) for name in comparison.names)
    margin = 0.04 * (top - floor) or 0.01
    layout = {
        "xaxis": {"title": {"text": "Queries"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "Hypervolume"}, "range": [floor - margin, top + margin]},
        "shapes": shapes,
    }
    ends = ", ".join(f"{name} {comparison.band(name)[0][-1]:.3f}" for name in comparison.names)
    summary = (
        f"Lines: median hypervolume after {comparison.budget} queries: {ends}. All figures are in the table below."
    )
    return Chart("curve", "Median over seeds", summary, [*bands, *lines], layout, 440)


def _curves_lead(comparison: Comparison) -> str:
    enclosed = "the interval of the median at 95 %, by order statistics" if comparison.has_intervals else "all seeds"
    target = f" The dotted line is the target, {share(comparison.target)}." if comparison.target is not None else ""
    return f"How much of the objectives' space each strategy has found after each query. Bands: {enclosed}.{target}"


def _table(comparison: Comparison) -> Markup:
    ranks = comparison.ranking.mean_rank
    best = next(iter(ranks))
    heads = [
        "Strategy",
        "Mean rank",
        *(f"Hypervolume at {look:,}" for look in comparison.looks),
        "Area under the curve",
    ]
    if comparison.target is not None:
        heads += [f"Queries to {share(comparison.target)}", "Reached", f"Queries of {best} / of this"]
    rows: list[Sequence[object]] = []
    for name, rank in ranks.items():
        row: list[object] = [name.replace(" ", "\u00a0"), f"{rank:.2f}"]
        row += [comparison.hypervolume(name, look) for look in comparison.looks]
        row.append(comparison.area(name))
        queries = comparison.queries(name)
        if queries is not None:
            ratio = "–" if name == best else comparison.ratio(best, name)
            row += [queries, f"{queries.reached} of {queries.seeds}", ratio]
        rows.append(row)
    return table("Strategies, best first", heads, rows, numeric=range(1, len(heads)))


def _figures_lead(comparison: Comparison) -> str:
    words = "Hypervolume and area are means over seeds with their 95 % intervals (Student's t)."
    if comparison.target is None:
        return words
    return (
        f"{words} Queries to the target are medians with intervals from order statistics; ratios are medians over "
        "paired seeds, with 95 % intervals by bootstrap. A run that never reached the target counts as infinitely "
        "slow, but in the divisor of a ratio as if it had arrived with its last query. Fewer than six seeds have no "
        "interval of a median."
    )


def _ranks(comparison: Comparison) -> Markup:
    said = comparison.ranking.sentences()
    if not said:
        return Markup("")
    return section("ranks", "Could it be chance?", *(tag("p", sentence) for sentence in said))


def _notes(comparison: Comparison) -> Markup:
    notes = [*comparison.remarks(), *comparison.notes]
    if not notes:
        return Markup("")
    return section("notes", "Notes", tag("ul", *(tag("li", note) for note in notes), class_="notes"))
