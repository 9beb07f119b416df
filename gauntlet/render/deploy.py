"""Deployments: a line for each host, while it goes and when it is over; what a dry run would do."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from orchestrator.deployment.steps import AgentDownError, HostReport, InterruptedDeploymentError, Outcome, Step

_SIGNS = {
    Outcome.DONE: ("✓", "green"),
    Outcome.ALREADY: ("·", "dim"),
    Outcome.PLANNED: ("→", "cyan"),
    Outcome.FAILED: ("✗", "red"),
}
#: Of which the line of a host that went well is made.
_TOLD = ("python", "wheels", "service", "certificate")


@dataclass
class _Line:
    """A host that is being worked on."""

    step: str = ""
    detail: str = ""
    begun_s: float = field(default_factory=time.monotonic)
    spinner: Spinner = field(default_factory=lambda: Spinner("dots", style="cyan"))
    report: HostReport | None = None


class LiveTable:
    """The hosts as they go; an `Observer`, and something to draw."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._guard = threading.Lock()
        self._lines: dict[str, _Line | None] = dict.fromkeys(hosts)

    def began(self, host: str, step: str) -> None:
        """See `Observer`."""
        with self._guard:
            line = self._lines[host] = self._lines[host] or _Line()
            line.step, line.detail = step, ""

    def progress(self, host: str, detail: str) -> None:
        """See `Observer`."""
        with self._guard:
            if (line := self._lines[host]) is not None:
                line.detail = detail

    def ended(self, report: HostReport) -> None:
        """See `Observer`."""
        with self._guard:
            line = self._lines[report.host] = self._lines[report.host] or _Line()
            line.report = report

    def __rich__(self) -> RenderableType:
        """A line for each host."""
        table = _table()
        with self._guard:
            for host, line in self._lines.items():
                if line is None:
                    table.add_row(Text(host, "bold"), Text("·", "dim"), Text("waits", "dim"), "", "")
                elif line.report is not None:
                    table.add_row(*_row(line.report))
                else:
                    seconds = time.monotonic() - line.begun_s
                    table.add_row(
                        Text(host, "bold"), line.spinner, Text(line.step), Text(line.detail), _seconds(seconds)
                    )
        return table


def reports_table(reports: Sequence[HostReport]) -> RenderableType:
    """A line for each host, and what a person should know."""
    table = _table()
    for report in reports:
        table.add_row(*_row(report))
    return Group(table, *_remarks(reports))


def plan(reports: Sequence[HostReport]) -> RenderableType:
    """Each step of each host, of a dry run."""
    parts: list[RenderableType] = []
    for report in reports:
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
        for step in report.steps:
            sign, style = _SIGNS[step.outcome]
            words = Text(step.detail or step.outcome.value, style if step.outcome is Outcome.ALREADY else "")
            table.add_row(" ", Text(sign, style), Text(step.name), words)
        parts += [Text(report.host, "bold"), table]
    return Group(*parts, *_remarks(reports))


def report_document(report: HostReport) -> dict[str, Any]:
    """For programs."""
    error = report.error
    return {
        "host": report.host,
        "ok": report.ok,
        "changed": report.changed,
        "seconds": round(report.seconds, 3),
        "steps": [
            {
                "step": step.name,
                "outcome": step.outcome.name.lower(),
                "detail": step.detail,
                "seconds": round(step.seconds, 3),
            }
            for step in report.steps
        ],
        "warnings": list(report.warnings),
        "error": None if error is None else {"message": error.message, "remedy": error.remedy, "log": _log(report)},
    }


def _table() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1), expand=True)
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    return table


def _row(report: HostReport) -> list[RenderableType]:
    name, seconds = Text(report.host, "bold"), _seconds(report.seconds)
    last = report.steps[-1].name if report.steps else "begin"
    if isinstance(report.error, InterruptedDeploymentError):
        return [name, Text("‖", "yellow"), Text(last), Text(report.error.message, "yellow"), seconds]
    if report.error is not None:
        return [name, Text("✗", "red"), Text(last), Text(report.error.message, "red"), seconds]
    if any(step.outcome is Outcome.PLANNED for step in report.steps):
        return [name, Text("→", "cyan"), Text("planned"), "", seconds]
    words = " · ".join(step.detail for step in _told(report.steps))
    state = Text(last) if report.changed else Text(f"{last}, as it was", "dim")
    return [name, Text("✓", "green"), state, Text(words, "" if report.changed else "dim"), seconds]


def _told(steps: Sequence[Step]) -> list[Step]:
    chosen = [step for step in steps if step.name in _TOLD and step.detail]
    return chosen or [step for step in steps if step.outcome is Outcome.DONE]


def _remarks(reports: Sequence[HostReport]) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for report in reports:
        lines += [Text.assemble((f"{report.host}: ", "bold"), (warning, "yellow")) for warning in report.warnings]
        if report.error is not None and report.error.remedy:
            lines.append(Text.assemble((f"{report.host}: remedy: ", "bold"), report.error.remedy))
        lines += [Text(f"  │ {line}", "dim") for line in _log(report)]
    return [Text(), *lines] if lines else []


def _log(report: HostReport) -> list[str]:
    return list(report.error.log) if isinstance(report.error, AgentDownError) else []


def _seconds(seconds: float) -> Text:
    return Text(f"{seconds:.1f} s", "dim")
