"""What can go wrong in a lab, one function for each: it does the harm, waits, and says how long the lab took.

    fault ──▶ the lab knows: device lost, or attempt failed ──▶ (healed, if it has to be) ──▶ job done, device works
    └───────────── detected after ─────────────┘             └──────── recovered after ────────┘

A fault that ends by itself is healed when it strikes: its recovery counts from the fault. Times are as clients of the
lab see them, polled. The drills run these with short leases, `benchmarks/drills.py` with the default ones.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.client import Refused
from orchestrator.client.specs import job_spec, measurement_spec
from protos.gauntlet.v1 import device_pb2, failure_pb2, job_pb2
from tests.drills.processes import USABLE, Lab, busy_worker, quick_job
from tests.drills.proxy import CUT, HALF_OPEN, HEALED, STALLED, Condition, slow

LOST = device_pb2.DEVICE_STATE_LOST
DEVICE = "a1"
#: Whose checks would come between a fault and what it does.
PLAIN = "--no-fitness"


@dataclass(frozen=True)
class Course:
    """How a drill went.

    Attributes:
        detected_s: from the fault until the lab knew; None where there is nothing to know.
        recovered_s: from the fault, or from its end if somebody has to end it, until all is done and the device works.
    """

    detected_s: float | None
    recovered_s: float


class Watch:
    """Takes the times of one drill."""

    def __init__(self, lab: Lab, model: bytes) -> None:
        self._lab = lab
        self._model = model
        self._since = time.monotonic()
        self.detected_s: float | None = None

    def detected(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until the lab knows."""
        self._lab.wait_until(condition, what)
        self.detected_s = time.monotonic() - self._since

    def lost(self) -> None:
        """Wait until the device is listed as lost."""
        self.detected(lambda: self._lab.device(DEVICE).state == LOST, "the device is lost")

    def healed(self) -> None:
        """The fault is over: recovery counts from here."""
        self._since = time.monotonic()

    def recovered(self, *job_ids: str) -> Course:
        """Wait until these jobs succeeded, and one more: the device works."""
        for job_id in [*job_ids, *self._lab.submit(self._model, seconds=0.1)]:
            job = self._lab.end_of(job_id)
            assert job.state == job_pb2.JOB_STATE_SUCCEEDED, job.failure
        self._lab.wait_until(lambda: self._lab.device(DEVICE).state in USABLE, "the device is back")
        return Course(self.detected_s, time.monotonic() - self._since)


def timing_job(lab: Lab, model: bytes, seconds: float = 1.0) -> str:
    """A job that is being timed now."""
    [job_id] = lab.submit(model, seconds=seconds)
    lab.wait_for_step(job_id, "timing")
    return job_id


def failed_attempt(lab: Lab, job_id: str) -> Callable[[], bool]:
    """Does the lab know that its first attempt failed?"""
    return lambda: any(attempt.HasField("failure") for attempt in lab.client.job(job_id).attempts)


# ---------------------------------------------------------------------------------------------------- on the device


def worker_killed(lab: Lab, model: bytes) -> Course:
    """The measuring process is killed from outside: as by the kernel when memory runs out."""
    agent = lab.start_agent(DEVICE, PLAIN)
    job_id = timing_job(lab, model)
    watch = Watch(lab, model)
    busy_worker(agent).kill()
    watch.detected(failed_attempt(lab, job_id), "the killed worker is noticed")
    return watch.recovered(job_id)


def worker_crashes(lab: Lab, model: bytes) -> Course:
    """The measuring process crashes from within: the model's fault, final."""
    agent = lab.start_agent(DEVICE, PLAIN)
    job_id = timing_job(lab, model)
    watch = Watch(lab, model)
    busy_worker(agent).send_signal(signal.SIGSEGV)
    watch.detected(failed_attempt(lab, job_id), "the crash is noticed")
    assert lab.end_of(job_id).failure.kind == failure_pb2.FAILURE_KIND_CRASHED
    return watch.recovered()


