"""Devices: the table of all, and one in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from gauntlet.devices_json import device_state_name, verdict_name
from gauntlet.render import figures, units
from gauntlet.render.measures import measures
from protos.gauntlet.v1 import device_pb2, fitness_pb2, fleet_pb2, measurement_pb2

_STYLES: dict[int, str] = {
    device_pb2.DEVICE_STATE_ONLINE: "green",
    device_pb2.DEVICE_STATE_BUSY: "cyan",
    device_pb2.DEVICE_STATE_DRAINING: "yellow",
    device_pb2.DEVICE_STATE_QUARANTINED: "yellow",
    device_pb2.DEVICE_STATE_LOST: "red",
}

_VERDICTS: dict[int, str] = {
    fitness_pb2.FITNESS_VERDICT_GOOD: "green",
    fitness_pb2.FITNESS_VERDICT_SHIFTED: "bold yellow",
}

_EVENTS: dict[str, str] = {"quarantined": "yellow", "failure": "red", "lost": "red", "released": "green"}


def pair_grid() -> Table:
    """Two columns: name, text."""
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=9, style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def lines_table(*columns: str) -> Table:
    """A plain table of many rows."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False, padding=(0, 1))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def devices_table(devices: Sequence[fleet_pb2.Device]) -> RenderableType:
    """One line for each device; the reasons of states, which may be long, beneath."""
    if not devices:
        return Text("no device has joined this lab")
    table = lines_table("device", "class", "agent", "state", "runtimes", "seen", "job")
    for column in table.columns:
        column.no_wrap = column.header != "runtimes"
    for device in devices:
        described = device.description
        table.add_row(
            Text(described.device_id, "bold"),
            described.device_class,
            device.agent_id,
            Text(device_state_name(device.state), _STYLES.get(device.state, "dim")),
            ", ".join(f"{runtime.name} {runtime.version}" for runtime in described.runtimes) or Text("none", "red"),
            units.age(device.last_seen_at),
            device.job_id[:8] or Text("–", "dim"),
        )
    reasons = [
        Text.assemble((device.description.device_id, "bold"), " ", state_of(device))
        for device in devices
        if device.state_reason
    ]
    return Group(table, *([Text(), *reasons] if reasons else []))


def device_line(device: fleet_pb2.Device) -> RenderableType:
    """What became of a device, in a line, and its maintenance windows."""
    line = Text.assemble((device.description.device_id, "bold"), " ", state_of(device))
    return Text("\n").join([line, *(Text(f"  maintenance {text}") for text in _windows(device))])


def device_report(device: fleet_pb2.Device) -> RenderableType:
    """All that is known of one device."""
    return Group(*_report(device))


def add_place(table: Table, provenance: measurement_pb2.Provenance, device: fleet_pb2.Device | None) -> None:
    """Rows for the head of a report: the runtime as it ran, and where.

    Args:
        table: made by `pair_grid`.
        provenance: of the result.
        device: that measured it; may be unknown.
    """
    cpus = ", ".join(map(str, provenance.cpus))
    held = f"held to core{'s' if len(provenance.cpus) > 1 else ''} {cpus}" if cpus else "not held to a core"
    delegate = provenance.delegate if provenance.delegate not in ("", "none") else "no delegate"
    runtime = f"{provenance.runtime} {provenance.runtime_version}"
    table.add_row("runtime", f"{runtime}, {delegate}, {units.count(provenance.threads, 'thread')}, {held}")
    table.add_row("device", Text.assemble((provenance.device_id, "bold"), f" (class {provenance.device_class})"))
    for line in _facts(device.description.hardware) if device is not None else []:
        table.add_row("", line)


def _facts(hardware: device_pb2.Hardware) -> list[str]:
    """The hardware in a line or two."""
    cores = f"{units.count(hardware.physical_cores, 'core')}"
    if hardware.logical_cores != hardware.physical_cores:
        cores += f", {units.count(hardware.logical_cores, 'thread')}"
    processor = [text for text in (hardware.board, hardware.cpu_model or hardware.architecture) if text]
    system = [hardware.operating_system, hardware.virtualization]
    return [
        f"{', '.join(processor)}; {cores}, {units.size(hardware.memory_bytes)}",
        ", ".join(text for text in system if text),
    ]


