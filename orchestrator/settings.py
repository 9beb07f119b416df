"""Where the settings of an orchestrator come from: flags > environment > file > defaults.

    lease_duration_s: 20                  in the file that --config or GAUNTLET_LAB_CONFIG names
    GAUNTLET_LAB_LEASE_DURATION_S=20      in the environment
    --lease-duration-s 20                 as a flag

All three know the same keys: the fields of `Config`.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from pydantic import TypeAdapter, ValidationError

from orchestrator.config import Config, ConfigError

_PREFIX = "GAUNTLET_LAB_"
_FILE_VARIABLE = _PREFIX + "CONFIG"
_MAX_BYTES = 64 * 1024
_SEE = "`gauntlet lab up --show-config` prints all settings"
_FIELDS = {"dir" if field.name == "folder" else field.name: field for field in dataclasses.fields(Config)}
_HINTS = get_type_hints(Config, include_extras=True)


@dataclass(frozen=True)
class Given:
    """What somebody wants of a setting.

    Attributes:
        value: as it was written.
        source: the flag, the variable or the file, for people.
    """

    value: Any
    source: str


@dataclass(frozen=True)
class Settings:
    """What an orchestrator runs with.

    Attributes:
        sources: of each key, where its value comes from.
        lifeline: it ends when standard input ends.
        show: it was asked for its settings only.
    """

    config: Config
    sources: Mapping[str, str]
    lifeline: bool
    show: bool

    def __str__(self) -> str:
        """All settings as a file that could be given back, each with where it comes from."""
        lines = {key: f"{key}: {_text(getattr(self.config, field.name))}" for key, field in _FIELDS.items()}
        width = max(map(len, lines.values()))
        return "\n".join(f"{line:{width}}  # {self.sources[key]}" for key, line in lines.items())


def load(arguments: Sequence[str], environ: Mapping[str, str], folder: Path | None = None) -> Settings:
    """The settings of an orchestrator.

    With --lifeline it belongs to one command, which gives it all that it needs: what the environment and a file say of
    a lab is then meant for another one.

    Args:
        arguments: flags.
        environ: the environment.
        folder: of the lab where nobody gives one; None: somebody has to.

    Raises:
        ConfigError: one problem for each setting that is unknown or cannot be used.
    """
    options, rest = _parser().parse_known_args(arguments)
    flags = vars(options)
    lifeline, show, named = flags.pop("lifeline"), flags.pop("show_config"), flags.pop("config")
    given = {} if folder is None else {"dir": Given(folder, "default")}
    unknown: list[str] = []
    if not lifeline:
        if file := named or environ.get(_FILE_VARIABLE):
            _add(given, unknown, _read(Path(file).expanduser()), str, file)
        variables = {
            name.removeprefix(_PREFIX).lower(): value
            for name, value in environ.items()
            # Empty as good as not set, as everywhere.
            if name.startswith(_PREFIX) and name != _FILE_VARIABLE and value
        }
        _add(given, unknown, variables, _variable, "the environment")
    _add(given, unknown, {key: value for key, value in flags.items() if value is not None}, _flag, "flags")
    unknown += [_unknown(word.partition("=")[0], _flag, "flags") for word in rest if word.startswith("--")]
    if rest and not rest[0].startswith("--"):
        unknown.append(f"{rest[0]!r} belongs to no flag\n{_SEE}")
    config = _config(given, unknown)
    return Settings(config, {key: given[key].source if key in given else "default" for key in _FIELDS}, lifeline, show)


def _add(
    given: dict[str, Given], unknown: list[str], found: Mapping[str, Any], spell: Callable[[str], str], where: str
) -> None:
    """Take over what was `found` in one place, where a key is spelled in its own way."""
    for key, value in found.items():
        if key in _FIELDS:
            given[key] = Given(value, where if spell is str else spell(key))
        else:
            unknown.append(_unknown(spell(str(key)), spell, where))


def _unknown(name: str, spell: Callable[[str], str], where: str) -> str:
    near = difflib.get_close_matches(name, map(spell, _FIELDS), 1)
    remedy = f"did you mean {near[0]}? {_SEE}" if near else _SEE
    return f"{where}: there is no setting {repr(name)[1:-1][:60]}\n{remedy}"


def _variable(key: str) -> str:
    return _PREFIX + key.upper()


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")


def _read(path: Path) -> Mapping[str, Any]:
    from orchestrator.protocol_files import ProtocolError, parse  # a tenth of a second that most starts do not need

    remedy = f"write KEY: VALUE lines; {_SEE}"
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}\nname a configuration file (.yaml)") from error
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than {_MAX_BYTES // 1024} KiB\n{remedy}")
    try:
        document = parse(content, str(path))
    except ProtocolError as error:
        raise ConfigError(f"{error.message}\n{remedy}") from error
    if document is not None and not isinstance(document, Mapping):
        raise ConfigError(f"{path} holds no settings\n{remedy}")
    return document or {}


def _config(given: Mapping[str, Given], problems: Sequence[str]) -> Config:
    values = {_FIELDS[key].name: one.value for key, one in given.items()}
    if isinstance(folder := values.get("folder"), str | Path):
        values["folder"] = Path(folder).expanduser().absolute()
    try:
        config = TypeAdapter(Config).validate_python(values)
    except ValidationError as error:
        raise ConfigError(*problems, *(_complaint(dict(one), given) for one in error.errors())) from error
    if problems:
        raise ConfigError(*problems)
    return config


def _complaint(error: Mapping[str, Any], given: Mapping[str, Given]) -> str:
    """One wrong value in a line, and the remedy in another."""
    cause = error.get("ctx", {}).get("error")
    if not error["loc"]:  # of the settings together
        return str(cause)
    key = next(key for key, field in _FIELDS.items() if field.name == error["loc"][0])
    if error["type"] == "missing":
        return f"{key} is missing\ngive {_flag(key)}"
    wanted = str(error["msg"]).replace("Input should be", "must be").replace("greater than or equal to", "at least")
    wanted = wanted.replace("Input is not", "must be").partition(", unable to parse")[0].partition(" for <class")[0]
    field = _FIELDS[key]
    meaning = f"{key}: {_meaning(field)}"
    if field.default is not dataclasses.MISSING:
        meaning += f"; the default is {_text(field.default)}"
    return f"{key} ({given[key].source}) {wanted}, not {str(error['input'])[:40]!r}\n{meaning}"


def _meaning(field: dataclasses.Field[Any]) -> str:
    """What stands beside the type, for people."""
    return str(_HINTS[field.name].__metadata__[-1])


def _text(value: object) -> str:
    """A setting as YAML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.15g}" if isinstance(value, float) else str(value) or "''"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}\n{_SEE}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gauntlet lab up",
        description="Run the orchestrator of a lab. Flags come before the environment, that before the file.",
        allow_abbrev=False,
    )
    for key, field in _FIELDS.items():
        parser.add_argument(_flag(key), dest=key, metavar="VALUE", help=_meaning(field))
    parser.add_argument("--config", metavar="FILE", help=f"settings as YAML (or {_FILE_VARIABLE})")
    parser.add_argument("--show-config", action="store_true", help="print the settings and where they come from")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends")
    return parser
