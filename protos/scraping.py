"""Pages that Prometheus reads over HTTP, in threads of their own: of the orchestrator, and of an agent.

Plain HTTP and no guard: whoever reaches the address may read. Nothing is ever taken in: `GET` and `HEAD`, and no body.
"""

from __future__ import annotations

import contextlib
import gzip
import http.server
import logging
import socket
import socketserver
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping

from protos import addresses

log = logging.getLogger(__name__)

#: Prometheus' text format: what every version of it, and every library, knows.
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
JSON_TYPE = "application/json"
_TEXT_TYPE = "text/plain; charset=utf-8"
#: Who says nothing, or takes nothing, for so long is let go.
_PATIENCE_S = 10.0
#: Who takes longer for all of a request is let go, too, however often he says something.
_LONGEST_S = 30.0
#: Answered side by side. A Prometheus needs one; what comes beyond is turned away.
_MOST_AT_ONCE = 16
#: Smaller texts are not worth it.
_LEAST_COMPRESSED_BYTES = 1024


class UnavailableError(Exception):
    """A page that cannot be had just now, with the reason: who asks again later may get it."""


@dataclass(frozen=True)
class Page:
    """What is found under a path.

    Attributes:
        media_type: of what is made.
        make: its content, made anew at each request, in a thread; may raise `UnavailableError`.
    """

    media_type: str
    make: Callable[[], bytes]


class PageServer:
    """Serves pages until it is closed.

    Args:
        address: `HOST:PORT`; port 0: any.
        pages: by path, such as "/metrics".

    Raises:
        AddressError: malformed.
        OSError: the address cannot be used.
    """

    def __init__(self, address: str, pages: Mapping[str, Page]) -> None:
        host, port = addresses.split(address)

        class Handler(_Handler):
            known = pages

        self._server = _Server(host, port, Handler)
        self.port: int = self._server.server_address[1]
        thread = threading.Thread(target=self._server.serve_forever, name="scraping", daemon=True)
        thread.start()
        log.info("metrics at http://%s/metrics", addresses.join(host, self.port))
        if not addresses.is_local(address):
            log.warning(
                "metrics on %s are for everybody who reaches it: they are neither encrypted nor guarded", address
            )

    def close(self) -> None:
        """End, in half a second; requests under way are not waited for."""
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, handler: Any) -> None:
        # By the form of the host, as it may be of IPv6.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.address_family = found[0]
        self._free = threading.BoundedSemaphore(_MOST_AT_ONCE)
        #: Connections, and when they are cut off.
        self._ends_s: Dict[Any, float] = {}
        super().__init__((str(found[4][0]), port), handler)

    def server_bind(self) -> None:
        # Not HTTPServer's: it asks the name service who we are, which may take long.
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._ends_s[request] = time.monotonic() + _LONGEST_S
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was to be had
            self._over(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._over(request)

    def _over(self, request: Any) -> None:
        del self._ends_s[request]
        self._free.release()

    def service_actions(self) -> None:
        # Twice a second. The thread sees the end of its connection, whatever it waits for.
        now_s = time.monotonic()
        for request, end_s in list(self._ends_s.items()):
            if now_s >= end_s:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a request from %s broke off", client_address, exc_info=True)


class _Handler(http.server.BaseHTTPRequestHandler):
    known: Mapping[str, Page] = {}
    timeout = _PATIENCE_S
    server_version = "gauntlet"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        page = self.known.get(path)
        if page is None:
            self._answer(404, f"nothing here but {' and '.join(self.known)}\n".encode(), _TEXT_TYPE)
            return
        try:
            content = page.make()
        except UnavailableError as error:
            self._answer(503, f"{error}\n".encode(), _TEXT_TYPE)
        except Exception:
            log.exception("%s could not be made", path)
            self._answer(500, b"a fault of ours; see the log\n", _TEXT_TYPE)
        else:
            self._answer(200, content, page.media_type)

    do_HEAD = do_GET  # noqa: N815

    def _refuse(self) -> None:
        self.close_connection = True
        self._answer(405, b"GET or HEAD\n", _TEXT_TYPE)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815

    def _answer(self, status: int, content: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        if status == 405:
            self.send_header("Allow", "GET, HEAD")
        if len(content) >= _LEAST_COMPRESSED_BYTES and "gzip" in self.headers.get("Accept-Encoding", ""):
            # The first level: the next ones take seven times as long for a sixth less.
            content = gzip.compress(content, 1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """A scrape every few seconds is no news."""
