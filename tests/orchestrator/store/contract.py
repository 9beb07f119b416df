"""What every store has to do. A store's tests inherit `StoreContract` and give `open_store`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from orchestrator import fitness, jobs
from orchestrator.jobs import Cancelled, Expired, Failed, Late, Leased, Returned, Started, State, Succeeded
from orchestrator.store.base import Held, KeyConflictError, NewJob, Queued, Share, Store, StoreError
from protos.gauntlet.v1 import agent_pb2, campaign_pb2, device_pb2, failure_pb2, fitness_pb2, job_pb2, measurement_pb2

OpenStore = Callable[[], Awaitable[Store]]
MakeJob = Callable[..., NewJob]


def lost() -> failure_pb2.Failure:
    return failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_DEVICE_LOST, message="not heard")


def invalid() -> failure_pb2.Failure:
    return failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_INVALID_MODEL, message="no model", stderr_tail="x" * 9)


def result_with(samples: str = "") -> measurement_pb2.MeasurementResult:
    result = measurement_pb2.MeasurementResult()
    result.latency.warmup_runs = 3
    result.latency.raw_samples.digest = samples
    return result


async def run_to_success(store: Store, job_id: str, lease_id: str, samples: str = "") -> None:
    for event in (Leased(lease_id, "pi4-1"), Started(lease_id)):
        applied = await store.apply(job_id, event)
        assert applied is not None
        assert applied.verdict == "applied"
    applied = await store.apply(job_id, Succeeded(lease_id), result_with(samples))
    assert applied is not None
    assert applied.verdict == "applied"


def shifted(check_id: str, *leases: str, device_id: str = "pi4-1") -> agent_pb2.FitnessReport:
    check = fitness_pb2.FitnessCheck(
        check_id=check_id,
        device_id=device_id,
        checked_at="2026-11-21T14:02:09Z",
        verdict=fitness_pb2.FITNESS_VERDICT_SHIFTED,
        shift=0.052,
        suspect_lease_ids=leases,
    )
    return agent_pb2.FitnessReport(check=check)


class StoreContract:
    """Inherit, and define a fixture `open_store`: each call opens the same store anew."""

    @pytest.fixture
    async def store(self, open_store: OpenStore) -> AsyncIterator[Store]:
        store = await open_store()
        yield store
        await store.close()

    # Submission.

    async def test_a_submitted_job_is_there_as_it_was_asked_for(self, store: Store, new_job: MakeJob, clock) -> None:
        new = new_job(campaign_id="c1", priority=2, max_attempts=5, queue_timeout_s=9.0)
        (submitted,) = await store.submit([new])
        assert (submitted.job_id, submitted.created) == (new.job_id, True)
        job = await store.job(new.job_id)
        assert job is not None
        assert job.spec == new.spec
        assert job.state == job_pb2.JOB_STATE_QUEUED
        assert datetime.fromisoformat(job.submitted_at) == datetime.fromtimestamp(clock(), UTC)
        assert job.submitted_at.endswith("Z")
        assert not job.finished_at
        assert not job.attempts
        assert not job.HasField("result")

    async def test_two_submissions_with_one_key_are_one_job(self, store: Store, new_job: MakeJob) -> None:
        first, again = new_job(key="k"), new_job(key="k")
        await store.submit([first])
        attached, created = await store.submit([again, new_job()])
        assert (attached.job_id, attached.created, created.created) == (first.job_id, False, True)
        assert (await store.count_by_state())[State.QUEUED] == 2

    async def test_a_key_may_come_twice_in_one_submission(self, store: Store, new_job: MakeJob) -> None:
        first, again = new_job(key="k"), new_job(key="k")
        answers = await store.submit([first, again])
        assert [(s.job_id, s.created) for s in answers] == [(first.job_id, True), (first.job_id, False)]

    async def test_a_key_with_another_specification_is_refused_and_nothing_is_queued(
        self, store: Store, new_job: MakeJob
    ) -> None:
        known = new_job(key="k")
        await store.submit([known])
        with pytest.raises(KeyConflictError, match=known.job_id):
            await store.submit([new_job(), new_job(key="k", priority=7), new_job()])
        assert (await store.count_by_state())[State.QUEUED] == 1

    async def test_of_many_at_once_with_one_key_one_is_created(self, store: Store, new_job: MakeJob) -> None:
        answers = await asyncio.gather(*(store.submit([new_job(key="k")]) for _ in range(20)))
        assert sum(answer.created for (answer,) in answers) == 1
        assert len({answer.job_id for (answer,) in answers}) == 1

    async def test_a_large_submission_fits(self, store: Store, new_job: MakeJob) -> None:
        answers = await store.submit([new_job() for _ in range(1500)])
        assert all(answer.created for answer in answers)

    async def test_an_empty_submission_is_none(self, store: Store) -> None:
        assert await store.submit([]) == []

    async def test_one_callers_error_does_not_touch_its_neighbours(self, store: Store, new_job: MakeJob) -> None:
        await store.submit([new_job(key="k")])
        good = [new_job() for _ in range(30)]
        calls = [store.submit([job]) for job in good]
        calls[15:15] = [store.submit([new_job(), new_job(key="k", priority=9)])]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(answers.pop(15), KeyConflictError)
        assert [answer[0].job_id for answer in answers] == [job.job_id for job in good]  # type: ignore[index]
        assert (await store.count_by_state())[State.QUEUED] == 31

    # The life of a job.

    async def test_a_job_runs_to_its_result(self, store: Store, new_job: MakeJob, clock) -> None:
        new = new_job()
        await store.submit([new])
        clock.advance(5)
        await run_to_success(store, new.job_id, "lease-1", samples="b" * 64)
        job = await store.job(new.job_id)
        assert job is not None
        assert job.state == job_pb2.JOB_STATE_SUCCEEDED
        assert job.result == result_with("b" * 64)
        assert job.finished_at > job.submitted_at
        (attempt,) = job.attempts
        assert (attempt.number, attempt.lease_id, attempt.device_id) == (1, "lease-1", "pi4-1")
        assert attempt.ended_at == job.finished_at
        assert not attempt.HasField("failure")

    async def test_of_many_leases_at_once_one_wins(self, store: Store, new_job: MakeJob) -> None:
        new = new_job()
        await store.submit([new])
        answers = await asyncio.gather(*(store.apply(new.job_id, Leased(f"l{n}", f"d{n}")) for n in range(20)))
        winners = [answer for answer in answers if answer is not None and answer.verdict == "applied"]
        assert len(winners) == 1
        assert await store.held() == [
            Held(new.job_id, winners[0].after.lease_id or "", winners[0].after.device_id or "")
        ]

    async def test_of_a_result_and_a_cancel_at_once_one_wins(self, store: Store, new_job: MakeJob) -> None:
        news = [new_job() for _ in range(10)]
        await store.submit(news)
        for new in news:
            await store.apply(new.job_id, Leased("l" + new.job_id, "d"))
        for new in news:
            answers = await asyncio.gather(
                store.apply(new.job_id, Succeeded("l" + new.job_id), result_with()),
                store.apply(new.job_id, Cancelled("stop")),
            )
            assert [answer.verdict for answer in answers if answer].count("applied") == 1
            job = await store.job(new.job_id)
            assert job is not None
            assert job.HasField("result") != job.HasField("failure")

    async def test_what_is_applied_is_what_the_state_machine_says(self, store: Store, new_job: MakeJob) -> None:
        new = new_job(max_attempts=2)
        await store.submit([new])
        events: list[jobs.Event] = [
            Leased("l1", "d1"),
            Started("l1"),
            Failed("l1", lost()),
            Leased("l2", "d2"),
            Returned("l2"),
            Leased("l3", "d1"),
            Failed("l2", lost()),
            Failed("l3", lost()),
            Leased("l4", "d1"),
            Cancelled("late"),
        ]
        expected = jobs.Job(new.job_id, 2)
        for event in events:
            applied = await store.apply(new.job_id, event)
            step = jobs.step(expected, event)
            assert applied is not None
            assert (applied.before, applied.after, applied.verdict) == (expected, step.job, step.verdict)
            expected = step.job
        assert expected.state is State.FAILED
        job = await store.job(new.job_id)
        assert job is not None
        assert job.failure == lost()
        assert [(a.number, a.lease_id, a.failure.message) for a in job.attempts] == [
            (1, "l1", "not heard"),
            (2, "l3", "not heard"),
        ]

    async def test_an_event_for_no_job_is_none(self, store: Store) -> None:
        assert await store.apply("nobody", Cancelled("")) is None

    async def test_what_comes_too_late_is_kept_once_and_changes_nothing(self, store: Store, new_job: MakeJob) -> None:
        new = new_job()
        await store.submit([new])
        await store.apply(new.job_id, Leased("l1", "d1"))
        await store.apply(new.job_id, Failed("l1", lost()))
        await run_to_success(store, new.job_id, "l2")
        before = await store.job(new.job_id)
        for _ in range(3):
            late = await store.apply(new.job_id, Succeeded("l1"), result_with("c" * 64))
            assert late is not None
            assert late.verdict == "superseded"
        after = await store.job(new.job_id)
        assert before is not None
        assert after is not None
        assert after.superseded_results == 1
        after.superseded_results = 0
        assert after == before

    async def test_what_ended_a_lease_may_come_again_and_is_not_kept_twice(
        self, store: Store, new_job: MakeJob
    ) -> None:
        done, failed = new_job(), new_job()
        await store.submit([done, failed])
        await run_to_success(store, done.job_id, "l1")
        await store.apply(done.job_id, Succeeded("l1"), result_with())
        await store.apply(failed.job_id, Leased("l2", "d"))
        for _ in range(2):
            await store.apply(failed.job_id, Failed("l2", invalid()))
        for new in (done, failed):
            job = await store.job(new.job_id)
            assert job is not None
            assert job.superseded_results == 0

    # The queue.

    async def test_the_queue_is_by_priority_then_age(self, store: Store, new_job: MakeJob) -> None:
        low, high, second_low = new_job(), new_job(priority=5), new_job()
        await store.submit([low, high, second_low, new_job(signature="class=orin")])
        assert [w.job_id for w in await store.waiting("class=pi4".__eq__, 10)] == [
            high.job_id,
            low.job_id,
            second_low.job_id,
        ]
        assert [w.job_id for w in await store.waiting("class=pi4".__eq__, 1)] == [high.job_id]
        assert await store.waiting("class=nobody".__eq__, 10) == []

    async def test_a_job_that_comes_back_has_its_old_place_and_says_whom_to_avoid(
        self, store: Store, new_job: MakeJob
    ) -> None:
        first, second = new_job(), new_job()
        await store.submit([first, second])
        (before, _) = await store.waiting("class=pi4".__eq__, 10)
        await store.apply(first.job_id, Leased("l1", "d1"))
        assert [w.job_id for w in await store.waiting("class=pi4".__eq__, 10)] == [second.job_id]
        await store.apply(first.job_id, Failed("l1", lost()))
        (back, _) = await store.waiting("class=pi4".__eq__, 10)
        assert (back.job_id, back.sequence) == (first.job_id, before.sequence)
        assert back.avoid == {"d1"}

    async def test_nobody_hides_in_the_queue_behind_many_jobs_of_another(self, store: Store, new_job: MakeJob) -> None:
        flood = [new_job(user="ann", campaign_id="big", priority=1) for _ in range(50)]
        small, other, mine = new_job(user="ann", campaign_id="small"), new_job(user="bob"), new_job()
        await store.submit([*flood, small, other, mine])
        found = await store.waiting("class=pi4".__eq__, 2)
        assert [w.job_id for w in found] == [flood[0].job_id, flood[1].job_id, small.job_id, other.job_id, mine.job_id]
        assert [w.share for w in found[1:]] == [("ann", "big"), ("ann", "small"), ("bob", ""), ("local", "")]

    async def test_jobs_that_avoid_a_device_hide_no_others_of_their_campaign(
        self, store: Store, new_job: MakeJob
    ) -> None:
        burnt, fresh = [new_job() for _ in range(5)], new_job()
        await store.submit([*burnt, fresh])
        for n, job in enumerate(burnt):
            await store.apply(job.job_id, Leased(f"l{n}", "broken"))
            await store.apply(job.job_id, Failed(f"l{n}", lost()))
        found = await store.waiting("class=pi4".__eq__, 1)
        assert [(w.job_id, w.avoid) for w in found] == [(burnt[0].job_id, {"broken"}), (fresh.job_id, frozenset())]

    async def test_a_job_tells_who_submitted_it(self, store: Store, new_job: MakeJob) -> None:
        job = new_job(user="ann", campaign_id="c")
        await store.submit([job, new_job(user="ann", campaign_id="c")])
        (stored, page) = (await store.job(job.job_id), await store.list_jobs([], "", 10, ""))
        assert stored is not None
        assert stored.user == "ann"
        assert {row.user for row in page.rows} == {"ann"}
        await store.apply(job.job_id, Leased("l", "d"))
        assert await store.held() == [Held(job.job_id, "l", "d", Share("ann", "c"))]
        assert await store.shares() == {Share("ann", "c"): Queued(waiting=1, held=1)}
        await store.apply(job.job_id, Succeeded("l"), result_with())
        assert await store.shares() == {Share("ann", "c"): Queued(waiting=1, held=0)}

    async def test_a_deadline_counts_from_submission_wherever_the_job_is(
        self, store: Store, new_job: MakeJob, clock
    ) -> None:
        patient, queued, tried, done = new_job(), *(new_job(deadline_s=10.0) for _ in range(3))
        await store.submit([patient, queued, tried, done])
        await run_to_success(store, done.job_id, "l0")
        clock.advance(6)
        await store.apply(tried.job_id, Leased("l1", "d"))
        await store.apply(tried.job_id, Failed("l1", lost()))
        await store.apply(tried.job_id, Leased("l2", "d"))
        assert await store.late(clock() + 3) == []
        assert sorted(await store.late(clock() + 4)) == sorted([queued.job_id, tried.job_id])
        for job in (queued, tried):
            await store.apply(job.job_id, Late("took longer than 10 s"))
        assert await store.late(clock() + 4) == []

    async def test_only_signatures_of_queued_jobs_are_asked_for(self, store: Store, new_job: MakeJob) -> None:
        asked: list[str] = []

        def wanted(signature: str) -> bool:
            asked.append(signature)
            return signature == "b"

        assert await store.waiting(wanted, 10) == []
        assert asked == []
        ended, old, young = new_job(signature="c"), new_job(signature="b"), new_job(signature="b")
        await store.submit([old, new_job(signature="a"), young, ended])
        assert [w.job_id for w in await store.waiting(wanted, 10)] == [old.job_id, young.job_id]
        assert sorted(asked) == ["a", "b", "c"]
        asked.clear()
        await store.apply(ended.job_id, Cancelled(""))
        await store.waiting(wanted, 10)
        assert sorted(asked) == ["a", "b"]

    async def test_an_event_answers_with_the_whole_job_if_asked(self, store: Store, new_job: MakeJob) -> None:
        job = new_job()
        await store.submit([job])
        leased = await store.apply(job.job_id, Leased("l", "d"), whole=True)
        assert leased is not None
        assert leased.job == await store.job(job.job_id)
        assert leased.job is not None
        assert leased.job.spec == job.spec
        stale = await store.apply(job.job_id, Leased("m", "d"), whole=True)
        assert stale is not None
        assert stale.job is None

    async def test_overdue_jobs_are_queued_and_past_their_time(self, store: Store, new_job: MakeJob, clock) -> None:
        patient, hasty, leased = new_job(), new_job(queue_timeout_s=10.0), new_job(queue_timeout_s=10.0)
        await store.submit([patient, hasty, leased])
        await store.apply(leased.job_id, Leased("l", "d"))
        assert await store.overdue(clock() + 9) == []
        assert await store.overdue(clock() + 11) == [hasty.job_id]
        await store.apply(hasty.job_id, Expired("waited 11 s"))
        assert await store.overdue(clock() + 11) == []
        # Time spent on a device that let it down was no waiting.
        clock.advance(60)
        await store.apply(leased.job_id, Failed("l", lost()))
        assert await store.overdue(clock() + 9) == []
        assert await store.overdue(clock() + 11) == [leased.job_id]

    async def test_counts_name_every_state(self, store: Store, new_job: MakeJob) -> None:
        assert await store.count_by_state() == dict.fromkeys(State, 0)
        news = [new_job() for _ in range(3)]
        await store.submit(news)
        await run_to_success(store, news[0].job_id, "l0")
        await store.apply(news[1].job_id, Leased("l1", "d"))
        counts = await store.count_by_state()
        assert (counts[State.SUCCEEDED], counts[State.LEASED], counts[State.QUEUED]) == (1, 1, 1)

    async def test_needed_artifacts_are_those_of_open_and_recent_jobs(
        self, store: Store, new_job: MakeJob, clock
    ) -> None:
        old, recent = new_job(), new_job()
        await store.submit([old, recent])
        await run_to_success(store, old.job_id, "l1", samples="1" * 64)
        clock.advance(100)
        await run_to_success(store, recent.job_id, "l2", samples="2" * 64)
        assert await store.needed_artifacts(clock() - 50) == {"a" * 64, "2" * 64}
        assert await store.needed_artifacts(clock() - 150) == {"a" * 64, "1" * 64, "2" * 64}
        assert await store.needed_artifacts(clock() + 1) == set()
        await store.submit([new_job()])
        assert await store.needed_artifacts(clock() + 1) == {"a" * 64}

    # Looking things up.

    async def test_a_prefix_finds_its_job_if_it_is_the_only_one(self, store: Store, new_job: MakeJob) -> None:
        await store.submit([new_job(job_id=name) for name in ("abc1", "abc2", "abd", "ab")])
        for asked, found in (("abd", "abd"), ("abc1", "abc1"), ("ab", "ab")):
            job = await store.job(asked)
            assert job is not None
            assert job.job_id == found
        assert await store.job("x") is None
        with pytest.raises(LookupError, match="abc1 and abc2"):
            await store.job("abc")
        (only,) = [await store.job("abd"[:3])]
        assert only is not None

    async def test_a_listing_is_newest_first_and_goes_on_where_it_stopped(self, store: Store, new_job: MakeJob) -> None:
        news = [new_job(campaign_id="c" if n % 2 else "") for n in range(10)]
        await store.submit(news)
        for n in (0, 1, 4, 5):
            await store.apply(news[n].job_id, Cancelled("no need"))
        for states, campaign, numbers in (
            ([], "", range(9, -1, -1)),
            ([State.CANCELLED], "", [5, 4, 1, 0]),
            ([State.CANCELLED, State.QUEUED], "", range(9, -1, -1)),
            ([], "c", [9, 7, 5, 3, 1]),
            ([State.QUEUED, State.RUNNING], "c", [9, 7, 3]),
            ([], "nobody", []),
        ):
            seen = []
            token = ""
            while True:
                page = await store.list_jobs(states, campaign, 3, token)
                assert len(page.rows) <= 3
                seen += [row.job_id for row in page.rows]
                token = page.next_token
                if not token:
                    break
            assert seen == [news[n].job_id for n in numbers]

    async def test_a_summary_says_what_became_of_the_job(self, store: Store, new_job: MakeJob) -> None:
        new = new_job(campaign_id="c")
        await store.submit([new])
        await store.apply(new.job_id, Leased("l", "pi4-1"))
        await store.apply(new.job_id, Failed("l", invalid()))
        (row,) = (await store.list_jobs([], "", 10, "")).rows
        assert (row.job_id, row.state, row.device_id) == (new.job_id, job_pb2.JOB_STATE_FAILED, "pi4-1")
        assert (row.model_name, row.model_digest, row.campaign_id) == ("net.tflite", "a" * 64, "c")
        assert (row.attempts, row.failure_message) == (1, "no model")
        assert row.failure_kind == failure_pb2.FAILURE_KIND_INVALID_MODEL
        assert row.finished_at

    @pytest.mark.parametrize("token", ["x", "-1", "1.5", "9" * 30, "١"])
    async def test_a_token_that_is_none_is_refused(self, store: Store, token: str) -> None:
        with pytest.raises(ValueError, match="token"):
            await store.list_jobs([], "", 10, token)
        with pytest.raises(ValueError, match="token"):
            await store.records("c", 10, token)

    async def test_unfinished_jobs_of_a_campaign(self, store: Store, new_job: MakeJob) -> None:
        queued, leased, ended = (new_job(campaign_id="c", user="anna") for _ in range(3))
        of_ben = new_job(campaign_id="c", user="ben")
        await store.submit([queued, leased, ended, of_ben, new_job()])
        await store.apply(leased.job_id, Leased("l", "d"))
        await store.apply(ended.job_id, Cancelled(""))
        assert await store.unfinished("c") == [queued.job_id, leased.job_id, of_ben.job_id]
        assert await store.unfinished("c", "ben") == [of_ben.job_id]

    # Devices and campaigns.

    async def test_devices_are_enrolled_and_refreshed(self, store: Store, clock) -> None:
        two = [device_pb2.DeviceDescription(device_id=name, device_class="pi4") for name in ("pi-b", "pi-a")]
        await store.save_devices("agent-1", two)
        first_seen = (await store.devices())[0].last_seen_at
        clock.advance(60)
        two[1].labels["room"] = "cellar"
        await store.save_devices("agent-1", two[1:])
        pi_a, pi_b = await store.devices()
        assert (pi_a.description, pi_a.agent_id) == (two[1], "agent-1")
        assert pi_a.last_seen_at > first_seen == pi_b.last_seen_at

    async def test_a_campaign_keeps_its_first_day(self, store: Store, clock) -> None:
        await store.save_campaign(campaign_pb2.Campaign(campaign_id="one", title="first"))
        await store.save_campaign(campaign_pb2.Campaign(campaign_id="two"))
        clock.advance(60)
        await store.save_campaign(campaign_pb2.Campaign(campaign_id="one", title="renamed"))
        two, one = await store.campaigns()
        assert (one.campaign_id, one.title, two.campaign_id) == ("one", "renamed", "two")
        assert one.created_at == two.created_at == two.updated_at < one.updated_at

    async def test_records_are_appended_or_replaced_in_their_place(self, store: Store) -> None:
        def series(key: str, *y: float) -> campaign_pb2.CampaignRecord:
            return campaign_pb2.CampaignRecord(key=key, series=campaign_pb2.SeriesRecord(y=y))

        evaluation = campaign_pb2.CampaignRecord(key="a", evaluation=campaign_pb2.EvaluationRecord(architecture="net"))
        assert not await store.save_records("c", [series("a")])
        await store.save_campaign(campaign_pb2.Campaign(campaign_id="c"))
        assert await store.save_records("c", [series("a", 1), series("b", 1), evaluation])
        assert await store.save_records("c", [series("a", 1, 2), series("d")])
        first, token = await store.records("c", 3, "")
        assert first == [series("a", 1, 2), series("b", 1), evaluation]
        assert await store.records("c", 3, token) == ([series("d")], "")
        assert await store.records("other", 3, "") == ([], "")

    # Durability.

    async def test_everything_is_there_after_a_restart(self, open_store: OpenStore, new_job: MakeJob) -> None:
        store = await open_store()
        queued, held, done = new_job(), new_job(), new_job()
        await store.submit([queued, held, done])
        await store.apply(held.job_id, Leased("l1", "d1"))
        await run_to_success(store, done.job_id, "l2")
        await store.save_devices("agent", [device_pb2.DeviceDescription(device_id="d1")])
        await store.save_campaign(campaign_pb2.Campaign(campaign_id="c"))
        before = [await store.job(new.job_id) for new in (queued, held, done)]
        await store.close()

        store = await open_store()
        assert [await store.job(new.job_id) for new in (queued, held, done)] == before
        assert [w.job_id for w in await store.waiting("class=pi4".__eq__, 9)] == [queued.job_id]
        assert await store.held() == [Held(held.job_id, "l1", "d1")]
        assert len(await store.devices()) == len(await store.campaigns()) == 1
        await store.close()

    async def test_a_close_finishes_what_was_accepted(self, open_store: OpenStore, new_job: MakeJob) -> None:
        store = await open_store()
        accepted = [asyncio.ensure_future(store.submit([new_job()])) for _ in range(50)]
        await asyncio.sleep(0)
        await store.close()
        assert all(answer.created for (answer,) in await asyncio.gather(*accepted))
        with pytest.raises(StoreError, match="closed"):
            await store.submit([new_job()])
        with pytest.raises(StoreError, match="closed"):
            await store.devices()
        store = await open_store()
        assert (await store.count_by_state())[State.QUEUED] == 50
        await store.close()

    # Fitness.

    async def test_a_shifted_check_marks_and_queues_again_in_one_go(
        self, store: Store, new_job: MakeJob, clock
    ) -> None:
        good, untouched = new_job(priority=2, queue_timeout_s=9.0), new_job()
        await store.submit([good, untouched])
        await run_to_success(store, good.job_id, "l1", samples="b" * 64)
        await run_to_success(store, untouched.job_id, "l2")
        clock.advance(1000)
        (marked,) = await store.record_fitness(shifted("c1", "l1", "unknown"))
        assert marked.job_id == good.job_id
        assert marked.successor_job_id is not None
        job, again = await store.job(good.job_id), await store.job(marked.successor_job_id)
        assert job is not None
        assert again is not None
        assert job.state == job_pb2.JOB_STATE_SUCCEEDED
        assert (job.suspicion.successor_job_id, "5.2 %" in job.suspicion.reason) == (again.job_id, True)
        assert datetime.fromisoformat(job.suspicion.marked_at) == datetime.fromtimestamp(clock(), UTC)
        assert (again.state, again.spec.repeats_job_id) == (job_pb2.JOB_STATE_QUEUED, good.job_id)
        # Its wait begins now, and what it reads is kept, however old the first result is.
        assert await store.overdue(clock() + 8) == []
        assert await store.overdue(clock() + 10) == [again.job_id]
        assert await store.needed_artifacts(clock() + 1) == {"a" * 64}
        summaries = {row.job_id: row.suspect_because for row in (await store.list_jobs([], "", 10, "")).rows}
        assert summaries == {good.job_id: job.suspicion.reason, untouched.job_id: "", again.job_id: ""}

    async def test_a_check_that_comes_again_changes_nothing(self, store: Store, new_job: MakeJob) -> None:
        first, second = new_job(), new_job()
        await store.submit([first, second])
        await run_to_success(store, first.job_id, "l1")
        await run_to_success(store, second.job_id, "l2")
        answers = await asyncio.gather(*(store.record_fitness(shifted("c1", "l1")) for _ in range(5)))
        assert sorted(len(answer) for answer in answers) == [0, 0, 0, 0, 1]
        assert await store.record_fitness(shifted("c1", "l2")) == []
        # Another check that names the same lease marks it no second time.
        marked = await store.record_fitness(shifted("c2", "l1", "l2"))
        assert [suspect.job_id for suspect in marked] == [second.job_id]
        assert (await store.count_by_state())[State.QUEUED] == 2

    async def test_only_results_of_that_device_under_that_lease_are_marked(
        self, store: Store, new_job: MakeJob
    ) -> None:
        retried, failed, cancelled, leased = (new_job() for _ in range(4))
        await store.submit([retried, failed, cancelled, leased])
        await store.apply(retried.job_id, Leased("r1", "pi4-1"))
        await store.apply(retried.job_id, Failed("r1", lost()))
        await run_to_success(store, retried.job_id, "r2")
        await store.apply(retried.job_id, Succeeded("r1"), result_with())  # superseded
        await store.apply(failed.job_id, Leased("f1", "pi4-1"))
        await store.apply(failed.job_id, Failed("f1", invalid()))
        await store.apply(cancelled.job_id, Cancelled("no need"))
        await store.apply(leased.job_id, Leased("l1", "pi4-1"))
        assert await store.record_fitness(shifted("c1", "r1", "f1", "l1", cancelled.job_id)) == []
        assert await store.record_fitness(shifted("c2", "r2", device_id="pi4-2")) == []
        (marked,) = await store.record_fitness(shifted("c3", "r2"))
        assert marked.job_id == retried.job_id

    async def test_a_second_measurement_is_marked_and_left_at_that(self, store: Store, new_job: MakeJob) -> None:
        new = new_job()
        await store.submit([new])
        await run_to_success(store, new.job_id, "l1")
        (marked,) = await store.record_fitness(shifted("c1", "l1"))
        assert marked.successor_job_id is not None
        await run_to_success(store, marked.successor_job_id, "l2")
        (again,) = await store.record_fitness(shifted("c2", "l2"))
        assert (again.job_id, again.successor_job_id) == (marked.successor_job_id, None)
        assert (await store.count_by_state())[State.QUEUED] == 0

    async def test_a_key_that_somebody_took_leaves_the_mark(self, store: Store, new_job: MakeJob) -> None:
        new = new_job()
        await store.submit([new])
        await run_to_success(store, new.job_id, "l1")
        successor = fitness.successor(new.job_id, new.spec, new.user)
        assert successor is not None
        await store.submit([new_job(key=successor.spec.idempotency_key)])
        (marked,) = await store.record_fitness(shifted("c1", "l1"))
        assert (marked.job_id, marked.successor_job_id) == (new.job_id, None)

    async def test_the_last_checks_are_shown_newest_first(self, store: Store) -> None:
        await store.save_devices("a1", [device_pb2.DeviceDescription(device_id=name) for name in ("pi4-1", "pi4-2")])
        await asyncio.gather(*(store.record_fitness(shifted(f"c{n}")) for n in range(25)))
        floor = shifted("f1", device_id="pi4-2")
        for value in (0.5, 0.004):
            floor.check.check_id = f"f{value}"
            floor.noise_floor.device_id, floor.noise_floor.floor.estimate.value = "pi4-2", value
            await store.record_fitness(floor)
        checked, other = await store.devices()
        assert [check.check_id for check in checked.checks] == [f"c{n}" for n in range(24, 4, -1)]
        assert checked.noise_floor is None
        assert other.noise_floor == floor.noise_floor

    async def test_a_caller_who_gives_up_does_not_stop_the_store(self, store: Store, new_job: MakeJob) -> None:
        impatient = [asyncio.ensure_future(store.submit([new_job()])) for _ in range(10)]
        await asyncio.sleep(0)
        for task in impatient[::2]:
            task.cancel()
        answers = await asyncio.gather(*impatient, return_exceptions=True)
        assert sum(isinstance(answer, asyncio.CancelledError) for answer in answers) == 5
        assert (await store.count_by_state())[State.QUEUED] == 10
