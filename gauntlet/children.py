"""A child process that is watched, started again when it dies, and ended with its whole group.

              ┌──── dies later ────┐  back-off
start ──▶ running ──▶ dies early ──┴──▶ start again   … the third early end in a row: gives up
              │
            close ──▶ its lifeline ends ──▶ SIGTERM ──▶ SIGKILL
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

#: A child that lives shorter than this has not really started.
EARLY_S = 2.0
EARLY_ENDS = 3
#: A child has this long to end by itself; then comes SIGTERM; and this long after, SIGKILL.
PATIENCE_S = (3.0, 1.0)
_BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_LOG_LIMIT_BYTES = 1024 * 1024


class Child:
    """One supervised child process.

    Args:
        name: for messages.
        command: program and arguments.
        folder: its current directory.
        log: file that takes its output; begun anew once it has grown large.
        lifeline: a FIFO that becomes its standard input; the child ends at its end of file.
        environment: its whole environment.
        inherit: further file descriptors that it keeps open.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        log: Path,
        lifeline: Path,
        environment: Mapping[str, str],
        inherit: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._folder = folder
        self._lifeline = lifeline
        self._environment = dict(environment)
        self._inherit = tuple(inherit)
        self._closing = threading.Event()
        #: Held while a process is started or signalled, so that close() never misses one that is just being born.
        self._lock = threading.Lock()
        self._failure = ""
        self._process: subprocess.Popen[bytes] | None = None
        _rotate(log)
        self._log_start = log.stat().st_size if log.exists() else 0
        # A daemon: a script that forgets close() must still be able to end, and the lifeline ends the child.
        self._thread = threading.Thread(target=self._supervise, name=f"supervise-{name}", daemon=True)

    def start(self) -> None:
        """Start the process and its supervision."""
        self._spawn()
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Process id of the present incarnation."""
        return None if self._process is None else self._process.pid

    @property
    def failure(self) -> str:
        """Why it is not started again; empty while it is well or has a chance."""
        return self._failure

    def log_tail(self, lines: int = 12) -> str:
        """The last lines that this run wrote to its log."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_start, size - 16 * 1024))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def close(self) -> None:
        """End it with its whole group; the caller has closed the lifeline before. Returns when it is gone."""
        self._closing.set()
        for patience, signal_number in zip(PATIENCE_S, (signal.SIGTERM, signal.SIGKILL), strict=True):
            self._thread.join(patience)
            if not self._thread.is_alive():
                return
            self._signal(signal_number)
        self._thread.join()

    def leave(self) -> None:
        """Stop supervising and leave the process to whoever else holds its lifeline."""
        self._closing.set()

    def _signal(self, number: signal.Signals) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._process is not None and self._process.returncode is None:
                os.killpg(self._process.pid, number)

    def _spawn(self) -> None:
        with self._lock:
            if self._closing.is_set():
                return
            # Non-blocking, since opening the read end of a FIFO waits for a writer, and ours may be closing right now;
            # blocking from then on, since the child reads it until its end. Each child needs a description of its own.
            lifeline = os.open(self._lifeline, os.O_RDONLY | os.O_NONBLOCK)
            try:
                os.set_blocking(lifeline, True)
                with self.log.open("ab") as log:
                    self._process = subprocess.Popen(
                        self._command,
                        stdin=lifeline,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        cwd=self._folder,
                        env=self._environment,
                        pass_fds=self._inherit,
                        # Its own group, so that Ctrl-C in the terminal reaches us only and we can end it in good order.
                        start_new_session=True,
                    )
            finally:
                os.close(lifeline)

    def _supervise(self) -> None:
        early = restarts = 0
        while self._process is not None:
            began_s = time.monotonic()
            code = self._process.wait()
            if self._closing.is_set():
                return
            early = early + 1 if time.monotonic() - began_s < EARLY_S else 0
            if early == EARLY_ENDS:
                self._failure = f"ended {early} times right after its start, {_in_words(code)}"
                return
            self._closing.wait(_BACKOFF_S[min(restarts, len(_BACKOFF_S) - 1)])
            restarts += 1
            try:
                self._spawn()
            except OSError as error:
                self._failure = f"could not be started again: {error}"
                return


def _in_words(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"last by {signal.Signals(-code).name}"
    return f"last with exit status {code}"


def _rotate(log: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
