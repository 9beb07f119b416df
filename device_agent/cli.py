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
from typing import Dict, Optional, Sequence

from protos import contract, logs
from protos.addresses import AddressError, check_form, check_local, split

_EXAMPLES = """\
examples:
  gauntlet-agent doctor
      what this machine can and cannot measure, and how to mend it
  gauntlet-agent join lab.example.org:50152 gjt1-…
  gauntlet-agent run --label room=lab2
      join a lab with a token that its administrator made, then measure for it
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
    from device_agent import enrolment
    from device_agent.identity import StateError
    from device_agent.service import Settings, serve  # loads gRPC: not for --help

    for what, name in (
        ("agent id", options.agent_id),
        ("device id", options.device_id),
        ("class", options.device_class),
    ):
        if name and not contract.is_id(name):
            raise UsageError(f"{name!r} is no {what}\nuse 1-64 letters, digits, '.', '_' or '-'")
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
    settings = Settings(
        orchestrator=address,
        state_folder=root,
        agent_id=held.name if held else options.agent_id,
        device_id=options.device_id,
        device_class=options.device_class,
        labels=_labels(options.label),
        cache_bytes=options.cache_mb * 1024**2,
        worker_memory_bytes=options.worker_memory_mb * 1024**2 if options.worker_memory_mb else None,
        lifeline=options.lifeline,
        allow_pt2=options.allow_pt2,
        allow_setup=options.allow_setup,
        setup_root=options.setup_root,
        fitness=not options.no_fitness,
        noise_floor_every_s=options.noise_floor_every * 3600,
        metrics_address=options.metrics_address,
        credentials=held,
    )
    try:
        asyncio.run(serve(settings))
    except StateError as error:
        raise UsageError(str(error)) from error
    return 0


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
    run.add_argument(
        "--orchestrator",
        default="",
        metavar="ADDRESS",
        help="HOST:PORT on loopback, or unix:/PATH (default: of the lab that was joined)",
    )
    default_state = _state_folder()
    run.add_argument(
        "--state-dir", type=Path, default=default_state, help="identity, cache and unsent results (%(default)s)"
    )
    run.add_argument("--agent-id", default="", metavar="NAME", help="kept for later starts (default: the host's name)")
    run.add_argument("--device-id", default="", metavar="NAME", help="name of the device (default: the agent's id)")
    run.add_argument("--device-class", default="", metavar="CLASS", help="what jobs ask for (default: found out)")
    run.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="may be given several times")
    run.add_argument("--cache-mb", type=_positive, default=2048, metavar="MB", help="cap of the cache (%(default)s)")
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
    run.add_argument(
        "--metrics-address",
        type=_host_and_port,
        default="",
        metavar="HOST:PORT",
        help="serve /metrics there for Prometheus, unguarded; the orchestrator passes on the same without it",
    )
    run.add_argument("--lifeline", action="store_true", help="stop when standard input ends")
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

    for command in (run, watch):
        command.add_argument(
            "--log-format", choices=logs.FORMATS, default="text", help="json: one object a line, for programs"
        )
    for command in (run, join, doctor, watch):
        command.add_argument("--debug", action="store_true", help="details, and a traceback for errors")
    return parser


def _state_folder() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state") / "gauntlet" / "agent"


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
