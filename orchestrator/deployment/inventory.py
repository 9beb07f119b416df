"""The file in which people name their boards: YAML, every mistake named with its line.

    defaults: {user: pi, labels: {room: lab2}}     for all hosts that do not say otherwise
    jumps:
      gateway: {address: gw.example.org}           on the way, and no board
    hosts:
      pi4: {address: 192.168.1.20, labels: {rack: a}}
      jetson: {address: jetson.local, user: ann, jump: gateway, agent_options: [--allow-setup]}
      nano:                                        all as ~/.ssh/config has it for `nano`

What is not given is taken from ~/.ssh/config, as `ssh ADDRESS` would. A file keeps no secret, so that there are no
passwords.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from orchestrator.deployment.errors import InventoryError
from orchestrator.deployment.hosts import Host, check_distinct
from orchestrator.deployment.sshconfig import configured
from orchestrator.protocol_files import ProtocolError, parse
from protos.contract import is_id

_MAX_BYTES = 1024 * 1024
_EXAMPLE = "hosts: {pi4: {address: 192.168.1.20, user: pi}}"
_SECRETS = re.compile("pass|secret", re.IGNORECASE)
#: What pydantic says in terms of Python.
_WANTED = {
    "dict_type": "must be KEY: VALUE pairs",
    "model_type": "must be KEY: VALUE pairs",
    "model_attributes_type": "must be KEY: VALUE pairs",
    "tuple_type": "must be a list",
    "string_type": "must be text, in quotes if need be",
    "int_parsing": "must be a whole number",
    "too_short": "names none",
}


def _checked(form: str, wanted: str) -> Callable[[str], str]:
    pattern = re.compile(form)

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"{text[:60]!r} is not {wanted}")
        return text

    return check


# A leading dash would be an option to some program.
_Word = Annotated[str, AfterValidator(_checked(r"[^\s@-][^\s@]*", "a user's name"))]
_Address = Annotated[
    str,
    AfterValidator(
        _checked(
            r"[A-Za-z0-9_][\w.-]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(%\w+)?",
            "a host name or IP address (user and port have keys of their own)",
        )
    ),
]
# It becomes a line of a unit.
_Line = Annotated[str, AfterValidator(_checked(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*", "one line of text"))]
_Port = Annotated[int, Field(ge=1, le=65_535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class _Way(_Section):
    """How a host is reached."""

    user: _Word | None = None
    port: _Port | None = None
    identity_files: tuple[Path, ...] | None = None
    jump: str | None = None


class _Jump(_Way):
    address: _Address | None = None


class _Defaults(_Way):
    labels: dict[_Line, _Line] = {}
    device_class: _Line | None = None
    python: Path | None = None
    service: Literal["auto", "system", "user", "process"] | None = None
    agent_options: tuple[_Line, ...] | None = None


class _Board(_Defaults):
    address: _Address | None = None


class _File(_Section):
    defaults: _Defaults = _Defaults()
    jumps: dict[str, _Jump | None] = {}
    hosts: dict[str, _Board | None] = Field(min_length=1)


def read_inventory(path: Path) -> dict[str, Host]:
    """The hosts of an inventory, by name, in its order.

    Raises:
        InventoryError: it cannot be read, or something in it is wrong: the first, with its line and what to do.
    """
    content = _read(path)
    try:
        document = parse(content, str(path))
        if not isinstance(document, dict):
            raise InventoryError(f"{path} names no hosts", f"write {_EXAMPLE}")
        file = _File.model_validate(document)
    except ProtocolError as error:
        raise InventoryError(error.message, f"write {_EXAMPLE}") from error
    except ValidationError as error:
        first = dict(error.errors()[0])
        raise InventoryError(f"{_at(path, content, first['loc'])}: {_complaint(first)}", _remedy(first)) from error
    reader = _Reader(path, content, file)
    hosts = {name: reader.board(name) for name in file.hosts}
    try:
        check_distinct(list(hosts.values()))
    except InventoryError as error:
        raise InventoryError(f"{path}: {error.message}", error.remedy) from error
    return hosts


def select(hosts: Mapping[str, Host], names: Sequence[str]) -> list[Host]:
    """Those of an inventory that are asked for; all without a name.

    Raises:
        InventoryError: it has no such host.
    """
    for name in names:
        if name not in hosts:
            raise InventoryError(f"the inventory names no host {name}", _meant(name, list(hosts)))
    return [hosts[name] for name in dict.fromkeys(names)] if names else list(hosts.values())


class _Reader:
    """Makes hosts of what a file says."""

    def __init__(self, path: Path, content: bytes, file: _File) -> None:
        self._path = path
        self._content = content
        self._file = file

    def board(self, name: str) -> Host:
        given = self._file.hosts[name] or _Board()
        if not is_id(name):
            self._refuse(
                ("hosts", name), f"{name!r} is no name for a device", "letters, digits, '.', '_' and '-', at most 64"
            )
        defaults = self._file.defaults
        host = self._reached(("hosts", name), given, ())
        return replace(
            host,
            labels={**defaults.labels, **given.labels},
            device_class=_first(given.device_class, defaults.device_class, ""),
            python=self._beside(_first(given.python, defaults.python, None)),
            service=_first(given.service, defaults.service, "auto"),
            agent_options=_first(given.agent_options, defaults.agent_options, ()),
        )

    def _reached(self, key: tuple[str, str], given: _Jump | _Board, on_behalf_of: tuple[str, ...]) -> Host:
        """A host with its way; defaults hold for boards, not for what lies on the way."""
        name = key[1]
        defaults: _Way = self._file.defaults if key[0] == "hosts" else _Way()
        host = configured(
            name,
            given.address or name,
            _first(given.port, defaults.port, 0),
            _first(given.user, defaults.user, ""),
        )
        files = _first(given.identity_files, defaults.identity_files, None)
        if files is not None:
            host = replace(host, identity_files=tuple(self._beside(file) for file in files))
        jump = _first(given.jump, defaults.jump, None)
        # A gateway that is a board, too, is not reached through itself because the defaults say so.
        if jump is None or (given.jump is None and jump == name):
            return host
        circle = (*on_behalf_of, name)
        if jump in circle:
            self._refuse(
                (*key, "jump"), f"{' → '.join([*circle, jump])} jump in a circle", "one of them is reached directly"
            )
        if jump in self._file.jumps:
            way = self._reached(("jumps", jump), self._file.jumps[jump] or _Jump(), circle)
        elif jump in self._file.hosts:
            way = self._reached(("hosts", jump), self._file.hosts[jump] or _Board(), circle)
        else:
            known = [*self._file.jumps, *self._file.hosts]
            self._refuse((*key, "jump"), f"there is no host {jump!r} to jump through", _meant(jump, known))
        return replace(host, jump=way)

    def _beside(self, file: Any) -> Any:
        return file and self._path.parent / file.expanduser()

    def _refuse(self, key: Sequence[str], message: str, remedy: str) -> None:
        raise InventoryError(f"{_at(self._path, self._content, key)}: {message}", remedy)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InventoryError(f"{path} cannot be read: {error.strerror}", "name an inventory (.yaml)") from error
    if len(content) > _MAX_BYTES:
        raise InventoryError(f"{path} is larger than {_MAX_BYTES // 1024} KiB, and no inventory", f"write {_EXAMPLE}")
    return content


def _first(*values: Any) -> Any:
    """The first that is given; the last one otherwise."""
    return next((value for value in values if value is not None), values[-1])


def _at(path: Path, content: bytes, key: Any) -> str:
    """A key with its file and line."""
    node: Any = yaml.compose(content, yaml.SafeLoader)
    mark = node.start_mark
    for part in key:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        else:
            found = None
        if found is None:
            break
        mark, node = found[0].start_mark, found[1]
    return f"{path}, line {mark.line + 1}"


def _complaint(error: Mapping[str, Any]) -> str:
    """What is wrong, in one line, from an error of pydantic's."""
    key = ".".join(str(part) for part in error["loc"] if part != "[key]")
    if error["type"] == "extra_forbidden":
        if _SECRETS.search(str(error["loc"][-1])):
            return f"{key}: passwords are not taken, a file keeps no secret"
        return f"there is no key {key}"
    if error["type"] == "missing":
        return f"{key} is missing"
    if (wanted := _WANTED.get(error["type"])) is None:
        wanted = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    for words, ours in (("greater than or equal to", "at least"), ("less than or equal to", "at most")):
        wanted = wanted.replace(words, ours)
    got = "" if error["type"] in ("value_error", "too_short") else f", not {str(error['input'])[:40]!r}"
    return f"{key} {wanted}{got}"


def _remedy(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        if _SECRETS.search(str(error["loc"][-1])):
            return "let your key in with `ssh-copy-id USER@HOST`, then leave this out"
        *parents, wrong = (str(part) for part in error["loc"])
        sections: dict[str, type[BaseModel]] = {"hosts": _Board, "jumps": _Jump, "defaults": _Defaults}
        section = sections[parents[0]] if parents else _File
        return _meant(wrong, list(section.model_fields))
    return f"write {_EXAMPLE}" if error["loc"] == ("hosts",) else "docs/deploy.md lists all keys"


def _meant(wrong: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(wrong, known, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
