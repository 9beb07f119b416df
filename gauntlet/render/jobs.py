"""Jobs: the table of many, one in full, and what its attempts left behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from gauntlet.render import compare, units
from gauntlet.render.bench import report
from gauntlet.render.device import lines_table, pair_grid
from gauntlet.results_json import state_name
from protos.blame import blame, kind_name
from protos.gauntlet.v1 import failure_pb2, fleet_pb2, job_pb2

_STYLES: dict[int, str] = {
    job_pb2.JOB_STATE_LEASED: "cyan",
    job_pb2.JOB_STATE_RUNNING: "cyan",
    job_pb2.JOB_STATE_SUCCEEDED: "green",
    job_pb2.JOB_STATE_FAILED: "red",
    job_pb2.JOB_STATE_CANCELLED: "yellow",
}


def jobs_table(jobs: Sequence[fleet_pb2.JobSummary]) -> RenderableType:
    """One line for each job."""
    if not jobs:
        return Text("no jobs")
    # In a lab without TLS all jobs are one user's.
    users = any(job.user not in ("", "local") for job in jobs)
    table = lines_table("job", "state", *(["user"] if users else []), "model", "device", "age", "tries", "remark")
    # One line for each job; a long failure is whole in `gauntlet jobs show`.
    for column in table.columns:
        column.no_wrap, column.overflow = True, "ellipsis"
    table.columns[0].min_width = 8
    table.columns[2 + users].max_width = 30
    if users:
        table.columns[2].max_width, table.columns[3].max_width = 10, 20
    # What the others leave.
    table.expand, table.columns[-1].ratio = True, 1
    for job in jobs:
        failed = job.failure_kind != failure_pb2.FAILURE_KIND_UNSPECIFIED
        table.add_row(
            Text(job.job_id[:8], "bold"),
            Text("succeeded", "yellow") if job.suspect_because else _state(job.state),
            *([job.user] if users else []),
            job.model_name,
            job.device_id or Text("–", "dim"),
            units.age(job.submitted_at),
            str(job.attempts),
            Text.assemble((kind_name(job.failure_kind), "red"), f": {job.failure_message}")
            if failed
            else Text(job.waits_for, "yellow")
            if job.waits_for
            else _suspect(job.suspect_because),
        )
    return table


def job_report(job: job_pb2.Job, device: fleet_pb2.Device | None = None, width: int = 80) -> RenderableType:
    """All that is known of one job."""
    return Group(*_report(job, device, width))


def failure_lines(job: job_pb2.Job) -> Text:
    """A failed job, as `gauntlet bench` says it: what, in whose words, where, and what to do."""
    failure = job.failure
    name = job.spec.measurement.model.name
    text = Text.assemble(("error: ", "bold red"), (name, "bold"), f": {_kind(failure)}: {failure.message}")
    where = [f"device {job.attempts[-1].device_id}"] if job.attempts else ["never started"]
    if failure.last_step:
        where.insert(0, f"last step: {failure.last_step}")
    if len(job.attempts) > 1:
        where.append(f"attempt {len(job.attempts)} of at most {job.spec.max_attempts}")
    text.append(f"\n  {'; '.join(where)}", "dim")
    if failure.remedy:
        text.append("\n  remedy: ", "bold").append(failure.remedy)
    return text.append(f"\n  more: gauntlet jobs logs {job.job_id[:8]}", "dim")


def suspicion_lines(job: job_pb2.Job) -> Text:
    """A job whose figures are suspect: why, and what is done about it."""
    again = job.suspicion.successor_job_id
    if again:
        then = f"measured again: gauntlet jobs show {again[:8]}"
    elif job.spec.repeats_job_id:
        then = "it is a second measurement already, and is left at that: look at the device, then measure anew"
    else:
        then = "not measured again"
    name = job.spec.measurement.model.name
    text = Text.assemble(("suspect: ", "bold yellow"), (name, "bold"), f": {job.suspicion.reason}")
    return text.append(f"\n  {then}", "dim")


def logs(job: job_pb2.Job) -> RenderableType:
    """What each attempt left behind."""
    return Group(*_logs(job))


def stderr_lines(failure: failure_pb2.Failure) -> RenderableType:
    """The end of the worker's standard error, as it is."""
    if not failure.stderr_tail.strip():
        return Padding(Text("the worker wrote nothing to its standard error", "dim"), (0, 0, 0, 4))
    return Padding(Text(failure.stderr_tail.rstrip(), "dim"), (0, 0, 0, 4))


