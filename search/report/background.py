"""What one has to know to believe the rest: devices, time, provenance, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from search.report.inputs import ReportInput
from search.report.markup import Markup, facts, join, section, table, tag
from search.report.units import Unit, duration, heading


def devices(report: ReportInput) -> Markup:
    """Where it was measured."""
    if not report.devices:
        return section("devices", "Devices", tag("p", "No device took part."))
    cards = [_device(device) for device in report.devices]
    return section("devices", "Devices", tag("div", *cards, class_="cards"))


def time_spent(report: ReportInput) -> Markup:
    """Where the time went, as bars."""
    if not report.stage_s:
        return section("time", "Where the time went", tag("p", "Stage times were not recorded.", class_="soft"))
    total = sum(report.stage_s.values()) or 1.0
    longest = max(report.stage_s.values()) or 1.0
    rows = []
    for stage, seconds in sorted(report.stage_s.items(), key=lambda pair: -pair[1]):
        bar = tag("span", class_="bar", style=f"--share:{100 * seconds / longest:.2f}%", aria_hidden="true")
        rows.append([stage, bar, duration(seconds), f"{seconds / total:.1%}"])
    wall = f" The run took {duration(report.wall_s)}." if report.wall_s is not None else ""
    lead = f"Seconds by stage, {duration(total)} in all; stages that ran side by side count in full.{wall}"
    heads = ["Stage", tag("span", "Bar", class_="hidden"), "Time", "Share"]
    bars = tag("div", table("Time by stage", heads, rows, numeric=(2, 3), class_="bars"), class_="slim")
    return section("time", "Where the time went", bars, lead=lead)


def provenance(report: ReportInput) -> Markup:
    """Settings, software, seeds."""
    pairs: dict[str, str] = {**report.settings, **report.provenance, "Gauntlet": report.software_version}
    seen: dict[str, Counter[str]] = {}
    for evaluation in report.evaluations:
        for name, value in evaluation.provenance.items():
            seen.setdefault(name, Counter())[value] += 1
    for name, values in seen.items():
        pairs.setdefault(name, _distinct(values))
    notes = tag("ul", *(tag("li", note) for note in report.notes), class_="notes") if report.notes else ""
    return section("provenance", "Provenance", facts(pairs.items()), notes)


def missing(report: ReportInput) -> Markup:
    """What was not measured, and why."""
    reasons: Counter[tuple[str, str]] = Counter()
    for evaluation in report.succeeded:
        for objective in report.objectives:
            value = evaluation.value(objective.name)
            if value.value is None:
                reasons[heading(objective.quantity), value.unavailable] += 1
        for name, value in evaluation.figures.items():
            if value.value is None and name not in {objective.name for objective in report.objectives}:
                reasons[name, value.unavailable] += 1
    rows: list[list[object]] = [
        [what, why, "all" if number == len(report.succeeded) else str(number)]
        for (what, why), number in reasons.most_common()
    ]
    rows += [[what, why, "–"] for what, why in report.unavailable]
    if report.audit is None:
        rows.append(["Supernet ranking quality", report.audit_missing, "–"])
    if not rows:
        body = tag("p", "Nothing: every figure that was asked for is there.")
    else:
        body = table("What is missing", ["What", "Why", "Candidates"], rows, numeric=(2,), class_="prose")
    return section("missing", "Not measured, and why", body)


def _device(device: Mapping[str, Any]) -> Markup:
    hardware: Mapping[str, Any] = device.get("hardware") or {}
    memory = int(hardware.get("memory_bytes") or 0)
    cores = hardware.get("physical_cores"), hardware.get("logical_cores")
    pairs = [
        ("Class", device.get("device_class")),
        ("Board", hardware.get("board")),
        ("Processor", hardware.get("cpu_model")),
        ("Cores", f"{cores[0]} ({cores[1]} threads)" if all(cores) else None),
        ("Memory", Unit.fitting("B", [memory]).text(memory) if memory else None),
        ("System", " · ".join(str(hardware[key]) for key in ("operating_system", "kernel") if hardware.get(key))),
        ("Virtualization", hardware.get("virtualization")),
        ("Runtimes", ", ".join(f"{r.get('name')} {r.get('version')}" for r in device.get("runtimes") or ())),
    ]
    sensors = [
        tag("li", f"{sensor.get('quantity')}: {sensor['unavailable']}")
        for sensor in device.get("sensors") or ()
        if sensor.get("unavailable")
    ]
    without = join([tag("p", "Cannot sense", class_="soft"), tag("ul", *sensors, class_="soft")]) if sensors else ""
    name = tag("h3", device.get("device_id") or "unnamed")
    return tag("div", name, facts((key, value) for key, value in pairs if value), without, class_="card")


def _distinct(values: Counter[str]) -> str:
    if len(values) == 1:
        return next(iter(values))
    common = "; ".join(f"{value} ({number})" for value, number in values.most_common(3))
    return common if len(values) <= 3 else f"{common}; {len(values) - 3} more"
