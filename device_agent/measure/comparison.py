"""One process of a comparison: model B against model A in ABBA blocks, as `ComparisonSpec` says.

    load A, B | warm-up A | warm-up B | A B B A | A B B A | ... look | ... | ... look
                                        └┬┘
                                 first call, not counted: it finds the other's data in the caches
                                 then samples; the segment is worth their median

Whatever drifts linearly in time (a clock that falls, a chip that warms) adds as much to the two A as to the two B of a
block, and drops out of its ratio. The median within a segment and the median over the blocks shrug off what disturbs a
few samples or a few blocks: on a machine with a busy neighbour, means were up to twenty times as far from the truth.

It may end only at the looks, which lie geometrically apart, and looks at the width alone: whether the process goes on
says nothing about who is ahead.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence

import numpy as np
from numpy.typing import NDArray

from device_agent.measure import latency, statistics
from device_agent.measure.artifacts import write_artifact
from device_agent.measure.latency import Clock, Invoke
from protos import figures
from protos.gauntlet.v1 import figure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

SEGMENTS = "samples/comparison"
#: What the worker reports while both are timed in turn.
BLOCKS_STEP = "blocks"
A, B = 0, 1

_LOOK_RATIO = 1.5
_MOST_SEGMENT_SAMPLES = 100_000

Blocks = NDArray[np.float64]


@dataclass(frozen=True)
class Contender:
    """A model that is warm.

    Attributes:
        invoke: one inference.
        calls: in a sample.
        samples: in a segment.
        settled: did its warm-up end before the cap?
    """

    invoke: Invoke
    calls: int
    samples: int
    settled: bool


@dataclass(frozen=True)
class Series:
    """The blocks of one process.

    Attributes:
        segments_s: median call of each segment, shape (blocks, 4), in the order A A B B.
        stop: why there are no more.
    """

    segments_s: Blocks
    stop: pb.StopReason

    @property
    def log_ratios(self) -> NDArray[np.float64]:
        """Of B over A, one for each block."""
        logs = np.log(self.segments_s)
        ratios: NDArray[np.float64] = (logs[:, 2] + logs[:, 3] - logs[:, 0] - logs[:, 1]) / 2
        return ratios


def warm_up(invoke: Invoke, spec: pb.ComparisonSpec, clock: Clock = time.perf_counter_ns) -> Contender:
    """Warm a model up, and plan its segments by the time that a call then takes."""
    warmth = pb.LatencySpec(
        warmup_min_runs=spec.warmup_min_runs,
        warmup_min_s=spec.warmup_min_s,
        warmup_max_s=spec.warmup_max_s,
        warmup_tolerance=spec.warmup_tolerance,
        min_sample_s=spec.min_sample_s,
    )
    warm = latency.warm_up(invoke, warmth, clock)
    calls = latency.calls_per_sample(warm.call_s, spec.min_sample_s)
    long_enough = math.ceil(spec.min_segment_s / max(warm.call_s * calls, 1e-9))
    samples = min(max(1, int(spec.min_segment_samples), long_enough), _MOST_SEGMENT_SAMPLES)
    return Contender(invoke, calls, samples, warm.settled)


def interleave(
    contenders: Sequence[Contender], spec: pb.ComparisonSpec, b_first: bool, clock: Clock = time.perf_counter_ns
) -> Series:
    """Take blocks until the interval of their median ratio is narrow enough, or a cap is reached.

    Args:
        contenders: A and B.
        spec: what was asked.
        b_first: B A A B instead of A B B A.
        clock: monotonic, in nanoseconds.
    """
    order = (B, A, A, B) if b_first else (A, B, B, A)
    end = clock() + int(spec.max_s * 1e9)
    most = max(int(spec.max_blocks), 1)
    look = min(max(int(spec.min_blocks), 1), most)
    taken: List[List[List[int]]] = []
    while True:
        taken.append([_segment(contenders[which], clock) for which in order])
        late = clock() >= end
        if len(taken) < look and not late:
            continue
        series = _series(taken, order, contenders, _stop(late, len(taken) >= most))
        # Both sorted alike: ranks of order statistics.
        ordered = np.sort(series.log_ratios)
        interval = statistics.quantile_interval(ordered, 0.5, spec.confidence)
        if interval is not None and (interval.high - interval.low) / 2 <= spec.half_width:
            return Series(series.segments_s, pb.STOP_REASON_PRECISE)
        if series.stop != pb.STOP_REASON_UNSPECIFIED:
            return series
        look = min(math.ceil(look * _LOOK_RATIO), most)


def summarise(
    series: Series, contenders: Sequence[Contender], spec: pb.ComparisonSpec, b_first: bool, folder: Path
) -> pb.ComparisonRun:
    """The figures of one process; the segments go to a file in `folder`."""
    logs = series.log_ratios
    ordered = np.sort(logs)
    interval = statistics.quantile_interval(ordered, 0.5, spec.confidence)
    if interval is not None:
        interval = figure_pb2.Interval(
            low=math.exp(interval.low),
            high=math.exp(interval.high),
            confidence=interval.confidence,
            method=interval.method,
        )
    a, b = contenders
    return pb.ComparisonRun(
        ratio=figures.measured(math.exp(statistics.median(ordered)), len(logs), interval),
        block_ratios=np.exp(logs).tolist(),
        median_a_s=statistics.median(np.sort(series.segments_s[:, :2].ravel())),
        median_b_s=statistics.median(np.sort(series.segments_s[:, 2:].ravel())),
        calls_per_sample_a=a.calls,
        calls_per_sample_b=b.calls,
        samples_per_segment_a=a.samples,
        samples_per_segment_b=b.samples,
        warmup_settled_a=a.settled,
        warmup_settled_b=b.settled,
        stop_reason=series.stop,
        b_first=b_first,
        segments=write_artifact(folder, series.segments_s.astype("<f8"), SEGMENTS, "comparison segments"),
    )


def _segment(contender: Contender, clock: Clock) -> List[int]:
    contender.invoke()
    return latency.collect(contender.invoke, contender.calls, contender.samples, sys.maxsize, clock)


def _series(
    taken: Sequence[Sequence[Sequence[int]]], order: Sequence[int], contenders: Sequence[Contender], stop: pb.StopReason
) -> Series:
    # A stable sort: the two segments of a model stay in the order of time.
    columns = sorted(range(len(order)), key=lambda place: order[place])
    rows = [
        [statistics.median(np.sort(np.array(block[place], np.float64))) / contenders[order[place]].calls / 1e9]
        for block in taken
        for place in columns
    ]
    return Series(np.array(rows, np.float64).reshape(len(taken), len(order)), stop)


def _stop(late: bool, full: bool) -> pb.StopReason:
    if full:
        return pb.STOP_REASON_MAX_SAMPLES
    return pb.STOP_REASON_MAX_TIME if late else pb.STOP_REASON_UNSPECIFIED
