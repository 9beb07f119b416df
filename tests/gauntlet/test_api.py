"""The Python API, against a lab that answers from canned messages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gauntlet
import orchestrator.client
from gauntlet.embedded import EmbeddedLab
from gauntlet.errors import LabError, UsageError
from orchestrator.client import Unreachable
from protos.gauntlet.v1 import job_pb2
from tests.gauntlet import canned
from tests.gauntlet.fake_client import FakeClient
from tests.gauntlet.test_embedded import BAD, GOOD, children


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient()
    monkeypatch.setattr(orchestrator.client, "SyncClient", client)
    return client


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"model")
    return path


def test_three_lines_measure_a_model(client: FakeClient, model: Path) -> None:
    with gauntlet.Lab("fake:1") as lab:
        result = lab.bench(model, threads=2)
    assert result.latency_s == pytest.approx(431.2e-6)
    assert result.peak_memory_bytes == 42e6
    assert result.energy_j is None
    assert result.accuracy is None
    assert result.to_dict()["device"]["device_id"] == "bench-1"
    assert client.specs[0].measurement.runtime.threads == 2


def test_a_failed_measurement_carries_its_job(client: FakeClient, model: Path) -> None:
    client.outcomes["model.tflite"] = canned.failed(canned.crash())
    with gauntlet.Lab("fake:1") as lab, pytest.raises(gauntlet.MeasurementFailed, match="crashed") as caught:
        lab.bench(model)
    assert caught.value.job.failure.signal == 11
    assert caught.value.remedy == "try --delegate none"


def test_an_interrupt_cancels_the_job(client: FakeClient, model: Path) -> None:
    client.interrupt = True
    with gauntlet.Lab("fake:1") as lab, pytest.raises(KeyboardInterrupt):
        lab.bench(model)
    assert len(client.cancelled) == 1


@pytest.mark.parametrize(
    "options", [{"threads": 0}, {"max_s": float("inf")}, {"half_width": 1.0}, {"half_width": 0.0}, {"timeout_s": -1.0}]
)
def test_options_that_cannot_be_meant(client: FakeClient, model: Path, options: gauntlet.BenchOptions) -> None:
    with gauntlet.Lab("fake:1") as lab, pytest.raises(UsageError):
        lab.bench(model, **options)
    assert not client.specs


def test_a_closed_lab_says_how_to_open_it(model: Path) -> None:
    with pytest.raises(LabError, match="not open") as caught:
        gauntlet.Lab("fake:1").bench(model)
    assert "with gauntlet.Lab()" in caught.value.remedy


def embed(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let embedded labs have small children."""
    start = EmbeddedLab.start
    monkeypatch.setattr(
        EmbeddedLab, "start", lambda folder, measures=True: start(folder, measures=measures, children=children(script))
    )


def test_jobs_of_killed_commands_are_ended_when_a_lab_starts(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    embed(monkeypatch, GOOD)
    abandoned, of_campaign, of_another_command = canned.queued(), canned.queued(), canned.queued()
    of_campaign.job_id, of_campaign.spec.campaign_id = "c" * 32, "c"
    of_another_command.job_id, of_another_command.submitted_at = "d" * 32, "2999-01-01T00:00:00Z"
    repetition = canned.queued()
    repetition.job_id, repetition.spec.repeats_job_id = "e" * 32, "f" * 32
    client.history = [abandoned, of_campaign, of_another_command, repetition]
    with gauntlet.Lab(folder=tmp_path / "lab"):
        assert client.cancelled == [abandoned.job_id]


def test_reading_the_books_ends_no_jobs(client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    embed(monkeypatch, GOOD)
    client.history = [canned.queued()]
    with gauntlet.Lab(folder=tmp_path / "lab", measures=False):
        assert client.cancelled == []


def test_attaching_to_a_lab_that_is_just_ending_starts_another(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    embed(monkeypatch, GOOD)
    ending = EmbeddedLab.start(tmp_path / "lab")
    attached: list[gauntlet.Lab] = []

    def wait_ready(timeout_s: float, devices: int = 0) -> None:
        if client.address == ending.address:
            # As if it had ended before we held its lifeline.
            embedded = attached[0]._embedded
            assert embedded is not None
            embedded.close()
            ending.close()
            raise Unreachable("nobody answers")

    monkeypatch.setattr(client, "wait_ready", wait_ready)
    attached.append(gauntlet.Lab(folder=tmp_path / "lab"))
    with attached[0]:
        assert client.address != ending.address


class Silent(FakeClient):
    def wait_ready(self, timeout_s: float, devices: int = 0) -> None:
        raise Unreachable("nobody answers")


@pytest.mark.parametrize(("script", "message"), [(GOOD, "was not ready within 0.1 s"), (BAD, "ended 3 times")])
def test_a_lab_that_does_not_start_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, message: str
) -> None:
    embed(monkeypatch, script)
    monkeypatch.setattr(orchestrator.client, "SyncClient", Silent())
    timeout_s = 0.1 if script is GOOD else 30.0
    with pytest.raises(LabError, match=message) as caught:
        gauntlet.Lab(folder=tmp_path / "lab", start_timeout_s=timeout_s).open()
    assert caught.value.detail


def test_importing_the_package_is_light() -> None:
    script = "import sys, gauntlet; sys.exit(str({'grpc', 'numpy', 'typer', 'rich'} & set(sys.modules) or 0))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "0"


def test_everything_that_is_named_is_there() -> None:
    for name in gauntlet.__all__:
        assert getattr(gauntlet, name) is not None
    with pytest.raises(AttributeError):
        _ = gauntlet.nonsense


def test_watching_ends_with_the_last_job(client: FakeClient, model: Path) -> None:
    with gauntlet.Lab("fake:1") as lab:
        job_ids = lab.submit([model, model])
        states = [job.state for job in lab.watch(job_ids)]
    assert states.count(job_pb2.JOB_STATE_SUCCEEDED) == 2
