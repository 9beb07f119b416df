"""What is looked at again and again from outside: what waits, what is held, and how campaigns stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import bindparam, func, select
from sqlalchemy.engine import Connection

from orchestrator.jobs import State
from orchestrator.store import job_reads
from orchestrator.store.base import Queued, Share
from orchestrator.store.tables import campaigns, jobs, records
from protos.figures import value_of
from protos.gauntlet.v1 import campaign_pb2

#: A campaign that ended is shown for so long, and one that runs but publishes nothing for a day: it was given up.
ENDED_SHOWN_S, SILENT_SHOWN_S = 3600.0, 86_400.0
#: Shown at most, the last that published, and of each so many figures.
MOST_CAMPAIGNS, MOST_FIGURES = 20, 16
_MOST_TITLE, _MOST_KEY = 64, 64
#: A figure with its interval is smaller; one with a long reason has no value.
_MOST_FIGURE_BYTES = 512


@dataclass(frozen=True)
class Backlog:
    """Queued jobs that ask for the same.

    Attributes:
        count: of them.
        since: Unix time at which the first of them was submitted.
    """

    count: int
    since: float


@dataclass(frozen=True)
class Queue:
    """Jobs that have not ended.

    Attributes:
        shares: by whose they are.
        waiting: by what they ask for, see `Demand.signature`.
        held: by their state.
    """

    shares: Mapping[Share, Queued]
    waiting: Mapping[str, Backlog]
    held: Mapping[State, int]


@dataclass(frozen=True)
class CampaignReading:
    """What a campaign published last.

    Attributes:
        title: unique among those that are shown.
        updated_at: Unix time.
        figures: by the keys of its records.
    """

    title: str
    state: campaign_pb2.CampaignState
    updated_at: float
    figures: Mapping[str, float] = field(default_factory=dict)


# Both by indices over what has not ended, however much has.
_GROUPS = (
    select(
        jobs.c.queued_signature.label("signature"),
        func.count().label("number"),
        func.min(jobs.c.sequence).label("first"),
    )
    .where(jobs.c.queued_signature.is_not(None))
    .group_by(jobs.c.queued_signature)
    .subquery()
)
_WAITING = select(_GROUPS.c.signature, _GROUPS.c.number, jobs.c.submitted_at).join(
    jobs, jobs.c.sequence == _GROUPS.c.first
)
_HELD = (
    select(jobs.c.state, func.count())
    .where(jobs.c.state.in_([state.value for state in State if state.is_held]))
    .group_by(jobs.c.state)
)
_CAMPAIGNS = (
    select(campaigns.c.campaign_id, campaigns.c.updated_at, campaigns.c.message)
    .where(campaigns.c.updated_at >= bindparam("since"))
    .order_by(campaigns.c.updated_at.desc(), campaigns.c.sequence.desc())
)
_FIGURES = (
    select(records.c.key, records.c.message)
    .where(
        records.c.campaign_id == bindparam("campaign_id"),
        records.c.kind == "figure",
        func.length(records.c.key) <= _MOST_KEY,
        func.length(records.c.message) <= _MOST_FIGURE_BYTES,
    )
    .order_by(records.c.key)
    .limit(MOST_FIGURES)
)


def queue(connection: Connection) -> Queue:
    """What waits and what is held; costs no look at what has ended."""
    waiting = {row.signature: Backlog(row.number, row.submitted_at) for row in connection.execute(_WAITING)}
    held = dict.fromkeys((state for state in State if state.is_held), 0)
    held.update({State(state): count for state, count in connection.execute(_HELD)})
    return Queue(job_reads.shares(connection), waiting, held)


def recent_campaigns(connection: Connection, now: float) -> list[CampaignReading]:
    """Campaigns that run or ended within the hour, the last that published first.

    Of several with one title, such as a search and its repetition, the last that published.
    """
    found: dict[str, CampaignReading] = {}
    for row in connection.execute(_CAMPAIGNS, {"since": now - SILENT_SHOWN_S}):
        campaign = campaign_pb2.Campaign.FromString(row.message)
        title = campaign.title[:_MOST_TITLE] or "untitled"
        runs = campaign.state == campaign_pb2.CAMPAIGN_STATE_RUNNING
        if title not in found and (runs or row.updated_at >= now - ENDED_SHOWN_S):
            figures = _figures(connection, row.campaign_id)
            found[title] = CampaignReading(title, campaign.state, row.updated_at, figures)
        if len(found) == MOST_CAMPAIGNS:
            break
    return list(found.values())


def _figures(connection: Connection, campaign_id: str) -> dict[str, float]:
    rows = connection.execute(_FIGURES, {"campaign_id": campaign_id}).all()
    values = {row.key: value_of(campaign_pb2.CampaignRecord.FromString(row.message).figure) for row in rows}
    return {key: value for key, value in values.items() if value is not None}
