"""The proxy does to a connection what its table says: a drill is worth what its fault is."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.drills.proxy import CUT, HALF_OPEN, HEALED, STALLED, Proxy, slow

SILENCE_S = 0.2


class Echo(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while data := self.request.recv(65536):
                self.request.sendall(data)
        except OSError:
            return


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Echo(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with Proxy(f"127.0.0.1:{server.server_address[1]}") as proxy:
            yield proxy
        server.shutdown()


def connect(proxy: Proxy) -> socket.socket:
    host, _, port = proxy.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def echoed(end: socket.socket, data: bytes) -> bytes:
    end.sendall(data)
    return received(end, len(data))


def received(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = end.recv(size - len(data))
        assert chunk, "closed"
        data += chunk
    return data


def is_silent(end: socket.socket) -> bool:
    end.settimeout(SILENCE_S)
    try:
        end.recv(1)
    except TimeoutError:
        return True
    finally:
        end.settimeout(5)
    return False


def test_healed_it_changes_nothing(proxy: Proxy) -> None:
    data = bytes(range(256)) * 400
    with connect(proxy) as end:
        assert echoed(end, data) == data
        assert proxy.connections == 1


def test_a_cut_resets_what_is_there_and_what_comes(proxy: Proxy) -> None:
    with connect(proxy) as end:
        echoed(end, b"x")
        proxy.be(CUT)
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    with pytest.raises(ConnectionResetError):
        connect(proxy).recv(1)
    proxy.be(HEALED)
    with connect(proxy) as end:
        assert echoed(end, b"back") == b"back"


def test_a_stalled_connection_delivers_when_it_is_healed(proxy: Proxy) -> None:
    with connect(proxy) as end:
        echoed(end, b"x")
        proxy.be(STALLED)
        end.sendall(b"late")
        assert is_silent(end)
        proxy.be(HEALED)
        assert received(end, 4) == b"late"


def test_a_half_open_connection_swallows_and_is_reset_when_it_is_healed(proxy: Proxy) -> None:
    with connect(proxy) as end:
        echoed(end, b"x")
        proxy.be(HALF_OPEN)
        end.sendall(b"gone")
        assert is_silent(end)
        proxy.be(HEALED)
        with pytest.raises(ConnectionResetError):
            end.recv(1)


def test_one_connection_can_be_ill_alone(proxy: Proxy) -> None:
    with connect(proxy) as first:
        echoed(first, b"x")
        with connect(proxy) as second:
            echoed(second, b"x")
            proxy.be(STALLED, connection=0)
            assert echoed(second, b"well") == b"well"
            first.sendall(b"ill")
            assert is_silent(first)
            proxy.reset(connection=1)
            with pytest.raises(ConnectionResetError):
                second.recv(1)
            proxy.be(HEALED)
            assert received(first, 3) == b"ill"


def test_a_slow_link_takes_its_time(proxy: Proxy) -> None:
    with connect(proxy) as end:
        echoed(end, b"x")
        proxy.be(slow(delay_s=0.1, bytes_per_s=50_000))
        began = time.monotonic()
        assert echoed(end, b"x" * 5000) == b"x" * 5000
        # At least: there and back each 0.1 s and the time of the last segment. A lower bound holds on any machine.
        assert time.monotonic() - began >= 0.3
