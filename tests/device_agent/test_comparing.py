"""Comparisons by real workers on real models."""

from __future__ import annotations

import math
import signal
import zlib
from pathlib import Path
from typing import AsyncIterator, Dict, List, Tuple

import numpy as np
import psutil
import pytest
import pytest_asyncio

from device_agent.runtimes import discover
from device_agent.workers import Outcome, PoolSettings, WorkerPool
from protos import artifacts, figures
from protos.contract import digest_of_file
from protos.gauntlet.v1 import artifact_pb2, failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

pytestmark = pytest.mark.skipif(not discover(), reason="no model runtime is installed")


@pytest_asyncio.fixture
async def pool(tmp_path: Path) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(PoolSettings(tmp_path / "workers"))
    await pool.start()
    yield pool
    await pool.close()


def asked(a: Path, b: Path) -> Tuple[pb.MeasurementSpec, Dict[str, Path]]:
    """As short as can be: two processes of six blocks."""
    refs = [artifact_pb2.ArtifactRef(digest=digest_of_file(p), media_type="model/tflite", name=p.name) for p in (a, b)]
    spec = pb.MeasurementSpec(
        model=refs[0],
        runtime=pb.RuntimeSpec(threads=1, delegate="xnnpack"),
        comparison=pb.ComparisonSpec(
            model=refs[1],
            processes=2,
            max_processes=2,
            min_segment_s=0.001,
            min_segment_samples=3,
            min_sample_s=1e-4,
            min_blocks=6,
            max_blocks=6,
            max_s=5,
            half_width=0.5,
            confidence=0.95,
            warmup_min_runs=2,
            warmup_min_s=0.005,
            warmup_max_s=0.05,
            warmup_tolerance=0.2,
            pinning=pb.PINNING_AUTO,
        ),
        timeout_s=60,
    )
    return spec, {refs[0].digest: a, refs[1].digest: b}


def good(outcome: Outcome) -> pb.MeasurementResult:
    assert outcome.result is not None, outcome.failure
    return outcome.result


def bad(outcome: Outcome) -> failure_pb2.Failure:
    assert outcome.failure is not None
    return outcome.failure


async def test_a_model_with_ten_times_the_work_is_slower(pool: WorkerPool, models: Path) -> None:
    steps: List[str] = []
    spec, paths = asked(models / "ad01_int8.tflite", models / "vww_96_float.tflite")
    spec.comparison.processes, spec.comparison.max_processes = 3, 3
    outcome = await pool.measure(spec, paths, steps.append)
    result = good(outcome)
    found = result.comparison
    assert found.verdict == pb.COMPARISON_VERDICT_SLOWER
    assert (figures.value_of(found.ratio) or 0) > 5
    assert (figures.value_of(found.median_b_s) or 0) > 5 * (figures.value_of(found.median_a_s) or 1)
    assert not found.HasField("measured_noise_floor")
    assert [run.b_first for run in found.runs] == [False, True, False]
    own = [step.split(": ")[1] for step in steps if step.startswith("process 2 of 3") and "waiting" not in step]
    assert own == ["check A", "check B", "preflight", "load B", "load A", "warm-up B", "warm-up A", "blocks"]
    assert found.runs[0].calls_per_sample_a > 1
    assert len(result.provenance.cpus) == 1
    assert result.provenance.model_digest == spec.model.digest
    assert set(outcome.files) == {ref.digest for ref in artifacts.made(result)}
    for run in found.runs:
        segments = np.frombuffer(zlib.decompress(outcome.files[run.segments.digest].read_bytes()), "<f8").reshape(-1, 4)
        logs = np.log(segments)
        assert np.exp((logs[:, 2:] - logs[:, :2]).mean(axis=1)) == pytest.approx(list(run.block_ratios))
        assert len(run.block_ratios) == run.ratio.estimate.samples == 6
    outcome.discard()


async def test_a_model_compared_with_itself_has_a_noise_floor(pool: WorkerPool, models: Path) -> None:
    path = models / "kws_ref_model.tflite"
    found = good(await pool.measure(*asked(path, path))).comparison
    floor = figures.value_of(found.measured_noise_floor)
    assert floor is not None
    assert floor > 0
    assert abs(math.log(figures.value_of(found.ratio) or 0)) <= math.log1p(floor)
    assert found.noise_floor.unavailable


async def test_each_process_is_a_fresh_one_and_the_cap_ends_it(tmp_path: Path, models: Path) -> None:
    pool = WorkerPool(PoolSettings(tmp_path / "workers", spare=False))
    await pool.start()
    try:
        path = models / "kws_ref_model.tflite"
        workers = set()

        def on_step(name: str) -> None:
            if name.endswith("blocks"):
                workers.update(child.pid for child in psutil.Process().children())

        spec, paths = asked(path, path)
        spec.comparison.max_processes = 3
        spec.comparison.half_width = 1e-6  # no spread is that small
        found = good(await pool.measure(spec, paths, on_step)).comparison
        assert len(found.runs) == 3
        assert len(workers) >= 3
    finally:
        await pool.close()


