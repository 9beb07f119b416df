"""`gauntlet bench`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gauntlet.cli.output import JsonOption, LabDirOption, LabOption, open_lab, print_json, stderr, stdout

if TYPE_CHECKING:
    from gauntlet.api import Lab
    from gauntlet.options import BenchOptions
    from protos.gauntlet.v1 import fleet_pb2, job_pb2

EPILOG = (
    "[bold]Exit status[/]: 0 every model was measured; 1 a measurement failed or the lab is gone; "
    "2 asked wrongly, nothing was measured; 130 interrupted, jobs cancelled."
)
_DEVICE, _TIMING, _FURTHER = "Where and how it runs", "How long it is timed", "What else is measured"


def bench(
    context: typer.Context,
    models: Annotated[list[Path], typer.Argument(metavar="MODEL.tflite...", help="Models to measure.")],
    device: Annotated[
        str, typer.Option(help="Id or class of the device; any that fits if left out.", rich_help_panel=_DEVICE)
    ] = "",
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="Label that the device must carry; repeatable.", rich_help_panel=_DEVICE
        ),
    ] = None,
    runtime: Annotated[
        str,
        typer.Option(
            help="Runtime, such as litert; the device's first that takes the model if left out.",
            rich_help_panel=_DEVICE,
        ),
    ] = "",
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Threads.", rich_help_panel=_DEVICE)] = 1,
    delegate: Annotated[
        str, typer.Option(metavar="xnnpack|none", help="Delegate.", rich_help_panel=_DEVICE)
    ] = "xnnpack",
    pin: Annotated[
        bool, typer.Option("--pin/--no-pin", help="Hold each thread to a core of its own.", rich_help_panel=_DEVICE)
    ] = True,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Work after which a measurement is killed.", rich_help_panel=_DEVICE),
    ] = 120.0,
    runs: Annotated[int, typer.Option(min=1, help="Most samples.", rich_help_panel=_TIMING, metavar="COUNT")] = 100_000,
    seconds: Annotated[
        float, typer.Option(metavar="SECONDS", help="Most time, after the warm-up.", rich_help_panel=_TIMING)
    ] = 10.0,
    precision: Annotated[
        str,
        typer.Option(
            metavar="PERCENT",
            help="Stop once the median's 95 % interval is this narrow on either side.",
            rich_help_panel=_TIMING,
        ),
    ] = "1%",
    warmup_runs: Annotated[
        int, typer.Option(min=0, metavar="COUNT", help="Fewest runs before timing.", rich_help_panel=_TIMING)
    ] = 10,
    memory: Annotated[
        bool, typer.Option("--memory/--no-memory", help="Peak memory, in a fresh process.", rich_help_panel=_FURTHER)
    ] = True,
    energy: Annotated[
        bool,
        typer.Option("--energy/--no-energy", help="Energy, where the device can sense it.", rich_help_panel=_FURTHER),
    ] = True,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Labelled data set to measure accuracy on; gauntlet.save_data_set writes one.",
            rich_help_panel=_FURTHER,
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Inputs with reference outputs; checked before anything is timed.",
            rich_help_panel=_FURTHER,
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            metavar="DEVIATIONS",
            help="Largest difference to the reference, in its standard deviations.",
            rich_help_panel=_FURTHER,
        ),
    ] = 0.05,
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Measure models: latency, memory, energy, and with data their accuracy.

    A model is warmed up until its times settle, and timed until its median is
    known as precisely as asked. What could not be measured is listed with the
    reason.

      [cyan]gauntlet bench model.tflite[/]
      [cyan]gauntlet bench *.tflite --threads 4 --delegate none[/]
      [cyan]gauntlet bench model.tflite --precision 0.2% --seconds 60[/]
      [cyan]gauntlet bench model.tflite --data test.npz --reference golden.npz[/]
      [cyan]gauntlet bench model.tflite --device raspberrypi4 --lab HOST:PORT --json[/]
    """
    from gauntlet import options as bench_options
    from gauntlet.errors import UsageError

    if delegate not in ("xnnpack", "none"):
        raise UsageError(f"--delegate: {delegate} is no delegate that gauntlet knows", "give xnnpack or none")
    asked: BenchOptions = {
        "device": device,
        "labels": dict(_label(text) for text in label or []),
        "runtime": runtime,
        "threads": threads,
        "delegate": delegate,
        "pin": pin,
        "timeout_s": timeout,
        "max_samples": runs,
        "max_s": seconds,
        "half_width": _ratio(precision),
        "warmup_runs": warmup_runs,
        "memory": memory,
        "energy": energy,
        "data": data,
        "reference": reference,
        "tolerance": tolerance,
    }
    # Its own lab's limit is known before it starts; another's is asked for.
    bench_options.check(models, asked, limit_bytes=0 if lab else bench_options.own_limit_bytes())
    with _progress() as show:
        show("starting the lab" if not lab else f"connecting to {lab}")
        with open_lab(lab, lab_dir) as opened:
            show("uploading")
            job_ids = opened.submit(models, **asked)
            return _Run(opened, models, job_ids, as_json, context.obj.debug, show).follow()


