"""`gauntlet results`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from gauntlet.cli.output import LabDirOption, LabOption, open_lab, stderr

if TYPE_CHECKING:
    from gauntlet.api import Lab
    from protos.gauntlet.v1 import job_pb2


class Format(StrEnum):
    """What is written."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    MLPERF = "mlperf"


def results(
    job_ids: Annotated[
        list[str] | None, typer.Argument(metavar="JOB...", help="Ids of jobs, or their beginnings.", show_default=False)
    ] = None,
    campaign: Annotated[str, typer.Option(metavar="ID", help="Only measurements of this campaign.")] = "",
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Only those finished since 2026-11-20, 2026-11-20T12:00 (UTC), or 24h.")
    ] = "",
    failed: Annotated[
        bool, typer.Option("--failed", metavar="", help="Those that ended without a result as well.")
    ] = False,
    form: Annotated[
        Format, typer.Option("--format", metavar="json|csv|parquet|mlperf", help="What is written.")
    ] = Format.JSON,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; standard output if left out.", show_default=False)
    ] = None,
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
) -> None:
    """Write finished measurements as a table: one row each, the newest first.

    Every figure comes with its interval, its origin and, where there is none,
    the reason. docs/results.md names the columns. The format mlperf is a text
    on latency in the manner of MLPerf's summary, and no claim to be one.

      [cyan]gauntlet results --since 24h --format csv --out day.csv[/]
      [cyan]gauntlet results --campaign digits --format parquet --out digits.parquet[/]
      [cyan]gauntlet results 3f2a91c0 --format mlperf[/]
    """
    from gauntlet.errors import UsageError
    from gauntlet.results import columns, tables
    from gauntlet.results.choice import Choice, parse_since

    if form is Format.PARQUET and out is None:
        raise UsageError("--format parquet writes no text", "name a file with --out")
    tables.check_target(out)
    choice = Choice(job_ids or (), campaign, parse_since(since) if since else None, failed)
    with open_lab(lab, lab_dir, measures=False) as opened:
        jobs = choice.jobs(opened.client)
        if form is Format.MLPERF:
            count = tables.write_text(lambda file: _write_summaries(opened, jobs, file), out)
        elif form is Format.PARQUET:
            assert out is not None
            with tables.replacing(out) as partial:
                count = tables.write_parquet(map(columns.row, jobs), partial)
        else:
            write = tables.write_csv if form is Format.CSV else tables.write_json
            count = tables.write_text(lambda file: write(map(columns.row, jobs), file), out)
    if out is not None or not count:
        stderr().print(f"{count:,} measurement{'' if count == 1 else 's'}{f' written to {out}' if out else ''}")


def _write_summaries(lab: Lab, jobs: Iterator[job_pb2.Job], out: TextIO) -> int:
    from gauntlet.results import mlperf

    count = 0
    for count, job in enumerate(jobs, 1):  # noqa: B007  # used after the loop
        out.write(mlperf.summary(job, _samples_s(lab, job)))
    return count


def _samples_s(lab: Lab, job: job_pb2.Job) -> list[float] | None:
    """None where they were not kept."""
    from gauntlet.api import BenchResult
    from orchestrator.client import NotFound

    if not job.result.latency.raw_samples.digest:
        return None
    try:
        return lab.raw_samples_s(BenchResult(job))
    except NotFound:
        return None
