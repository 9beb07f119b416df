"""The tables of the report of a fault campaign."""

from __future__ import annotations

from fault_injection.statistics import Estimate, Interval
from fault_injection.vulnerability import Outcome
from gauntlet.faults import charts, map_charts, wording
from gauntlet.faults.result import DeviceResult, FaultCampaign
from search.report.markup import Markup, facts, join, table, tag


def conditions_table(device: DeviceResult, campaign: FaultCampaign) -> Markup:
    """The figures of each condition on a device."""
    labels = charts.condition_labels(campaign)
    rows: list[list[object]] = []
    words: list[Markup] = []
    for series in wording.measured(device.series):
        figure, outcomes, plan = series.summary(campaign.confidence), series.outcomes, series.condition.plan
        rows.append(
            [
                join([wording.brief(plan), tag("small", wording.described(plan))]),
                _share(figure.accuracy),
                join([_limits(figure.over_images), tag("small", _limits(figure.over_both))]),
                _share(figure.drop),
                "–" if figure.worst_5_percent is None else _percent(figure.worst_5_percent),
                _share(figure.changed),
                _share(figure.critical),
                "–" if figure.outside_top5 is None else _share(figure.outside_top5),
                join([f"{figure.patterns:,}", tag("small", _STOPS[series.stop])]),
                _count(figure.faults),
            ]
        )
        if found := sum(outcomes.non_finite):
            words.append(
                tag(
                    "li",
                    f"{labels[series.condition.key]}: {found:,} of {len(outcomes) * outcomes.samples:,} answers held "
                    "NaN or infinity and counted as wrong.",
                )
            )
    heads: list[object] = [
        "Condition", "Accuracy, %", join(["Over samples", tag("small", "over both")]), "Drop, points", "Worst 5 %",
        "SDC-1, %", "Critical, %", "SDC-5, %", "Patterns", "Faults per pattern",
    ]  # fmt: skip
    clean = wording.clean_accuracy(device)
    title = f"On {device.device_id}" if len(campaign.devices) > 1 else "In numbers"
    if clean is not None:
        title += f"; clean {_percent(clean)} %"
    caption = f"Accuracy under faults on {device.device_id}"
    numbers = table(caption, heads, rows, numeric=range(1, len(heads)), class_="figures")
    notes = tag("ul", *words, class_="notes") if words else ""
    return tag("div", tag("h3", title), numbers, notes, class_="below")


def yield_table(device: DeviceResult, campaign: FaultCampaign) -> Markup:
    """Share of chips by the accuracy that they keep; empty without chips."""
    labels = charts.condition_labels(campaign)
    clean, rows = wording.clean_accuracy(device), []
    for series in wording.measured(device.series):
        curve = series.summary(campaign.confidence).yields
        if curve is None or clean is None:
            continue
        cells: list[object] = [labels[series.condition.key]]
        for loss in wording.LOSSES:
            share, low, high = wording.good_chips(curve, clean - loss)
            cells.append(join([f"{100 * share:.1f}", tag("small", f"{100 * low:.0f} – {100 * high:.0f}")]))
        rows.append(cells)
    if not rows or clean is None:
        return Markup("")
    heads = ["Condition", *(f"≥ {_percent(clean - loss)} % (−{100 * loss:g})" for loss in wording.LOSSES)]
    title = "Chips that are good enough, %" + (f", on {device.device_id}" if len(campaign.devices) > 1 else "")
    numbers = table(f"Share of chips by accuracy on {device.device_id}", heads, rows, numeric=range(1, len(heads)))
    return tag("div", tag("h3", title), numbers, class_="below")


def map_table(device: DeviceResult, campaign: FaultCampaign) -> Markup:
    """Harm by tensor, worst first."""
    found = device.map
    assert found is not None
    bits: dict[str, int] = {}
    flips: dict[str, int] = {}
    for result in found.results:
        site = result.stratum.site
        bits[site] = bits.get(site, 0) + result.stratum.population
        flips[site] = flips.get(site, 0) + result.injections
    changed = found.by_site(Outcome.SDC1, campaign.confidence)
    critical = found.by_site(Outcome.CRITICAL, campaign.confidence)
    shares = map_charts.layer_shares(device, campaign.confidence)
    total = sum(value for _, value, _, _ in shares)
    whole = (found.overall(outcome, campaign.confidence) for outcome in (Outcome.SDC1, Outcome.CRITICAL))
    rows: list[list[object]] = [
        [
            tag("strong", "whole network"),
            f"{sum(bits.values()):,}",
            f"{sum(flips.values()):,}",
            *map(_share, whole),
            "100.0",
        ]
    ]
    rows += [
        [
            tag("code", site),
            f"{bits[site]:,}",
            f"{flips[site]:,}",
            _share(changed[site]),
            _share(critical[site]),
            f"{100 * value / total if total else 0.0:.1f}",
        ]
        for site, value, _, _ in shares
    ]
    heads = ["Tensor", "Bits", "Flips tried", "SDC-1, %", "Critical, %", "Share of harm, %"]
    caption = f"Harm of one flipped bit by tensor on {device.device_id}"
    numbers = table(caption, heads, rows, numeric=range(1, len(heads)))
    each = sorted(result.injections for result in found.results)
    drawn = f"{each[0]:,}" if each[0] == each[-1] else f"{each[0]:,} to {each[-1]:,}"
    words = f"{drawn} flips in each bit of each tensor, each tried on {device.map_samples:,} samples."
    note = tag("p", words, class_="soft")
    return join([note, tag("details", tag("summary", "The same in numbers"), numbers)])


