"""Multi-stream and offline: when they end, what they tell, and which cells of a table are missing and why."""

from __future__ import annotations

import contextlib
import os
import signal
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.errors import MeasurementError
from device_agent.measure import scenarios
from device_agent.measure.conditions import Recorder
from device_agent.runtimes import discover
from device_agent.runtimes.base import Tensor
from device_agent.workers import Outcome, PoolSettings, WorkerPool
from protos import figures
from protos.gauntlet.v1 import failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.test_measure_run import bad, good, worker_of

SpecFor = Callable[[Path], Tuple[pb.MeasurementSpec, Dict[str, Path]]]
CORES = len(os.sched_getaffinity(0))


class FakeTime:
    """A clock that moves only when a call is made."""

    def __init__(self, call_s: Callable[[int], float]) -> None:
        self.now_ns = 0
        self.calls = 0
        self._call_s = call_s

    def __call__(self) -> int:
        return self.now_ns

    def invoke(self) -> None:
        self.now_ns += int(self._call_s(self.now_ns) * 1e9)
        self.calls += 1


class FakeModel:
    """Takes any batch unless it is `fixed`; its output is its input, mixed over the batch if it is a `mixer`."""

    delegate, remarks = "none", ()

    def __init__(self, batch: int = 1, fixed: bool = False, mixer: bool = False, inputs: int = 1) -> None:
        self._arrays = [np.zeros((batch, 4), np.float32)] + [np.zeros((3,), np.float32)] * (inputs - 1)
        self._fixed, self._mixer = fixed, mixer

    @property
    def inputs(self) -> Tuple[Tensor, ...]:
        return tuple(Tensor(f"in{i}", array.shape, "float32") for i, array in enumerate(self._arrays))

    outputs = inputs

    def set_input(self, index: int, value: Any) -> None:
        assert value.shape == self._arrays[index].shape
        self._arrays[index] = value

    def invoke(self) -> None:
        mean = self._arrays[0].mean(axis=0, keepdims=True)
        self._made = np.repeat(mean, len(self._arrays[0]), axis=0) if self._mixer else self._arrays[0].copy()

    def output(self, index: int) -> Any:
        return self._made

    def resize_batch(self, size: int) -> bool:
        if self._fixed:
            return False
        self._arrays[0] = np.zeros((size, 4), np.float32)
        return True


# ------------------------------------------------------------------------------------------------------ throughput


