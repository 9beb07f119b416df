"""The orchestrator as a process: ``python -m orchestrator``, and behind ``gauntlet lab up``."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

from orchestrator import failpoints, settings
from orchestrator.artifacts import ArtifactError
from orchestrator.config import Config, ConfigError
from orchestrator.notify import Manager
from orchestrator.store.base import StoreError
from protos import logs

log = logging.getLogger(__name__)

#: Who signals a process and its group, as `timeout` does, means it once.
_ONE_WISH_S = 0.3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM, SIGINT, or, with --lifeline, the end of standard input; returns the exit code."""
    try:
        asked = settings.load(sys.argv[1:] if arguments is None else arguments, os.environ)
    except ConfigError as error:
        for problem in error.problems:
            _complain(problem)
        return 2
    if asked.show:
        print(asked)  # noqa: T201
        return 0
    return run(asked)


def run(asked: settings.Settings) -> int:
    """Run with these settings; see `main`."""
    config = asked.config
    logs.set_up(config.log_format, logging.getLevelNamesMapping()[config.log_level.upper()])
    logging.getLogger("alembic").setLevel(logging.WARNING)
    stop = _Stop(config.stop_timeout_s)
    try:
        failpoints.arm(os.environ)
        asyncio.run(_run(config, asked.lifeline, stop))
        log.info("stopped")
    except (ConfigError, StoreError, ArtifactError) as error:
        if config.log_format == "json":
            log.critical("%s", str(error).replace("\n", "; "))
        else:
            _complain(str(error))
        return 2 if isinstance(error, ConfigError) else 1
    finally:
        stop.done()
    return 0


def _complain(problem: str) -> None:
    message, _, remedy = problem.partition("\n")
    print(f"error: {message}" + (f"\n  {remedy}" if remedy else ""), file=sys.stderr)  # noqa: T201


class _Stop:
    """The end, in order and within a bound; a second signal is an end at once.

    What was acknowledged is on disk at any time, so that an end at once loses no more than a crash: nothing.

    Args:
        timeout_s: the process is gone this long after it was told to stop, whatever hangs.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._signalled_at: float | None = None
        # A thread, since what hangs may be the event loop.
        self._timer = threading.Timer(timeout_s, self._give_up)
        self._timer.daemon = True
        self.event = asyncio.Event()

    def signal(self, number: signal.Signals) -> None:
        """A signal came."""
        now = time.monotonic()
        if self._signalled_at is not None:
            if now - self._signalled_at > _ONE_WISH_S:
                log.warning("told to stop once more: ending at once")
                os._exit(128 + number)
            return
        self._signalled_at = now
        log.info("%s: stopping; once more to end at once", number.name)
        self.begin()

    def begin(self) -> None:
        """Stop."""
        if not self.event.is_set():
            self.event.set()
            self._timer.start()

    def done(self) -> None:
        """It has stopped."""
        self._timer.cancel()

    def _give_up(self) -> None:
        log.error("not stopped within %g s: ending at once", self._timeout_s)
        os._exit(1)


async def _run(config: Config, lifeline: bool, stop: _Stop) -> None:
    from orchestrator.server import serve  # loads the database's libraries: not for --help

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.signal, number)
    if lifeline:
        await _end_with_stdin(stop)
    # A lab of one command is none of the business of a manager that watches whoever started it.
    manager = Manager() if lifeline else Manager.of(os.environ)
    attending = asyncio.create_task(manager.attend(stop.event))
    await serve(config, stop.event, manager.ready)
    await attending


async def _end_with_stdin(stop: _Stop) -> None:
    """Stop when standard input ends: whoever started us has died, however it died."""
    loop = asyncio.get_running_loop()

    class Lifeline(asyncio.Protocol):
        def connection_lost(self, error: Exception | None) -> None:
            stop.begin()

    await loop.connect_read_pipe(Lifeline, sys.stdin)
