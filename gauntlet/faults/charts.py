"""The figures of a fault campaign for the page: Plotly's JSON, colours by the names of the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fault_injection.statistics import Estimate, YieldCurve
from gauntlet.faults import wording
from gauntlet.faults.plotting import COLORS, DASHES, band, escaped, level, limits, vertical, whiskers, with_interval
from gauntlet.faults.result import DeviceResult, FaultCampaign, Series
from search.report.drawing import Chart, Trace, marker

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down")
#: Lines with a place of their own next to one another, so that their whiskers do not hide one another.
_APART = 1.03
_NAME = 40
_WORDS = ("Solid", "dashed", "dotted", "dash and dot")
Line = tuple[DeviceResult, wording.Sweep]


def curves(campaign: FaultCampaign) -> list[list[Line]]:
    """Sweeps with two rates or more, by fault model: rates of one model have one meaning and share an axis."""
    groups: dict[str, list[Line]] = {}
    for device in campaign.devices:
        for sweep in wording.sweeps(wording.measured(device.series)):
            if len({series.condition.rate for series in sweep.series}) > 1:
                groups.setdefault(sweep.series[0].condition.plan.model.name, []).append((device, sweep))
    return list(groups.values())


def accuracy_chart(lines: Sequence[Line], campaign: FaultCampaign, index: int) -> Chart:
    """Accuracy against rate; the band is the patterns', the whiskers are the samples'."""
    places, axis = _rates(lines)
    traces: list[Trace] = []
    shown: list[Estimate] = []
    for number, ((_, sweep), name) in enumerate(zip(lines, _escaped(lines, campaign), strict=True)):
        color, shift = COLORS[number % 5], _APART ** (number - (len(lines) - 1) / 2)
        figures = [series.summary(campaign.confidence) for series in sweep.series]
        shown += [figure.accuracy for figure in figures]
        shown += [Estimate(figure.accuracy.value, figure.over_images) for figure in figures]
        x = [places[series.condition.rate] * shift for series in sweep.series]
        if all(figure.accuracy.interval is not None for figure in figures):
            traces.append(band(x, [figure.accuracy.interval for figure in figures], color, name))
        texts = [
            f"<b>{name}</b><br>{sweep.rate} = {series.condition.rate:g}<br>{with_interval(figure.accuracy)}<br>"
            f"over samples {limits(figure.over_images)}<br>{figure.patterns} patterns"
            for series, figure in zip(sweep.series, figures, strict=True)
        ]
        traces.append(
            {
                "x": x,
                "y": [100 * figure.accuracy.value for figure in figures],
                "error_y": whiskers([(figure.accuracy.value, figure.over_images) for figure in figures], color),
                "mode": "lines+markers",
                "name": name,
                "legendgroup": name,
                "line": {"color": color, "width": 1.8, "dash": DASHES[number // 5 % 4]},
                "marker": marker(color, 8, _SYMBOLS[number % 5]),
                "customdata": texts,
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        )
    cleans = [clean for clean in dict.fromkeys(wording.clean_accuracy(device) for device, _ in lines) if clean]
    name = lines[0][1].series[0].condition.plan.model.name
    layout = {
        "xaxis": axis,
        "yaxis": vertical("Accuracy, %", shown, max(cleans, default=None)),
        "shapes": [level(clean) for clean in cleans],
        "showlegend": len(lines) > 1,
    }
    summary = f"Lines: accuracy against the rate of {name} faults, with a band for patterns and whiskers for samples."
    return Chart(f"accuracy-{index}", f"Accuracy under {name}", summary, traces, layout, 420)


def harm_chart(lines: Sequence[Line], campaign: FaultCampaign, index: int) -> Chart | None:
    """Shares of answers that changed, turned wrong, left the best five, or were no numbers, against rate."""
    places, axis = _rates(lines)
    traces: list[Trace] = []
    for number, ((_, sweep), name) in enumerate(zip(lines, _escaped(lines, campaign), strict=True)):
        rows = [(places[s.condition.rate], s.condition.rate, s.summary(campaign.confidence)) for s in sweep.series]
        kinds: list[tuple[str, list[Estimate | None]]] = [
            ("SDC-1: changed", [figure.changed for _, _, figure in rows]),
            ("critical: right to wrong", [figure.critical for _, _, figure in rows]),
            ("SDC-5: outside the best five", [figure.outside_top5 for _, _, figure in rows]),
            ("NaN or infinity", [Estimate(figure.non_finite, None) for _, _, figure in rows]),
        ]
        for kind, (words, estimates) in enumerate(kinds):
            # Nothing on a logarithmic axis is zero.
            known = [(x, rate, e) for (x, rate, _), e in zip(rows, estimates, strict=True) if e and e.value > 0]
            if not known:
                continue
            traces.append(
                {
                    "x": [x for x, _, _ in known],
                    "y": [100 * e.value for _, _, e in known],
                    "error_y": whiskers([(e.value, e.interval) for _, _, e in known], COLORS[kind]),
                    "mode": "lines+markers",
                    "name": words,
                    "legendgroup": words,
                    "showlegend": number == 0,
                    "line": {"color": COLORS[kind], "width": 1.6, "dash": DASHES[number % 4]},
                    "marker": marker(COLORS[kind], 7, _SYMBOLS[kind]),
                    "customdata": [
                        f"<b>{words}</b><br>{name}<br>{sweep.rate} = {rate:g}<br>{with_interval(e)}"
                        for _, rate, e in known
                    ],
                    "hovertemplate": "%{customdata}<extra></extra>",
                }
            )
    if not traces:
        return None
    name = lines[0][1].series[0].condition.plan.model.name
    layout = {"xaxis": axis, "yaxis": {"title": {"text": "Answers, %"}, "type": "log", "tickformat": "~g", "dtick": 1}}
    summary = f"Lines: shares of answers that {name} faults changed or made wrong, against the rate."
    return Chart(f"harm-{index}", f"What {name} does to answers", summary, traces, layout, 380)


def spread_chart(campaign: FaultCampaign) -> Chart | None:
    """The accuracy of each single pattern, and boxes around them."""
    labels = condition_labels(campaign)
    traces: list[Trace] = []
    rows: dict[str, None] = {}
    for number, device in enumerate(campaign.devices):
        color = COLORS[number % 5]
        for place, series in enumerate(there := wording.measured(device.series)):
            label = labels[series.condition.key]
            rows[label] = None
            traces.append(
                {
                    "type": "box",
                    "orientation": "h",
                    "x": [100 * value for value in series.outcomes.accuracies],
                    "y": [escaped(label)] * len(series.outcomes),
                    "name": escaped(wording.shortened(device.device_id, _NAME)),
                    "legendgroup": str(number),
                    "offsetgroup": str(number),
                    "showlegend": place == 0 and len(campaign.devices) > 1 and bool(there),
                    "boxpoints": "all",
                    "jitter": 0.6,
                    "pointpos": 0,
                    "fillcolor": "rgba(0,0,0,0)",
                    "line": {"color": color, "width": 1.2},
                    "marker": {"color": color, "size": 4, "opacity": 0.45},
                    "hovertemplate": "%{y}: %{x:.2f} %<extra></extra>",
                }
            )
    if not traces:
        return None
    layout = {
        "xaxis": {"title": {"text": "Accuracy of a pattern, %"}},
        "yaxis": {"autorange": "reversed", "type": "category", "gridcolor": "rgba(0,0,0,0)", "tickmode": "linear"},
        "boxmode": "group" if len(campaign.devices) > 1 else "overlay",
        "shapes": [
            level(clean, upright=True)
            for clean in dict.fromkeys(map(wording.clean_accuracy, campaign.devices))
            if clean
        ],
    }
    summary = f"Boxes and dots: the accuracy of each fault pattern under {len(rows)} conditions."
    height = 110 + (18 + 22 * len(campaign.devices)) * len(rows)
    return Chart("spread", "Accuracy of single patterns", summary, traces, layout, max(220, height))


def yield_groups(campaign: FaultCampaign) -> list[tuple[str, list[Series]]]:
    """Conditions whose patterns are chips, by sweep and device; those that are no sweep stand together."""
    found: list[tuple[str, list[Series]]] = []
    for device in campaign.devices:
        where = f" on {device.device_id}" if len(campaign.devices) > 1 else ""
        single: list[Series] = []
        groups: list[tuple[str, list[Series]]] = []
        for sweep in wording.sweeps(wording.measured(device.series)):
            chips = [s for s in sweep.series if s.summary(campaign.confidence).yields is not None]
            if len(chips) > 1:
                groups.append((sweep.title, chips))
            else:
                single += chips
        if single:
            title = "other faults" if len(single) > 1 else wording.brief(single[0].condition.plan)
            groups.append((title, single))
        found += [(f"Yield under {title}{where}", chips) for title, chips in groups]
    return found


def chip_name(series: Series, chips: Sequence[Series]) -> str:
    """What tells a curve from the others of its figure: the rate alone in a sweep."""
    rate = wording.rate_of(series.condition.plan)
    if rate and len({other.condition.sweep for other in chips}) == 1:
        return f"{rate} = {series.condition.rate:.4g}"
    return wording.brief(series.condition.plan)


def line_styles(lines: Sequence[Line], campaign: FaultCampaign) -> str:
    """What the dashes of :func:`harm_chart` stand for; empty for a single line of each colour."""
    if len(lines) < 2:
        return ""
    return "; ".join(f"{_WORDS[number % 4]}: {name}" for number, name in enumerate(line_names(lines, campaign)))


def yield_charts(campaign: FaultCampaign) -> list[Chart]:
    """Share of chips against the accuracy that they reach at least."""
    groups = yield_groups(campaign)
    return [_yield_chart(title, chips, campaign, index) for index, (title, chips) in enumerate(groups)]


def condition_labels(campaign: FaultCampaign) -> dict[str, str]:
    """A short name for each condition, by its key; what they strike is added where two would be the same."""
    plans = {s.condition.key: s.condition.plan for device in campaign.devices for s in device.series}
    brief = {key: wording.brief(plan) for key, plan in plans.items()}
    several = [label for label in brief.values() if list(brief.values()).count(label) > 1]
    return {
        key: f"{label}, {wording.described(plans[key])}, seed {plans[key].seed}" if label in several else label
        for key, label in brief.items()
    }


def _yield_chart(title: str, chips: Sequence[Series], campaign: FaultCampaign, index: int) -> Chart:
    traces: list[Trace] = []
    for number, series in enumerate(chips):
        curve = series.summary(campaign.confidence).yields
        assert curve is not None
        name, color = escaped(chip_name(series, chips)), COLORS[number % 5]
        x, shares, _, _ = steps(curve)
        places, low, high = yield_band(curve, alone=len(chips) == 1)
        traces.append(
            {
                "x": [*places, *reversed(places)],
                "y": [100 * value for value in (*low, *reversed(high))],
                "fill": "toself",
                "fillcolor": color,
                "opacity": 0.12,
                "mode": "lines",
                "line": {"width": 0},
                "hoverinfo": "skip",
                "showlegend": False,
                "legendgroup": name,
            }
        )
        traces.append(
            {
                "x": x,
                "y": [100 * value for value in shares],
                "mode": "lines",
                "name": name,
                "legendgroup": name,
                "line": {"color": color, "width": 1.8, "dash": DASHES[number // 5 % 4]},
                "hovertemplate": f"{name}<br>%{{y:.1f}} % of chips reach %{{x:.2f}} %<extra></extra>",
            }
        )
    least = min(min(series.outcomes.accuracies) for series in chips)
    ends = [max(0.0, 100 * least - 4), min(100.0, 100 * chips[0].outcomes.clean_accuracy + 2)]
    layout = {
        "xaxis": {"title": {"text": "Accuracy that a chip reaches at least, %"}, "range": ends},
        "yaxis": {"title": {"text": "Share of chips, %"}, "range": [-2, 102]},
        "shapes": [level(chips[0].outcomes.clean_accuracy, upright=True)],
    }
    summary = f"Steps: share of chips by the accuracy that they reach, for {len(chips)} conditions, with bands."
    return Chart(f"yield-{index}", escaped(title), summary, traces, layout, 400)


def steps(curve: YieldCurve) -> tuple[list[float], list[float], list[float], list[float]]:
    """Corners of a yield curve and its band: accuracy in %, share, low, high. To the right of the best chip: none."""
    x, shares, low, high = [0.0], [1.0], [float(curve.low[0])], [1.0]
    for place, at in enumerate(curve.thresholds):
        here = (float(curve.shares[place]), float(curve.low[place]), float(curve.high[place]))
        after = (
            (float(curve.shares[place + 1]), float(curve.low[place + 1]), float(curve.high[place + 1]))
            if place + 1 < len(curve.thresholds)
            else (0.0, 0.0, 1 - float(curve.low[0]))
        )
        for share, bottom, top in (here, after):
            x.append(100 * float(at))
            shares.append(share)
            low.append(bottom)
            high.append(top)
    return x, shares, low, high


def yield_band(curve: YieldCurve, alone: bool) -> tuple[list[float], list[float], list[float]]:
    """Corners of the band of a yield curve: accuracy in %, low, high.

    It reaches beyond the worst and the best chip; where several curves share a figure, these ends would hide one
    another and are left out.
    """
    x, _, low, high = steps(curve)
    if alone:
        return [*x, 100.0], [*low, low[-1]], [*high, high[-1]]
    return x[1:], low[1:], high[1:]


def rate_places(lines: Sequence[Line]) -> dict[float, float]:
    """Where rates stand on a logarithmic axis; a rate of 0 stands left of all others."""
    rates = sorted({series.condition.rate for _, sweep in lines for series in sweep.series})
    least = next((rate for rate in rates if rate > 0), 1.0)
    return {rate: rate if rate > 0 else least / 4 for rate in rates}


def _rates(lines: Sequence[Line]) -> tuple[dict[float, float], dict[str, Any]]:
    places = rate_places(lines)
    rates = list(places)
    shown = rates if len(rates) <= 9 else rates[:: -(-len(rates) // 9)]
    axis = {
        "title": {"text": f"Fault rate {escaped(lines[0][1].rate)}"},
        "type": "log",
        "tickvals": [places[rate] for rate in shown],
        "ticktext": [f"{rate:.3g}" for rate in shown],
    }
    return places, axis


def line_names(lines: Sequence[Line], campaign: FaultCampaign) -> list[str]:
    """What tells lines apart: the device, the sweep, or both."""
    devices, titles = {device.device_id for device, _ in lines}, {sweep.title for _, sweep in lines}
    places = {sweep.place for _, sweep in lines}
    names = []
    for device, sweep in lines:
        parts = [sweep.title] if len(titles) > 1 or len(devices) == 1 else []
        parts += [sweep.place] if len(places) > 1 else []
        parts += [device.device_id] if len(devices) > 1 else []
        names.append(", ".join(parts))
    return names


def _escaped(lines: Sequence[Line], campaign: FaultCampaign) -> list[str]:
    return [escaped(wording.shortened(name, _NAME)) for name in line_names(lines, campaign)]
