"""The report of a fault campaign: one self-contained page, and pictures for papers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gauntlet.faults import charts, map_charts, pictures, wording
from gauntlet.faults.report_tables import (
    conditions_table,
    field_facts,
    map_table,
    missing_table,
    protection_table,
    yield_table,
)
from gauntlet.faults.result import DeviceResult, FaultCampaign
from search.report import shell
from search.report.drawing import Chart
from search.report.markup import Markup, facts, join, section, tag

_TITLES = {
    "accuracy": "Accuracy",
    "patterns": "Patterns",
    "yield": "Yield",
    "answers": "Answers",
    "map": "Map",
    "field": "In the field",
    "protection": "Protection",
    "reading": "How to read",
    "missing": "Not measured",
    "provenance": "Provenance",
}


def write_report(campaign: FaultCampaign, folder: Path) -> list[Path]:
    """Write ``report.html``, and of ``accuracy.png``, ``map.png``, ``yield.png`` and ``protection.png`` what there is.

    Args:
        campaign: whole or as far as it has come.
        folder: made if need be; older files are replaced.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    shell.write(render(campaign), page)
    return [page, *pictures.write_pictures(campaign, folder)]


def render(campaign: FaultCampaign) -> str:
    """The page as HTML. All names in it are taken as untrusted and are escaped."""
    drawn: list[Chart] = []
    parts = [
        _accuracy(campaign, drawn),
        _patterns(campaign, drawn),
        _yields(campaign, drawn),
        _answers(campaign, drawn),
        _map(campaign, drawn),
        _field(campaign),
        _protection(campaign, drawn),
        _reading(campaign),
        section("missing", "Not measured, and why", missing_table(campaign)),
        _provenance(campaign),
    ]
    title = f"{campaign.settings.model.name} under faults"
    return shell.page(title, _header(campaign), _TITLES, parts, drawn, campaign.software_version)


def _header(campaign: FaultCampaign) -> Markup:
    there = [series for device in campaign.devices for series in wording.measured(device.series)]
    cleans = [clean for clean in map(wording.clean_accuracy, campaign.devices) if clean is not None]
    flips = sum(r.injections for device in campaign.devices if device.map is not None for r in device.map.results)
    tiles = [
        ("Clean accuracy", _spread(cleans)),
        ("Conditions", f"{len(there):,}"),
        ("Fault patterns", f"{sum(len(series.outcomes) for series in there):,}"),
        ("Faults put in", _count(sum(sum(series.outcomes.faults) for series in there))),
    ]
    if flips:
        tiles.append(("Single flips", _count(flips)))
    names = ", ".join(device.device_id for device in campaign.devices) or "no device"
    samples = {count for count in map(wording.samples, campaign.devices) if count is not None}
    data = f"{campaign.settings.data.name}" + "".join(f" ({count:,} samples)" for count in sorted(samples))
    return join(
        [
            tag("p", "Gauntlet fault report", class_="kicker"),
            tag("h1", campaign.settings.model.name),
            tag("p", f"broken on {names} · {data}", class_="meta"),
            facts(tiles, "tiles"),
            tag("p", "All figures are measured, but where it says estimated or predicted.", class_="soft"),
        ]
    )


def _accuracy(campaign: FaultCampaign, drawn: list[Chart]) -> Markup:
    shown = [charts.accuracy_chart(lines, campaign, k) for k, lines in enumerate(charts.curves(campaign))]
    tables = [conditions_table(device, campaign) for device in campaign.devices if wording.measured(device.series)]
    if not tables:
        return Markup("")
    drawn += shown
    level = f"{100 * campaign.confidence:g} %"
    lead = f"All intervals are at {level}."
    if shown:
        lead = (
            "The band is the uncertainty that comes from fault patterns, on these very samples; the whiskers are the "
            f"one that comes from samples, under these very patterns. Dashed: without faults. {lead}"
        )
    return section("accuracy", "Accuracy under faults", _grid(map(shell.figure, shown)), *tables, lead=lead)


