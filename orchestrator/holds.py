"""Why a device takes no jobs although it is there, and when maintenance keeps it: pure, no clock inside.

Times are Unix seconds. A day of UTC has 86,400 of them, always, so that weekdays and minutes follow by division.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.times import minute, rfc3339
from protos.gauntlet.v1 import fleet_pb2

DAY_S = 86_400
WEEK_S = 7 * DAY_S
MAX_RESERVATION_S = 30.0 * DAY_S
MAX_WINDOWS = 50
#: Of a reason, in characters.
MAX_TEXT = 200
#: Day 0, 1970-01-01, was a Thursday.
_FIRST_WEEKDAY = 4


class InvalidHoldError(ValueError):
    """What was asked makes no sense; a second line says what to do."""


class Kind(enum.Enum):
    """What keeps a device."""

    QUARANTINED = "quarantined"
    RESERVED = "reserved"
    MAINTENANCE = "maintenance"
    DRAINING = "draining"


@dataclass(frozen=True)
class Hold:
    """A held device finishes what it holds, and takes nothing new.

    Attributes:
        since: Unix time.
        by: who; empty for the orchestrator itself.
        until: Unix time at which it ends by itself; None: when somebody ends it.
        cause: of a quarantine by the orchestrator, see `orchestrator.health`.
    """

    kind: Kind
    reason: str
    since: float
    by: str = ""
    until: float | None = None
    cause: str = ""

    def __str__(self) -> str:
        """For people: "draining since 2026-11-21 14:30 UTC, by ann: new kernel"."""
        return f"{self.kind.value} {self.details}"

    @property
    def details(self) -> str:
        """The same without its kind: until when, or else since when, by whom and why."""
        when = f"since {minute(self.since)}" if self.until is None else f"until {minute(self.until)}"
        return f"{when}, {self.terms}" if self.by else f"{when}: {self.terms}" if self.reason else when

    @property
    def terms(self) -> str:
        """By whom and why."""
        return ": ".join(text for text in (f"by {self.by}" if self.by else "", self.reason) if text)

    def message(self) -> fleet_pb2.Hold:
        """How clients see it."""
        return fleet_pb2.Hold(
            kind=self.kind.value,
            reason=self.reason,
            by=self.by,
            since=rfc3339(self.since),
            until=rfc3339(self.until),
        )


@dataclass(frozen=True)
class Opening:
    """A maintenance window at one of its times, in Unix seconds."""

    begins: float
    ends: float
    reason: str


def maintenance(windows: Iterable[fleet_pb2.MaintenanceWindow], now: float, job_s: float = 0.0) -> Opening | None:
    """The window that keeps a device from beginning a job now; None: none does.

    Args:
        windows: checked ones.
        now: Unix time.
        job_s: how long a job usually takes there: one that would run into a window is not begun.
    """
    openings = [_opening(window, start) for window in windows for start in _starts_around(window, now)]
    begun = [opening for opening in openings if opening.begins <= now < opening.ends]
    if begun:
        return max(begun, key=lambda opening: opening.ends)
    near = [opening for opening in openings if now < opening.begins < now + job_s]
    return min(near, key=lambda opening: opening.begins, default=None)


def _opening(window: fleet_pb2.MaintenanceWindow, start: float) -> Opening:
    return Opening(start, start + window.duration_s, window.reason)


def _starts_around(window: fleet_pb2.MaintenanceWindow, now: float) -> list[float]:
    """The last start that is not after `now`, and the first after it: of equal lengths, the last one ends last."""
    today = int(now // DAY_S)
    starts = [
        day * DAY_S + window.start_minute * 60.0
        for day in range(today - 7, today + 8)
        if not window.weekdays or _weekday(day) in window.weekdays
    ]
    return [
        *[start for start in starts if start <= now][-1:],
        *[start for start in starts if start > now][:1],
    ]


def _weekday(day: int) -> int:
    """1 Monday to 7 Sunday, of a day since 1970."""
    return (day + _FIRST_WEEKDAY - 1) % 7 + 1


def check_windows(windows: Iterable[fleet_pb2.MaintenanceWindow]) -> list[fleet_pb2.MaintenanceWindow]:
    """The windows of a request.

    Raises:
        InvalidHoldError: one of them is none, or there are too many.
    """
    checked = list(windows)
    if len(checked) > MAX_WINDOWS:
        raise InvalidHoldError(f"{len(checked)} maintenance windows\ngive at most {MAX_WINDOWS}")
    for window in checked:
        if any(not 1 <= day <= 7 for day in window.weekdays):
            raise InvalidHoldError(f"weekdays {list(window.weekdays)} of a maintenance window\ngive 1 (Monday) to 7")
        if window.start_minute >= DAY_S // 60:
            raise InvalidHoldError(f"a maintenance window that begins at minute {window.start_minute}\ngive 0 to 1439")
        if not (math.isfinite(window.duration_s) and 60 <= window.duration_s <= WEEK_S):
            length = f"a maintenance window of {window.duration_s / 3600:g} h"
            raise InvalidHoldError(f"{length}\ngive 1 min to 7 days; drain the device for longer")
        window.reason = line(window.reason)
    return checked


def reservation_end(duration_s: float, now: float) -> float:
    """Unix time at which a reservation ends.

    Raises:
        InvalidHoldError: no such duration.
    """
    if not (math.isfinite(duration_s) and 1 <= duration_s <= MAX_RESERVATION_S):
        length = f"a reservation for {duration_s / 3600:g} h"
        raise InvalidHoldError(f"{length}\ngive 1 s to 30 days; drain the device for longer")
    return now + duration_s


def line(text: str) -> str:
    """What a person wrote, or an agent, on one bounded line."""
    return " ".join(text.split())[:MAX_TEXT]
