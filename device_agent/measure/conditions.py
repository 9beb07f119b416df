"""The machine's state while it measures: heat, clocks, throttling, memory and power as series over time.

    load   first   warm-up ........ │ timing ........... │ energy ............ │
    x      x   x   x   x   x   x    │  x     x      x    │  x     x     x      │
    by a thread, twice a second     │  between calls, by the timing and energy protocols themselves

A sample takes half a millisecond. Taken by a thread, it has cost the calls that it met 5-12 ms on a container host: the
interpreter's lock is handed back late. So the thread is silent in every window, and the protocols sample where nothing
is timed: in front of a call that is not counted, or between calls too long to notice. What was read under load stays
apart, since an idle processor's clock is none that a measurement had.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, List, Sequence, Tuple

import numpy as np

from device_agent.hoststate import Probe
from device_agent.measure.artifacts import write_artifact
from device_agent.measure.memory import ResidentMemory
from device_agent.measure.meters import Meter
from device_agent.measure.meters.power import MakeTicker
from device_agent.measure.statistics import Samples
from device_agent.measure.ticker import Ticker
from protos import figures
from protos.gauntlet.v1 import measurement_pb2 as pb

MEDIA_TYPE = "samples/conditions"
PERIOD_S = 0.5
#: Fewer rows are told in full by start, lowest, peak and end: not worth a file.
_LEAST_ROWS = 6


class Recorder:
    """Samples probes through a run.

    Args:
        probes: what to read.
        clock: seconds, monotonic.
        make_ticker: what calls for samples.
    """

    def __init__(
        self, probes: Sequence[Probe], clock: Callable[[], float] = time.monotonic, make_ticker: MakeTicker = Ticker
    ) -> None:
        self._probes = probes
        self._clock = clock
        self._ticker = make_ticker(self.sample, PERIOD_S)
        self._lock = threading.Lock()
        self._began_s = clock()
        self._rows: List[List[float]] = []
        # Of each row: the quiet period under load that it was taken in, or 0.
        self._periods: List[int] = []
        self._period = 0
        self._phases: List[Tuple[str, float]] = []

    def __enter__(self) -> Recorder:
        self.sample()
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ticker.stop()
        self.sample()

    def noting(self, report: Callable[[str, bool], None]) -> Callable[[str, bool], None]:
        """The same report of what is done now, which is noted as a phase, too."""

        def note(name: str, waiting: bool) -> None:
            self._phases.append((name, self._clock() - self._began_s))
            report(name, waiting)

        return note

    @contextmanager
    def quiet(self, busy: bool = True) -> Iterator[None]:
        """No sample is taken but by `rest`, and one each at the beginning and the end.

        Args:
            busy: the device works at both, so that its clock then is the clock under load.
        """
        self._ticker.silence(True)
        self._period += 1
        self.sample(busy)
        try:
            yield
        finally:
            self.sample(busy)
            self._ticker.silence(False)

    def rest(self, busy: bool = True) -> None:
        """Nothing is being timed just now: sample, if that is due. `busy` as in `quiet`."""
        if self._clock() - self._began_s - self._rows[-1][0] >= PERIOD_S:
            self.sample(busy)

    def sample(self, busy: bool = False) -> None:
        """Read everything once. `busy` as in `quiet`."""
        with self._lock:
            row = [self._clock() - self._began_s]
            for probe in self._probes:
                value = probe.read()
                row.append(math.nan if value is None else value)
            self._rows.append(row)
            self._periods.append(self._period if busy else 0)

    def mark(self) -> int:
        """Sample; the number of that row, for `since`."""
        self.sample()
        return len(self._rows) - 1

    def since(self, row: int, quantity: str) -> Samples:
        """Readings of a quantity from a row on: NaN where it could not be read, empty where none is watched."""
        column = self._column(quantity)
        return np.array([values[column] for values in self._rows[row:]] if column else [], dtype=np.float64)

    def busy_since(self, row: int, quantity: str) -> List[Samples]:
        """The same under load, for each quiet period of its own."""
        readings, periods = self.since(row, quantity), np.array(self._periods[row:])
        numbers = sorted(set(self._periods[row:]) - {0}) if len(readings) else []
        return [readings[periods == number] for number in numbers]

    def _column(self, quantity: str) -> int:
        """Of the first probe of a quantity; 0, which holds the time, where there is none."""
        return next((at for at, probe in enumerate(self._probes, 1) if probe.quantity == quantity), 0)

    def result(self, folder: Path) -> pb.Conditions:
        """The series with their summaries; all samples as a file in `folder`."""
        table = np.array(self._rows, dtype="<f8").reshape(len(self._rows), 1 + len(self._probes))
        conditions = pb.Conditions(
            series=[_series(probe, table[:, 1 + column]) for column, probe in enumerate(self._probes)],
            phases=[pb.Phase(name=name, begin_s=begin_s) for name, begin_s in self._phases],
        )
        if len(self._probes) and len(table) >= _LEAST_ROWS:
            conditions.samples.CopyFrom(write_artifact(folder, table, MEDIA_TYPE, "conditions"))
        return conditions


def probes_of(memory: ResidentMemory, meter: Meter) -> List[Probe]:
    """What can be watched of this process and of its supply.

    Args:
        memory: of this process.
        meter: of the machine; one that cannot be read gives nothing.
    """
    found: List[Probe] = []
    if memory.now_bytes() is not None:
        found.append(Probe("resident_bytes", "/proc/self/status", memory.now_bytes))
    if not meter.unavailable:
        found.append(Probe("power_w", meter.facts.source, meter.power_w))
    return found


def _series(probe: Probe, values: Samples) -> pb.Series:
    there = values[~np.isnan(values)]
    series = pb.Series(quantity=probe.quantity, source=probe.source)
    if not len(there):
        absent = figures.unavailable(f"{probe.source} could not be read")
        for figure in (series.start, series.lowest, series.peak, series.end):
            figure.CopyFrom(absent)
        return series
    for figure, value in (
        (series.start, there[0]),
        (series.lowest, there.min()),
        (series.peak, there.max()),
        (series.end, there[-1]),
    ):
        figure.CopyFrom(figures.measured(float(value), len(there)))
    return series