def _report(job: job_pb2.Job, device: fleet_pb2.Device | None, width: int) -> Iterator[RenderableType]:
    spec = job.spec.measurement
    yield Rule(Text(f"job {job.job_id}", "bold"), align="left", style="cyan")
    table = pair_grid()
    table.add_row("state", _state(job.state) + Text(f", {job.step}" if job.step else "", "dim"))
    table.add_row("model", f"{spec.model.name}, {units.size(spec.model.size_bytes)}, sha256 {spec.model.digest[:16]}…")
    wanted = job.spec.device
    asked = [
        *([f"device {wanted.device_id}"] if wanted.device_id else []),
        *([f"class {wanted.device_class}"] if wanted.device_class else []),
        *(f"{key}={value}" for key, value in sorted(wanted.labels.items())),
        *(f"senses {quantity}" for quantity in wanted.sensors),
        *([f"{units.size(wanted.min_memory_bytes)} of memory"] if wanted.min_memory_bytes else []),
    ]
    table.add_row("asked for", ", ".join(asked) or "any device that can")
    runtime = spec.runtime.name or "any runtime that takes the model"
    threads = units.count(spec.runtime.threads, "thread")
    table.add_row("with", f"{runtime}, delegate {spec.runtime.delegate or 'none'}, {threads}")
    parts = ("output_check", "latency", "memory", "accuracy", "energy", "fault_plan")
    named = [part.replace("_", " ") for part in parts if spec.HasField(part)]
    table.add_row("measures", f"{', '.join(named) or 'nothing'}; killed after {units.duration(spec.timeout_s)}")
    if job.waits_for:
        table.add_row("waits for", Text(job.waits_for.removeprefix("waits for "), "yellow"))
    if job.user not in ("", "local"):
        table.add_row("for", job.user)
    if job.spec.campaign_id:
        table.add_row("campaign", job.spec.campaign_id)
    if job.spec.deadline_s:
        table.add_row("deadline", f"{units.duration(job.spec.deadline_s)} after submission")
    table.add_row("submitted", f"{units.clock(job.submitted_at)} UTC, {units.age(job.submitted_at)} ago")
    if job.finished_at:
        table.add_row("finished", f"{units.clock(job.finished_at)} UTC")
    if job.spec.repeats_job_id:
        table.add_row("repeats", f"job {job.spec.repeats_job_id[:8]}, whose result is suspect")
    if job.superseded_results:
        table.add_row("late", f"{units.count(job.superseded_results, 'result')} kept and not counted")
    yield table
    if job.attempts:
        yield Text("")
        attempts = lines_table("attempt", "device", "started (UTC)", "ended (UTC)", "outcome")
        for attempt in job.attempts:
            attempts.add_row(
                str(attempt.number),
                attempt.device_id,
                units.clock(attempt.started_at),
                units.clock(attempt.ended_at),
                _outcome(job, attempt),
            )
        yield attempts
    yield Text("")
    if job.HasField("suspicion"):
        yield suspicion_lines(job)
        yield Text("")
    if job.HasField("result"):
        yield (compare.report if job.result.HasField("comparison") else report)(job, device, width)
    elif job.HasField("failure"):
        yield failure_lines(job)


def _logs(job: job_pb2.Job) -> Iterator[RenderableType]:
    if not job.attempts:
        yield Text(f"job {job.job_id[:8]} is {state_name(job.state)} and was never started")
        if job.HasField("failure"):
            yield Text(f"  {_kind(job.failure)}: {job.failure.message}")
    for attempt in job.attempts:
        yield Rule(Text(f"attempt {attempt.number} on {attempt.device_id}", "bold"), align="left", style="cyan")
        table = pair_grid()
        table.add_row("began", f"{units.clock(attempt.started_at)} UTC")
        table.add_row("ended", f"{units.clock(attempt.ended_at)} UTC" if attempt.ended_at else "it still runs")
        table.add_row("outcome", _outcome(job, attempt))
        if not attempt.HasField("failure"):
            yield table
            continue
        failure = attempt.failure
        table.add_row("message", failure.message)
        table.add_row("fault of", f"the {blame(failure).value}")
        table.add_row("last step", failure.last_step or "not known")
        if failure.remedy:
            table.add_row("remedy", failure.remedy)
        yield table
        yield Text("  standard error, its end:", "dim")
        yield stderr_lines(failure)


def _outcome(job: job_pb2.Job, attempt: job_pb2.Attempt) -> Text:
    if attempt.HasField("failure"):
        return Text(_kind(attempt.failure), "red")
    if not attempt.ended_at:
        return Text(job.step or "held", "cyan")
    return Text("measured", "green")


def _kind(failure: failure_pb2.Failure) -> str:
    """The kind and its signal: "crashed (SIGSEGV)"."""
    if not failure.HasField("signal"):
        return kind_name(failure.kind)
    try:
        name = signal.Signals(failure.signal).name
    except ValueError:
        name = f"signal {failure.signal}"
    return f"{kind_name(failure.kind)} ({name})"


def _suspect(because: str) -> Text:
    return Text.assemble(("suspect", "yellow"), f": {because}") if because else Text()


def _state(state: int) -> Text:
    return Text(state_name(state), _STYLES.get(state, ""))
