"""What keeps devices, their maintenance windows, and what happened to them, as rows."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.engine import Connection

from orchestrator.holds import Hold, Kind
from orchestrator.store.base import DeviceChange
from orchestrator.store.tables import device_events, holds, maintenance
from protos.gauntlet.v1 import fleet_pb2

#: Events kept of each device.
HISTORY = 200

_FREE = delete(holds).where(holds.c.device_id == bindparam("of_device"), holds.c.kind == bindparam("of_kind"))
_HOLDS = select(holds).where(holds.c.device_id == bindparam("device_id")).order_by(holds.c.since, holds.c.kind)
_NO_WINDOWS = delete(maintenance).where(maintenance.c.device_id == bindparam("of_device"))
_WINDOWS = select(maintenance.c.message).where(maintenance.c.device_id == bindparam("device_id"))
_EVENTS = (
    select(device_events.c.message)
    .where(device_events.c.device_id == bindparam("device_id"))
    .order_by(device_events.c.sequence.desc())
    .limit(bindparam("limit"))
)
_OLDEST_KEPT = (
    select(device_events.c.sequence)
    .where(device_events.c.device_id == bindparam("device_id"))
    .order_by(device_events.c.sequence.desc())
    .offset(HISTORY - 1)
    .limit(1)
)
_FORGET = delete(device_events).where(
    device_events.c.device_id == bindparam("of_device"), device_events.c.sequence < bindparam("oldest")
)


def change(connection: Connection, device_id: str, changed: DeviceChange) -> None:
    """Write down what changed."""
    freed = [*changed.freed, *([changed.hold.kind] if changed.hold else [])]
    for kind in freed:
        connection.execute(_FREE, {"of_device": device_id, "of_kind": kind.value})
    if changed.hold is not None:
        connection.execute(insert(holds), _row(device_id, changed.hold))
    if changed.windows is not None:
        connection.execute(_NO_WINDOWS, {"of_device": device_id})
        if changed.windows:
            message = fleet_pb2.SetMaintenance(windows=changed.windows).SerializeToString()
            connection.execute(insert(maintenance), {"device_id": device_id, "message": message})
    if changed.event is not None:
        connection.execute(
            insert(device_events), {"device_id": device_id, "message": changed.event.SerializeToString()}
        )
        oldest = connection.execute(_OLDEST_KEPT, {"device_id": device_id}).scalar()
        if oldest is not None:
            connection.execute(_FORGET, {"of_device": device_id, "oldest": oldest})


def holds_of(connection: Connection, device_id: str) -> list[Hold]:
    """The oldest first."""
    return [
        Hold(Kind(row.kind), row.reason, row.since, row.made_by, row.until, row.cause)
        for row in connection.execute(_HOLDS, {"device_id": device_id})
    ]


def windows_of(connection: Connection, device_id: str) -> list[fleet_pb2.MaintenanceWindow]:
    """Its maintenance windows."""
    message = connection.execute(_WINDOWS, {"device_id": device_id}).scalar()
    return [] if message is None else list(fleet_pb2.SetMaintenance.FromString(message).windows)


def last_events(connection: Connection, device_id: str, limit: int) -> list[fleet_pb2.DeviceEvent]:
    """The newest first."""
    rows = connection.execute(_EVENTS, {"device_id": device_id, "limit": limit}).scalars()
    return [fleet_pb2.DeviceEvent.FromString(message) for message in rows]


def _row(device_id: str, hold: Hold) -> dict[str, object]:
    return {
        "device_id": device_id,
        "kind": hold.kind.value,
        "reason": hold.reason,
        "since": hold.since,
        "made_by": hold.by,
        "until": hold.until,
        "cause": hold.cause,
    }
