"""What every page has in common: one file that needs no network, no server and no other file."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path

from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from search.report.drawing import Chart
from search.report.markup import Markup, embed, tag


def page(
    title: str,
    header: Markup,
    titles: Mapping[str, str],
    parts: Sequence[Markup],
    charts: Sequence[Chart],
    version: str,
) -> str:
    """A whole page as HTML.

    Args:
        title: of the window.
        header: over everything.
        titles: short names of parts by their ids, for the contents; those that are not there are left out.
        parts: sections.
        charts: figures that the sections have places for.
        version: of this software.
    """
    data = embed([{"id": c.identity, "data": c.data, "layout": c.layout, "height": c.height} for c in charts])
    library, script = Markup(get_plotlyjs()), _resource("page.js")
    # Only these two scripts run, whatever a name that was not escaped might hold.
    hashes = " ".join(f"'sha256-{_hash(source)}'" for source in (library, script))
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    there = {key: name for key, name in titles.items() if any(f' id="{key}"' in part for part in parts)}
    head = tag(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        tag("title", f"{title} · Gauntlet"),
        tag("style", _resource("page.css")),
    )
    body = tag(
        "body",
        tag("a", "Skip to the results", href=f"#{next(iter(there), '')}", class_="skip"),
        tag("header", header),
        tag("nav", *(tag("a", name, href=f"#{key}") for key, name in there.items()), aria_label="Contents"),
        tag("main", *parts),
        tag("footer", f"Made by Gauntlet {version}. Works offline; nothing in it is loaded from elsewhere."),
        tag("script", data, type="application/json", id="charts"),
        tag("script", library),
        tag("script", script),
    )
    return f'<!DOCTYPE html>\n<html lang="en">{head}{body}</html>\n'


def write(text: str, path: Path) -> None:
    """Write a page, whole or not at all; an older one is replaced."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def figure(chart: Chart, caption: object = "") -> Markup:
    """The place of a chart, with its title."""
    style = f"--height:{chart.height}px"
    plot = tag("div", id=chart.identity, class_="chart", style=style, role="img", aria_label=chart.summary)
    return tag("figure", tag("h3", chart.title), plot, tag("figcaption", caption) if caption else "")


def moment(created: str) -> str:
    """An RFC 3339 time for people; what is none stays as it is."""
    try:
        return datetime.fromisoformat(created).strftime("%-d %B %Y, %H:%M %Z").strip()
    except ValueError:
        return created


def _resource(name: str) -> Markup:
    return Markup(resources.files("search.report").joinpath(name).read_text(encoding="utf-8"))


def _hash(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
