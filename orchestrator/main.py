"""The orchestrator as a process: ``python -m orchestrator``, and behind ``gauntlet lab up``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator import failpoints
from orchestrator.artifacts import ArtifactError
from orchestrator.config import DEFAULT_ADDRESS, Config, ConfigError
from orchestrator.store.base import StoreError

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM, SIGINT, or, with --lifeline, the end of standard input; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        failpoints.arm(os.environ)
        config = Config(
            address=options.address,
            folder=options.dir.expanduser().resolve(),
            heartbeat_interval_s=options.heartbeat_s,
            lease_duration_s=options.lease_s,
        )
        asyncio.run(_run(config, options.lifeline))
    except (ConfigError, StoreError, ArtifactError) as error:
        message, _, remedy = str(error).partition("\n")
        print(f"error: {message}" + (f"\n  {remedy}" if remedy else ""), file=sys.stderr)  # noqa: T201
        return 2 if isinstance(error, ConfigError) else 1
    return 0


async def _run(config: Config, lifeline: bool) -> None:
    from orchestrator.server import serve  # loads the database's libraries: not for --help

    until = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, until.set)
    if lifeline:
        await _end_with_stdin(until)
    await serve(config, until)


async def _end_with_stdin(until: asyncio.Event) -> None:
    """Set `until` when standard input ends: whoever started us has died, however it died."""
    loop = asyncio.get_running_loop()

    class Lifeline(asyncio.Protocol):
        def connection_lost(self, error: Exception | None) -> None:
            until.set()

    await loop.connect_read_pipe(Lifeline, sys.stdin)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gauntlet lab up", description="Run the orchestrator of a lab.")
    parser.add_argument("--address", default=DEFAULT_ADDRESS, help="HOST:PORT on loopback, or unix:/PATH (%(default)s)")
    parser.add_argument("--dir", type=Path, required=True, help="folder of the lab's database and artifacts")
    parser.add_argument(
        "--heartbeat-s",
        type=float,
        default=Config.heartbeat_interval_s,
        help="seconds between heartbeats (%(default)s)",
    )
    parser.add_argument(
        "--lease-s",
        type=float,
        default=Config.lease_duration_s,
        help="a device that was not heard for so long is lost, its job goes elsewhere (%(default)s)",
    )
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends")
    return parser
