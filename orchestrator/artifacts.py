"""Content-addressed files in a folder: models, data sets, reference outputs, raw samples.

    root/ab/ab12…   a file, named by its SHA-256; its modification time is when it was last asked for
    root/part/      uploads under way; what a crash left there goes when the folder is opened

A file appears under its name whole, checked and on disk, or not at all. What a peer sends becomes part of a path only
if it is a well-formed digest.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from pathlib import Path
from typing import BinaryIO, Self

from protos.contract import CHUNK_BYTES, is_digest
from protos.gauntlet.v1 import artifact_pb2

#: Chunks of an upload are gathered until they are worth a visit to the disk; a small file is written in one go.
_BUFFER_BYTES = 1024 * 1024
_FEW = 16
#: The age from which a file that nobody needs may be evicted: time to submit the job that it was uploaded for.
DEFAULT_GRACE_S = 3600.0


class ArtifactError(Exception):
    """An artifact cannot be stored or had; the message is one line and says why."""


class TooLargeError(ArtifactError):
    """Larger than what is accepted, or than what its header said."""


class DigestMismatchError(ArtifactError):
    """The content is not what its name says."""


class NotFoundError(ArtifactError):
    """No such artifact."""


class NoSpaceError(ArtifactError):
    """The disk, or what the store may use of it, is full."""


async def _everything(present: Collection[str]) -> Collection[str]:
    return present


class ArtifactStore:
    """The files of one orchestrator. Methods are for the event loop; their I/O happens in threads.

    Args:
        root: made when it is not there; belongs to this object alone.
        max_artifact_bytes: of a single file.
        max_total_bytes: of all files together, uploads under way included.
        needed: given the digests present, those that must stay when room is made; by default all of them.
        grace_s: files younger than this are never evicted to make room.
        clock: Unix time.

    Raises:
        ArtifactError: the folder cannot be used.
    """

    def __init__(
        self,
        root: Path,
        max_artifact_bytes: int,
        max_total_bytes: int,
        *,
        needed: Callable[[Collection[str]], Awaitable[Collection[str]]] = _everything,
        grace_s: float = DEFAULT_GRACE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._parts = root / "part"
        self._max_artifact_bytes = max_artifact_bytes
        self._max_total_bytes = max_total_bytes
        self._needed = needed
        self._grace_s = grace_s
        self._clock = clock
        # Guards what follows, and the names of files: uploads end in threads.
        self._lock = threading.Lock()
        self._sizes: dict[str, int] = {}
        self._held_bytes = 0
        self._reserved_bytes = 0
        try:
            self._parts.mkdir(parents=True, exist_ok=True)
            for left_over in self._parts.iterdir():
                left_over.unlink()
            for path in self._root.glob("??/*"):
                if is_digest(path.name):
                    self._sizes[path.name] = path.stat().st_size
            self._held_bytes = sum(self._sizes.values())
        except OSError as e:
            raise ArtifactError(f"artifact folder {root} cannot be used: {e.strerror}") from e

    async def total_bytes(self) -> int:
        """Of all files, without uploads under way."""
        return self._held_bytes

    async def total_files(self) -> int:
        """All of them, without uploads under way."""
        return len(self._sizes)

    async def stat(self, digests: Iterable[str]) -> list[artifact_pb2.ArtifactRef]:
        """Digest and size of those present, in the order asked; each counts as asked for now."""
        asked = list(digests)
        if len(asked) <= _FEW:
            return self._stat(asked)  # microseconds, less than the way to a thread and back
        return await asyncio.to_thread(self._stat, asked)

    def _stat(self, digests: list[str]) -> list[artifact_pb2.ArtifactRef]:
        present = []
        now = self._clock()
        for digest in digests:
            if not is_digest(digest):
                continue
            path = self._path(digest)
            try:
                # Under the lock, so that what is said to be here is not evicted at the same moment.
                with self._lock:
                    os.utime(path, (now, now))
                    size_bytes = path.stat().st_size
            except FileNotFoundError:
                continue
            present.append(artifact_pb2.ArtifactRef(digest=digest, size_bytes=size_bytes))
        return present

    async def begin(self, ref: artifact_pb2.ArtifactRef) -> Upload:
        """Make room for a file of `ref`'s size; end what you get with `finish` or `abort`.

        Raises:
            DigestMismatchError: `ref` has no well-formed digest.
            TooLargeError: larger than what is accepted.
            NoSpaceError: the store is full of what is needed.
        """
        if not is_digest(ref.digest):
            raise DigestMismatchError(f"{ref.digest[:80]!r} is no digest: give the SHA-256 as 64 lower-case hex digits")
        if ref.size_bytes > self._max_artifact_bytes:
            raise TooLargeError(
                f"artifact {_called(ref)} has {ref.size_bytes} bytes; the orchestrator takes {self._max_artifact_bytes}"
            )
        if not self._reserve(ref.size_bytes):
            await self._make_room(ref.size_bytes)
            if not self._reserve(ref.size_bytes):
                raise NoSpaceError(
                    f"no room for artifact {_called(ref)} of {ref.size_bytes} bytes: the store may hold "
                    f"{self._max_total_bytes} bytes, and what it holds is needed"
                )
        return Upload(self, ref)

    async def put(self, ref: artifact_pb2.ArtifactRef, content: bytes) -> None:
        """Keep a small file that is at hand.

        It outlives the process; unlike an upload it is not flushed, so that a power failure may take it back. It is
        written here and now: a visit to the page cache is shorter than the way to a thread and back.

        Raises:
            ArtifactError: as `begin` and `Upload.finish`.
        """
        upload = await self.begin(ref)
        upload.write_whole(content)

    def read_small(self, digest: str, most_bytes: int) -> bytes | None:
        """The content of a small file, read here and now and not compared with its digest: whoever gets it does that.

        Returns:
            None when it is not here, or larger than `most_bytes`.
        """
        if self._sizes.get(digest, most_bytes + 1) > most_bytes:
            return None
        try:
            return self._path(digest).read_bytes()
        except OSError:
            return None  # a later fetch says why

    async def chunks(self, digest: str, offset_bytes: int = 0) -> AsyncIterator[bytes]:
        """The content from an offset on.

        A whole read checks the digest on the way: a damaged file is removed, so that it can be uploaded again, and
        the read ends with an error instead of its regular end.

        Raises:
            NotFoundError: no such artifact.
            DigestMismatchError: the file is damaged.
            ArtifactError: the offset lies behind the end.
        """
        file = await asyncio.to_thread(self._open, digest, offset_bytes)
        sha = hashlib.sha256()
        try:
            while chunk := await asyncio.to_thread(_read, file, sha):
                yield chunk
        finally:
            file.close()
        if offset_bytes == 0 and sha.hexdigest() != digest:
            await asyncio.to_thread(self._remove, digest)
            raise DigestMismatchError(f"artifact {digest[:12]} was damaged on disk and is removed: upload it again")

    def _open(self, digest: str, offset_bytes: int) -> BinaryIO:
        if not is_digest(digest):
            raise NotFoundError(f"{digest[:80]!r} is no digest, so no artifact has it")
        try:
            file = self._path(digest).open("rb")
        except FileNotFoundError as e:
            raise NotFoundError(
                f"no artifact {digest[:12]}: it was never uploaded, or removed as no job needed it"
            ) from e
        size_bytes = os.fstat(file.fileno()).st_size
        if offset_bytes > size_bytes:
            file.close()
            raise ArtifactError(f"artifact {digest[:12]} has {size_bytes} bytes: nothing at offset {offset_bytes}")
        file.seek(offset_bytes)
        now = self._clock()
        os.utime(file.fileno(), (now, now))
        return file

    async def collect(self, needed: Collection[str], older_than_s: float) -> int:
        """Remove what is not needed and was last asked for longer ago than `older_than_s`; return how many."""
        return await asyncio.to_thread(self._evict, needed, older_than_s, None)

    async def _make_room(self, size_bytes: int) -> None:
        with self._lock:
            present = frozenset(self._sizes)
        needed = await self._needed(present)
        await asyncio.to_thread(self._evict, needed, self._grace_s, size_bytes)

    def _evict(self, needed: Collection[str], older_than_s: float, room_for_bytes: int | None) -> int:
        """Those longest unused first; until there is room, or all that may go."""
        with self._lock:
            candidates = [digest for digest in self._sizes if digest not in needed]
        latest = self._clock() - older_than_s
        removed = 0
        for _, digest in sorted((self._used_at(digest), digest) for digest in candidates):
            if room_for_bytes is not None and self._fits(room_for_bytes):
                break
            with self._lock:
                # Read again: it may have been asked for since.
                if self._used_at(digest) <= latest:
                    self._unlink(digest)
                    removed += 1
        return removed

    def _used_at(self, digest: str) -> float:
        try:
            return self._path(digest).stat().st_mtime
        except FileNotFoundError:
            # Somebody removed it by hand: the books have to learn it.
            return 0.0

    def _remove(self, digest: str) -> None:
        with self._lock:
            self._unlink(digest)

    def _unlink(self, digest: str) -> None:
        self._path(digest).unlink(missing_ok=True)
        self._held_bytes -= self._sizes.pop(digest, 0)

    def _path(self, digest: str) -> Path:
        assert is_digest(digest)
        return self._root / digest[:2] / digest

    def _fits(self, size_bytes: int) -> bool:
        return self._held_bytes + self._reserved_bytes + size_bytes <= self._max_total_bytes

    def _reserve(self, size_bytes: int) -> bool:
        with self._lock:
            if not self._fits(size_bytes):
                return False
            self._reserved_bytes += size_bytes
            return True

    def new_part(self) -> Path:
        """A fresh file name for an upload, on the same file system as the finished files."""
        return self._parts / uuid.uuid4().hex

    def release(self, size_bytes: int) -> None:
        """Take back a reservation."""
        with self._lock:
            self._reserved_bytes -= size_bytes

    def adopt(self, part: Path, ref: artifact_pb2.ArtifactRef, durable: bool) -> None:
        """Give a complete and checked upload its name."""
        path = self._path(ref.digest)
        is_first = not path.parent.exists()
        path.parent.mkdir(exist_ok=True)
        now = self._clock()
        os.utime(part, (now, now))
        with self._lock:
            # Also over a file of that name: they are equal, unless the old one is damaged.
            part.replace(path)
            self._held_bytes += ref.size_bytes - self._sizes.get(ref.digest, 0)
            self._sizes[ref.digest] = ref.size_bytes
        if durable:
            _flush_folder(path.parent)
            if is_first:
                _flush_folder(self._root)


class Upload:
    """A file on its way in. As a context manager it is aborted unless it was finished."""

    def __init__(self, store: ArtifactStore, ref: artifact_pb2.ArtifactRef) -> None:
        self._store = store
        self._ref = artifact_pb2.ArtifactRef(digest=ref.digest, size_bytes=ref.size_bytes, name=ref.name)
        self._part = store.new_part()
        self._file: BinaryIO | None = None
        self._sha = hashlib.sha256()
        self._received_bytes = 0
        # Joined as they come: a list of a million chunks of one byte each would take fifty times their size.
        self._buffer = bytearray()
        self._ended = False
        # A cancelled call leaves its thread behind: what comes after has to wait for it.
        self._lock = threading.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._ended:
            await self.abort()

    async def write(self, chunk: bytes) -> None:
        """Take the next chunk.

        Raises:
            TooLargeError: more than the header said.
            NoSpaceError: the disk is full.
        """
        self._received_bytes += len(chunk)
        if self._received_bytes > self._ref.size_bytes:
            raise TooLargeError(f"artifact {_called(self._ref)} is larger than its {self._ref.size_bytes} bytes")
        self._buffer += chunk
        if len(self._buffer) >= _BUFFER_BYTES:
            await asyncio.to_thread(self._in_thread, self._flush)

    def write_whole(self, content: bytes) -> None:
        """All of a small file at once, in the caller's thread, without a flush to disk."""
        self._received_bytes = len(content)
        self._buffer += content
        self._in_thread(lambda: self._finish(durable=False))

    async def finish(self) -> artifact_pb2.ArtifactRef:
        """Check size and digest, and keep the file; it is on disk when this returns.

        Raises:
            DigestMismatchError: the content is not what the header said.
            NoSpaceError: the disk is full.
        """
        await asyncio.to_thread(self._in_thread, self._finish)
        return artifact_pb2.ArtifactRef(digest=self._ref.digest, size_bytes=self._ref.size_bytes)

    async def abort(self) -> None:
        """Forget it; nothing happens if it is finished."""
        if not self._ended:
            await asyncio.to_thread(self._in_thread, self._end)

    def _in_thread(self, do: Callable[[], None]) -> None:
        with self._lock:
            try:
                do()
            except OSError as e:
                self._end()
                if e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise NoSpaceError(f"no room for artifact {_called(self._ref)}: {e.strerror}") from e
                raise ArtifactError(f"artifact {_called(self._ref)} cannot be stored: {e.strerror}") from e
            except ArtifactError:
                self._end()
                raise

    def _flush(self) -> None:
        if self._ended:
            raise ArtifactError(f"the upload of artifact {_called(self._ref)} has ended")
        if self._file is None:
            self._file = self._part.open("xb", buffering=0)
        # What comes in during this call belongs to the next one.
        buffer, self._buffer = self._buffer, bytearray()
        self._sha.update(buffer)
        view = memoryview(buffer)
        while view:
            view = view[self._file.write(view) :]

    def _finish(self, durable: bool = True) -> None:
        self._flush()
        assert self._file is not None
        if self._received_bytes != self._ref.size_bytes:
            raise DigestMismatchError(
                f"artifact {_called(self._ref)} ended after {self._received_bytes} of {self._ref.size_bytes} bytes"
            )
        if self._sha.hexdigest() != self._ref.digest:
            raise DigestMismatchError(
                f"artifact {_called(self._ref)} has the digest {self._sha.hexdigest()}, not {self._ref.digest}"
            )
        if durable:
            os.fsync(self._file.fileno())
        self._store.adopt(self._part, self._ref, durable)
        self._end()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._buffer = bytearray()
        if self._file is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)
        self._store.release(self._ref.size_bytes)


def _called(ref: artifact_pb2.ArtifactRef) -> str:
    return f"{ref.digest[:12]} ({ref.name[:80]})" if ref.name else ref.digest[:12]


def _read(file: BinaryIO, sha: hashlib._Hash) -> bytes:
    chunk = file.read(CHUNK_BYTES)
    sha.update(chunk)
    return chunk


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