@pytest.mark.parametrize(("broken", "letter"), [(0, "A"), (1, "B")])
async def test_the_model_that_is_refused_is_named(pool: WorkerPool, models: Path, broken: int, letter: str) -> None:
    pair = [models / "kws_ref_model.tflite"] * 2
    pair[broken] = models / "tflm_person_detect.tflite"
    failure = bad(await pool.measure(*asked(*pair)))
    assert failure.kind == failure_pb2.FAILURE_KIND_INVALID_MODEL
    assert failure.message.startswith(f"model {letter} (tflm_person_detect.tflite): ")
    assert failure.last_step == f"load {letter}"


async def test_a_file_that_is_no_model_is_refused_before_anything_is_loaded(
    pool: WorkerPool, models: Path, tmp_path: Path
) -> None:
    nonsense = tmp_path / "nonsense.tflite"
    nonsense.write_bytes(b"no model at all")
    failure = bad(await pool.measure(*asked(models / "kws_ref_model.tflite", nonsense)))
    assert failure.kind == failure_pb2.FAILURE_KIND_INVALID_MODEL
    assert failure.message.startswith("model B (nonsense.tflite): ")
    assert failure.last_step == "check B"


async def test_a_second_model_that_was_not_handed_over_is_an_internal_failure(pool: WorkerPool, models: Path) -> None:
    spec, paths = asked(models / "kws_ref_model.tflite", models / "ad01_int8.tflite")
    del paths[spec.comparison.model.digest]
    failure = bad(await pool.measure(spec, paths))
    assert failure.kind == failure_pb2.FAILURE_KIND_INTERNAL
    assert "was not handed over" in failure.message


def worker_of() -> psutil.Process:
    """The worker that is busy: the other one sleeps in a read."""
    return max(psutil.Process().children(), key=lambda w: sum(w.cpu_times()[:2]))


@pytest.mark.parametrize(
    ("step", "said"),
    [("warm-up B", "model B (vww_96_int8.tflite): "), ("blocks", "while A and B were timed in turn: ")],
)
async def test_a_crash_says_which_model_as_far_as_it_can(tmp_path: Path, models: Path, step: str, said: str) -> None:
    pool = WorkerPool(PoolSettings(tmp_path / "workers", spare=False))
    await pool.start()
    try:
        spec, paths = asked(models / "kws_ref_model.tflite", models / "vww_96_int8.tflite")
        spec.comparison.warmup_min_s = spec.comparison.warmup_max_s = 1
        spec.comparison.max_blocks = spec.comparison.min_blocks = 4000

        def on_step(name: str) -> None:
            if name.endswith(step):
                worker_of().send_signal(signal.SIGSEGV)

        failure = bad(await pool.measure(spec, paths, on_step))
        assert failure.kind == failure_pb2.FAILURE_KIND_CRASHED
        assert failure.message.startswith(said)
    finally:
        await pool.close()


async def test_a_comparison_that_takes_too_long_is_killed(pool: WorkerPool, models: Path) -> None:
    spec, paths = asked(models / "kws_ref_model.tflite", models / "vww_96_int8.tflite")
    spec.comparison.min_blocks = spec.comparison.max_blocks = 4000
    spec.comparison.max_s, spec.timeout_s = 100, 1
    failure = bad(await pool.measure(spec, paths))
    assert failure.kind == failure_pb2.FAILURE_KIND_TIMED_OUT


async def test_blocks_in_which_the_worker_was_stopped_are_taken_again(tmp_path: Path, models: Path) -> None:
    pool = WorkerPool(PoolSettings(tmp_path / "workers", spare=False))
    await pool.start()
    try:
        spec, paths = asked(models / "kws_ref_model.tflite", models / "vww_96_int8.tflite")
        spec.comparison.min_blocks = spec.comparison.max_blocks = 100
        windows = [0]

        def on_step(name: str) -> None:
            windows[0] += name.endswith("blocks")
            if name.endswith("blocks") and windows[0] == 1:
                worker_of().send_signal(signal.SIGSTOP)
                worker_of().send_signal(signal.SIGCONT)

        result = good(await pool.measure(spec, paths, on_step))
        assert windows[0] == 3  # twice in the first process
        assert len(result.comparison.runs) == 2
        assert any("taken again" in remark and "SIGCONT" in remark for remark in result.provenance.remarks)
    finally:
        await pool.close()
