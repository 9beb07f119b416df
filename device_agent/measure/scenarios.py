"""Scenarios beyond the single stream, in the sense of MLPerf Inference (Reddi et al., ISCA 2020, section IV).

    multi-stream    load  warm-up │ query │ query │ query │ …        a query is several samples, the next begins as soon
                                                                     as it is answered: latency of a query
    offline         1 thread:   batch 1 │ batch 4 │ batch 16 │ …     as many samples a second as possible
                    2 threads:  batch 1 │ …
    one cell        load  warm-up │ part │ part │ … │ part │ look │ part │ … │ look
                                  └ back to back, until the interval of Σ samples / Σ seconds is narrow enough, or a cap

Neighbouring parts of a cell are joined into at most 20 blocks, whose spread gives the interval (batch means: blocks
grow with the time spent, so that what lasts longer than a call stays within one). Looks lie geometrically apart.
"""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np

from device_agent.errors import MeasurementError
from device_agent.measure import latency
from device_agent.measure.artifacts import write_artifact
from device_agent.measure.conditions import Recorder
from device_agent.measure.latency import Clock, Invoke, Timing
from device_agent.measure.ratio import Ratio, ratio_of_sums
from device_agent.measure.tensors import BatchRunner, example_inputs, fill_inputs
from device_agent.runtimes.base import LoadedModel
from protos import figures
from protos.gauntlet.v1 import failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

SAMPLES = "samples/multi-stream"
METHOD = "batch means"

_CONFIDENCE = 0.95
#: For jobs that ask for no latency, and so say nothing of warming up.
_WARM_UP = pb.LatencySpec(
    warmup_min_runs=10, warmup_min_s=0.5, warmup_max_s=10.0, warmup_tolerance=0.02, min_sample_s=100e-6
)
_BRIEF_S, _BRIEF_MOST_S, _BRIEF_TOLERANCE = 0.2, 2.0, 0.05
#: A sample of offline calls is at least this long: the clock is to cost nothing.
_LEAST_SAMPLE_S = 100e-6
_BLOCKS = 20
_LEAST_PART_S = 1e-3
_LOOK_RATIO = 1.25
_MOST_SAMPLES = 1_000_000

Cell = Callable[[], pb.OfflineCell]


@dataclass(frozen=True)
class Stage:
    """What the scenarios need of a worker that holds the host's lock.

    Attributes:
        load: a copy of the model for so many threads; with a batch that it is known to take, or None for the file's.
        pace: how to warm up, and the confidence of intervals; empty where the job asks for no latency.
        held: holds this process to cores for so many threads, within the block.
        recorder: of the conditions.
        report: what is done now.
        remark: what a reader of the figures should know.
    """

    load: Callable[[int, Optional[int]], LoadedModel]
    pace: pb.LatencySpec
    held: Callable[[int], AbstractContextManager[None]]
    recorder: Recorder
    report: Callable[[str], None]
    remark: Callable[[str], None]

    @property
    def confidence(self) -> float:
        """Of intervals, 0-1."""
        return self.pace.confidence or _CONFIDENCE


@dataclass(frozen=True)
class Batching:
    """What batches a model takes.

    Attributes:
        own: samples to a call as the file has it.
        free: any other number will do, and the samples do not mix.
    """

    own: int
    free: bool

    @classmethod
    def of(cls, model: LoadedModel) -> Batching:
        """Find out on a copy that nothing else is done with: it may be left resized."""
        inputs = model.inputs
        sizes = {tensor.shape[:1] for tensor in inputs}
        own = sizes.pop() if len(sizes) == 1 else ()
        if own != (1,):
            # Without a first dimension that all inputs share, a call is one sample.
            return cls(own[0] if own else 1, False)
        two = [replace(tensor, shape=(2, *tensor.shape[1:])) for tensor in inputs]
        return cls(1, BatchRunner(model, example_inputs(two), 2).batch == 2)

    def takes(self, size: int) -> bool:
        """Can so many samples go into one call?"""
        return self.free or size == self.own

    def asked(self, size: int) -> Optional[int]:
        """What to load a model with for a batch that it takes."""
        return None if size == self.own else size


