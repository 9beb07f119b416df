"""Content-addressed files: whole, checked and within bounds, or not at all."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from orchestrator.artifacts import (
    ArtifactError,
    ArtifactStore,
    DigestMismatchError,
    NoSpaceError,
    NotFoundError,
    TooLargeError,
)
from protos.contract import CHUNK_BYTES, digest_of_bytes
from protos.gauntlet.v1 import artifact_pb2

LARGE = bytes(range(256)) * 20_000  # several chunks, several visits to the disk


def ref_of(data: bytes) -> artifact_pb2.ArtifactRef:
    return artifact_pb2.ArtifactRef(digest=digest_of_bytes(data), size_bytes=len(data), name="net.tflite")


async def upload(store: ArtifactStore, data: bytes, ref: artifact_pb2.ArtifactRef | None = None) -> str:
    async with await store.begin(ref or ref_of(data)) as incoming:
        for start in range(0, len(data), CHUNK_BYTES):
            await incoming.write(data[start : start + CHUNK_BYTES])
        return (await incoming.finish()).digest


async def download(store: ArtifactStore, digest: str, offset_bytes: int = 0) -> bytes:
    return b"".join([chunk async for chunk in store.chunks(digest, offset_bytes)])


def files_in(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def store(root: Path, clock: Callable[[], float]) -> ArtifactStore:
    return ArtifactStore(root, max_artifact_bytes=10_000_000, max_total_bytes=30_000_000, clock=clock)


@pytest.mark.parametrize("data", [b"", b"a", b"x" * CHUNK_BYTES, LARGE], ids=["empty", "byte", "chunk", "large"])
async def test_what_goes_in_comes_out(store: ArtifactStore, root: Path, data: bytes) -> None:
    digest = await upload(store, data)
    assert await download(store, digest) == data
    assert await download(store, digest, len(data) // 2) == data[len(data) // 2 :]
    assert await download(store, digest, len(data)) == b""
    assert files_in(root) == [root / digest[:2] / digest]
    assert await store.total_bytes() == len(data)


async def test_it_is_there_after_a_restart(store: ArtifactStore, root: Path) -> None:
    digest = await upload(store, LARGE)
    store = ArtifactStore(root, 10_000_000, 30_000_000)
    assert await download(store, digest) == LARGE
    assert await store.total_bytes() == len(LARGE)


async def test_a_second_upload_changes_nothing(store: ArtifactStore) -> None:
    assert await upload(store, b"model") == await upload(store, b"model")
    assert await store.total_bytes() == 5


async def test_many_uploads_of_one_file_at_once_are_one_file(store: ArtifactStore, root: Path) -> None:
    await asyncio.gather(*(upload(store, LARGE) for _ in range(4)))
    assert len(files_in(root)) == 1
    assert await store.total_bytes() == len(LARGE)


async def test_stat_names_those_present_in_the_order_asked(store: ArtifactStore) -> None:
    first, second = await upload(store, b"first"), await upload(store, b"second!")
    present = await store.stat([second, "f" * 64, "../../etc/passwd", first])
    assert [(ref.digest, ref.size_bytes) for ref in present] == [(second, 7), (first, 5)]


# Refusals.


@pytest.mark.parametrize("digest", ["", "..", "../../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
async def test_what_is_no_digest_never_becomes_a_path(store: ArtifactStore, root: Path, digest: str) -> None:
    with pytest.raises(DigestMismatchError, match="no digest"):
        await store.begin(artifact_pb2.ArtifactRef(digest=digest, size_bytes=1))
    with pytest.raises(NotFoundError):
        await download(store, digest)
    assert files_in(root) == []


async def test_a_file_over_the_limit_is_refused_before_it_is_sent(store: ArtifactStore) -> None:
    with pytest.raises(TooLargeError, match="10000001 bytes; the orchestrator takes 10000000"):
        await store.begin(artifact_pb2.ArtifactRef(digest="a" * 64, size_bytes=10_000_001))


async def test_more_than_the_header_said_is_refused_while_it_comes(store: ArtifactStore, root: Path) -> None:
    ref = ref_of(LARGE)
    ref.size_bytes -= 1
    with pytest.raises(TooLargeError, match=r"net\.tflite"):
        await upload(store, LARGE, ref)
    assert files_in(root) == []


@pytest.mark.parametrize("data", [b"models", LARGE[:-1] + b"!"], ids=["small", "large"])
async def test_another_content_is_refused_and_not_kept(store: ArtifactStore, root: Path, data: bytes) -> None:
    ref = ref_of(data[:-1] + b"?")
    with pytest.raises(DigestMismatchError, match="has the digest"):
        await upload(store, data, ref)
    assert files_in(root) == []
    assert await store.stat([ref.digest]) == []


async def test_an_upload_that_ends_early_is_refused(store: ArtifactStore, root: Path) -> None:
    with pytest.raises(DigestMismatchError, match="after 5 of 6 bytes"):
        await upload(store, b"model", ref_of(b"models"))
    assert files_in(root) == []


async def test_an_abandoned_upload_leaves_nothing_and_gives_its_room_back(store: ArtifactStore, root: Path) -> None:
    for _ in range(10):
        async with await store.begin(ref_of(LARGE)) as incoming:
            await incoming.write(LARGE[:3_000_000])
            assert len(files_in(root)) == 1
    assert files_in(root) == []
    await upload(store, LARGE)


async def test_an_upload_cancelled_in_the_middle_leaves_nothing(store: ArtifactStore, root: Path) -> None:
    has_written = asyncio.Event()

    async def endless() -> None:
        async with await store.begin(ref_of(LARGE)) as incoming:
            await incoming.write(LARGE[:2_000_000])
            has_written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(endless())
    await has_written.wait()
    assert len(files_in(root)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files_in(root) == []


async def test_what_has_ended_takes_no_more(store: ArtifactStore) -> None:
    incoming = await store.begin(ref_of(b"model"))
    await incoming.abort()
    with pytest.raises(ArtifactError, match="has ended"):
        await incoming.finish()


async def test_left_overs_of_a_crash_go_at_the_next_start(store: ArtifactStore, root: Path) -> None:
    incoming = await store.begin(ref_of(LARGE))
    await incoming.write(LARGE[:2_000_000])
    assert len(files_in(root)) == 1
    ArtifactStore(root, 10_000_000, 30_000_000)
    assert files_in(root) == []
    await incoming.abort()


async def test_an_offset_behind_the_end_is_refused(store: ArtifactStore) -> None:
    digest = await upload(store, b"model")
    with pytest.raises(ArtifactError, match="5 bytes: nothing at offset 6"):
        await download(store, digest, 6)


async def test_a_file_that_is_not_there_is_not_found(store: ArtifactStore) -> None:
    with pytest.raises(NotFoundError, match="no artifact ffffffffffff"):
        await download(store, "f" * 64)


def test_a_root_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="cannot be used"):
        ArtifactStore(tmp_path / "file" / "artifacts", 1, 1)


# Damage.


async def test_a_damaged_file_ends_in_an_error_and_can_be_uploaded_again(store: ArtifactStore, root: Path) -> None:
    digest = await upload(store, LARGE)
    with (root / digest[:2] / digest).open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"damage")
    with pytest.raises(DigestMismatchError, match="damaged"):
        await download(store, digest)
    assert await store.stat([digest]) == []
    assert await store.total_bytes() == 0
    await upload(store, LARGE)
    assert await download(store, digest) == LARGE


async def test_a_truncated_file_goes_and_the_others_stay(store: ArtifactStore, root: Path) -> None:
    sound, truncated = await upload(store, b"sound"), await upload(store, b"truncated")
    os.truncate(root / truncated[:2] / truncated, 3)
    assert await download(store, sound) == b"sound"
    with pytest.raises(DigestMismatchError):
        await download(store, truncated)
    assert await store.stat([sound, truncated]) == [artifact_pb2.ArtifactRef(digest=sound, size_bytes=5)]


# Room.


async def test_a_collection_removes_what_is_old_and_not_needed(store: ArtifactStore, clock: Any) -> None:
    needed, old = await upload(store, b"needed"), await upload(store, b"old")
    clock.advance(100)
    fresh = await upload(store, b"fresh")
    assert await store.collect({needed}, older_than_s=50) == 1
    assert {ref.digest for ref in await store.stat([needed, old, fresh])} == {needed, fresh}
    assert await store.total_bytes() == len(b"needed") + len(b"fresh")


async def test_what_was_asked_for_lately_is_young(store: ArtifactStore, clock: Any) -> None:
    digest = await upload(store, b"model")
    clock.advance(100)
    await store.stat([digest])
    assert await store.collect(set(), older_than_s=50) == 0


async def test_a_file_removed_by_hand_is_noticed(store: ArtifactStore, root: Path) -> None:
    digest = await upload(store, b"model")
    (root / digest[:2] / digest).unlink()
    assert await store.stat([digest]) == []
    await store.collect(set(), older_than_s=50)
    assert await store.total_bytes() == 0


async def test_room_is_made_from_what_is_longest_unused_and_not_needed(root: Path, clock: Any) -> None:
    needed: set[str] = set()

    async def ask_for_needed(present: Collection[str]) -> Collection[str]:
        return needed

    store = ArtifactStore(root, 10, 30, needed=ask_for_needed, grace_s=50, clock=clock)
    digests = []
    for letter in b"abc":
        clock.advance(100)
        digests.append(await upload(store, bytes([letter]) * 10))
    a, b, c = digests
    needed.add(a)
    clock.advance(100)
    d = await upload(store, b"d" * 10)
    assert {ref.digest for ref in await store.stat([a, b, c, d])} == {a, c, d}
    # Now all are young: stat asked for them.
    with pytest.raises(NoSpaceError, match="may hold 30 bytes"):
        await upload(store, b"e" * 10)
    assert await store.total_bytes() == 30


async def test_uploads_under_way_count(root: Path) -> None:
    store = ArtifactStore(root, 10, 15)
    first = await store.begin(ref_of(b"a" * 10))
    with pytest.raises(NoSpaceError):
        await store.begin(ref_of(b"b" * 10))
    await first.abort()
    await upload(store, b"b" * 10)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_said_and_leaves_nothing(
    store: ArtifactStore, root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(NoSpaceError, match=os.strerror(number)):
            await upload(store, LARGE)
    assert files_in(root) == []
    assert await store.total_bytes() == 0
    await upload(store, LARGE)


async def test_a_small_file_is_kept_at_once_and_checked_like_any_other(store: ArtifactStore) -> None:
    content = b"samples"
    ref = artifact_pb2.ArtifactRef(digest=digest_of_bytes(content), size_bytes=len(content))
    await store.put(ref, content)
    assert b"".join([chunk async for chunk in store.chunks(ref.digest)]) == content
    with pytest.raises(DigestMismatchError):
        await store.put(artifact_pb2.ArtifactRef(digest="0" * 64, size_bytes=len(content)), content)
    with pytest.raises(DigestMismatchError):
        await store.put(artifact_pb2.ArtifactRef(digest=ref.digest, size_bytes=99), content)
    assert await store.total_bytes() == len(content)
