"""The root of the command line: commands, global options, and how every error leaves it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

from gauntlet.cli import access, backups, bench, compare, deploy, devices, faults, jobs, lab, predict, results, search
from gauntlet.cli.choices import help_with_defaults
from gauntlet.cli.output import EXIT_INTERRUPTED, Settings, print_error
from gauntlet.protocol import BENCH_OPTIONS, COMPARE_OPTIONS

_USAGE = 2

app = typer.Typer(
    name="gauntlet",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="[bold]Exit status[/]: 0 done, 1 a measurement failed or the lab is gone, 2 asked wrongly, 130 interrupted.",
)
app.command("bench", epilog=bench.EPILOG, cls=help_with_defaults(BENCH_OPTIONS))(bench.bench)
app.command("compare", epilog=compare.EPILOG, cls=help_with_defaults(COMPARE_OPTIONS))(compare.compare)
app.command("faults", epilog=faults.EPILOG)(faults.faults)
app.command("replay")(faults.replay)
app.command("results")(results.results)
app.command("search", epilog=search.EPILOG)(search.search)
app.command("report")(search.report)
app.command("predict")(predict.predict)
app.add_typer(search.supernet_app, name="supernet")
app.add_typer(devices.app, name="devices")
app.add_typer(jobs.app, name="jobs")
access.add_to(lab.app)
backups.add_to(lab.app)
app.add_typer(lab.app, name="lab")
app.command("login")(access.login)
app.command("deploy", epilog=deploy.EPILOG)(deploy.deploy)
app.command("undeploy", epilog=deploy.EPILOG)(deploy.undeploy)


def _print_version(wanted: bool) -> None:
    if wanted:
        from protos.contract import software_version

        typer.echo(f"gauntlet {software_version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", metavar="", help="With an error, print its traceback as well.")
    ] = False,
) -> None:
    """Measure neural networks on the devices that they will run on.

    Without a running lab, a command starts one of its own on this machine and ends it afterwards:

      [cyan]gauntlet bench model.tflite[/]                   measure a model here
      [cyan]gauntlet bench *.tflite --threads 2 --json[/]    several, for a program
      [cyan]gauntlet compare old.tflite new.tflite[/]        is the new one faster?
      [cyan]gauntlet faults model.tflite --data test.npz --fault "iBF(p=1e-4)"[/]
                                              accuracy while bits flip
      [cyan]gauntlet search examples/digits.yaml[/]          find fast and robust networks
      [cyan]gauntlet predict --from runs/digits --sample 5[/]  what would others cost?
      [cyan]gauntlet results --format csv[/]                 all figures, for a spreadsheet
      [cyan]gauntlet devices[/]                              what can measure here

    A lab for several people and boards is a server that agents join:

      [cyan]gauntlet lab init[/]                             on the server, once: TLS, tokens, roles
      [cyan]gauntlet lab up[/]                               on the server
      [cyan]gauntlet deploy pi4 --lab HOST:PORT[/]           brings the agent to a board
      [cyan]gauntlet-agent join HOST:PORT TOKEN[/]           or by hand; then gauntlet-agent run
      [cyan]gauntlet bench model.tflite --lab HOST:PORT[/]   where it is reached
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line.

    Returns:
        The exit status.
    """
    # Anywhere on the line, as people add it to the end of what just failed.
    debug = "--debug" in arguments
    words = [word for word in arguments if word != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        # A terminal without Unicode shows "?" instead of a bar, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    as_json = "--json" in words
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminated)
    try:
        outcome = typer.main.get_command(app).main(
            args=words, prog_name="gauntlet", standalone_mode=False, obj=Settings(debug)
        )
        return outcome if isinstance(outcome, int) else 0
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        # The reader, such as `head`, has had enough. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            import traceback

            traceback.print_exc()
        return _report(error, as_json)


def _report(error: Exception, as_json: bool) -> int:
    from gauntlet.errors import GauntletError

    if isinstance(error, GauntletError):
        print_error(error.message, error.remedy, error.detail, error.exit_code, as_json)
        return error.exit_code
    # Of the command line parser, whichever library it comes from.
    if callable(wording := getattr(error, "format_message", None)):
        command = getattr(getattr(error, "ctx", None), "command_path", "gauntlet")
        print_error(_first_line(wording()), f"see {command} --help", "", _USAGE, as_json)
        return _USAGE
    # What the parser makes of Ctrl-C.
    if type(error).__name__ == "Abort":
        return _interrupted()
    if "search.errors" in sys.modules:
        from search.errors import SearchError

        if isinstance(error, SearchError):
            print_error(error.message, error.remedy, "", _USAGE, as_json)
            return _USAGE
    if "search.supernet.errors" in sys.modules:
        from search.supernet.errors import SupernetError

        if isinstance(error, SupernetError):
            print_error(str(error), "", "", 1, as_json)
            return 1
    if "orchestrator.client" in sys.modules:
        from orchestrator.client import ClientError, NotFound, Refused

        if isinstance(error, ClientError):
            code = _USAGE if isinstance(error, (NotFound, Refused)) else 1
            print_error(error.message, error.remedy, "", code, as_json)
            return code
    remedy = "this should not happen: run it again with --debug, and report what it prints"
    print_error(f"{type(error).__name__}: {error}", remedy, "", 1, as_json)
    return 1


def _interrupted() -> int:
    sys.stderr.write("interrupted\n")
    return EXIT_INTERRUPTED


def _terminated(number: int, _frame: FrameType | None) -> None:
    # As an exception, so that jobs are cancelled and the lab is ended on the way out.
    raise SystemExit(128 + number)


def _first_line(text: str) -> str:
    line = " ".join(text.split())
    return line[:1].lower() + line[1:].removesuffix(".")