def measure_multi_stream(
    stage: Stage, spec: pb.MultiStreamSpec, threads: int, output_dir: Path
) -> pb.MultiStreamResult:
    """Latency of queries of several samples; a timed window.

    Raises:
        MeasurementError: the model cannot be loaded.
    """
    size = max(1, int(spec.samples_per_query))
    stage.report("load")
    probe = stage.load(threads, None)
    batching = Batching.of(probe)
    batched = size == batching.own or (batching.free and probe.resize_batch(size))
    del probe
    model = stage.load(threads, batching.asked(size) if batched else None)
    fill_inputs(model)
    calls = 1 if batched else -(-size // batching.own)
    query = model.invoke if batched else _in_a_row(model.invoke, calls)
    if not batched and calls * batching.own != size:
        stage.remark(
            f"multi-stream: the model takes {batching.own} samples a call and cannot be resized; "
            f"a query of {size} runs {calls * batching.own}"
        )
    stage.report("multi-stream warm-up")
    warmup = latency.warm_up(query, stage.pace if stage.pace.warmup_max_s else _WARM_UP)
    if not warmup.settled:
        stage.remark(f"multi-stream: the warm-up did not settle within {warmup.seconds:.1f} s")
    stage.report("multi-stream timing")
    with stage.recorder.quiet():
        timing = queries(query, spec, warmup.call_s, rest=stage.recorder.rest)
    told = latency.summarise(timing, warmup, stage.confidence)
    raw = write_artifact(output_dir, timing.samples.astype("<f8"), SAMPLES, "multi-stream samples")
    return pb.MultiStreamResult(
        samples_per_query=size,
        batched=batched,
        median_s=told.median_s,
        percentiles=told.percentiles,
        stop_reason=timing.stop,
        raw_samples=raw,
    )


def queries(
    query: Invoke,
    spec: pb.MultiStreamSpec,
    query_s: float,
    clock: Clock = time.perf_counter_ns,
    rest: Callable[[], None] = lambda: None,
) -> Timing:
    """Time queries until there are enough of them and enough seconds, or a cap is reached.

    Args:
        query: one of them.
        spec: what was asked.
        query_s: about how long one takes.
        clock: monotonic, in nanoseconds.
        rest: called where nothing is timed.
    """
    # The first look suffices, whatever the interval: a percentile is what is asked for.
    asked = pb.LatencySpec(
        min_samples=spec.min_queries,
        max_samples=spec.max_queries,
        min_s=spec.min_s,
        max_s=spec.max_s,
        half_width=float("inf"),
        confidence=_CONFIDENCE,
    )
    timing = latency.steady_state(query, asked, query_s, clock, rest)
    count = len(timing.samples)
    if count < spec.min_queries:
        return replace(timing, stop=pb.STOP_REASON_MAX_TIME)
    return replace(timing, stop=pb.STOP_REASON_MAX_SAMPLES if count >= spec.max_queries else pb.STOP_REASON_PRECISE)


def measure_offline(stage: Stage, spec: pb.OfflineSpec, window: Callable[[Cell], pb.OfflineCell]) -> pb.OfflineResult:
    """Throughput of each number of threads with each batch size, each cell in a timed window of its own.

    Args:
        stage: not held to cores.
        spec: what was asked.
        window: takes a cell, and takes it again where it is void.

    Raises:
        MeasurementError: the model cannot be loaded as it is.
    """
    stage.report("load")
    batching = Batching.of(stage.load(1, None))
    result = pb.OfflineResult()
    for threads in spec.threads:
        for size in spec.batch_sizes:
            cell = result.cells.add(batch_size=size, threads=threads)
            refusal = _refusal(batching, size, threads)
            cell.MergeFrom(_absent(refusal) if refusal else window(_cell_of(stage, spec, batching, size, threads)))
    return result


def _refusal(batching: Batching, size: int, threads: int) -> str:
    cores = _cores()
    if threads > cores:
        return f"the device has {cores} core{'' if cores == 1 else 's'}"
    if not batching.takes(size):
        return f"the model takes {batching.own} sample{'' if batching.own == 1 else 's'} a call and cannot be resized"
    return ""


def _cell_of(stage: Stage, spec: pb.OfflineSpec, batching: Batching, size: int, threads: int) -> Cell:
    def measure() -> pb.OfflineCell:
        # A cell that kills the worker is named by the failure's last step.
        stage.report(f"offline batch {size}, {threads} thread{'' if threads == 1 else 's'}")
        try:
            with stage.held(threads):
                model = _ready(stage, threads, batching.asked(size))
                with stage.recorder.quiet():
                    return _back_to_back(model.invoke, size, spec, stage)
        except MeasurementError as error:
            return _absent(error.message)

    return measure


def _ready(stage: Stage, threads: int, batch: Optional[int]) -> LoadedModel:
    """A model that has run once.

    Raises:
        MeasurementError: it does not, with this batch.
    """
    try:
        model = stage.load(threads, batch)
        fill_inputs(model)
        model.invoke()
        return model
    except MemoryError as error:
        raise MeasurementError(failure_pb2.FAILURE_KIND_OUT_OF_MEMORY, "the worker reached its memory limit") from error
    except MeasurementError:
        raise
    except Exception as error:  # runtimes raise what they like where a graph cannot do a batch after all
        raise MeasurementError(failure_pb2.FAILURE_KIND_INVALID_MODEL, str(error) or type(error).__name__) from error


def _back_to_back(invoke: Invoke, size: int, spec: pb.OfflineSpec, stage: Stage) -> pb.OfflineCell:
    least_s = min(_BRIEF_S, spec.min_s)
    brief = pb.LatencySpec(
        warmup_min_s=least_s,
        warmup_max_s=max(least_s, min(_BRIEF_MOST_S, spec.max_s)),
        warmup_tolerance=_BRIEF_TOLERANCE,
        min_sample_s=_LEAST_SAMPLE_S,
    )
    warmup = latency.warm_up(invoke, brief)
    ratio, timing = flow(invoke, size, spec, warmup.call_s, stage.confidence, rest=stage.recorder.rest)
    calls = len(timing.samples) * timing.calls_per_sample
    return pb.OfflineCell(
        throughput_per_s=figures.measured(ratio.value, calls, ratio.interval(stage.confidence, METHOD)),
        call_s=latency.summarise(timing, warmup, stage.confidence).median_s,
        stop_reason=timing.stop,
    )


def flow(
    invoke: Invoke,
    size: int,
    spec: pb.OfflineSpec,
    call_s: float,
    confidence: float,
    clock: Clock = time.perf_counter_ns,
    rest: Callable[[], None] = lambda: None,
) -> Tuple[Ratio, Timing]:
    """Samples a second of back-to-back calls, until that is known precisely enough or the cap is reached.

    Args:
        invoke: one call.
        size: samples in it.
        spec: seconds and half-width.
        call_s: about how long a call takes.
        confidence: of the interval, 0-1, exclusive.
        clock: monotonic, in nanoseconds.
        rest: called at looks, where nothing is timed.
    """
    calls = latency.calls_per_sample(call_s, _LEAST_SAMPLE_S)
    part_ns = int(max(spec.min_s / _BLOCKS, _LEAST_PART_S) * 1e9)
    counts: List[int] = []
    seconds: List[float] = []
    nanoseconds: List[int] = []
    begin = clock()
    look, cap = begin + int(spec.min_s * 1e9), begin + int(max(spec.max_s, spec.min_s) * 1e9)
    while True:
        start = clock()
        taken = latency.collect(invoke, calls, _MOST_SAMPLES, min(start + part_ns, cap), clock)
        now = clock()
        nanoseconds += taken
        counts.append(len(taken) * calls * size)
        seconds.append((now - start) / 1e9)
        if now < look and now < cap:
            continue
        ratio = throughput(counts, seconds, confidence)
        precise = ratio.reach is not None and ratio.reach <= spec.half_width * ratio.value
        if precise or now >= cap:
            stop = pb.STOP_REASON_PRECISE if precise else pb.STOP_REASON_MAX_TIME
            return ratio, Timing(np.array(nanoseconds, dtype=np.float64) / (1e9 * calls), calls, stop)
        look = begin + int((now - begin) * _LOOK_RATIO)
        rest()
        # It finds cold caches.
        invoke()


def throughput(counts: Sequence[float], seconds: Sequence[float], confidence: float) -> Ratio:
    """Samples a second over the parts of a window.

    Args:
        counts: samples of each part, in the order taken.
        seconds: likewise, positive.
        confidence: of the interval, 0-1, exclusive; fewer than five parts have none.
    """
    blocks = min(len(counts), _BLOCKS)
    above, below = (
        [float(block.sum()) for block in np.array_split(np.asarray(values, dtype=np.float64), blocks)]
        for values in (counts, seconds)
    )
    return ratio_of_sums(above, below, confidence)


def _in_a_row(invoke: Invoke, calls: int) -> Invoke:
    def query() -> None:
        for _ in repeat(None, calls):
            invoke()

    return query


def _absent(reason: str) -> pb.OfflineCell:
    absent = figures.unavailable(reason)
    return pb.OfflineCell(throughput_per_s=absent, call_s=absent)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
