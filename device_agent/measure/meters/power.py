"""Meters made of sensors of power: a thread samples them, energy is the integral.

W │      ╱╲__                trapezoids between samples; up to `look`, the last power is taken to go on
│ ____╱    ╲___
└─┬──┬──┬──┬──┬─ s         start and stop take a sample of their own, so that the ends are exact
"""

from __future__ import annotations

import threading
import time
from typing import Callable, Dict, Mapping, Optional, Tuple

from device_agent.measure.meters.base import MOST_W, Facts, Look, MeterError, Reading, edge_resolution_j
from device_agent.measure.ticker import Ticker

#: A bus that is busy for once does no harm; a sensor that comes and goes does.
_MOST_MISSED = 0.1

#: Makes something with `start` and `stop` that calls a function each so many seconds.
MakeTicker = Callable[[Callable[[], object], float], Ticker]


class PowerMeter:
    """Integral of sampled power.

    Args:
        facts: what is read.
        read: watts of each rail now, by name; raises OSError or ValueError.
        period_s: between samples.
        clock: seconds, monotonic.
        make_ticker: what calls for samples.
    """

    unavailable = ""

    def __init__(
        self,
        facts: Facts,
        read: Callable[[], Mapping[str, float]],
        period_s: float,
        clock: Callable[[], float] = time.monotonic,
        make_ticker: MakeTicker = Ticker,
    ) -> None:
        self.facts = facts
        self._read = read
        self._clock = clock
        self._ticker = make_ticker(self._sample, period_s)
        self._lock = threading.Lock()
        self._rails: Dict[str, float] = {}
        self._last: Mapping[str, float] = {}
        self._last_s = 0.0
        self._began_s = 0.0
        self._samples = 0
        self._missed = 0
        self._why: Optional[str] = None

    def start(self) -> None:
        """See `Meter`."""
        with self._lock:
            self._samples, self._missed, self._why = 0, 0, None
            self._last_s, self._last = self._now()
            self._began_s = self._last_s
            self._rails = dict.fromkeys(self._last, 0.0)
        self._ticker.start()

    def look(self) -> Look:
        """See `Meter`."""
        with self._lock:
            now_s = self._clock()
            ahead_j = self._total(self._last) * max(0.0, now_s - self._last_s)
            return Look(self._total(self._rails) + ahead_j, now_s - self._began_s)

    def stop(self) -> Reading:
        """See `Meter`."""
        self._ticker.stop()
        ended = self._sample()
        with self._lock:
            if self._why is not None and (not ended or self._missed > _MOST_MISSED * (self._samples + self._missed)):
                raise MeterError(self._why)
            seconds = self._last_s - self._began_s
            energy_j = self._total(self._rails)
            if energy_j < 0:
                raise MeterError(f"{self.facts.source} reads a negative power")
            resolution_j = edge_resolution_j(self.facts, energy_j, seconds)
            return Reading(energy_j, seconds, resolution_j, dict(self._rails))

    def power_w(self) -> Optional[float]:
        """See `Meter`."""
        try:
            return self._total(self._now()[1])
        except MeterError:
            return None

    def _sample(self) -> bool:
        with self._lock:
            try:
                now_s, now = self._now()
            except MeterError as error:
                self._missed += 1
                self._why = str(error)
                return False
            self._samples += 1
            for rail, power_w in now.items():
                before_w = self._last.get(rail, power_w)
                self._rails[rail] = self._rails.get(rail, 0.0) + (before_w + power_w) / 2 * (now_s - self._last_s)
            self._last, self._last_s = now, now_s
            return True

    def _now(self) -> Tuple[float, Mapping[str, float]]:
        begin_s = self._clock()
        try:
            now = self._read()
        except (OSError, ValueError) as error:
            raise MeterError(f"{self.facts.source} cannot be read any more: {error}") from error
        missing = [rail for rail in self.facts.counted if rail not in now]
        if missing:
            raise MeterError(f"{self.facts.source}: no power for {', '.join(missing)}")
        if not abs(total_w := self._total(now)) <= MOST_W:
            raise MeterError(f"{self.facts.source} reads {total_w:g} W, which is garbage")
        # Reading some rails over a bus takes milliseconds: the middle is when the power was this.
        return (begin_s + self._clock()) / 2, now

    def _total(self, rails: Mapping[str, float]) -> float:
        return sum(rails[rail] for rail in self.facts.counted)
