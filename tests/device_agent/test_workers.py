"""The pool against workers that misbehave: real processes, every failure typed, the device back each time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import AsyncIterator, List

import psutil
import pytest
import pytest_asyncio

from device_agent.hostlock import HostLock
from device_agent.workers import PoolSettings, WorkerPool, default_memory_limit
from protos.gauntlet.v1 import artifact_pb2, failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

NAUGHTY = Path(__file__).with_name("naughty_worker.py")
GiB = 1024**3


def settings(folder: Path, at_start: str = "well", **changes: object) -> PoolSettings:
    arguments = {"memory_limit_bytes": 4 * GiB, "spawn_timeout_s": 20.0, **changes}
    return PoolSettings(folder / "workers", (sys.executable, str(NAUGHTY), at_start), **arguments)  # type: ignore[arg-type]


def job(name: str, timeout_s: float = 30, memory: bool = False) -> pb.MeasurementSpec:
    spec = pb.MeasurementSpec(model=artifact_pb2.ArtifactRef(name=name), timeout_s=timeout_s)
    spec.latency.SetInParent()
    if memory:
        spec.memory.runs = 1
    return spec


def pid_of(result: pb.MeasurementResult) -> int:
    return int(next(r for r in result.provenance.remarks if r.startswith("pid ")).split()[1])


async def succeeds(pool: WorkerPool) -> int:
    outcome = await pool.measure(job("ok"), {})
    assert outcome.result is not None, outcome.failure
    outcome.discard()
    return pid_of(outcome.result)


@pytest_asyncio.fixture
async def pool(tmp_path: Path) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(settings(tmp_path))
    await pool.start()
    yield pool
    await pool.close()
    # Results that a test does not discard keep their folders; workers and failures leave nothing.
    assert list((tmp_path / "workers").glob("worker-*")) == []
    assert psutil.Process().children() == []


async def fails(pool: WorkerPool, name: str, timeout_s: float = 30) -> failure_pb2.Failure:
    outcome = await pool.measure(job(name, timeout_s), {})
    assert outcome.result is None
    assert outcome.failure is not None
    assert outcome.folder is None
    assert list(pool._settings.folder.glob("job-*")) == []
    return outcome.failure


async def test_a_clean_worker_is_used_again(pool: WorkerPool) -> None:
    assert await succeeds(pool) == await succeeds(pool)


async def test_a_fresh_worker_is_taken_where_one_is_asked_for_and_the_used_one_kept(pool: WorkerPool) -> None:
    used = await succeeds(pool)
    outcome = await pool.measure(job("ok"), {}, fresh=True)
    assert outcome.result is not None, outcome.failure
    outcome.discard()
    assert pid_of(outcome.result) != used
    assert await succeeds(pool) == used


async def test_segfault_is_a_crash_with_signal_step_and_last_words(pool: WorkerPool) -> None:
    before = await succeeds(pool)
    failure = await fails(pool, "segfault")
    assert failure.kind == failure_pb2.FAILURE_KIND_CRASHED
    assert failure.signal == signal.SIGSEGV
    assert failure.last_step == "load"
    assert "about to fall" in failure.stderr_tail
    assert await succeeds(pool) != before


async def test_sigkill_from_outside_is_a_crash_and_names_the_signal(pool: WorkerPool) -> None:
    failure = await fails(pool, "killed")
    assert (failure.kind, failure.signal) == (failure_pb2.FAILURE_KIND_CRASHED, signal.SIGKILL)
    assert "SIGKILL" in failure.message
    await succeeds(pool)


async def test_native_bad_alloc_is_out_of_memory(pool: WorkerPool) -> None:
    failure = await fails(pool, "bad-alloc")
    assert failure.kind == failure_pb2.FAILURE_KIND_OUT_OF_MEMORY
    assert failure.signal == signal.SIGABRT


async def test_reaching_the_memory_limit_is_out_of_memory(tmp_path: Path) -> None:
    pool = WorkerPool(settings(tmp_path, memory_limit_bytes=GiB // 2, spare=False))
    await pool.start()
    try:
        failure = await fails(pool, "eat")
        assert failure.kind == failure_pb2.FAILURE_KIND_OUT_OF_MEMORY
        assert "memory limit" in failure.message
        await succeeds(pool)
    finally:
        await pool.close()


async def test_exit_of_the_worker_is_a_crash_without_signal(pool: WorkerPool) -> None:
    failure = await fails(pool, "exit")
    assert failure.kind == failure_pb2.FAILURE_KIND_CRASHED
    assert not failure.HasField("signal")
    assert "status 3" in failure.message


async def test_a_hang_is_killed_at_its_time_limit(pool: WorkerPool) -> None:
    failure = await fails(pool, "hang", timeout_s=0.3)
    assert failure.kind == failure_pb2.FAILURE_KIND_TIMED_OUT
    assert failure.last_step == "load"
    await succeeds(pool)


async def test_a_killed_worker_takes_its_children_with_it(pool: WorkerPool) -> None:
    steps: List[str] = []
    outcome = await pool.measure(job("hang-with-child", timeout_s=1), {}, steps.append)
    assert outcome.failure is not None
    gone(int(steps[-1].split()[1]))


async def test_waiting_for_the_host_lock_does_not_count_as_work(pool: WorkerPool) -> None:
    outcome = await pool.measure(job("wait", timeout_s=1), {})
    assert outcome.result is not None, outcome.failure


async def test_a_device_may_cool_down_for_longer_than_anybody_waits_for_the_lock(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_agent.workers.DEFAULT_WAIT_S", 0.1)
    monkeypatch.setattr("device_agent.workers._WAIT_GRACE_S", 0.1)
    spec = job("wait")
    failure = (await pool.measure(spec, {})).failure
    assert failure is not None
    assert failure.kind == failure_pb2.FAILURE_KIND_TIMED_OUT
    spec.throttle.cool_max_s = 20
    outcome = await pool.measure(spec, {})
    assert outcome.result is not None, outcome.failure


async def test_each_worker_is_told_what_is_left_of_the_jobs_time(pool: WorkerPool) -> None:
    spec = job("spend", timeout_s=20, memory=True)
    outcome = await pool.measure(spec, {})
    assert outcome.result is not None, outcome.failure
    first, second = (float(remark.split()[1]) for remark in outcome.result.provenance.remarks)
    assert first == 20
    assert second < 19.9
    assert spec.timeout_s == 20


@pytest.mark.parametrize("name", ["garbage", "nonsense"])
async def test_garbage_on_the_pipe_is_a_failure_and_not_an_agent_crash(pool: WorkerPool, name: str) -> None:
    failure = await fails(pool, name)
    assert failure.kind == failure_pb2.FAILURE_KIND_INTERNAL
    assert "protocol" in failure.message
    await succeeds(pool)


async def test_prints_of_native_code_do_not_reach_the_protocol(pool: WorkerPool) -> None:
    outcome = await pool.measure(job("print"), {})
    assert outcome.result is not None


async def test_the_standard_error_is_bounded(pool: WorkerPool) -> None:
    failure = await fails(pool, "flood")
    assert len(failure.stderr_tail.encode()) <= 8 * 1024
    assert "the end" in failure.stderr_tail


async def test_a_bug_of_ours_is_internal_and_brings_its_traceback(pool: WorkerPool) -> None:
    failure = await fails(pool, "raise")
    assert failure.kind == failure_pb2.FAILURE_KIND_INTERNAL
    assert failure.message == "ZeroDivisionError: our own bug"
    assert "Traceback" in failure.stderr_tail


async def test_a_full_disk_is_said_to_be_full(pool: WorkerPool) -> None:
    assert (await fails(pool, "full")).kind == failure_pb2.FAILURE_KIND_DISK_FULL


async def test_a_worker_that_grew_is_replaced(tmp_path: Path) -> None:
    pool = WorkerPool(settings(tmp_path, growth_limit_bytes=32 * 1024**2, spare=False))
    await pool.start()
    try:
        outcome = await pool.measure(job("grow"), {})
        assert outcome.result is not None
        assert await succeeds(pool) != pid_of(outcome.result)
    finally:
        await pool.close()


async def test_peak_memory_is_taken_in_a_worker_that_has_done_nothing(pool: WorkerPool) -> None:
    await succeeds(pool)
    for _ in range(2):
        outcome = await pool.measure(job("ok", memory=True), {})
        assert outcome.result is not None
        # The double counts what it did before.
        assert outcome.result.memory.peak_bytes.estimate.value == 1


async def test_cancelling_kills_the_worker_and_the_next_job_gets_another(pool: WorkerPool) -> None:
    busy = asyncio.Event()
    steps: List[str] = []

    def on_step(name: str) -> None:
        steps.append(name)
        if name.startswith("child"):
            busy.set()

    task = asyncio.ensure_future(pool.measure(job("hang-with-child"), {}, on_step))
    await busy.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gone(int(steps[-1].split()[1]))
    await succeeds(pool)


async def test_a_worker_killed_while_idle_costs_nobody_anything(pool: WorkerPool) -> None:
    pid = await succeeds(pool)
    os.kill(pid, signal.SIGKILL)
    assert await succeeds(pool) != pid


async def test_jobs_take_their_turn(pool: WorkerPool) -> None:
    outcomes = await asyncio.gather(*(pool.measure(job("ok"), {}) for _ in range(4)))
    assert all(outcome.result is not None for outcome in outcomes)


async def test_files_are_handed_over_and_discarded(pool: WorkerPool) -> None:
    outcome = await pool.measure(job("file"), {})
    assert outcome.result is not None
    assert outcome.files["f" * 64].read_bytes() == b"samples"
    outcome.discard()
    assert not outcome.files["f" * 64].exists()


@pytest.mark.parametrize(("at_start", "words"), [("crash", "status 1"), ("silent", "not ready within")])
async def test_a_worker_that_never_comes_up_is_a_typed_failure(tmp_path: Path, at_start: str, words: str) -> None:
    pool = WorkerPool(settings(tmp_path, at_start, spawn_timeout_s=1.0 if at_start == "silent" else 20.0))
    await pool.start()
    try:
        failure = await fails(pool, "ok")
        assert failure.kind == failure_pb2.FAILURE_KIND_DEVICE_UNFIT
        assert words in failure.message
        if at_start == "crash":
            assert "libnative.so" in failure.stderr_tail
    finally:
        await pool.close()


async def test_a_missing_program_is_a_typed_failure(tmp_path: Path) -> None:
    pool = WorkerPool(PoolSettings(tmp_path / "workers", ("/nonexistent/python",), memory_limit_bytes=0))
    await pool.start()
    try:
        assert (await fails(pool, "ok")).kind == failure_pb2.FAILURE_KIND_DEVICE_UNFIT
    finally:
        await pool.close()


async def test_a_worker_runs_in_a_folder_of_its_own_with_our_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs"
    for name in ("device_agent", "numpy", "search"):
        (theirs / name).mkdir(parents=True)
        (theirs / name / "__init__.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(theirs)
    pool = WorkerPool(settings(tmp_path))
    await pool.start()
    try:
        outcome = await pool.measure(job("where"), {})
        assert outcome.result is not None, outcome.failure
        folder, module = outcome.result.provenance.remarks
        assert Path(folder).parent == tmp_path / "workers"
        assert str(theirs) not in module
    finally:
        await pool.close()


async def test_no_worker_is_started_in_a_timed_window_on_a_small_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    window = HostLock()
    assert window.try_acquire()
    pool = WorkerPool(settings(tmp_path, spare=False))
    await pool.start()
    try:
        waiting = asyncio.ensure_future(pool.measure(job("ok"), {}))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        assert psutil.Process().children() == []
        window.release()
        assert (await waiting).result is not None
    finally:
        window.release()
        await pool.close()


def test_workers_die_with_an_agent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from device_agent.workers import PoolSettings, WorkerPool\n"
        "async def main():\n"
        "    pool = WorkerPool(PoolSettings(Path(sys.argv[1])))\n"
        "    await pool.start()\n"
        "    worker = await pool._take(False)\n"
        "    print(worker.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    agent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert agent.stdout is not None
    with agent:
        worker = int(agent.stdout.readline())
        assert psutil.pid_exists(worker)
        agent.kill()
    gone(worker)


def test_the_default_memory_limit_stays_below_the_memory_of_a_large_machine() -> None:
    total = psutil.virtual_memory().total
    assert 256 * 1024**2 < default_memory_limit() <= 0.8 * total + 256 * 1024**2


async def test_without_a_spare_there_is_one_worker(tmp_path: Path) -> None:
    pool = WorkerPool(settings(tmp_path, spare=False))
    await pool.start()
    try:
        pids = {await succeeds(pool) for _ in range(3)}
        assert [child.pid for child in psutil.Process().children()] == list(pids)
    finally:
        await pool.close()


def gone(pid: int) -> None:
    try:
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            process.wait(timeout=5)
    except psutil.NoSuchProcess:
        pass
