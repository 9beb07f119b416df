"""A supernet's audit in the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search.report.audit import Document, audit_rows, effort_sentences, quantity_heading, read_audit


def verdicts(document: Document) -> RenderableType:
    """How well the supernet ranks, in a line for each quantity."""
    lines = list[Text]()
    for ranking in read_audit(document)["rankings"]:
        name = "supernet" if not lines else " " * len("supernet")
        lines.append(
            Text.assemble(
                (f"{name} ", "bold"),
                f"{quantity_heading(ranking['quantity'])}: {ranking['verdict']}; ",
                (str(ranking["reason"]), "dim"),
            )
        )
    return Group(*lines)


def figures(document: Document) -> RenderableType:
    """All figures of an audit, its verdicts, and what it took."""
    rankings = read_audit(document)["rankings"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("95 % intervals", overflow="fold")
    for ranking in rankings:
        table.add_column(Text(quantity_heading(ranking["quantity"])), overflow="fold")
    for name, cells in audit_rows(document):
        table.add_row(Text(name), *map(Text, cells))
    said = [Text(sentence, "dim") for sentence in effort_sentences(document)]
    return Group(table, Text(), verdicts(document), Text(), *said)
