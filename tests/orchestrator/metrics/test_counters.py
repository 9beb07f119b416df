"""What is counted as jobs go by."""

from __future__ import annotations

from orchestrator import jobs
from orchestrator.counters import MOST_CLASSES, OTHER_CLASSES, Counters, kind_label
from orchestrator.store.base import Applied, SuspectJob
from protos.gauntlet.v1 import failure_pb2
from tests.orchestrator.lab import device

LOST = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_DEVICE_LOST)


class Journey:
    """A job that goes through events at given times."""

    def __init__(self) -> None:
        self.now = 100.0
        self.counters = Counters(lambda: self.now)
        self.job = jobs.Job("j")
        self.counters._since["j"] = self.now

    def take(self, event: jobs.Event, at: float) -> None:
        self.now = at
        after = jobs.step(self.job, event)
        self.counters.applied(event, Applied(self.job, after.job, after.verdict), 0.0)
        self.job = after.job

    def read(self, name: str, **labels: str) -> float | None:
        return self.counters.registry.get_sample_value(name, labels)


def test_a_kind_of_failure_from_a_newer_agent_has_a_name() -> None:
    assert kind_label(failure_pb2.FAILURE_KIND_OUT_OF_MEMORY) == "out_of_memory"
    assert kind_label(999) == "unknown"


def test_a_second_measurement_of_a_suspect_result_is_a_job_too() -> None:
    counters = Counters()
    counters.repeated([SuspectJob("j1", "j2"), SuspectJob("j2", None)])
    assert counters.registry.get_sample_value("gauntlet_jobs_submitted_total") == 1


def test_waits_are_measured_from_the_queue_to_each_lease() -> None:
    journey = Journey()
    journey.take(jobs.Leased("l1", "d1"), 103.0)
    journey.take(jobs.Failed("l1", LOST), 113.0)
    journey.take(jobs.Leased("l2", "d2"), 120.0)
    journey.take(jobs.Started("l2"), 121.0)
    journey.take(jobs.Succeeded("l2"), 125.0)
    journey.take(jobs.Failed("l1", failure_pb2.Failure(message="late")), 130.0)
    assert journey.read("gauntlet_job_wait_seconds_sum") == 3 + 7
    assert journey.read("gauntlet_job_held_seconds_sum", outcome="again") == 10
    assert journey.read("gauntlet_job_held_seconds_sum", outcome="succeeded") == 5
    assert journey.read("gauntlet_failures_total", kind="device_lost", blame="device", final="false") == 1
    assert journey.read("gauntlet_results_superseded_total") == 1
    assert journey.counters._since == {}


def test_a_measurement_lasts_from_its_begin_to_what_the_device_says_of_it() -> None:
    journey = Journey()
    journey.counters.know([device("d1", "pi4"), device("d2", "pi5")])
    journey.take(jobs.Leased("l1", "d1"), 103.0)
    journey.take(jobs.Started("l1"), 104.0)
    journey.take(jobs.Failed("l1", failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_INTERNAL)), 110.0)
    journey.take(jobs.Leased("l2", "d2"), 120.0)
    journey.take(jobs.Started("l2"), 121.0)
    journey.take(jobs.Succeeded("l2"), 125.0)
    assert journey.read("gauntlet_measurement_seconds_sum", device_class="pi4") == 6
    assert journey.read("gauntlet_measurement_seconds_sum", device_class="pi5") == 4
    assert journey.counters._measured_since == {}


def test_how_long_nobody_noticed_that_a_device_was_lost_is_no_measurement() -> None:
    journey = Journey()
    journey.counters.know([device("d1", "pi4")])
    journey.take(jobs.Leased("l1", "d1"), 103.0)
    journey.take(jobs.Started("l1"), 104.0)
    journey.take(jobs.Failed("l1", LOST), 900.0)
    journey.take(jobs.Leased("l2", "d1"), 901.0)
    journey.take(jobs.Started("l2"), 902.0)
    journey.take(jobs.Cancelled("by a user"), 903.0)
    assert journey.read("gauntlet_measurement_seconds_sum", device_class="pi4") is None
    assert journey.counters._measured_since == {}


def test_series_grow_with_classes_of_devices_and_not_with_devices() -> None:
    counters = Counters()

    def series_with(names: list[str]) -> int:
        counters.know([device(f"{name}-{number}", name) for name in names for number in range(50)])
        for name in names:
            for number in range(50):
                held = jobs.Job("j", attempts=(jobs.Attempt("l", f"{name}-{number}"),), state=jobs.State.RUNNING)
                counters.applied(jobs.Started("l"), Applied(held, held, "applied"), 0.0)
                done = jobs.step(held, jobs.Succeeded("l")).job
                counters.applied(jobs.Succeeded("l"), Applied(held, done, "applied"), 0.0)
        samples = [sample.name for family in counters.registry.collect() for sample in family.samples]
        return len([name for name in samples if not name.endswith("_created")])  # those are not served

    none, one, two = series_with([]), series_with(["pi4"]), series_with(["pi4", "pi5"])
    assert one - none == two - one == 13  # buckets, the last of them, sum and count
    full = series_with([f"made-up-{number}" for number in range(MOST_CLASSES + 10)])
    assert full - none == 13 * (MOST_CLASSES + 1)
    assert (
        counters.registry.get_sample_value("gauntlet_measurement_seconds_count", {"device_class": OTHER_CLASSES})
        == 50 * 12
    )
