"""What a fitness report does: from the rules by themselves to a real server with a scripted agent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import fitness
from orchestrator.client import Client, Ended, Refused
from orchestrator.registry import Registry
from orchestrator.store.base import StoredDevice
from orchestrator.validation import InvalidSpecError, check_job
from protos.gauntlet.v1 import agent_pb2, artifact_pb2, failure_pb2, fitness_pb2, job_pb2
from tests.orchestrator.lab import ScriptedAgent, a_job, device, running

SHIFTED = fitness_pb2.FITNESS_VERDICT_SHIFTED
GOOD = fitness_pb2.FITNESS_VERDICT_GOOD


def report(*leases: str, check_id: str = "check-1", device_id: str = "d1", **fields: object) -> agent_pb2.FitnessReport:
    """A shifted check."""
    told = {"verdict": SHIFTED, "shift": 0.052, "checked_at": "2026-11-21T14:02:09Z", "occasion": "idle", **fields}
    check = fitness_pb2.FitnessCheck(check_id=check_id, device_id=device_id, suspect_lease_ids=leases, **told)  # type: ignore[arg-type]
    return agent_pb2.FitnessReport(check=check)


# The rules.


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (agent_pb2.FitnessReport(), "needs an id"),
        (report(check_id="../x"), "needs an id, not '../x'"),
        (report(check_id="c" * 65), "needs an id"),
        (report(device_id="d2"), "of device 'd2', which is not yours"),
        (report(device_id="no\nid"), r"of device 'no\\nid', which is not yours"),
        (report(device_id=""), "of device '', which is not yours"),
        (report(shift=math.nan), "shift must be a finite number, not nan"),
        (report(shift=math.inf), "shift must be a finite number, not inf"),
        (report(shift=None), "does not say by how much"),
        (report(verdict=0), "unknown verdict 0"),
        (report(verdict=99), "unknown verdict 99"),
        (report(checked_at="yesterday"), "'yesterday' is no time of day"),
        (
            agent_pb2.FitnessReport(check=report().check, noise_floor=fitness_pb2.NoiseFloor(device_id="d2")),
            "of device 'd2', which is not yours",
        ),
        (
            agent_pb2.FitnessReport(check=report().check, noise_floor=fitness_pb2.NoiseFloor(device_id="d1")),
            "'' is no time of day",
        ),
    ],
)
def test_a_report_that_makes_no_sense_is_refused_in_one_line(made: agent_pb2.FitnessReport, message: str) -> None:
    with pytest.raises(fitness.InvalidReportError, match=message) as caught:
        fitness.check_report(made, {"d1"})
    assert "\n" not in str(caught.value)


def test_a_check_that_found_nothing_needs_no_shift() -> None:
    fitness.check_report(report(verdict=fitness_pb2.FITNESS_VERDICT_UNAVAILABLE, shift=None), {"d1"})


@pytest.mark.parametrize(
    ("checked_at", "shift", "words"),
    [
        ("2026-11-21T14:02:09Z", 0.0521, "the reference model took 5.2 % longer than expected"),
        ("2026-11-21T15:02:09+01:00", -0.12, "the reference model took 12.0 % less than expected"),
    ],
)
def test_the_reason_is_told_in_words(checked_at: str, shift: float, words: str) -> None:
    when = "fitness check of 2026-11-21 14:02 UTC: "
    assert fitness.reason(report(checked_at=checked_at, shift=shift).check) == when + words
    own = report(checked_at=checked_at, shift=shift, reason="back where\n it was before")
    assert fitness.reason(own.check) == when + "back where it was before"
    assert len(fitness.reason(report(reason="x" * 10_000).check)) < 600


@pytest.mark.parametrize("verdict", [v for v in fitness_pb2.FitnessVerdict.values() if v != SHIFTED])
def test_only_a_shift_makes_results_suspect(verdict: int) -> None:
    assert fitness.suspect_leases(report("l1", verdict=verdict).check) == []


def test_the_newest_leases_count_and_their_number_is_bounded() -> None:
    leases = [f"l{n}" for n in range(100_000)]
    assert fitness.suspect_leases(report(*leases).check) == leases[-fitness.MAX_SUSPECT_LEASES :]
    assert fitness.suspect_leases(report("a", "b", "a").check) == ["a", "b"]


def test_history_keeps_short_texts_and_no_leases() -> None:
    kept = fitness.kept(report("l1", reason="x" * 10_000, occasion="y" * 10_000).check)
    assert (len(kept.reason), len(kept.occasion), list(kept.suspect_lease_ids)) == (500, 500, [])


SPECS = st.builds(
    job_pb2.JobSpec,
    idempotency_key=st.text(min_size=1, max_size=200),
    priority=st.integers(-(2**31), 2**31 - 1),
    campaign_id=st.sampled_from(["", "c1"]),
    max_attempts=st.integers(1, 10),
)


@given(spec=SPECS, other=SPECS)
def test_a_successor_is_the_same_job_once_more(spec: job_pb2.JobSpec, other: job_pb2.JobSpec) -> None:
    spec.measurement.model.digest = "a" * 64
    again, twice = fitness.successor("j1", spec, "ann"), fitness.successor("j1", spec, "ann")
    assert again is not None
    assert twice is not None
    assert (again.spec, again.signature, again.artifacts) == (twice.spec, twice.signature, twice.artifacts)
    assert again.artifacts == ("a" * 64,)
    assert 1 <= len(again.spec.idempotency_key) <= 200
    assert again.spec.priority == min(spec.priority + 1, 2**31 - 1)
    assert again.spec.repeats_job_id == "j1"
    # Nothing else differs, and it is not repeated in its turn.
    same = job_pb2.JobSpec()
    same.CopyFrom(again.spec)
    same.idempotency_key, same.priority, same.repeats_job_id = spec.idempotency_key, spec.priority, ""
    assert same == spec
    assert fitness.successor("j2", again.spec, "ann") is None
    if other.idempotency_key != spec.idempotency_key:
        unlike = fitness.successor("j1", other, "ann")
        assert unlike is not None
        assert unlike.spec.idempotency_key != again.spec.idempotency_key


def test_nobody_else_may_say_that_a_job_repeats_another() -> None:
    with pytest.raises(InvalidSpecError, match="repeats_job_id is set by the orchestrator"):
        check_job(job_pb2.JobSpec(idempotency_key="k", max_attempts=1, repeats_job_id="j1"))


# Which job stands for one that was asked for.


def ended(job_id: str, *, repeats: str = "", good: bool = True) -> job_pb2.Job:
    job = job_pb2.Job(job_id=job_id, state=job_pb2.JOB_STATE_SUCCEEDED if good else job_pb2.JOB_STATE_FAILED)
    job.spec.repeats_job_id = repeats
    if good:
        job.result.SetInParent()
    return job


def test_a_second_measurement_stands_in_only_with_a_result() -> None:
    both = Ended(["j1", "j2"])
    running = job_pb2.Job(job_id="j1", state=job_pb2.JOB_STATE_RUNNING)
    assert not both.take(running)
    assert [both.take(ended("j1")), both.take(ended("j2"))] == [True, True]
    assert not both.take(ended("r1", repeats="j1", good=False))
    assert both.take(ended("r2", repeats="j2"))
    assert [job.job_id for job in both.jobs()] == ["j1", "r2"]
    assert len(both) == 2


def test_a_second_measurement_that_was_asked_for_stands_for_itself() -> None:
    asked = Ended(["r1"])
    assert asked.take(ended("r1", repeats="j1"))
    assert asked.take(ended("r1", repeats="j1"))
    assert [job.job_id for job in asked.jobs()] == ["r1"]


# A real server.


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    async with running(tmp_path) as address:
        yield address


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    async with Client(address, patience_s=5.0) as client:
        yield client


@pytest.fixture
async def agent(address: str) -> AsyncIterator[ScriptedAgent]:
    agent = ScriptedAgent(address)
    await agent.hello(device("d1"))
    yield agent
    await agent.hang_up()


async def measured(client: Client, agent: ScriptedAgent, **fields: object) -> tuple[job_pb2.Job, str]:
    """A job that succeeded, and its lease."""
    [submitted] = await client.submit([await a_job(client, **fields)])
    lease = await agent.hear("lease")
    await agent.finish(lease)
    return await client.job(submitted.job_id), lease.lease_id


async def told(agent: ScriptedAgent, made: agent_pb2.FitnessReport) -> None:
    await agent.say(fitness_report=made)
    assert (await agent.hear("fitness_ack")).check_id == made.check.check_id


async def test_a_suspect_result_is_marked_and_measured_again(client: Client, agent: ScriptedAgent) -> None:
    job, lease_id = await measured(client, agent, campaign_id="c1", priority=3)
    settling = asyncio.ensure_future(client.settled([job]))
    assert await settling == [job]  # nothing is suspect yet, and nobody waits
    await told(agent, report(lease_id))
    marked = await client.job(job.job_id)
    assert (marked.state, marked.result) == (job_pb2.JOB_STATE_SUCCEEDED, job.result)
    assert marked.suspicion.reason.endswith("the reference model took 5.2 % longer than expected")
    assert marked.suspicion.marked_at
    again = await client.job(marked.suspicion.successor_job_id)
    assert (again.spec.repeats_job_id, again.spec.campaign_id, again.spec.priority) == (job.job_id, "c1", 4)
    assert again.spec.measurement == job.spec.measurement
    assert [s.suspect_because for s in await client.jobs()] == ["", marked.suspicion.reason]
    settling = asyncio.ensure_future(client.settled([job]))
    await agent.finish(await agent.hear("lease"))
    (settled,) = await settling
    assert (settled.job_id, settled.HasField("suspicion")) == (again.job_id, False)


async def test_what_is_suspect_twice_stays_marked(client: Client, agent: ScriptedAgent) -> None:
    job, lease_id = await measured(client, agent)
    await told(agent, report(lease_id))
    lease = await agent.hear("lease")
    await agent.finish(lease)
    await told(agent, report(lease_id, lease.lease_id, check_id="check-2"))
    (settled,) = await client.settled([job])
    assert settled.spec.repeats_job_id == job.job_id
    assert (settled.suspicion.successor_job_id, bool(settled.suspicion.reason)) == ("", True)
    assert len(await client.jobs()) == 2


async def test_a_report_that_comes_again_or_under_a_used_id_changes_nothing(
    client: Client, agent: ScriptedAgent
) -> None:
    first, lease_id = await measured(client, agent)
    _, other_lease_id = await measured(client, agent)
    await told(agent, report(lease_id))
    await agent.hear("lease")
    await told(agent, report(lease_id))
    await told(agent, report(other_lease_id, shift=0.5))  # same id, another content: the first one counts
    jobs = await client.jobs()
    assert len(jobs) == 3
    assert [job.job_id for job in jobs if job.suspect_because] == [first.job_id]
    (known,) = await client.devices()
    assert [check.shift for check in known.checks] == [0.052]


async def test_no_agent_can_make_anothers_results_suspect(client: Client, agent: ScriptedAgent, address: str) -> None:
    job, lease_id = await measured(client, agent, device_id="d1")
    liar = ScriptedAgent(address, "liar")
    await liar.hello(device("d2"))
    await told(liar, report(lease_id, "unknown", device_id="d2"))
    assert not (await client.job(job.job_id)).HasField("suspicion")
    await liar.say(fitness_report=report(lease_id, check_id="check-2"))
    code, message = await liar.refusal()
    assert (code, message) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "a fitness report of device 'd1', which is not yours",
    )
    assert not (await client.job(job.job_id)).HasField("suspicion")


async def test_only_what_succeeded_under_the_lease_is_suspect(client: Client, agent: ScriptedAgent) -> None:
    [submitted] = await client.submit([await a_job(client)])
    lost = await agent.hear("lease")
    failure = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_DEVICE_UNFIT, message="hot")
    await agent.finish(lost, failure=failure)
    won = await agent.hear("lease")  # tried again
    await told(agent, report(lost.lease_id))
    await agent.finish(won)
    assert not (await client.job(submitted.job_id)).HasField("suspicion")
    await told(agent, report(won.lease_id, check_id="check-2"))
    assert (await client.job(submitted.job_id)).HasField("suspicion")


async def test_a_report_that_overtakes_its_result_has_to_come_again(client: Client, agent: ScriptedAgent) -> None:
    [submitted] = await client.submit([await a_job(client)])
    lease = await agent.hear("lease")
    await agent.say(fitness_report=report(lease.lease_id))
    await told(agent, report(check_id="check-2"))  # the first was heard, and has no answer
    assert not (await client.devices())[0].checks[1:]
    await agent.finish(lease)
    await told(agent, report(lease.lease_id))
    assert (await client.job(submitted.job_id)).HasField("suspicion")


async def test_a_hundred_thousand_leases_are_taken_and_bounded(client: Client, agent: ScriptedAgent) -> None:
    job, lease_id = await measured(client, agent)
    await told(agent, report(*(f"no-such-lease-{n}" for n in range(100_000)), lease_id))
    assert (await client.job(job.job_id)).HasField("suspicion")


async def test_a_cancel_takes_the_second_measurement_along(client: Client, agent: ScriptedAgent) -> None:
    job, lease_id = await measured(client, agent)
    await told(agent, report(lease_id))
    again = (await client.job(job.job_id)).suspicion.successor_job_id
    lease = await agent.hear("lease")
    assert await client.cancel([job.job_id]) == [again]
    assert (await agent.hear("cancel_lease")).lease_id == lease.lease_id
    (settled,) = await client.settled([job])
    assert (settled.job_id, settled.HasField("suspicion")) == (job.job_id, True)


async def test_a_device_shows_its_last_checks_over_a_restart(tmp_path: Path) -> None:
    floor = fitness_pb2.NoiseFloor(device_id="d1", measured_at="2026-11-21T03:00:00Z")
    floor.floor.estimate.value = 0.004
    async with running(tmp_path) as address, Client(address) as client:
        agent = ScriptedAgent(address)
        await agent.hello(device("d1"), device("d2"))
        for number in range(25):
            made = report(check_id=f"check-{number}", verdict=GOOD, shift=number / 1000)
            made.noise_floor.CopyFrom(floor)
            await told(agent, made)
        before = {d.description.device_id: d for d in await client.devices()}
        await agent.hang_up()
    async with running(tmp_path) as address, Client(address) as client:
        after = {d.description.device_id: d for d in await client.devices()}
    for known in (before, after):
        assert [check.check_id for check in known["d1"].checks] == [f"check-{n}" for n in range(24, 4, -1)]
        assert known["d1"].noise_floor == floor
        assert not known["d2"].checks
        assert not known["d2"].HasField("noise_floor")


async def test_a_submission_that_claims_to_repeat_another_is_refused(client: Client, agent: ScriptedAgent) -> None:
    spec = await a_job(client)
    spec.repeats_job_id = "j1"
    with pytest.raises(Refused, match="repeats_job_id"):
        await client.submit([spec])


def test_a_large_fleet_shows_fewer_checks_of_each() -> None:
    checks = [report(check_id=f"check-{n}").check for n in range(20)]
    for devices, shown in ((1, 20), (400, 10), (5_000, 1)):
        registry = Registry(lambda: 0.0)
        registry.load(StoredDevice(device(f"d{n}"), "a1", "", checks) for n in range(devices))
        assert len(registry.view("d0", "").checks) == shown


def test_a_successors_artifacts_are_those_that_it_reads() -> None:
    spec = job_pb2.JobSpec(idempotency_key="k")
    spec.measurement.model.CopyFrom(artifact_pb2.ArtifactRef(digest="a" * 64))
    spec.measurement.accuracy.dataset.digest = "b" * 64
    again = fitness.successor("j1", spec, "ann")
    assert again is not None
    assert set(again.artifacts) == {"a" * 64, "b" * 64}
