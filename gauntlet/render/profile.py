"""Where the time of an inference goes, as a table with bars.

#  operator                            time   share
0  Conv  0_nchwc                    153.7 µs  69.4 %  ████████████████████
1  Conv  3_nchwc                    32.83 µs  14.8 %  ████▎
between operators                22.87 µs  10.3 %  ███
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gauntlet.render import units
from gauntlet.render.bars import bar
from protos.figures import value_of
from protos.gauntlet.v1 import measurement_pb2

#: More operators than this are summed by type first, and only the dearest are listed.
_LISTED = 24
_WIDEST_BAR = 30
#: Of a line that is no operator's name and no bar: indent, number, time, share and the gaps between them.
_FIXED = 35
_LEAST_NAME = 24
_NOTHING = 0.0005


@dataclass(frozen=True)
class _Row:
    number: str
    kind: str
    name: str
    time_s: float
    share: float
    style: str = ""


def render(profile: measurement_pb2.ProfileResult, median_s: float | None, width: int) -> RenderableType:
    """The operators of a profile that is there.

    Args:
        profile: with operators.
        median_s: the plain latency, to tell what the profiler costs; None: not measured.
        width: characters of a line.
    """
    usual = Counter(operator.delegate for operator in profile.operators).most_common(1)[0][0]
    rows = [_row(operator, usual) for operator in profile.operators]
    parts: list[RenderableType] = []
    if len(rows) > _LISTED:
        parts.append(_table("by type", _by_type(rows), [], profile, width))
    listed, rest = _dearest(rows)
    parts.append(_table("operator", listed, [*rest, *_between(profile)], profile, width))
    parts.append(Padding(Text(_sentence(profile, median_s, usual), "dim"), (1, 0, 0, 2)))
    return Group(*parts)


def _row(operator: measurement_pb2.OperatorTime, usual_delegate: str) -> _Row:
    name = operator.name
    if operator.delegate != usual_delegate:
        name = f"[{_called(operator.delegate)}] {name}".strip()
    return _Row(str(operator.index), operator.type, name, operator.time_s, operator.share)


def _called(delegate: str) -> str:
    return "no delegate" if delegate == "none" else delegate


def _by_type(rows: Sequence[_Row]) -> list[_Row]:
    kinds: dict[str, list[_Row]] = {}
    for row in rows:
        kinds.setdefault(row.kind, []).append(row)
    summed = [
        _Row(f"{len(same)}×", kind, "", sum(row.time_s for row in same), sum(row.share for row in same))
        for kind, same in kinds.items()
    ]
    return sorted(summed, key=lambda row: -row.time_s)


def _dearest(rows: Sequence[_Row]) -> tuple[list[_Row], list[_Row]]:
    """The rows to list, in their order, and one for the others."""
    if len(rows) <= _LISTED:
        return list(rows), []
    places = sorted(sorted(range(len(rows)), key=lambda place: -rows[place].time_s)[:_LISTED])
    left = [row for place, row in enumerate(rows) if place not in set(places)]
    text = f"{units.count(len(left), 'more operator')}, see --json"
    rest = _Row("", text, "", sum(row.time_s for row in left), sum(row.share for row in left), "dim")
    return [rows[place] for place in places], [rest]


def _between(profile: measurement_pb2.ProfileResult) -> Iterator[_Row]:
    whole_s, covered = value_of(profile.whole_s), value_of(profile.covered)
    if whole_s is not None and covered is not None and 1 - covered > _NOTHING:
        yield _Row("", "between operators", "", (1 - covered) * whole_s, 1 - covered, "dim")


def _table(
    title: str, rows: Sequence[_Row], last: Sequence[_Row], profile: measurement_pb2.ProfileResult, width: int
) -> RenderableType:
    everything = [*rows, *last]
    longest = max(len(f"{row.kind}  {row.name}".strip()) for row in everything)
    # Names come first; bars get what is left, and a share of the line at least.
    widest = min(_WIDEST_BAR, max(width - _FIXED - max(longest, _LEAST_NAME), (width - _FIXED) // 4))
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", min_width=4, no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(_LEAST_NAME, width - _FIXED - widest))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, min_width=widest, max_width=widest)
    header = ("", title, "time", "share", "")
    table.add_row(*(Text(text, "bold") for text in header))
    largest = max((row.share for row in everything), default=0.0)
    for row in everything:
        label = Text.assemble((row.kind, row.style), ("  " + row.name if row.name else "", "dim"))
        table.add_row(
            Text(row.number, "dim"),
            label,
            Text(_time(row.time_s, profile.resolution_s), row.style),
            Text(f"{100 * row.share:.1f} %", row.style),
            Text(bar(row.share / largest if largest else 0.0, widest), row.style or "cyan"),
        )
    return Padding(table, (0, 0, 1, 0)) if title == "by type" else table


def _time(value_s: float, resolution_s: float) -> str:
    if not value_s and resolution_s:
        return f"< {resolution_s * 1e6:g} µs" if resolution_s >= 1e-6 else f"< {resolution_s * 1e9:g} ns"
    return units.duration(value_s)


def _sentence(profile: measurement_pb2.ProfileResult, median_s: float | None, usual: str) -> str:
    whole_s, covered = value_of(profile.whole_s) or 0.0, value_of(profile.covered) or 0.0
    coarse = ", in whole microseconds, rounded down," if profile.resolution_s >= 1e-6 else ""
    text = (
        f"{profile.source}{coarse} over {units.count(profile.inferences, 'inference')} after the timing; "
        f"the operators make up {100 * covered:.1f} % of {units.duration(whole_s)}."
    )
    mixed = any(operator.delegate != usual for operator in profile.operators)
    text += f" All {'but those marked ' if mixed else ''}ran on {_called(usual)}."
    if median_s and whole_s:
        text += (
            f" A profiled inference takes {whole_s / median_s:.2f} times as long as a plain one: shares mean more "
            "than times."
        )
    return text
