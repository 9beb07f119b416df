"""Which measurements are meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gauntlet.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.client import SyncClient
    from protos.gauntlet.v1 import job_pb2

_AGE = re.compile(r"(\d+(?:\.\d+)?)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Choice:
    """What was asked for.

    Attributes:
        job_ids: ids or their beginnings; empty: all that fit the rest.
        campaign_id: of this campaign only; empty: of any and of none.
        since: finished then or later; None: whenever.
        failed: those that ended without a result, too.
    """

    job_ids: Sequence[str] = ()
    campaign_id: str = ""
    since: datetime | None = None
    failed: bool = False

    def __post_init__(self) -> None:
        if self.job_ids and (self.campaign_id or self.since):
            raise UsageError("give jobs, or a campaign and a time, not both", "a job named by its id needs no filter")

    def jobs(self, client: SyncClient) -> Iterator[job_pb2.Job]:
        """The jobs, one after another: those named in their order, else the newest first.

        Raises:
            UsageError: a named job has not ended.
            NotFound: a named job is unknown.
        """
        if self.job_ids:
            # All are looked at before the first is written: a mistake must not leave half a table behind.
            yield from map(client.job, [_ended(client, job_id) for job_id in self.job_ids])
        else:
            yield from client.ended(self.campaign_id, self.since, self.failed)


def parse_since(text: str, now: datetime | None = None) -> datetime:
    """Read "2026-11-20", "2026-11-20T12:00+01:00", or an age: "90m", "24h", "7d", "2w". Without a zone it is UTC.

    Raises:
        UsageError: it is neither.
    """
    now = now or datetime.now(UTC)
    try:
        if match := _AGE.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[match[2]]: float(match[1])})
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as error:
        remedy = "give it as 2026-11-20, 2026-11-20T12:00 (UTC) or as an age: 90m, 24h, 7d, 2w"
        raise UsageError(f"--since: {text} is no time", remedy) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ended(client: SyncClient, job_id: str) -> str:
    """The full id."""
    from gauntlet.results_json import state_name

    job = client.job(job_id)
    if not job.finished_at:
        raise UsageError(f"job {job.job_id[:8]} is {state_name(job.state)}", "wait for it to end: gauntlet jobs")
    return job.job_id
