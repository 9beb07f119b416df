"""What one peer may take of what all share: pure, so that floods are tested without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class TokenBucket:
    """A rate that may be exceeded for a moment.

    Tokens flow in at `rate` up to `burst`; whoever takes more than there are goes into debt and waits until it is paid.
    So one large taking is let through late, never refused, and over any time t no more than burst + rate · t plus the
    last taking passes (the leaky bucket as a meter, ITU-T I.371).

    Args:
        rate: tokens a second.
        burst: most that gather.
        clock: monotonic seconds.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._at = clock()

    def take(self, tokens: float) -> float:
        """Take some; how many seconds to wait before what they are for may be done."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + self._rate * (now - self._at)) - tokens
        self._at = now
        return max(0.0, -self._tokens / self._rate)


class Turns:
    """So many at a time for each peer; the others of that peer wait, and nobody else does.

    Args:
        at_once: of one peer.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._inside: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, peer: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it while the context lasts."""
        gate = self._gates.setdefault(peer, asyncio.Semaphore(self._at_once))
        self._inside[peer] = self._inside.get(peer, 0) + 1
        try:
            async with gate:
                yield
        finally:
            self._inside[peer] -= 1
            if not self._inside[peer]:
                del self._inside[peer], self._gates[peer]
