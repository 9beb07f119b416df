"""Uploads that lie, stop, crawl, never end or name a path."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.artifacts import ArtifactStore
from orchestrator.services import artifacts as service
from protos import contract
from protos.gauntlet.v1 import artifact_pb2, artifact_pb2_grpc

CONTENT = bytes(range(256)) * 1000
DIGEST = contract.digest_of_bytes(CONTENT)
ROOM = 1_000_000
PATHS = [
    "../../../../tmp/gotcha",
    "/tmp/gotcha",
    "..",
    "a/../../b",
    "\0",
    DIGEST.upper(),
    DIGEST + "\n",
    DIGEST[:63] + "/",
]
Upload = artifact_pb2.UploadArtifactRequest


@pytest.fixture
async def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "lab" / "artifacts", max_artifact_bytes=600_000, max_total_bytes=ROOM)


@pytest.fixture
async def address(store: ArtifactStore, tmp_path: Path) -> AsyncIterator[str]:
    """Of an artifact service that loses patience after a fifth of a second."""
    server = grpc.aio.server(options=contract.SERVER_OPTIONS)
    served = service.ArtifactService(store, pause_s=0.2)
    artifact_pb2_grpc.add_ArtifactServiceServicer_to_server(served, server)
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    yield f"unix:{tmp_path}/s"
    await server.stop(None)


@pytest.fixture
async def stub(address: str) -> AsyncIterator[artifact_pb2_grpc.ArtifactServiceStub]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield artifact_pb2_grpc.ArtifactServiceStub(channel)


def header(size_bytes: int = len(CONTENT), digest: str = DIGEST, **fields: str) -> Upload:
    return Upload(header=artifact_pb2.ArtifactRef(digest=digest, size_bytes=size_bytes, **fields))


def chunks(content: bytes = CONTENT, size: int = 100_000) -> list[Upload]:
    return [Upload(chunk=content[at : at + size]) for at in range(0, len(content), size)]


async def ended(address: str, messages: Iterable[Upload]) -> tuple[str, str]:
    """How an upload of these messages ended.

    In a thread: asyncio's client may lose the answer to a stream that ends while it still writes (grpc/grpc#36066).
    """

    def upload() -> tuple[str, str]:
        with grpc.insecure_channel(address) as channel:
            try:
                artifact_pb2_grpc.ArtifactServiceStub(channel).UploadArtifact(iter(messages), timeout=10)
            except grpc.RpcError as error:
                return error.code().name, (error.details() or "").splitlines()[0]
        return "OK", ""

    return await asyncio.to_thread(upload)


async def nothing_is_left(store: ArtifactStore, tmp_path: Path) -> None:
    assert [path for path in (tmp_path / "lab").rglob("*") if path.is_file()] == []
    assert await store.total_bytes() == 0
    (await store.begin(header(600_000).header), await store.begin(header(400_000).header))  # all the room is there


@pytest.mark.parametrize(
    ("messages", "code", "why"),
    [
        ([], "INVALID_ARGUMENT", "first message must be the header"),
        (chunks(), "INVALID_ARGUMENT", "first message must be the header"),
        ([header(), header()], "INVALID_ARGUMENT", "none of them empty"),
        ([header(), *[Upload(chunk=b"")] * 1000, *chunks()], "INVALID_ARGUMENT", "none of them empty"),
        ([header(1000), *chunks()], "RESOURCE_EXHAUSTED", "larger than its 1000 bytes"),
        ([header(0), *chunks()], "RESOURCE_EXHAUSTED", "larger than its 0 bytes"),
        ([header(300_000), *chunks()], "INVALID_ARGUMENT", "ended after 256000 of 300000"),
        ([header(digest="0" * 64), *chunks()], "INVALID_ARGUMENT", "has the digest"),
        ([header(700_000), *chunks()], "RESOURCE_EXHAUSTED", "takes 600000"),
        ([header(2**64 - 1), *chunks()], "RESOURCE_EXHAUSTED", "takes 600000"),
        *[([header(digest=path), *chunks()], "INVALID_ARGUMENT", "is no digest") for path in PATHS],
    ],
)
async def test_a_lie_is_refused_and_leaves_nothing(
    address: str,
    store: ArtifactStore,
    tmp_path: Path,
    messages: list[Upload],
    code: str,
    why: str,
) -> None:
    found = await ended(address, messages)
    assert found[0] == code
    assert why in found[1]
    await nothing_is_left(store, tmp_path)


async def test_names_and_media_types_are_never_paths(address: str, tmp_path: Path) -> None:
    hostile = header(name="../../name\x1b[2J", media_type="../../type")
    assert (await ended(address, [hostile, *chunks()]))[0] == "OK"
    assert [p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()] == [
        Path("lab/artifacts") / DIGEST[:2] / DIGEST
    ]


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_no_digest_is_neither_there_nor_sent(
    stub: artifact_pb2_grpc.ArtifactServiceStub, tmp_path: Path, path: str
) -> None:
    (tmp_path / "gotcha").write_text("secret")
    stat = await stub.StatArtifacts(artifact_pb2.StatArtifactsRequest(digests=[path, "../../gotcha"]))
    assert not stat.present
    for digest in (path, "../../gotcha"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.DownloadArtifact(artifact_pb2.DownloadArtifactRequest(digest=digest)).read()
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_an_empty_file_is_a_file(address: str, store: ArtifactStore) -> None:
    empty = contract.digest_of_bytes(b"")
    assert (await ended(address, [header(0, empty)]))[0] == "OK"
    assert [ref.size_bytes for ref in await store.stat([empty])] == [0]


@pytest.mark.parametrize("said", [[], [header()], [header(), chunks()[0]]], ids=["nothing", "a header", "a part"])
async def test_an_upload_that_stops_ends_and_gives_its_room_back(
    stub: artifact_pb2_grpc.ArtifactServiceStub, store: ArtifactStore, tmp_path: Path, said: list[Upload]
) -> None:
    call = stub.UploadArtifact(timeout=10)
    for message in said:
        await call.write(message)
    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "too slowly, or stopped" in await call.details()
    await nothing_is_left(store, tmp_path)


async def test_an_upload_that_crawls_ends(
    address: str, store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_UPLOAD_LEAST_BYTES_PER_S", 1e6)  # 256 kB: 0.2 s and a quarter

    def crawling() -> Iterator[Upload]:
        yield header()
        for byte in CONTENT[:200]:  # each within the pause, all of them 4 s
            yield Upload(chunk=bytes([byte]))
            time.sleep(0.02)

    code, why = await ended(address, crawling())
    assert (code, "too slowly, or stopped" in why) == ("DEADLINE_EXCEEDED", True)
    await nothing_is_left(store, tmp_path)


async def test_many_uploads_at_once_wait_for_their_turn_and_all_arrive(
    stub: artifact_pb2_grpc.ArtifactServiceStub, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way = most = 0
    begin = ArtifactStore.begin

    async def counting(self: ArtifactStore, ref: artifact_pb2.ArtifactRef) -> object:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        upload = await begin(self, ref)
        end = upload.finish

        async def finish() -> artifact_pb2.ArtifactRef:
            nonlocal under_way
            under_way -= 1
            return await end()

        upload.finish = finish  # type: ignore[method-assign]
        return upload

    monkeypatch.setattr(ArtifactStore, "begin", counting)
    contents = [bytes([n]) * 4000 for n in range(50)] * 2  # each twice: the same digest at the same time
    uploads = [[header(4000, contract.digest_of_bytes(content)), *chunks(content, 1000)] for content in contents]
    await asyncio.gather(*[stub.UploadArtifact(iter(messages), timeout=10) for messages in uploads])
    assert most <= 32
    assert await store.total_bytes() == 50 * 4000


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=3000), data=st.data())
async def test_however_it_is_cut_into_chunks_a_file_arrives_whole(
    store: ArtifactStore, content: bytes, data: st.DataObject
) -> None:
    ref = artifact_pb2.ArtifactRef(digest=contract.digest_of_bytes(content), size_bytes=len(content))
    async with await store.begin(ref) as upload:
        at = 0
        while at < len(content):
            size = data.draw(st.integers(1, len(content) - at))
            await upload.write(content[at : at + size])
            at += size
        await upload.finish()
    assert b"".join([chunk async for chunk in store.chunks(ref.digest)]) == content
