"""`gauntlet jobs`."""

from __future__ import annotations

from typing import Annotated

import typer

from gauntlet.cli.output import JsonOption, LabDirOption, LabOption, open_lab, print_json, stdout

app = typer.Typer(rich_markup_mode="rich")

JobArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the job, or the beginning of one.")]


@app.callback(invoke_without_command=True)
def jobs(
    context: typer.Context,
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="Only queued, leased, running, succeeded, failed or cancelled jobs; repeatable.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most jobs, newest first.")] = 20,
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the jobs of the lab, newest first.

    [cyan]gauntlet jobs --state failed[/]
    [cyan]gauntlet jobs show ID[/]           all that was asked and found
    [cyan]gauntlet jobs logs ID[/]           what each attempt left behind
    [cyan]gauntlet jobs cancel ID...[/]
    """
    if context.invoked_subcommand is not None:
        return
    states = [_state(name) for name in state or []]
    with open_lab(lab, lab_dir, measures=False) as opened:
        found = opened.client.jobs(states, limit=limit)
    if as_json:
        from gauntlet.results_json import document, summary_document

        print_json(document(jobs=[summary_document(job) for job in found]))
    else:
        from gauntlet.render.jobs import jobs_table

        stdout().print(jobs_table(found))


@app.command()
def show(job_id: JobArgument, lab: LabOption = "", lab_dir: LabDirOption = None, as_json: JsonOption = False) -> None:
    """Show one job: what was asked, its attempts, its result or failure."""
    with open_lab(lab, lab_dir, measures=False) as opened:
        job = opened.client.job(job_id)
        device = opened.device(job.result.provenance.device_id) if job.HasField("result") else None
    if as_json:
        from gauntlet.results_json import document, job_document

        print_json(document(job=job_document(job, device)))
    else:
        from gauntlet.render.jobs import job_report

        console = stdout()
        console.print(job_report(job, device, console.width))


@app.command()
def logs(job_id: JobArgument, lab: LabOption = "", lab_dir: LabDirOption = None, as_json: JsonOption = False) -> None:
    """Show what each attempt left behind: failure, signal, last step, the end of its standard error."""
    with open_lab(lab, lab_dir, measures=False) as opened:
        job = opened.client.job(job_id)
    if as_json:
        from gauntlet.results_json import attempt_document, document

        print_json(document(job_id=job.job_id, attempts=[attempt_document(attempt) for attempt in job.attempts]))
    else:
        from gauntlet.render.jobs import logs as rendered

        stdout().print(rendered(job))


@app.command()
def cancel(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of jobs, or the beginnings of some.")],
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel jobs, each with the one that measures it again. Those that have ended stay as they are."""
    with open_lab(lab, lab_dir, measures=False) as opened:
        full = [opened.client.job(job_id).job_id for job_id in job_ids]
        cancelled = opened.client.cancel(full)
    if as_json:
        from gauntlet.results_json import document

        print_json(document(cancelled_job_ids=cancelled))
        return
    # With a job goes the one that measures it again.
    for job_id in dict.fromkeys([*full, *cancelled]):
        typer.echo(f"{job_id[:8]} {'cancelled' if job_id in cancelled else 'had ended already'}")


def _state(name: str) -> int:
    from gauntlet.errors import UsageError
    from protos.gauntlet.v1 import job_pb2

    known = {key.removeprefix("JOB_STATE_").lower(): value for key, value in job_pb2.JobState.items() if value}
    if name.lower() not in known:
        raise UsageError(f"--state: {name} is no state of a job", f"give one of {', '.join(known)}")
    return known[name.lower()]