def worker_hangs(lab: Lab, model: bytes) -> Course:
    """The measuring process hangs; the job allows 4 s."""
    agent = lab.start_agent(DEVICE, PLAIN)
    [job_id] = lab.submit(model, seconds=1, timeout_s=4.0)
    lab.wait_for_step(job_id, "timing")
    watch = Watch(lab, model)
    busy_worker(agent).suspend()
    watch.detected(failed_attempt(lab, job_id), "the hang is noticed")
    assert lab.end_of(job_id).failure.kind == failure_pb2.FAILURE_KIND_TIMED_OUT
    return watch.recovered()


def agent_killed(lab: Lab, model: bytes) -> Course:
    """The agent is killed, and started again by its service manager."""
    agent = lab.start_agent(DEVICE, PLAIN)
    job_id = timing_job(lab, model)
    watch = Watch(lab, model)
    agent.kill()
    agent.wait()
    watch.lost()
    watch.healed()
    lab.start_agent(DEVICE, PLAIN)
    return watch.recovered(job_id)


def agent_stopped(lab: Lab, model: bytes) -> Course:
    """The agent is stopped beyond its lease, and resumed: its result comes late, and does not count."""
    agent = lab.start_agent(DEVICE, PLAIN)
    job_id = timing_job(lab, model)
    watch = Watch(lab, model)
    agent.send_signal(signal.SIGSTOP)
    watch.lost()
    lab.wait_until(failed_attempt(lab, job_id), "its lease is over")
    agent.send_signal(signal.SIGCONT)
    watch.healed()
    course = watch.recovered(job_id)
    lab.wait_until(lambda: lab.client.job(job_id).superseded_results == 1, "the late result is kept")
    return course


# ---------------------------------------------------------------------------------------------------- clients


def client_killed(lab: Lab, model: bytes) -> Course:
    """A client is killed while its job runs: the device is free when the job is done."""
    lab.start_agent(DEVICE, PLAIN)
    script = (
        "import sys, time\n"
        "from orchestrator.client import SyncClient\n"
        "from protos.gauntlet.v1 import job_pb2\n"
        "SyncClient(sys.argv[1]).submit([job_pb2.JobSpec.FromString(bytes.fromhex(sys.argv[2]))])\n"
        "time.sleep(600)\n"
    )
    spec = quick_job(lab.client.put_bytes(model, "model/tflite", "drill.tflite"), seconds=1.0)
    lab.ledger.submitting([spec])
    client = subprocess.Popen([sys.executable, "-c", script, lab.address, spec.SerializeToString().hex()])
    lab.wait_until(lambda: lab.device(DEVICE).state == device_pb2.DEVICE_STATE_BUSY, "the client's job runs")
    watch = Watch(lab, model)
    client.kill()
    client.wait()
    return watch.recovered(*lab.submit_specs([spec]))  # one key is one job: its id


def class_that_nobody_has(lab: Lab, model: bytes) -> Course:
    """A job for a kind of device that does not exist."""
    lab.start_agent(DEVICE, PLAIN)
    ref = lab.client.put_bytes(model, "model/tflite", "drill.tflite")
    watch = Watch(lab, model)
    try:
        lab.client.submit([job_spec(measurement_spec(ref), device_class="pixel6")])
    except Refused:
        watch.detected(lambda: True, "refused")
    assert watch.detected_s is not None, "it was accepted"
    return watch.recovered()


# ---------------------------------------------------------------------------------------------------- the network


def _link_spoilt_while_idle(lab: Lab, model: bytes, condition: Condition) -> Course:
    link = lab.link()
    lab.start_agent(DEVICE, PLAIN, through=link)
    watch = Watch(lab, model)
    link.be(condition)
    watch.lost()
    link.be(HEALED)
    watch.healed()
    return watch.recovered()


def _link_spoilt_while_measuring(lab: Lab, model: bytes, condition: Condition) -> Course:
    link = lab.link()
    lab.start_agent(DEVICE, PLAIN, through=link)
    job_id = timing_job(lab, model)
    watch = Watch(lab, model)
    link.be(condition)
    watch.lost()
    if condition != CUT:
        lab.wait_until(failed_attempt(lab, job_id), "its lease is over")
    link.be(HEALED)
    watch.healed()
    return watch.recovered(job_id)


