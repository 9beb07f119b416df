"""``gauntlet-agent``: what runs on a device. Plain argparse: the base install holds no more."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Coroutine, Dict, Optional, Sequence, Tuple

from protos import contract, logs
from protos.addresses import AddressError, check_form, check_local, split

if TYPE_CHECKING:
    from protos.credentials import Credentials  # loads gRPC: not for --help

_EXAMPLES = """\
examples:
  gauntlet-agent doctor
      what this machine can and cannot measure, and how to mend it
  gauntlet-agent join lab.example.org:50152 gjt1-…
  gauntlet-agent run --label room=lab2
      join a lab with a token that its administrator made, then measure for it
  gauntlet-agent bridge --runner benchmark_model
      measure on the Android phones that are plugged in here
  gauntlet-agent run --orchestrator 127.0.0.1:50151
      measure for a lab without TLS that runs here, or behind a tunnel from the orchestrator's machine:
      ssh -R 50151:127.0.0.1:50151 THIS-BOARD
"""


class UsageError(Exception):
    """Wrong use; a second line says what to do."""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Entry point; exit code 2 for wrong use, 1 when the agent cannot go on."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (UsageError, AddressError) as error:
        return _fail(error, 2, options.debug)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _fail(error, 1, options.debug)


def _fail(error: Exception, code: int, debug: bool) -> int:
    if debug:
        raise error
    message, _, remedy = (str(error) or repr(error)).partition("\n")
    print(f"error: {message}", file=sys.stderr)
    if remedy:
        print(f"  {remedy}", file=sys.stderr)
    return code


def _run(options: argparse.Namespace) -> int:
    logs.set_up(options.log_format, logging.DEBUG if options.debug else logging.INFO)
    from device_agent.service import Settings, serve  # loads gRPC: not for --help

    _check_ids(("agent id", options.agent_id), ("device id", options.device_id), ("class", options.device_class))
    settings = Settings(
        **_of_any_agent(options),
        device_id=options.device_id,
        device_class=options.device_class,
        worker_memory_bytes=options.worker_memory_mb * 1024**2 if options.worker_memory_mb else None,
        allow_pt2=options.allow_pt2,
        allow_setup=options.allow_setup,
        setup_root=options.setup_root,
        fitness=not options.no_fitness,
        noise_floor_every_s=options.noise_floor_every * 3600,
    )
    return _run_agent(serve(settings))


def _bridge(options: argparse.Namespace) -> int:
    logs.set_up(options.log_format, logging.DEBUG if options.debug else logging.INFO)
    from device_agent.bridge.service import BridgeSettings, serve_bridge

    _check_ids(("agent id", options.agent_id))
    if options.runner is not None and not options.runner.is_file():
        raise UsageError(f"there is no runner {options.runner}\nname a file, see docs/phones.md")
    settings = BridgeSettings(
        **_of_any_agent(options),
        adb=options.adb,
        adb_port=options.adb_port,
        names=_phone_names(options.phone),
        runner=options.runner,
        allow_reboot=options.allow_reboot,
    )
    return _run_agent(serve_bridge(settings))


def _of_any_agent(options: argparse.Namespace) -> Dict[str, Any]:
    """The fields of `AgentSettings`."""
    address, held = _lab(options)
    return {
        "orchestrator": address,
        "state_folder": options.state_dir.expanduser().resolve(),
        "agent_id": held.name if held else options.agent_id,
        "labels": _labels(options.label),
        "cache_bytes": options.cache_mb * 1024**2,
        "lifeline": options.lifeline,
        "credentials": held,
        "metrics_address": options.metrics_address,
    }


def _run_agent(running: Coroutine[Any, Any, None]) -> int:
    from device_agent.identity import StateError

    try:
        asyncio.run(running)
    except StateError as error:
        raise UsageError(str(error)) from error
    return 0


def _check_ids(*named: Tuple[str, str]) -> None:
    for what, name in named:
        if name and not contract.is_id(name):
            raise UsageError(f"{name!r} is no {what}\nuse 1-64 letters, digits, '.', '_' or '-'")


def _lab(options: argparse.Namespace) -> Tuple[str, Optional[Credentials]]:
    """The lab's address, and what this agent holds of it if it has joined it."""
    from device_agent import enrolment
    from device_agent.identity import StateError

    root = options.state_dir.expanduser().resolve()
    try:
        held = None if options.orchestrator.startswith("unix:") else enrolment.load(root, options.agent_id)
    except StateError as error:
        raise UsageError(str(error)) from error
    address = options.orchestrator or (held.address if held else "")
    if not address:
        raise UsageError(
            "this agent has joined no lab\n"
            "join one: gauntlet-agent join HOST:PORT TOKEN; or name one of this machine's own with --orchestrator"
        )
    check_form(address) if held else check_local(address)
    return address, held


