"""HTML that cannot be broken by what it shows: every text goes through `text`, every datum through `embed`."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
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
    caption: str, heads: Sequence[object], rows: Iterable[Sequence[object]], *, class_: str = "", numeric_from: int = 1
) -> Markup:
    """A plain table in a frame that scrolls by itself. The first cell of a row is its heading.

    Args:
        caption: what the table holds; for screen readers.
        heads: of the columns.
        rows: of cells.
        class_: further CSS classes.
        numeric_from: the first column that is set flush right.
    """
    head = tag("tr", *(tag("th", cell, scope="col", class_=_flush(i, numeric_from)) for i, cell in enumerate(heads)))
    body = [
        tag(
            "tr",
            *(
                tag("td", cell, class_=_flush(i, numeric_from)) if i else tag("th", cell, scope="row")
                for i, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body), class_=class_ or None)
    return tag("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)


def facts(pairs: Iterable[tuple[object, object]], class_: str = "facts") -> Markup:
    """Names and what belongs to them."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_=class_)


def _flush(column: int, numeric_from: int) -> str | None:
    return "number" if column >= numeric_from else None
