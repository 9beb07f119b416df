"""The protocol of a measurement as a user gives it: a file, single settings, dedicated options; and as YAML to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gauntlet.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.protocol import Protocol

#: Settings with an option of their own: its name in Python, the setting, the flag.
BENCH_OPTIONS = {
    "max_samples": ("latency.max_samples", "--runs"),
    "max_s": ("latency.max_s", "--seconds"),
    "half_width": ("latency.half_width", "--precision"),
    "warmup_runs": ("latency.warmup_min_runs", "--warmup-runs"),
    "pin": ("latency.pin", "--pin"),
    "processes": ("latency.processes", "--processes"),
    "streams": ("multi_stream.samples_per_query", "--streams"),
    "batch_sizes": ("offline.batch_sizes", "--batch-sizes"),
    "offline_threads": ("offline.threads", "--offline-threads"),
    "tolerance": ("output_check.tolerance", "--tolerance"),
    "timeout_s": ("job.timeout_s", "--timeout"),
    "queue_timeout_s": ("job.queue_timeout_s", ""),
}
COMPARE_OPTIONS = {
    "processes": ("comparison.processes", "--processes"),
    "max_processes": ("comparison.max_processes", "--max-processes"),
    "half_width": ("comparison.half_width", "--precision"),
    "max_s": ("comparison.max_s", "--seconds"),
    "pin": ("comparison.pin", "--pin"),
    "timeout_s": ("comparison.timeout_s", "--timeout"),
    "queue_timeout_s": ("job.queue_timeout_s", ""),
}
_WIDTH = 36


def resolve(options: Mapping[str, Any], table: Mapping[str, tuple[str, str]]) -> Protocol:
    """The protocol that `lab.bench` or `lab.compare` is asked for: options of their own count more than `protocol`.

    Args:
        options: of `lab.bench`; those that are None or no settings do not count.
        table: `BENCH_OPTIONS` or `COMPARE_OPTIONS`.

    Raises:
        UsageError: the first setting that cannot be meant.
    """
    from orchestrator.protocol import Protocol

    source = options.get("protocol")
    own = {name: options[name] for name in table if options.get(name) is not None}
    if isinstance(source, Protocol) and not own:
        return source
    given, labels = _read(source)
    for name, value in own.items():
        given[table[name][0]] = value
        labels[table[name][0]] = name
    return _resolved(given, labels)


def from_command_line(
    file: Path | None, settings: Sequence[str], flags: Mapping[str, Any], table: Mapping[str, tuple[str, str]]
) -> Protocol:
    """The protocol that a command line asks for: defaults < file < flag or --set.

    Args:
        file: of --protocol.
        settings: of --set, such as "latency.max_s=2s".
        flags: values of dedicated flags, by the names in `table`; those that are None were not given.
        table: `BENCH_OPTIONS` or `COMPARE_OPTIONS`.

    Raises:
        UsageError: the first setting that cannot be meant, or that is given twice.
    """
    given, labels = _read(file)
    said: dict[str, str] = {}
    own = [(*table[name], value) for name, value in flags.items() if value is not None]
    for path, label, value in [*own, *map(_setting, settings)]:
        if path in said:
            raise UsageError(f"{said[path]} and {label} both give {path}", "leave one of them out")
        said[path] = label
        given[path] = value
    return _resolved(given, labels | said)


def yaml_text(protocol: Protocol) -> str:
    """All settings as YAML, each with its unit and its meaning; a file that says the same again."""
    from orchestrator.protocol import unit_of
    from orchestrator.protocol_files import text_of

    lines = [
        "# What is timed, how long, and when it stops. Any part of it is a protocol: gauntlet bench --protocol FILE.",
        "# Seconds may be written as 500ms, 2s or 1min, shares as 1%.",
    ]
    for name, part in protocol.parts().items():
        lines += ["", f"# {type(part).__doc__}", f"{name}:"]
        for key, field in type(part).model_fields.items():
            unit = unit_of(part, key).name
            meaning = f"{unit}: {field.description}" if unit else str(field.description)
            # Written down it would hold; left out it is longer where more is asked for.
            mark = "# " if (name, key) == ("job", "timeout_s") and not protocol.is_given("job.timeout_s") else ""
            lines.append(f"{f'  {mark}{key}: {text_of(getattr(part, key))}':{_WIDTH}}  # {meaning}")
    return "\n".join(lines) + "\n"


@contextmanager
def _asked_wrongly() -> Iterator[None]:
    from orchestrator.protocol_files import ProtocolError

    try:
        yield
    except ProtocolError as error:
        raise UsageError(error.message, error.remedy) from error


def _read(source: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings by dotted name, and what each is called in messages."""
    from orchestrator.protocol import Protocol
    from orchestrator.protocol_files import flat, load

    if source is None:
        return {}, {}
    if isinstance(source, Protocol):
        source = source.model_dump(exclude_unset=True)
    with _asked_wrongly():
        if not isinstance(source, (str, Path)):
            return flat(source, "protocol"), {}
        given = flat(load(Path(source)), str(source))
        return given, {path: f"{source}: {path}" for path in given}


def _resolved(given: Mapping[str, Any], labels: Mapping[str, str]) -> Protocol:
    from orchestrator.protocol_files import resolve

    with _asked_wrongly():
        return resolve(given, labels)


def _setting(text: str) -> tuple[str, str, Any]:
    """Read "latency.max_s=2s"."""
    from orchestrator.protocol_files import parse

    path, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not path or not value:
        raise UsageError(f"--set: {text} gives no value", "give it as --set latency.max_s=5")
    with _asked_wrongly():
        return path, f"--set {path}", parse(value, "--set")