def field_facts(device: DeviceResult, campaign: FaultCampaign) -> Markup:
    """Times between wrong answers, and what they assume."""
    found, asked = device.wrong_answers, campaign.settings.service
    assert found is not None
    raw = wording.long_time(1 / found.upsets_per_s) if found.upsets_per_s else "never"
    pairs: list[tuple[object, object]] = [
        ("Between wrong answers", _time(found.time_between_s)),
        ("Until the first one", _time(found.time_to_first_s)),
        ("Between upsets, all", f"{raw} (estimated)"),
    ]
    if asked is not None:
        pairs.append(("Assumed", wording.assumed(asked)))
    return facts(pairs)


def protection_table(device: DeviceResult, campaign: FaultCampaign) -> Markup:
    """Each trial beside no protection."""
    bare, rows = wording.unprotected(device), []
    for trial in device.trials:
        if not len(trial.series.outcomes):
            continue
        figure, proposal = trial.series.summary(campaign.confidence), trial.proposal
        gain = None if bare is None or bare is trial else wording.gain(trial, bare, campaign.confidence)
        chosen = {} if proposal is None else proposal.protection.bits
        rows.append(
            [
                trial.name if proposal is None else f"{trial.name}, budget {100 * trial.budget:g} %",
                "0" if proposal is None else f"{100 * proposal.overhead:.2f}",
                _share(figure.accuracy),
                "–" if gain is None else _share(gain),
                "–" if proposal is None else f"{100 * proposal.harm_left:.1f}",
                "–" if proposal is None else f"{len(chosen):,}",
                f"{figure.patterns:,}",
            ]
        )
    heads = [
        "Protection", "Extra memory, %", "Accuracy, %", "Gain, points", "Harm left, % (predicted)", "Tensors protected",
        "Fresh patterns",
    ]  # fmt: skip
    caption = f"Accuracy under faults with protection on {device.device_id}"
    return tag("div", table(caption, heads, rows, numeric=range(1, len(heads))), class_="below")


def missing_table(campaign: FaultCampaign) -> Markup:
    """What was not measured, and why."""
    labels = charts.condition_labels(campaign)
    rows: list[list[object]] = []
    several = len(campaign.devices) > 1
    for device in campaign.devices:
        where = [device.device_id] if several else []
        rows += [[what, why, "–", *where] for what, why in wording.not_measured(campaign, device)]
        there = wording.measured(device.series)
        lacking: dict[tuple[str, str], list[str]] = {}
        for series in there:
            figure = series.summary(campaign.confidence)
            for pair in wording.missing_figures(figure, series.outcomes.samples, campaign.confidence).items():
                lacking.setdefault(pair, []).append(labels[series.condition.key])
        # Figures that the same conditions lack for the same reason stand together.
        groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for (name, reason), conditions in lacking.items():
            groups.setdefault((reason, tuple(conditions)), []).append(name)
        for (reason, under_these), names in groups.items():
            under = "all" if len(under_these) == len(there) else ", ".join(under_these)
            rows.append([", ".join(names), reason, under, *where])
    if not rows:
        return tag("p", "Nothing: every figure that can be had is there.")
    heads = ["What", "Why", "Conditions", *(["Device"] if several else [])]
    return table("What is missing", heads, rows, numeric=(), class_="prose")


_STOPS = {"precise": "precise", "cap": "cap", "": "under way"}


def _share(estimate: Estimate) -> Markup:
    """Percent, and the limits below."""
    return join([_percent(estimate.value), _small(estimate.interval)])


def _limits(interval: Interval | None) -> Markup:
    if interval is None:
        return Markup("–")
    return Markup(f"{_percent(interval.low)} – {_percent(interval.high)}")


def _small(interval: Interval | None) -> Markup:
    return Markup("") if interval is None else tag("small", f"{_percent(interval.low)} – {_percent(interval.high)}")


def _time(estimate: Estimate) -> Markup:
    value = "none was seen" if estimate.value == float("inf") else wording.long_time(estimate.value)
    parts: list[object] = [tag("strong", value), " (estimated)"]
    if (inside := estimate.interval) is not None:
        high = "no upper limit" if inside.high == float("inf") else wording.long_time(inside.high)
        words = f"{wording.long_time(inside.low)} – {high} at {100 * inside.confidence:g} %"
        parts.append(tag("div", words, class_="soft"))
    return join(parts)


def _count(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:,.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
