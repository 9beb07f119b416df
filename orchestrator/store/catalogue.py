"""Devices that enrolled and campaigns that were published: rows beside the jobs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.engine import Connection

from orchestrator.store import custody, fitness
from orchestrator.store.base import SHOWN_EVENTS, StoredDevice
from orchestrator.store.job_reads import parse_token
from orchestrator.store.paging import LimitError, fitting
from orchestrator.store.tables import campaigns, devices, records
from orchestrator.times import rfc3339
from protos.gauntlet.v1 import campaign_pb2, device_pb2

MAX_CAMPAIGNS = 10_000
#: Of one campaign.
MAX_RECORDS = 100_000

_DEVICES = select(devices).order_by(devices.c.device_id)
_CAMPAIGN_TIME = select(campaigns.c.created_at).where(campaigns.c.campaign_id == bindparam("campaign_id"))
_CAMPAIGNS = select(campaigns.c.message, campaigns.c.updated_at).order_by(campaigns.c.sequence.desc())
_COUNT_CAMPAIGNS = select(func.count()).select_from(campaigns)
_COUNT_RECORDS = select(func.count()).where(records.c.campaign_id == bindparam("campaign_id"))
_REPLACE_RECORD = (
    update(records)
    .where(
        records.c.campaign_id == bindparam("of_campaign"),
        records.c.kind == bindparam("of_kind"),
        records.c.key == bindparam("of_key"),
    )
    .values(message=bindparam("message"))
)
_RECORDS = (
    select(records.c.sequence, records.c.message)
    .where(records.c.campaign_id == bindparam("campaign_id"), records.c.sequence > bindparam("after"))
    .order_by(records.c.sequence)
    .limit(bindparam("limit"))
)


def save_devices(
    connection: Connection, agent_id: str, descriptions: Sequence[device_pb2.DeviceDescription], now: float
) -> None:
    """Enrol or refresh."""
    for description in descriptions:
        values = {"agent_id": agent_id, "last_seen_at": now, "description": description.SerializeToString()}
        of_device = devices.c.device_id == description.device_id
        if not connection.execute(update(devices).where(of_device).values(values)).rowcount:
            connection.execute(insert(devices), {"device_id": description.device_id, **values})


def all_devices(connection: Connection) -> list[StoredDevice]:
    """By id."""
    return [
        StoredDevice(
            description=device_pb2.DeviceDescription.FromString(row.description),
            agent_id=row.agent_id,
            last_seen_at=rfc3339(row.last_seen_at),
            checks=fitness.last_checks(connection, row.device_id),
            noise_floor=fitness.noise_floor(connection, row.device_id),
            holds=custody.holds_of(connection, row.device_id),
            windows=custody.windows_of(connection, row.device_id),
            events=custody.last_events(connection, row.device_id, SHOWN_EVENTS),
        )
        for row in connection.execute(_DEVICES).all()
    ]


def save_campaign(connection: Connection, campaign: campaign_pb2.Campaign, now: float) -> None:
    """Create or replace; the time of creation stays."""
    created_at = connection.execute(_CAMPAIGN_TIME, {"campaign_id": campaign.campaign_id}).scalar()
    stored = campaign_pb2.Campaign()
    stored.CopyFrom(campaign)
    stored.created_at = rfc3339(now if created_at is None else created_at)
    values = {"updated_at": now, "message": stored.SerializeToString()}
    if created_at is None:
        if connection.execute(_COUNT_CAMPAIGNS).scalar_one() >= MAX_CAMPAIGNS:
            raise LimitError(
                f"the lab keeps {MAX_CAMPAIGNS} campaigns, and has them\npublish under the id of an old one"
            )
        connection.execute(insert(campaigns), {"campaign_id": campaign.campaign_id, "created_at": now, **values})
    else:
        of_campaign = campaigns.c.campaign_id == campaign.campaign_id
        connection.execute(update(campaigns).where(of_campaign).values(values))


def save_records(
    connection: Connection, campaign_id: str, new: Sequence[campaign_pb2.CampaignRecord], now: float
) -> bool:
    """Append or replace; False when there is no such campaign."""
    of_campaign = campaigns.c.campaign_id == campaign_id
    if not connection.execute(update(campaigns).where(of_campaign).values(updated_at=now)).rowcount:
        return False
    room: int | None = None  # counted when the first new one comes: most calls replace
    for record in new:
        kind = record.WhichOneof("kind") or ""
        message = record.SerializeToString()
        replaced = connection.execute(
            _REPLACE_RECORD,
            {"of_campaign": campaign_id, "of_kind": kind, "of_key": record.key, "message": message},
        )
        if not replaced.rowcount:
            if room is None:
                room = MAX_RECORDS - connection.execute(_COUNT_RECORDS, {"campaign_id": campaign_id}).scalar_one()
            if room <= 0:
                raise LimitError(
                    f"campaign {campaign_id} has {MAX_RECORDS} records\npublish the rest as another campaign"
                )
            room -= 1
            connection.execute(
                insert(records), {"campaign_id": campaign_id, "kind": kind, "key": record.key, "message": message}
            )
    return True


def all_campaigns(connection: Connection) -> list[campaign_pb2.Campaign]:
    """Newest first, as many as fit into a message."""
    return fitting(_campaign(row.message, row.updated_at) for row in connection.execute(_CAMPAIGNS))


def _campaign(message: bytes, updated_at: float) -> campaign_pb2.Campaign:
    campaign = campaign_pb2.Campaign.FromString(message)
    campaign.updated_at = rfc3339(updated_at)
    return campaign


def list_records(
    connection: Connection, campaign_id: str, limit: int, token: str
) -> tuple[list[campaign_pb2.CampaignRecord], str]:
    """In order of first publication, as many as fit into a message.

    Raises:
        ValueError: `token` is none.
    """
    after = parse_token(token, "records") or 0
    rows = connection.execute(_RECORDS, {"campaign_id": campaign_id, "after": after, "limit": limit + 1}).all()
    page = fitting(campaign_pb2.CampaignRecord.FromString(row.message) for row in rows[:limit])
    return page, str(rows[len(page) - 1].sequence) if len(rows) > len(page) else ""
