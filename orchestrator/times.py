"""Times of day as they are stored (Unix seconds), sent (RFC 3339) and read."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(unix_s: float | None) -> str:
    """A time of day in UTC, to the microsecond; empty for none."""
    if unix_s is None:
        return ""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def minute(unix_s: float) -> str:
    """The same for people: "2026-11-21 14:30 UTC"."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M} UTC"
