"""The orchestrator as a process: its log, and its end."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.main import main

PATIENCE_S = 30.0


class Process:
    def __init__(self, folder: Path, program: list[str], *options: str) -> None:
        self._log = folder / "log"
        where = ["--address", f"unix:{folder}/lab.sock", "--dir", str(folder / "lab")]
        command = [sys.executable, *program, *where, *options]
        with self._log.open("wb") as log:
            self.popen = subprocess.Popen(command, stderr=log, stdout=log)

    def log(self) -> str:
        return self._log.read_text()

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while words not in self.log():
            assert time.monotonic() < deadline, self.log()
            assert self.popen.poll() is None, self.log()
            time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    started: list[Process] = []

    def start(*options: str, program: str = "") -> Process:
        started.append(Process(tmp_path, ["-c", program] if program else ["-m", "orchestrator"], *options))
        return started[-1]

    yield start
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.wait()


def test_every_line_of_its_log_is_an_object_from_start_to_end(start: Any) -> None:
    process = start("--log-format", "json", "--log-level", "debug")
    process.wait_for("listening on")
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(PATIENCE_S) == 0
    lines = [json.loads(line) for line in process.log().splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    assert "SIGTERM: stopping" in lines[-2]["message"]
    assert lines[-1]["message"] == "stopped"


def test_so_is_the_error_that_keeps_it_from_starting(start: Any, tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "lab.sqlite").write_bytes(b"no database at all, and longer than a page header " * 10)
    process = start("--log-format", "json")
    assert process.popen.wait(PATIENCE_S) == 1
    assert "no SQLite database" in json.loads(process.log().splitlines()[-1])["message"]


def test_a_store_of_a_newer_gauntlet_is_left_alone_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "lab.sqlite")) as store:
        store.executescript(
            "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES (9999)"
        )
    before = (tmp_path / "lab.sqlite").read_bytes()
    assert main(["--dir", str(tmp_path), "--address", f"unix:{tmp_path}/s"]) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "written by a newer Gauntlet" in line
    assert "upgrade Gauntlet" in line
    assert (tmp_path / "lab.sqlite").read_bytes()[100:] == before[100:]


def test_a_signal_to_process_and_group_is_one_wish(start: Any) -> None:
    process = start()
    process.wait_for("listening on")
    process.popen.send_signal(signal.SIGTERM)
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_at_once(start: Any, number: int, code: int) -> None:
    # The first one meets an end that takes for ever.
    script = (
        "import asyncio, sys; from orchestrator import server, main\n"
        "async def never(*_): print('listening on', file=sys.stderr, flush=True); await asyncio.sleep(900)\n"
        "server.serve = never; sys.exit(main.main(sys.argv[1:]))"
    )
    process = start(program=script)
    process.wait_for("listening on")
    process.popen.send_signal(number)
    process.wait_for("stopping")
    time.sleep(0.5)
    process.popen.send_signal(number)
    assert process.popen.wait(PATIENCE_S) == code


def test_an_end_that_hangs_is_cut_off(start: Any) -> None:
    # Even the event loop stands still.
    script = (
        "import sys, time; from orchestrator import server, main\n"
        "async def stuck(config, until, on_ready):\n"
        "    print('listening on', file=sys.stderr, flush=True); await until.wait(); time.sleep(900)\n"
        "server.serve = stuck; sys.exit(main.main(sys.argv[1:]))"
    )
    process = start("--stop-timeout-s", "0.5", program=script)
    process.wait_for("listening on")
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(PATIENCE_S) == 1
    assert "not stopped within 0.5 s" in process.log()
