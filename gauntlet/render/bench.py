"""The report of one measurement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from gauntlet.render import figures, histogram, missing, preflight, processes, profile, scenarios, units
from gauntlet.render.device import add_place, heading, lines_table, pair_grid
from gauntlet.results_json import stop_reason_name
from protos.blame import kind_name
from protos.figures import measured, value_of
from protos.gauntlet.v1 import fault_pb2, fleet_pb2, job_pb2, measurement_pb2, setup_pb2
from protos.timed import timed_parts

_STOPS = {
    measurement_pb2.STOP_REASON_PRECISE: "the median is known as precisely as asked",
    measurement_pb2.STOP_REASON_PLATEAU: "more samples no longer narrow the median's interval",
    measurement_pb2.STOP_REASON_MAX_SAMPLES: "the most samples that were asked for are taken",
    measurement_pb2.STOP_REASON_MAX_TIME: "the most seconds that were asked for are over",
}


def report(job: job_pb2.Job, device: fleet_pb2.Device | None = None, width: int = 80) -> RenderableType:
    """All that one job found out.

    Args:
        job: a succeeded job.
        device: the device that measured it, for its description; may be unknown.
        width: characters of a line.
    """
    return Group(*_sections(job, device, width))


def summary(jobs: Sequence[job_pb2.Job]) -> RenderableType:
    """Several jobs side by side, one line for each."""
    table = lines_table("model", "median", "±", "peak memory", "runtime", "device")
    for job in jobs:
        name = Text(job.spec.measurement.model.name, "bold")
        if not job.HasField("result"):
            table.add_row(name, *[Text("–", "dim")] * 3, Text(kind_name(job.failure.kind), "red"), "")
            continue
        median, provenance = job.result.latency.median_s, job.result.provenance
        width = figures.half_width(median)
        table.add_row(
            name,
            figures.short(median, units.duration),
            Text("–" if width is None else units.ratio_short(width), "dim"),
            figures.short(job.result.memory.peak_bytes, units.size),
            f"{provenance.runtime} {provenance.runtime_version}",
            Text.assemble(provenance.device_id, (" unfit" if provenance.unfit else "", "bold red")),
        )
    for column in table.columns[1:]:
        column.no_wrap = True
    for column in table.columns[1:4]:
        column.justify = "right"
    return Group(table, Text(""))


def _sections(job: job_pb2.Job, device: fleet_pb2.Device | None, width: int) -> Iterator[RenderableType]:
    result = job.result
    title = Text.assemble((job.spec.measurement.model.name, "bold"), ("  job ", "dim"), (job.job_id[:8], "dim"))
    yield Rule(title, align="left", style="cyan", characters="━")
    yield _header(job, device)
    if unfit := preflight.unfit(result.provenance):
        yield unfit
    if result.HasField("latency"):
        yield heading("Latency")
        yield from _latency(result.latency, job.spec.measurement.latency, width)
    if result.HasField("multi_stream"):
        yield heading("Multi-stream")
        yield scenarios.multi_stream(result.multi_stream)
    if result.HasField("offline"):
        yield heading("Offline")
        yield scenarios.offline(result.offline, job.spec.measurement.offline, width)
    if result.profile.operators:
        yield heading("Operators")
        yield profile.render(result.profile, value_of(result.latency.median_s), width)
    if rows := _others(job):
        yield heading("Other figures")
        yield rows
    if host := _host(result.provenance):
        yield heading("Host")
        yield host
    if result.provenance.remarks:
        yield heading("Remarks")
        for remark in result.provenance.remarks:
            yield Padding(Text.assemble(("! ", "yellow"), remark), (0, 0, 0, 2))
    if reasons := missing.reasons(job, device):
        yield heading("Not measured")
        yield _reasons(reasons)
    yield Text("")


def _header(job: job_pb2.Job, device: fleet_pb2.Device | None) -> RenderableType:
    table = pair_grid()
    result, provenance, ref = job.result, job.result.provenance, job.spec.measurement.model
    table.add_row("model", f"{units.size(result.model.size_bytes or ref.size_bytes)}, sha256 {ref.digest[:16]}…")
    for name, tensors in (("input", result.model.inputs), ("output", result.model.outputs)):
        for tensor in tensors:
            table.add_row(name, _tensor(tensor))
    add_place(table, provenance, device)
    if timed_parts(result):
        table.add_row("preflight", preflight.line(provenance))
    return table


def _tensor(tensor: measurement_pb2.TensorFacts) -> Text:
    shape = "×".join("?" if size < 0 else str(size) for size in tensor.shape) or "scalar"
    text = Text.assemble(f"{tensor.dtype} {shape}", ("  " + tensor.name, "dim"))
    if tensor.HasField("scale"):
        text.append(f"  scale {tensor.scale:.4g}, zero point {tensor.zero_point}", "dim")
    return text


def _latency(
    latency: measurement_pb2.LatencyResult, spec: measurement_pb2.LatencySpec, width: int
) -> Iterator[RenderableType]:
    """With several processes: their means, each of them, and then what is of the first alone."""
    table = figures.grid()
    figures.add(table, "load", latency.load_s, units.duration)
    figures.add(table, "first inference", latency.first_inference_s, units.duration)
    figures.add(table, "median", latency.median_s, units.duration, bold=True)
    figures.add(table, "mean", latency.mean_s, units.duration)
    if latency.runs:
        remark = "standard deviation of the median between processes"
        figures.add(table, "process spread", latency.process_spread, units.ratio_short, remark)
        yield table
        yield Padding(processes.sentence(latency, spec), (0, 0, 1, 2))
        yield processes.table(latency)
        yield Text("  Of the first process alone:", "dim")
        table = figures.grid()
    first = latency.runs[0] if latency.runs else latency
    median, deviation = value_of(first.median_s), value_of(latency.mad_s)
    share = f"{units.ratio_short(deviation / median)} of the median" if median and deviation is not None else ""
    figures.add(table, "MAD", latency.mad_s, units.duration, share)
    figures.add(table, "min", latency.min_s, units.duration)
    for percentile in latency.percentiles:
        figures.add(table, f"p{100 * percentile.rank:g}", percentile.latency_s, units.duration)
    figures.add(table, "max", latency.max_s, units.duration)
    yield table
    yield Padding(_sampling(latency, first.median_s.estimate.samples), (0, 0, 1, 2))
    if latency.HasField("histogram"):
        yield histogram.render(latency.histogram, median, width)


def _sampling(latency: measurement_pb2.LatencyResult, samples: int) -> Text:
    calls = f" of {latency.calls_per_sample} calls each" if latency.calls_per_sample > 1 else ""
    settled = "settled" if latency.warmup_settled else "not settled"
    warmup = f"warm-up: {units.count(latency.warmup_runs, 'run')} in {units.duration(latency.warmup_s)}, {settled}"
    stop = _STOPS.get(latency.stop_reason, stop_reason_name(latency.stop_reason))
    text = Text(f"{units.count(samples, 'sample')}{calls}; {warmup}.\nStopped because {stop}.", "dim")
    if not latency.warmup_settled:
        text.highlight_words(["not settled"], "yellow")
    return text


def _others(job: job_pb2.Job) -> Table | None:
    table = figures.grid()
    result = job.result
    if result.HasField("memory"):
        figures.add(table, "peak memory", result.memory.peak_bytes, units.size, "whole process")
        figures.add(table, "model's share", result.memory.model_bytes, units.size, "less what the process held before")
    if result.HasField("energy") and value_of(result.energy.energy_j) is not None:
        energy = result.energy
        figures.add(table, "energy", energy.energy_j, units.energy, f"one inference, {energy.source}")
        figures.add(table, "net of idle", energy.net_energy_j, units.energy)
        figures.add(table, "power", energy.power_w, units.power, f"over {units.duration(energy.window_s)}")
        figures.add(table, "idle power", energy.idle_power_w, units.power)
    if result.HasField("accuracy"):
        accuracy = result.accuracy
        remark = units.count(accuracy.samples, "sample")
        if accuracy.non_finite:
            remark += f", {accuracy.non_finite:,} with NaN or infinity counted as wrong"
        figures.add(table, "accuracy (top-1)", accuracy.top1, units.ratio, remark)
    if result.HasField("faults"):
        _add_faults(table, result.faults, job.spec.measurement.fault_plan)
    if result.HasField("output_check"):
        check = result.output_check
        figures.add(
            table, "output differs", check.max_difference, units.number, "largest, in the reference's deviations"
        )
        figures.add(table, "top-1 agrees", check.top1_agreement, units.ratio, "with the reference")
    return table if table.row_count else None


def _add_faults(table: Table, faults: measurement_pb2.FaultResult, plan: fault_pb2.FaultPlan) -> None:
    patterns = units.count(len(faults.pattern_accuracies), "pattern")
    capped = ", the most that were asked for" if faults.stop == measurement_pb2.PATTERN_STOP_CAP else ""
    remark = f"{plan.fault_model}, mean of {patterns}{capped}"
    if value_of(faults.non_finite):
        remark += f"; {units.ratio_short(faults.non_finite.estimate.value)} of the outputs held NaN or infinity"
    figures.add(table, "under faults", faults.accuracy, units.ratio, remark)
    if faults.pattern_accuracies:
        counts = faults.fault_counts
        remark = f"{sum(counts) / len(counts):.1f} faults a pattern on average" if counts else ""
        figures.add(table, "worst pattern", measured(min(faults.pattern_accuracies)), units.ratio, remark)


def _host(provenance: measurement_pb2.Provenance) -> Table | None:
    """What was sensed before and after; what could not be is listed with the missing."""
    table = figures.grid()
    before, after = provenance.before, provenance.after
    for name, field, text in (
        ("temperature", "temperature_c", units.temperature),
        ("clock", "frequency_hz", units.frequency),
        ("load average", "load_average", units.load),
        ("other processes", "background_cores", lambda cores: f"{cores:.2f} cores"),
    ):
        first, last = getattr(before, field), getattr(after, field)
        if value_of(first) is not None or value_of(last) is not None:
            table.add_row(f"  {name}", figures.short(first, text), Text("→ ", "dim") + figures.short(last, text))
    if before.governor:
        table.add_row("  governor", before.governor, "" if after.governor == before.governor else f"→ {after.governor}")
    if provenance.HasField("setup"):
        for change in provenance.setup.changes:
            table.add_row(f"  set {change.control.replace('_', ' ')}", change.read_back, Text(_found(change), "dim"))
        if provenance.setup.asked.cores:
            table.add_row("  chosen cores", provenance.setup.asked.cores)
    return table if table.row_count else None


def _found(change: setup_pb2.SetupChange) -> str:
    return f"found and put back: {change.found or 'as stored'}, {change.target}"


def _reasons(reasons: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=15, max_width=28, overflow="fold")
    table.add_column(overflow="fold")
    for names, reason in reasons:
        table.add_row(Text(f"  {names}"), Text(reason, "dim italic"))
    return table
