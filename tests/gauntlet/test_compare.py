"""`gauntlet compare` and `Lab.compare`, against a lab that answers from canned messages."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

import gauntlet
import orchestrator.client
from gauntlet.cli.app import run
from gauntlet.render import compare, jobs
from gauntlet.results_json import job_document
from protos.gauntlet.v1 import artifact_pb2, fleet_pb2, job_pb2, measurement_pb2
from tests.gauntlet import canned
from tests.gauntlet.fake_client import FakeClient
from tests.gauntlet.made_comparison import compared


class ComparingClient(FakeClient):
    """Knows files apart, and remembers every round of jobs.

    Attributes:
        rounds: what was submitted, round by round.
        floor_half_width: noise floor that a device shows.
        broken: names of devices whose control fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rounds: list[list[job_pb2.JobSpec]] = []
        self.floor_half_width = 0.004
        self.broken: set[str] = set()

    def put_file(self, path: Path, media_type: str) -> artifact_pb2.ArtifactRef:
        ref = super().put_file(path, media_type)
        ref.digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return ref

    def submit(self, specs: Sequence[job_pb2.JobSpec]) -> list[fleet_pb2.SubmittedJob]:
        self.rounds.append(list(specs))
        return super().submit(specs)

    def _as(self, job: job_pb2.Job, job_id: str) -> job_pb2.Job:
        spec = self.specs[int(job_id, 16)]
        measurement, device_id = spec.measurement, spec.device.device_id
        if job.state == job_pb2.JOB_STATE_SUCCEEDED:
            aa = measurement.model.digest == measurement.comparison.model.digest
            floor = measurement.comparison.noise_floor if measurement.comparison.HasField("noise_floor") else None
            job = compared(1.0, "indistinguishable", self.floor_half_width, aa=True) if aa else compared(floor=floor)
            if device_id:
                job.result.provenance.device_id = device_id
            if aa and device_id in self.broken:
                job = canned.failed(canned.crash())
        return super()._as(job, job_id)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> ComparingClient:
    client = ComparingClient()
    monkeypatch.setenv("GAUNTLET_LAB", "fake:1")
    monkeypatch.setattr(orchestrator.client, "SyncClient", client)
    return client


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    return path


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "new.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(101))
    return path


