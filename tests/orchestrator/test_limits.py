"""Rates and turns of single peers."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.limits import TokenBucket, Turns
from tests.orchestrator.conftest import Clock

RATE, BURST = 100.0, 50.0


def test_a_moment_of_haste_costs_no_wait_and_more_costs_what_is_owed() -> None:
    clock = Clock(0.0)
    bucket = TokenBucket(RATE, BURST, clock)
    assert [bucket.take(1) for _ in range(50)] == [0.0] * 50
    assert bucket.take(1) == pytest.approx(0.01)
    clock.advance(10.0)
    assert bucket.take(BURST) == 0.0  # no more gathers than that, however long it was quiet
    assert bucket.take(200) == pytest.approx(2.0)  # larger than the burst: late, not refused


@given(
    st.lists(
        st.tuples(st.floats(0, 2, allow_subnormal=False), st.floats(0, 30, allow_subnormal=False)),
        min_size=1,
        max_size=200,
    )
)
def test_who_waits_as_told_never_exceeds_the_rate(events: list[tuple[float, float]]) -> None:
    clock = Clock(0.0)
    bucket = TokenBucket(RATE, BURST, clock)
    passed = 0.0
    for pause, tokens in events:
        clock.advance(pause)
        clock.advance(bucket.take(tokens))
        passed += tokens
        assert passed <= BURST + RATE * clock() + 1e-6


@given(st.lists(st.floats(0.02, 1), max_size=50))
def test_who_keeps_below_the_rate_never_waits(pauses: list[float]) -> None:
    clock = Clock(0.0)
    bucket = TokenBucket(RATE, BURST, clock)
    for pause in pauses:
        clock.advance(pause)
        assert bucket.take(1) == 0.0


async def test_one_peer_waits_for_itself_alone_and_nothing_is_kept_of_it() -> None:
    turns = Turns(2)
    release = asyncio.Event()
    inside: list[str] = []

    async def work(peer: str) -> None:
        async with turns.turn(peer):
            inside.append(peer)
            await release.wait()

    tasks = [asyncio.create_task(work(peer)) for peer in ("greedy", "greedy", "greedy", "modest")]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sorted(inside) == ["greedy", "greedy", "modest"]
    tasks[2].cancel()  # one that still waits
    release.set()
    await asyncio.wait(tasks)
    assert not turns._gates
    assert not turns._inside
