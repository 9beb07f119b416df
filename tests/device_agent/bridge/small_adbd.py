"""As much of a phone's adb daemon as the real `adb` program needs to be tried out: shell, push, pull, on loopback.

Messages are 24 bytes (command, two arguments, length, checksum, the command inverted) and data; see "protocol.txt" and
"SYNC.TXT" of Android's packages/modules/adb. No authentication, one phone, whose file system is a folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import struct
from pathlib import Path
from typing import Dict, Optional, Set

from tests.device_agent.bridge.fake_adb import led

_CONNECT, _OPEN, _OKAY, _CLOSE, _WRITE = struct.unpack("<5I", b"CNXNOPENOKAYCLSEWRTE")
_VERSION, _MOST_BYTES = 0x01000001, 256 * 1024
_BANNER = b"device::ro.product.name=shiba;ro.product.model=Pixel 8;ro.product.device=shiba;features=shell_v2,cmd"
_STDOUT, _STDERR, _EXIT = 1, 2, 3


class SmallAdbd:
    """The daemon.

    Args:
        root: of the phone's file system.

    Attributes:
        port: it listens there once it has started, on 127.0.0.1.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._server: Optional[asyncio.AbstractServer] = None
        self._links: Set[_Link] = set()
        self.port = 0

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def unplug(self) -> None:
        """Cut all links, and be reached no more."""
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            link.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self._root, reader, writer)
        self._links.add(link)
        try:
            await link.serve()
        finally:
            self._links.discard(link)
            link.cut()


class _Link:
    """One connection of an adb server."""

    def __init__(self, root: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._root = root
        self._reader = reader
        self._writer = writer
        self._streams: Dict[int, _Stream] = {}
        self._tasks: Set[asyncio.Task[None]] = set()
        self._numbers = 0

    async def serve(self) -> None:
        """Answer until the link is cut."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = struct.unpack("<6I", await self._reader.readexactly(24))
                command, theirs, ours, length = header[:4]
                data = await self._reader.readexactly(length)
                if command == _CONNECT:
                    self.send(_CONNECT, _VERSION, _MOST_BYTES, _BANNER)
                elif command == _OPEN:
                    self._open(theirs, data.rstrip(b"\0").decode())
                elif ours in self._streams:
                    self._streams[ours].hear(command, data)

    def send(self, command: int, one: int, two: int, data: bytes = b"") -> None:
        """A message."""
        header = struct.pack("<6I", command, one, two, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF)
        self._writer.write(header + data)

    def cut(self) -> None:
        """It is unplugged."""
        self._writer.transport.abort()
        for task in self._tasks:
            task.cancel()

    def _open(self, theirs: int, service: str) -> None:
        self._numbers += 1
        stream = _Stream(self, self._numbers, theirs)
        self._streams[self._numbers] = stream
        self.send(_OKAY, stream.ours, theirs)
        name, _, argument = service.partition(":")
        work = stream.sync(self._root) if name == "sync" else stream.shell(self._root, argument)
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Stream:
    """One service that was opened."""

    def __init__(self, link: _Link, ours: int, theirs: int) -> None:
        self._link = link
        self.ours = ours
        self._theirs = theirs
        self._heard = bytearray()
        self._came = asyncio.Event()
        self._ready = asyncio.Event()
        self._closed = False

    def hear(self, command: int, data: bytes) -> None:
        """What the other side says."""
        if command == _OKAY:
            self._ready.set()
        elif command == _WRITE:
            self._heard += data
            self._link.send(_OKAY, self.ours, self._theirs)
        elif command == _CLOSE:
            self._closed = True
            self._ready.set()
        self._came.set()

    async def shell(self, root: str, line: str) -> None:
        """`shell,v2,raw:LINE`."""
        command, environment = led(root, line)
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", command,
            cwd=root, env=environment, start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            stdout, stderr = await process.communicate()
        finally:
            # On a phone it would go on; here nobody looks after it any more.
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await asyncio.shield(process.wait())
        status = process.returncode or 0
        for kind, said in ((_STDOUT, stdout), (_STDERR, stderr)):
            said = said.replace(root.encode(), b"")
            for begin in range(0, len(said), 64 * 1024):
                part = said[begin : begin + 64 * 1024]
                await self._write(struct.pack("<BI", kind, len(part)) + part)
        await self._write(struct.pack("<BIB", _EXIT, 1, status if status >= 0 else 128 - status))
        self._link.send(_CLOSE, self.ours, self._theirs)

    async def sync(self, root: str) -> None:
        """`sync:`: files."""
        while True:
            kind, length = struct.unpack("<4sI", await self._read(8))
            if kind == b"QUIT":
                return self._link.send(_CLOSE, self.ours, self._theirs)
            words = (await self._read(length)).decode()
            path = Path(root + words.rpartition(",")[0]) if kind == b"SEND" else Path(root + words)
            if kind == b"STAT":
                found = path.stat() if path.exists() else None
                fields = (found.st_mode, found.st_size, int(found.st_mtime)) if found else (0, 0, 0)
                await self._write(b"STAT" + struct.pack("<3I", *fields))
            elif kind == b"SEND":
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    while True:
                        part, size = struct.unpack("<4sI", await self._read(8))
                        if part == b"DONE":
                            break
                        file.write(await self._read(size))
                path.chmod(int(words.rpartition(",")[2]) & 0o777)
                await self._write(b"OKAY" + struct.pack("<I", 0))
            elif kind == b"RECV":
                with path.open("rb") as file:
                    while part := file.read(64 * 1024):
                        await self._write(b"DATA" + struct.pack("<I", len(part)) + part)
                await self._write(b"DONE" + struct.pack("<I", 0))

    async def _read(self, count: int) -> bytes:
        while len(self._heard) < count:
            if self._closed:
                raise ConnectionError("closed")
            self._came.clear()
            await self._came.wait()
        data = bytes(self._heard[:count])
        del self._heard[:count]
        return data

    async def _write(self, data: bytes) -> None:
        self._ready.clear()
        self._link.send(_WRITE, self.ours, self._theirs, data)
        await self._ready.wait()
