"""Where work is done that takes long: in this process, or in some beside it. Everything here is an `Executor`.

    campaign ── submit(function, work) ──▶ thread 1 ──pipe──▶ process 1     one task at a time each
                                      └──▶ thread 2 ──pipe──▶ process 2

Processes are programs of their own (see `search.worker`), begun with the first task that needs them: none inherits a
connection or a thread of gRPC's, and unlike with `multiprocessing` a user's script is not run again in each. They end
with their parent, however it dies, and Ctrl-C is left to it. Whoever is killed, for want of memory perhaps, takes
nothing with it but its task, which is done once more.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import torch

from search.errors import SearchError
from search.worker import read_message, write_message

_P = ParamSpec("_P")
_T = TypeVar("_T")

_ATTEMPTS = 2
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerLostError(SearchError):
    """A worker process died over a task, and so did the next one that was given it."""


@contextlib.contextmanager
def executor(workers: int, threads: int = 1, note: Callable[[str], None] = lambda text: None) -> Iterator[Executor]:
    """Somebody to do work, for as long as the block lasts.

    A function is given with arguments that can be pickled, and must be found under the name of its module, so not in
    a script. What it raises comes back. A block that ends by an exception leaves what is under way undone; one that
    ends well waits for it.

    Args:
        workers: processes; 0: in a thread of this process, one task at a time, which nobody can break off.
        threads: of torch, in each.
        note: told in one line when a worker process was lost, from whichever thread.

    Raises:
        ValueError: fewer than 0 workers, or no thread.
    """
    if workers < 0 or threads < 1:
        raise ValueError(f"workers must be 0 or more, threads 1 or more: {workers}, {threads}")
    if workers == 0:
        with ThreadPoolExecutor(1, "work", torch.set_num_threads, (threads,)) as pool:
            yield pool
        return
    processes = _Processes(workers, threads, note)
    try:
        yield processes
    except BaseException:
        processes.kill()
        raise
    finally:
        processes.shutdown()


class _Processes(Executor):
    """A thread for each process waits for its answers."""

    def __init__(self, workers: int, threads: int, note: Callable[[str], None]) -> None:
        self._threads, self._note = threads, note
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="worker")
        self._lock = threading.Lock()
        self._idle, self._all = list[_Process](), set[_Process]()
        self._killed = False

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """See `Executor`.

        Raises:
            SearchError: the work cannot be sent to another process.
        """
        if getattr(fn, "__module__", None) == "__main__":
            raise SearchError(f"{fn} is part of a script, which no other process knows", "put it into a module")
        return self._pool.submit(self._carry_out, pickle.dumps((fn, args, kwargs)))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor`."""
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            self._end(process)

    def kill(self) -> None:
        """Break off what is under way, and take no more."""
        with self._lock:
            self._killed = True
            everyone = list(self._all)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in everyone:
            process.kill()

    def _carry_out(self, work: bytes) -> Any:
        for attempt in range(_ATTEMPTS):
            process = self._take()
            try:
                content = process.ask(work)
            except (OSError, EOFError):
                ended = self._end(process)
                if self._killed:
                    raise CancelledError from None
                again = "; its task is done once more" if attempt + 1 < _ATTEMPTS else ""
                self._note(f"a worker process {ended}{again}")
                continue
            with self._lock:
                self._idle.append(process)
            succeeded, answer = pickle.loads(content)  # noqa: S301  # from our own process
            if succeeded:
                return answer
            raise answer
        raise WorkerLostError(
            f"two worker processes died over one task, the last of them {ended}",
            "if memory was short, take fewer workers or smaller batches",
        )

    def _take(self) -> _Process:
        with self._lock:
            if self._killed:
                raise CancelledError
            if self._idle:
                return self._idle.pop()
            process = _Process(self._threads)
            self._all.add(process)
            return process

    def _end(self, process: _Process) -> str:
        with self._lock:
            self._all.discard(process)
        return process.end()


class _Process:
    """One worker process, seen from here."""

    def __init__(self, threads: int) -> None:
        # The same modules are found there under the same names, and nothing of a folder that it happens to run in.
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
        self._popen = subprocess.Popen(
            [sys.executable, "-c", "from search.worker import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment | dict.fromkeys(_THREADS, str(threads)),
            start_new_session=True,  # Ctrl-C in a terminal is for us alone
        )

    def ask(self, work: bytes) -> bytes:
        """Whether it succeeded, and what it returned or raised, pickled.

        Raises:
            OSError, EOFError: the process is gone.
        """
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        write_message(self._popen.stdin, work)
        return read_message(self._popen.stdout)

    def kill(self) -> None:
        """At once."""
        self._popen.kill()

    def end(self) -> str:
        """Let it end, which it does when nothing can come from us any more; how it did, in words."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # something was left to send
            self._popen.stdin.close()
        self._popen.stdout.close()
        code = self._popen.wait()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
