"""`gauntlet bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gauntlet.cli.follow import Follower
from gauntlet.cli.output import JsonOption, LabDirOption, LabOption, open_lab
from gauntlet.cli.parse import label_pair, share
from gauntlet.cli.progress import progress

if TYPE_CHECKING:
    from gauntlet.options import BenchOptions

EPILOG = (
    "[bold]Exit status[/]: 0 every model was measured; 1 a measurement failed or the lab is gone; "
    "2 asked wrongly, nothing was measured; 130 interrupted, jobs cancelled."
)
_DEVICE, _TIMING, _FURTHER = "Where and how it runs", "How long it is timed", "What else is measured"
_SETUP = "State of the device while it is timed, where it permits; always put back"


def bench(
    context: typer.Context,
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Models to measure: .tflite, .onnx, .pt2.")],
    device: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Id or class of the device; any that fits if left out.", rich_help_panel=_DEVICE
        ),
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
            metavar="NAME",
            help="Runtime, such as litert; the device's first that takes the model if left out.",
            rich_help_panel=_DEVICE,
        ),
    ] = "",
    threads: Annotated[int, typer.Option(min=1, metavar="COUNT", help="Threads.", rich_help_panel=_DEVICE)] = 1,
    delegate: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Delegate or execution provider: xnnpack, cuda, tensorrt, none …; the runtime's own if left out.",
            rich_help_panel=_DEVICE,
        ),
    ] = "",
    pin: Annotated[
        bool,
        typer.Option(
            "--pin/--no-pin", metavar="", help="Hold each thread to a core of its own.", rich_help_panel=_DEVICE
        ),
    ] = True,
    governor: Annotated[
        str, typer.Option(metavar="NAME", help="Frequency governor, such as performance.", rich_help_panel=_SETUP)
    ] = "",
    min_clock: Annotated[
        str, typer.Option(metavar="CLOCK", help="Lower clock limit, such as 1.5GHz.", rich_help_panel=_SETUP)
    ] = "",
    max_clock: Annotated[str, typer.Option(metavar="CLOCK", help="Upper clock limit.", rich_help_panel=_SETUP)] = "",
    power_mode: Annotated[
        str, typer.Option(metavar="MODE", help="Jetson: mode of nvpmodel, name or number.", rich_help_panel=_SETUP)
    ] = "",
    jetson_clocks: Annotated[
        bool, typer.Option("--jetson-clocks", metavar="", help="Jetson: highest clocks.", rich_help_panel=_SETUP)
    ] = False,
    cores: Annotated[
        str,
        typer.Option(metavar="big|little|0-3", help="Cores that threads are held to.", rich_help_panel=_SETUP),
    ] = "",
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
        bool,
        typer.Option(
            "--memory/--no-memory", metavar="", help="Peak memory, in a fresh process.", rich_help_panel=_FURTHER
        ),
    ] = True,
    energy: Annotated[
        bool,
        typer.Option(
            "--energy/--no-energy", metavar="", help="Energy, where the device can sense it.", rich_help_panel=_FURTHER
        ),
    ] = True,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            metavar="",
            help="Time of each operator, in a run of its own after the timing.",
            rich_help_panel=_FURTHER,
        ),
    ] = False,
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
      [cyan]gauntlet bench model.onnx --profile[/]
      [cyan]gauntlet bench model.tflite --precision 0.2% --seconds 60[/]
      [cyan]gauntlet bench model.tflite --data test.npz --reference golden.npz[/]
      [cyan]gauntlet bench model.tflite --governor performance --cores big[/]
      [cyan]gauntlet bench model.tflite --device raspberrypi4 --lab HOST:PORT --json[/]
    """
    from gauntlet import options as bench_options
    from gauntlet.errors import UsageError
    from gauntlet.setup import frequency_hz

    if delegate and delegate not in bench_options.DELEGATES:
        raise UsageError(
            f"--delegate: {delegate} is no delegate that gauntlet knows",
            f"give one of {', '.join(bench_options.DELEGATES)}; `gauntlet devices` tells what each device offers",
        )
    asked: BenchOptions = {
        "device": device,
        "labels": dict(label_pair(text) for text in label or []),
        "runtime": runtime,
        "threads": threads,
        "delegate": delegate,
        "pin": pin,
        "governor": governor,
        "min_frequency_hz": frequency_hz(min_clock, "--min-clock"),
        "max_frequency_hz": frequency_hz(max_clock, "--max-clock"),
        "power_mode": power_mode,
        "jetson_clocks": jetson_clocks,
        "cores": cores,
        "timeout_s": timeout,
        "max_samples": runs,
        "max_s": seconds,
        "half_width": share(precision),
        "warmup_runs": warmup_runs,
        "memory": memory,
        "energy": energy,
        "profile": profile,
        "data": data,
        "reference": reference,
        "tolerance": tolerance,
    }
    # Its own lab's limit is known before it starts; another's is asked for.
    bench_options.check(models, asked, limit_bytes=0 if lab else bench_options.own_limit_bytes())
    with progress() as show:
        show("starting the lab" if not lab else f"connecting to {lab}")
        with open_lab(lab, lab_dir) as opened:
            show("uploading")
            job_ids = opened.submit(models, **asked)
            return Follower(opened, models, job_ids, as_json, context.obj.debug, show).follow()
