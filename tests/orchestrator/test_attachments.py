"""Small files travel with the first lease that needs them, and only with that."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import attachments
from orchestrator.artifacts import ArtifactStore
from orchestrator.attachments import FILE_BYTES, TOGETHER_BYTES, Attachments
from orchestrator.registry import Session
from protos import contract
from protos.gauntlet.v1 import artifact_pb2, device_pb2, measurement_pb2


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts", 10**8, 10**8)


def session() -> Session:
    return Session(device_pb2.AgentDescription(agent_id="a"), "1-x", 0.0)


async def put(artifacts: ArtifactStore, content: bytes) -> artifact_pb2.ArtifactRef:
    ref = artifact_pb2.ArtifactRef(digest=contract.digest_of_bytes(content), size_bytes=len(content))
    await artifacts.put(ref, content)
    return ref


def compared(a: artifact_pb2.ArtifactRef, b: artifact_pb2.ArtifactRef) -> measurement_pb2.MeasurementSpec:
    return measurement_pb2.MeasurementSpec(model=a, comparison=measurement_pb2.ComparisonSpec(model=b))


async def test_each_session_is_sent_a_file_once(artifacts: ArtifactStore) -> None:
    sent = Attachments(artifacts)
    one, other = session(), session()
    spec = measurement_pb2.MeasurementSpec(model=await put(artifacts, b"model"))
    assert [file.content for file in sent.of(one, spec)] == [b"model"]
    assert sent.of(one, spec) == []
    assert [file.content for file in sent.of(other, spec)] == [b"model"]


async def test_what_is_large_or_not_here_is_left_to_be_fetched(artifacts: ArtifactStore) -> None:
    large = await put(artifacts, b"l" * (FILE_BYTES + 1))
    absent = artifact_pb2.ArtifactRef(digest="0" * 64, size_bytes=1)
    assert Attachments(artifacts).of(session(), compared(large, absent)) == []


async def test_a_file_that_vanished_from_the_disk_is_left_to_be_fetched(
    artifacts: ArtifactStore, tmp_path: Path
) -> None:
    ref = await put(artifacts, b"model")
    (tmp_path / "artifacts" / ref.digest[:2] / ref.digest).unlink()
    assert Attachments(artifacts).of(session(), measurement_pb2.MeasurementSpec(model=ref)) == []


async def test_all_files_of_a_lease_stay_far_below_the_limit_of_a_message(artifacts: ArtifactStore) -> None:
    assert TOGETHER_BYTES + FILE_BYTES < contract.MAX_MESSAGE_BYTES
    refs = [await put(artifacts, bytes([n]) * FILE_BYTES) for n in range(3)]
    spec = compared(refs[0], refs[1])
    spec.output_check.reference.CopyFrom(refs[2])
    files = Attachments(artifacts).of(session(), spec)
    assert sum(len(file.content) for file in files) == TOGETHER_BYTES


async def test_what_was_forgotten_is_sent_again(artifacts: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "REMEMBERED", 2)
    sent, peer = Attachments(artifacts), session()
    specs = [measurement_pb2.MeasurementSpec(model=await put(artifacts, bytes([n]))) for n in range(3)]
    assert [len(sent.of(peer, spec)) for spec in [*specs, specs[2], specs[0]]] == [1, 1, 1, 0, 1]