def _report(device: fleet_pb2.Device) -> Iterator[RenderableType]:
    described, hardware = device.description, device.description.hardware
    yield Rule(Text(described.device_id, "bold"), align="left", style="cyan", characters="━")
    table = pair_grid()
    table.add_row("class", described.device_class)
    table.add_row("agent", device.agent_id)
    table.add_row("state", state_of(device))
    for hold in device.holds:
        table.add_row(hold.kind, _hold(hold))
    if device.maintenance:
        table.add_row("maintenance", "\n".join(_windows(device)))
    table.add_row("last seen", f"{units.age(device.last_seen_at)} ago" if device.last_seen_at else "never")
    if device.job_id:
        table.add_row("job", device.job_id)
    now = device.telemetry
    if now.throttling:
        table.add_row("held back", Text(", ".join(now.throttling), "yellow"))
    if now.disk_free_bytes.HasField("estimate"):
        table.add_row("disk", f"{units.size(now.disk_free_bytes.estimate.value)} free")
    if now.battery_ratio.HasField("estimate"):
        table.add_row("battery", units.ratio(now.battery_ratio.estimate.value))
    if described.labels:
        table.add_row("labels", ", ".join(f"{key}={value}" for key, value in sorted(described.labels.items())))
    yield table
    yield heading("Hardware")
    table = pair_grid()
    table.add_row("board", hardware.board or "not named by the system")
    table.add_row("processor", f"{hardware.cpu_model} ({hardware.architecture})")
    table.add_row("cores", f"{hardware.physical_cores}, logical {hardware.logical_cores}")
    table.add_row("memory", units.size(hardware.memory_bytes))
    table.add_row("system", f"{hardware.operating_system}, kernel {hardware.kernel}")
    table.add_row("runs on", hardware.virtualization or "bare metal")
    table.add_row("features", " ".join(hardware.cpu_features) or "none that matter to inference")
    for name, text in sorted(hardware.facts.items()):
        table.add_row(name.replace("_", " "), text)
    yield Padding(table, (0, 0, 0, 2))
    yield heading("Runtimes")
    for runtime in described.runtimes:
        offers = ", ".join([*runtime.formats, *(f"delegate {name}" for name in runtime.delegates)])
        yield Text.assemble("  ", (f"{runtime.name} {runtime.version}", "bold"), (f"  {offers}", "dim"))
    if not described.runtimes:
        yield Text("  none", "red")
    yield heading("Measures")
    yield measures(device)
    if device.description.controls:
        yield heading("Can be set while it measures")
        yield _controls(device)
    yield heading("Fitness")
    yield _fitness(device)
    yield heading("History")
    yield _history(device)


def _controls(device: fleet_pb2.Device) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=15, no_wrap=True)
    table.add_column(overflow="fold")
    for control in device.description.controls:
        name = f"  {control.name.replace('_', ' ')}"
        if control.unavailable:
            table.add_row(name, Text.assemble(("unavailable: ", "yellow"), (control.unavailable, "dim")))
        else:
            choices = Text(f"  of {', '.join(control.choices)}" if len(control.choices) > 1 else "", "dim")
            table.add_row(name, Text(control.state or "available") + choices)
    return table


def _fitness(device: fleet_pb2.Device) -> RenderableType:
    """The last checks with the reference model, newest first, why they are not good, and the noise floor."""
    floor = pair_grid()
    floor.add_row("noise floor", _noise_floor(device))
    if not device.checks:
        return Padding(Group(floor, Text("not checked yet", "dim")), (0, 0, 0, 2))
    table = lines_table("checked (UTC)", "occasion", "verdict", "reference", "shift")
    for check in device.checks:
        verdict = verdict_name(check.verdict)
        table.add_row(
            units.clock(check.checked_at),
            check.occasion,
            Text(verdict, _VERDICTS.get(check.verdict, "dim")),
            figures.short(check.reference_s, units.duration),
            f"{check.shift * 100:+.1f} %" if check.HasField("shift") else Text("–", "dim"),
        )
    # Of a good check the shift says it all.
    reasons = [
        Text(f"{units.clock(check.checked_at)} {verdict_name(check.verdict)}: {check.reason}", "dim")
        for check in device.checks
        if check.verdict != fitness_pb2.FITNESS_VERDICT_GOOD
    ]
    return Padding(Group(floor, Text(), table, *([Text(), *reasons] if reasons else [])), (0, 0, 0, 2))


def _noise_floor(device: fleet_pb2.Device) -> Text:
    if not device.HasField("noise_floor"):
        return Text("not measured yet", "dim")
    measured = Text(f"  measured {units.clock(device.noise_floor.measured_at)} UTC", "dim")
    return figures.short(device.noise_floor.floor, lambda share: f"{share * 100:.2f} %") + measured


def _history(device: fleet_pb2.Device) -> RenderableType:
    """The last events, newest first."""
    if not device.events:
        return Text("  nothing happened yet", "dim")
    table = lines_table("at (UTC)", "what", "detail")
    for event in device.events:
        table.add_row(units.clock(event.at), Text(event.kind, _EVENTS.get(event.kind, "")), Text(event.detail, "dim"))
    return Padding(table, (0, 0, 0, 2))


def _hold(hold: fleet_pb2.Hold) -> Text:
    """Since when, until when, by whom, and why."""
    parts = [f"since {units.clock(hold.since)} UTC"]
    if hold.by:
        parts.append(f"by {hold.by}")
    if hold.until:
        parts.append(f"until {units.clock(hold.until)} UTC")
    return Text(", ".join(parts)).append(f": {hold.reason}" if hold.reason else "", "dim")


def _windows(device: fleet_pb2.Device) -> list[str]:
    """Maintenance windows as people write them."""
    return [
        f"every {units.weekdays(window.weekdays)} at {window.start_minute // 60:02}:{window.start_minute % 60:02} UTC "
        f"for {units.length(window.duration_s)}" + (f": {window.reason}" if window.reason else "")
        for window in device.maintenance
    ]


def state_of(device: fleet_pb2.Device) -> Text:
    """Its state, and why."""
    text = Text(device_state_name(device.state), _STYLES.get(device.state, "dim"))
    return text.append(f": {device.state_reason}", "dim") if device.state_reason else text


def heading(text: str) -> RenderableType:
    """Of a part of a report."""
    return Padding(Text(text, "bold cyan"), (1, 0, 0, 0))