def link_cut_while_idle(lab: Lab, model: bytes) -> Course:
    """The connection of an idle device is cut."""
    return _link_spoilt_while_idle(lab, model, CUT)


def link_cut_while_measuring(lab: Lab, model: bytes) -> Course:
    """The connection is cut while it measures, and heals before its lease is over: the result counts."""
    return _link_spoilt_while_measuring(lab, model, CUT)


def link_stalled(lab: Lab, model: bytes) -> Course:
    """The cable is pulled for longer than the lease, and put back: what was under way arrives late."""
    return _link_spoilt_while_measuring(lab, model, STALLED)


def link_half_open(lab: Lab, model: bytes) -> Course:
    """The link swallows all for longer than the lease, then it is well."""
    return _link_spoilt_while_measuring(lab, model, HALF_OPEN)


def link_cut_while_delivering(lab: Lab, model: bytes) -> Course:
    """The connection is cut in the middle of a result."""
    link = lab.link()
    lab.start_agent(DEVICE, PLAIN, through=link)
    job_id = timing_job(lab, model)
    link.be(slow(0.0, 10_000))
    spool = lab.folder / DEVICE / "spool"
    lab.wait_until(lambda: any(spool.iterdir()), "the result is on its way")
    watch = Watch(lab, model)
    link.be(CUT)
    watch.lost()
    link.be(HEALED)
    watch.healed()
    course = watch.recovered(job_id)
    lab.wait_until(lambda: not any(spool.iterdir()), "the spool is empty")
    return course


def link_flaps(lab: Lab, model: bytes) -> Course:
    """The link is down and up for a tenth of the lease, ten times: costs no job an attempt, makes no second device."""
    link = lab.link()
    lab.start_agent(DEVICE, PLAIN, through=link)
    ids = lab.submit(model, count=4, seconds=0.1 * lab.lease_s)
    watch = Watch(lab, model)
    for _ in range(10):
        link.be(CUT)
        time.sleep(0.1 * lab.lease_s)
        link.be(HEALED)
        time.sleep(0.1 * lab.lease_s)
    watch.healed()
    course = watch.recovered(*ids)
    _tried_once(lab, ids)
    assert [device.description.device_id for device in lab.client.devices()] == [DEVICE]
    return course


def link_slow(lab: Lab, model: bytes) -> Course:
    """200 ms each way and 50 kB/s: nobody is lost for it."""
    link = lab.link()
    link.be(slow(0.2, 50_000))
    lab.start_agent(DEVICE, PLAIN, through=link)
    watch = Watch(lab, model)
    ids = lab.submit(model, count=3)
    course = watch.recovered(*ids)
    _tried_once(lab, ids)
    return course


def _tried_once(lab: Lab, job_ids: list[str]) -> None:
    failures = [a.failure.message for i in job_ids for a in lab.client.job(i).attempts if a.HasField("failure")]
    assert not failures, f"the link cost attempts: {failures}"


# ---------------------------------------------------------------------------------------------------- the orchestrator


def orchestrator_killed(lab: Lab, model: bytes) -> Course:
    """The orchestrator is killed while a job is measured, and started again by its service manager."""
    lab.start_agent(DEVICE, PLAIN)
    job_id = timing_job(lab, model)
    watch = Watch(lab, model)
    lab.restart_orchestrator()
    return watch.recovered(job_id)


FAULTS: tuple[Callable[[Lab, bytes], Course], ...] = (
    worker_killed,
    worker_crashes,
    worker_hangs,
    client_killed,
    agent_killed,
    agent_stopped,
    class_that_nobody_has,
    link_cut_while_idle,
    link_cut_while_measuring,
    link_cut_while_delivering,
    link_half_open,
    link_stalled,
    link_slow,
    link_flaps,
    orchestrator_killed,
)
