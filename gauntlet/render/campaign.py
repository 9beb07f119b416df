"""A campaign's end in the terminal: the front as a table, and how far to trust it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gauntlet.render.audit import verdicts
from search.campaign.config import CampaignConfig, parse
from search.campaign.problem import front_of
from search.campaign.warm_start import FROM
from search.evaluations import Evaluation
from search.noise import may_belong, membership
from search.objectives import Aggregate, Constraint, Objective, total_violation
from search.pareto import costs, front
from search.replay.recording import FILE_NAME as TABLE
from search.report.units import chance
from search.runlog import History
from search.values import Value

_SHARES = ("accuracy",)
_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def summary(history: History, folder: Path, complete: bool) -> RenderableType:
    """What was found, and where it lies."""
    config = parse(dict(history.about["config"]), str(folder))
    objectives = config.parsed_objectives()
    members = front_of(history, config)
    floors = [{}, *history.notes("floors")][-1]
    belongs = membership(history.evaluations, objectives, config.parsed_constraints(), floors)
    by_number = {evaluation.number: evaluation for evaluation in history.evaluations}
    others = [by_number[number] for number in may_belong(belongs, (member.number for member in members))]
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.add_column("no.", justify="right", no_wrap=True)
    for objective in objectives:
        heading = objective.name.replace(", per=bit", "")
        aggregate = isinstance(objective.quantity, Aggregate)
        heading = heading.replace(", ", ",\n") if aggregate else heading.replace("@", "\n@")
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("params", justify="right", no_wrap=True)
    table.add_column("MACs", justify="right", no_wrap=True)
    table.add_column("on the\ntrue front", justify="right", no_wrap=True)

    def add(evaluation: Evaluation, style: str = "") -> None:
        figures = [_figure(objective, evaluation.value(objective.name)) for objective in objectives]
        counts = _count(evaluation.parameters), _count(evaluation.macs)
        table.add_row(str(evaluation.number), *figures, *counts, chance(belongs[evaluation.number]), style=style)

    for member in sorted(members, key=lambda e: objectives[0].cost(e.value(objectives[0].name).value or 0.0)):
        add(member)
    if others:
        table.add_section()
        for other in others:
            add(other, "dim")
    failures = [evaluation.failure for evaluation in history.evaluations if evaluation.failure is not None]
    earlier = sum(FROM in evaluation.provenance for evaluation in history.evaluations)
    counts = [
        f"{len(history.told) - earlier} candidates {'replayed' if config.replay else 'measured'}",
        *([f"{earlier} known from earlier campaigns"] if earlier else []),
        f"{len(failures)} failed",
        f"{len(members)} on the Pareto front",
    ]
    parts: list[RenderableType] = [Text(), Text.assemble((f"{config.title}: ", "bold"), ", ".join(counts))]
    whole = [evaluation for evaluation in history.evaluations if costs(evaluation, objectives) is not None]
    if whole and not members:
        parts.append(Text(_missed(whole, config.parsed_constraints()), "dim"))
    if failures:
        [(kind, count)] = Counter(failure.kind for failure in failures).most_common(1)
        words = next(failure.message for failure in failures if failure.kind == kind)
        parts.append(Text(f"{count} of those that failed: {kind}: {words}", "dim"))
    parts += [Text(), table, Text()]
    if others:
        words = "may belong to the front: noise alone can have kept them from it"
        listed = ", ".join(str(other.number) for other in others)
        parts += [Text(f"{listed} {words}", "dim"), Text()]
    audits = history.notes("audit")
    if audits:
        parts.append(verdicts(audits[-1]))
    parts.append(Text.assemble(("report  ", "bold"), str(folder / "report.html")))
    if complete:
        what = "a .json card each" if config.replay else ".tflite with a .json card each"
        parts.append(Text.assemble(("winners ", "bold"), f"{folder / 'winners'} ({what})"))
        parts.append(Text.assemble(("table   ", "bold"), f"{folder / TABLE} (all figures, to replay)"))
    return Group(*parts)


def _missed(evaluations: Sequence[Evaluation], constraints: Sequence[Constraint]) -> str:
    """Why none of these is on the front: the one that comes nearest, and what it breaks."""
    nearest = min(evaluations, key=lambda e: total_violation(e.values, constraints))
    broken = ", ".join(str(bound) for bound in constraints if total_violation(nearest.values, [bound]) > 0)
    return f"none keeps all bounds; the nearest is {nearest.number}, which breaks {broken}"


def live_front(evaluations: Sequence[Evaluation], config: CampaignConfig, rows: int) -> RenderableType:
    """The front so far, while a campaign runs.

    Args:
        evaluations: what was told.
        config: of the campaign.
        rows: members to show at most; the others are counted.
    """
    objectives = config.parsed_objectives()
    members = front(evaluations, objectives, config.parsed_constraints())
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("front", justify="right")
    for objective in objectives:
        table.add_column(objective.name.replace(", per=bit", ""), justify="right", overflow="ellipsis")
    # Spread over the first objective: the ends and what lies between them.
    members.sort(key=lambda e: objectives[0].cost(e.value(objectives[0].name).value or 0.0))
    shown = members if len(members) <= rows else [members[i * (len(members) - 1) // (rows - 1)] for i in range(rows)]
    for member in shown:
        table.add_row(str(member.number), *(_figure(o, member.value(o.name)) for o in objectives))
    more = [Text(f"and {len(members) - len(shown)} others between them", "dim")] if len(members) > len(shown) else []
    return Group(table, *more)


def _count(number: int | None) -> str:
    """Three figures do in a summary; the cards have all of them."""
    if number is None:
        return "–"
    scale, prefix = next(((s, p) for s, p in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if number >= s), (1, ""))
    return f"{number / scale:.3g}{prefix}"


def _figure(objective: Objective, value: Value) -> Text:
    if value.value is None:
        return Text(value.unavailable, "dim")
    half = None if value.low is None or value.high is None else (value.high - value.low) / 2
    if objective.quantity.kind in _SHARES:
        return Text(f"{value.value:.1%}" + ("" if half is None else f" ± {half:.1%}"))
    prefixes = _PREFIXES[:1] if isinstance(objective.quantity, Aggregate) else _PREFIXES
    scale, prefix = next(((s, p) for s, p in prefixes if abs(value.value) >= s), prefixes[-1])
    text = f"{value.value / scale:.4g}" + ("" if half is None else f" ± {half / scale:.2g}")
    return Text(f"{text} {prefix}{objective.unit}")
