"""`gauntlet deploy` and `gauntlet undeploy` as people meet them."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from gauntlet.cli.app import run
from gauntlet.cli.backups import backup, restore
from gauntlet.cli.deploy import deploy, undeploy
from gauntlet.render.deploy import LiveTable, plan, report_document, reports_table
from orchestrator.client import SyncClient
from orchestrator.client.credentials import path_of
from orchestrator.config import Config
from orchestrator.deployment.errors import UnfitError
from orchestrator.deployment.parallel import Work, run_all
from orchestrator.deployment.steps import (
    AgentDownError,
    HostReport,
    InterruptedDeploymentError,
    Outcome,
    Step,
)
from orchestrator.server import serve
from tests.orchestrator.deployment.site import Seen, prepare, tree
from tests.orchestrator.deployment.sshd import Sshd, needs_sshd
from tests.orchestrator.security.lab import SecureLab, free_ports, secure_lab

GOOD = HostReport(
    "pi4",
    [
        Step("connect", Outcome.ALREADY, "192.168.1.20", 0.1),
        Step("python", Outcome.ALREADY, "Python 3.11", 0.1),
        Step("wheels", Outcome.DONE, "16 wheels, 56 MB", 4.0),
        Step("service", Outcome.DONE, "unit gauntlet-agent (user)", 0.5),
        Step("online", Outcome.DONE, "agent pi4", 1.0),
    ],
)
UNFIT = HostReport(
    "jetson",
    [Step("look", Outcome.FAILED, "", 0.2)],
    UnfitError("there is no Python 3.9 or newer of 64 bits (Python 3.8.10)", "bring one with --python FILE"),
)
DOWN = HostReport(
    "board",
    [Step("online", Outcome.FAILED, "", 2.0)],
    AgentDownError("the agent ends as soon as it is started: error: no", ["starting", "error: no"], "mend it"),
    ["its clock is 5 minutes behind"],
)
HALF = HostReport("pi5", [Step("copy", Outcome.FAILED, "", 0.5)], InterruptedDeploymentError())
AGAIN = HostReport(
    "same", [Step("python", Outcome.ALREADY, "Python 3.11", 0.1), Step("online", Outcome.ALREADY, "", 0)]
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the user."""
    home = tmp_path / "user"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("GAUNTLET_LAB", "")
    return home


@pytest.fixture
async def lab(tmp_path: Path, home: Path) -> AsyncIterator[SecureLab]:
    async with secure_lab(tmp_path) as lab:
        lab.admin.save(path_of(lab.address))
        yield lab


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Sshd]:
    board = Sshd(tmp_path / "boards", tmp_path / "client_key", "pi4")
    yield board
    board.close()


def inventory(folder: Path, *boards: Sshd) -> str:
    """A file that names these boards."""
    lines = ["hosts:"]
    for board in boards:
        lines += [f"  {board.name}:", f"    address: {board.address}", f"    port: {board.port}"]
        lines += [f"    identity_files: [{board.client_key}]", "    labels: {room: lab2}"]
    path = folder / "boards.yaml"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def drawn(part: RenderableType, width: int = 80) -> str:
    console = Console(width=width)
    with console.capture() as shown:
        console.print(part)
    return shown.get()


# --------------------------------------------------------------------------------------------------- asked wrongly


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["deploy", "--lab", "127.0.0.1:1"], 2, "no host is named"),
        (["deploy", "pi4"], 2, "no lab is named that boards could join"),
        (["deploy", "pi4", "--lab", "127.0.0.1:1"], 1, "no orchestrator answers at 127.0.0.1:1"),
        (["deploy", "pi4", "--lab", "lab.example:1"], 1, "you are not logged in to the lab at lab.example:1"),
        (["deploy", "a b", "--lab", "127.0.0.1:1"], 2, "'a b' is no host"),
        (["deploy", "--inventory", "absent.yaml"], 2, "absent.yaml cannot be read"),
        (["deploy", "pi4", "pi4", "--lab", "127.0.0.1:1"], 2, "pi4 is named twice"),
        (["deploy", "pi4", "--password", "x"], 2, "no such option: --password"),
        (["undeploy"], 2, "no host is named"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    home: Path,
    words: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("gauntlet.cli.deploy._ANSWERS_WITHIN_S", 0.2)
    assert run(words) == code
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"error: {message}"), lines
    assert lines[1].strip().startswith("remedy: ")


