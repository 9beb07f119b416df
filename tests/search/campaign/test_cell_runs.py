"""Whole campaigns over cells that share weights, on a real lab: to the end, and killed and resumed on the way."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.runlog import read_history
from tests.search.campaign import tiny
from tests.search.campaign.test_campaign_runs import start
from tests.search.campaign.test_shared_weights import CELLS

CANDIDATES = 4
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def write(folder: Path, **changes: Any) -> Path:
    plain = tiny.document(
        objectives=["accuracy", "latency_s@local"],
        weights="shared",
        supernet={"epochs": 2, "batch": 32, "learning_rate": 0.1},
        faults={},
        **changes,
    )
    tiny.write_data(folder / "blobs.npz")
    path = folder / "cells.yaml"
    path.write_text(yaml.safe_dump(plain))
    return path


def models(folder: Path) -> dict[str, str]:
    """The file that each candidate became."""
    told = read_history(folder).evaluations
    assert len(told) == CANDIDATES
    assert all(evaluation.failure is None for evaluation in told)
    return {evaluation.architecture: evaluation.digests["int8"] for evaluation in told}


@pytest.mark.parametrize("kind", CELLS)
def test_a_campaign_that_is_killed_while_it_trains_and_while_it_searches_makes_the_same_files(
    tmp_path: Path, kind: str
) -> None:
    # With random search what is asked for hangs on no latency.
    search = {"candidates": CANDIDATES, "batch": 2, "strategy": "random"}
    path = write(tmp_path, space=CELLS[kind], search=search)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    process = start(tmp_path, path, "--run", straight)
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert list((straight / "winners").glob("*.tflite"))

    process = start(tmp_path, path, "--run", killed)
    wait_for(killed / "log.jsonl")
    kill(process)
    process = start(tmp_path, "--resume", killed)
    wait_for(killed / "models")
    kill(process)
    process = start(tmp_path, "--resume", killed)
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert models(killed) == models(straight)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 400
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill(process: Any) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()
