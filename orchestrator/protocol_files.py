"""Read protocols as people write them: YAML files and single settings, every mistake named with its remedy."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from orchestrator.protocol import DEFAULT, MAX_CELLS, Part, Protocol, unit_of

_MAX_BYTES = 64 * 1024
_MAX_MESSAGE = 300
_SEE = "`gauntlet bench --show-protocol` prints all settings"
#: Numbers that must not cross. Where only one of a pair is given, the other one follows it.
_BOUNDS = (
    ("warmup_min_s", "warmup_max_s"),
    ("min_samples", "max_samples"),
    ("min_queries", "max_queries"),
    ("min_blocks", "max_blocks"),
    ("min_s", "max_s"),
    ("processes", "max_processes"),
)


class ProtocolError(ValueError):
    """Settings that cannot be meant.

    Attributes:
        message: which, and what is wrong with it.
        remedy: what to do about it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        # What a file holds may be long, and of several lines.
        line = " ".join(message.split())
        self.message = line if len(line) <= _MAX_MESSAGE else f"{line[:_MAX_MESSAGE]} …"
        self.remedy = remedy
        super().__init__(self.message)


class _Loader(yaml.SafeLoader):
    """Plain data, without what makes a small file large or a key count twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(problem="aliases are not taken")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        found = super().construct_mapping(node, deep)
        if len(found) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice", node.start_mark)
        return found


def load(path: Path) -> Any:
    """What a file holds; `flat` and `resolve` judge it.

    Raises:
        ProtocolError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ProtocolError(f"{path} cannot be read: {error.strerror}", "name a protocol file (.yaml)") from error
    if len(content) > _MAX_BYTES:
        raise ProtocolError(f"{path} is larger than {_MAX_BYTES // 1024} KiB, and no protocol", _SEE)
    document = parse(content, str(path))
    return {} if document is None else document


def parse(content: str | bytes, where: str) -> Any:
    """Plain data from YAML.

    Args:
        content: a document, or a single value.
        where: for messages.

    Raises:
        ProtocolError: it is no YAML.
    """
    try:
        return yaml.load(content, _Loader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        what = "nested too deep" if isinstance(error, RecursionError) else error
        raise ProtocolError(f"{where} is no YAML: {what}", _SEE) from error


def flat(document: object, where: str) -> dict[str, Any]:
    """The settings of plain data, by dotted name: {"latency.max_s": 5}.

    Args:
        document: part by part: {"latency": {"max_s": 5}}.
        where: for messages: the file.

    Raises:
        ProtocolError: something else than parts with settings.
    """
    if not isinstance(document, Mapping):
        raise ProtocolError(f"{where} holds no settings", _SEE)
    found = {}
    for part, settings in document.items():
        if part not in Protocol.model_fields:
            raise ProtocolError(f"{where}: there is no part {part}", _nearest(str(part), list(Protocol.model_fields)))
        if settings is not None and not isinstance(settings, Mapping):
            raise ProtocolError(f"{where}: {part} holds no settings", _SEE)
        found.update({f"{part}.{name}": value for name, value in (settings or {}).items()})
    return found


def resolve(given: Mapping[str, Any], labels: Mapping[str, str] | None = None, base: Protocol = DEFAULT) -> Protocol:
    """The whole protocol that settings make of the defaults.

    Args:
        given: settings by dotted name, as people write them: {"latency.max_s": "500ms"}.
        labels: what a setting is called in messages, if not by its name: {"latency.max_s": "--seconds"}.
        base: what holds where nothing is given.

    Raises:
        ProtocolError: the first setting that does not exist, is no such number, or contradicts another.
    """
    labels = labels or {}
    nested: dict[str, dict[str, Any]] = {}
    for path, value in given.items():
        part, dot, name = path.partition(".")
        label = labels.get(path, path)
        if part not in Protocol.model_fields or not dot:
            raise ProtocolError(f"{label}: there is no setting {path}", _nearest(path, all_names()))
        nested.setdefault(part, {})[name] = value
    try:
        asked = Protocol.model_validate(nested)
    except ValidationError as error:
        raise _complaint(error, labels) from error
    parts = {name: _joined(name, getattr(base, name), part, labels) for name, part in asked.parts().items()}
    protocol = base.model_copy(update=parts)
    cells = len(protocol.offline.batch_sizes) * len(protocol.offline.threads)
    if cells > MAX_CELLS:
        raise ProtocolError(
            f"offline: {cells} cells of batch sizes and threads, and at most {MAX_CELLS} are measured", "leave some out"
        )
    return protocol


def with_defaults(settings: Mapping[str, Any]) -> Protocol:
    """A base for `resolve` whose defaults are others: settings that count as not given.

    Args:
        settings: good ones, by dotted name.
    """
    changed = resolve(settings).parts()
    bare = {name: type(part).model_construct(_fields_set=set(), **part.model_dump()) for name, part in changed.items()}
    return DEFAULT.model_copy(update=bare)


def all_names() -> list[str]:
    """Of all settings, in order."""
    return [f"{part}.{name}" for part, body in DEFAULT.parts().items() for name in type(body).model_fields]


def _joined(part: str, base: Part, asked: Part, labels: Mapping[str, str]) -> Part:
    """Settings of one part over its base."""
    given = {name: getattr(asked, name) for name in asked.model_fields_set}
    joined = base.model_copy(update=given)
    for low, high in _BOUNDS:
        if low not in type(base).model_fields:
            continue
        below, above = getattr(joined, low), getattr(joined, high)
        if below <= above:
            continue
        if {low, high} <= joined.model_fields_set:
            names = [labels.get(f"{part}.{name}", f"{part}.{name}") for name in (low, high)]
            raise ProtocolError(
                f"{names[0]} ({below:g}) is greater than {names[1]} ({above:g})", "change one of them, or leave it out"
            )
        # Not by `model_copy`, which would count it as given.
        follows, value = (low, above) if high in joined.model_fields_set else (high, below)
        joined.__dict__[follows] = value
    return joined


def _complaint(error: ValidationError, labels: Mapping[str, str]) -> ProtocolError:
    first = error.errors()[0]
    part, name = str(first["loc"][0]), str(first["loc"][1])
    path = f"{part}.{name}"
    label = labels.get(path, path)
    if first["type"] == "extra_forbidden":
        return ProtocolError(f"{label}: there is no setting {path}", _nearest(path, all_names()))
    body = getattr(DEFAULT, part)
    default = getattr(body, name)
    remedy = f"{unit_of(body, name).form}; the default is {text_of(default)}"
    if first["type"] == "value_error":
        return ProtocolError(f"{label}: {str(first['msg']).removeprefix('Value error, ')}", remedy)
    wanted = (
        str(first["msg"]).replace("greater than or equal to", "at least").replace("less than or equal to", "at most")
    )
    for words, ours in (("Input should be", "must be"), ("Value should have", "must have")):
        wanted = wanted.replace(words, ours)
    # Of a tuple that is too long, pydantic tells how long; of anything else we say what it was.
    got = repr(first["input"]) if isinstance(first["input"], str) else text_of(first["input"])
    got = "" if ", not " in wanted else f", not {got[:40]}"
    return ProtocolError(f"{label} {wanted}{got}", remedy)


def _nearest(wrong: str, known: list[str]) -> str:
    near = difflib.get_close_matches(wrong, known, 1)
    return f"did you mean {near[0]}? {_SEE}" if near else _SEE


def text_of(value: object) -> str:
    """A setting as YAML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    # 5 for 5.0, where no digit is lost.
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
