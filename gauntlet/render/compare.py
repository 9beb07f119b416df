"""The report of one comparison, and several side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from gauntlet.render import figures, preflight, strip, units
from gauntlet.render.device import add_place, lines_table, pair_grid
from protos.blame import kind_name
from protos.figures import value_of
from protos.gauntlet.v1 import artifact_pb2, fleet_pb2, job_pb2, measurement_pb2

_FASTER = measurement_pb2.COMPARISON_VERDICT_FASTER
_SLOWER = measurement_pb2.COMPARISON_VERDICT_SLOWER


def report(job: job_pb2.Job, device: fleet_pb2.Device | None = None, width: int = 80) -> RenderableType:
    """All that one comparison found out.

    Args:
        job: a succeeded job.
        device: the device that measured it, for its description; may be unknown.
        width: characters of a line.
    """
    return Group(*_sections(job, device, width))


def summary(jobs: Sequence[job_pb2.Job]) -> RenderableType:
    """Several devices side by side, one line for each."""
    table = lines_table("device", "A", "B", "B / A", "±", "B is")
    for job in jobs:
        result = job.result.comparison
        if not job.HasField("result"):
            name = job.attempts[-1].device_id if job.attempts else job.spec.device.device_id
            row = [Text(name or "–", "bold"), *[Text("–", "dim")] * 4, Text(kind_name(job.failure.kind), "red")]
        else:
            told = job.result.provenance
            row = [
                Text.assemble((told.device_id, "bold"), (" unfit" if told.unfit else "", "bold red")),
                figures.short(result.median_a_s, units.duration),
                figures.short(result.median_b_s, units.duration),
                Text(_ratio(result.ratio.estimate.value)),
                Text(units.ratio_short(_half_width(result)), "dim"),
                _verdict_word(result),
            ]
        table.add_row(*row)
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[1:5]:
        column.justify = "right"
    return Group(table, Text(""))


def verdict_line(job: job_pb2.Job) -> Text:
    """What was found, in one sentence."""
    result = job.result.comparison
    estimate = result.ratio.estimate
    change, low, high = (100 * (value - 1) for value in (estimate.value, estimate.interval.low, estimate.interval.high))
    at = f"at {100 * estimate.interval.confidence:g} %"
    if result.HasField("measured_noise_floor"):
        floor = units.ratio_short(result.measured_noise_floor.estimate.value)
        text = Text.assemble("The noise floor of ", (job.result.provenance.device_id, "bold"), " is ", (floor, "bold"))
        text.append(": A was compared with itself. ")
        if result.verdict in (_FASTER, _SLOWER):
            return text.append("It seemed to differ, so something favours one of the two: take it again.", "yellow")
        return text.append("Smaller differences mean nothing.", "dim")
    if result.verdict == _FASTER:
        text = Text.assemble("B is ", ("faster", "bold green"), " than A: it takes ", (_percent(-change), "bold"))
        return text.append(f" less time ({_between(-high, -low)} {at}).")
    if result.verdict == _SLOWER:
        text = Text.assemble("B is ", ("slower", "bold red"), " than A: it takes ", (_percent(change), "bold"))
        return text.append(f" more time ({_between(low, high)} {at}).")
    text = Text.assemble("B and A are ", ("indistinguishable", "bold yellow"), ": ")
    if estimate.interval.low <= 1 <= estimate.interval.high:
        return text.append(f"the interval of their ratio holds 1 ({low:+.2g} to {high:+.2g} % {at}).")
    floor = units.ratio_short(result.noise_floor.estimate.value)
    return text.append(f"{change:+.2g} % lies within the noise floor of {floor}.")


def _sections(job: job_pb2.Job, device: fleet_pb2.Device | None, width: int) -> Iterator[RenderableType]:
    spec, result = job.spec.measurement, job.result.comparison
    title = Text.assemble((spec.comparison.model.name, "bold"), (" against ", ""), (spec.model.name, "bold"))
    yield Rule(title.append(f"  job {job.job_id[:8]}", "dim"), align="left", style="cyan", characters="━")
    yield _header(job, device)
    if unfit := preflight.unfit(job.result.provenance):
        yield unfit
    yield Padding(verdict_line(job), (1, 0, 1, 2))
    yield _figures(result)
    yield Padding(_sampling(result, spec.comparison), (0, 0, 1, 2))
    yield strip.render(result, width)
    if job.result.provenance.remarks:
        yield Padding(Text("Remarks", "bold cyan"), (1, 0, 0, 0))
        for remark in job.result.provenance.remarks:
            yield Padding(Text.assemble(("! ", "yellow"), remark), (0, 0, 0, 2))
    yield Text("")


def _header(job: job_pb2.Job, device: fleet_pb2.Device | None) -> RenderableType:
    table = pair_grid()
    provenance, spec = job.result.provenance, job.spec.measurement
    table.add_row("A", _model(spec.model))
    table.add_row("B", _model(spec.comparison.model))
    add_place(table, provenance, device)
    table.add_row("preflight", preflight.line(provenance))
    return table


def _model(ref: artifact_pb2.ArtifactRef) -> str:
    return f"{ref.name}, {units.size(ref.size_bytes)}, sha256 {ref.digest[:16]}…"


def _figures(result: measurement_pb2.ComparisonResult) -> Table:
    table = figures.grid()
    figures.add(table, "time B / time A", result.ratio, _ratio, bold=True)
    figures.add(table, "median A", result.median_a_s, units.duration)
    figures.add(table, "median B", result.median_b_s, units.duration)
    if result.HasField("measured_noise_floor"):
        figures.add(table, "noise floor", result.measured_noise_floor, units.ratio_short)
    else:
        figures.add(table, "noise floor", result.noise_floor, units.ratio_short)
    spread = "standard deviation of the ratio between processes"
    figures.add(table, "process spread", result.process_spread, units.ratio_short, spread)
    return table


def _sampling(result: measurement_pb2.ComparisonResult, spec: measurement_pb2.ComparisonSpec) -> Text:
    blocks = sum(len(run.block_ratios) for run in result.runs)
    text = Text(f"{units.count(blocks, 'block')} in {units.count(len(result.runs), 'process')}.", "dim")
    unsettled = sum(not (run.warmup_settled_a and run.warmup_settled_b) for run in result.runs)
    if unsettled:
        text.append(f" Not settled after the warm-up in {unsettled} of them.", "yellow")
    if _half_width(result) > spec.half_width:
        wanted = units.ratio_short(spec.half_width)
        text.append(f" Less precise than ±{wanted}: that takes more than {spec.max_processes} processes.", "yellow")
    return text


def _half_width(result: measurement_pb2.ComparisonResult) -> float:
    """Of the ratio's logarithm, as it was asked for."""
    interval = result.ratio.estimate.interval
    return math.log(interval.high / interval.low) / 2


def _verdict_word(result: measurement_pb2.ComparisonResult) -> Text:
    if value_of(result.measured_noise_floor) is not None:
        return Text("A", "dim")
    if result.verdict == _FASTER:
        return Text("faster", "green")
    return Text("slower", "red") if result.verdict == _SLOWER else Text("indistinguishable", "yellow")


def _ratio(value: float) -> str:
    return f"{value:.4f}"


def _percent(value: float) -> str:
    return f"{value:.3g} %"


def _between(low: float, high: float) -> str:
    return f"{low:.3g} – {high:.3g} %"
