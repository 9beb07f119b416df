"""What a campaign file may say, for people: all keys, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from search.errors import hint

#: Tags of the kinds of a section that has several: pydantic names them in a key's path.
_TAGS = frozenset({"mobile", "nb201", "ftt", "choices"})


def explain(model: type[BaseModel]) -> list[tuple[str, str, str]]:
    """(key, default, meaning) of all keys, in order; a section's own line has no default.

    Args:
        model: the whole file's.
    """
    rows: list[tuple[str, str, str]] = []
    for name, field in model.model_fields.items():
        # A list of sections is one key.
        sections = [] if get_origin(field.annotation) is tuple else list(_sections(field.annotation))
        for section in sections:
            of_kind = f" (kind: {get_args(section.model_fields['kind'].annotation)[0]})" if len(sections) > 1 else ""
            rows.append((name + of_kind, "", " ".join((section.__doc__ or "").split())))
            rows += [(f"{name}.{key}", _default(f), f.description or "") for key, f in section.model_fields.items()]
        if not sections:
            rows.append((name, _default(field), field.description or ""))
    return rows


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for part in get_args(annotation):
            yield from _sections(part)


def _default(field: Any) -> str:
    if field.is_required():
        return "(needed)"
    value = field.default
    if value is None or value in ("", (), {}):
        return ""
    if isinstance(value, tuple):
        return "[" + ", ".join(_default_text(item) for item in value) + "]"
    return str(value)


def _default_text(item: Any) -> str:
    return f"[{', '.join(map(str, item))}]" if isinstance(item, tuple) else str(item)


def complaint(error: Any) -> str:
    """What is wrong, in one line, from an error of pydantic's."""
    key = ".".join(str(part) for part in error["loc"] if part not in _TAGS)
    if error["type"] == "extra_forbidden":
        return f"there is no key {key}"
    if error["type"] == "missing":
        return f"{key} is missing"
    if error["type"] == "union_tag_invalid":
        return f"{key}.kind: there is no space of kind {error['ctx']['tag']!r}"
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{key}: {message}" if key else message


def remedy(error: Any, model: type[BaseModel]) -> str:
    """What to do about it.

    Args:
        error: of pydantic's.
        model: the whole file's.
    """
    if error["type"] == "union_tag_invalid":
        return f"there are {error['ctx']['expected_tags']}".replace("'", "")
    if error["type"] == "extra_forbidden":
        *parents, wrong = (str(part) for part in error["loc"])
        return hint(wrong, _keys_of(parents, model))
    return "`gauntlet search --keys` lists all keys with their meaning"


def _keys_of(parents: list[str], model: type[BaseModel]) -> list[str]:
    """The keys that the section at the end of a path has."""
    choice = [model]
    for parent in parents:
        if parent in choice[0].model_fields:
            choice = list(_sections(choice[0].model_fields[parent].annotation)) or choice
        elif parent in _TAGS:
            choice = [one for one in choice if get_args(one.model_fields["kind"].annotation) == (parent,)] or choice
    return list(choice[0].model_fields)
