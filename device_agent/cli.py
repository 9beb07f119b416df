"""``gauntlet-agent``: what runs on a device. Plain argparse: the base install holds no more."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Dict, Optional, Sequence

from protos import contract
from protos.addresses import AddressError, check_local

log = logging.getLogger(__name__)

_EXAMPLES = """\
examples:
  gauntlet-agent doctor
      what this machine can and cannot measure, and how to mend it
  gauntlet-agent run --orchestrator 127.0.0.1:50151 --label room=lab2
      join the lab whose orchestrator runs here, or behind a tunnel from the orchestrator's machine:
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
    check_local(options.orchestrator)
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    from device_agent.identity import StateError, StateFolder  # together with what follows: not for --help

    try:
        state = StateFolder(options.state_dir.expanduser().resolve(), options.agent_id)
    except StateError as error:
        raise UsageError(str(error)) from error
    try:
        device_id = options.device_id or state.agent_id
        for what, name in (("device id", device_id), ("device class", options.device_class or "ok")):
            if not contract.is_id(name):
                raise UsageError(f"{name!r} is no {what}\nuse 1-64 letters, digits, '.', '_' or '-'")
        asyncio.run(_serve(options, state, device_id))
    finally:
        state.close()
    return 0


async def _serve(options: argparse.Namespace, state: StateFolder, device_id: str) -> None:  # noqa: F821
    import shutil

    from device_agent.cache import ArtifactCache
    from device_agent.host import describe_device
    from device_agent.hoststate import HostReader
    from device_agent.runner import DeviceRunner
    from device_agent.session import Agent
    from device_agent.spool import Spool
    from device_agent.uplink import Uplink
    from device_agent.workers import PoolSettings, WorkerPool
    from protos.gauntlet.v1 import device_pb2

    work = state.root / "work"
    shutil.rmtree(work, ignore_errors=True)  # measurements of an earlier life
    pool = WorkerPool(PoolSettings(folder=work))
    await pool.start()
    description = describe_device(device_id, _labels(options.label), options.device_class)
    uplink = Uplink(options.orchestrator)
    host = HostReader()

    def telemetry() -> Sequence[device_pb2.DeviceTelemetry]:
        reading = device_pb2.DeviceTelemetry(
            device_id=device_id,
            temperature_c=host.temperature_c(),
            frequency_hz=host.frequency_hz(),
            load_average=host.load_average(),
        )
        return [reading]

    agent = Agent(
        device_pb2.AgentDescription(
            agent_id=state.agent_id,
            hostname=socket.gethostname(),
            software_version=contract.software_version(),
            python_version=".".join(map(str, sys.version_info[:3])),
        ),
        state.epoch,
        uplink,
        Spool(state.root / "spool"),
        telemetry,
    )
    cache = ArtifactCache(state.root / "cache", options.cache_mb * 1024**2)
    agent.add_device(DeviceRunner(state.agent_id, description, pool, cache, uplink.download, agent))
    try:
        await _until_told_to_stop(agent, options.lifeline)
    finally:
        await pool.close()
        await uplink.close()


async def _until_told_to_stop(agent: Agent, lifeline: bool) -> None:  # noqa: F821
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if lifeline:

        class Lifeline(asyncio.Protocol):
            """Whoever started this agent has died, however it died: standard input ended."""

            def connection_lost(self, error: Optional[Exception]) -> None:
                stop.set()

        await loop.connect_read_pipe(Lifeline, sys.stdin)
    running = asyncio.ensure_future(agent.run())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop.is_set():
        await agent.goodbye("told to stop")
    running.cancel()
    try:
        await running
    except asyncio.CancelledError:
        log.info("stopped")


def _doctor(options: argparse.Namespace) -> int:
    from device_agent import doctor

    print(doctor.report_json() if options.json else doctor.report())
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
    run.add_argument("--orchestrator", required=True, metavar="ADDRESS", help="HOST:PORT on loopback, or unix:/PATH")
    default_state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state") / "gauntlet" / "agent"
    run.add_argument(
        "--state-dir", type=Path, default=default_state, help="identity, cache and unsent results (%(default)s)"
    )
    run.add_argument("--agent-id", default="", metavar="NAME", help="kept for later starts (default: the host's name)")
    run.add_argument("--device-id", default="", metavar="NAME", help="name of the device (default: the agent's id)")
    run.add_argument("--device-class", default="", metavar="CLASS", help="what jobs ask for (default: found out)")
    run.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="may be given several times")
    run.add_argument("--cache-mb", type=_positive, default=2048, metavar="MB", help="cap of the cache (%(default)s)")
    run.add_argument("--lifeline", action="store_true", help="stop when standard input ends")
    run.set_defaults(run=_run)

    doctor = commands.add_parser("doctor", help="say what this machine can and cannot measure, and how to mend it")
    doctor.add_argument("--json", action="store_true", help="the same for programs")
    doctor.set_defaults(run=_doctor)

    for command in (run, doctor):
        command.add_argument("--debug", action="store_true", help="details, and a traceback for errors")
    return parser


def _positive(text: str) -> int:
    number = int(text) if text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return number
