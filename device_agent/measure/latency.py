"""How long an inference takes, by the protocol of `LatencySpec`.

    load | first | warm-up: windows ......... | steady state ......................... |
                   until two medians agree      until min_s and min_samples     look   look       look
                   (or the cap)                                                  |-------|---------|
                                                                                 n      1.25 n    1.56 n

Nothing is computed between samples but at the looks, which lie geometrically apart; the first call after a look finds
cold caches and is not counted. No sample is ever dropped as an outlier.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import repeat
from typing import Callable, List

import numpy as np

from device_agent.measure import statistics
from device_agent.measure.bootstrap import Bootstrap
from device_agent.measure.statistics import Samples
from protos import figures
from protos.gauntlet.v1 import measurement_pb2 as pb

PERCENTILES = (0.9, 0.95, 0.99)
#: Media type of raw samples.
SAMPLES = "samples/latency"

_WARMUP_WINDOWS = 5  # in the least warm-up time
_LEAST_WINDOW_SAMPLES = 5
_WINDOW_GROWTH = 0.15
_LOOK_RATIO = 1.25
# Five looks on, there are three times the samples, and the interval of independent samples is 0.57 as wide.
_PLATEAU_LOOKS = 5
_PLATEAU_RATIO = 0.9
#: Calls from this length on do not notice what was done in between.
_SLOW_CALL_S = 0.01
_REST_S = 0.5

Invoke = Callable[[], None]
#: Nanoseconds on a monotonic clock.
Clock = Callable[[], int]


@dataclass(frozen=True)
class WarmUp:
    """What it took to reach the steady state.

    Attributes:
        runs: inferences.
        seconds: spent on them.
        settled: did two consecutive windows agree before the cap?
        call_s: median of the last window.
    """

    runs: int
    seconds: float
    settled: bool
    call_s: float


@dataclass(frozen=True)
class Timing:
    """Steady state.

    Attributes:
        samples: seconds a call, in the order taken, shape (n,).
        calls_per_sample: how many calls each sample averages.
        stop: why it ended.
    """

    samples: Samples
    calls_per_sample: int
    stop: pb.StopReason


def warm_up(invoke: Invoke, spec: pb.LatencySpec, clock: Clock = time.perf_counter_ns) -> WarmUp:
    """Run until the medians of two consecutive windows agree: at least the runs and seconds asked, at most the cap."""
    begin = clock()
    least = begin + _ns(spec.warmup_min_s)
    cap = begin + _ns(max(spec.warmup_max_s, spec.warmup_min_s))
    window_ns = max(_ns(spec.warmup_min_s) // _WARMUP_WINDOWS, 1)
    runs, previous_s, settled = 0, math.inf, False
    call_s, calls = 0.0, 1
    while True:
        # Windows grow with the time spent, or else a slow drift would look like agreement.
        now = clock()
        window_end = min(now + max(window_ns, int((now - begin) * _WINDOW_GROWTH)), cap)
        samples: List[int] = []
        while len(samples) < _LEAST_WINDOW_SAMPLES or clock() < window_end:
            samples += collect(invoke, calls, _LEAST_WINDOW_SAMPLES, cap, clock)
            if clock() >= cap:
                break
        runs += len(samples) * calls
        call_s = statistics.median(np.sort(np.array(samples, dtype=np.float64))) / calls / 1e9
        calls = calls_per_sample(call_s, spec.min_sample_s)
        now = clock()
        settled = abs(call_s - previous_s) <= spec.warmup_tolerance * min(call_s, previous_s)
        if now >= cap or (settled and runs >= spec.warmup_min_runs and now >= least):
            return WarmUp(runs, (now - begin) / 1e9, settled, call_s)
        previous_s = call_s


def steady_state(
    invoke: Invoke,
    spec: pb.LatencySpec,
    call_s: float,
    clock: Clock = time.perf_counter_ns,
    rest: Callable[[], None] = lambda: None,
) -> Timing:
    """Take samples until the interval of the median is narrow enough, stops shrinking, or a cap is reached.

    Args:
        invoke: one inference.
        spec: what was asked.
        call_s: about how long a call takes.
        clock: monotonic, in nanoseconds.
        rest: called now and then, where nothing is timed and a call of this length does not notice.
    """
    calls = calls_per_sample(call_s, spec.min_sample_s)
    least_samples = max(int(spec.min_samples), 1)
    most_samples = max(int(spec.max_samples), least_samples) if spec.max_samples else 1_000_000
    begin = clock()
    least_end = begin + _ns(spec.min_s)
    cap = begin + _ns(max(spec.max_s, spec.min_s)) if spec.max_s else begin + _ns(3600)
    # Among short calls there is no rest but at looks, in front of the call that does not count.
    slow = call_s >= _SLOW_CALL_S
    chunk = max(1, int(_REST_S / call_s)) if slow else most_samples

    def gather(count: int, end_ns: int) -> List[int]:
        gathered: List[int] = []
        while not gathered or (len(gathered) < count and clock() < end_ns):
            if slow:
                rest()
            gathered += collect(invoke, calls, min(count - len(gathered), chunk), end_ns, clock)
        return gathered

    nanoseconds = gather(least_samples, cap)
    while clock() < least_end and len(nanoseconds) < most_samples:
        # A tenth of what is there: few returns to this loop, and no long overshoot.
        count = min(max(1, len(nanoseconds) // 10), most_samples - len(nanoseconds))
        nanoseconds += gather(count, least_end)
    widths: List[float] = []
    while True:
        samples = np.array(nanoseconds, dtype=np.float64) / (1e9 * calls)
        widths.append(Bootstrap(samples).relative_half_width(spec.confidence))
        stop = _stop(widths, spec.half_width, len(samples) >= most_samples, clock() >= cap)
        if stop != pb.STOP_REASON_UNSPECIFIED:
            return Timing(samples, calls, stop)
        rest()
        invoke()
        count = min(math.ceil(len(samples) * (_LOOK_RATIO - 1)), most_samples - len(samples))
        nanoseconds += gather(count, cap)


def calls_per_sample(call_s: float, min_sample_s: float) -> int:
    """Calls that make a sample long enough for the clock."""
    if min_sample_s <= 0 or call_s >= min_sample_s:
        return 1
    return max(1, min(1_000_000, math.ceil(min_sample_s / max(call_s, 1e-9))))


def summarise(timing: Timing, warmup: WarmUp, confidence: float) -> pb.LatencyResult:
    """The figures of a steady state; load, first inference and raw samples are the caller's to add."""
    series = Bootstrap(timing.samples)
    ordered = series.ordered
    n = len(ordered)
    return pb.LatencyResult(
        median_s=figures.measured(statistics.median(ordered), n, series.quantile_interval(0.5, confidence)),
        mean_s=figures.measured(float(ordered.mean()), n, series.mean_interval(confidence)),
        min_s=figures.measured(float(ordered[0]), n),
        max_s=figures.measured(float(ordered[-1]), n),
        mad_s=figures.measured(statistics.median_absolute_deviation(ordered), n),
        percentiles=[_percentile(series, rank, confidence, timing.calls_per_sample) for rank in PERCENTILES],
        stop_reason=timing.stop,
        warmup_runs=warmup.runs,
        warmup_s=warmup.seconds,
        warmup_settled=warmup.settled,
        calls_per_sample=timing.calls_per_sample,
        histogram=statistics.histogram(ordered),
    )


