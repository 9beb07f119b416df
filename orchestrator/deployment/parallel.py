"""Many hosts at once: what fails on one is its own affair."""

from __future__ import annotations

import concurrent.futures
import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from orchestrator.deployment.errors import DeploymentError
from orchestrator.deployment.steps import HostReport, InterruptedDeploymentError, Observer

log = logging.getLogger(__name__)


class Work(Protocol):
    """What is to be done on one host."""

    @property
    def host_name(self) -> str:
        """Whose."""

    def run(self) -> HostReport:
        """Do it, in the calling thread."""

    def interrupt(self) -> None:
        """From another thread: hang up, so that it ends."""


def run_all(works: Sequence[Work], at_once: int, stop: threading.Event, observer: Observer) -> list[HostReport]:
    """Do all of it, so many hosts at once.

    Ctrl-C ends the work under way, and sets `stop`: the reports then say how far each host came.

    Returns:
        One report for each, in the same order.
    """
    reports: dict[str, HostReport] = {}

    def done(future: concurrent.futures.Future[HostReport]) -> None:
        work = futures[future]
        if future.cancelled():
            reports[work.host_name] = HostReport(work.host_name, (), InterruptedDeploymentError())
        elif (error := future.exception()) is not None:
            log.debug("%s", work.host_name, exc_info=error)
            failure = DeploymentError(f"{type(error).__name__}: {error}", "this should not happen: report it")
            reports[work.host_name] = HostReport(work.host_name, (), failure)
        else:
            reports[work.host_name] = future.result()
        observer.ended(reports[work.host_name])

    with concurrent.futures.ThreadPoolExecutor(at_once, "gauntlet-deploy") as pool:
        futures = {pool.submit(work.run): work for work in works}
        try:
            for future in concurrent.futures.as_completed(futures):
                done(future)
        except BaseException as error:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for work in works:
                work.interrupt()
            for future, work in futures.items():
                # Those that were cancelled would never come out of as_completed.
                if not future.cancelled():
                    concurrent.futures.wait([future])
                if work.host_name not in reports:
                    done(future)
            if not isinstance(error, KeyboardInterrupt):
                raise
    return [reports[work.host_name] for work in works]
