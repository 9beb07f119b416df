"""Who watches a job is told of each change, and at first how it stands, from memory where it is in hand."""

from __future__ import annotations

from orchestrator import watchers
from orchestrator.watchers import Change, Watchers
from protos.gauntlet.v1 import job_pb2


def job(job_id: str = "j", state: job_pb2.JobState = job_pb2.JOB_STATE_LEASED) -> job_pb2.Job:
    return job_pb2.Job(job_id=job_id, state=state)


async def first(known: Watchers, job_id: str = "j") -> Change:
    with known.watching([job_id]) as watch:
        return (await watch.take())[job_id]


async def test_a_watch_begins_with_the_job_in_hand_as_it_was_last_seen() -> None:
    known = Watchers()
    assert await first(known) == Change()  # the store knows
    known.notify("j", Change(job=job()))
    assert await first(known) == Change(job=job())
    known.notify("j", Change(stored=False))
    assert await first(known) == Change(job=job())
    known.notify("j", Change(job=job(state=job_pb2.JOB_STATE_RUNNING)))
    assert await first(known) == Change(job=job(state=job_pb2.JOB_STATE_RUNNING))


async def test_what_changed_unseen_or_is_in_no_hand_is_forgotten() -> None:
    known = Watchers()
    for change in (Change(), *(Change(job=job(state=s)) for s in (job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_FAILED))):
        known.notify("j", Change(job=job()))
        known.notify("j", change)
        assert await first(known) == Change()


async def test_memory_is_bounded_in_jobs_and_in_their_size() -> None:
    known = Watchers()
    large = job()
    large.spec.idempotency_key = "x" * watchers._SMALL_BYTES
    known.notify("j", Change(job=large))
    assert await first(known) == Change()
    for number in range(watchers._REMEMBERED + 1):
        known.notify(str(number), Change(job=job(str(number))))
    assert await first(known, "0") == Change()
    assert await first(known, "1") == Change(job=job("1"))
