"""The life of a job, whatever happens to it in whatever order."""

from __future__ import annotations

import itertools
import signal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.jobs import (
    Attempt,
    Cancelled,
    Event,
    Expired,
    Failed,
    Job,
    Late,
    Leased,
    Returned,
    Started,
    State,
    Succeeded,
    step,
)
from protos.blame import Blame, blame
from protos.gauntlet.v1 import failure_pb2 as pb


def failure(kind: int, signal_number: int | None = None) -> pb.Failure:
    return pb.Failure(kind=kind, message="it failed", signal=signal_number)


KINDS = [kind for kind in pb.FailureKind.values() if kind != pb.FAILURE_KIND_UNSPECIFIED]
SIGNALS = [None, signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT]
FAILURES = st.builds(failure, st.sampled_from(KINDS), st.sampled_from(SIGNALS))
DEVICES = st.sampled_from(["pi4", "orin", "x86"])
HELD_EVENTS = st.one_of(
    st.just(Started("")), st.just(Succeeded("")), st.just(Returned("")), st.builds(lambda f: Failed("", f), FAILURES)
)


def under(lease_id: str, event: Event) -> Event:
    """The event, as it comes under a lease."""
    match event:
        case Failed(_, what):
            return Failed(lease_id, what)
        case Started():
            return Started(lease_id)
        case Succeeded():
            return Succeeded(lease_id)
        case Returned():
            return Returned(lease_id)
    return event


class LifeOfAJob(RuleBasedStateMachine):
    """Current, old and unknown leases all talk at once."""

    job: Job
    verdict: str

    @initialize(max_attempts=st.integers(1, 4))
    def submit(self, max_attempts: int) -> None:
        self.job = self.previous = Job("job", max_attempts)
        self.verdict = "ignored"
        self.leases: list[str] = []
        self.numbers = itertools.count()
        self.ends = 0

    def take(self, event: Event) -> None:
        self.previous = self.job
        result = step(self.job, event)
        self.job, self.verdict = result.job, result.verdict
        if self.job.state.is_final and not self.previous.state.is_final:
            self.ends += 1

    @rule(device=DEVICES)
    def lease(self, device: str) -> None:
        lease_id = f"lease-{next(self.numbers)}"
        was_queued = self.job.state is State.QUEUED
        self.take(Leased(lease_id, device))
        assert (self.verdict == "applied") == was_queued
        if was_queued:
            self.leases.append(lease_id)
            assert (self.job.lease_id, self.job.device_id) == (lease_id, device)

    @precondition(lambda self: self.job.state.is_held)
    @rule(event=HELD_EVENTS)
    def hear_from_the_holder(self, event: Event) -> None:
        lease_id = self.job.lease_id
        assert lease_id is not None
        was_running = self.job.state is State.RUNNING
        self.take(under(lease_id, event))
        assert self.verdict == ("ignored" if isinstance(event, Started) and was_running else "applied")

    @rule(event=HELD_EVENTS, data=st.data())
    def hear_from_another(self, event: Event, data: st.DataObject) -> None:
        others = [lease for lease in [*self.leases, "unknown"] if lease != self.job.lease_id]
        lease_id = data.draw(st.sampled_from(others))
        attempt = next((a for a in self.job.attempts if a.lease_id == lease_id), None)
        self.take(under(lease_id, event))
        won = self.job.state is State.SUCCEEDED and attempt is not None and attempt is self.job.attempts[-1]
        failed_so = isinstance(event, Failed) and attempt is not None and attempt.failure == event.failure
        if attempt is None:
            assert self.verdict == "unknown"
        elif failed_so or (won and isinstance(event, Succeeded)):
            assert self.verdict == "ignored"
        else:
            assert self.verdict == "superseded"

    @rule()
    def cancel(self) -> None:
        was_final = self.job.state.is_final
        self.take(Cancelled("not needed"))
        assert self.verdict == ("ignored" if was_final else "applied")
        assert was_final or self.job.state is State.CANCELLED

    @rule()
    def expire(self) -> None:
        was_queued = self.job.state is State.QUEUED
        self.take(Expired("too long"))
        assert self.verdict == ("applied" if was_queued else "ignored")

    @rule()
    def run_out_of_time(self) -> None:
        was_final = self.job.state.is_final
        self.take(Late("not within 10 s"))
        assert self.verdict == ("ignored" if was_final else "applied")
        assert was_final or self.job.state is State.FAILED

    @invariant()
    def only_what_is_applied_changes_it(self) -> None:
        assert (self.job != self.previous) == (self.verdict == "applied")

    @invariant()
    def what_has_ended_stays_ended(self) -> None:
        assert self.ends == self.job.state.is_final
        if self.previous.state.is_final:
            assert self.job == self.previous

    @invariant()
    def attempts_are_bounded_and_their_leases_unique(self) -> None:
        leases = [attempt.lease_id for attempt in self.job.attempts]
        assert len(leases) <= self.job.max_attempts
        assert len(set(leases)) == len(leases)

    @invariant()
    def it_is_held_under_a_lease_or_not_at_all(self) -> None:
        assert (self.job.lease_id is not None) == self.job.state.is_held
        assert (self.job.device_id is not None) == self.job.state.is_held

    @invariant()
    def every_end_without_a_result_says_why(self) -> None:
        assert (self.job.failure is not None) == (self.job.state in (State.FAILED, State.CANCELLED))


