"""`gauntlet devices`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gauntlet.cli.output import JsonOption, LabDirOption, LabOption, open_lab, print_json, stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.client import SyncClient
    from protos.gauntlet.v1 import fleet_pb2

app = typer.Typer(rich_markup_mode="rich")

NameArgument = Annotated[str, typer.Argument(help="Id of the device, or the beginning of one.")]
ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Why, for everybody who waits for the device.")]


@app.callback(invoke_without_command=True)
def devices(
    context: typer.Context, lab: LabOption = "", lab_dir: LabDirOption = None, as_json: JsonOption = False
) -> None:
    """List the devices of the lab, or take one out of service for a while.

    [cyan]gauntlet devices[/]
    [cyan]gauntlet devices show NAME[/]                hardware, health, history of one
    [cyan]gauntlet devices reserve NAME --for 2h[/]    for you, by hand
    [cyan]gauntlet devices drain NAME[/]               no new jobs, until you resume it

    A device that is drained, reserved, in maintenance or in quarantine finishes what it holds and takes nothing new.
    """
    if context.invoked_subcommand is not None:
        return
    with open_lab(lab, lab_dir) as opened:
        known = opened.client.devices()
    if as_json:
        from gauntlet.devices_json import device_document
        from gauntlet.results_json import document

        print_json(document(devices=[device_document(device) for device in known]))
    else:
        from gauntlet.render.device import devices_table

        stdout().print(devices_table(known))


@app.command()
def show(
    name: NameArgument,
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one device in full: hardware, runtimes, what it measures, what not and why, and what happened to it."""
    with open_lab(lab, lab_dir) as opened:
        found = _find(opened.client.devices(), name)
    if as_json:
        from gauntlet.devices_json import device_document
        from gauntlet.results_json import document

        print_json(document(device=device_document(found)))
    else:
        from gauntlet.render.device import device_report

        # Commands to copy stand in one line, however wide it is.
        stdout().print(device_report(found), crop=False)


@app.command()
def drain(
    name: NameArgument,
    reason: ReasonOption = "",
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a device finish what it holds and take nothing new, until `resume`."""
    _control(name, lab, lab_dir, as_json, drain={"reason": reason})


@app.command()
def resume(name: NameArgument, lab: LabOption = "", lab_dir: LabDirOption = None, as_json: JsonOption = False) -> None:
    """End draining, and a quarantine."""
    _control(name, lab, lab_dir, as_json, resume={})


@app.command()
def reserve(
    name: NameArgument,
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="30min, 2h, 1d; then it comes back.")],
    reason: ReasonOption = "",
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a device for yourself, by hand: it comes back when the time is over, or by `release`."""
    from gauntlet.cli.parse import duration_s

    _control(name, lab, lab_dir, as_json, reserve={"duration_s": duration_s(duration), "reason": reason})


@app.command()
def release(name: NameArgument, lab: LabOption = "", lab_dir: LabDirOption = None, as_json: JsonOption = False) -> None:
    """End a reservation before its time: your own, or as an admin anybody's."""
    _control(name, lab, lab_dir, as_json, release={})


@app.command()
def quarantine(
    name: NameArgument,
    reason: ReasonOption = "",
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a device out of service until somebody resumes it: probes end only the orchestrator's own quarantines."""
    _control(name, lab, lab_dir, as_json, quarantine={"reason": reason})


@app.command()
def maintenance(
    name: NameArgument,
    every: Annotated[str, typer.Option(metavar="DAYS", help="sat,sun or day.")] = "day",
    at: Annotated[str, typer.Option(metavar="HH:MM", help="When it begins, in UTC.")] = "",
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long it lasts: 30min, 3h.")] = "",
    none: Annotated[bool, typer.Option("--none", help="Remove all windows.")] = False,
    reason: ReasonOption = "",
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a maintenance window, at which a device takes no jobs; or remove all with --none.

    [cyan]gauntlet devices maintenance pi4 --every sat,sun --at 02:00 --for 3h[/]

    A job that would run into a window, as long as jobs usually take on that device, is not begun.
    """
    from gauntlet.cli.parse import duration_s, minute_of_day, weekdays
    from gauntlet.errors import UsageError

    if none == bool(at or duration) or bool(at) != bool(duration):
        raise UsageError("maintenance: say when", "give --at HH:MM and --for DURATION, or --none")
    windows: list[dict[str, Any]] = []
    if not none:
        window = {"weekdays": weekdays(every), "start_minute": minute_of_day(at), "duration_s": duration_s(duration)}
        windows.append({**window, "reason": reason})
    with open_lab(lab, lab_dir, measures=False) as opened:
        found = _find(opened.client.devices(), name)
        kept = [] if none else list(found.maintenance)
        device = _ask(opened.client, found, set_maintenance={"windows": [*kept, *windows]})
    _print(device, as_json)


def _control(name: str, lab: str, lab_dir: Path | None, as_json: bool, **action: Any) -> None:
    with open_lab(lab, lab_dir, measures=False) as opened:
        device = _ask(opened.client, _find(opened.client.devices(), name), **action)
    _print(device, as_json)


def _ask(client: SyncClient, device: fleet_pb2.Device, **action: Any) -> fleet_pb2.Device:
    from protos.gauntlet.v1 import fleet_pb2

    request = fleet_pb2.ControlDeviceRequest(device_id=device.description.device_id, **action)
    return client.control_device(request)


def _print(device: fleet_pb2.Device, as_json: bool) -> None:
    if as_json:
        from gauntlet.devices_json import device_document
        from gauntlet.results_json import document

        print_json(document(device=device_document(device)))
    else:
        from gauntlet.render.device import device_line

        stdout().print(device_line(device))


def _find(known: Sequence[fleet_pb2.Device], name: str) -> fleet_pb2.Device:
    from gauntlet.errors import UsageError

    exact = [device for device in known if device.description.device_id == name]
    found = exact or [device for device in known if device.description.device_id.startswith(name)]
    if len(found) != 1:
        names = ", ".join(device.description.device_id for device in found or known)
        what = f"no device is called {name}" if not found else f"several devices begin with {name}"
        raise UsageError(what, f"there is {names}" if names else "no device has joined this lab")
    return found[0]
