"""The command line, against a lab that answers from canned messages."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import orchestrator.client
from gauntlet import folder
from gauntlet.cli.app import run
from gauntlet.render.status import status as rendered_status
from protos import dataset
from protos.gauntlet.v1 import device_pb2, fleet_pb2, measurement_pb2
from tests.gauntlet import canned
from tests.gauntlet.fake_client import FakeClient


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient()
    monkeypatch.setenv("GAUNTLET_LAB", "fake:1")
    monkeypatch.setattr(orchestrator.client, "SyncClient", client)
    return client


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    return path


def lines(text: str) -> str:
    """Without the spaces that alignment adds."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def document(text: str) -> dict[str, Any]:
    parsed = json.loads(text)
    assert parsed["schema_version"] == 1
    return dict(parsed)


def test_bench_prints_a_report(lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", str(model)]) == 0
    out = lines(capsys.readouterr().out)
    assert "model.tflite job 00000000" in out
    assert "median 431.2 µs 430.1 – 432.7 µs at 95 % (±0.3 %)" in out
    assert "energy no RAPL in this container: run the agent on the host" in out


def test_bench_submits_what_was_asked(lab: FakeClient, model: Path) -> None:
    options = "--threads 4 --delegate none --runs 50 --seconds 2 --precision 0.5% --warmup-runs 3 --no-pin --no-memory"
    options += " --no-energy --runtime litert --label site=berlin --device raspberrypi4 --timeout 7"
    assert run(["bench", str(model), *options.split()]) == 0
    [spec] = lab.specs
    latency = spec.measurement.latency
    assert (latency.max_samples, latency.max_s, latency.half_width, latency.warmup_min_runs) == (50, 2.0, 0.005, 3)
    assert latency.pinning == measurement_pb2.PINNING_NONE
    assert (spec.measurement.runtime.threads, spec.measurement.runtime.delegate) == (4, "none")
    assert spec.measurement.runtime.name == "litert"
    assert spec.measurement.timeout_s == 7.0
    assert not spec.measurement.HasField("memory")
    assert not spec.measurement.HasField("energy")
    assert (spec.device.device_class, spec.device.device_id) == ("raspberrypi4", "")
    assert dict(spec.device.labels) == {"site": "berlin"}


def test_a_device_is_named_by_its_id_as_well(lab: FakeClient, model: Path) -> None:
    assert run(["bench", str(model), "--device", "pi-kitchen"]) == 0
    assert lab.specs[0].device.device_id == "pi-kitchen"


def test_an_unknown_device_is_refused_with_what_exists(
    lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", str(model), "--device", "toaster"]) == 2
    err = capsys.readouterr().err
    assert "error: no device and no device class is called toaster" in err
    assert "pi-kitchen (class raspberrypi4)" in err
    assert not lab.specs


def test_data_and_reference_are_uploaded_and_asked_for(lab: FakeClient, model: Path, tmp_path: Path) -> None:
    import numpy as np

    inputs = {"input": np.zeros((3, 2), np.float32)}
    labelled, golden = tmp_path / "data.npz", tmp_path / "golden.npz"
    dataset.save(labelled, dataset.DataSet(inputs, labels=np.array([0, 1, 1])))
    dataset.save(golden, dataset.DataSet(inputs, outputs={"output": np.ones((3, 2), np.float32)}))
    assert run(["bench", str(model), "--data", str(labelled), "--reference", str(golden), "--tolerance", "0.2"]) == 0
    measurement = lab.specs[0].measurement
    assert measurement.accuracy.dataset.name == "data.npz"
    assert measurement.output_check.reference.name == "golden.npz"
    assert measurement.output_check.tolerance == 0.2


def test_a_data_set_without_labels_is_refused(
    lab: FakeClient, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    path = tmp_path / "data.npz"
    dataset.save(path, dataset.DataSet({"input": np.zeros((3, 2), np.float32)}))
    assert run(["bench", str(model), "--data", str(path)]) == 2
    assert "holds no labels" in capsys.readouterr().err


def test_several_models_go_on_after_a_failure_and_keep_their_order(
    lab: FakeClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / name for name in ("first.tflite", "bad.tflite", "last.tflite")]
    for path in paths:
        path.write_bytes(b"model")
    lab.outcomes["bad.tflite"] = canned.failed(canned.invalid_model())
    assert run(["bench", *map(str, paths)]) == 1
    out, err = capsys.readouterr()
    assert out.index("first.tflite") < out.index("last.tflite")
    assert "error: bad.tflite: invalid model: Didn't find op for builtin opcode 'SOFTMAX' version '9'" in err
    assert "first.tflite 431.2 µs 0.3 % 40.05 MiB litert 2.3.0 bench-1" in lines(out)
    assert "bad.tflite – – – invalid model" in lines(out)
    assert "last step: load" in err
    assert "remedy: export it again with an older operator version" in err


def test_a_crash_names_its_signal_and_keeps_its_stderr_for_the_logs(
    lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.outcomes["model.tflite"] = canned.failed(canned.crash())
    assert run(["bench", str(model)]) == 1
    err = capsys.readouterr().err
    assert "crashed (SIGSEGV)" in err
    assert "Fatal Python error" not in err
    assert run(["bench", str(model), "--debug"]) == 1
    assert "Fatal Python error" in capsys.readouterr().err


def test_json_is_one_document_and_nothing_else(
    lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", str(model), "--json"]) == 0
    found = document(capsys.readouterr().out)
    assert found["exit_code"] == 0
    [result] = found["results"]
    assert result["latency"]["median_s"]["value"] == pytest.approx(431.2e-6)
    assert result["energy"]["energy_j"] == {"unavailable": canned.NO_RAPL, "origin": "measured"}
    assert result["model"]["path"] == str(model)
    assert result["device"]["hardware"]["logical_cores"] == 2


def test_progress_on_a_terminal_leaves_standard_output_alone(
    lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run(["bench", str(model), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "timing on bench-1" in err
    document(out)
    assert run(["bench", str(model)]) == 0
    out, err = capsys.readouterr()
    assert "431.2 µs" in out
    assert "431.2 µs" not in err


def test_json_of_a_failure_says_why(lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab.outcomes["model.tflite"] = canned.failed(canned.crash())
    assert run(["bench", str(model), "--json"]) == 1
    found = document(capsys.readouterr().out)
    assert found["exit_code"] == 1
    failure = found["results"][0]["failure"]
    assert (failure["kind"], failure["signal"], failure["blame"]) == ("crashed", 11, "model")


def test_json_of_wrong_use_is_an_error_document(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "absent.tflite", "--json"]) == 2
    found = document(capsys.readouterr().out)
    assert found["error"]["message"] == "absent.tflite: no such file"
    assert found["exit_code"] == 2


def test_an_interrupt_cancels_the_jobs(lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab.interrupt = True
    assert run(["bench", str(model), str(model), "--json"]) == 130
    assert len(lab.cancelled) == 2
    out, err = capsys.readouterr()
    assert "interrupted: 2 jobs cancelled" in err
    assert [result["state"] for result in document(out)["results"]] == ["cancelled", "cancelled"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench"], "no model given"),
        (["bench", "m.tflite", "--nope"], "no such option: --nope"),
        (["bench", "m.tflite", "--threads", "many"], "invalid value for '--threads'"),
        (["bench", "m.tflite", "--threads", "0"], "invalid value for '--threads'"),
        (["bench", "m.tflite", "--delegate", "gpu"], "--delegate: gpu is no delegate"),
        (["bench", "m.tflite", "--precision", "tight"], "--precision: tight is no share"),
        (["bench", "m.tflite", "--precision", "0"], "--precision must be greater than 0, not '0'"),
        (["bench", "m.tflite", "--label", "berlin"], "--label: berlin is no label"),
        (["frob"], "no such command 'frob'"),
        (["jobs", "--state", "lost"], "--state: lost is no state of a job"),
        (["jobs", "show", "absent"], "no job 'absent'"),
        (["devices", "show", "absent"], "no device is called absent"),
    ],
)
def test_wrong_use_is_one_clear_line_with_a_remedy(
    lab: FakeClient, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    first, second = err.splitlines()
    assert first.startswith("error: ")
    assert message in first
    assert second.startswith("  remedy: ")


@pytest.mark.parametrize(("option", "value"), [("--seconds", "0"), ("--seconds", "nan"), ("--timeout", "-1")])
def test_numbers_that_cannot_be_meant_are_refused(
    lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert run(["bench", str(model), option, value]) == 2
    assert f"{option} must be at " in capsys.readouterr().err
    assert not lab.specs


def test_a_file_above_the_labs_limit_is_refused(
    lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.max_artifact_bytes = 50
    assert run(["bench", str(model)]) == 2
    assert "108 bytes, and the lab takes at most 50" in capsys.readouterr().err


def test_devices_and_one_of_them(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices"]) == 0
    out = lines(capsys.readouterr().out)
    assert "bench-1 x86_64-avx512 bench-1 online litert 2.3.0" in out
    assert "lost: no" in out
    assert run(["devices", "show", "bench"]) == 0
    assert "energy_j unavailable: no RAPL in this container" in lines(capsys.readouterr().out)
    assert run(["devices", "--json"]) == 0
    assert [entry["state"] for entry in document(capsys.readouterr().out)["devices"]] == ["online", "lost"]


def test_jobs_their_logs_and_their_end(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["jobs", "--state", "failed"]) == 0
    assert "3f2a91c0 failed vww_96_int8.tflite bench-1" in lines(capsys.readouterr().out)
    assert run(["jobs", "logs", "3f2a"]) == 0
    out = lines(capsys.readouterr().out)
    assert "outcome crashed (SIGSEGV)" in out
    assert "last step warm-up" in out
    assert "Fatal Python error: Segmentation fault" in out
    assert run(["jobs", "show", "3f2a", "--json"]) == 0
    assert document(capsys.readouterr().out)["job"]["attempts"][0]["failure"]["last_step"] == "warm-up"
    assert run(["jobs", "cancel", "3f2a"]) == 0
    assert "3f2a91c0 had ended already" in capsys.readouterr().out


def test_lab_status(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "status"]) == 0
    out = lines(capsys.readouterr().out)
    assert "jobs 1 queued, 3 succeeded" in out
    assert "artifacts 7 files, 2.384 MiB, the largest at most 976.6 KiB" in out
    assert "lab" in out
    assert "you anna (user)" in out
    assert "ada campaign-1 12 1 2 h 5 min" in out
    assert "bob – 0 0 12 s" in out


def test_lab_status_for_programs(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "status", "--json"]) == 0
    told = document(capsys.readouterr().out)["lab"]
    assert (told["secure"], told["caller"], told["store_bytes"]) == (True, "anna (user)", 40_960)
    assert told["queue"][0] == {"user": "ada", "campaign_id": "campaign-1", "queued": 12, "held": 1, "device_s": 7500.0}
    assert {device["state"] for device in told["devices"]} == {"online", "lost"}


def test_a_device_that_takes_no_jobs_is_shown_with_the_reason() -> None:
    lost = fleet_pb2.Device(
        description=device_pb2.DeviceDescription(device_id="pi4"),
        state=device_pb2.DEVICE_STATE_LOST,
        state_reason="no heartbeat for 10 s",
    )
    many = [lost] * 30
    console = Console(width=80, file=io.StringIO())
    console.print(rendered_status(fleet_pb2.GetStatusResponse(), many, "127.0.0.1:1"))
    out = lines(console.file.getvalue())  # type: ignore[attr-defined]
    assert "devices 30 lost" in out
    assert "pi4 – lost: no heartbeat for 10 s" in out
    assert "and 10 more devices: gauntlet devices" in out


def test_help_is_quick_because_heavy_libraries_stay_out() -> None:
    script = (
        "import sys; from gauntlet.cli.app import run; run(['bench', '--help']); "
        "heavy = {'grpc', 'google.protobuf', 'numpy', 'torch', 'sqlalchemy', 'asyncio'} & set(sys.modules); "
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--threads" in done.stdout


def test_without_the_lab_extra_it_says_how_to_install_it() -> None:
    script = "import sys; sys.modules['typer'] = None; from gauntlet.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'gauntlet[lab]'" in done.stderr


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gauntlet ")


def test_a_lab_does_not_listen_to_the_world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "up", "--address", "0.0.0.0:50151", "--dir", str(tmp_path / "lab")]) == 2
    assert "ssh -R" in capsys.readouterr().err
    assert not (tmp_path / "lab").exists()


def test_a_second_lab_in_one_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = folder.try_lock(folder.prepare(tmp_path))
    assert lock is not None
    folder.write_record(tmp_path, folder.LabRecord(42, "127.0.0.1:50151"))
    assert run(["lab", "up", "--dir", str(tmp_path)]) == 2
    assert "already, process 42 at 127.0.0.1:50151" in capsys.readouterr().err
    os.close(lock)
