"""Waiting with a deadline: the result, the deadline, and a cancellation, whatever comes together with it."""

from __future__ import annotations

import asyncio

import pytest

from device_agent.waiting import within
from device_agent.workerprocess import WorkerProcess

_LONG_S = 30.0


async def test_what_ends_in_time_gives_its_result_or_its_error() -> None:
    assert await within(asyncio.sleep(0, "done"), _LONG_S) == "done"
    failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    failing.set_exception(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await within(failing, _LONG_S)


async def test_what_takes_too_long_is_cancelled() -> None:
    work = asyncio.ensure_future(asyncio.sleep(_LONG_S))
    with pytest.raises(asyncio.TimeoutError):
        await within(work, 0.0)
    await asyncio.wait({work})
    assert work.cancelled()


async def test_a_cancellation_that_comes_together_with_the_result_is_not_lost() -> None:
    result: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(within(result, _LONG_S))
    await asyncio.sleep(0)
    result.set_result("too late")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_job_may_be_cancelled_while_the_last_words_of_its_worker_are_waited_for() -> None:
    class Ended:
        async def wait(self) -> int:
            return 1

    worker = WorkerProcess.__new__(WorkerProcess)
    worker._process = Ended()  # type: ignore[assignment]
    worker._stderr_task = asyncio.ensure_future(asyncio.sleep(_LONG_S))  # type: ignore[assignment]
    worker._stderr = bytearray()
    worker.last_step = ""
    crash = asyncio.ensure_future(worker._crash())
    for _ in range(10):  # it has got there
        await asyncio.sleep(0)
    crash.cancel()
    with pytest.raises(asyncio.CancelledError):
        await crash
    worker._stderr_task.cancel()