class _Run:
    """The jobs of one command: each is printed once it and all before it have ended."""

    def __init__(
        self, lab: Lab, models: Sequence[Path], job_ids: Sequence[str], as_json: bool, debug: bool, show: _Show
    ) -> None:
        self._lab = lab
        self._models = models
        self._job_ids = job_ids
        self._as_json = as_json
        self._debug = debug
        self._show = show
        self._ended: dict[str, job_pb2.Job] = {}
        self._printed = 0
        self._devices: dict[str, fleet_pb2.Device] = {}

    def follow(self) -> int:
        try:
            with self._lab.cancelling(self._job_ids):
                for job in self._lab.watch(self._job_ids):
                    self._take(job)
        except KeyboardInterrupt:
            left = len(self._job_ids) - len(self._ended)
            stderr().print(f"interrupted: {left} job{'' if left == 1 else 's'} cancelled")
            if self._as_json:
                self._ended = {job_id: self._lab.client.job(job_id) for job_id in self._job_ids}
                self._print_document(130)
            return 130
        failed = any(not job.HasField("result") for job in self._ended.values())
        if self._as_json:
            self._print_document(int(failed))
        elif len(self._job_ids) > 1:
            from gauntlet.render.bench import summary

            stdout().print(summary([self._ended[job_id] for job_id in self._job_ids]))
        return int(failed)

    def _take(self, job: job_pb2.Job) -> None:
        from protos.gauntlet.v1 import job_pb2

        if job.state in (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED):
            self._ended[job.job_id] = job
            if not self._as_json:
                self._print_ready()
        else:
            self._show(_progress_line(job, len(self._ended), len(self._job_ids)))

    def _print_ready(self) -> None:
        from gauntlet.render.bench import report
        from gauntlet.render.jobs import failure_lines, stderr_lines

        while self._printed < len(self._job_ids):
            job = self._ended.get(self._job_ids[self._printed])
            if job is None:
                return
            self._printed += 1
            if job.HasField("result"):
                console = stdout()
                console.print(report(job, self._device(job), console.width))
            else:
                stderr().print(failure_lines(job), soft_wrap=True)
                if self._debug:
                    stderr().print(stderr_lines(job.failure))

    def _print_document(self, exit_code: int) -> None:
        from gauntlet.results_json import document, job_document

        jobs = [self._ended[job_id] for job_id in self._job_ids]
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


def _progress_line(job: job_pb2.Job, ended: int, total: int) -> str:
    from gauntlet.results_json import state_name

    name = job.spec.measurement.model.name
    place = f"[{ended + 1}/{total}] " if total > 1 else ""
    where = f" on {job.attempts[-1].device_id}" if job.attempts else ""
    again = f", attempt {len(job.attempts)}" if len(job.attempts) > 1 else ""
    return f"{place}{name}: {job.step or state_name(job.state)}{where}{again}"


class _Show:
    """Says on the terminal what goes on; says nothing where there is no terminal."""

    def __init__(self, status: Any) -> None:
        self._status = status

    def __call__(self, text: str) -> None:
        if self._status is not None:
            from rich.text import Text

            self._status.update(Text(text))


@contextlib.contextmanager
def _progress() -> Iterator[_Show]:
    console = stderr()
    if not console.is_terminal:
        yield _Show(None)
        return
    with console.status("") as status:
        yield _Show(status)


def _label(text: str) -> tuple[str, str]:
    from gauntlet.errors import UsageError

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--label: {text} is no label", "give it as KEY=VALUE, for example --label site=berlin")
    return key, value


def _ratio(text: str) -> float:
    """Read "1%" or "0.01"."""
    from gauntlet.errors import UsageError

    number, percent = (text.strip()[:-1], 100.0) if text.strip().endswith("%") else (text, 1.0)
    try:
        value = float(number) / percent
    except ValueError:
        value = float("nan")
    if not 0 < value < 1:
        raise UsageError(f"--precision: {text} is no share", "give it as 1% or as 0.01")
    return value