LifeOfAJob.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLifeOfAJob = LifeOfAJob.TestCase


def after_one_failure(what: pb.Failure, max_attempts: int = 3) -> Job:
    job = step(Job("job", max_attempts), Leased("lease", "pi4")).job
    return step(job, Failed("lease", what)).job


@pytest.mark.parametrize("kind", KINDS, ids=pb.FailureKind.Name)
def test_whose_fault_it_was_decides_the_retry(kind: int) -> None:
    what = failure(kind)
    job = after_one_failure(what)
    if blame(what) in (Blame.DEVICE, Blame.FLEET):
        assert job.state is State.QUEUED
        assert job.failure is None
    elif kind == pb.FAILURE_KIND_CANCELLED:
        assert job.state is State.CANCELLED
    else:
        assert job.state is State.FAILED
        assert job.failure == what


@pytest.mark.parametrize(
    ("number", "state", "avoid"),
    [
        (signal.SIGKILL, State.QUEUED, {"pi4"}),
        (signal.SIGTERM, State.QUEUED, {"pi4"}),
        (signal.SIGSEGV, State.FAILED, set()),
        (signal.SIGABRT, State.FAILED, set()),
        (None, State.FAILED, set()),
    ],
)
def test_a_crash_is_the_models_unless_the_signal_came_from_outside(
    number: int | None, state: State, avoid: set[str]
) -> None:
    job = after_one_failure(failure(pb.FAILURE_KIND_CRASHED, number))
    assert job.state is state
    assert job.avoid == avoid


def test_a_fleets_failure_is_retried_and_no_device_is_avoided() -> None:
    job = after_one_failure(failure(pb.FAILURE_KIND_CORRUPT_ARTIFACT))
    assert job.state is State.QUEUED
    assert not job.avoid


def test_the_last_attempts_failure_is_the_jobs() -> None:
    what = failure(pb.FAILURE_KIND_DEVICE_LOST)
    job = after_one_failure(what, max_attempts=1)
    assert job.state is State.FAILED
    assert job.failure == what
    assert job.attempts == (Attempt("lease", "pi4", what),)


def test_a_job_given_back_untouched_has_not_used_an_attempt() -> None:
    job = step(Job("job", 1), Leased("lease", "pi4")).job
    job = step(job, Returned("lease")).job
    assert job == Job("job", 1)


def test_a_cancel_ends_the_lease_that_was_out() -> None:
    job = step(Job("job"), Leased("lease", "pi4")).job
    job = step(job, Cancelled("changed my mind")).job
    assert job.attempts[-1].failure == job.failure
    assert step(job, Succeeded("lease")).verdict == "superseded"


def test_waiting_too_long_fails_with_a_remedy() -> None:
    job = step(Job("job"), Expired("waited 5 s")).job
    assert job.state is State.FAILED
    assert job.failure is not None
    assert job.failure.kind == pb.FAILURE_KIND_QUEUE_DEADLINE
    assert job.failure.remedy


def test_a_deadline_in_the_queue_is_the_queues_and_in_hand_the_jobs() -> None:
    queued = step(Job("job"), Late("not within 10 s")).job
    assert queued.failure is not None
    assert queued.failure.kind == pb.FAILURE_KIND_QUEUE_DEADLINE
    held = step(step(Job("job"), Leased("lease", "pi4")).job, Late("not within 10 s")).job
    assert held.failure is not None
    assert held.failure.kind == pb.FAILURE_KIND_TIMED_OUT
    assert held.attempts[-1].failure == held.failure
    assert step(held, Succeeded("lease")).verdict == "superseded"


def test_what_ended_a_lease_may_come_again() -> None:
    running = step(step(Job("job"), Leased("lease", "pi4")).job, Started("lease")).job
    done = step(running, Succeeded("lease")).job
    assert step(done, Succeeded("lease")).verdict == "ignored"
    unfit = pb.Failure(kind=pb.FAILURE_KIND_DEVICE_UNFIT, message="hot")
    failed = step(running, Failed("lease", unfit)).job
    assert step(failed, Failed("lease", unfit)).verdict == "ignored"
    assert step(failed, Succeeded("lease")).verdict == "superseded"
