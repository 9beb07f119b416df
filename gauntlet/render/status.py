"""How the lab is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from gauntlet.devices_json import device_state_name
from gauntlet.render import units
from gauntlet.render.device import heading, lines_table, pair_grid, state_of
from protos.gauntlet.v1 import device_pb2, fleet_pb2

#: States in which nobody needs to look at a device.
_WELL = (device_pb2.DEVICE_STATE_ONLINE, device_pb2.DEVICE_STATE_BUSY)
#: In which states are told: as jobs and devices go through them.
_ORDER = "queued leased running succeeded failed cancelled enrolled online busy draining quarantined lost"
#: More than a screenful helps nobody: `gauntlet devices` lists all.
_MOST_ROWS = 20


def status(response: fleet_pb2.GetStatusResponse, devices: Sequence[fleet_pb2.Device], address: str) -> RenderableType:
    """The orchestrator at `address`, its fleet and its queue on a screen."""
    return Group(*_parts(response, devices, address))


def _parts(
    response: fleet_pb2.GetStatusResponse, devices: Sequence[fleet_pb2.Device], address: str
) -> Iterator[RenderableType]:
    table = pair_grid()
    table.add_row("lab", f"{address}, {'TLS' if response.secure else 'without TLS: this machine only'}")
    table.add_row("you", Text(response.caller or "not told by this orchestrator"))
    table.add_row("version", f"{response.software_version}, protocol {response.protocol_version}")
    table.add_row("up for", _length(response.uptime_s))
    table.add_row("agents", f"{response.connected_agents} connected")
    states = Counter(device_state_name(device.state) for device in devices)
    table.add_row("devices", _tally(states))
    table.add_row("jobs", _tally(response.jobs_by_state))
    limit = f", the largest at most {units.size(response.max_artifact_bytes)}" if response.max_artifact_bytes else ""
    files = units.count(response.artifact_files, "file")
    table.add_row("artifacts", f"{files}, {units.size(response.artifact_bytes)}{limit}")
    table.add_row("store", units.size(response.store_bytes))
    yield table
    if unwell := [device for device in devices if device.state not in _WELL]:
        yield heading("Devices that take no jobs")
        yield _unwell(unwell)
    if response.shares:
        yield heading("Queue")
        yield _queue(response.shares)


def _unwell(devices: Sequence[fleet_pb2.Device]) -> RenderableType:
    table = lines_table("device", "seen", "state")
    for device in devices[:_MOST_ROWS]:
        table.add_row(Text(device.description.device_id, "bold"), units.age(device.last_seen_at), state_of(device))
    return _table(table, len(devices), "devices", "gauntlet devices")


def _queue(shares: Sequence[fleet_pb2.QueueShare]) -> RenderableType:
    table = lines_table("user", "campaign", "waiting", "held", "device time lately")
    for column in table.columns[2:]:
        column.justify = "right"
    for share in sorted(shares, key=lambda share: -share.queued)[:_MOST_ROWS]:
        table.add_row(
            Text(share.user, "bold"),
            Text(share.campaign_id) if share.campaign_id else Text("–", "dim"),
            f"{share.queued:,}",
            f"{share.held:,}",
            _length(share.device_s),
        )
    return _table(table, len(shares), "users and campaigns", "gauntlet lab status --json")


def _table(table: RenderableType, rows: int, of_what: str, command: str) -> RenderableType:
    more = [Text(f"and {rows - _MOST_ROWS} more {of_what}: {command}", "dim")] if rows > _MOST_ROWS else []
    return Padding(Group(table, *more), (0, 0, 0, 2))


def _length(seconds: float) -> str:
    return units.length(seconds) if seconds >= 60 else f"{seconds:.0f} s"


def _tally(counts: Mapping[str, int]) -> str:
    found = sorted((state for state in counts if counts[state]), key=lambda state: (_ORDER.find(state), state))
    return ", ".join(f"{counts[state]:,} {state}" for state in found) or "none"
