"""Heat, clocks and memory as series: what is kept, and that fast models are left alone."""

from __future__ import annotations

import math
import os
import threading
import time
import zlib
from pathlib import Path
from typing import Callable, Iterator, List, Optional

import numpy as np
import pytest

from device_agent.hoststate import Probe
from device_agent.measure import ticker
from device_agent.measure.conditions import PERIOD_S, Recorder, probes_of
from device_agent.measure.memory import ResidentMemory
from device_agent.measure.meters import NoMeter
from device_agent.measure.meters.nvml import find_nvml
from device_agent.measure.ticker import Ticker
from protos import figures
from tests.device_agent.boards import Clock, FakeNvml, ManualTicker


class Bench:
    """A recorder on a made-up clock; a tick is a period."""

    def __init__(self, values: Iterator[Optional[float]]) -> None:
        self.clock = Clock()
        self.probe = Probe("temperature_c", "cpu-thermal", lambda: next(values))
        self.recorder = Recorder([self.probe], self.clock, self._make_ticker)

    def _make_ticker(self, work: Callable[[], object], period_s: float) -> ManualTicker:
        self.ticker = ManualTicker(work, period_s)
        return self.ticker

    def wait(self, periods: int) -> None:
        for _ in range(periods):
            self.clock.now += PERIOD_S
            self.ticker.tick()


def test_a_series_has_start_lowest_peak_and_end(tmp_path: Path) -> None:
    bench = Bench(iter([50.0, 61.0, 72.0, None, 48.0, 55.0, 56.0]))
    with bench.recorder:
        bench.wait(5)
    result = bench.recorder.result(tmp_path)
    series = result.series[0]
    assert (series.quantity, series.source) == ("temperature_c", "cpu-thermal")
    told = [figures.value_of(f) for f in (series.start, series.lowest, series.peak, series.end)]
    assert told == [50.0, 48.0, 72.0, 56.0]
    assert series.peak.estimate.samples == 6


def test_all_samples_are_kept_in_a_file(tmp_path: Path) -> None:
    bench = Bench(iter([50.0, 61.0, 72.0, None, 48.0, 55.0, 56.0]))
    with bench.recorder:
        bench.wait(5)
    ref = bench.recorder.result(tmp_path).samples
    table = np.frombuffer(zlib.decompress((tmp_path / ref.digest).read_bytes()), "<f8").reshape(-1, 2)
    assert table[:, 0] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 2.5])
    assert table[2, 1] == 72.0
    assert math.isnan(table[3, 1])
    assert ref.media_type == "samples/conditions"


def test_a_short_run_needs_no_file(tmp_path: Path) -> None:
    bench = Bench(iter([50.0, 51.0]))
    with bench.recorder:
        pass
    result = bench.recorder.result(tmp_path)
    assert not result.HasField("samples")
    assert figures.value_of(result.series[0].end) == 51.0
    assert list(tmp_path.iterdir()) == []


def test_what_could_never_be_read_is_unavailable(tmp_path: Path) -> None:
    bench = Bench(iter([None, None]))
    with bench.recorder:
        pass
    assert bench.recorder.result(tmp_path).series[0].peak.unavailable == "cpu-thermal could not be read"


def test_phases_are_noted_where_they_are_reported(tmp_path: Path) -> None:
    bench = Bench(iter([1.0, 2.0]))
    told: List[str] = []
    with bench.recorder:
        report = bench.recorder.noting(lambda name, waiting: told.append(name))
        report("load", False)
        bench.clock.now += 2
        report("warm-up", False)
    assert told == ["load", "warm-up"]
    assert [(p.name, p.begin_s) for p in bench.recorder.result(tmp_path).phases] == [("load", 0), ("warm-up", 2)]


def test_in_a_window_samples_are_taken_at_rests_only_and_not_too_often(tmp_path: Path) -> None:
    bench = Bench(iter(float(n) for n in range(100)))
    with bench.recorder:
        with bench.recorder.quiet():
            bench.wait(10)
            bench.recorder.rest()
            bench.recorder.rest()
            bench.wait(10)
        bench.wait(2)
    # One at the start, two around the window and one at its rests, two by the thread, one at the end.
    assert bench.recorder.result(tmp_path).series[0].end.estimate.samples == 7


def test_what_was_read_under_load_is_told_apart_for_each_window() -> None:
    bench = Bench(iter([20.0, 21.0, 50.0, 51.0, 52.0, 22.0, 60.0, None, 23.0]))
    with bench.recorder as recorder:
        row = recorder.mark()
        with recorder.quiet():
            bench.clock.now += PERIOD_S
            recorder.rest()
        with recorder.quiet(busy=False):
            bench.clock.now += PERIOD_S
            recorder.rest(busy=True)
    told = recorder.since(row, "temperature_c")
    assert told[:6] == pytest.approx([21, 50, 51, 52, 22, 60])
    assert math.isnan(told[6])
    assert [list(window) for window in recorder.busy_since(row, "temperature_c")] == [[50, 51, 52], [60]]
    assert len(recorder.since(row, "frequency_hz")) == len(recorder.busy_since(row, "frequency_hz")) == 0


def test_memory_and_power_are_watched_where_they_can_be(tmp_path: Path) -> None:
    probes = probes_of(ResidentMemory(), find_nvml(FakeNvml(Clock(), watts=50.0, counts=False)))
    assert [probe.quantity for probe in probes] == ["resident_bytes", "power_w"]
    assert (probes[0].read() or 0) > 1e6
    assert probes[1].read() == 50.0
    assert probes_of(ResidentMemory(tmp_path), NoMeter("none")) == []


# The real thread


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    assert condition()


def test_a_ticker_calls_until_it_is_stopped_and_holds_its_tongue_when_asked() -> None:
    calls: List[int] = []
    subject = Ticker(lambda: calls.append(1), 0.001)
    subject.start()
    until(lambda: len(calls) >= 3)
    subject.silence(True)
    time.sleep(0.01)
    before = len(calls)
    time.sleep(0.05)
    assert len(calls) == before
    subject.silence(False)
    until(lambda: len(calls) > before)
    subject.silence(True)
    subject.stop()
    before = len(calls)
    time.sleep(0.02)
    assert len(calls) == before
    assert not any(thread.name == "ticker" for thread in threading.enumerate())


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(ticker._ALLOWED) < 2, reason="there is one core for everybody"
)
def test_a_tickers_thread_leaves_the_pinned_cores() -> None:
    seen: List[object] = []
    allowed = os.sched_getaffinity(0)
    pinned = {max(allowed)}
    os.sched_setaffinity(0, pinned)
    try:
        subject = Ticker(lambda: seen.append(os.sched_getaffinity(0)), 0.001)
        subject.start()
        until(lambda: bool(seen))
        subject.stop()
    finally:
        os.sched_setaffinity(0, allowed)
    assert seen[0] == ticker._ALLOWED - pinned
