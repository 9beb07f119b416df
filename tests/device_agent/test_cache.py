"""Artifacts on the agent's disk."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import AsyncIterator, Callable, Dict, List

import pytest

from device_agent.cache import ArtifactCache
from device_agent.errors import MeasurementError
from protos.contract import digest_of_bytes
from protos.gauntlet.v1 import artifact_pb2, failure_pb2


class Origin:
    """Serves artifacts, and counts how often."""

    def __init__(self) -> None:
        self.contents: Dict[str, bytes] = {}
        self.downloads: List[str] = []

    def add(self, content: bytes) -> artifact_pb2.ArtifactRef:
        digest = digest_of_bytes(content)
        self.contents[digest] = content
        return artifact_pb2.ArtifactRef(digest=digest, size_bytes=len(content), name="x")

    async def download(self, digest: str) -> AsyncIterator[bytes]:
        self.downloads.append(digest)
        content = self.contents[digest]
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]


@pytest.fixture
def origin() -> Origin:
    return Origin()


async def test_an_artifact_is_fetched_once_and_kept_over_restarts(tmp_path: Path, origin: Origin) -> None:
    ref = origin.add(b"model" * 1000)
    for _ in range(2):
        cache = ArtifactCache(tmp_path, 10**6)
        for _ in range(2):
            async with cache.hold([ref, ref], origin.download) as paths:
                assert paths[ref.digest].read_bytes() == origin.contents[ref.digest]
    assert origin.downloads == [ref.digest]


async def test_a_damaged_file_is_fetched_again(tmp_path: Path, origin: Origin) -> None:
    ref = origin.add(b"model" * 1000)
    cache = ArtifactCache(tmp_path, 10**6)
    async with cache.hold([ref], origin.download) as paths:
        path = paths[ref.digest]
    path.write_bytes(b"rotten" * 900)
    async with cache.hold([ref], origin.download) as paths:
        assert path.read_bytes() == origin.contents[ref.digest]
    assert len(origin.downloads) == 2


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"X" + b[1:], lambda b: b""])
async def test_what_arrives_with_another_content_is_refused(
    tmp_path: Path, origin: Origin, damage: Callable[[bytes], bytes]
) -> None:
    ref = origin.add(b"model" * 1000)
    origin.contents[ref.digest] = damage(origin.contents[ref.digest])
    cache = ArtifactCache(tmp_path, 10**6)
    with pytest.raises(MeasurementError) as caught:
        async with cache.hold([ref], origin.download):
            pass
    assert caught.value.kind == failure_pb2.FAILURE_KIND_CORRUPT_ARTIFACT
    assert list(tmp_path.iterdir()) == []


async def test_the_least_recently_used_goes_first_and_what_is_in_use_stays(tmp_path: Path, origin: Origin) -> None:
    refs = [origin.add(bytes([n]) * 4000) for n in range(4)]
    cache = ArtifactCache(tmp_path, 10_000)
    async with cache.hold([refs[0]], origin.download):
        for ref in refs[1:]:
            async with cache.hold([ref], origin.download):
                pass
        assert {path.name for path in tmp_path.iterdir()} == {refs[0].digest, refs[3].digest}


async def test_what_cannot_fit_is_a_full_disk_with_a_remedy(tmp_path: Path, origin: Origin) -> None:
    cache = ArtifactCache(tmp_path, 1000)
    with pytest.raises(MeasurementError) as caught:
        async with cache.hold([origin.add(b"x" * 2000)], origin.download):
            pass
    assert caught.value.kind == failure_pb2.FAILURE_KIND_DISK_FULL
    assert "--cache-mb" in caught.value.remedy


async def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("device_agent.cache.os.replace", full)
    cache = ArtifactCache(tmp_path, 10**6)
    with pytest.raises(MeasurementError) as caught:
        async with cache.hold([origin.add(b"x" * 2000)], origin.download):
            pass
    assert caught.value.kind == failure_pb2.FAILURE_KIND_DISK_FULL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "a" * 63])
async def test_a_digest_that_is_none_never_becomes_a_path(tmp_path: Path, origin: Origin, digest: str) -> None:
    cache = ArtifactCache(tmp_path, 1000)
    with pytest.raises(MeasurementError, match="no digest"):
        async with cache.hold([artifact_pb2.ArtifactRef(digest=digest, size_bytes=1)], origin.download):
            pass
    assert origin.downloads == []


def test_interrupted_downloads_are_swept_up(tmp_path: Path) -> None:
    (tmp_path / ("a" * 64 + ".1234.part")).write_bytes(b"half")
    ArtifactCache(tmp_path, 1000)
    assert list(tmp_path.iterdir()) == []
