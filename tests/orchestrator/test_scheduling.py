"""The pure parts that decide who gets what: demands, scheduler, devices, leases."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestrator import devices
from orchestrator.demands import Demand
from orchestrator.fairshare import FairShare
from orchestrator.leases import Lease, Leases
from orchestrator.scheduler import Fleet, propose
from orchestrator.store.base import LOCAL, Share, Waiting
from protos.gauntlet.v1 import device_pb2, job_pb2, measurement_pb2


def waiting(
    job_id: str,
    signature: str = "s",
    priority: int = 0,
    sequence: int = 0,
    avoid: Collection[str] = (),
    share: Share = LOCAL,
) -> Waiting:
    return Waiting(job_id, signature, priority, sequence, frozenset(avoid), share)


def anything_fits(signature: str, device: str) -> bool:
    return True


def proposed(
    idle: Sequence[str],
    jobs: Sequence[Waiting],
    busy: Sequence[str] = (),
    room: Mapping[str, int] = MappingProxyType({}),
    fits: Callable[[str, str], bool] = anything_fits,
) -> list[tuple[str, str]]:
    """Ids of jobs and of the devices that get them."""
    fleet = Fleet(idle, room, [*idle, *busy], lambda device: "pool", fits)
    return [(a.job.job_id, a.device_id) for a in propose(fleet, jobs, FairShare(lambda: 0.0).round())]


# ---------------------------------------------------------------------------------------------------- scheduler


def test_the_most_urgent_goes_first_then_the_oldest() -> None:
    jobs = [waiting("old", sequence=1), waiting("young", sequence=2), waiting("urgent", priority=5, sequence=3)]
    assert proposed(["d1", "d2"], jobs) == [("urgent", "d1"), ("old", "d2")]


def test_a_device_that_failed_a_job_gets_it_again_only_when_no_other_fits() -> None:
    jobs = [waiting("j", avoid={"broken"})]
    assert proposed(["broken"], jobs, busy=["sound"]) == []  # wait for it
    assert proposed(["broken", "sound"], jobs) == [("j", "sound")]
    assert proposed(["broken"], jobs) == [("j", "broken")]


def test_users_and_their_campaigns_take_turns() -> None:
    jobs = [waiting(f"a{n}", sequence=n, share=Share("ann", "big")) for n in range(4)]
    jobs += [waiting("s", sequence=8, share=Share("ann", "small")), waiting("b", sequence=9, share=Share("bob", ""))]
    devices = [f"d{n}" for n in range(6)]
    assert [job for job, _ in proposed(devices, jobs)] == ["a0", "b", "s", "a1", "a2", "a3"]


def test_busy_devices_are_filled_evenly_and_only_with_what_no_idle_one_can_begin() -> None:
    jobs = [waiting(f"j{n}", sequence=n) for n in range(4)] + [waiting("other", "t", sequence=9)]

    def fits(signature: str, device: str) -> bool:
        return device != "idle" or signature == "s"

    assert proposed(["idle"], jobs, busy=["d1", "d2"], room={"d1": 3, "d2": 1}, fits=fits) == [
        ("j0", "idle"),
        ("j1", "d1"),
        ("j2", "d2"),
        ("j3", "d1"),
        ("other", "d1"),
    ]


def test_jobs_for_a_dead_site_keep_nobody_waiting() -> None:
    dead = [waiting(f"dead{n}", "dead", priority=9, sequence=n) for n in range(50)]
    alive = waiting("alive", "alive", sequence=99)

    def fits(signature: str, device: str) -> bool:
        return signature in device

    assert proposed(["alive-1"], [*dead, alive], fits=fits) == [("alive", "alive-1")]


_NAMES = st.sampled_from(["a", "b", "c", "d"])


@given(
    idle=st.lists(_NAMES, unique=True),
    busy=st.lists(st.sampled_from(["x", "y"]), unique=True),
    jobs=st.lists(st.tuples(st.sampled_from("stu"), st.integers(-2, 2), st.sets(_NAMES)), max_size=12),
    compatible=st.sets(st.tuples(st.sampled_from("stu"), st.sampled_from("abcdxy"))),
)
def test_assignments_fit_are_unique_and_leave_nothing_to_do(idle, busy, jobs, compatible) -> None:  # type: ignore[no-untyped-def]
    queue = [waiting(f"j{n}", signature, priority, n, avoid) for n, (signature, priority, avoid) in enumerate(jobs)]
    by_id = {job.job_id: job for job in queue}

    def fits(signature: str, device: str) -> bool:
        return (signature, device) in compatible

    assignments = proposed(idle, queue, busy=busy, fits=fits)
    taken = {job_id for job_id, _ in assignments}
    assert len({device for _, device in assignments}) == len(taken) == len(assignments)
    for job_id, device in assignments:
        assert device in idle
        assert fits(by_id[job_id].signature, device)
    left = set(idle) - {device for _, device in assignments}
    for job in by_id.values():
        if job.job_id not in taken:  # nobody idle could take it without harm
            assert not any(fits(job.signature, device) and device not in job.avoid for device in left)


# ---------------------------------------------------------------------------------------------------- demands


def spec(**device: object) -> job_pb2.JobSpec:
    return job_pb2.JobSpec(
        device=job_pb2.DeviceSelector(**device),  # type: ignore[arg-type]
        measurement=measurement_pb2.MeasurementSpec(
            model={"media_type": "model/tflite"},  # type: ignore[arg-type]
            runtime={"name": "litert", "delegate": "xnnpack", "threads": 1},  # type: ignore[arg-type]
            latency={},  # type: ignore[arg-type]
        ),
    )


def pi(**changes: object) -> device_pb2.DeviceDescription:
    fields: dict[str, object] = {
        "device_id": "pi-1",
        "device_class": "pi4",
        "labels": {"room": "lab2"},
        "runtimes": [device_pb2.Runtime(name="litert", formats=["tflite"], delegates=["xnnpack", "none"])],
        "capabilities": ["latency", "memory"],
    }
    return device_pb2.DeviceDescription(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_demand_survives_its_signature() -> None:
    demand = Demand.of(spec(device_class="pi4", labels={"b": "2", "a": "1"}))
    assert Demand.parse(demand.signature) == demand


def test_the_signature_does_not_depend_on_the_order_of_labels() -> None:
    one = Demand.of(spec(labels={"a": "1", "b": "2"})).signature
    assert one == Demand.of(spec(labels={"b": "2", "a": "1"})).signature


def test_each_part_of_a_demand_can_be_what_does_not_fit() -> None:
    assert Demand.of(spec(device_id="pi-1", device_class="pi4", labels={"room": "lab2"})).misfit(pi()) is None
    assert "not pi-2" in str(Demand.of(spec(device_id="pi-2")).misfit(pi()))
    assert "class pi4" in str(Demand.of(spec(device_class="jetson")).misfit(pi()))
    assert "room=lab3" in str(Demand.of(spec(labels={"room": "lab3"})).misfit(pi()))
    assert "latency" in str(Demand.of(spec()).misfit(pi(capabilities=["memory"])))
    assert "tflite" in str(Demand.of(spec()).misfit(pi(runtimes=[])))
    other = device_pb2.Runtime(name="tflite-runtime", formats=["tflite"], delegates=["xnnpack"])
    assert "litert" in str(Demand.of(spec()).misfit(pi(runtimes=[other])))
    bare = device_pb2.Runtime(name="litert", formats=["tflite"], delegates=["none"])
    assert "xnnpack" in str(Demand.of(spec()).misfit(pi(runtimes=[bare])))


@pytest.mark.parametrize(
    ("sensors", "reason"),
    [
        ([device_pb2.Sensor(quantity="energy_j", source="RAPL")], None),
        ([device_pb2.Sensor(quantity="energy_j", unavailable="may not be read")], "cannot sense energy_j: may not be"),
        ([], "cannot sense energy_j: no sensor"),
    ],
)
def test_a_job_that_needs_a_sensor_goes_only_where_it_can_be_read(
    sensors: list[device_pb2.Sensor], reason: str | None
) -> None:
    demand = Demand.of(spec(sensors=["energy_j"]))
    assert Demand.parse(demand.signature) == demand
    misfit = demand.misfit(pi(sensors=sensors))
    assert misfit is None if reason is None else reason in str(misfit)


def test_a_job_may_ask_for_memory() -> None:
    demand = Demand.of(spec(min_memory_bytes=4 * 10**9))
    assert demand.misfit(pi(hardware=device_pb2.Hardware(memory_bytes=8 * 10**9))) is None
    small = demand.misfit(pi(hardware=device_pb2.Hardware(memory_bytes=1_900_000_000)))
    assert small == "has 1.9 GB of memory, not the 4 GB asked for"
    assert "does not tell" in str(demand.misfit(pi()))


@pytest.mark.parametrize(("media_type", "remedy"), [("model/onnx", "gauntlet[onnx]"), ("model/pt2", "--allow-pt2")])
def test_a_format_without_a_runtime_is_refused_with_what_its_owner_can_do(media_type: str, remedy: str) -> None:
    asked = spec()
    asked.measurement.model.media_type = media_type
    asked.measurement.runtime.Clear()
    assert remedy in str(Demand.of(asked).misfit(pi()))
    taker = device_pb2.Runtime(name="other", delegates=["cpu"], formats=[media_type.partition("/")[2]])
    assert Demand.of(asked).misfit(pi(runtimes=[taker])) is None


def test_a_refusal_names_what_exists() -> None:
    refusal = Demand.of(spec(device_class="jetson")).refusal([pi()])
    assert "pi-1" in str(refusal)
    assert "pi4" in str(refusal)
    assert Demand.of(spec(device_class="pi4")).refusal([pi()]) is None
    assert "no device has joined" in str(Demand.of(spec()).refusal([]))


def test_a_refusal_for_want_of_peak_memory_says_how_to_leave_it_out() -> None:
    asked = spec()
    asked.measurement.memory.runs = 10
    assert "--no-memory" in str(Demand.of(asked).refusal([pi(capabilities=["latency"])]))
    assert "--no-memory" not in str(Demand.of(spec(device_class="jetson")).refusal([pi()]))


# ---------------------------------------------------------------------------------------------------- devices


class DeviceLife(RuleBasedStateMachine):
    """Any events in any order: the state always follows from the facts, and stale sessions change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.device = devices.Device("d")
        self.session: str | None = None
        self.lease: str | None = None

    sessions = st.sampled_from(["s1", "s2", "s3"])
    leases = st.sampled_from(["l1", "l2"])

    @rule(session=sessions)
    def attach(self, session: str) -> None:
        self.device = devices.step(self.device, devices.Attached(session))
        self.session = session

    @rule(session=sessions)
    def leave(self, session: str) -> None:
        self.device = devices.step(self.device, devices.Left(session))
        if session == self.session:
            self.session = None
            assert self.device.state is devices.State.ENROLLED

    @rule(session=sessions, reason=st.sampled_from(["", "cut"]))
    def vanish(self, session: str, reason: str) -> None:
        self.device = devices.step(self.device, devices.Vanished(session, reason))
        if session == self.session:
            self.session = None
            assert self.device.state is devices.State.LOST

    @rule(lease=leases)
    def grant(self, lease: str) -> None:
        self.device = devices.step(self.device, devices.LeaseGranted(lease))
        self.lease = self.lease or lease

    @rule(lease=leases)
    def end(self, lease: str) -> None:
        self.device = devices.step(self.device, devices.LeaseEnded(lease))
        self.lease = None if self.lease == lease else self.lease

    @invariant()
    def follows_the_facts(self) -> None:
        assert self.device.session == self.session
        assert self.device.lease_id == self.lease
        assert self.device.is_idle == (self.session is not None and self.lease is None)
        if self.session is not None:
            busy = devices.State.BUSY if self.lease else devices.State.ONLINE
            assert self.device.state is busy
        else:
            assert self.device.state in (devices.State.ENROLLED, devices.State.LOST)


TestDeviceLife = DeviceLife.TestCase


# ---------------------------------------------------------------------------------------------------- leases


def test_a_lease_ends_when_it_is_not_renewed() -> None:
    now = 0.0
    leases = Leases(10.0, lambda: now)
    leases.grant(Lease("l1", "j1", "d1"))
    leases.grant(Lease("l2", "j2", "d2"))
    now = 8.0
    assert leases.renew(["l1", "unknown"]) == ["unknown"]
    now = 11.0
    assert [lease.lease_id for lease in leases.expired()] == ["l2"]
    now = 18.0
    assert {lease.lease_id for lease in leases.expired()} == {"l1", "l2"}
    assert leases.end("l1") == Lease("l1", "j1", "d1")
    assert leases.end("l1") is None
    assert "l1" not in leases
    assert leases.of_job("j2") == Lease("l2", "j2", "d2")
    assert leases.of_job("j1") is None
