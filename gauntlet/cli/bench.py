"""`gauntlet bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gauntlet.cli.choices import (
    DEVICE,
    CoresOption,
    GovernorOption,
    JetsonClocksOption,
    LabelOption,
    MaxClockOption,
    MinClockOption,
    PinOption,
    PowerModeOption,
    ProtocolOption,
    RuntimeOption,
    SetOption,
    ShowProtocolOption,
    ThreadsOption,
    TimeoutOption,
    print_protocol,
    setup_of,
)
from gauntlet.cli.output import JsonOption, LabDirOption, LabOption, open_lab
from gauntlet.cli.parse import label_pair, size_bytes
from gauntlet.cli.progress import progress

if TYPE_CHECKING:
    from gauntlet.options import BenchOptions

EPILOG = (
    "[bold]Exit status[/]: 0 every model was measured; 1 a measurement failed or the lab is gone; "
    "2 asked wrongly, nothing was measured; 130 interrupted, jobs cancelled."
)
_TIMING, _SCENARIOS, _FURTHER = "How long it is timed", "How it is loaded", "What else is measured"


def bench(
    context: typer.Context,
    models: Annotated[
        list[Path] | None, typer.Argument(metavar="MODEL...", help="Models to measure: .tflite, .onnx, .pt2.")
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Id or class of the device; any that fits if left out.", rich_help_panel=DEVICE
        ),
    ] = "",
    label: LabelOption = None,
    needs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="QUANTITY",
            help="What the device must be able to sense, such as energy_j; repeatable.",
            rich_help_panel=DEVICE,
        ),
    ] = None,
    min_memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Least memory of the device, such as 2GB.", rich_help_panel=DEVICE)
    ] = "",
    runtime: RuntimeOption = "",
    threads: ThreadsOption = 1,
    delegate: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Delegate or execution provider: xnnpack, cuda, tensorrt, none …; the runtime's own if left out.",
            rich_help_panel=DEVICE,
        ),
    ] = "",
    pin: PinOption = None,
    timeout: TimeoutOption = None,
    governor: GovernorOption = "",
    min_clock: MinClockOption = "",
    max_clock: MaxClockOption = "",
    power_mode: PowerModeOption = "",
    jetson_clocks: JetsonClocksOption = False,
    cores: CoresOption = "",
    runs: Annotated[int | None, typer.Option(help="Most samples.", rich_help_panel=_TIMING, metavar="COUNT")] = None,
    seconds: Annotated[
        str | None, typer.Option(metavar="SECONDS", help="Most time, after the warm-up.", rich_help_panel=_TIMING)
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="PERCENT",
            help="Stop once the median's 95 % interval is this narrow on either side.",
            rich_help_panel=_TIMING,
        ),
    ] = None,
    warmup_runs: Annotated[
        int | None, typer.Option(metavar="COUNT", help="Fewest runs before timing.", rich_help_panel=_TIMING)
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="COUNT",
            help="Fresh processes that measure the latency, at first; their spread tells how many it takes.",
            rich_help_panel=_TIMING,
        ),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="single-stream|multi-stream|offline",
            help="MLPerf's; repeatable.  [dim]\\[default: single-stream][/]",
            rich_help_panel=_SCENARIOS,
        ),
    ] = None,
    streams: Annotated[
        int | None, typer.Option(metavar="COUNT", help="Samples of a query.", rich_help_panel=_SCENARIOS)
    ] = None,
    batch_sizes: Annotated[
        str | None, typer.Option(metavar="COUNT,…", help="Of the offline scenario.", rich_help_panel=_SCENARIOS)
    ] = None,
    offline_threads: Annotated[
        str | None, typer.Option(metavar="COUNT,…", help="Of the offline scenario.", rich_help_panel=_SCENARIOS)
    ] = None,
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
        str | None,
        typer.Option(
            metavar="DEVIATIONS",
            help="Largest difference to the reference, in its standard deviations.",
            rich_help_panel=_FURTHER,
        ),
    ] = None,
    protocol: ProtocolOption = None,
    settings: SetOption = None,
    show_protocol: ShowProtocolOption = False,
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
      [cyan]gauntlet bench model.tflite --precision 0.2% --seconds 60 --processes 6[/]
      [cyan]gauntlet bench model.tflite --scenario offline --batch-sizes 1,4,16[/]
      [cyan]gauntlet bench model.tflite --data test.npz --reference golden.npz[/]
      [cyan]gauntlet bench model.tflite --governor performance --cores big[/]
      [cyan]gauntlet bench model.tflite --device raspberrypi4 --lab HOST:PORT --json[/]
      [cyan]gauntlet bench --show-protocol > careful.yaml[/]          then change it, and
      [cyan]gauntlet bench model.tflite --protocol careful.yaml --set energy.window_s=10[/]
    """
    from gauntlet import options as bench_options
    from gauntlet.cli.follow import Follower
    from gauntlet.errors import UsageError
    from gauntlet.protocol import BENCH_OPTIONS, from_command_line

    if delegate and delegate not in bench_options.DELEGATES:
        raise UsageError(
            f"--delegate: {delegate} is no delegate that gauntlet knows",
            f"give one of {', '.join(bench_options.DELEGATES)}; `gauntlet devices` tells what each device offers",
        )
    flags = {
        "pin": pin,
        "timeout_s": timeout,
        "max_samples": runs,
        "max_s": seconds,
        "half_width": precision,
        "warmup_runs": warmup_runs,
        "processes": processes,
        "streams": streams,
        "batch_sizes": batch_sizes,
        "offline_threads": offline_threads,
        "tolerance": tolerance,
    }
    chosen = from_command_line(protocol, settings or [], flags, BENCH_OPTIONS)
    asked: BenchOptions = {
        "device": device,
        "labels": dict(label_pair(text) for text in label or []),
        "needs": needs or [],
        "min_memory_bytes": size_bytes(min_memory, "--min-memory") if min_memory else 0,
        "runtime": runtime,
        "threads": threads,
        "delegate": delegate,
        "scenarios": scenario or [],
        "memory": memory,
        "energy": energy,
        "profile": profile,
        "data": data,
        "reference": reference,
        "protocol": chosen,
    }
    asked.update(setup_of(governor, min_clock, max_clock, power_mode, jetson_clocks, cores))  # type: ignore[typeddict-item]
    bench_options.check_scenarios(asked, flags)
    if show_protocol:
        return print_protocol(chosen, as_json)
    models = models or []
    # Its own lab's limit is known before it starts; another's is asked for.
    bench_options.check(models, asked, limit_bytes=0 if lab else bench_options.own_limit_bytes())
    with progress() as show:
        show("starting the lab" if not lab else f"connecting to {lab}")
        with open_lab(lab, lab_dir) as opened:
            show("uploading")
            job_ids = opened.submit(models, **asked)
            return Follower(opened, models, job_ids, as_json, context.obj.debug, show).follow()
