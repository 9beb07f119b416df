"""Work in other processes: what comes back, who ends with whom, and what a killed one costs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from search.errors import SearchError
from search.executors import WorkerLostError, executor
from search.supernet import TrainingDivergedError
from tests.search.work import chatter, diverge, double, fall, odd, refuse, sleep, where


def waited_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_all_that_is_submitted_is_done(workers: int) -> None:
    with executor(workers) as pool:
        assert list(pool.map(double, range(20))) == list(range(0, 40, 2))


def test_a_process_has_its_own_session_and_as_many_threads_of_torch_as_asked() -> None:
    with executor(1, threads=2) as pool:
        process, session, threads = pool.submit(where).result()
        assert pool.submit(where).result()[0] == process  # it is used again
    assert session == process != os.getpid()
    assert threads == 2
    assert not psutil.pid_exists(process)


def test_in_this_process_torch_has_the_threads_that_were_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        with executor(0, threads=3) as pool:
            assert pool.submit(where).result() == (os.getpid(), os.getsid(0), 3)
    finally:
        torch.set_num_threads(before)


def test_what_work_prints_and_reads_is_not_the_messages() -> None:
    with executor(1) as pool:
        assert pool.submit(chatter).result() == ""


def test_what_it_raises_comes_back_whole() -> None:
    with executor(1) as pool:
        with pytest.raises(TrainingDivergedError, match="step 3") as diverged:
            pool.submit(diverge).result()
        assert diverged.value.step == 3
        assert "in diverge" in diverged.value.__notes__[0]  # where in the other process
        with pytest.raises(SearchError) as refused:
            pool.submit(refuse).result()
        assert (refused.value.message, refused.value.remedy) == ("no", "do something else")
        with pytest.raises(ValueError, match="invalid literal"):
            pool.submit(int, "three").result()
        with pytest.raises(RuntimeError, match="OddError: odd"):
            pool.submit(odd).result()


def test_a_killed_process_costs_a_task_that_is_done_once_more(tmp_path: Path) -> None:
    said: list[str] = []
    with executor(2, note=said.append) as pool:
        others = [pool.submit(double, number) for number in range(5)]
        assert pool.submit(fall, tmp_path / "deaths", 1).result() == 1
        assert [other.result() for other in others] == [0, 2, 4, 6, 8]
    assert said == ["a worker process was killed by SIGKILL; its task is done once more"]


def test_a_task_that_kills_twice_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    with executor(1) as pool:
        with pytest.raises(WorkerLostError, match="SIGKILL") as lost:
            pool.submit(fall, tmp_path / "deaths", 2).result()
        assert "fewer workers" in lost.value.remedy
        assert pool.submit(double, 4).result() == 8


def test_a_block_that_breaks_off_leaves_nothing_running(tmp_path: Path) -> None:
    said: list[str] = []

    futures: list[Future[Any]] = []

    def block() -> None:
        with executor(1, note=said.append) as pool:
            futures.extend([pool.submit(sleep, tmp_path / "pid"), pool.submit(double, 1)])
            waited_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block()
    running, waiting = futures
    assert waiting.cancelled()
    with pytest.raises(CancelledError):
        running.result()
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    assert not said


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\n"
        "from search.executors import executor\n"
        "from tests.search.work import sleep\n"
        f"with executor(1) as pool: pool.submit(sleep, Path({str(tmp_path / 'pid')!r})).result()\n"
    )
    root = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=root)
    waited_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    worker = int((tmp_path / "pid").read_text())
    parent.kill()
    parent.wait()
    waited_for(lambda: not psutil.pid_exists(worker))


def test_work_that_no_other_process_could_find_is_refused() -> None:
    def stranger() -> None: ...

    stranger.__module__ = "__main__"
    with executor(1) as pool, pytest.raises(SearchError, match="part of a script"):
        pool.submit(stranger)


@pytest.mark.parametrize(("workers", "threads"), [(-1, 1), (1, 0)])
def test_numbers_that_cannot_be(workers: int, threads: int) -> None:
    with pytest.raises(ValueError, match="must be"), executor(workers, threads):
        pass