async def test_a_lab_without_tls_is_not_for_boards(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    (tmp_path / "plain").mkdir()
    config = Config(address=f"127.0.0.1:{free_ports()}", folder=tmp_path / "plain")
    until, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(serve(config, until, ready.set))
    await ready.wait()
    try:
        assert await asyncio.to_thread(run, ["deploy", "pi4", "--lab", config.address]) == 1
    finally:
        until.set()
        await task
    assert "has no TLS, so that boards cannot join it" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------- what is shown


@pytest.mark.parametrize("command", [deploy, undeploy, backup, restore])
def test_help_keeps_its_lines_at_80_columns(
    command: Callable[..., object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    group = ["lab"] if command in (backup, restore) else []
    run([*group, command.__name__, "--help"])
    shown = [line.strip() for line in capsys.readouterr().out.splitlines()]
    _, _, rest = inspect.cleandoc(command.__doc__ or "").partition("\n\n")
    assert [line for line in rest.splitlines() if re.sub(r"\[/?\w*\]", "", line).strip() not in shown] == []


def test_the_table_tells_what_is_where_and_fits_80_columns() -> None:
    table = reports_table([GOOD, UNFIT, DOWN, HALF, AGAIN])
    assert max(map(len, drawn(table).splitlines())) <= 80
    flat = " ".join(drawn(table, width=160).split())
    assert "pi4 ✓ online Python 3.11 · 16 wheels, 56 MB · unit gauntlet-agent (user)" in flat
    assert "jetson ✗ look there is no Python 3.9" in flat
    assert "jetson: remedy: bring one with --python FILE" in flat
    assert "│ error: no" in flat
    assert "its clock is 5 minutes behind" in flat
    assert "pi5 ‖ copy interrupted; the same command goes on where it was" in flat
    assert "same ✓ online, as it was" in flat


def test_a_dry_run_lists_each_step() -> None:
    report = HostReport(
        "pi4", [Step("python", Outcome.ALREADY, "Python 3.11", 0.1), Step("copy", Outcome.PLANNED, "send 2 wheels", 0)]
    )
    text = " ".join(drawn(plan([report, UNFIT])).split())
    assert "· python Python 3.11" in text
    assert "→ copy send 2 wheels" in text
    assert "✗ look" in text
    assert "remedy: bring one" in text


def test_the_live_table_follows_the_hosts() -> None:
    table = LiveTable(["pi4", "jetson", "pi5"])
    table.began("pi4", "copy")
    table.progress("pi4", "3/14 wheels")
    table.ended(UNFIT)
    text = " ".join(drawn(table).split())
    assert "copy 3/14 wheels" in text
    assert "jetson ✗ look" in text
    assert "pi5 · waits" in text


def test_programs_get_a_document() -> None:
    document = json.loads(json.dumps([report_document(report) for report in (GOOD, DOWN)]))
    assert [(entry["ok"], entry["changed"]) for entry in document] == [(True, True), (False, False)]
    assert document[0]["steps"][2] == {
        "step": "wheels",
        "outcome": "done",
        "detail": "16 wheels, 56 MB",
        "seconds": 4.0,
    }
    assert document[1]["error"]["log"] == ["starting", "error: no"]


# ---------------------------------------------------------------------------------------------- many, and an interrupt


class Made:
    """Work that is made up."""

    def __init__(self, name: str, act: Callable[[], HostReport]) -> None:
        self.host_name = name
        self.run = act
        self.hung_up = threading.Event()

    def interrupt(self) -> None:
        self.hung_up.set()


def test_what_fails_on_one_host_is_its_own_affair() -> None:
    def bug() -> HostReport:
        raise ZeroDivisionError("a bug")

    works: Sequence[Work] = [Made("pi4", lambda: GOOD), Made("odd", bug), Made("jetson", lambda: UNFIT)]
    reports = run_all(works, 2, threading.Event(), Seen())
    assert [report.host for report in reports] == ["pi4", "odd", "jetson"]
    assert [report.ok for report in reports] == [True, False, False]
    assert "ZeroDivisionError: a bug" in str(reports[1].error)


def test_an_interrupt_ends_what_runs_and_begins_nothing_new() -> None:
    stop = threading.Event()

    def waits() -> HostReport:
        assert slow.hung_up.wait(20)
        return HALF

    slow = Made("pi5", waits)
    late = Made("late", lambda: GOOD)

    class Interrupting(Seen):
        def ended(self, report: HostReport) -> None:
            if report is GOOD:
                raise KeyboardInterrupt

    reports = run_all([Made("pi4", lambda: GOOD), slow, late], 1, stop, Interrupting())
    assert stop.is_set()
    assert reports[0] is GOOD
    assert isinstance(reports[2].error, InterruptedDeploymentError)


# ------------------------------------------------------------------------------------------------------ real boards


@needs_sshd
async def test_unknown_keys_are_shown_and_asked_for(
    lab: SecureLab,
    home: Path,
    tmp_path: Path,
    board: Sshd,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["deploy", "--inventory", inventory(tmp_path, board), "--lab", lab.address, "--dry-run"]
    known = home / ".ssh" / "known_hosts"

    assert await asyncio.to_thread(run, words) == 1
    assert "the host key of" in capsys.readouterr().out
    assert await asyncio.to_thread(run, [*words, "--trust"]) == 2
    assert "there is no terminal to ask at" in capsys.readouterr().err

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert await asyncio.to_thread(run, [*words, "--trust"]) == 1
    assert board.fingerprint() in capsys.readouterr().err
    assert not known.exists()

    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    prepare(board)
    await asyncio.to_thread(run, [*words, "--trust"])
    assert known.read_text() == board.known_hosts
    board.change_host_key()
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert await asyncio.to_thread(run, [*words, "--trust"]) == 1
    assert "another host key than the known one" in " ".join(capsys.readouterr().out.split())


@needs_sshd
@pytest.mark.slow
async def test_interrupted_then_deployed_then_gone_with_the_real_base_install(
    lab: SecureLab, home: Path, tmp_path: Path, board: Sshd
) -> None:
    (home / ".ssh" / "known_hosts").write_text(board.known_hosts)
    prepare(board)
    before = tree(board.home)
    command = [sys.executable, "-m", "gauntlet", "deploy", "--inventory", inventory(tmp_path, board), "--json"]
    environment = {**os.environ, "GAUNTLET_LAB": lab.address}

    def started(command: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def interrupted() -> tuple[int, str, str]:
        process = started(command)
        releases = board.home / ".local/share/gauntlet/releases"
        while process.poll() is None and not releases.exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    code, out, err = await asyncio.to_thread(interrupted)
    assert code in (1, 130), err
    [host] = json.loads(out)["hosts"]
    if "package index does not answer" in (host["error"] or {}).get("message", ""):
        pytest.skip(host["error"]["message"])
    assert code == 130
    assert host["error"]["message"].startswith("interrupted")
    assert host["steps"][-1]["outcome"] == "failed"

    process = started(command)
    out, err = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0, out + err
    [host] = json.loads(out)["hosts"]
    steps = {step["step"]: step["outcome"] for step in host["steps"]}
    assert (steps["wheels"], steps["copy"], steps["online"]) == ("already", "already", "done")
    # Nothing of this environment: all libraries are the board's own.
    [agent] = [process for process in board.leftovers() if "device_agent" in process.cmdline()]
    libraries = {entry.path for entry in agent.memory_maps() if "site-packages" in entry.path}
    assert libraries
    assert all(path.startswith(board.home_there) for path in libraries)
    client = await asyncio.to_thread(SyncClient, lab.address)
    [device] = await asyncio.to_thread(client.devices)
    await asyncio.to_thread(client.close)
    assert "litert" in [runtime.name for runtime in device.description.runtimes]

    process = started([word.replace("deploy", "undeploy") if word == "deploy" else word for word in command])
    out, err = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0, out + err
    assert tree(board.home) == before
    assert not board.leftovers()
