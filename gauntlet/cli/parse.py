"""Read what people write in options."""

from __future__ import annotations

from gauntlet.errors import UsageError


def label_pair(text: str) -> tuple[str, str]:
    """Read "site=berlin".

    Raises:
        UsageError: it is no label.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--label: {text} is no label", "give it as KEY=VALUE, for example --label site=berlin")
    return key, value


def share(text: str, option: str = "--precision", below: float = 1.0) -> float:
    """Read "1%" or "0.01".

    Raises:
        UsageError: it is no share above 0 and below `below`.
    """
    from orchestrator.protocol import read_share

    try:
        value = float(read_share(text))
    except ValueError:
        value = float("nan")
    if not 0 < value < below:
        raise UsageError(f"{option}: {text} is no share", "give it as 1% or as 0.01")
    return value


_UNITS_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def size_bytes(text: str, option: str) -> int:
    """Read "2GB", "512 MB" or "1.5GiB"; bytes.

    Raises:
        UsageError: it is no size above 0.
    """
    number = text.upper().rstrip("KMGIB")
    try:
        value = float(number) * _UNITS_BYTES[text.upper()[len(number) :]]
    except (KeyError, ValueError):
        value = float("nan")
    if not 1 <= value < 2**63:
        raise UsageError(f"{option}: {text} is no size", "give it as 512MB, 2GB or 1.5GiB")
    return int(value)


_UNITS_S = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}


def duration_s(text: str, option: str = "--for") -> float:
    """Read "2h", "90 min" or "1.5d"; seconds.

    Raises:
        UsageError: it is no duration above 0.
    """
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz").strip()
    unit = text[len(text.rstrip("abcdefghijklmnopqrstuvwxyz")) :]
    try:
        value = float(number) * _UNITS_S[unit]
    except (KeyError, ValueError):
        value = float("nan")
    if not 0 < value < float("inf"):
        raise UsageError(f"{option}: {text} is no duration", "give it as 90s, 30min, 2h or 1d")
    return value


def weekdays(text: str, option: str = "--every") -> list[int]:
    """Read "sat,sun" or "day"; 1 Monday to 7 Sunday, nothing for every day.

    Raises:
        UsageError: one of them is no weekday.
    """
    if text.lower() == "day":
        return []
    from gauntlet.render.units import WEEKDAYS

    words = [word.strip().lower() for word in text.split(",")]
    for word in words:
        if word not in WEEKDAYS:
            raise UsageError(
                f"{option}: {word or 'nothing'} is no weekday", f"give some of {', '.join(WEEKDAYS)}, or day"
            )
    return sorted({WEEKDAYS.index(word) + 1 for word in words})


def minute_of_day(text: str, option: str = "--at") -> int:
    """Read "02:00"; minutes after midnight.

    Raises:
        UsageError: it is no time of day.
    """
    hour, colon, minute = text.partition(":")
    if not (colon and hour.isdecimal() and minute.isdecimal() and int(hour) < 24 and int(minute) < 60):
        raise UsageError(f"{option}: {text} is no time of day", "give it as HH:MM in UTC, for example 02:00")
    return int(hour) * 60 + int(minute)


def delegate_of_litert(text: str) -> str:
    """Read a delegate of LiteRT.

    Raises:
        UsageError: it is none.
    """
    if text not in ("xnnpack", "none"):
        raise UsageError(f"--delegate: {text} is no delegate that gauntlet knows", "give xnnpack or none")
    return text
