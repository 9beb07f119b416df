"""The client of Apache TVM's RPC, and the module that it measures; run by a Python that has TVM, without our packages.

    PYTHON _tvm_peer.py module FILE SIZE           write a module: one vector addition, filled up to SIZE bytes
    PYTHON _tvm_peer.py client HOST:PORT KEY FILE  lines on standard input: how many jobs; answer: seconds of each

One job is what TVM's own tools do for a candidate: ask the tracker for a device, upload the module, load it, and run
`time_evaluator(number=10, repeat=3)`.
"""

import contextlib
import json
import os
import socket
import sys
import time

#: Set: the client's sockets get TCP_NODELAY.
SWITCH = "GAUNTLET_TVM_NODELAY"
#: Text of a `sitecustomize.py`: every TCP connection that this Python makes or takes gets TCP_NODELAY.
NODELAY = """
import socket

def _at_once(connection):
    if connection.family in (socket.AF_INET, socket.AF_INET6) and connection.type == socket.SOCK_STREAM:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

class _Socket(socket.socket):
    def accept(self):
        connection, address = super().accept()
        _at_once(connection)
        return connection, address

    def connect(self, address):
        _at_once(self)
        return super().connect(address)

socket.socket = _Socket
"""


def write_module(path: str, size: int) -> None:
    import tvm  # type: ignore[import-not-found]
    from tvm import te

    length = 1024
    a = te.placeholder((length,), name="a")
    b = te.placeholder((length,), name="b")
    c = te.compute((length,), lambda i: a[i] + b[i], name="c")
    tvm.compile(te.create_prim_func([a, b, c]).with_attr("global_symbol", "main"), target="llvm").export_library(path)
    with open(path, "ab") as file:  # what lies behind a library's end is sent, and ignored by the loader
        file.write(b"\0" * (size - os.path.getsize(path)))


def serve_client(address: str, key: str, path: str) -> None:
    import numpy as np
    import tvm
    from tvm import rpc

    host, port = address.rsplit(":", 1)
    tracker = rpc.connect_tracker(host, int(port))
    values = np.ones(1024, "float32")

    def job() -> float:
        begin = time.perf_counter()
        remote = tracker.request(key, session_timeout=60)
        if os.environ.get(SWITCH):
            _at_once_all()
        remote.upload(path)
        module = remote.load_module(os.path.basename(path))
        device = remote.cpu()
        arguments = [tvm.runtime.tensor(values, device) for _ in range(3)]
        measured = module.time_evaluator("main", device, number=10, repeat=3)(*arguments)
        assert len(measured.results) == 3
        del arguments, module, device, remote  # the session ends with its last reference
        return time.perf_counter() - begin

    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps([job() for _ in range(int(line))]), flush=True)


def _at_once_all() -> None:
    """The session's socket belongs to TVM's own code; as a file descriptor it is within reach."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                with socket.socket(fileno=os.dup(int(name))) as found:
                    if found.family in (socket.AF_INET, socket.AF_INET6):
                        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


if __name__ == "__main__":
    if sys.argv[1] == "module":
        write_module(sys.argv[2], int(sys.argv[3]))
    else:
        serve_client(*sys.argv[2:])