def _patterns(campaign: FaultCampaign, drawn: list[Chart]) -> Markup:
    chart = charts.spread_chart(campaign)
    if chart is None:
        return Markup("")
    drawn.append(chart)
    lead = (
        "Each dot is one fault pattern: one chip, where faults are permanent. Boxes hold the middle half. A mean hides "
        "that some patterns are harmless and some ruinous; this does not."
    )
    return section("patterns", "How much patterns differ", shell.figure(chart), lead=lead)


def _yields(campaign: FaultCampaign, drawn: list[Chart]) -> Markup:
    shown = charts.yield_charts(campaign)
    if not shown:
        return Markup("")
    drawn += shown
    tables = [table for device in campaign.devices if (table := yield_table(device, campaign))]
    lead = (
        "Faults that stay make a pattern a chip. Read from an accuracy on the axis: so many chips reach it or more. "
        f"The band holds the true curve everywhere at once with {100 * campaign.confidence:g} % confidence (Dvoretzky, "
        "Kiefer, Wolfowitz and Massart), so that any limit may be chosen after a look."
    )
    return section("yield", "Yield", _grid(map(shell.figure, shown)), *tables, lead=lead)


def _answers(campaign: FaultCampaign, drawn: list[Chart]) -> Markup:
    shown = []
    for number, lines in enumerate(charts.curves(campaign)):
        chart = charts.harm_chart(lines, campaign, number)
        if chart is not None:
            drawn.append(chart)
            shown.append(shell.figure(chart, charts.line_styles(lines, campaign)))
    if not shown:
        return Markup("")
    lead = (
        "Silent data corruption: SDC-1 is another class than the clean model's, SDC-5 one outside its best five, "
        "critical a right answer turned wrong. Shares of 0 have no place on this axis; the table above has them."
    )
    return section("answers", "What faults do to answers", _grid(shown), lead=lead)


def _map(campaign: FaultCampaign, drawn: list[Chart]) -> Markup:
    parts: list[Markup] = []
    for number, device in enumerate(campaign.devices):
        if device.map is None:
            continue
        whole, layers = (draw(device, campaign, number) for draw in (map_charts.map_chart, map_charts.layer_chart))
        drawn += [whole, layers]
        pair = [shell.figure(whole), shell.figure(layers, map_charts.what_is_left(device, campaign))]
        parts.append(tag("div", _grid(pair), map_table(device, campaign), class_="below"))
    if not parts:
        return Markup("")
    asked = campaign.settings.map
    margin = "" if asked is None else f" to ±{wording.points(asked.margin)} at {100 * campaign.confidence:g} %"
    lead = (
        "One flipped bit at a time, in each bit of each tensor: first the share of answers that it turns from right to "
        f"wrong, drawn often enough to know each cell{margin} (Leveugle et al., DATE 2009); then where an upset's harm "
        "comes from, if each bit is as likely to be struck as any other: large tensors count for more."
    )
    return section("map", "Which bit does the harm", *parts, lead=lead)


def _field(campaign: FaultCampaign) -> Markup:
    there = [device for device in campaign.devices if device.wrong_answers is not None]
    if not there:
        return Markup("")
    lead = (
        "Estimated from the map, not from the rates above: upsets in the field are years apart and strike alone. Wrong "
        "answers come in bursts, from an upset that does harm until the weights are written anew. Intervals hold the "
        "uncertainty of the map alone, not that of the upset rate."
    )
    cards = [_card(device, field_facts(device, campaign), len(campaign.devices) > 1) for device in there]
    return section("field", "Wrong answers in the field", tag("div", *cards, class_="cards"), lead=lead)


