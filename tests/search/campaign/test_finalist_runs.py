"""A whole campaign with finalists: a worker and then the campaign are killed, and it goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from search.campaign.finalists import MEASURED, TRAINED
from search.runlog import read_history
from tests.search.campaign import tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EPOCHS = 40


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gauntlet", "search", *map(str, arguments), "--lab-dir", str(folder / "lab")],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )


def worker_of(process: subprocess.Popen[str]) -> psutil.Process | None:
    """The process that trains."""
    for child in psutil.Process(process.pid).children():
        try:
            if any("search.worker" in word for word in child.cmdline()):
                return child
        except psutil.NoSuchProcess:
            pass
    return None


def trains(process: subprocess.Popen[str], other_than: int = 0) -> psutil.Process:
    """Wait until a worker, and not that one, is there."""
    deadline = time.monotonic() + 250
    while True:
        worker = worker_of(process)
        if worker is not None and worker.pid != other_than:
            return worker
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_kills_in_the_middle_of_finalists_cost_nothing_that_was_finished(tmp_path: Path) -> None:
    chosen = {"networks": 1, "epochs": EPOCHS, "batch": 8, "seeds": 1, "weights": ["scratch"]}
    search = {"candidates": 2, "batch": 2, "strategy": "random"}
    plain = {"objectives": ["accuracy", "latency_s@local"], "faults": {"models": []}, "search": search}
    first = start(tmp_path, tiny.write(tmp_path, finalists=chosen, **plain), "--run", tmp_path / "run")
    worker = trains(first)
    worker.kill()
    again = trains(first, worker.pid)  # the task is done once more
    first.kill()
    said, _ = first.communicate(timeout=60)
    assert "a worker process was killed by SIGKILL; its task is done once more" in said
    deadline = time.monotonic() + 60
    while again.is_running() and again.status() != psutil.STATUS_ZOMBIE:  # it ends with its parent
        assert time.monotonic() < deadline
        time.sleep(0.05)
    second = start(tmp_path, "--resume", tmp_path / "run")
    said, _ = second.communicate(timeout=300)
    assert second.returncode == 0, said
    history = read_history(tmp_path / "run")
    assert [note["weights"] for note in history.notes(TRAINED)] == ["scratch"]
    assert len(history.notes(MEASURED)) == 1
    cards = [json.loads(card.read_text()) for card in (tmp_path / "run" / "winners").glob("*-scratch-0.json")]
    assert [card["trained"]["epochs"] for card in cards] == [EPOCHS]
    assert "Finalists" in (tmp_path / "run" / "report.html").read_text()
