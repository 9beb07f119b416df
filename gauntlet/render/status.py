"""How the lab is."""

from __future__ import annotations

from rich.console import RenderableType

from gauntlet.render import units
from gauntlet.render.device import pair_grid
from protos.gauntlet.v1 import fleet_pb2


def status(response: fleet_pb2.GetStatusResponse, address: str) -> RenderableType:
    """The orchestrator at `address` in a few lines."""
    table = pair_grid()
    table.add_row("lab", address)
    table.add_row("version", f"{response.software_version}, protocol {response.protocol_version}")
    table.add_row("up for", units.duration(response.uptime_s))
    table.add_row("agents", f"{response.connected_agents} connected")
    listed = ", ".join(f"{count:,} {state}" for state, count in sorted(response.jobs_by_state.items()) if count)
    table.add_row("jobs", listed or "none")
    limit = f", the largest at most {units.size(response.max_artifact_bytes)}" if response.max_artifact_bytes else ""
    table.add_row("artifacts", f"{units.size(response.artifact_bytes)}{limit}")
    return table
