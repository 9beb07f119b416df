"""Follow the jobs of one command to their end, and print what comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gauntlet.cli.output import EXIT_INTERRUPTED, print_json, print_wrapped, stderr, stdout
from gauntlet.cli.progress import Show

# Before a job runs: a Ctrl-C that comes while a module is compiled may be lost.
from gauntlet.results_json import document, job_document, state_name

if TYPE_CHECKING:
    from gauntlet.api import Lab
    from protos.gauntlet.v1 import fleet_pb2, job_pb2


class Follower:
    """The jobs of one command: each is printed once it and all before it have ended.

    Those that a device's fitness check has made suspect by then are measured again, and printed anew.
    """

    def __init__(
        self, lab: Lab, models: Sequence[Path], job_ids: Sequence[str], as_json: bool, debug: bool, show: Show
    ) -> None:
        from orchestrator.client import Ended

        self._lab = lab
        self._models = models
        self._job_ids = job_ids
        self._as_json = as_json
        self._debug = debug
        self._show = show
        self._ended = Ended(job_ids)
        self._repeating: set[str] = set()
        self._printed = 0
        self._devices: dict[str, fleet_pb2.Device] = {}

    def follow(self) -> int:
        """Wait for all, print each; returns the exit status. Cancels what has not ended when interrupted."""
        try:
            with self._lab.cancelling(self._job_ids):
                for job in self._lab.watch(self._job_ids):
                    self._take(job)
        except KeyboardInterrupt:
            self._show.finish()
            self._print_interrupted()
            return EXIT_INTERRUPTED
        self._show.finish()
        jobs = self._ended.jobs()
        failed = any(not job.HasField("result") for job in jobs)
        if self._as_json:
            self._print_document(jobs, int(failed))
        elif len(jobs) > 1:
            from gauntlet.render.bench import summary

            stdout().print(summary(jobs))
        return int(failed)

    def _take(self, job: job_pb2.Job) -> None:
        again = job.job_id not in self._job_ids
        if not job.finished_at:
            if again:
                self._repeating.add(job.job_id)
                self._show(f"measuring again: {progress_line(job, 0, 1)}")
            else:
                self._show(progress_line(job, len(self._ended), len(self._job_ids)))
            return
        known = self._ended.get(job.job_id) is not None
        self._repeating.discard(job.job_id)
        self._ended.take(job)
        if not self._as_json:
            with self._show.paused():
                if again:
                    self._print(job)
                elif not known:
                    self._print_ready()
                if known or (again and job.HasField("suspicion")):
                    self._print_suspicion(job)

    def _print_ready(self) -> None:
        while self._printed < len(self._job_ids):
            job = self._ended.get(self._job_ids[self._printed])
            if job is None:
                return
            self._printed += 1
            self._print(job)

    def _print(self, job: job_pb2.Job) -> None:
        from gauntlet.render.bench import report
        from gauntlet.render.jobs import failure_lines, stderr_lines

        if job.HasField("result"):
            console = stdout()
            console.print(report(job, self._device(job), console.width))
        else:
            print_wrapped(failure_lines(job))
            if self._debug:
                stderr().print(stderr_lines(job.failure))

    def _print_suspicion(self, job: job_pb2.Job) -> None:
        from gauntlet.render.jobs import suspicion_lines

        stdout().print(suspicion_lines(job))

    def _print_interrupted(self) -> None:
        left = len(self._job_ids) - len(self._ended) + len(self._repeating)
        stderr().print(f"interrupted: {left} job{'' if left == 1 else 's'} cancelled")
        if self._as_json:
            jobs = [self._ended.get(job_id) or self._lab.client.job(job_id) for job_id in self._job_ids]
            self._print_document(jobs, EXIT_INTERRUPTED)

    def _print_document(self, jobs: Sequence[job_pb2.Job], exit_code: int) -> None:
        results = [job_document(job, self._device(job)) for job in jobs]
        for result, path in zip(results, self._models, strict=True):
            # The lab knows a file by name and digest only; a program wants back what it gave.
            result["model"]["path"] = str(path)
        print_json(document(results=results, exit_code=exit_code))

    def _device(self, job: job_pb2.Job) -> fleet_pb2.Device | None:
        if not job.HasField("result"):
            return None
        device_id = job.result.provenance.device_id
        if device_id not in self._devices:
            found = self._lab.device(device_id)
            if found is None:
                return None
            self._devices[device_id] = found
        return self._devices[device_id]


def progress_line(job: job_pb2.Job, ended: int, total: int) -> str:
    """How far a command with `total` jobs is, of which `ended` have ended."""
    name = job.spec.measurement.model.name
    place = f"[{ended + 1}/{total}] " if total > 1 else ""
    where = f" on {job.attempts[-1].device_id}" if job.attempts else ""
    again = f", attempt {len(job.attempts)}" if len(job.attempts) > 1 else ""
    return f"{place}{name}: {job.step or state_name(job.state)}{where}{again}"
