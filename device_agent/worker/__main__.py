"""Entry of the worker: `python -m device_agent.worker`, started by `device_agent.workers` only."""

from __future__ import annotations

import argparse
import contextlib
import errno
import faulthandler
import functools
import gc
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Callable, Optional, Sequence

from device_agent.errors import MeasurementError
from device_agent.worker import protocol, sandbox
from protos.gauntlet.v1 import failure_pb2, measurement_pb2, worker_pb2


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Serve requests until the agent closes the pipe."""
    options = _parse(arguments)
    sandbox.enter(options.parent_pid, options.memory_limit)
    os.set_inheritable(options.request_fd, False)
    os.set_inheritable(options.response_fd, False)
    # What native code prints goes where the agent collects it.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    faulthandler.enable()
    # The agent decides when a worker ends; a terminal's interrupt is meant for the agent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _serve(options)


def _serve(options: argparse.Namespace) -> int:
    # Imported under the memory limit, and before "ready": no job pays for it.
    from device_agent import runtimes
    from device_agent.hoststate import HostReader
    from device_agent.measure.continuity import Continuity
    from device_agent.measure.run import Bench
    from device_agent.tuning.tuner import Tuner

    request_fd, response_fd = options.request_fd, options.response_fd
    continuity = Continuity()
    continuity.install()
    found = runtimes.discover(options.allow_pt2)
    # The one that most jobs use. The others, torch above all, would weigh on the memory of every job; a job that needs
    # one loads it before its clock starts, and is told then if it does not load.
    for runtime in found[:1]:
        with contextlib.suppress(MeasurementError):
            runtime.preload()
    tuner = Tuner(options.setup_journal, options.setup_root) if options.setup_journal else None
    bench = Bench(found, continuity, HostReader(options.setup_root), tuner=tuner)
    # What is here now stays: collections before each timed window need not look at it.
    gc.freeze()

    def report(name: str, waiting: bool) -> None:
        step = worker_pb2.WorkerStep(name=name, waiting=waiting)
        protocol.send(response_fd, worker_pb2.WorkerResponse(step=step))

    try:
        protocol.send(response_fd, worker_pb2.WorkerResponse(ready=worker_pb2.WorkerReady()))
        while True:
            request = protocol.receive(request_fd, worker_pb2.WorkerRequest)
            if request is None:
                return 0
            protocol.send(response_fd, _answer(functools.partial(bench.carry_out, request, report)))
    except BrokenPipeError:
        return 0


def _answer(work: Callable[[], measurement_pb2.MeasurementResult]) -> worker_pb2.WorkerResponse:
    try:
        return worker_pb2.WorkerResponse(result=work())
    except MeasurementError as error:
        return worker_pb2.WorkerResponse(failure=error.to_message())
    except BrokenPipeError:
        raise
    except MemoryError:
        failure = failure_pb2.Failure(
            kind=failure_pb2.FAILURE_KIND_OUT_OF_MEMORY, message="the worker reached its memory limit"
        )
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        kind = failure_pb2.FAILURE_KIND_DISK_FULL if full else failure_pb2.FAILURE_KIND_INTERNAL
        failure = failure_pb2.Failure(kind=kind, message=str(error))
        traceback.print_exc()
    except Exception as error:
        failure = failure_pb2.Failure(
            kind=failure_pb2.FAILURE_KIND_INTERNAL, message=f"{type(error).__name__}: {error}"
        )
        traceback.print_exc()
    return worker_pb2.WorkerResponse(failure=failure)


def _parse(arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m device_agent.worker", description=__doc__)
    parser.add_argument("--request-fd", type=int, required=True, help="pipe that requests come from")
    parser.add_argument("--response-fd", type=int, required=True, help="pipe that responses go to")
    parser.add_argument("--parent-pid", type=int, required=True, help="the agent; the worker ends with it")
    parser.add_argument(
        "--setup-journal", type=Path, help="keeps old values while the device is set up; else it may not be"
    )
    parser.add_argument("--setup-root", type=Path, default=Path("/"), help="of the file system that is read and set up")
    parser.add_argument("--memory-limit", type=int, default=0, help="bytes of address space, 0: no limit")
    parser.add_argument("--allow-pt2", action="store_true", help="load files that can run code")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
