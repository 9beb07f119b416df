"""`gauntlet compare`."""

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
from gauntlet.cli.output import JsonOption, LabDirOption, LabOption, open_lab, print_json, print_wrapped, stderr, stdout
from gauntlet.cli.parse import delegate_of_litert, label_pair, share
from gauntlet.cli.progress import progress

if TYPE_CHECKING:
    from gauntlet.comparing import CompareOptions, Comparison

EPILOG = (
    "[bold]Exit status[/]: 0 compared on every device, whatever the verdict; 1 a comparison failed or the lab is gone; "
    "2 asked wrongly, nothing was measured; 130 interrupted, jobs cancelled."
)
_TIMING = "How much is measured"


def compare(
    context: typer.Context,
    a: Annotated[
        Path | None, typer.Argument(metavar="A.tflite", help="Model to compare with.", show_default=False)
    ] = None,
    b: Annotated[
        Path | None,
        typer.Argument(metavar="B.tflite", help="Model that may be faster or slower.", show_default=False),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Id or class of a device; repeatable, each compares; any that fits if left out.",
            rich_help_panel=DEVICE,
        ),
    ] = None,
    label: LabelOption = None,
    runtime: RuntimeOption = "",
    threads: ThreadsOption = 1,
    delegate: Annotated[
        str,
        typer.Option(
            metavar="xnnpack|none", help="Delegate; XNNPACK for .tflite models if left out.", rich_help_panel=DEVICE
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
    aa: Annotated[
        bool,
        typer.Option(
            "--aa",
            metavar="",
            help="Compare A with itself: the device's noise floor. With B, first, and the verdict heeds it.",
            rich_help_panel=_TIMING,
        ),
    ] = False,
    noise_floor: Annotated[
        str,
        typer.Option(
            metavar="PERCENT", help="The device's noise floor, where it is known already.", rich_help_panel=_TIMING
        ),
    ] = "",
    processes: Annotated[
        int | None,
        typer.Option(metavar="COUNT", help="Fresh processes that compare, at first.", rich_help_panel=_TIMING),
    ] = None,
    max_processes: Annotated[
        int | None,
        typer.Option(metavar="COUNT", help="Most of them, if the first differ too much.", rich_help_panel=_TIMING),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="PERCENT", help="Wanted 95 % interval of the ratio, on either side.", rich_help_panel=_TIMING
        ),
    ] = None,
    seconds: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="Most time of blocks in each process.", rich_help_panel=_TIMING),
    ] = None,
    protocol: ProtocolOption = None,
    settings: SetOption = None,
    show_protocol: ShowProtocolOption = False,
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compare two models: is B faster than A, or can this device not tell?

    Both are loaded side by side and run in turn (A B B A), so that whatever
    drifts strikes both alike. That is done in several fresh processes, because
    a process's place in memory makes a model faster or slower by itself.

      [cyan]gauntlet compare old.tflite new.tflite[/]
      [cyan]gauntlet compare old.tflite new.tflite --aa[/]          with the noise floor
      [cyan]gauntlet compare old.tflite --aa[/]                     the noise floor alone
      [cyan]gauntlet compare a.tflite b.tflite --device pi4 --device jetson[/]
      [cyan]gauntlet compare a.tflite b.tflite --set comparison.min_blocks=40[/]
    """
    from gauntlet import comparing, options
    from gauntlet.cli.follow import progress_line
    from gauntlet.errors import UsageError
    from gauntlet.protocol import COMPARE_OPTIONS, from_command_line

    flags = {
        "pin": pin,
        "timeout_s": timeout,
        "processes": processes,
        "max_processes": max_processes,
        "half_width": precision,
        "max_s": seconds,
    }
    chosen = from_command_line(protocol, settings or [], flags, COMPARE_OPTIONS)
    if show_protocol:
        return print_protocol(chosen, as_json)
    if a is None or (b is None and not aa):
        raise UsageError(
            f"there is no {'' if a is None else 'second '}model to compare",
            "name two .tflite files, or give --aa for the noise floor",
        )
    asked: CompareOptions = {
        "devices": device or [],
        "labels": dict(label_pair(text) for text in label or []),
        "runtime": runtime,
        "threads": threads,
        "delegate": delegate and delegate_of_litert(delegate),
        "aa": aa,
        "noise_floor": share(noise_floor, "--noise-floor") if noise_floor else None,
        "protocol": chosen,
    }
    asked.update(setup_of(governor, min_clock, max_clock, power_mode, jetson_clocks, cores))  # type: ignore[typeddict-item]
    second = a if b is None else b
    comparing.check(a, second, asked, limit_bytes=0 if lab else options.own_limit_bytes())
    with progress() as show:
        show("starting the lab" if not lab else f"connecting to {lab}")
        with open_lab(lab, lab_dir) as opened:
            show("uploading")
            compared = comparing.run(
                opened, a, second, asked, lambda job, ended, total: show(progress_line(job, ended, total))
            )
    return _print(compared, a, second, as_json, context.obj.debug)


def _print(compared: list[Comparison], a: Path, b: Path, as_json: bool, debug: bool) -> int:
    from gauntlet.render.compare import report, summary
    from gauntlet.render.jobs import failure_lines, stderr_lines

    failed = int(any(not one.job.HasField("result") for one in compared))
    if as_json:
        from gauntlet.results_json import document

        results = [one.to_dict() for one in compared]
        for result in results:
            # The lab knows a file by name and digest only; a program wants back what it gave.
            result["model"]["path"] = str(a)
            result["comparison"]["model_b"]["path"] = str(b)
        print_json(document(results=results, exit_code=failed))
        return failed
    console = stdout()
    for one in compared:
        if one.job.HasField("result"):
            console.print(report(one.job, one.device, console.width))
        else:
            print_wrapped(failure_lines(one.job))
            if debug:
                stderr().print(stderr_lines(one.job.failure))
    if len(compared) > 1:
        console.print(summary([one.job for one in compared]))
    return failed
