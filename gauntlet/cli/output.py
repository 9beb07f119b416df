"""What all commands share: options, consoles, errors, the connection."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from gauntlet.api import Lab

EXIT_INTERRUPTED = 130

_PANEL = "Which lab"
LabOption = Annotated[
    str,
    typer.Option(
        "--lab",
        metavar="HOST:PORT",
        envvar="GAUNTLET_LAB",
        help="Lab to use; without one, a lab of its own on this machine.",
        rich_help_panel=_PANEL,
    ),
]
LabDirOption = Annotated[
    Path | None,
    typer.Option(
        "--lab-dir",
        metavar="DIR",
        envvar="GAUNTLET_LAB_DIR",
        help="Folder of this machine's own lab.  [dim]\\[default: ~/.local/state/gauntlet/lab][/]",
        rich_help_panel=_PANEL,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", metavar="", help="Print one JSON document, and nothing else, on standard output.")
]


@dataclass(frozen=True)
class Settings:
    """What holds for every command, as the context's object.

    Attributes:
        debug: say more about errors.
    """

    debug: bool = False


def open_lab(address: str, folder: Path | None, measures: bool = True) -> Lab:
    """The lab that the options name; open it with `with`."""
    from gauntlet.api import Lab

    return Lab(address or None, folder=folder, measures=measures)


def stdout() -> Console:
    """Where results go."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def stderr() -> Console:
    """Where errors and progress go."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(document: dict[str, Any]) -> None:
    """One document on standard output."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def print_wrapped(text: Text) -> None:
    """To standard error: wrapped between words for a person at a terminal, as it is for a log or a pipe."""
    console = stderr()
    console.print(text, soft_wrap=not console.is_terminal)


def print_error(message: str, remedy: str, detail: str, exit_code: int, as_json: bool) -> None:
    """One line on standard error, what to do in a second; and for programs a document."""
    from rich.text import Text

    print_wrapped(Text.assemble(("error: ", "bold red"), message))
    if remedy:
        print_wrapped(Text.assemble(("  remedy: ", "bold"), remedy))
    for line in detail.splitlines():
        print_wrapped(Text(f"  │ {line}", "dim"))
    if as_json:
        from gauntlet.results_json import error_document

        print_json(error_document(message, remedy, exit_code))
    sys.stdout.flush()
