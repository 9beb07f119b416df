"""A comparison of strategies in the terminal: who found how much, with how many queries."""

from __future__ import annotations

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search.comparison import Comparison, share

_BLOCKS = "▁▂▃▄▅▆▇█"
_CURVE = 16
#: From this width on there is room for more than one look at the hypervolume.
_WIDE = 110


def render(comparison: Comparison, width: int) -> RenderableType:
    """A table, best first, and what the rank tests say.

    Args:
        comparison: of at least one strategy.
        width: characters that it may take.
    """
    names = list(comparison.ranking.mean_rank)
    best = names[0]
    looks = comparison.looks if width >= _WIDE else comparison.looks[-1:]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("\nstrategy", no_wrap=True, overflow="ellipsis")
    table.add_column(f"median over\n{comparison.budget} queries", no_wrap=True)
    for look in looks:
        table.add_column(f"hypervolume\nat {look}", justify="right", no_wrap=True)
    if comparison.target is not None:
        table.add_column(f"queries to\n{share(comparison.target)}", justify="right", no_wrap=True)
        table.add_column("queries of\nbest / this", justify="right", no_wrap=True)
    curves = _curves(comparison)
    for name in names:
        cells = [Text(name, "bold" if name == best else ""), Text(curves[name], "cyan")]
        cells += [Text(str(comparison.hypervolume(name, look))) for look in looks]
        if comparison.target is not None:
            ratio = "" if name == best else str(comparison.ratio(best, name))
            cells += [Text(str(comparison.queries(name))), Text(ratio)]
        table.add_row(*cells)
    seeds = len(comparison.seeds)
    head = Text.assemble((comparison.title, "bold"), f"  {seeds} {'seed' if seeds == 1 else 'seeds'}")
    words = Text(" ".join(comparison.ranking.sentences()))
    notes = Text("\n".join([*comparison.remarks(), *comparison.notes]), "dim")
    return Group(head, Text(), table, Text(), *(part for part in (words, notes) if part))


def _curves(comparison: Comparison) -> dict[str, str]:
    """Each median as a line of blocks, all on one scale."""
    ends = np.linspace(0, comparison.budget, min(_CURVE, comparison.budget) + 1)[1:].round().astype(int) - 1
    medians = {name: comparison.band(name)[0][ends] for name in comparison.names}
    low = min(median.min() for median in medians.values())
    span = max(median.max() for median in medians.values()) - low
    top = len(_BLOCKS) - 1
    return {
        name: "".join(_BLOCKS[round(top * (value - low) / span) if span else top] for value in median)
        for name, median in medians.items()
    }
