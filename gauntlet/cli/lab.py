"""`gauntlet lab`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from gauntlet.cli.output import JsonOption, LabDirOption, LabOption, open_lab, print_error, print_json, stderr, stdout

app = typer.Typer(rich_markup_mode="rich")

DEFAULT_ADDRESS = "127.0.0.1:50151"


@app.callback(invoke_without_command=True)
def lab(context: typer.Context) -> None:
    """A lab as a server, and how it is."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def up(
    context: typer.Context,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help=f"Where to listen: HOST:PORT or unix:/path.  [dim]\\[default: {DEFAULT_ADDRESS}][/]",
        ),
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option(
            "--dir", metavar="DIR", help="Folder of the lab.  [dim]\\[default: ~/.local/state/gauntlet/lab][/]"
        ),
    ] = None,
    config: Annotated[
        str | None, typer.Option(metavar="FILE", help="Settings as YAML; or GAUNTLET_LAB_CONFIG.")
    ] = None,
    metrics_address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where Prometheus finds /metrics, such as 127.0.0.1:9151.")
    ] = None,
    log_format: Annotated[str | None, typer.Option(metavar="text|json", help="Log for people or for programs.")] = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", metavar="", help="Print all settings, and where each comes from.")
    ] = False,
) -> int:
    """Run a lab as a server, in the foreground, until Ctrl-C.

    To be reached from elsewhere it needs an authority of its own; connections are then encrypted, and both sides show
    a certificate:

      [cyan]gauntlet lab init --name lab.example.org[/]             once; prints what to do next
      [cyan]gauntlet lab up --address 0.0.0.0:50151[/]

    Without one it listens on this machine only, and a board joins through ssh:

      [cyan]gauntlet lab up[/]                                      here
      [cyan]ssh -R 50151:127.0.0.1:50151 BOARD[/]                   here
      [cyan]gauntlet-agent run --orchestrator 127.0.0.1:50151[/]    on the board

    Commands that use the same folder find it by themselves; others name it with --lab.

    Every setting that --show-config prints is a flag (--lease-duration-s 20), a variable of the environment
    (GAUNTLET_LAB_LEASE_DURATION_S=20) and a key of the file (lease_duration_s: 20). What is given in several places
    is taken from the first of them.
    """
    from gauntlet import folder as lab_folder
    from gauntlet.errors import UsageError
    from orchestrator import settings
    from orchestrator.config import ConfigError

    named = {
        "--address": address,
        "--dir": folder,
        "--config": config,
        "--metrics-address": metrics_address,
        "--log-format": log_format,
    }
    flags = [f"{flag}={value}" for flag, value in named.items() if value is not None]
    try:
        asked = settings.load([*flags, *context.args], os.environ, lab_folder.default_folder())
    except ConfigError as error:
        for problem in error.problems:
            message, _, remedy = problem.partition("\n")
            print_error(message, remedy, "", UsageError.exit_code, as_json=False)
        return UsageError.exit_code
    if show_config:
        typer.echo(str(asked))
        return 0
    address = asked.config.address
    chosen = lab_folder.prepare(asked.config.folder)
    lock = lab_folder.try_lock(chosen)
    if lock is None:
        record = lab_folder.read_record(chosen)
        holder = f", process {record.pid} at {record.address}" if record else ""
        raise UsageError(
            f"a lab runs in {chosen} already{holder}", "use it with gauntlet lab status, or give another --dir"
        )
    lab_folder.clear_record(chosen)
    lab_folder.write_record(chosen, lab_folder.LabRecord(os.getpid(), address))
    if asked.config.log_format == "text":  # else every line is an object
        stderr().print(f"lab at {address}, in {chosen}; Ctrl-C ends it", highlight=False, soft_wrap=True)
    try:
        from orchestrator.main import run

        return run(asked)
    finally:
        lab_folder.clear_record(chosen)
        os.close(lock)


@app.command()
def status(lab: LabOption = "", lab_dir: LabDirOption = None, as_json: JsonOption = False) -> None:
    """Show how the lab is: version, devices and why some take no jobs, who waits, artifacts."""
    with open_lab(lab, lab_dir, measures=False) as opened:
        response, devices, address = opened.client.status(), opened.client.devices(), opened.client.address
    if as_json:
        from gauntlet.devices_json import status_document
        from gauntlet.results_json import document

        print_json(document(lab=status_document(response, devices, address)))
    else:
        from gauntlet.render.status import status as rendered

        stdout().print(rendered(response, devices, address))
