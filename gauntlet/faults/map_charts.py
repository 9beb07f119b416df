"""The figures of which bits do the harm, and of what their protection is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fault_injection.vulnerability import Outcome
from gauntlet.faults import wording
from gauntlet.faults.plotting import band, escaped, level, vertical, whiskers, with_interval
from gauntlet.faults.result import DeviceResult, FaultCampaign
from search.report.drawing import Chart, Trace, marker

_NAME = 28
#: Bars of the layers that do most of the harm.
MOST_BARS = 24
_HEAT_TICKS = (0.0, 0.1, 1.0, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0)


def map_chart(device: DeviceResult, campaign: FaultCampaign, index: int) -> Chart:
    """Harm of one flip, by tensor and bit."""
    found = device.map
    assert found is not None
    cells = found.by_stratum(Outcome.CRITICAL, campaign.confidence)
    bits = found.by_bit(Outcome.CRITICAL, campaign.confidence)
    drawn = {(r.stratum.site, r.stratum.bit): r for r in found.results}
    sites = list(dict.fromkeys(result.stratum.site for result in found.results))
    columns = sorted(bits, reverse=True)
    whole = [f"<b>Whole network, bit {bit}</b><br>{with_interval(bits[bit])}" for bit in columns]
    z: list[list[float | None]] = [[(100 * bits[bit].value) ** 0.5 for bit in columns]]
    texts = [whole]
    for site in sites:
        z.append([(100 * cells[site, b].value) ** 0.5 if (site, b) in cells else None for b in columns])
        texts.append(
            [
                f"<b>{escaped(site)}, bit {b}</b><br>{with_interval(cells[site, b])}<br>"
                f"{drawn[site, b].injections:,} flips of {drawn[site, b].stratum.population:,} bits"
                if (site, b) in cells
                else "no such bit"
                for b in columns
            ]
        )
    highest = max((value for row in z for value in row if value is not None), default=0.0) or 1.0
    ticks = [tick for tick in _HEAT_TICKS if tick**0.5 <= highest * 1.001]
    trace: Trace = {
        "type": "heatmap",
        "x": [str(bit) for bit in columns],
        "y": list(range(len(z))),
        "z": z,
        "zmin": 0,
        "zmax": highest,
        "xgap": 1,
        "ygap": 1,
        "customdata": texts,
        "hovertemplate": "%{customdata}<extra></extra>",
        "hoverongaps": False,
        "colorscale": [[0, "@panel"], [1, "@warn"]],
        "colorbar": {
            "tickvals": [tick**0.5 for tick in ticks],
            "ticktext": [f"{tick:g}" for tick in ticks],
            "title": {"text": "%", "side": "top"},
            "thickness": 10,
            "outlinewidth": 0,
            "len": min(1.0, 260 / (_row(z) * len(z) + 60)),
            "y": 1,
            "yanchor": "top",
            "tickfont": {"size": 11},
        },
    }
    layout = {
        "xaxis": {
            "type": "category",
            "title": {"text": "Bit"},
            "side": "top",
            "showgrid": False,
            "showline": False,
            "tickangle": 0,
            "tickmode": "linear",
        },
        "yaxis": _tensor_axis(sites, "whole network"),
    }
    where = f" on {device.device_id}" if len(campaign.devices) > 1 else ""
    place = campaign.settings.place.value
    summary = (
        f"Heat map of {len(sites)} tensors by {len(columns)} bits: share of answers that one flip in {place} spoils."
    )
    title = f"Answers that one flipped bit turns wrong{where}"
    return Chart(f"map-{index}", title, summary, [trace], layout, max(240, _row(z) * len(z) + 90))


def layer_chart(device: DeviceResult, campaign: FaultCampaign, index: int) -> Chart:
    """What an upset anywhere does, by the tensor that it strikes: harm times the share of the bits."""
    found = device.map
    assert found is not None
    rows = layer_shares(device, campaign.confidence)
    rows = rows[:MOST_BARS]
    values = [(value, low, high) for _, value, low, high in rows]
    # Whiskers of tensors in which little was seen would press all bars flat.
    most, limit = max(value for value, _, _ in values), 1.05 * max(high for _, _, high in values)
    end = min(4 * most, limit) or limit or 1.0
    trace: Trace = {
        "type": "bar",
        "orientation": "h",
        "x": [100 * value for value, _, _ in values],
        "y": list(range(len(rows))),
        "marker": {"color": "@warn"},
        "error_x": {
            "type": "data",
            "array": [100 * (high - value) for value, _, high in values],
            "arrayminus": [100 * (value - low) for value, low, _ in values],
            "color": "@ink-soft",
            "thickness": 1,
            "width": 0,
        },
        "customdata": [
            f"<b>{escaped(site)}</b><br>{100 * value:.3g} % ({100 * low:.3g} – {100 * high:.3g})"
            for site, value, low, high in rows
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "Answers spoiled by an upset anywhere, %"}, "range": [0, 100 * end]},
        "yaxis": _tensor_axis([site for site, _, _, _ in rows]),
        "bargap": 0.35,
    }
    where = f" on {device.device_id}" if len(campaign.devices) > 1 else ""
    summary = f"Bars: which of {len(rows)} tensors the harm of upsets comes from."
    return Chart(f"layers-{index}", f"Where the harm comes from{where}", summary, [trace], layout, 24 * len(rows) + 100)


def what_is_left(device: DeviceResult, campaign: FaultCampaign) -> str:
    """What the bars leave out."""
    rows = layer_shares(device, campaign.confidence)
    total, left = sum(value for _, value, _, _ in rows), rows[MOST_BARS:]
    words = "Whiskers that leave the figure end in the table." if len(rows) > 1 else ""
    if not left or not total:
        return words
    share = 100 * sum(value for _, value, _, _ in left) / total
    return f"{len(left):,} more tensors with {share:.1f} % of the harm are in the table. {words}"


def layer_shares(device: DeviceResult, confidence: float) -> list[tuple[str, float, float, float]]:
    """For each tensor the share of answers that an upset anywhere spoils through it, and its limits; worst first."""
    found = device.map
    assert found is not None
    bits: dict[str, int] = {}
    for result in found.results:
        bits[result.stratum.site] = bits.get(result.stratum.site, 0) + result.stratum.population
    total = sum(bits.values())
    rows = []
    for site, harm in found.by_site(Outcome.CRITICAL, confidence).items():
        part, inside = bits[site] / total, harm.interval
        low, high = (harm.value, harm.value) if inside is None else (inside.low, inside.high)
        rows.append((site, part * harm.value, part * low, part * high))
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def protection_chart(device: DeviceResult, campaign: FaultCampaign, index: int) -> Chart | None:
    """Accuracy under faults against extra memory, beside what costs none."""
    there = [trial for trial in device.trials if len(trial.series.outcomes)]
    bought = [trial for trial in there if trial.proposal is not None]
    if not bought:
        return None
    figures = [trial.series.summary(campaign.confidence) for trial in bought]
    x = [100 * trial.proposal.overhead for trial in bought if trial.proposal is not None]
    name = bought[0].name
    traces: list[Trace] = []
    reach = [0.0, max(x) * 1.05]
    free = [trial for trial in there if trial.proposal is None]
    for trial, color, dash in zip(free, ("@ink-soft", "@series-2"), ("dot", "dash"), strict=False):
        figure = trial.series.summary(campaign.confidence)
        if (inside := figure.accuracy.interval) is not None:
            traces.append(band(reach, [inside, inside], color, escaped(trial.name)))
        traces.append(
            {
                "x": reach,
                "y": [100 * figure.accuracy.value] * 2,
                "mode": "lines",
                "name": "no protection" if trial.name == "none" else escaped(trial.name),
                "legendgroup": escaped(trial.name),
                "line": {"color": color, "width": 1.6, "dash": dash},
                "hovertemplate": f"{escaped(trial.name)}: {with_interval(figure.accuracy)}<extra></extra>",
            }
        )
    traces.append(
        {
            "x": x,
            "y": [100 * figure.accuracy.value for figure in figures],
            "error_y": whiskers([(f.accuracy.value, f.accuracy.interval) for f in figures], "@accent"),
            "mode": "lines+markers",
            "name": escaped(name),
            "line": {"color": "@accent", "width": 1.8},
            "marker": marker("@accent", 8),
            "customdata": [
                f"<b>{escaped(name)}</b><br>{place:.2f} % more memory<br>{with_interval(figure.accuracy)}<br>"
                f"{figure.patterns} fresh patterns"
                for place, figure in zip(x, figures, strict=True)
            ],
            "hovertemplate": "%{customdata}<extra></extra>",
        }
    )
    clean = wording.clean_accuracy(device)
    every = [trial.series.summary(campaign.confidence).accuracy for trial in there]
    layout = {
        "xaxis": {"title": {"text": "Extra memory, % of the weights"}, "range": [0, max(x) * 1.05]},
        "yaxis": vertical("Accuracy under faults, %", every, clean),
        "shapes": [level(clean)] if clean else [],
    }
    where = f" on {device.device_id}" if len(campaign.devices) > 1 else ""
    condition = wording.brief(bought[0].series.condition.plan)
    summary = (
        f"Line: accuracy under {condition} against the memory spent on protection, beside none and range clipping."
    )
    return Chart(f"protection-{index}", f"Accuracy under {condition}{where}", summary, traces, layout, 380)


def _row(rows: Sequence[object]) -> int:
    """Height of a row of the map, CSS pixels."""
    return 24 if len(rows) <= 30 else 18


def _tensor_axis(tensors: Sequence[str], *above: str) -> dict[str, Any]:
    short = wording.short_names(tensors, _NAME)
    names = [*above, *(short[name] for name in tensors)]
    return {
        "tickvals": list(range(len(names))),
        "ticktext": [escaped(name) + "\u00a0" for name in names],
        "tickangle": 0,
        "autorange": "reversed",
        "showgrid": False,
        "showline": False,
        "ticks": "",
        "tickfont": {"size": 11},
    }
