"""A made-up board that heats up under load, slows itself down, and cools: files that change as its time passes."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from device_agent.hoststate import HostReader
from device_agent.measure import latency
from device_agent.measure.conditions import Recorder
from device_agent.measure.latency import Timing
from device_agent.measure.throttling import Guard
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.boards import ManualTicker, tree

CALL_S = 0.02
DEFAULT = pb.ThrottleSpec(repeats=2, cool_max_s=120, drift=0.03)
_THERMAL = "sys/class/thermal"
_CPU = "sys/devices/system/cpu/cpu0"
_FILES = {
    "temperature": f"{_THERMAL}/thermal_zone0/temp",
    "cooling": f"{_THERMAL}/cooling_device0/cur_state",
    "limit": f"{_CPU}/cpufreq/scaling_max_freq",
    "clock": f"{_CPU}/cpufreq/scaling_cur_freq",
    "count": f"{_CPU}/thermal_throttle/core_throttle_count",
}
ALL = tuple(_FILES)


class Board:
    """Heats by `heating` degrees a second under load, loses a hundredth of what it has above its room each second.

    It begins at `at_c`. Above 80 degrees its clock falls from 1.8 to 1.2 GHz, below 70 it is free again. It shows what
    it is told to.
    """

    def __init__(
        self,
        root: Path,
        shows: Sequence[str] = ALL,
        heating: float = 0.0,
        room_c: float = 40.0,
        at_c: Optional[float] = None,
        slow: bool = False,
    ) -> None:
        self.now_s = 100.0
        self.temperature_c = room_c if at_c is None else at_c
        self.room_c = room_c
        self.heating = heating
        self.shows = list(shows)
        self.slow = slow
        self.count = 7
        self.slept_s = 0.0
        #: What it shows no more after so many seconds of sleep.
        self.loses = ("", 0.0)
        self._written: Dict[str, str] = {}
        self.root = tree(root, {f"{_THERMAL}/thermal_zone0/type": "cpu-thermal\n"})
        tree(root, {f"{_THERMAL}/cooling_device0/type": "cpufreq-cpu0\n"})
        self._write()

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        name, after_s = self.loses
        if self.slept_s > after_s and name in self.shows:
            self.shows.remove(name)
        self._pass(seconds, 0.0)

    def invoke(self) -> None:
        self._pass(CALL_S * (1.5 if self.slow else 1.0), self.heating)

    def _pass(self, seconds: float, heating: float) -> None:
        self.now_s += seconds
        self.temperature_c += (heating - (self.temperature_c - self.room_c) / 100) * seconds
        if not self.slow and self.temperature_c > 80:
            self.slow, self.count = True, self.count + 1
        elif self.slow and self.temperature_c < 70:
            self.slow = False
        self._write()

    def _write(self) -> None:
        clock = "1200000" if self.slow else "1800000"
        content = {
            "temperature": str(int(self.temperature_c * 10) * 100),
            "cooling": "3" if self.slow else "0",
            "limit": clock,
            "clock": clock,
            "count": str(self.count),
        }
        for name in set(self._written) - set(self.shows):
            (self.root / _FILES[name]).unlink()
        shown = {name: content[name] for name in self.shows}
        tree(self.root, {_FILES[name]: text for name, text in shown.items() if self._written.get(name) != text})
        self._written = shown


class Watched:
    """Windows on such a board under a guard, with all that it tells."""

    def __init__(
        self, board: Board, spec: Optional[pb.ThrottleSpec] = DEFAULT, work_s: float = 1e9, pinned: bool = True
    ) -> None:
        self.board = board
        self.steps: List[Tuple[str, bool]] = []
        self.remarks: List[str] = []
        self.windows = 0
        reader = HostReader(board.root, board.clock)
        self.recorder = Recorder(reader.probes([0]), board.clock, ManualTicker)
        with self.recorder:
            self.guard = Guard(
                spec,
                self.recorder,
                reader.thermometer(),
                pinned,
                work_s,
                lambda name, waiting: self.steps.append((name, waiting)),
                self.remarks.append,
                board.clock,
                board.sleep,
            )

    def take(self, calls: int = 300) -> Timing:
        return self.guard.take(lambda: self._window(calls))

    def _window(self, calls: int) -> Timing:
        self.guard.begin()
        self.windows += 1
        asked = pb.LatencySpec(min_samples=calls, max_samples=calls, half_width=1e-9, confidence=0.95)
        with self.recorder.quiet():
            timing = latency.steady_state(
                self.board.invoke, asked, CALL_S, lambda: round(self.board.now_s * 1e9), self.recorder.rest
            )
        self.guard.judge(timing.samples)
        return timing
