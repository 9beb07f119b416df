"""A device's leases: what the runner adds to a measurement, and when it asks for the device to be fit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import AsyncIterator, Callable, List, Optional, Sequence, Tuple

import pytest

from device_agent.cache import ArtifactCache
from device_agent.fitness.care import Care
from device_agent.fitness.history import Floor
from device_agent.runner import DeviceRunner
from protos import contract
from protos.gauntlet.v1 import agent_pb2, artifact_pb2, device_pb2, failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.fitness.fakes import FakePool

FLOOR = Floor(0.004, 6, "2026-01-02T03:04:05+00:00", "key")


class Log(Care):
    """Care and events that only write down what they hear."""

    def __init__(self, floor: Optional[Floor] = FLOOR) -> None:
        self.heard: List[str] = []
        self.fetched: List[str] = []
        self.rested = asyncio.Event()
        self.results: List[agent_pb2.JobFinished] = []
        self._floor = floor

    def rest(self) -> None:
        self.heard.append("rest")
        self.rested.set()

    async def before(self, spec: pb.MeasurementSpec, on_step: Callable[[str], None]) -> None:
        self.heard.append("before")

    def after(self, spec: pb.MeasurementSpec, lease_id: str) -> None:
        self.heard.append(f"after {lease_id}")

    def floor(self) -> Optional[Floor]:
        return self._floor

    def started(self, lease_id: str) -> None:
        pass

    def progress(self, lease_id: str, step: str) -> None:
        pass

    def finished(self, finished: agent_pb2.JobFinished, files: Optional[Path]) -> None:
        self.heard.append("finished")
        self.results.append(finished)


async def carried_out(
    folder: Path,
    spec: pb.MeasurementSpec,
    log: Log,
    pool: Optional[FakePool] = None,
    files: Sequence[agent_pb2.AttachedFile] = (),
) -> FakePool:
    async def download(digest: str) -> AsyncIterator[bytes]:
        log.fetched.append(digest)
        yield digest_of[digest]

    pool = pool or FakePool(1e-3)
    cache = ArtifactCache(folder / "cache", 10**6)
    description = device_pb2.DeviceDescription(device_id="pi")
    runner = DeviceRunner("a", description, pool, cache, download, log, log)  # type: ignore[arg-type]
    runner.accept(agent_pb2.Lease(lease_id="lease-1", job_id="job-1", device_id="pi", measurement=spec, files=files))
    await log.rested.wait()
    return pool


digest_of = {contract.digest_of_bytes(content): content for content in (b"A", b"B")}


def model(content: bytes) -> artifact_pb2.ArtifactRef:
    return artifact_pb2.ArtifactRef(digest=contract.digest_of_bytes(content), size_bytes=len(content))


def compared(b: bytes = b"B", floor: Optional[float] = None) -> pb.MeasurementSpec:
    return pb.MeasurementSpec(model=model(b"A"), comparison=pb.ComparisonSpec(model=model(b), noise_floor=floor))


async def test_a_result_is_remembered_before_anybody_hears_of_it(tmp_path: Path) -> None:
    log = Log()
    await carried_out(tmp_path, pb.MeasurementSpec(model=model(b"A"), latency=pb.LatencySpec()), log)
    assert log.heard == ["before", "after lease-1", "finished", "rest"]


async def test_a_failure_is_nothing_that_a_check_could_judge(tmp_path: Path) -> None:
    log = Log()
    spec = pb.MeasurementSpec(model=model(b"A"), latency=pb.LatencySpec())
    await carried_out(tmp_path, spec, log, FakePool("the worker was ended by SIGSEGV"))
    assert log.heard == ["before", "finished", "rest"]


async def test_a_comparison_without_a_noise_floor_gets_the_devices_and_says_so(tmp_path: Path) -> None:
    log = Log()
    pool = await carried_out(tmp_path, compared(), log)
    assert pool.asked[0][0].comparison.noise_floor == 0.004
    [remark] = log.results[0].result.provenance.remarks
    assert "measured on this device on 2026-01-02 03:04 UTC" in remark


@pytest.mark.parametrize(
    ("spec", "floor", "expected"),
    [
        (compared(floor=0.01), FLOOR, (True, 0.01)),
        (compared(floor=0.0), FLOOR, (True, 0.0)),
        # Compared with itself it measures the floor.
        (compared(b"A"), FLOOR, (False, 0.0)),
        (compared(), None, (False, 0.0)),
    ],
)
async def test_one_that_was_given_its_floor_or_finds_it_is_left_alone(
    spec: pb.MeasurementSpec, floor: Optional[Floor], expected: Tuple[bool, float], tmp_path: Path
) -> None:
    log = Log(floor)
    pool = await carried_out(tmp_path, spec, log)
    asked = pool.asked[0][0].comparison
    assert (asked.HasField("noise_floor"), asked.noise_floor) == expected
    assert not log.results[0].result.provenance.remarks


def attached(ref: artifact_pb2.ArtifactRef, content: bytes) -> agent_pb2.AttachedFile:
    return agent_pb2.AttachedFile(ref=ref, content=content)


async def test_what_came_with_the_lease_is_not_fetched_and_what_did_not_is(tmp_path: Path) -> None:
    log = Log()
    await carried_out(tmp_path, compared(), log, files=[attached(model(b"A"), b"A")])
    assert log.results[0].HasField("result")
    assert log.fetched == [model(b"B").digest]


async def test_a_file_that_came_damaged_with_the_lease_is_never_measured(tmp_path: Path) -> None:
    log = Log()
    spec = pb.MeasurementSpec(model=model(b"A"), latency=pb.LatencySpec())
    pool = await carried_out(tmp_path, spec, log, files=[attached(model(b"A"), b"X")])
    assert log.results[0].failure.kind == failure_pb2.FAILURE_KIND_CORRUPT_ARTIFACT
    assert not pool.asked


async def test_leases_ahead_wait_their_turn_and_one_that_is_taken_back_never_begins(tmp_path: Path) -> None:
    async def download(digest: str) -> AsyncIterator[bytes]:
        yield digest_of[digest]

    log, pool = Log(), FakePool(1e-3)
    pool.gate.clear()
    cache = ArtifactCache(tmp_path / "cache", 10**6)
    runner = DeviceRunner("a", device_pb2.DeviceDescription(device_id="pi"), pool, cache, download, log, log)  # type: ignore[arg-type]
    for lease_id, content in (("first", b"A"), ("taken back", b"B"), ("last", b"A")):
        spec = pb.MeasurementSpec(model=model(content), latency=pb.LatencySpec())
        runner.accept(agent_pb2.Lease(lease_id=lease_id, job_id="j", device_id="pi", measurement=spec))
    assert runner.held() == ["first", "taken back", "last"]
    await asyncio.sleep(0)  # the first begins, the others wait for it
    runner.cancel("taken back")
    pool.gate.set()
    await log.rested.wait()
    assert [finished.lease_id for finished in log.results] == ["first", "last"]
    assert [spec.model.digest for spec, _ in pool.asked] == [model(b"A").digest] * 2
