"""What systemd hears of an orchestrator, from a socket as it makes one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.notify import Manager

PATIENCE_S = 30.0


class FakeSystemd:
    """A socket, and an orchestrator that is told of it."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(PATIENCE_S)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str, program: str = "", within_s: float = 0.2) -> subprocess.Popen[bytes]:
        watchdog = {"WATCHDOG_USEC": str(round(within_s * 1e6)), "PYTHONFAULTHANDLER": "1"}
        where = ["--address", f"unix:{self._folder}/lab.sock", "--dir", str(self._folder / "lab")]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *(["-c", program] if program else ["-m", "orchestrator"]), *where, *options],
                env={**os.environ, "NOTIFY_SOCKET": self.address, **watchdog},
                stdin=subprocess.PIPE,
                stderr=log,
            )
        return self._process

    def hear(self, word: str) -> list[str]:
        """All that is said until this, with it."""
        said = [""]
        while said[-1] != word:
            said.append(self._socket.recv(4096).decode())
        return said[1:]

    def hears_nothing(self, for_s: float) -> bool:
        self._socket.settimeout(for_s)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(PATIENCE_S)
        return False

    def log(self) -> str:
        return (self._folder / "log").read_text()

    def close(self) -> None:
        self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FakeSystemd]:
    fake = FakeSystemd(tmp_path, str(tmp_path / "notify") if request.param == "path" else f"@gauntlet-{os.getpid()}")
    yield fake
    fake.close()


def test_it_is_told_when_the_lab_listens_that_it_lives_and_that_it_stops(systemd: FakeSystemd, tmp_path: Path) -> None:
    process = systemd.start()
    assert set(systemd.hear("READY=1")[:-1]) <= {"WATCHDOG=1"}
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "lab.sock"))
    for _ in range(3):
        assert systemd.hear("WATCHDOG=1") == ["WATCHDOG=1"]
    process.send_signal(signal.SIGTERM)
    assert set(systemd.hear("STOPPING=1")[:-1]) <= {"WATCHDOG=1"}
    assert process.wait(PATIENCE_S) == 0


_HANGS = """
import sys, time
from orchestrator import main, server
async def hang(config, until, on_ready):
    on_ready()
    time.sleep(900)
server.serve = hang
sys.exit(main.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_hung_event_loop_gives_no_sign_of_life_and_says_where_it_hangs_when_it_is_ended(systemd: FakeSystemd) -> None:
    process = systemd.start(program=_HANGS, within_s=0.02)
    systemd.hear("READY=1")
    assert systemd.hears_nothing(0.5)
    process.send_signal(signal.SIGABRT)  # what systemd ends it with
    assert process.wait(PATIENCE_S) == -signal.SIGABRT
    assert "in hang" in systemd.log()


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_lab_of_one_command_says_nothing_to_the_manager_of_whoever_started_it(systemd: FakeSystemd) -> None:
    process = systemd.start("--lifeline")
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(PATIENCE_S) == 0
    assert systemd.hears_nothing(0.01)


def test_a_manager_that_is_gone_keeps_no_lab_from_running(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Manager(str(tmp_path / "gone")).ready()
    assert "is not told READY=1: No such file" in caplog.text


@pytest.mark.parametrize(
    ("environ", "address", "within_s", "complaint"),
    [
        ({}, "", None, ""),
        ({"NOTIFY_SOCKET": "@x"}, "@x", None, ""),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000"}, "/x", 3.0, ""),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, "/x", None, ""),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, "/x", None, "WATCHDOG_USEC=soon is no number"),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"}, "/x", None, "WATCHDOG_USEC=0 is no number"),
        ({"NOTIFY_SOCKET": "vsock:2:1"}, "", None, "vsock:2:1 is no address"),
    ],
)
def test_the_environment_says_whom_to_tell_and_how_often(
    environ: dict[str, str],
    address: str,
    within_s: float | None,
    complaint: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = Manager.of(environ)
    assert (manager._address, manager._within_s) == (address, within_s)
    assert complaint in caplog.text
    assert bool(caplog.text) == bool(complaint)