def _percentile(series: Bootstrap, rank: float, confidence: float, calls: int) -> pb.Percentile:
    ordered, least = series.ordered, statistics.least_samples(rank)
    if calls > 1:
        # The mean of several calls hides their tail.
        figure = figures.unavailable(f"each sample is the mean of {calls} calls, which hides the tail")
    elif len(ordered) < least:
        figure = figures.unavailable(f"insufficient: {len(ordered)} samples, {least} needed")
    else:
        interval = series.quantile_interval(rank, confidence)
        figure = figures.measured(statistics.percentile(ordered, rank), len(ordered), interval)
    return pb.Percentile(rank=rank, latency_s=figure)


def collect(invoke: Invoke, calls: int, count: int, end_ns: int, clock: Clock) -> List[int]:
    """Up to `count` samples in nanoseconds, at least one; ends early at `end_ns`."""
    samples: List[int] = []
    keep = samples.append
    if calls == 1:
        for _ in repeat(None, count):
            begin = clock()
            invoke()
            end = clock()
            keep(end - begin)
            if end >= end_ns:
                break
        return samples
    for _ in repeat(None, count):
        begin = clock()
        for _ in repeat(None, calls):
            invoke()
        end = clock()
        keep(end - begin)
        if end >= end_ns:
            break
    return samples


def _stop(widths: List[float], target: float, full: bool, late: bool) -> pb.StopReason:
    if widths[-1] <= target:
        return pb.STOP_REASON_PRECISE
    if full:
        return pb.STOP_REASON_MAX_SAMPLES
    if late:
        return pb.STOP_REASON_MAX_TIME
    if len(widths) > _PLATEAU_LOOKS and widths[-1] >= _PLATEAU_RATIO * widths[-1 - _PLATEAU_LOOKS]:
        return pb.STOP_REASON_PLATEAU
    return pb.STOP_REASON_UNSPECIFIED


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
