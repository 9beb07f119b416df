"""How the files of a result travel."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, List, Tuple

import pytest

from device_agent.session import Agent
from device_agent.spool import Spool
from protos import artifacts, contract
from protos.gauntlet.v1 import agent_pb2, artifact_pb2, device_pb2


class FakeUplink:
    """Takes uploads."""

    def __init__(self) -> None:
        self.uploaded: List[str] = []

    async def upload(self, files: Iterable[Tuple[artifact_pb2.ArtifactRef, Path]]) -> None:
        self.uploaded += [ref.digest for ref, path in files if path.is_file()]


@pytest.mark.parametrize(("count", "size", "attached"), [(3, 1000, 3), (2, 300_000, 0), (30, 250_000, 4)])
async def test_small_files_ride_along_as_long_as_they_are_few(
    tmp_path: Path, count: int, size: int, attached: int
) -> None:
    message = agent_pb2.JobFinished(lease_id="l1", job_id="j1", device_id="d1")
    files = tmp_path / "job-1"
    files.mkdir()
    for number in range(count):
        digest = f"{number:064x}"
        (files / digest).write_bytes(b"x" * size)
        message.result.latency.runs.add().raw_samples.CopyFrom(
            artifact_pb2.ArtifactRef(digest=digest, size_bytes=size, media_type="samples/latency")
        )
    spool, uplink = Spool(tmp_path / "spool"), FakeUplink()
    spool.put(message, files)
    agent = Agent(device_pb2.AgentDescription(), "epoch", uplink, spool, list)  # type: ignore[arg-type]
    await agent._send_files(message)
    assert len(message.files) == attached
    assert message.ByteSize() < contract.MAX_MESSAGE_BYTES / 2
    digests = [ref.digest for ref in artifacts.made(message.result)]
    assert [file.ref.digest for file in message.files] + uplink.uploaded == digests
