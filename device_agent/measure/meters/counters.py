"""Meters made of counters that only grow: energy is a difference."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from device_agent.measure.meters.base import MOST_W, Facts, Look, MeterError, Reading, edge_resolution_j


@dataclass(frozen=True)
class Counter:
    """One rail.

    Attributes:
        rail: its name.
        wrap_j: where it starts again from 0; 0: never.
        counted: is it part of the total?
    """

    rail: str
    wrap_j: float = 0.0
    counted: bool = True


class CounterMeter:
    """Sum of energy counters.

    Args:
        facts: what is read.
        counters: all rails.
        read: joules of each rail now, by name; raises OSError or ValueError.
        clock: seconds, monotonic.
    """

    unavailable = ""

    def __init__(
        self,
        facts: Facts,
        counters: Sequence[Counter],
        read: Callable[[], Mapping[str, float]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.facts = facts
        self._counters = counters
        self._read = read
        self._clock = clock
        self._last: Mapping[str, float] = {}
        self._last_s = 0.0
        self._began_s = 0.0
        self._rails: Dict[str, float] = {}
        self._wraps = 0
        self._glance: Optional[Tuple[Mapping[str, float], float]] = None

    def start(self) -> None:
        """See `Meter`."""
        self._last = self._now()
        self._began_s = self._last_s = self._clock()
        self._rails = dict.fromkeys(self._last, 0.0)
        self._wraps = 0

    def look(self) -> Look:
        """See `Meter`."""
        now = self._now()
        now_s = self._clock()
        # What came since the last look may have been counted before it, but not told.
        most_j = MOST_W * (max(now_s - self._last_s, 1e-3) + self.facts.update_s)
        for counter in self._counters:
            before, after = self._last[counter.rail], now[counter.rail]
            wrapped = after < before and counter.wrap_j > 0
            grown_j = after - before + (counter.wrap_j if wrapped else 0.0)
            if not 0 <= grown_j <= most_j:
                way = "went backwards" if after < before else "jumped"
                raise MeterError(
                    f"{self.facts.source}: {counter.rail} {way}, from {before:.6f} J to {after:.6f} J; the counter "
                    "was reset, or tells garbage"
                )
            self._wraps += wrapped and counter.counted
            self._rails[counter.rail] += grown_j
        self._last, self._last_s = now, now_s
        return Look(self._total_j(), now_s - self._began_s)

    def stop(self) -> Reading:
        """See `Meter`."""
        look = self.look()
        resolution_j = edge_resolution_j(self.facts, look.energy_j, look.seconds)
        return Reading(look.energy_j, look.seconds, resolution_j, dict(self._rails), self._wraps)

    def power_w(self) -> Optional[float]:
        """See `Meter`."""
        try:
            now, now_s = self._now(), self._clock()
        except MeterError:
            return None
        before, self._glance = self._glance, (now, now_s)
        if before is None or now_s <= before[1]:
            return None
        grown_j = [now[c.rail] - before[0][c.rail] for c in self._counters if c.counted]
        power_w = sum(grown_j) / (now_s - before[1])
        # One that has wrapped or jumped in between says nothing this time.
        return power_w if min(grown_j) >= 0 and power_w <= MOST_W else None

    def _total_j(self) -> float:
        return sum(self._rails[counter.rail] for counter in self._counters if counter.counted)

    def _now(self) -> Mapping[str, float]:
        try:
            now = self._read()
        except (OSError, ValueError) as error:
            raise MeterError(f"{self.facts.source} cannot be read any more: {error}") from error
        missing: List[str] = [c.rail for c in self._counters if now.get(c.rail, -1.0) < 0]
        if missing:
            raise MeterError(f"{self.facts.source}: no energy for {', '.join(missing)}")
        return now