def _protection(campaign: FaultCampaign, drawn: list[Chart]) -> Markup:
    parts: list[Markup] = []
    for number, device in enumerate(campaign.devices):
        chart = map_charts.protection_chart(device, campaign, number)
        figure = Markup("")
        if chart is not None:
            drawn.append(chart)
            figure = shell.figure(chart)
        if device.trials:
            parts.append(tag("div", figure, protection_table(device, campaign), class_="below"))
    if not parts:
        return Markup("")
    lead = (
        "What the map proposes to protect for so much more memory, tried on patterns that had no part in the choice, "
        "the same ones for all. Range clipping holds feature maps to the range that they have without faults; it costs "
        "no memory. Gains are in pairs: the same faults with protection and without."
    )
    return section("protection", "What protection is worth", *parts, lead=lead)


def _reading(campaign: FaultCampaign) -> Markup:
    precision = campaign.settings.precision
    level = f"{100 * precision.confidence:g} %"
    lines = [
        "The pattern is the statistical unit. All samples under one pattern share its fate, so that more samples say "
        "nothing more about patterns.",
        f"The limits below an accuracy are Student's {level} interval of the mean over patterns, on these very "
        "samples: what another draw of faults might have given. “Over samples” is the interval under these very "
        "patterns: what other data might have given. “Over both” allows for both.",
        f"Patterns were drawn until the mean was known to ±{wording.points(precision.half_width)}, judged at planned "
        f"numbers of patterns from {precision.least:,} on, and at most {precision.most:,} of them (“cap”).",
        "Worst 5 %: the mean accuracy of the worst twentieth of the patterns, from 20 patterns on.",
        "Answers with NaN or infinity count as wrong, and are listed.",
    ]
    if any(device.map is not None for device in campaign.devices):
        lines.append(
            "In the map a flip is the unit; the interval is Wilson's with the effective sample size. Bits that no "
            "flip has harmed are not proven harmless: look at the upper limit."
        )
    if any(device.trials for device in campaign.devices):
        lines.append(
            "Predicted harm left comes from the same noisy map that chose the bits, so that it promises too much; the "
            "accuracy on fresh patterns is the judge."
        )
    return section("reading", "How to read this", tag("ul", *(tag("li", line) for line in lines), class_="notes"))


def _provenance(campaign: FaultCampaign) -> Markup:
    settings = campaign.settings
    pairs: list[tuple[object, object]] = [
        ("Model", f"{settings.model.name}, sha256 {campaign.model_digest}"),
        ("Data", f"{settings.data.name}, sha256 {campaign.data_digest}"),
        ("Seed of the patterns", settings.seed),
        ("Samples to a call", settings.batch),
        ("Tensors that could be hit", f"{len(campaign.sizes):,}, {sum(campaign.sizes.values()):,} values"),
        ("Gauntlet", campaign.software_version),
    ]
    if not campaign.sizes:
        del pairs[4]
    cards = []
    for device in campaign.devices:
        names = {"class": "Class", "runtime": "Runtime", "delegate": "Delegate", "threads": "Threads"}
        rows = [(names.get(key, key), value) for key, value in device.provenance.items()]
        cards.append(_card(device, facts(rows), True))
    return section("provenance", "Provenance", facts(pairs), tag("div", *cards, class_="cards below"))


def _card(device: DeviceResult, content: Markup, named: bool) -> Markup:
    return tag("div", tag("h3", device.device_id) if named else "", content, class_="card")


def _grid(figures: Iterable[Markup]) -> Markup:
    """Two side by side where the page is wide enough; a single one takes all of it."""
    shown = list(figures)
    return shown[0] if len(shown) == 1 else tag("div", *shown, class_="grid pairs") if shown else Markup("")


def _spread(cleans: list[float]) -> str:
    if not cleans:
        return "–"
    low, high = f"{100 * min(cleans):.2f}", f"{100 * max(cleans):.2f}"
    return f"{low} %" if low == high else f"{low}–{high} %"


def _count(number: int) -> str:
    return f"{number:,}" if number < 1_000_000 else f"{number / 1e6:,.3g} M"
