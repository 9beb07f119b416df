"""Energy on a phone: its own shell writes its files down while it works, and they are metered here as if it were now.

    phone    │ idle      │ runner: load, first │ inferences back to back │ idle      │   by the phone's clock
    trace    x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x   each 0.1 s: time, then files
             ├───────────┤                      ├─────────────────────────┤ ├─────────┤
    metered  idle before                        ramp, window                idle after

`measure_energy` asks a clock, sleeps, and calls for inferences; here the clock is the trace's. So a phone's joules come
from the protocol of every other device, and neither the way over USB nor its delay is in them.
"""

from __future__ import annotations

import re
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np

from device_agent.bridge.snapshot import LIVE, Snapshot
from device_agent.measure.energy import Plan, measure_energy, unavailable
from device_agent.measure.meters import Meter, MeterError
from device_agent.measure.meters.android import find_battery, find_odpm
from device_agent.measure.meters.find import choose_meter
from device_agent.measure.statistics import Samples
from device_agent.measure.ticker import Ticker
from protos.gauntlet.v1 import measurement_pb2 as pb

TRACE = "trace"
FILES = tuple(pattern for pattern in LIVE if "power_supply" in pattern or "energy_value" in pattern)
#: More often than any of these sources updates: what it adds to their age is within their resolution.
PERIOD_S = 0.1
#: For a shell that is slow to start, and for a window that ends with an inference.
SPARE_S = 1.0
_TIME = re.compile(r"^@ (\d+\.\d+)$", re.MULTILINE)

#: Files of the phone, and seconds on the clock of its /proc/uptime.
Sample = Tuple[float, Snapshot]


def sampler() -> str:
    """For the phone's shell: writes the trace until a file called "done" is there."""
    look = f"head -n 40 /dev/null {' '.join(FILES)} 2>/dev/null"
    return (
        f'while [ ! -e done ]; do read up rest < /proc/uptime; echo "@ $up"; {look}; sleep {PERIOD_S}; done > {TRACE}'
    )


def parse_trace(text: str) -> List[Sample]:
    """Read what the sampler wrote; a last sample that was cut off is left out."""
    parts = _TIME.split(text)
    samples = [(float(at), Snapshot.parse(content)) for at, content in zip(parts[1::2], parts[2::2])]
    return samples[:-1]


def find_meter(snapshot: Snapshot) -> Meter:
    """What can meter a phone now, or why nothing can."""
    return choose_meter([find_odpm(snapshot), find_battery(snapshot)])


def meter_trace(
    trace: Sequence[Sample], marks: Tuple[Samples, Samples], spec: pb.EnergySpec, confidence: float
) -> pb.EnergyResult:
    """Energy of an inference.

    Args:
        trace: of the whole time.
        marks: of the inferences, see `runner.marks_of`.
        spec: what was asked.
        confidence: of the intervals, 0-1, exclusive.
    """
    if not trace:
        return unavailable("the phone wrote down nothing while it measured energy")
    played = _Playback(trace, marks)
    meter = choose_meter([find_odpm(played, played.clock), find_battery(played, played.ticker, played.clock)])
    if not meter.unavailable:
        plan = Plan.of(spec, meter)
        idle_s = marks[0][0] - trace[0][0], trace[-1][0] - marks[0][-1] - plan.settle_s
        if min(idle_s) < plan.idle_s or marks[0][-1] - marks[0][0] < plan.ramp_s + plan.window_s:
            return unavailable(
                f"the phone wrote down too little: {min(idle_s):.1f} s idle, {plan.idle_s:g} s are needed"
            )
    return measure_energy(played.invoke, spec, meter, confidence, played.clock, played.sleep)


class _Playback:
    """Lives through a trace; see `meters.base.Files` for its files."""

    def __init__(self, trace: Sequence[Sample], marks: Tuple[Samples, Samples]) -> None:
        self._trace = trace
        self._at_s, self._runs = marks
        # Between two marks inferences are taken to last equally long.
        self._ends_s = np.interp(np.arange(1, int(self._runs[-1]) + 1), self._runs, self._at_s)
        self._now_s = trace[0][0]
        self._place = 0
        self._run = 0
        self._tick: Optional[Callable[[], object]] = None

    def read(self, path: str) -> str:
        return self._trace[self._place][1].read(path)

    def glob(self, pattern: str) -> List[str]:
        return self._trace[self._place][1].glob(pattern)

    def clock(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        # Once the inferences are over, so are those that nobody asked for.
        self._go_to(max(self._now_s, self._at_s[-1]) if self._run else self._now_s)
        self._go_to(self._now_s + seconds)

    def invoke(self) -> None:
        if self._run == 0:
            self._go_to(float(self._at_s[0]))
        if self._run == len(self._ends_s):
            raise MeterError("the inferences on the phone ended too early")
        self._go_to(float(self._ends_s[self._run]))
        self._run += 1

    def ticker(self, work: Callable[[], object], _period_s: float) -> Ticker:
        return _Ticker(self, work)

    def watch(self, work: Optional[Callable[[], object]]) -> None:
        """Called at each sample of the trace from now on."""
        self._tick = work

    def _go_to(self, at_s: float) -> None:
        while self._place + 1 < len(self._trace) and self._trace[self._place + 1][0] <= at_s:
            self._place += 1
            self._now_s = self._trace[self._place][0]
            if self._tick is not None:
                self._tick()
        self._now_s = at_s


class _Ticker(Ticker):
    """Ticks with the trace instead of a thread."""

    def __init__(self, played: _Playback, work: Callable[[], object]) -> None:
        super().__init__(work, PERIOD_S)
        self._played = played
        self._work_on = work

    def start(self) -> None:
        self._played.watch(self._work_on)

    def stop(self) -> None:
        self._played.watch(None)
