"""What all commands share: options, consoles, errors, the connection."""

from __future__ import annotations

import json
import re
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
#: Control characters of ASCII and Latin-1 but the line's end, and Unicode's of direction (UAX #9).
_COMMANDS = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u200e\\u200f\\u061c\\u202a-\\u202e\\u2066-\\u2069]")

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
DirOption = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        metavar="DIR",
        envvar="GAUNTLET_LAB_DIR",
        help="Folder of the lab.  [dim]\\[default: ~/.local/state/gauntlet/lab][/]",
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
    return _console(soft_wrap=False)


def stderr() -> Console:
    """Where errors and progress go."""
    return _console(stderr=True)


def _console(**options: Any) -> Console:
    """A console on which names of models, devices and users are nothing but text: no markup, no terminal commands."""
    from rich.console import Console
    from rich.segment import Segment

    class Plain(Console):
        def render(self, renderable: Any, options: Any = None) -> Any:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(harmless(segment.text), segment.style)

    return Plain(highlight=False, markup=False, emoji=False, **options)


def harmless(text: str) -> str:
    """Without characters that command a terminal or turn the direction of writing: they have no width, so that tables
    stay as they are; lines still end.
    """
    return _COMMANDS.sub("", text)


def print_json(document: dict[str, Any]) -> None:
    """One document on standard output; what commands a terminal is written as JSON's escapes, and stays."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    typer.echo(_COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


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
