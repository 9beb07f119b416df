"""The face on the real thing: embedded lab, agent, runtime."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gauntlet
from protos.gauntlet.v1 import failure_pb2

torch = pytest.importorskip("torch")
pytest.importorskip("ai_edge_litert")
pytestmark = pytest.mark.slow

SAMPLES = 64


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, inputs with labels of which three in four are right, and reference outputs."""
    from torch import nn

    from search.export import export_tflite

    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 4)).eval()
    (folder / "model.tflite").write_bytes(export_tflite(body, (1, 1, 8, 8)).data)
    images = torch.randn(SAMPLES, 1, 8, 8)
    with torch.no_grad():
        outputs = body(images).numpy()
    labels = outputs.argmax(1)
    labels[: SAMPLES // 4] = (labels[: SAMPLES // 4] + 1) % 4
    # The deployed model takes channels last.
    inputs = {"input": np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())}
    gauntlet.save_data_set(folder / "data.npz", gauntlet.DataSet(inputs, labels=labels))
    for name, values in (("good", outputs), ("bad", outputs[::-1])):
        reference = gauntlet.DataSet(inputs, outputs={"output": np.ascontiguousarray(values)})
        gauntlet.save_data_set(folder / f"{name}.npz", reference)
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gauntlet.Lab]:
    with gauntlet.Lab(folder=tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def test_latency_memory_accuracy_and_output_check(lab: gauntlet.Lab, files: Path) -> None:
    result = lab.bench(
        files / "model.tflite", max_s=0.3, half_width=0.05, data=files / "data.npz", reference=files / "good.npz"
    )
    assert result.latency_s is not None
    assert 0 < result.latency_s < 0.1
    assert result.peak_memory_bytes is not None
    assert result.peak_memory_bytes > 1e6
    assert result.accuracy == 0.75
    assert result.result.output_check.max_difference.estimate.value < 1e-3
    samples_s = lab.raw_samples_s(result)
    assert len(samples_s) == result.result.latency.median_s.estimate.samples
    assert np.median(samples_s) == pytest.approx(result.latency_s)
    assert result.device is not None
    assert result.device.description.hardware.logical_cores > 0


def test_a_model_is_compared_with_itself_and_with_more_work(lab: gauntlet.Lab, files: Path) -> None:
    from torch import nn

    from search.export import export_tflite

    torch.manual_seed(0)
    layers = [nn.Conv2d(8, 8, 3, padding=1) for _ in range(12)]
    (files / "deeper.tflite").write_bytes(
        export_tflite(nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), *layers).eval(), (1, 1, 8, 8)).data
    )
    quick = gauntlet.CompareOptions(processes=3, max_processes=3, max_s=0.1)
    [found] = lab.compare(files / "model.tflite", files / "deeper.tflite", aa=True, **quick)
    assert found.verdict == "slower"
    assert found.ratio is not None
    assert found.ratio > 1.5
    assert found.noise_floor is not None
    assert found.control is not None
    assert found.control.result.comparison.measured_noise_floor.estimate.value == found.noise_floor
    assert found.device is not None
    segments = found.result.runs[0].segments
    assert len(lab.client.get_artifact(segments.digest)) == segments.size_bytes


def test_wrong_outputs_fail_before_anything_is_timed(lab: gauntlet.Lab, files: Path) -> None:
    with pytest.raises(gauntlet.MeasurementFailed) as caught:
        lab.bench(files / "model.tflite", reference=files / "bad.npz")
    failure = caught.value.job.failure
    assert failure.kind == failure_pb2.FAILURE_KIND_WRONG_OUTPUT
    assert failure.last_step == "output check"


def test_the_command_line_from_a_folder_full_of_look_alikes(files: Path, tmp_path: Path) -> None:
    for name in ("search", "orchestrator", "device_agent", "protos"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('shadowed')")
    command = [_program(), "bench", str(files / "model.tflite"), "--seconds", "0.3", "--lab-dir", "lab", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["results"][0]["latency"]["median_s"]["value"] > 0
    assert done.stderr == ""


def test_results_of_a_real_lab_are_a_table(lab: gauntlet.Lab, files: Path) -> None:
    pytest.importorskip("pandas")
    done = lab.bench(files / "model.tflite", max_s=0.3, half_width=0.05, cores="0")
    frame = lab.results(since="1h")
    row = frame[frame["job_id"] == done.job.job_id].iloc[0]
    assert row["latency_median_s"] == done.latency_s
    assert row["latency_median_s_low"] <= row["latency_median_s"] <= row["latency_median_s_high"]
    assert list(row["cpus"]) == [0]
    assert row["setup_asked"] == '{"cores": "0"}'
    assert row["accuracy_top1_missing"] == "not asked for"
    assert frame["finished_at"].is_monotonic_decreasing


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_job_and_ends_the_lab(
    files: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    lab_dir = ["--lab-dir", str(tmp_path / "lab")]
    long = ["--seconds", "60", "--precision", "0.0001%"]
    face = subprocess.Popen(
        [_program(), "bench", str(files / "model.tflite"), *long, *lab_dir], stderr=subprocess.PIPE, text=True
    )
    with gauntlet.Lab(folder=tmp_path / "lab") as beside:
        deadline_s = time.monotonic() + 30
        while not any(device.job_id for device in beside.client.devices()):
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        face.send_signal(number)
        _, err = face.communicate(timeout=30)
        assert face.returncode == status, err
        assert "Traceback" not in err
        [job] = beside.client.jobs()
        assert beside.client.job(job.job_id).failure.kind == failure_pb2.FAILURE_KIND_CANCELLED


def _program() -> str:
    return str(Path(sys.executable).with_name("gauntlet"))