def _join(options: argparse.Namespace) -> int:
    from device_agent import enrolment
    from device_agent.identity import StateError
    from protos.enrolment import JoinError

    root = options.state_dir.expanduser().resolve()
    text = sys.stdin.readline() if options.token == "-" else options.token  # noqa: S105  # not a password either
    try:
        got = enrolment.join(root, options.address, text)
    except (StateError, JoinError) as error:
        raise UsageError(str(error)) from error
    print(f"joined as agent {got.name}; now run: gauntlet-agent run", end="")
    print("" if options.state_dir == _state_folder() else f" --state-dir {options.state_dir}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from device_agent import doctor

    findings = doctor.report(state=options.state_dir.expanduser())
    if options.json:
        print(json.dumps([finding.to_dict() for finding in findings], indent=2))
    else:
        print(doctor.render(findings))
    return 0


def _watch(options: argparse.Namespace) -> int:
    logs.set_up(options.log_format, logging.DEBUG if options.debug else logging.INFO)
    from device_agent.tuning.watch import WatchConfigError, watch

    try:
        watch(options.config, options.state_dir.expanduser().resolve())
    except WatchConfigError as error:
        raise UsageError(str(error)) from error
    return 0


def _labels(pairs: Sequence[str]) -> Dict[str, str]:
    labels = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not contract.is_id(key) or not value:
            raise UsageError(f"{pair!r} is no label\nwrite KEY=VALUE, for example room=lab2")
        labels[key] = value
    return labels


def _phone_names(pairs: Sequence[str]) -> Dict[str, str]:
    from device_agent.bridge.describe import check_names

    names: Dict[str, str] = {}
    for pair in pairs:
        key, separator, name = pair.rpartition("=")
        if not separator or not key or not name:
            raise UsageError(
                f"{pair!r} names no phone\nwrite SERIAL=NAME, or usb:PORT=NAME, as `adb devices -l` shows it"
            )
        if names.setdefault(key, name) != name:
            raise UsageError(f"phone {key} has two names, {names[key]} and {name}\ngive it one")
    try:
        return check_names(names)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gauntlet-agent",
        description="Measures neural networks on this device for an orchestrator.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gauntlet-agent {contract.software_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="join a lab and measure what it sends, until told to stop")
    default_state = _state_folder()
    bridge = commands.add_parser("bridge", help="make every Android phone on this machine's USB ports a device")
    bridge.add_argument("--adb", type=Path, default=Path("adb"), metavar="FILE", help="the program (%(default)s)")
    bridge.add_argument(
        "--adb-port",
        type=_port,
        default=0,
        metavar="PORT",
        help="run an adb server of the bridge's own there (default: share this machine's; two fight for phones)",
    )
    bridge.add_argument(
        "--phone",
        action="append",
        default=[],
        metavar="SERIAL=NAME",
        help="name a phone, by its serial number or its port, usb:1-2 (default: of its model and serial number)",
    )
    bridge.add_argument(
        "--runner",
        type=Path,
        metavar="FILE",
        help="runs models on a phone: TensorFlow Lite's benchmark_model, or one of your own (docs/runner.md)",
    )
    bridge.add_argument(
        "--allow-reboot",
        action="store_true",
        default=os.environ.get("GAUNTLET_ALLOW_REBOOT") == "1",
        help="reboot a phone that hangs and that reconnecting does not help, three times a day at most "
        "(or GAUNTLET_ALLOW_REBOOT=1)",
    )
    bridge.set_defaults(run=_bridge)

    for command in (run, bridge):
        command.add_argument(
            "--orchestrator",
            default="",
            metavar="ADDRESS",
            help="HOST:PORT on loopback, or unix:/PATH (default: of the lab that was joined)",
        )
        command.add_argument(
            "--state-dir", type=Path, default=default_state, help="identity, cache and unsent results (%(default)s)"
        )
        command.add_argument(
            "--agent-id", default="", metavar="NAME", help="kept for later starts (default: the host's name)"
        )
        command.add_argument(
            "--label", action="append", default=[], metavar="KEY=VALUE", help="may be given several times"
        )
        command.add_argument(
            "--cache-mb", type=_positive, default=2048, metavar="MB", help="cap of the cache (%(default)s)"
        )
        command.add_argument(
            "--metrics-address",
            type=_host_and_port,
            default="",
            metavar="HOST:PORT",
            help="serve /metrics there for Prometheus, unguarded; the orchestrator passes on the same without it",
        )
        command.add_argument("--lifeline", action="store_true", help="stop when standard input ends")
    run.add_argument("--device-id", default="", metavar="NAME", help="name of the device (default: the agent's id)")
    run.add_argument("--device-class", default="", metavar="CLASS", help="what jobs ask for (default: found out)")
    run.add_argument(
        "--worker-memory-mb",
        type=_positive,
        metavar="MB",
        help="address space that a measured model may take (default: four fifths of the memory, and 1 GB)",
    )
    run.add_argument(
        "--allow-pt2",
        action="store_true",
        default=os.environ.get("GAUNTLET_ALLOW_PT2") == "1",
        help="take torch's .pt2 files, which can run code here: only where everybody who submits is trusted "
        "(or GAUNTLET_ALLOW_PT2=1)",
    )
    run.add_argument(
        "--allow-setup",
        action="store_true",
        default=os.environ.get("GAUNTLET_ALLOW_SETUP") == "1",
        help="let jobs set governor, clock limits and power mode while they measure; always put back "
        "(or GAUNTLET_ALLOW_SETUP=1)",
    )
    run.add_argument("--setup-root", type=Path, default=Path("/"), help=argparse.SUPPRESS)  # a made-up machine
    run.add_argument(
        "--no-fitness",
        action="store_true",
        default=os.environ.get("GAUNTLET_FITNESS") == "0",
        help="measure no reference model at start, every ten jobs and at rest to see whether the device is what it was "
        "(or GAUNTLET_FITNESS=0)",
    )
    run.add_argument(
        "--noise-floor-every",
        type=_hours,
        default=24.0,
        metavar="HOURS",
        help="compare the reference model with itself when idle, to find the device's noise floor; 0: never "
        "(%(default)g)",
    )
    run.set_defaults(run=_run)

    join = commands.add_parser("join", help="join a lab with a token of its administrator; once, before `run`")
    join.add_argument("address", metavar="HOST:PORT", help="as `gauntlet lab token` printed it")
    join.add_argument("token", metavar="TOKEN", help="gjt1-…; '-': read it from standard input")
    join.add_argument(
        "--state-dir", type=Path, default=default_state, help="key and certificate are kept there (%(default)s)"
    )
    join.set_defaults(run=_join)

    doctor = commands.add_parser("doctor", help="say what this machine can and cannot measure, and how to mend it")
    doctor.add_argument(
        "--state-dir", type=Path, default=default_state, help="of the agent whose last check is shown (%(default)s)"
    )
    doctor.add_argument("--json", action="store_true", help="the same for programs")
    doctor.set_defaults(run=_doctor)

    watch = commands.add_parser("watch", help="look after a board beside this machine; recover it when it is wedged")
    watch.add_argument("config", type=Path, metavar="FILE.json", help="probe, recovery commands and their limits")
    watch.add_argument("--state-dir", type=Path, default=default_state.with_name("watch"), help="history (%(default)s)")
    watch.set_defaults(run=_watch)

    for command in (run, bridge, watch):
        command.add_argument(
            "--log-format", choices=logs.FORMATS, default="text", help="json: one object a line, for programs"
        )
    for command in (run, bridge, join, doctor, watch):
        command.add_argument("--debug", action="store_true", help="details, and a traceback for errors")
    return parser


def _state_folder() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state") / "gauntlet" / "agent"


def _port(text: str) -> int:
    if not text.isdigit() or not 1024 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 1024 to 65535")
    return int(text)


def _positive(text: str) -> int:
    number = int(text) if text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return number


def _host_and_port(text: str) -> str:
    try:
        _, port = split(text) if text else ("", 1)
    except AddressError as error:
        raise argparse.ArgumentTypeError(str(error).partition("\n")[0]) from error
    if not port:
        raise argparse.ArgumentTypeError(f"{text!r} names no port that Prometheus could know")
    return text


def _hours(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours, such as 24, or 0 for never")
    return number
