"""Latency in several processes: what is concluded from made-up ones, and real workers."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import AsyncIterator, Callable, Dict, List, Tuple

import psutil
import pytest
import pytest_asyncio

from device_agent.measure import processes
from device_agent.replicates import add_provenance, latency_alone, repeat_latency
from device_agent.runtimes import discover
from device_agent.workerprocess import Budget, WorkerProcess
from device_agent.workers import PoolSettings, WorkerPool
from protos import artifacts, figures
from protos.gauntlet.v1 import artifact_pb2, failure_pb2, worker_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

SpecFor = Callable[[Path], Tuple[pb.MeasurementSpec, Dict[str, Path]]]


def asked(first: int = 3, most: int = 10, half_width: float = 0.01) -> pb.LatencySpec:
    return pb.LatencySpec(processes=first, max_processes=most, half_width=half_width, confidence=0.95)


def latency(median_s: float, load_s: float = 0.02) -> pb.LatencyResult:
    return pb.LatencyResult(
        load_s=figures.measured(load_s),
        first_inference_s=figures.measured(2 * median_s),
        median_s=figures.measured(median_s, 1000),
        mean_s=figures.measured(1.1 * median_s, 1000),
        max_s=figures.measured(3 * median_s, 1000),
        stop_reason=pb.STOP_REASON_PRECISE,
        warmup_settled=True,
        raw_samples=artifact_pb2.ArtifactRef(digest=f"{median_s:g}"),
    )


def test_processes_are_joined_by_steins_rule() -> None:
    taken = [latency(1e-3 * math.exp(x)) for x in (-0.01, 0.0, 0.01, 0.04)]
    whole = processes.join_latencies(taken, asked())
    # s = 0.01 of the first three, t = 4.303 of two degrees, four processes; the fourth does not widen it.
    assert figures.value_of(whole.median_s) == pytest.approx(1e-3 * math.exp(0.01))
    interval = whole.median_s.estimate.interval
    assert math.log(interval.high / interval.low) / 2 == pytest.approx(4.3027 * 0.01 / 2, rel=1e-4)
    assert (interval.confidence, interval.method) == (0.95, "Student's t over processes (Stein)")
    assert whole.median_s.estimate.samples == 4
    # Deviation of all four logarithms: mean 0.01, squares 4 + 1 + 0 + 9 ten-thousandths.
    assert figures.value_of(whole.process_spread) == pytest.approx(math.sqrt(14e-4 / 3))
    assert [run.median_s for run in whole.runs] == [one.median_s for one in taken]
    assert figures.value_of(whole.max_s) == figures.value_of(taken[0].max_s)


def test_later_processes_that_contradict_the_first_stage_are_remarked() -> None:
    # As measured: two processes alike, and a third a fifth slower. The interval, ±1.2 %, held none of the three.
    logs = [math.log(median_s) for median_s in (43.44e-6, 43.33e-6, 52.47e-6)]
    remark = processes.outgrown(logs, asked(first=2))
    assert "rests on the first 2 processes" in remark
    assert "by all 3 it would be ±31 %" in remark
    assert processes.outgrown(logs[:2], asked(first=2)) == ""
    assert processes.outgrown([0.0, 0.01, -0.01, 0.005, 0.0], asked(first=3)) == ""
    assert processes.outgrown([0.0] * 4, asked(first=3)) == ""


async def test_that_remark_is_in_the_result() -> None:
    response, _ = await run([43.44e-6, 43.33e-6, 52.47e-6], asked(2, 3, half_width=1e-4))
    assert any("later ones lie farther apart" in remark for remark in response.result.provenance.remarks)


def test_load_and_first_inference_are_means_with_an_interval_not_below_zero() -> None:
    whole = processes.join_latencies([latency(1e-3, load_s) for load_s in (0.1, 0.01, 0.01)], asked())
    estimate = whole.load_s.estimate
    assert estimate.value == pytest.approx(0.04)
    # t = 4.303, s = 0.052: more than the mean.
    assert estimate.interval.low == 0
    assert estimate.interval.high == pytest.approx(0.04 + 4.3027 * 0.0519615 / math.sqrt(3), rel=1e-4)
    assert estimate.interval.method == "Student's t over processes"
    assert figures.value_of(whole.first_inference_s) == pytest.approx(2e-3)
    assert figures.value_of(whole.mean_s) == pytest.approx(1.1e-3)


async def run(medians_s: List[float], spec: pb.LatencySpec) -> Tuple[worker_pb2.WorkerResponse, List[Tuple[int, int]]]:
    """Processes with these medians, and what each was told; one of 0 fails."""
    told: List[Tuple[int, int]] = []

    async def one(process: int, of: int) -> worker_pb2.WorkerResponse:
        told.append((process, of))
        if not medians_s[process]:
            return worker_pb2.WorkerResponse(failure=failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_CRASHED))
        result = pb.MeasurementResult(latency=latency(medians_s[process]))
        result.provenance.worker_s = 1
        result.provenance.remarks.append(f"other processes used 0.{process} cores meanwhile")
        result.provenance.after.governor = f"after {process}"
        result.accuracy.samples = 7 * (process == 0)
        return worker_pb2.WorkerResponse(result=result)

    return await repeat_latency(pb.MeasurementSpec(latency=spec), one), told


async def test_the_first_stage_says_how_many_there_are() -> None:
    medians_s = [1e-3 * math.exp(x) for x in (-0.01, 0.0, 0.01)] + [1e-3] * 30
    response, told = await run(medians_s, asked(3, 50))
    # (4.303 × 0.01 / 0.01)² = 18.5
    assert told == [(n, 3) for n in range(3)] + [(n, 19) for n in range(3, 19)]
    result = response.result
    assert len(result.latency.runs) == 19
    assert result.provenance.worker_s == 19
    assert list(result.provenance.remarks) == ["other processes used 0.0 cores meanwhile"]
    assert result.provenance.after.governor == "after 18"
    assert result.accuracy.samples == 7


@pytest.mark.parametrize(("first", "most", "expected"), [(3, 3, 3), (3, 5, 5), (2, 0, 2)])
async def test_the_cap_holds(first: int, most: int, expected: int) -> None:
    response, told = await run([1e-3, 2e-3, 3e-3] * 10, asked(first, most))
    assert len(told) == len(response.result.latency.runs) == expected


async def test_the_first_failure_is_the_jobs() -> None:
    response, told = await run([1e-3, 0], asked())
    assert response.failure.kind == failure_pb2.FAILURE_KIND_CRASHED
    assert len(told) == 2


def test_further_processes_are_asked_for_latency_alone() -> None:
    spec = pb.MeasurementSpec(
        model=artifact_pb2.ArtifactRef(digest="m"),
        runtime=pb.RuntimeSpec(threads=2),
        latency=asked(),
        throttle=pb.ThrottleSpec(repeats=2),
        timeout_s=60,
    )
    whole = pb.MeasurementSpec()
    whole.CopyFrom(spec)
    for field in pb.MeasurementSpec.DESCRIPTOR.fields:
        if field.message_type is not None and field.name != "setup":
            getattr(whole, field.name).SetInParent()
    assert latency_alone(whole) == spec
    assert not latency_alone(whole).HasField("setup")


def test_remarks_that_differ_in_a_number_are_said_once() -> None:
    told = pb.Provenance(remarks=["other processes used 0.3 cores meanwhile"], unfit=["a clock fell"], worker_s=1)
    more = pb.Provenance(remarks=["other processes used 0.5 cores meanwhile", "hot"], unfit=["too hot"], worker_s=2)
    add_provenance(told, more)
    assert list(told.remarks) == ["other processes used 0.3 cores meanwhile", "hot"]
    assert list(told.unfit) == ["a clock fell", "too hot"]
    assert told.worker_s == 3


@pytest_asyncio.fixture
async def pool(tmp_path: Path) -> AsyncIterator[WorkerPool]:
    if not discover():
        pytest.skip("no model runtime is installed")
    pool = WorkerPool(PoolSettings(tmp_path / "workers"))
    await pool.start()
    yield pool
    await pool.close()


async def test_real_processes(
    pool: WorkerPool, models: Path, spec_for: SpecFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, paths = spec_for(models / "kws_ref_model.tflite")
    (await pool.measure(spec, paths)).discard()  # a worker with a past is idle now
    spec.latency.processes, spec.latency.max_processes = 2, 3
    spec.latency.half_width = 1e-6  # no spread is that small
    spec.memory.runs = 1
    steps: List[str] = []
    used: List[Tuple[int, int, bool]] = []
    work = WorkerProcess.work

    async def noted(
        worker: WorkerProcess, request: worker_pb2.WorkerRequest, budget: Budget, on_step: Callable[[str], None]
    ) -> worker_pb2.WorkerResponse:
        used.append((request.task, worker.pid, worker.fresh))
        return await work(worker, request, budget, on_step)

    monkeypatch.setattr(WorkerProcess, "work", noted)
    outcome = await pool.measure(spec, paths, steps.append)
    result = outcome.result
    assert result is not None, outcome.failure
    found = result.latency
    assert len(found.runs) == 3
    tasks = ["MEASURE", "LATENCY", "LATENCY", "MEMORY"]
    assert [task for task, _, _ in used] == [worker_pb2.WorkerTask.Value(f"WORKER_TASK_{name}") for name in tasks]
    assert all(fresh for _, _, fresh in used)
    assert len({pid for _, pid, _ in used}) == 4
    low, high = found.median_s.estimate.interval.low, found.median_s.estimate.interval.high
    assert 0 < low < (figures.value_of(found.median_s) or 0) < high
    third = [step.split(": ")[1] for step in steps if step.startswith("process 3 of 3: ")]
    assert third[-4:] == ["load", "first inference", "warm-up", "timing"]
    assert steps[-1] == "memory"
    assert result.HasField("memory")
    digests = {run.raw_samples.digest for run in found.runs}
    assert len(digests) == 3
    assert found.raw_samples.digest in digests
    assert digests <= set(outcome.files) == {ref.digest for ref in artifacts.made(result)}
    assert all(path.is_file() for path in outcome.files.values())
    artifacts.forget_made(result)
    assert artifacts.made(result) == []
    outcome.discard()


async def test_a_crash_in_a_later_process_is_the_jobs_failure(
    pool: WorkerPool, models: Path, spec_for: SpecFor
) -> None:
    spec, paths = spec_for(models / "kws_ref_model.tflite")
    spec.latency.processes = spec.latency.max_processes = 2
    spec.latency.warmup_min_s = spec.latency.warmup_max_s = 1

    def on_step(name: str) -> None:
        if name == "process 2 of 2: warm-up":
            for worker in psutil.Process().children():
                worker.send_signal(signal.SIGSEGV)

    outcome = await pool.measure(spec, paths, on_step)
    assert outcome.failure is not None
    assert outcome.failure.kind == failure_pb2.FAILURE_KIND_CRASHED
    assert outcome.folder is None


async def test_all_processes_share_one_time_limit(pool: WorkerPool, models: Path, spec_for: SpecFor) -> None:
    spec, paths = spec_for(models / "kws_ref_model.tflite")
    spec.latency.processes = spec.latency.max_processes = 100
    spec.latency.max_samples = 100_000
    spec.latency.min_s = spec.latency.max_s = 0.7
    spec.timeout_s = 1.2
    outcome = await pool.measure(spec, paths)
    assert outcome.failure is not None
    assert outcome.failure.kind == failure_pb2.FAILURE_KIND_TIMED_OUT
