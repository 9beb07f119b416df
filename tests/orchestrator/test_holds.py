"""What keeps devices: maintenance windows against a calendar, and what people may ask."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import holds
from orchestrator.holds import Hold, InvalidHoldError, Kind
from protos.gauntlet.v1 import fleet_pb2

#: A Saturday.
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def window(weekdays: list[int], at: str, hours: float, reason: str = "") -> fleet_pb2.MaintenanceWindow:
    minute = int(at[:2]) * 60 + int(at[3:])
    return fleet_pb2.MaintenanceWindow(weekdays=weekdays, start_minute=minute, duration_s=hours * 3600, reason=reason)


WINDOWS = st.builds(
    fleet_pb2.MaintenanceWindow,
    weekdays=st.lists(st.integers(1, 7), max_size=7),
    start_minute=st.integers(0, 1439),
    duration_s=st.integers(1, 7 * 1440).map(lambda minutes: 60.0 * minutes),
)
MOMENTS = st.datetimes(datetime(1970, 2, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


def by_calendar(
    windows: list[fleet_pb2.MaintenanceWindow], now: datetime, job: timedelta
) -> tuple[float, float] | None:
    """The same question, asked day by day of a calendar."""
    openings = []
    for one in windows:
        for days in range(-9, 9):
            day = (now + timedelta(days)).replace(hour=0, minute=0, second=0, microsecond=0)
            if one.weekdays and day.isoweekday() not in one.weekdays:
                continue
            begins = day + timedelta(minutes=one.start_minute)
            openings.append((begins, begins + timedelta(seconds=one.duration_s)))
    begun = [opening for opening in openings if opening[0] <= now < opening[1]]
    near = [opening for opening in openings if now < opening[0] < now + job]
    if begun:
        ends = max(opening[1] for opening in begun)
        return max(o[0] for o in begun if o[1] == ends).timestamp(), ends.timestamp()
    if near:
        return min(opening[0] for opening in near).timestamp(), math.nan
    return None


@given(st.lists(WINDOWS, max_size=4), MOMENTS, st.integers(0, 10_000))
def test_windows_open_and_close_as_a_calendar_says(
    windows: list[fleet_pb2.MaintenanceWindow], now: datetime, job_s: int
) -> None:
    found = holds.maintenance(windows, now.timestamp(), job_s)
    expected = by_calendar(windows, now, timedelta(seconds=job_s))
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert math.isnan(expected[1]) == (found.begins > now.timestamp())
        assert found.ends == expected[1] if found.begins <= now.timestamp() else found.begins == expected[0]


@pytest.mark.parametrize(
    ("at", "kept"),
    [("2026-11-22 21:59", False), ("2026-11-22 22:00", True), ("2026-11-23 01:59", True), ("2026-11-23 02:00", False)],
)
def test_a_window_of_sunday_night_lasts_over_midnight_and_the_end_of_the_week(at: str, kept: bool) -> None:
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
    assert (holds.maintenance([window([7], "22:00", 4)], moment) is not None) is kept


def test_a_job_that_would_run_into_a_window_is_not_begun() -> None:
    windows = [window([], "12:10", 1, "power")]
    now = NOON.timestamp()
    assert holds.maintenance(windows, now, 600.0) is None  # ends as the window begins
    assert holds.maintenance(windows, now, 601.0) == holds.Opening(now + 600, now + 4200, "power")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (fleet_pb2.MaintenanceWindow(weekdays=[0], duration_s=60), "weekdays"),
        (fleet_pb2.MaintenanceWindow(weekdays=[8], duration_s=60), "weekdays"),
        (fleet_pb2.MaintenanceWindow(start_minute=1440, duration_s=60), "minute 1440"),
        (fleet_pb2.MaintenanceWindow(duration_s=59), "maintenance window of"),
        (fleet_pb2.MaintenanceWindow(duration_s=8 * 86_400), "192 h"),
        (fleet_pb2.MaintenanceWindow(duration_s=math.nan), "nan"),
    ],
)
def test_windows_that_make_no_sense_are_refused(wrong: fleet_pb2.MaintenanceWindow, says: str) -> None:
    with pytest.raises(InvalidHoldError, match=says) as refused:
        holds.check_windows([wrong])
    assert str(refused.value).count("\n") == 1  # what is wrong, and what to do


def test_windows_are_bounded_in_number() -> None:
    many = [window([], "00:00", 1)] * (holds.MAX_WINDOWS + 1)
    with pytest.raises(InvalidHoldError, match="at most"):
        holds.check_windows(many)


@pytest.mark.parametrize("duration_s", [0.0, -1.0, math.nan, math.inf, 31 * 86_400.0])
def test_reservations_are_for_a_time_that_passes(duration_s: float) -> None:
    with pytest.raises(InvalidHoldError, match="give 1 s to 30 days"):
        holds.reservation_end(duration_s, 0.0)


@pytest.mark.parametrize(
    ("hold", "text"),
    [
        (Hold(Kind.DRAINING, "new kernel", 0.0, "ann"), "draining since 1970-01-01 00:00 UTC, by ann: new kernel"),
        (Hold(Kind.RESERVED, "", 0.0, "ann", 120.0), "reserved until 1970-01-01 00:02 UTC, by ann"),
        (Hold(Kind.QUARANTINED, "drift", 60.0), "quarantined since 1970-01-01 00:01 UTC: drift"),
        (Hold(Kind.MAINTENANCE, "", 0.0, until=60.0), "maintenance until 1970-01-01 00:01 UTC"),
    ],
)
def test_a_hold_says_when_by_whom_and_why(hold: Hold, text: str) -> None:
    assert str(hold) == text


def test_reasons_are_kept_on_one_bounded_line() -> None:
    assert holds.line("a\nb\t c" + "x" * 1000) == "a b c" + "x" * (holds.MAX_TEXT - 5)
