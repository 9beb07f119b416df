"""`gauntlet lab`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gauntlet.cli.output import JsonOption, LabDirOption, LabOption, open_lab, print_json, stderr, stdout

app = typer.Typer(help="A lab as a server, and how it is.", rich_markup_mode="rich")

DEFAULT_ADDRESS = "127.0.0.1:50151"


@app.callback(invoke_without_command=True)
def lab(context: typer.Context) -> None:
    """A lab as a server, and how it is."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def up(
    address: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen: 127.0.0.1:PORT or unix:/path.")
    ] = DEFAULT_ADDRESS,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="DIR",
            envvar="GAUNTLET_LAB_DIR",
            help="Folder of the lab.  [dim]\\[default: ~/.local/state/gauntlet/lab][/]",
        ),
    ] = None,
) -> int:
    """Run a lab as a server, in the foreground, until Ctrl-C.

    It listens on this machine only, since nothing encrypts the connection. A board joins through ssh:

      [cyan]gauntlet lab up[/]                                      here
      [cyan]ssh -R 50151:127.0.0.1:50151 BOARD[/]                   here
      [cyan]gauntlet-agent run --orchestrator 127.0.0.1:50151[/]    on the board

    Commands that use the same folder find it by themselves; others name it with --lab.
    """
    from gauntlet import folder as lab_folder
    from gauntlet.errors import UsageError
    from protos.addresses import AddressError, check_local

    try:
        check_local(address)
    except AddressError as error:
        message, _, remedy = str(error).partition("\n")
        raise UsageError(message, remedy) from error
    chosen = lab_folder.prepare(folder or lab_folder.default_folder())
    lock = lab_folder.try_lock(chosen)
    if lock is None:
        record = lab_folder.read_record(chosen)
        holder = f", process {record.pid} at {record.address}" if record else ""
        raise UsageError(
            f"a lab runs in {chosen} already{holder}", "use it with gauntlet lab status, or give another --dir"
        )
    lab_folder.clear_record(chosen)
    lab_folder.write_record(chosen, lab_folder.LabRecord(os.getpid(), address))
    stderr().print(f"lab at {address}, in {chosen}; Ctrl-C ends it", highlight=False, soft_wrap=True)
    try:
        from orchestrator.main import main

        return main(["--address", address, "--dir", str(chosen)])
    finally:
        lab_folder.clear_record(chosen)
        os.close(lock)


@app.command()
def status(lab: LabOption = "", lab_dir: LabDirOption = None, as_json: JsonOption = False) -> None:
    """Show how the lab is: version, agents, jobs, artifacts."""
    with open_lab(lab, lab_dir, measures=False) as opened:
        response, address = opened.client.status(), opened.client.address
    if as_json:
        from gauntlet.results_json import document, status_document

        print_json(document(lab=status_document(response, address)))
    else:
        from gauntlet.render.status import status as rendered

        stdout().print(rendered(response, address))
