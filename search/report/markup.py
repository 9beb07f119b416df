"""HTML that cannot be broken by what it shows: every text goes through `text`, every datum through `embed`."""

from __future__ import annotations

import html
import json
from collections.abc import Container, Iterable, Sequence
from typing import Any


class Markup(str):
    """HTML that is safe already."""

    __slots__ = ()


def text(content: object) -> Markup:
    """Escape, unless it is markup."""
    return content if isinstance(content, Markup) else Markup(html.escape(str(content)))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element. Attributes that are None or False are left out; `class_` is class, `aria_label` is aria-label."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[object]) -> Markup:
    """One after another."""
    return Markup("".join(text(part) for part in parts))


def embed(data: Any) -> Markup:
    """JSON that is safe inside a script element."""
    dumped = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        dumped = dumped.replace(character, f"\\u{ord(character):04x}")
    return Markup(dumped)


def section(identity: str, title: str, *children: object, lead: object = "") -> Markup:
    """A part of the page with its heading, and a paragraph that says what is to be seen."""
    paragraph = tag("p", lead, class_="lead") if lead else ""
    return tag("section", tag("h2", title, id=identity), paragraph, *children, aria_labelledby=identity)


def table(
    caption: str, heads: Sequence[object], rows: Iterable[Sequence[object]], numeric: Container[int], class_: str = ""
) -> Markup:
    """A plain table in a frame that scrolls by itself. The first cell of a row is its heading.

    Args:
        caption: what the table holds; for screen readers.
        heads: of the columns.
        rows: of cells.
        numeric: the columns that are set flush right.
        class_: further CSS classes.
    """
    flush = ["number" if column in numeric else None for column in range(len(heads))]
    head = tag("tr", *(tag("th", cell, scope="col", class_=look) for cell, look in zip(heads, flush, strict=True)))
    body = []
    for first, *rest in rows:
        cells = (tag("td", cell, class_=look) for cell, look in zip(rest, flush[1:], strict=True))
        body.append(tag("tr", tag("th", first, scope="row"), *cells))
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body), class_=class_ or None)
    return tag("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)


def facts(pairs: Iterable[tuple[object, object]], class_: str = "facts") -> Markup:
    """Names and what belongs to them."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_=class_)
