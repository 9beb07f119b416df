"""Options that several commands have: where and how a model runs, the state of the device, the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from gauntlet.setup import SetupOptions
    from orchestrator.protocol import Protocol

DEVICE = "Where and how it runs"
_SETUP = "State of the device while it is timed, where it permits; always put back"
_PROTOCOL = "The whole protocol: every number of it"

LabelOption = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Label that a device must carry; repeatable.", rich_help_panel=DEVICE),
]
RuntimeOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Runtime, such as litert; the device's first that takes the model if left out.",
        rich_help_panel=DEVICE,
    ),
]
ThreadsOption = Annotated[int, typer.Option(min=1, metavar="COUNT", help="Threads.", rich_help_panel=DEVICE)]
PinOption = Annotated[
    bool | None,
    typer.Option("--pin/--no-pin", metavar="", help="Hold each thread to a core of its own.", rich_help_panel=DEVICE),
]
TimeoutOption = Annotated[
    str | None,
    typer.Option(metavar="SECONDS", help="Work after which a measurement is killed.", rich_help_panel=DEVICE),
]

GovernorOption = Annotated[
    str, typer.Option(metavar="NAME", help="Frequency governor, such as performance.", rich_help_panel=_SETUP)
]
MinClockOption = Annotated[
    str, typer.Option(metavar="CLOCK", help="Lower clock limit, such as 1.5GHz.", rich_help_panel=_SETUP)
]
MaxClockOption = Annotated[str, typer.Option(metavar="CLOCK", help="Upper clock limit.", rich_help_panel=_SETUP)]
PowerModeOption = Annotated[
    str, typer.Option(metavar="MODE", help="Jetson: mode of nvpmodel, name or number.", rich_help_panel=_SETUP)
]
JetsonClocksOption = Annotated[
    bool, typer.Option("--jetson-clocks", metavar="", help="Jetson: highest clocks.", rich_help_panel=_SETUP)
]
CoresOption = Annotated[
    str, typer.Option(metavar="big|little|0-3", help="Cores that threads are held to.", rich_help_panel=_SETUP)
]

ProtocolOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.yaml", help="Any part of what --show-protocol prints.", rich_help_panel=_PROTOCOL),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="One number, such as energy.window_s=10s; repeatable.",
        rich_help_panel=_PROTOCOL,
    ),
]
ShowProtocolOption = Annotated[
    bool,
    typer.Option(
        "--show-protocol",
        metavar="",
        help="Print the protocol that holds with the other options, as YAML with units and meanings, and leave.",
        rich_help_panel=_PROTOCOL,
    ),
]


def help_with_defaults(table: Mapping[str, tuple[str, str]]) -> type[TyperCommand]:
    """A command whose options for settings of the protocol show its defaults; left out, they are None.

    Args:
        table: name, setting and flag of each, see `gauntlet.protocol`.
    """
    settings = {flag: path for path, flag in table.values()}

    class Command(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            # Only here: what is run need not know them, and they are looked up where they are kept.
            from orchestrator.protocol import DEFAULT, unit_of
            from orchestrator.protocol_files import text_of

            for option in self.params:
                path = next((settings[name] for name in option.opts if name in settings), None)
                if path is not None:
                    part, _, name = path.partition(".")
                    body = getattr(DEFAULT, part)
                    value = getattr(body, name)
                    if unit_of(body, name).name == "share":
                        value = f"{100 * value:g}%"
                    option.default = value if isinstance(value, bool) else text_of(value).strip("[]")
            super().format_help(ctx, formatter)

    return Command


def setup_of(
    governor: str, min_clock: str, max_clock: str, power_mode: str, jetson_clocks: bool, cores: str
) -> SetupOptions:
    """The set-up that the options ask for.

    Raises:
        UsageError: a clock that is none.
    """
    from gauntlet.setup import frequency_hz

    return {
        "governor": governor,
        "min_frequency_hz": frequency_hz(min_clock, "--min-clock"),
        "max_frequency_hz": frequency_hz(max_clock, "--max-clock"),
        "power_mode": power_mode,
        "jetson_clocks": jetson_clocks,
        "cores": cores,
    }


def print_protocol(protocol: Protocol, as_json: bool) -> int:
    """For --show-protocol."""
    if as_json:
        from gauntlet.cli.output import print_json
        from gauntlet.results_json import document

        print_json(document(protocol=protocol.model_dump(mode="json")))
    else:
        from gauntlet.protocol import yaml_text

        typer.echo(yaml_text(protocol), nl=False)
    return 0
