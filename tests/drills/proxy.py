"""A bad network between two processes: a TCP proxy that a drill can cut, stall, swallow, slow down and heal.

    agent ──TCP──▶ Proxy (its own thread) ──▶ orchestrator

What each fault does to a connection, and to those who try to connect meanwhile:

    fault         bytes on their way           both ends see                          newcomers
    cut           lost                         a reset, at once                       reset
    stalled       kept, delivered on healing   silence: as with a pulled cable        wait
    half-open     swallowed                    silence: as behind a NAT that forgot   accepted, silence
    slow          late, so many a second       a bad link                             the same
    healed        as they came                 nothing, or the reset of a connection that lost bytes
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

_CHUNK_BYTES = 16 * 1024
#: A segment of a slow link.
_SLOW_CHUNK_BYTES = 1024
_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Condition:
    """How a connection is.

    Attributes:
        name: as in the table above.
        delay_s: each way.
        bytes_per_s: each way; 0: no limit.
    """

    name: str = "healed"
    delay_s: float = 0.0
    bytes_per_s: float = 0.0


HEALED, CUT, STALLED, HALF_OPEN = Condition(), Condition("cut"), Condition("stalled"), Condition("half-open")


def slow(delay_s: float, bytes_per_s: float) -> Condition:
    """A bad link, each way."""
    return Condition("slow", delay_s, bytes_per_s)


class Connection:
    """One connection through the proxy, in its thread."""

    def __init__(self, near: asyncio.StreamWriter, condition: Condition) -> None:
        self.near = near
        self.far: asyncio.StreamWriter | None = None
        self.lost_bytes = False
        self._changed = asyncio.Event()
        self.condition = condition

    def become(self, condition: Condition) -> None:
        """Change its condition."""
        if condition == CUT or (self.lost_bytes and condition != HALF_OPEN):
            self.reset()  # a stream with a hole in it would be worse than none
        self.condition = condition
        self._changed.set()

    def reset(self) -> None:
        """End it as a crash would: with a reset, not with a farewell."""
        for writer in (self.near, self.far):
            if writer is not None:
                with contextlib.suppress(OSError):
                    end: socket.socket = writer.get_extra_info("socket")
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()

    async def passable(self) -> Condition:
        """Wait while it is stalled; its condition then."""
        while self.condition == STALLED:
            self._changed.clear()
            await self._changed.wait()
        return self.condition

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes one way until one end closes."""
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def deliver() -> None:
            while True:
                due, data = await late.get()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                condition = await self.passable()
                if condition == HALF_OPEN:
                    self.lost_bytes = True
                elif data:
                    writer.write(data)
                    await writer.drain()
                else:
                    return writer.close()

        delivering = asyncio.ensure_future(deliver())
        try:
            with contextlib.suppress(OSError):
                while True:
                    is_slow = self.condition.bytes_per_s > 0
                    data = await reader.read(_SLOW_CHUNK_BYTES if is_slow else _CHUNK_BYTES)
                    condition = self.condition
                    if condition.bytes_per_s:
                        await asyncio.sleep(len(data) / condition.bytes_per_s)
                    await late.put((time.monotonic() + condition.delay_s, data))
                    if not data:
                        await delivering
                        return
        finally:
            delivering.cancel()


class Proxy:
    """A proxy in a thread of its own; use as a context manager.

    Args:
        target: where the orchestrator listens, ``host:port`` or ``unix:/path``.

    Attributes:
        address: where the other end connects.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._condition = HEALED
        self._connections: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._run(self._listen())
        port = self._server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{port}"

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def be(self, condition: Condition, connection: int | None = None) -> None:
        """Put all connections, and those to come, into a condition; or only the one with this number, from 0."""

        def change() -> None:
            if connection is not None:
                return self._connections[connection].become(condition)
            self._condition = condition
            for one in self._connections:
                one.become(condition)

        self._call(change)

    def reset(self, connection: int | None = None) -> None:
        """End all connections, or one, with a reset; new ones are as the proxy is."""
        chosen = slice(None) if connection is None else slice(connection, connection + 1)

        def end() -> None:
            for one in self._connections[chosen]:
                one.reset()

        self._call(end)

    @property
    def connections(self) -> int:
        """How many there are now."""
        return self._call(lambda: len(self._connections))

    def close(self) -> None:
        """End everything."""

        async def end() -> None:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        if self._thread.is_alive():
            self._run(end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_PATIENCE_S)
            self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(writer, self._condition)
        if self._condition == CUT:
            return connection.reset()
        self._connections.append(connection)
        try:
            far_reader, connection.far = await self._connect()
            ways = [
                asyncio.ensure_future(connection.pump(reader, connection.far)),
                asyncio.ensure_future(connection.pump(far_reader, writer)),
            ]
            try:
                await asyncio.gather(*ways)
            finally:
                for way in ways:
                    way.cancel()
        except OSError:
            pass  # nobody listens there: the newcomer gets a reset, as from a machine whose process is gone
        finally:
            self._connections.remove(connection)
            connection.reset()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.startswith("unix:"):
            return await asyncio.open_unix_connection(self._target[len("unix:") :])
        host, _, port = self._target.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)

    def _call(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        return self._run(call())
