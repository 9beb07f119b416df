"""Pages over HTTP: what is answered, what is turned away, and who is let go."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import socket
import threading
from typing import Dict, Iterator, List, Tuple

import pytest

from protos import scraping
from protos.addresses import AddressError
from protos.scraping import JSON_TYPE, METRICS_TYPE, Page, PageServer, UnavailableError


def broken() -> bytes:
    raise RuntimeError("boom")


def unavailable() -> bytes:
    raise UnavailableError("not now")


PAGES = {
    "/metrics": Page(METRICS_TYPE, lambda: b"small 1\n"),
    "/large": Page(METRICS_TYPE, lambda: b"large 1\n" * 1000),
    "/sd": Page(JSON_TYPE, unavailable),
    "/broken": Page(JSON_TYPE, broken),
}


@contextlib.contextmanager
def served(address: str = "127.0.0.1:0", pages: Dict[str, Page] = PAGES) -> Iterator[int]:
    server = PageServer(address, pages)
    try:
        yield server.port
    finally:
        server.close()


def ask(port: int, path: str, method: str = "GET", **headers: str) -> Tuple[int, Dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def test_a_page_is_made_anew_for_each_request() -> None:
    numbers = iter(range(1, 10))
    with served(pages={"/metrics": Page(METRICS_TYPE, lambda: b"%d" % next(numbers))}) as port:
        assert [ask(port, "/metrics")[2] for _ in range(3)] == [b"1", b"2", b"3"]
        assert ask(port, "/metrics")[1]["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_what_is_large_is_compressed_for_those_who_take_it() -> None:
    with served() as port:
        _, headers, content = ask(port, "/large", **{"Accept-Encoding": "gzip"})
        assert headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(content) == b"large 1\n" * 1000
        assert "Content-Encoding" not in ask(port, "/large")[1]
        assert "Content-Encoding" not in ask(port, "/metrics", **{"Accept-Encoding": "gzip"})[1]


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/", 404, b"nothing here but /metrics and /large and /sd and /broken\n"),
        ("GET", "/metrics/more", 404, b"nothing here but /metrics and /large and /sd and /broken\n"),
        ("HEAD", "/metrics", 200, b""),
        ("POST", "/metrics", 405, b"GET or HEAD\n"),
        ("DELETE", "/nowhere", 405, b"GET or HEAD\n"),
        ("GET", "/sd", 503, b"not now\n"),
        ("GET", "/broken", 500, b"a fault of ours; see the log\n"),
    ],
)
def test_each_question_gets_its_answer(method: str, path: str, status: int, text: bytes) -> None:
    with served() as port:
        answered, headers, content = ask(port, path, method)
        assert (answered, content) == (status, text)
        assert headers.get("Allow") == ("GET, HEAD" if status == 405 else None)
        assert ask(port, "/metrics")[0] == 200  # and the next one, too


def test_rubbish_costs_nobody_anything() -> None:
    with served() as port:
        for rubbish in (
            b"\x00\xff\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /metrics HTTP/9.9\r\n\r\n",
            b"X" * 100_000 + b"\r\n",
        ):
            sock = socket.create_connection(("127.0.0.1", port), timeout=10)
            with sock, contextlib.suppress(OSError):  # closed by the other side, perhaps before all is said
                sock.sendall(rubbish)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
        assert ask(port, "/metrics")[0] == 200


def test_who_says_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraping._Handler, "timeout", 0.05)
    with served() as port, socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
        silent.sendall(b"GET /metr")
        assert silent.recv(1) == b""  # closed by the other side


def test_who_says_a_little_now_and_then_for_ever_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraping, "_LONGEST_S", 0.1)
    with served() as port, socket.create_connection(("127.0.0.1", port), timeout=0.02) as slow:
        slow.sendall(b"GET /metrics HTTP/1.0\r\nX: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(500):
                slow.sendall(b"x")
                with contextlib.suppress(socket.timeout):
                    assert slow.recv(1) == b""
                    break
            else:
                pytest.fail("not closed by the other side")
        assert ask(port, "/metrics")[0] == 200


def test_beyond_what_is_answered_at_once_the_rest_is_turned_away_and_room_comes_back() -> None:
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def slow() -> bytes:
        begun.release()
        assert go_on.wait(10)
        return b"done"

    answers: List[bytes] = []
    pages = {"/metrics": Page(METRICS_TYPE, slow)}
    with served(pages=pages) as port:
        threads = [
            threading.Thread(target=lambda: answers.append(ask(port, "/metrics")[2]))
            for _ in range(scraping._MOST_AT_ONCE)
        ]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert begun.acquire(timeout=10)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            ask(port, "/metrics")
        go_on.set()
        for thread in threads:
            thread.join(10)
        assert answers == [b"done"] * len(threads)
        while True:  # the last of them may be on its way out
            with contextlib.suppress(ConnectionError, http.client.HTTPException):
                assert ask(port, "/metrics")[2] == b"done"
                break


def test_an_address_that_others_reach_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    for address, warned in (("0.0.0.0:0", True), ("127.0.0.1:0", False), ("localhost:0", False)):
        caplog.clear()
        PageServer(address, {}).close()
        assert ("for everybody who reaches it" in caplog.text) is warned


def test_an_address_that_cannot_be_used_is_an_error() -> None:
    for wrong in ("9152", "unix:/run/x"):
        with pytest.raises(AddressError):
            PageServer(wrong, {})
    with pytest.raises(OSError, match="assign requested address"):
        PageServer("192.0.2.1:0", {})  # nobody's, by RFC 5737
    with served() as port, pytest.raises(OSError, match="in use"):
        PageServer(f"127.0.0.1:{port}", {})


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6_is_served() -> None:
    try:
        server = PageServer("[::1]:0", PAGES)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with contextlib.closing(server):
        connection = http.client.HTTPConnection("::1", server.port, timeout=10)
        connection.request("GET", "/metrics")
        assert connection.getresponse().read() == b"small 1\n"
        connection.close()
