"""A fault campaign in the terminal: accuracy under faults, which bits do the harm, what protection is worth."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from fault_injection.statistics import Estimate
from fault_injection.vulnerability import Outcome
from gauntlet.faults import wording
from gauntlet.faults.result import DeviceResult, FaultCampaign, Series
from gauntlet.render import units
from gauntlet.render.device import pair_grid

_NONE = Text("–", "dim")
#: Below these shares of spoiled images; what was never seen is a dot.
_SHADES = ((0.01, "░", "cyan"), (0.05, "▒", "yellow"), (0.2, "▓", "dark_orange"), (float("inf"), "█", "red"))
_MOST_ROWS = 16
_BITS = range(7, -1, -1)


def report(campaign: FaultCampaign, width: int = 80) -> RenderableType:
    """All that a campaign found out.

    Args:
        campaign: whole or as far as it has come.
        width: characters of a line.
    """
    return Group(*_sections(campaign, width))


def _sections(campaign: FaultCampaign, width: int) -> Iterator[RenderableType]:
    title = Text.assemble((campaign.settings.model.name, "bold"), ("  under faults", "dim"))
    yield Rule(title, align="left", style="cyan", characters="━")
    yield _header(campaign)
    for device in campaign.devices:
        if len(campaign.devices) > 1:
            yield Padding(Rule(Text(device.device_id, "bold"), align="left", style="cyan"), (1, 0, 0, 0))
        yield from _device(campaign, device, width)
    yield Text("")


def _device(campaign: FaultCampaign, device: DeviceResult, width: int) -> Iterator[RenderableType]:
    confidence, missing = campaign.confidence, []
    there = wording.measured(device.series)
    for sweep in wording.sweeps(there):
        yield _heading(sweep.title, sweep.place)
        yield _sweep(sweep, confidence, width)
        for series in sweep.series:
            summary = series.summary(confidence)
            why = wording.missing_figures(summary, series.outcomes.samples, confidence)
            shown = {"interval over patterns": "±", "interval over samples": "± samples", "worst 5 %": "worst 5 %"}
            missing += [(word, why[name]) for name, word in shown.items() if name in why]
    if there:
        yield _legend(campaign, device)
        yield from _non_finite(there)
    if chips := [series for series in there if series.summary(confidence).yields is not None]:
        yield _heading("Yield", "share of chips that are at least so accurate, in %; a pattern is a chip")
        yield _yields(chips, confidence)
    if device.map is not None:
        yield from _map(campaign, device, width)
    if device.wrong_answers is not None:
        yield from _field(campaign, device)
    if device.trials:
        yield from _protection(device, confidence, width)
    if reasons := wording.grouped([*missing, *wording.not_measured(campaign, device)]):
        yield _heading("Not measured")
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=15, max_width=30, overflow="fold")
        table.add_column(overflow="fold")
        for names, reason in reasons:
            table.add_row(Text(names), Text(reason, "dim italic"))
        yield Padding(table, (0, 0, 0, 2))


def _heading(text: str, remark: str = "") -> RenderableType:
    return Padding(Text.assemble((text, "bold cyan"), (f"  {remark}" if remark else "", "dim")), (1, 0, 0, 0))


def _header(campaign: FaultCampaign) -> RenderableType:
    table, settings = pair_grid(), campaign.settings
    table.add_row("model", f"{settings.model.name}, sha256 {campaign.model_digest[:16]}…")
    counts = {count for count in map(wording.samples, campaign.devices) if count is not None}
    samples = "".join(f", {units.count(count, 'sample')}" for count in counts)
    table.add_row("data", f"{settings.data.name}{samples}, sha256 {campaign.data_digest[:16]}…")
    for device in campaign.devices:
        about = device.provenance
        runtime = [about.get("runtime", ""), about.get("delegate", "").replace("none", "no delegate")]
        if threads := about.get("threads", ""):
            runtime.append(units.count(int(threads), "thread"))
        kind = f" (class {about['class']})" if "class" in about else ""
        table.add_row("device", Text.assemble((device.device_id, "bold"), kind))
        table.add_row("runtime", ", ".join(part for part in runtime if part) or Text("–", "dim"))
        clean = wording.clean_accuracy(device)
        table.add_row("clean accuracy", Text("–", "dim") if clean is None else Text(units.ratio(clean), "bold"))
    return table


def _table(*heads: str, width: int, left: int = 1) -> Table:
    """Columns flush right but the first ones; closer together where the line is short."""
    table = Table(box=None, pad_edge=False, padding=(0, 2 if width >= 100 else 1, 0, 0), header_style="dim")
    for index, head in enumerate(heads):
        table.add_column(head, justify="left" if index < left else "right", no_wrap=True, vertical="bottom")
    return table


def _sweep(sweep: wording.Sweep, confidence: float, width: int) -> RenderableType:
    heads = ["accuracy", "±", "±\nsamples", "drop", "worst\n5 %", "SDC-1", "critical", "patterns", "faults/\npattern"]
    rate = [sweep.rate] if sweep.rate else []
    table = _table(*rate, *heads, width=width, left=len(rate))
    for series in sweep.series:
        summary = series.summary(confidence)
        cap = {"precise": "", "cap": " cap", "": " …"}[series.stop]
        table.add_row(
            *([f"{series.condition.rate:g}"] if sweep.rate else []),
            Text(_percent(summary.accuracy.value), "bold green"),
            _half(wording.half_width(summary.accuracy)),
            _half(wording.interval_half(summary.over_images)),
            _percent(summary.drop.value),
            _NONE if summary.worst_5_percent is None else _percent(summary.worst_5_percent),
            _percent(summary.changed.value),
            _percent(summary.critical.value),
            Text.assemble(f"{summary.patterns}", (cap, "yellow")),
            _many(summary.faults),
        )
    return Padding(table, (0, 0, 0, 2))


def _legend(campaign: FaultCampaign, device: DeviceResult) -> RenderableType:
    precision, samples = campaign.settings.precision, wording.samples(device) or 0
    stops = {series.stop for series in wording.measured(device.series)}
    level = f"{100 * precision.confidence:g} %"
    lines = [
        f"All in %. ±: {level} interval of the mean over fault patterns, on these {units.count(samples, 'sample')}. "
        "± samples: over samples, under these patterns. drop: accuracy lost. worst 5 %: mean of the worst twentieth of "
        "the patterns. SDC-1: answers that changed. critical: from right to wrong."
    ]
    if "cap" in stops:
        lines.append(
            f"cap: after {precision.most} patterns, the most that were asked for, not known to "
            f"±{wording.points(precision.half_width)}."
        )
    if "" in stops:
        lines.append("…: under way; more patterns follow.")
    return Padding(Text("\n".join(lines), "dim"), (1, 0, 0, 2))


def _non_finite(there: list[Series]) -> Iterator[RenderableType]:
    """NaN and infinity in words, where there are any."""
    for series in there:
        outcomes = series.outcomes
        found = sum(outcomes.non_finite)
        if found:
            answers = len(outcomes) * outcomes.samples
            patterns = sum(1 for count in outcomes.non_finite if count)
            words = (
                f"{series.condition.plan.model}: {found:,} of {answers:,} answers held NaN or infinity and counted as "
                f"wrong, in {patterns} of {units.count(len(outcomes), 'pattern')}"
            )
            yield Padding(Text.assemble(("! ", "yellow"), words), (0, 0, 0, 2))


def _yields(chips: list[Series], confidence: float) -> RenderableType:
    clean = chips[0].outcomes.clean_accuracy
    heads = [f"≥ {_percent(clean - loss)}\n−{wording.points(loss)}" for loss in wording.LOSSES]
    table = _table("", *heads, width=120)
    table.columns[0].no_wrap = False
    for series in chips:
        curve = series.summary(confidence).yields
        assert curve is not None
        cells = []
        for loss in wording.LOSSES:
            share, low, high = wording.good_chips(curve, clean - loss)
            cells.append(Text.assemble(f"{100 * share:.0f}", (f" ({100 * low:.0f}–{100 * high:.0f})", "dim")))
        table.add_row(wording.brief(series.condition.plan), *cells)
    note = f"% of chips, with the band that holds at {100 * confidence:g} % for all limits at once."
    return Group(Padding(table, (0, 0, 0, 2)), Padding(Text(note, "dim"), (1, 0, 0, 2)))


def _map(campaign: FaultCampaign, device: DeviceResult, width: int) -> Iterator[RenderableType]:
    found, confidence = device.map, campaign.confidence
    assert found is not None
    cells = found.by_stratum(Outcome.CRITICAL, confidence)
    rows = found.by_site(Outcome.CRITICAL, confidence)
    harm: dict[str, float] = {}
    for (site, _), amount in found.harm(Outcome.CRITICAL).items():
        harm[site] = harm.get(site, 0.0) + amount
    total = sum(harm.values())
    place = campaign.settings.place.value
    yield _heading("Vulnerability map", f"one flipped bit at a time in {place}, {device.map_samples} samples each")
    columns = [bit for bit in _BITS if any(bit == other for _, other in cells)]
    bits = " ".join(str(bit) for bit in columns)
    table = _table("tensor", bits, "critical", f"{100 * confidence:g} %", "harm", width=120, left=2)
    overall = found.overall(Outcome.CRITICAL, confidence)
    by_bit = found.by_bit(Outcome.CRITICAL, confidence)
    table.add_row(
        Text("whole network", "bold"),
        _shades([by_bit.get(bit) for bit in columns]),
        *_harm(overall, 1.0 if total else 0.0),
    )
    name_width = max(12, min(44, width - 52))
    worst = sorted(rows, key=lambda site: (-harm[site], site))
    names = wording.short_names(worst, name_width)
    for site in worst[:_MOST_ROWS]:
        shades = _shades([cells.get((site, bit)) for bit in columns])
        share = harm[site] / total if total else 0.0
        table.add_row(Text(names[site]), shades, *_harm(rows[site], share))
    yield Padding(table, (0, 0, 0, 2))
    left = worst[_MOST_ROWS:]
    notes = [_counts(campaign, device)]
    if left:
        rest = sum(harm[site] for site in left) / total if total else 0.0
        notes.insert(0, f"{units.count(len(left), 'more tensor')} with {100 * rest:.1f} % of the harm: in the report.")
    notes.append(
        "critical: % of the answers that one flip turns from right to wrong. harm: % of all that upsets do, counting "
        "how many bits there are."
    )
    legend = Text.assemble(("· none seen", "dim"))
    for (limit, shade, style), below in zip(_SHADES, (0, *(limit for limit, _, _ in _SHADES)), strict=False):
        words = f"{100 * below:g} %+" if limit == float("inf") else f"< {100 * limit:g} %"
        legend.append("   ").append(shade * 2, style).append(f" {words}", "dim")
    yield Padding(Group(legend, Text("\n".join(notes), "dim")), (1, 0, 0, 2))


def _counts(campaign: FaultCampaign, device: DeviceResult) -> str:
    assert device.map is not None
    drawn = sorted(result.injections for result in device.map.results)
    each = f"{drawn[0]:,}" if drawn[0] == drawn[-1] else f"{drawn[0]:,} to {drawn[-1]:,}"
    asked = campaign.settings.map
    margin = f", for ±{wording.points(asked.margin)} at {100 * campaign.confidence:g} %" if asked is not None else ""
    return f"{each} flips in each bit of each tensor{margin}, {sum(drawn):,} in all."


def _shades(estimates: list[Estimate | None]) -> Text:
    text = Text()
    for estimate in estimates:
        if estimate is None:
            text.append("  ")
        elif not estimate.value:
            text.append("··", "dim")
        else:
            _, shade, style = next(entry for entry in _SHADES if estimate.value < entry[0])
            text.append(shade * 2, style)
    return text


def _harm(estimate: Estimate, share: float) -> list[Text]:
    inside = estimate.interval
    between = _NONE if inside is None else Text(f"{_percent(inside.low)}–{_percent(inside.high)}", "dim")
    return [Text(_percent(estimate.value), "bold green"), between, Text(f"{100 * share:.1f}")]


def _field(campaign: FaultCampaign, device: DeviceResult) -> Iterator[RenderableType]:
    found, asked = device.wrong_answers, campaign.settings.service
    assert found is not None
    yield _heading("In the field", "estimated from the map: upsets come one at a time")
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=26)
    table.add_column(overflow="fold")
    table.add_row("  between wrong answers", _time(found.time_between_s, bold=True))
    table.add_row("  until the first one", _time(found.time_to_first_s))
    raw = wording.long_time(1 / found.upsets_per_s) if found.upsets_per_s else "never"
    table.add_row("  between upsets, all", Text(raw))
    if asked is not None:
        table.add_row("  assumed", Text(wording.assumed(asked), "dim"))
    yield table
    words = "Wrong answers come in bursts: from an upset that does harm until the weights are written anew."
    yield Padding(Text(words, "dim"), (1, 0, 0, 2))


def _time(estimate: Estimate, bold: bool = False) -> Text:
    value = wording.long_time(estimate.value)
    if estimate.value == float("inf"):
        value = "none seen"
    text = Text.assemble((value, "bold green" if bold else ""))
    if (inside := estimate.interval) is not None:
        high = "no upper limit" if inside.high == float("inf") else wording.long_time(inside.high)
        text.append(f"  {wording.long_time(inside.low)} – {high} at {100 * inside.confidence:g} %", "dim")
    return text


def _protection(device: DeviceResult, confidence: float, width: int) -> Iterator[RenderableType]:
    bare = wording.unprotected(device)
    plan = device.trials[0].series.condition.plan
    yield _heading("Protection", f"on fresh patterns of {wording.brief(plan)}")
    table = _table(
        "", "extra\nmemory", "accuracy", "±", "gain", "±", "harm left,\npredicted", "patterns", width=width, left=1
    )
    for trial in device.trials:
        outcomes, proposal = trial.series.outcomes, trial.proposal
        if not len(outcomes):
            continue
        summary = trial.series.summary(confidence)
        gain = None if bare is None or bare is trial else wording.gain(trial, bare, confidence)
        table.add_row(
            trial.name if proposal is None else f"{trial.name}, budget {100 * trial.budget:g}",
            _percent(0.0 if proposal is None else proposal.overhead),
            Text(_percent(summary.accuracy.value), "bold green"),
            _half(wording.half_width(summary.accuracy)),
            _NONE if gain is None else f"{100 * gain.value:+.2f}",
            _NONE if gain is None else _half(wording.half_width(gain)),
            _NONE if proposal is None else f"{100 * proposal.harm_left:.0f}",
            str(summary.patterns),
        )
    yield Padding(table, (0, 0, 0, 2))
    clean = wording.clean_accuracy(device)
    without = "" if clean is None else f" Without faults it is {_percent(clean)}."
    note = f"All in %.{without} gain: in pairs, the same faults with and without."
    yield Padding(Text(note, "dim"), (1, 0, 0, 2))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _half(half: float | None) -> Text:
    return _NONE if half is None else Text(_percent(half), "dim")


def _many(number: float) -> str:
    """1,234,567 is "1.23 M"."""
    for factor, sign in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if number >= factor:
            return f"{number / (1e3 if sign == ' k' else factor):.3g}{sign}"
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
