"""Waiting with a deadline, so that who is told to stop stops."""

from __future__ import annotations

import asyncio
from typing import Awaitable, TypeVar

T = TypeVar("T")


async def within(work: Awaitable[T], timeout_s: float) -> T:
    """What comes of work; it is cancelled when it takes too long, or when nobody waits for it any more.

    Not `asyncio.wait_for`: before Python 3.12 that swallows a cancellation that comes together with the result
    (python/cpython#86296), and an agent that was told to stop goes on for ever.

    Args:
        work: whose end is not waited for once it is cancelled.
        timeout_s: how long it may take.

    Raises:
        asyncio.TimeoutError: it took too long.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
        if not task.done():
            raise asyncio.TimeoutError
        return task.result()
    finally:
        task.cancel()
        # An error that nobody waits for is no news.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