@given(
    st.lists(st.tuples(st.integers(1, 10_000), st.floats(1e-3, 10)), min_size=1, max_size=200),
    st.floats(0.1, 10),
)
def test_throughput_is_samples_over_seconds_whatever_the_parts(parts: List[Tuple[int, float]], slower: float) -> None:
    counts, seconds = [float(count) for count, _ in parts], [second for _, second in parts]
    ratio = scenarios.throughput(counts, seconds, 0.95)
    assert ratio.value == pytest.approx(sum(counts) / sum(seconds))
    assert (ratio.reach is None) == (len(parts) < 5)
    other = scenarios.throughput(counts, [slower * second for second in seconds], 0.95)
    assert other.value == pytest.approx(ratio.value / slower)
    if ratio.reach is not None and other.reach is not None:
        assert other.reach == pytest.approx(ratio.reach / slower, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_the_interval_holds_the_truth_where_parts_depend_on_the_ones_before_them(rho: float) -> None:
    random, held, trials = np.random.default_rng(7), 0, 400
    for _ in range(trials):
        noise = np.empty(200)
        noise[0] = random.normal()
        for i, fresh in enumerate(random.normal(size=199) * np.sqrt(1 - rho**2)):
            noise[i + 1] = rho * noise[i] + fresh
        seconds = 0.01 * np.exp(0.05 * noise - 0.05**2 / 2)
        ratio = scenarios.throughput([100.0] * 200, list(seconds), 0.95)
        assert ratio.reach is not None
        held += abs(ratio.value - 10_000) <= ratio.reach
    assert 0.9 <= held / trials <= 0.985


def offline(**changes: float) -> pb.OfflineSpec:
    spec = pb.OfflineSpec(batch_sizes=[1], threads=[1], min_s=0.5, max_s=5, half_width=0.01)
    for name, value in changes.items():
        setattr(spec, name, value)
    return spec


def test_a_steady_model_is_known_after_the_least_time() -> None:
    time = FakeTime(lambda now: 0.001)
    ratio, timing = scenarios.flow(time.invoke, 8, offline(), 0.001, 0.95, time)
    assert ratio.value == pytest.approx(8000)
    assert timing.stop == pb.STOP_REASON_PRECISE
    assert time.now_ns == pytest.approx(0.5e9, rel=0.05)
    assert np.median(timing.samples) == pytest.approx(0.001)


def test_a_restless_model_is_given_up_at_the_cap_with_a_wide_interval() -> None:
    # Every other moment it is ten times as slow.
    time = FakeTime(lambda now: 0.01 if now // 110_000_000 % 2 else 0.001)
    rests: List[int] = []
    ratio, timing = scenarios.flow(time.invoke, 1, offline(), 0.001, 0.95, time, rest=lambda: rests.append(time.now_ns))
    assert timing.stop == pb.STOP_REASON_MAX_TIME
    assert ratio.reach is not None
    assert ratio.reach / ratio.value > 0.01
    assert time.now_ns == pytest.approx(5e9, rel=0.01)
    # At looks only, which lie ever farther apart.
    assert 5 <= len(rests) <= 15


def test_a_call_longer_than_the_cap_is_told_without_an_interval() -> None:
    time = FakeTime(lambda now: 8.0)
    ratio, timing = scenarios.flow(time.invoke, 64, offline(), 8.0, 0.95, time)
    assert (ratio.value, ratio.reach) == (8.0, None)
    assert (time.calls, timing.stop) == (1, pb.STOP_REASON_MAX_TIME)


def test_very_fast_calls_are_timed_several_at_once() -> None:
    time = FakeTime(lambda now: 3e-6)
    ratio, timing = scenarios.flow(time.invoke, 1, offline(min_s=0.05), 3e-6, 0.95, time)
    assert timing.calls_per_sample == 34
    assert ratio.value == pytest.approx(1e6 / 3)


# ---------------------------------------------------------------------------------------------------- multi-stream


@pytest.mark.parametrize(
    ("query_s", "most", "stop", "count"),
    [
        (0.01, 100_000, pb.STOP_REASON_PRECISE, 662),
        (1e-4, 1000, pb.STOP_REASON_MAX_SAMPLES, 1000),
        (0.5, 100_000, pb.STOP_REASON_MAX_TIME, 120),
    ],
)
def test_queries_end_with_their_number_or_at_a_cap(query_s: float, most: int, stop: int, count: int) -> None:
    time = FakeTime(lambda now: query_s)
    spec = pb.MultiStreamSpec(samples_per_query=8, min_queries=662, max_queries=most, min_s=1, max_s=60)
    timing = scenarios.queries(time.invoke, spec, query_s, time)
    assert (timing.stop, len(timing.samples)) == (stop, count)


# -------------------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize(
    ("model", "own", "free"),
    [
        (FakeModel(), 1, True),
        (FakeModel(fixed=True), 1, False),
        (FakeModel(mixer=True), 1, False),
        (FakeModel(batch=4), 4, False),
        (FakeModel(inputs=2), 1, False),
    ],
)
def test_what_batches_a_model_takes(model: FakeModel, own: int, free: bool) -> None:
    found = scenarios.Batching.of(model)
    assert (found.own, found.free) == (own, free)
    assert found.takes(own)
    assert found.asked(own) is None
    assert found.takes(8) == free


def stage(load: Callable[[int, Optional[int]], Any], steps: List[str]) -> scenarios.Stage:
    @contextlib.contextmanager
    def held(threads: int) -> Iterator[None]:
        steps.append(f"hold {threads}")
        yield
        steps.append("release")

    recorder = Recorder([])
    recorder.sample()
    return scenarios.Stage(load, pb.LatencySpec(), held, recorder, steps.append, steps.append)


def test_a_cell_that_fails_costs_that_cell_only() -> None:
    errors: Dict[int, Exception] = {
        2: MeasurementError(failure_pb2.FAILURE_KIND_OUT_OF_MEMORY, "failed to allocate the arena"),
        4: MemoryError(),
        8: RuntimeError("Input 0 of node\n 3 must be 1"),
    }

    def load(threads: int, batch: Optional[int]) -> FakeModel:
        if batch in errors:
            raise errors[batch]
        return FakeModel(batch or 1)

    steps: List[str] = []
    spec = pb.OfflineSpec(batch_sizes=[1, 2, 4, 8, 16], threads=[1, CORES + 1], min_s=0.01, max_s=0.02, half_width=0.1)
    result = scenarios.measure_offline(stage(load, steps), spec, lambda cell: cell())
    cells = [(cell.threads, cell.batch_size, cell.throughput_per_s.unavailable) for cell in result.cells]
    many = f"the device has {CORES} core{'s' if CORES > 1 else ''}"
    assert cells == [
        (1, 1, ""),
        (1, 2, "failed to allocate the arena"),
        (1, 4, "the worker reached its memory limit"),
        (1, 8, "Input 0 of node 3 must be 1"),
        (1, 16, ""),
        *((CORES + 1, size, many) for size in spec.batch_sizes),
    ]
    for cell in result.cells:
        assert cell.call_s.HasField("estimate") == cell.throughput_per_s.HasField("estimate")
        assert (cell.stop_reason == pb.STOP_REASON_UNSPECIFIED) == bool(cell.throughput_per_s.unavailable)
    assert steps[:4] == ["load", "offline batch 1, 1 thread", "hold 1", "release"]
    assert [step for step in steps if step.startswith("offline")][-1] == "offline batch 16, 1 thread"


# ---------------------------------------------------------------------------------------------------- real workers

runtimes = pytest.mark.skipif(not discover(), reason="no model runtime is installed")


async def measure(
    folder: Path, spec: pb.MeasurementSpec, paths: Dict[str, Path], memory: int = 0, **hooks: Any
) -> Outcome:
    pool = WorkerPool(PoolSettings(folder, memory_limit_bytes=memory, spare=False))
    await pool.start()
    try:
        return await pool.measure(spec, paths, **hooks)
    finally:
        await pool.close()


def ask(spec: pb.MeasurementSpec, sizes: List[int], threads: List[int]) -> None:
    spec.multi_stream.CopyFrom(
        pb.MultiStreamSpec(samples_per_query=4, min_queries=662, max_queries=700, min_s=0, max_s=20)
    )
    spec.offline.CopyFrom(pb.OfflineSpec(batch_sizes=sizes, threads=threads, min_s=0.02, max_s=0.1, half_width=0.1))


@runtimes
async def test_scenarios_alone_on_a_real_model(tmp_path: Path, networks: Path, spec_for: SpecFor) -> None:
    spec, paths = spec_for(networks / "network.tflite")
    spec.ClearField("latency")
    ask(spec, [1, 8], [1, CORES + 1])
    steps: List[str] = []
    outcome = await measure(tmp_path / "workers", spec, paths, on_step=steps.append)
    result = good(outcome)
    assert not result.HasField("latency")
    assert "timing" not in steps

    queries = result.multi_stream
    assert (queries.samples_per_query, queries.batched) == (4, True)
    assert [percentile.rank for percentile in queries.percentiles] == [0.9, 0.95, 0.99]
    assert all(percentile.latency_s.HasField("estimate") for percentile in queries.percentiles)
    content = outcome.files[queries.raw_samples.digest].read_bytes()
    samples = np.frombuffer(zlib.decompress(content), "<f8")
    assert len(samples) == queries.median_s.estimate.samples >= 662
    assert float(np.median(samples)) == pytest.approx(figures.value_of(queries.median_s))

    assert [(cell.threads, cell.batch_size) for cell in result.offline.cells] == [
        (threads, size) for threads in (1, CORES + 1) for size in (1, 8)
    ]
    for cell in result.offline.cells[:2]:
        value, call_s = figures.value_of(cell.throughput_per_s), figures.value_of(cell.call_s)
        assert value is not None
        assert call_s is not None
        # Disturbances lower a mean, so that only the upper side is certain.
        assert 0 < value <= 1.2 * cell.batch_size / float(call_s)
        assert cell.throughput_per_s.estimate.interval.method == "batch means"
    assert all("core" in cell.throughput_per_s.unavailable for cell in result.offline.cells[2:])


@runtimes
async def test_a_model_that_keeps_its_batch(tmp_path: Path, networks: Path, spec_for: SpecFor) -> None:
    spec, paths = spec_for(networks / "network.onnx")
    if not any("onnx" in runtime.formats for runtime in discover()):
        pytest.skip("ONNX Runtime is not installed")
    ask(spec, [1, 8], [1])
    result = good(await measure(tmp_path / "workers", spec, paths))
    median_s = figures.value_of(result.multi_stream.median_s) or 0.0
    assert not result.multi_stream.batched
    assert median_s > 2 * (figures.value_of(result.latency.median_s) or 0.0)
    one, eight = result.offline.cells
    assert one.throughput_per_s.HasField("estimate")
    assert eight.throughput_per_s.unavailable == "the model takes 1 sample a call and cannot be resized"


@runtimes
async def test_a_batch_that_does_not_fit_into_memory_costs_its_cell(
    tmp_path: Path, networks: Path, spec_for: SpecFor
) -> None:
    spec, paths = spec_for(networks / "network.tflite")
    spec.ClearField("latency")
    spec.offline.CopyFrom(
        pb.OfflineSpec(batch_sizes=[1, 1_000_000, 2], threads=[1], min_s=0.02, max_s=0.1, half_width=0.1)
    )
    result = good(await measure(tmp_path / "workers", spec, paths, memory=1024**3))
    one, huge, two = result.offline.cells
    assert one.throughput_per_s.HasField("estimate")
    assert two.throughput_per_s.HasField("estimate")
    assert huge.throughput_per_s.unavailable


@runtimes
async def test_a_worker_that_dies_in_a_cell_names_it(tmp_path: Path, networks: Path, spec_for: SpecFor) -> None:
    spec, paths = spec_for(networks / "network.tflite")
    spec.ClearField("latency")
    spec.offline.CopyFrom(pb.OfflineSpec(batch_sizes=[1, 2], threads=[1], min_s=0.05, max_s=10, half_width=0.5))

    def on_step(name: str) -> None:
        if name == "offline batch 2, 1 thread":
            worker_of().send_signal(signal.SIGKILL)

    failure = bad(await measure(tmp_path / "workers", spec, paths, on_step=on_step))
    assert failure.kind == failure_pb2.FAILURE_KIND_CRASHED
    assert failure.last_step == "offline batch 2, 1 thread"
