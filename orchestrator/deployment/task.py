"""What is done on one host, whatever that is: connect, do it, report."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from orchestrator.client import ClientError
from orchestrator.deployment.errors import DeploymentError
from orchestrator.deployment.hosts import Host
from orchestrator.deployment.ports import Remote
from orchestrator.deployment.steps import HostReport, InterruptedDeploymentError, Journal, Observer

Connect = Callable[[Host], Remote]


class Task(ABC):
    """What is done on one host.

    Args:
        host: which.
        connect: reaches it.
        observer: is told what happens.
        stop: set: end at the next step.
    """

    def __init__(self, host: Host, connect: Connect, observer: Observer, stop: threading.Event) -> None:
        self._host = host
        self._connect = connect
        self._stop = stop
        self._journal = Journal(host.name, observer, stop)
        self._remote: Remote | None = None

    @property
    def host_name(self) -> str:
        """Whose it is."""
        return self._host.name

    def run(self) -> HostReport:
        """Do it; what goes wrong stands in the report."""
        try:
            self._check()
            with self._journal.step("connect") as note:
                remote = self._remote = self._connect(self._host)
                note.found(self._host.where)
            try:
                self._carry_out(remote)
            finally:
                remote.close()
        except DeploymentError as error:
            # Whatever it looks like when somebody hangs up in the middle of it.
            return self._journal.report(InterruptedDeploymentError() if self._stop.is_set() else error)
        except ClientError as error:
            return self._journal.report(DeploymentError(error.message, error.remedy))
        return self._journal.report()

    def interrupt(self) -> None:
        """From another thread, once `stop` is set: hang up, so that it ends."""
        if self._remote is not None:
            self._remote.close()

    @abstractmethod
    def _check(self) -> None:
        """Before anything is done: DeploymentError if it cannot come to a good end."""

    @abstractmethod
    def _carry_out(self, remote: Remote) -> None:
        """Do it, connected."""
