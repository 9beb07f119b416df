"""Suspect results: bench waits for the second measurement, and every view says what is suspect and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gauntlet
import orchestrator.client
from gauntlet.cli.app import run
from gauntlet.results import columns
from protos.figures import measured
from protos.gauntlet.v1 import job_pb2
from tests.gauntlet import canned
from tests.gauntlet.fake_client import FakeClient

FASTER_S = 400e-6


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient()
    monkeypatch.setenv("GAUNTLET_LAB", "fake:1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(orchestrator.client, "SyncClient", client)
    return client


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "a.tflite", tmp_path / "b.tflite"]
    for path in paths:
        path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    return [str(path) for path in paths]


def second() -> job_pb2.Job:
    job = canned.succeeded()
    job.result.latency.median_s.CopyFrom(measured(FASTER_S))
    return job


def text(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_bench_measures_a_suspect_model_again_and_prints_it_anew(
    lab: FakeClient, models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lab.repeated["a.tflite"] = second()
    assert run(["bench", *models]) == 0
    out = text(capsys)
    assert f"suspect: a.tflite: {canned.SHIFT}" in out
    assert "measured again: gauntlet jobs show b0000000" in out
    marked, again = out.index("suspect:"), out.index("a.tflite job b0000000")
    assert marked < again
    assert "median 400.0 µs" in out[again:]
    assert "suspect: b.tflite" not in out


def test_its_json_holds_the_second_measurement_in_place_of_the_first(
    lab: FakeClient, models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lab.repeated["a.tflite"] = second()
    assert run(["bench", *models, "--json"]) == 0
    first, other = json.loads(capsys.readouterr().out)["results"]
    assert (first["job_id"][0], first["repeats_job_id"], first["suspicion"]) == ("b", f"{0:032x}", None)
    assert first["latency"]["median_s"]["value"] == FASTER_S
    assert first["model"]["path"].endswith("a.tflite")
    assert (other["job_id"], other["repeats_job_id"]) == (f"{1:032x}", None)


@pytest.mark.parametrize("outcome", [None, canned.failed(canned.crash()), canned.suspect(second())])
def test_a_result_that_stays_suspect_says_so_everywhere(
    lab: FakeClient, models: list[str], capsys: pytest.CaptureFixture[str], outcome: job_pb2.Job | None
) -> None:
    lab.repeated["a.tflite"] = outcome
    assert run(["bench", models[0]]) == 0
    assert f"suspect: a.tflite: {canned.SHIFT}" in text(capsys)
    assert run(["bench", models[0], "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["suspicion"]["reason"] == canned.SHIFT
    assert "value" in result["latency"]["median_s"]
    with gauntlet.Lab("fake:1") as opened:
        kept = opened.bench(models[0])
    assert kept.job.HasField("suspicion")


def test_python_gets_the_second_measurement(lab: FakeClient, models: list[str]) -> None:
    lab.repeated["a.tflite"] = second()
    with gauntlet.Lab("fake:1") as opened:
        result = opened.bench(models[0])
        seen = list(opened.watch(opened.submit([models[0]])))
    assert (result.latency_s, result.job.HasField("suspicion")) == (FASTER_S, False)
    assert seen[-1].spec.repeats_job_id == f"{0:032x}"


def test_a_second_measurement_that_was_interrupted_is_counted(
    lab: FakeClient, models: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(job_ids: list[str]) -> object:
        again = canned.running()
        again.job_id, again.spec.repeats_job_id = "b" * 32, job_ids[0]
        yield canned.suspect(lab._as(canned.succeeded(), job_ids[0]), "b" * 32)
        yield again
        raise KeyboardInterrupt

    monkeypatch.setattr(lab, "measured_again", interrupted)
    assert run(["bench", models[0], "--json"]) == 130
    captured = capsys.readouterr()
    assert "interrupted: 1 job cancelled" in captured.err
    assert lab.cancelled == [f"{0:032x}"]
    assert json.loads(captured.out)["results"][0]["suspicion"]["successor_job_id"] == "b" * 32


def test_the_list_of_jobs_marks_the_suspect(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    lab.history = [canned.suspect(canned.succeeded(), "b" * 32), canned.failed(canned.crash())]
    assert run(["jobs"]) == 0
    out = capsys.readouterr().out
    assert [("suspect: fi" in line, "crashed" in line) for line in out.splitlines()[-2:]] == [
        (True, False),
        (False, True),
    ]
    assert run(["jobs", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["jobs"]
    assert [row["suspect_because"] for row in rows] == [canned.SHIFT, None]


def test_a_row_of_the_table_says_what_is_suspect_and_what_was_measured_again() -> None:
    job, again = canned.suspect(canned.succeeded(), "b" * 32), second()
    again.spec.repeats_job_id = job.job_id
    names = ("suspect_because", "successor_job_id", "repeats_job_id")
    rows = [[row[name] for name in names] for row in map(columns.row, (job, again, canned.succeeded()))]
    assert rows == [[canned.SHIFT, "b" * 32, None], [None, None, job.job_id], [None, None, None]]


def test_one_job_in_full_says_what_is_done_about_it(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    job = canned.suspect(canned.succeeded(), "b" * 32)
    lab.history = [job]
    assert run(["jobs", "show", job.job_id]) == 0
    assert f"{canned.SHIFT} measured again: gauntlet jobs show bbbbbbbb" in text(capsys)
    job.suspicion.successor_job_id, job.spec.repeats_job_id = "", "c" * 32
    assert run(["jobs", "show", job.job_id]) == 0
    out = text(capsys)
    assert "repeats job cccccccc, whose result is suspect" in out
    assert "it is a second measurement already, and is left at that" in out


def test_a_device_shows_its_checks_and_its_noise_floor(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "show", "bench-1"]) == 0
    assert "noise floor not measured yet not checked yet" in text(capsys)
    lab.fleet[0].checks.extend(canned.checks())
    lab.fleet[0].noise_floor.measured_at = "2026-11-20T03:00:00Z"
    lab.fleet[0].noise_floor.floor.CopyFrom(measured(0.0041))
    assert run(["devices", "show", "bench-1"]) == 0
    out = text(capsys)
    assert "noise floor 0.41 % measured 2026-11-20 03:00:00 UTC" in out
    assert "12:03:00 every 10 jobs good 413.6 µs +0.4 %" in out
    assert "shifted 433.4 µs +5.2 %" in out
    assert "2026-11-20 12:02:00 shifted: confirmed by two further processes" in out
    assert "unavailable – –" in out
    assert "2026-11-20 12:01:00 unavailable: the worker crashed" in out
    assert "12:03:00 good" not in out
    assert run(["devices", "show", "bench-1", "--json"]) == 0
    device = json.loads(capsys.readouterr().out)["device"]
    assert [check["verdict"] for check in device["checks"]] == ["good", "shifted", "unavailable"]
    assert [check["shift"] for check in device["checks"]] == [0.004, 0.052, None]
    assert device["noise_floor"]["value"] == 0.0041
