"""What a device measures: each quantity with its source and what it reads now, or why not and how to mend that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gauntlet.render import figures, units
from protos.gauntlet.v1 import device_pb2, fleet_pb2

#: What makes a line to copy out of a remedy.
AS_ROOT = "as root: "
_NO_RUNTIME = "no model runtime is installed; pip install ai-edge-litert on the device"
#: What is measured by running models, and which capabilities it needs or adds to it.
_BY_MODELS: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (
    (
        "latency",
        (
            ("processes", "in several processes"),
            ("comparison", "of two models in turn"),
            ("multi_stream", "multi-stream"),
            ("offline", "offline"),
        ),
    ),
    ("accuracy", (("output_check", "outputs checked"), ("faults", "under faults"))),
    ("memory", ()),
    ("profile", ()),
)
_WORDS = {"profile": "times of operators"}
_TOLD_BY_SENSORS = "energy"

#: Name, what is told of it, why it is unavailable or nothing.
_Row = tuple[str, Text, str]


def measures(device: fleet_pb2.Device) -> RenderableType:
    """A row for each quantity; what mends the missing ones stands beneath. Print it with `crop=False`."""
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=13, no_wrap=True)
    table.add_column(overflow="fold")
    remedies: dict[str, list[str]] = {}
    rows = [*_by_models(device.description), *_sensed(device)]
    for name, text, unavailable in rows:
        reason, _, remedy = unavailable.partition("; ")
        table.add_row(name, Text.assemble(("unavailable: ", "yellow"), (reason, "dim")) if reason else text)
        if remedy:
            remedies.setdefault(remedy, []).append(name)
    beneath = [line for remedy, names in remedies.items() for line in _remedy(", ".join(names), remedy)]
    return Group(Padding(table, (0, 0, 0, 2)), *([Text(), *beneath] if beneath else []))


def _by_models(described: device_pb2.DeviceDescription) -> Iterator[_Row]:
    runtimes = ", ".join(f"{runtime.name} {runtime.version}" for runtime in described.runtimes)
    left = [name for name in described.capabilities if name != _TOLD_BY_SENSORS]
    for name, additions in _BY_MODELS:
        if name in left:
            left.remove(name)
            added = ", ".join(words for capability, words in additions if capability in left)
            left = [other for other in left if other not in dict(additions)]
            how = "; ".join(part for part in (runtimes, added) if part) if name == "latency" else added or "yes"
            yield _WORDS.get(name, name), Text(how, "dim"), "" if runtimes else _NO_RUNTIME
    if left:
        yield "and", Text(", ".join(left), "dim"), ""


def _sensed(device: fleet_pb2.Device) -> Iterator[_Row]:
    now = device.telemetry
    readings = {
        "temperature_c": figures.short(now.temperature_c, units.temperature),
        "frequency_hz": figures.short(now.frequency_hz, units.frequency),
        "load_average": figures.short(now.load_average, units.load),
        "throttling": Text.assemble((", ".join(now.throttling), "yellow")) if now.throttling else Text("none now"),
    }
    for sensor in device.description.sensors:
        told = readings.get(sensor.quantity, Text("yes")) + Text(f"  {sensor.source}", "dim")
        yield sensor.quantity, told, sensor.unavailable


def _remedy(names: str, remedy: str) -> Iterator[RenderableType]:
    """A line, or two: a command to copy stands alone, and no width breaks it."""
    before, as_root, command = remedy.partition(AS_ROOT)
    if not as_root or before:
        yield Padding(Text.assemble("→ ", (names, "bold"), f": {remedy}"), (0, 0, 0, 2))
        return
    yield Text.assemble("  → ", (names, "bold"), ", as root on the device:")
    yield Text(f"  {command}", no_wrap=True, overflow="ignore")
