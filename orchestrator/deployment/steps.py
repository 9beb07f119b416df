"""What happened on one host, step by step, and who is told while it happens."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from orchestrator.deployment.errors import DeploymentError


class Outcome(Enum):
    """How a step ended."""

    DONE = "done"
    ALREADY = "already there"
    PLANNED = "would be done"
    FAILED = "failed"


@dataclass(frozen=True)
class Step:
    """A step that is over.

    Attributes:
        name: one word.
        outcome: how it ended.
        detail: what it found or did, for people.
        seconds: that it took.
    """

    name: str
    outcome: Outcome
    detail: str
    seconds: float


@dataclass(frozen=True)
class HostReport:
    """What happened on one host.

    Attributes:
        host: its name.
        steps: in their order.
        error: why it is not as it was asked to be; None: it is.
        warnings: what a person should know although it went well.
    """

    host: str
    steps: Sequence[Step]
    error: DeploymentError | None = None
    warnings: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """Is it as it was asked to be?"""
        return self.error is None

    @property
    def changed(self) -> bool:
        """Was anything done?"""
        return any(step.outcome is Outcome.DONE for step in self.steps)

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return sum(step.seconds for step in self.steps)


class Observer(Protocol):
    """Is told what happens, from the threads of the hosts."""

    def began(self, host: str, step: str) -> None:
        """A step began."""

    def progress(self, host: str, detail: str) -> None:
        """It is so far."""

    def ended(self, report: HostReport) -> None:
        """The host is done with."""


class InterruptedDeploymentError(DeploymentError):
    """Told to stop in the middle."""

    def __init__(self) -> None:
        super().__init__("interrupted; the same command goes on where it was")


class AgentDownError(DeploymentError):
    """The agent does not run, or does not reach its lab.

    Attributes:
        log: the last lines that it said.
    """

    def __init__(self, message: str, log: Sequence[str], remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.log = tuple(log)


@dataclass
class Note:
    """What a step found or did; nothing said: everything was there already."""

    outcome: Outcome = Outcome.ALREADY
    detail: str = ""

    def found(self, detail: str) -> None:
        """It was as it should be."""
        self.detail = detail

    def did(self, detail: str) -> None:
        """Something was done."""
        self.outcome, self.detail = Outcome.DONE, detail

    def would(self, detail: str) -> None:
        """Something would be done."""
        self.outcome, self.detail = Outcome.PLANNED, detail


@dataclass
class Journal:
    """Steps of one host as they go.

    Attributes:
        host: its name.
        observer: is told.
        stop: set: end at the next step.
        steps: that are over.
        warnings: for the report.
    """

    host: str
    observer: Observer
    stop: threading.Event
    steps: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Note]:
        """A step. What it raises is its end, and is noted.

        Raises:
            InterruptedDeploymentError: told to stop.
        """
        self.check()
        self.observer.began(self.host, name)
        begin, note = time.monotonic(), Note()
        try:
            yield note
        except BaseException as error:
            self.steps.append(Step(name, Outcome.FAILED, str(error), time.monotonic() - begin))
            raise
        self.steps.append(Step(name, note.outcome, note.detail, time.monotonic() - begin))

    def check(self) -> None:
        """Raises InterruptedDeploymentError when told to stop."""
        if self.stop.is_set():
            raise InterruptedDeploymentError

    def progress(self, detail: str) -> None:
        """So far."""
        self.observer.progress(self.host, detail)

    def report(self, error: DeploymentError | None = None) -> HostReport:
        """What happened."""
        return HostReport(self.host, tuple(self.steps), error, tuple(self.warnings))
