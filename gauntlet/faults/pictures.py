"""The figures of a fault campaign as PNG files for papers, in the colours of the page."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fault_injection.vulnerability import Outcome
from gauntlet.faults import charts, wording
from gauntlet.faults.result import DeviceResult, FaultCampaign, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = ("#0072b2", "#d55e00", "#008f69", "#b8578f", "#a87800")
_MARKS, _DASHES = "osD^v", ("-", "--", ":", "-.")
_SOFT = "#62676d"
_STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#ececea",
    "axes.axisbelow": True,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "legend.fontsize": 8,
    # Names are names: a dollar sign begins no formula.
    "text.parse_math": False,
}
#: Width of one panel, inches: about a column of a paper.
_WIDTH, _HEIGHT, _DPI = 3.6, 2.9, 200
_MOST_TENSORS, _NAME = 60, 28
Panel = Callable[["Axes"], None]


def write_pictures(campaign: FaultCampaign, folder: Path) -> list[Path]:
    """Write those for which there are figures; an older picture for which there are none is left alone.

    Returns:
        The files.
    """
    written = []
    for name, panels, width, height in (
        ("accuracy", _accuracy(campaign), _WIDTH, _accuracy_height(campaign)),
        ("map", _maps(campaign), _WIDTH + 0.4, _map_height(campaign)),
        ("yield", _yields(campaign), _WIDTH + 1.1, _HEIGHT),
        ("protection", _protections(campaign), _WIDTH + 1.1, _HEIGHT),
    ):
        if panels:
            path = folder / f"{name}.png"
            _save(panels, width, height, path)
            written.append(path)
    return written


def _save(panels: Sequence[Panel], width: float, height: float, path: Path) -> None:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with matplotlib.rc_context(_STYLE):
        # No pyplot: this may be a thread of a program with windows of its own.
        figure: Figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        FigureCanvasAgg(figure)
        for number, panel in enumerate(panels):
            panel(figure.add_subplot(rows, columns, number + 1))
        try:
            figure.savefig(partial, format="png", dpi=_DPI)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _accuracy(campaign: FaultCampaign) -> list[Panel]:
    groups = charts.curves(campaign)
    panels: list[Panel] = [lambda axes, lines=lines: _curve(axes, lines, campaign) for lines in groups]  # type: ignore[misc]
    if _single(campaign):
        panels.append(lambda axes: _dots(axes, campaign))
    return panels


def _single(campaign: FaultCampaign) -> dict[str, int]:
    """Rows of the conditions that are on no curve, by their keys."""
    drawn = {s.condition.key for lines in charts.curves(campaign) for _, sweep in lines for s in sweep.series}
    there = [s.condition.key for device in campaign.devices for s in wording.measured(device.series)]
    return {key: row for row, key in enumerate(dict.fromkeys(key for key in there if key not in drawn))}


def _accuracy_height(campaign: FaultCampaign) -> float:
    return _HEIGHT if charts.curves(campaign) else 0.8 + 0.3 * len(_single(campaign))


def _curve(axes: Axes, lines: Sequence[charts.Line], campaign: FaultCampaign) -> None:
    places = charts.rate_places(lines)
    for number, ((_, sweep), name) in enumerate(zip(lines, charts.line_names(lines, campaign), strict=True)):
        color = _COLORS[number % 5]
        figures = [series.summary(campaign.confidence) for series in sweep.series]
        x = [places[series.condition.rate] for series in sweep.series]
        y = [100 * figure.accuracy.value for figure in figures]
        axes.plot(
            x,
            y,
            color=color,
            marker=_MARKS[number % 5],
            ls=_DASHES[number // 5 % 4],
            ms=4,
            lw=1.4,
            label=wording.shortened(name, _NAME),
        )
        inside = [figure.accuracy.interval for figure in figures]
        known = [interval for interval in inside if interval is not None]
        if len(known) == len(inside):
            axes.fill_between(
                x, [100 * i.low for i in known], [100 * i.high for i in known], color=color, alpha=0.2, lw=0
            )
    for clean in {wording.clean_accuracy(device) for device, _ in lines} - {None}:
        axes.axhline(100 * float(clean or 0), color=_SOFT, ls="--", lw=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if 0.0 in places:
        axes.set_xticks(list(places.values()), [f"{rate:.2g}" for rate in places])
    axes.set_xlabel(f"fault rate {lines[0][1].rate}")
    axes.set_ylabel("accuracy, %")
    band = f" (band: {100 * campaign.confidence:g} % over patterns)"
    axes.set_title(lines[0][1].series[0].condition.plan.model.name + band)
    if len(lines) > 1:
        axes.legend()


def _dots(axes: Axes, campaign: FaultCampaign) -> None:
    """Conditions that are no curve, one above the other."""
    labels, rows = charts.condition_labels(campaign), _single(campaign)
    for number, device in enumerate(campaign.devices):
        color = _COLORS[number % 5]
        for series in wording.measured(device.series):
            if series.condition.key not in rows:
                continue
            row = rows[series.condition.key] + 0.15 * number
            figure = series.summary(campaign.confidence)
            half = 100 * (wording.half_width(figure.accuracy) or 0.0)
            axes.errorbar(100 * figure.accuracy.value, row, xerr=half, fmt="o", ms=4, color=color)
        clean = wording.clean_accuracy(device)
        if clean is not None:
            axes.axvline(100 * clean, color=_SOFT, ls="--", lw=1)
    axes.set_yticks(range(len(rows)), [wording.shortened(labels[key], _NAME) for key in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("accuracy, %")
    title = "Other faults" if charts.curves(campaign) else "Accuracy under faults"
    axes.set_title(f"{title} ({100 * campaign.confidence:g} % over patterns)")


def _yields(campaign: FaultCampaign) -> list[Panel]:
    return [
        lambda axes, title=title, chips=chips: _yield(axes, title, chips, campaign)  # type: ignore[misc]
        for title, chips in charts.yield_groups(campaign)
    ]


def _yield(axes: Axes, title: str, chips: Sequence[Series], campaign: FaultCampaign) -> None:
    for number, series in enumerate(chips):
        curve = series.summary(campaign.confidence).yields
        assert curve is not None
        x, shares, _, _ = charts.steps(curve)
        places, low, high = charts.yield_band(curve, alone=len(chips) == 1)
        color, dash = _COLORS[number % 5], _DASHES[number // 5 % 4]
        name = wording.shortened(charts.chip_name(series, chips), _NAME)
        axes.plot(x, [100 * v for v in shares], color=color, ls=dash, lw=1.4, label=name)
        axes.fill_between(places, [100 * v for v in low], [100 * v for v in high], color=color, alpha=0.1, lw=0)
    least = min(min(series.outcomes.accuracies) for series in chips)
    clean = chips[0].outcomes.clean_accuracy
    axes.axvline(100 * clean, color=_SOFT, ls="--", lw=1)
    axes.set_xlim(max(0.0, 100 * least - 5), min(100.0, 100 * clean + 3))
    axes.set_ylim(-2, 102)
    axes.set_xlabel("accuracy that a chip reaches at least, %")
    axes.set_ylabel("share of chips, %")
    axes.set_title(wording.shortened(title, 48))
    _legend_beside(axes)


def _map_height(campaign: FaultCampaign) -> float:
    sites = [len({r.stratum.site for r in d.map.results}) for d in campaign.devices if d.map is not None]
    return 1.1 + 0.17 * (1 + min(_MOST_TENSORS, max(sites, default=0)))


def _maps(campaign: FaultCampaign) -> list[Panel]:
    there = [device for device in campaign.devices if device.map is not None]
    return [lambda axes, device=device: _map(axes, device, campaign) for device in there]  # type: ignore[misc]


def _map(axes: Axes, device: DeviceResult, campaign: FaultCampaign) -> None:
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    found = device.map
    assert found is not None
    cells = found.by_stratum(Outcome.CRITICAL, campaign.confidence)
    bits = found.by_bit(Outcome.CRITICAL, campaign.confidence)
    columns = sorted(bits, reverse=True)
    sites = list(dict.fromkeys(result.stratum.site for result in found.results))
    if len(sites) > _MOST_TENSORS:
        harm = found.by_site(Outcome.CRITICAL, campaign.confidence)
        worst = set(sorted(sites, key=lambda site: -harm[site].value)[:_MOST_TENSORS])
        sites = [site for site in sites if site in worst]
    nothing = float("nan")
    rows = [[100 * bits[bit].value for bit in columns]]
    rows += [[100 * cells[s, b].value if (s, b) in cells else nothing for b in columns] for s in sites]
    highest = max((value for row in rows for value in row if value == value), default=0.0) or 1.0
    colors = LinearSegmentedColormap.from_list("harm", ["#f7f7f5", "#f0b48c", "#c14a00", "#5c1f00"])
    image = axes.pcolormesh(rows, cmap=colors, norm=PowerNorm(0.5, 0, highest), edgecolors="white", linewidth=0.6)
    axes.invert_yaxis()
    axes.grid(False)
    axes.tick_params(length=0)
    axes.set_xticks([k + 0.5 for k in range(len(columns))], [str(bit) for bit in columns])
    short = wording.short_names(sites, _NAME)
    names = ["whole network", *(short[site] for site in sites)]
    axes.set_yticks([k + 0.5 for k in range(len(names))], names, fontsize=7)
    axes.set_xlabel("bit")
    axes.set_title(_title("answers that one flip turns wrong, %", campaign, device), loc="right", fontsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure: Any = axes.figure
    figure.colorbar(image, ax=axes, aspect=30, pad=0.02).outline.set_visible(False)


def _protections(campaign: FaultCampaign) -> list[Panel]:
    there = [d for d in campaign.devices if any(t.proposal and len(t.series.outcomes) for t in d.trials)]
    return [lambda axes, device=device: _protection(axes, device, campaign) for device in there]  # type: ignore[misc]


def _protection(axes: Axes, device: DeviceResult, campaign: FaultCampaign) -> None:
    there = [trial for trial in device.trials if len(trial.series.outcomes)]
    bought = [trial for trial in there if trial.proposal is not None]
    free = [trial for trial in there if trial.proposal is None]
    for trial, color, dash in zip(free, (_SOFT, _COLORS[1]), (":", "--"), strict=False):
        figure = trial.series.summary(campaign.confidence).accuracy
        name = "no protection" if trial.name == "none" else trial.name
        axes.axhline(100 * figure.value, color=color, ls=dash, lw=1.3, label=name)
        if (inside := figure.interval) is not None:
            axes.axhspan(100 * inside.low, 100 * inside.high, color=color, alpha=0.15, lw=0)
    figures = [trial.series.summary(campaign.confidence).accuracy for trial in bought]
    x = [100 * trial.proposal.overhead for trial in bought if trial.proposal is not None]
    halves = [100 * (wording.half_width(figure) or 0.0) for figure in figures]
    y = [100 * figure.value for figure in figures]
    axes.errorbar(x, y, yerr=halves, color=_COLORS[0], marker="o", ms=4, lw=1.4, capsize=2, label=bought[0].name)
    clean = wording.clean_accuracy(device)
    if clean is not None:
        axes.axhline(100 * clean, color=_SOFT, ls="--", lw=1)
    axes.set_xlim(left=0)
    axes.set_xlabel("extra memory, % of the weights")
    axes.set_ylabel("accuracy under faults, %")
    axes.set_title(_title(wording.brief(bought[0].series.condition.plan), campaign, device))
    _legend_beside(axes)


def _legend_beside(axes: Axes) -> None:
    """Where no curve is hidden by it."""
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _title(text: str, campaign: FaultCampaign, device: DeviceResult | None = None) -> str:
    where = f", {device.device_id}" if device is not None and len(campaign.devices) > 1 else ""
    return wording.shortened(f"{text}{where}", 48)
