"""Artifacts on the agent's disk: fetched by digest, checked, kept while there is room."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import secrets
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import AsyncIterator, Callable, Dict, Iterable, Iterator, List, Tuple

from device_agent.errors import MeasurementError
from protos import contract
from protos.gauntlet.v1 import artifact_pb2, failure_pb2

#: Fetches an artifact's bytes, in order.
Download = Callable[[str], AsyncIterator[bytes]]

#: What tells that a file is still the one that was checked.
Stamp = Tuple[int, int, int]


class ArtifactCache:
    """A folder of files named by their digest, bounded in size; the least recently used go first.

    Args:
        root: the folder; leftovers of interrupted downloads are removed.
        cap_bytes: most that it may hold. What running jobs use is never removed.
    """

    def __init__(self, root: Path, cap_bytes: int) -> None:
        self._root = root
        self._cap_bytes = cap_bytes
        self._checked: Dict[str, Stamp] = {}
        self._in_use: Dict[str, int] = {}
        self._locks: Dict[str, asyncio.Lock] = {}
        root.mkdir(parents=True, exist_ok=True)
        for leftover in root.glob("*.part"):
            leftover.unlink()
        # Counted once; the folder is looked through only when it may be full.
        self._held_bytes = sum(path.stat().st_size for path in self._files())

    @asynccontextmanager
    async def hold(
        self, refs: Iterable[artifact_pb2.ArtifactRef], download: Download
    ) -> AsyncIterator[Dict[str, Path]]:
        """Paths of these artifacts by digest, fetched where needed, kept while the context lasts.

        Raises:
            MeasurementError: corrupt artifact, or disk full.
        """
        async with AsyncExitStack() as stack:
            paths = {}
            for ref in {ref.digest: ref for ref in refs}.values():
                stack.enter_context(self._using(ref.digest))
                paths[ref.digest] = await self._get(ref, download)
            yield paths

    async def _get(self, ref: artifact_pb2.ArtifactRef, download: Download) -> Path:
        if not contract.is_digest(ref.digest):
            raise MeasurementError(failure_pb2.FAILURE_KIND_CORRUPT_ARTIFACT, f"{ref.digest[:80]!r} is no digest")
        path = self._root / ref.digest
        async with self._locks.setdefault(ref.digest, asyncio.Lock()):
            if not self._is_checked(path) and not (path.exists() and await asyncio.to_thread(self._is_sound, path)):
                await self._fetch(ref, path, download)
        with contextlib.suppress(OSError):
            # Recently used. The time of change stays: it tells that the content was checked.
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        return path

    def _is_checked(self, path: Path) -> bool:
        """Was the content compared with the name, and is the file untouched since?"""
        try:
            return self._checked.get(path.name) == _stamp(path)
        except FileNotFoundError:
            return False

    def _is_sound(self, path: Path) -> bool:
        """Is the file there, with the content that its name promises? One that is not goes."""
        try:
            stamp = _stamp(path)
            if contract.digest_of_file(path) == path.name:
                self._checked[path.name] = stamp
                return True
            self._held_bytes -= path.stat().st_size
            path.unlink()
        except FileNotFoundError:
            pass
        return False

    async def _fetch(self, ref: artifact_pb2.ArtifactRef, path: Path, download: Download) -> None:
        self._make_room(ref)
        part = path.with_suffix(f".{secrets.token_hex(4)}.part")
        sha, size = hashlib.sha256(), 0
        try:
            with part.open("wb") as file:
                async for chunk in download(ref.digest):
                    size += len(chunk)
                    if size > ref.size_bytes:
                        break
                    sha.update(chunk)
                    file.write(chunk)
            if size != ref.size_bytes or sha.hexdigest() != ref.digest:
                raise MeasurementError(
                    failure_pb2.FAILURE_KIND_CORRUPT_ARTIFACT,
                    f"{ref.name or ref.digest[:12]} arrived with other content than its digest says",
                )
            os.replace(part, path)
            self._held_bytes += size
            self._checked[ref.digest] = _stamp(path)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise MeasurementError(
                    failure_pb2.FAILURE_KIND_DISK_FULL,
                    f"no space for {ref.size_bytes} bytes in {self._root}",
                    "free some space on the device, or give the agent a smaller --cache-mb",
                ) from error
            raise
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()

    def _make_room(self, ref: artifact_pb2.ArtifactRef) -> None:
        if self._held_bytes + ref.size_bytes <= self._cap_bytes:
            return
        stats = {path: path.stat() for path in self._files()}
        self._held_bytes = sum(stat.st_size for stat in stats.values())
        for path in sorted(stats, key=lambda path: stats[path].st_atime_ns):
            if self._held_bytes + ref.size_bytes <= self._cap_bytes:
                return
            if path.name not in self._in_use:
                path.unlink()
                self._held_bytes -= stats[path].st_size
        if self._held_bytes + ref.size_bytes > self._cap_bytes:
            raise MeasurementError(
                failure_pb2.FAILURE_KIND_DISK_FULL,
                f"{ref.size_bytes} bytes do not fit the agent's cache of {self._cap_bytes}",
                "give the agent a larger --cache-mb",
            )

    def _files(self) -> List[Path]:
        return [path for path in self._root.iterdir() if contract.is_digest(path.name)]

    @contextlib.contextmanager
    def _using(self, digest: str) -> Iterator[None]:
        self._in_use[digest] = self._in_use.get(digest, 0) + 1
        try:
            yield
        finally:
            self._in_use[digest] -= 1
            if not self._in_use[digest]:
                del self._in_use[digest]


def _stamp(path: Path) -> Stamp:
    stat = path.stat()
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns)
