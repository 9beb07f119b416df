"""A campaign's end in the terminal: the front as a table, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search.campaign.config import parse
from search.campaign.problem import front_of
from search.objectives import Objective
from search.runlog import History
from search.values import Value

_SHARES = ("accuracy",)
_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def summary(history: History, folder: Path, complete: bool) -> RenderableType:
    """What was found, and where it lies."""
    config = parse(dict(history.about["config"]), str(folder))
    objectives = config.parsed_objectives()
    members = front_of(history, config)
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.add_column("candidate", justify="right")
    for objective in objectives:
        heading = objective.name.replace(", per=bit", "").replace("@", "\n@")
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("parameters", justify="right")
    table.add_column("MACs", justify="right")
    for member in sorted(members, key=lambda e: objectives[0].cost(e.value(objectives[0].name).value or 0.0)):
        figures = [_figure(objective, member.value(objective.name)) for objective in objectives]
        table.add_row(str(member.number), *figures, f"{member.parameters:,}", f"{member.macs:,}")
    failed = sum(evaluation.failure is not None for evaluation in history.evaluations)
    head = Text.assemble(
        (f"{config.title}: ", "bold"),
        f"{len(history.told)} candidates measured, {failed} failed, {len(members)} on the Pareto front",
    )
    parts: list[RenderableType] = [Text(), head, Text(), table, Text()]
    audits = history.notes("audit")
    if audits:
        parts.append(audit_panel(audits[-1]))
    parts.append(Text.assemble(("report  ", "bold"), str(folder / "report.html")))
    if complete:
        parts.append(Text.assemble(("models  ", "bold"), f"{folder / 'winners'} (.tflite with a .json card each)"))
    return Group(*parts)


def audit_panel(audit: Mapping[str, Any]) -> RenderableType:
    """How well the supernet ranks, in two lines."""
    tau, interval, ceiling = audit["tau"], audit["tau_interval"], audit["ceiling"]
    words = "no value" if tau is None else f"τ = {tau:.2f}"
    if interval is not None:
        words += f" (95 %: {interval[0]:.2f} to {interval[1]:.2f})"
    if ceiling is not None:
        words += f", two seeds of training alone agree to {ceiling:.2f}"
    low, high = audit["inherited_range"]
    spread = f"inherited accuracy {low:.1%} to {high:.1%} over {len(audit['subnets'])} networks"
    verdict = Text.assemble(("supernet ", "bold"), f"{audit['verdict']}: {words}; {spread}")
    return Group(verdict, Text(f"         {audit['reason']}", "dim"))


def _figure(objective: Objective, value: Value) -> Text:
    if value.value is None:
        return Text(value.unavailable, "dim")
    half = None if value.low is None or value.high is None else (value.high - value.low) / 2
    if objective.quantity.kind in _SHARES:
        return Text(f"{value.value:.1%}" + ("" if half is None else f" ± {half:.1%}"))
    scale, prefix = next(((s, p) for s, p in _PREFIXES if abs(value.value) >= s), _PREFIXES[-1])
    text = f"{value.value / scale:.4g}" + ("" if half is None else f" ± {half / scale:.2g}")
    return Text(f"{text} {prefix}{objective.unit}")
