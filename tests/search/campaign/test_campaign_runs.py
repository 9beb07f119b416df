"""Whole campaigns through the command line, with real processes: to the end, stopped, killed, resumed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from gauntlet import Lab
from protos.gauntlet.v1 import job_pb2
from search.runlog import read_history
from tests.search.campaign import tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

KILLS = 5
FINAL = (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "gauntlet", "search", *map(str, arguments)]


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments, "--lab-dir", folder / "lab"),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )


def check_complete(folder: Path) -> None:
    """The run is whole, and the lab's own books say that nothing was measured twice."""
    run = folder / "run"
    history = read_history(run)
    assert len(history.told) == tiny.CANDIDATES
    assert not history.pending
    assert len({e.architecture for e in history.evaluations}) == tiny.CANDIDATES
    for evaluation in history.evaluations:
        assert evaluation.failure is None
        assert evaluation.value("latency_s@local").value
        assert len(evaluation.faults) == tiny.CONDITIONS
        assert (run / "models" / f"{evaluation.digests['int8']}.tflite").exists()
    winners = list((run / "winners").glob("*.tflite"))
    assert winners
    card = json.loads(winners[0].with_suffix(".json").read_text())
    assert card["confirmed_on"]["figures"]["accuracy"]["value"] > 0
    assert (run / "report.html").stat().st_size > 10_000
    with Lab(folder=folder / "lab", measures=False) as lab:
        jobs = [lab.client.job(j.job_id) for j in lab.client.jobs(limit=1000)]
        records = lab.client.records(history.about["campaign_id"])
    done = Counter(job.spec.idempotency_key for job in jobs if job.state == job_pb2.JOB_STATE_SUCCEEDED)
    assert set(done.values()) == {1}
    per_model = 1 + tiny.CONDITIONS
    assert sum(done.values()) == (tiny.CANDIDATES + len(winners)) * per_model
    assert all(job.state in FINAL for job in jobs)
    assert sum(record.WhichOneof("kind") == "evaluation" for record in records) == tiny.CANDIDATES


def test_a_campaign_runs_to_its_end(tmp_path: Path) -> None:
    path = tiny.write(tmp_path, audit={"subnets": 2, "seeds": 1, "epochs": 1})
    process = start(tmp_path, path, "--run", tmp_path / "run")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "on the Pareto front" in said
    check_complete(tmp_path)
    again = subprocess.run(
        [sys.executable, "-m", "gauntlet", "report", tmp_path / "run"], capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    # The folder is taken: a second run is refused, and nothing is lost.
    refused = start(tmp_path, path, "--run", tmp_path / "run")
    said, _ = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert "resume" in said
    check_complete(tmp_path)


def test_kills_at_any_moment_of_any_process_cost_nothing(tmp_path: Path) -> None:
    path = tiny.write(tmp_path)
    rng = random.Random(7)
    process = start(tmp_path, path, "--run", tmp_path / "run")
    kills = 0
    deadline = time.monotonic() + 350
    while True:
        assert time.monotonic() < deadline
        try:
            said, _ = process.communicate(timeout=rng.uniform(1.5, 5.0) if kills < KILLS else 300)
        except subprocess.TimeoutExpired:
            victim = rng.choice(["face", "face", "orchestrator", "device_agent"])
            kill(process, victim)
            kills += 1
            if victim != "face":
                continue
            process.communicate()
            said = ""
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, said
        resumable = (tmp_path / "run" / "log.jsonl").exists()
        process = start(tmp_path, *(["--resume", tmp_path / "run"] if resumable else [path, "--run", tmp_path / "run"]))
    assert kills
    check_complete(tmp_path)


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    path = tiny.write(tmp_path)
    process = start(tmp_path, path, "--run", tmp_path / "run")
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and '"told"' in log.read_text()):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "--resume" in said
    assert "Traceback" not in said
    resumed = start(tmp_path, "--resume", tmp_path / "run")
    said, _ = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, said
    check_complete(tmp_path)


def test_a_campaign_that_starts_from_another_measures_only_what_is_new(tmp_path: Path) -> None:
    first = start(tmp_path, tiny.write(tmp_path), "--run", tmp_path / "run")
    said, _ = first.communicate(timeout=300)
    assert first.returncode == 0, said
    known = {e.architecture: e for e in read_history(tmp_path / "run").evaluations}
    search = {"candidates": 3, "batch": 3, "strategy": "nsga2", "settings": {"population": 4}, "seed": 5}
    path = tiny.write(tmp_path, warm_start=["run"], search=search)
    second = start(tmp_path, path, "--run", tmp_path / "warm")
    said, _ = second.communicate(timeout=300)
    assert second.returncode == 0, said
    assert f"{len(known)} candidates known already" in said
    told = read_history(tmp_path / "warm").evaluations
    assert len(told) == len(known) + 3 == len({e.architecture for e in told})
    entered = [e for e in told if e.architecture in known]
    assert all(e.figures == known[e.architecture].figures for e in entered)
    # Trained alike, a winner that the first campaign measured comes out as the same file.
    for card in (tmp_path / "warm" / "winners").glob("*.json"):
        winner = json.loads(card.read_text())
        assert card.with_suffix(".tflite").exists()
        if winner["architecture"] in known:
            assert winner["sha256"] == known[winner["architecture"]].digests["int8"]


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"objectives": ["accuracy", "latency_s@nowhere"]}, 2, "no device or class 'nowhere'"),
        ({"constraints": ["parameters <= 3"]}, 2, "parameters"),
        ({"data": "absent.npz"}, 2, "absent.npz"),
        ({"space": {"kernels": [4]}}, 2, "kernels"),
        ({"supernet": {"epochs": 1, "batch": 32, "learning_rate": 1e20}}, 1, "training stopped in step"),
    ],
)
def test_a_campaign_that_cannot_be_is_one_line(tmp_path: Path, changes: dict[str, Any], code: int, words: str) -> None:
    process = start(tmp_path, tiny.write(tmp_path, **changes), "--run", tmp_path / "run")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert words in said
    assert "Traceback" not in said
    if "data" in changes or "constraints" in changes or "space" in changes:
        assert not (tmp_path / "run").exists()  # mended, the same command can be given again


def kill(face: subprocess.Popen[str], victim: str) -> None:
    if victim == "face":
        face.kill()
        return
    for child in psutil.Process(face.pid).children():
        try:
            if victim in child.cmdline():
                child.kill()
        except psutil.NoSuchProcess:
            pass
