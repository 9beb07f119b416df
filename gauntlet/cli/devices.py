"""`gauntlet devices`."""

from __future__ import annotations

from typing import Annotated

import typer

from gauntlet.cli.output import JsonOption, LabDirOption, LabOption, open_lab, print_json, stdout

app = typer.Typer(help="The devices of the lab: what they are, how they are.", rich_markup_mode="rich")


@app.callback(invoke_without_command=True)
def devices(
    context: typer.Context, lab: LabOption = "", lab_dir: LabDirOption = None, as_json: JsonOption = False
) -> None:
    """List the devices of the lab.

    [cyan]gauntlet devices[/]
    [cyan]gauntlet devices show NAME[/]      one in full: hardware, runtimes, sensors and what they lack
    """
    if context.invoked_subcommand is not None:
        return
    with open_lab(lab, lab_dir) as opened:
        known = opened.client.devices()
    if as_json:
        from gauntlet.results_json import device_document, document

        print_json(document(devices=[device_document(device) for device in known]))
    else:
        from gauntlet.render.device import devices_table

        stdout().print(devices_table(known))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Id of the device, or the beginning of one.")],
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one device in full: hardware, runtimes, sensors, and what it cannot measure and why."""
    from gauntlet.errors import UsageError

    with open_lab(lab, lab_dir) as opened:
        known = opened.client.devices()
    exact = [device for device in known if device.description.device_id == name]
    found = exact or [device for device in known if device.description.device_id.startswith(name)]
    if len(found) != 1:
        names = ", ".join(device.description.device_id for device in found or known)
        what = f"no device is called {name}" if not found else f"several devices begin with {name}"
        raise UsageError(what, f"there is {names}" if names else "no device has joined this lab")
    if as_json:
        from gauntlet.results_json import device_document, document

        print_json(document(device=device_document(found[0])))
    else:
        from gauntlet.render.device import device_report

        stdout().print(device_report(found[0]))