def text(renderable: RenderableType, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(renderable)
    return out.getvalue()


def squeezed(words: str) -> str:
    return " ".join(words.split())


def test_a_faster_model_is_called_faster_with_the_interval(
    lab: ComparingClient, old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", str(old), str(new)]) == 0
    out = squeezed(capsys.readouterr().out)
    assert "new.tflite against old.tflite" in out
    assert "B is faster than A: it takes 3.1 % less time (2.7 – 3.5 % at 95 %)." in out
    assert "time B / time A 0.9690 0.9650 – 0.9730 at 95 % (±0.41 %)" in out
    assert "median A 431.2 µs" in out
    assert "144 blocks in 6 processes." in out


def test_all_options_reach_the_specification(lab: ComparingClient, old: Path, new: Path) -> None:
    options = "--threads 2 --delegate none --no-pin --runtime litert --label site=berlin --device raspberrypi4"
    options += " --timeout 9 --processes 4 --max-processes 8 --precision 0.5% --seconds 3 --noise-floor 0.7%"
    assert run(["compare", str(old), str(new), *options.split()]) == 0
    [[spec]] = lab.rounds
    asked = spec.measurement.comparison
    assert (spec.measurement.model.name, asked.model.name) == ("old.tflite", "new.tflite")
    assert (spec.measurement.runtime.threads, spec.measurement.runtime.delegate) == (2, "none")
    assert (spec.measurement.runtime.name, spec.measurement.timeout_s) == ("litert", 9)
    assert (asked.processes, asked.max_processes, asked.half_width, asked.max_s) == (4, 8, 0.005, 3)
    assert asked.pinning == measurement_pb2.PINNING_NONE
    assert asked.noise_floor == pytest.approx(0.007)
    assert (spec.device.device_class, dict(spec.device.labels)) == ("raspberrypi4", {"site": "berlin"})
    assert not spec.measurement.HasField("latency")
    assert not spec.measurement.HasField("memory")


def test_each_device_compares_and_the_last_table_sets_them_side_by_side(
    lab: ComparingClient, old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", str(old), str(new), "--device", "bench-1", "--device", "pi-kitchen"]) == 0
    assert [spec.device.device_id for spec in lab.rounds[0]] == ["bench-1", "pi-kitchen"]
    out = squeezed(capsys.readouterr().out)
    assert "bench-1 431.2 µs 417.8 µs 0.9690 0.41 % faster" in out
    assert "pi-kitchen 431.2 µs 417.8 µs 0.9690 0.41 % faster" in out


def test_a_model_compared_with_itself_shows_the_noise_floor(
    lab: ComparingClient, old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ([str(old), "--aa"], [str(old), str(old)]):
        assert run(["compare", *arguments]) == 0
        assert "The noise floor of bench-1 is 0.4 %" in squeezed(capsys.readouterr().out)
    assert len(lab.rounds) == 2


def test_the_noise_floor_is_measured_first_on_the_same_device_and_heeded(
    lab: ComparingClient, old: Path, new: Path
) -> None:
    assert run(["compare", str(old), str(new), "--aa"]) == 0
    [[control], [spec]] = lab.rounds
    assert control.measurement.comparison.model.name == "old.tflite"
    assert spec.measurement.comparison.model.name == "new.tflite"
    assert spec.measurement.comparison.noise_floor == pytest.approx(0.004)
    assert spec.device.device_id == "bench-1"


def test_a_device_whose_control_fails_does_not_keep_the_others_from_comparing(
    lab: ComparingClient, old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.broken = {"bench-1"}
    assert run(["compare", str(old), str(new), "--aa", "--device", "bench-1", "--device", "pi-kitchen"]) == 1
    assert [spec.device.device_id for spec in lab.rounds[1]] == ["pi-kitchen"]
    out, err = capsys.readouterr()
    assert "crashed (SIGSEGV)" in err
    assert "pi-kitchen 431.2 µs" in squeezed(out)
    assert "bench-1 – – – – crashed" in squeezed(out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{old}"], "there is no second model to compare"),
        (["{old}", "missing.tflite"], "missing.tflite: no such file"),
        (["{old}", "{text}"], "are no models that gauntlet measures"),
        (["{old}", "{new}", "--precision", "0"], "--precision must be greater than 0"),
        (["{old}", "{new}", "--noise-floor", "much"], "--noise-floor: much is no share"),
        (["{old}", "{new}", "--noise-floor", "1%", "--aa"], "a noise floor is given and to be measured as well"),
        (["{old}", "{new}", "--processes", "1"], "--processes"),
        (["{old}", "{new}", "--delegate", "gpu"], "gpu is no delegate"),
        (["{old}", "{new}", "--seconds", "0"], "--seconds must be at least 0.001"),
        (["{old}", "{new}", "--timeout", "-1"], "--timeout must be at least 0.1"),
        (["{old}", "{new}", "--device", "toaster"], "no device and no device class is called toaster"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    lab: ComparingClient,
    old: Path,
    new: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no model")
    assert run(["compare", *(a.format(old=old, new=new, text=notes) for a in arguments)]) == 2
    assert message in squeezed(capsys.readouterr().err)
    assert not lab.rounds


def test_an_interrupt_cancels_the_jobs(lab: ComparingClient, old: Path, new: Path) -> None:
    lab.interrupt = True
    assert run(["compare", str(old), str(new), "--device", "bench-1", "--device", "pi-kitchen"]) == 130
    assert len(lab.cancelled) == 2


def test_json_holds_every_figure_and_every_block(
    lab: ComparingClient, old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", str(old), str(new), "--aa", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["exit_code"] == 0
    [result] = found["results"]
    comparison = result["comparison"]
    assert comparison["verdict"] == "faster"
    assert comparison["ratio"]["interval"]["low"] == pytest.approx(0.965)
    assert comparison["noise_floor"]["value"] == pytest.approx(0.004)
    assert comparison["measured_noise_floor"] == {"unavailable": "the models differ", "origin": "measured"}
    assert (result["model"]["path"], comparison["model_b"]["path"]) == (str(old), str(new))
    assert [len(one["block_ratios"]) for one in comparison["runs"]] == [24] * 6
    assert comparison["specification"]["processes"] == 6
    assert result["control"]["comparison"]["measured_noise_floor"]["value"] == pytest.approx(0.004)
    assert result["latency"]["median_s"]["unavailable"] == "not asked for"


def test_a_failed_comparison_says_why_each_figure_is_missing() -> None:
    job = canned.failed(canned.crash())
    job.spec.measurement.comparison.CopyFrom(compared().spec.measurement.comparison)
    comparison = job_document(job)["comparison"]
    assert comparison["ratio"]["unavailable"] == "the job ended with: crashed"
    assert comparison["verdict"] is None
    assert job_document(canned.succeeded())["comparison"] is None


def test_python_gets_figures_and_failures(lab: ComparingClient, old: Path, new: Path) -> None:
    with gauntlet.Lab("fake:1") as opened:
        [found] = opened.compare(old, new, aa=True)
        assert (found.verdict, found.ratio, found.interval) == ("faster", 0.969, pytest.approx((0.965, 0.973)))
        assert found.noise_floor == pytest.approx(0.004)
        assert found.to_dict()["control"] is not None
        [itself] = opened.compare(old, old)
        assert (itself.verdict, itself.noise_floor) == ("indistinguishable", pytest.approx(0.004))
        lab.broken = {"bench-1"}
        with pytest.raises(gauntlet.MeasurementFailed, match="crashed"):
            opened.compare(old, old, devices=["bench-1"])
        with pytest.raises(gauntlet.GauntletError, match="at least 2"):
            opened.compare(old, new, processes=1)


@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("ratio", [0.969, 1.0, 1.62, 40.0])
def test_a_report_fits_its_width(width: int, ratio: float) -> None:
    report = text(compare.report(compared(ratio), canned.device(), width), width)
    assert max(map(len, report.splitlines())) <= width


def test_the_picture_shows_each_process_and_one(capsys: pytest.CaptureFixture[str]) -> None:
    report = text(compare.report(compared(0.998, "indistinguishable"), None, 80))
    picture = [line for line in report.splitlines() if line.startswith("  process ") and "spread" not in line]
    assert [line[:13].strip() for line in picture] == [f"process {n}" for n in range(1, 7)]
    assert all("█" in line for line in picture)
    assert sum("┊" in line for line in picture) >= 3
    together = next(line for line in report.splitlines() if line.startswith("  together"))
    assert "├" in together
    assert together.rstrip().endswith("0.9980")
    # Far from 1, 1 is not drawn.
    assert "┊" not in text(compare.report(compared(1.62, "slower"), None, 80))


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (compared(1.031, "slower"), "B is slower than A: it takes 3.1 % more time (2.7 – 3.5 % at 95 %)."),
        (compared(1.002, "indistinguishable"), "the interval of their ratio holds 1 (-0.2 to +0.6 % at 95 %)."),
        (compared(0.99, "indistinguishable", floor=0.015), "-1 % lies within the noise floor of 1.5 %."),
        (compared(1.0, "indistinguishable", aa=True), "A was compared with itself. Smaller differences mean nothing."),
        (compared(1.02, "slower", aa=True), "It seemed to differ, so something favours one of the two: take it again."),
    ],
)
def test_the_verdict_in_words(job: job_pb2.Job, words: str) -> None:
    assert words in squeezed(text(compare.verdict_line(job), 100))


def test_what_makes_it_less_sure_is_said() -> None:
    job = compared(half_width=0.05)
    job.result.comparison.runs[0].warmup_settled_b = False
    report = squeezed(text(compare.report(job, None, 80)))
    assert "Not settled after the warm-up in 1 of them." in report
    assert "Less precise than ±1 %: that takes more than 15 processes." in report


def test_a_comparison_among_jobs_is_shown_as_one() -> None:
    assert "new.tflite against" in text(jobs.job_report(compared()))
