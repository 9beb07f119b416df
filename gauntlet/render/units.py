"""Numbers for people: four figures that mean something, and a prefix that fits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

_TIME = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_ENERGY = ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ"))
_POWER = ((1.0, "W"), (1e-3, "mW"), (1e-6, "µW"))
_FREQUENCY = ((1e9, "GHz"), (1e6, "MHz"), (1e3, "kHz"), (1.0, "Hz"))
_BYTES = ((1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB"), (1.0, "B"))

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Units = tuple[tuple[float, str], ...]


def duration(value_s: float) -> str:
    """0.000431 is "431.0 µs"."""
    return _scaled(value_s, _TIME)


def energy(value_j: float) -> str:
    """0.0021 is "2.100 mJ"."""
    return _scaled(value_j, _ENERGY)


def power(value_w: float) -> str:
    """4.2 is "4.200 W"."""
    return _scaled(value_w, _POWER)


def frequency(value_hz: float) -> str:
    """2.1e9 is "2.100 GHz"."""
    return _scaled(value_hz, _FREQUENCY)


def size(value_bytes: float) -> str:
    """2_500_000 is "2.384 MiB"."""
    if abs(value_bytes) < 1024:
        return f"{value_bytes:.0f} B"
    return _scaled(value_bytes, _BYTES)


def ratio(value: float) -> str:
    """0.912 is "91.20 %"."""
    return f"{_figures(100 * value)} %"


def ratio_short(value: float) -> str:
    """0.0034 is "0.34 %", 1.34 is "134 %"."""
    percent = 100 * value
    return f"{percent:.2g} %" if abs(percent) < 99.5 else f"{percent:,.0f} %"


def temperature(value_c: float) -> str:
    """41.25 is "41.2 °C"."""
    return f"{value_c:.1f} °C"


def load(value: float) -> str:
    """0.3 is "0.30"."""
    return f"{value:.2f}"


def number(value: float) -> str:
    """Four significant figures."""
    return _figures(value)


def span(low_s: float, high_s: float) -> str:
    """An interval of times in one unit: "430.1 – 432.7 µs"."""
    factor, unit = _unit(max(abs(low_s), abs(high_s)), _TIME)
    return f"{_figures(low_s / factor)} – {_figures(high_s / factor)} {unit}"


def count(value: int, noun: str) -> str:
    """1, "run" is "1 run"; 1204, "run" is "1,204 runs"; 2, "process" is "2 processes"; 2, "query" is "2 queries"."""
    if value != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}{'es' if noun.endswith('s') else 's'}"
    return f"{value:,} {noun}"


def clock(time: str) -> str:
    """An RFC 3339 time in UTC, to the second: "2026-11-20 12:00:01"; "–" for none."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return "–"
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def age(since: str, now: datetime | None = None) -> str:
    """How long ago an RFC 3339 time was: "12 s", "3 min", "2 h", "5 d"; "–" for none."""
    try:
        then = datetime.fromisoformat(since)
    except ValueError:
        return "–"
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    seconds = max(0.0, ((now or datetime.now(UTC)) - then).total_seconds())
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit:.0f} {name}"
    return f"{seconds // 86400:.0f} d"


def weekdays(numbers: Iterable[int]) -> str:
    """Of 1 Monday to 7 Sunday: "sat, sun"; "day" for none, which means every one."""
    return ", ".join(WEEKDAYS[number - 1] for number in sorted(set(numbers))) or "day"


def length(seconds: float) -> str:
    """A length of time that somebody set: 10,800 is "3 h", 5,400 "1 h 30 min"."""
    rest, parts = round(seconds), []
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, unit)
        parts += [f"{count} {name}"] if count else []
    return " ".join(parts)


def _scaled(value: float, units: Units) -> str:
    factor, unit = _unit(abs(value), units)
    return f"{_figures(value / factor)} {unit}"


def _unit(magnitude: float, units: Units) -> tuple[float, str]:
    # 0.99995 of a unit would print as 1.0000 of it, or as 1000 of the next.
    return next((entry for entry in units if magnitude >= entry[0] * 0.99995), units[-1] if magnitude else units[0])


def _figures(value: float) -> str:
    """Four significant figures without an exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = 3 - math.floor(math.log10(abs(value) * (1 + 5e-5)))
    return f"{value:,.{min(max(digits, 0), 9)}f}"
