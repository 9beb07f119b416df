"""What a user may ask of a device's state, from the command line to the specification and back into reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import orchestrator.client
from gauntlet.cli.app import run
from gauntlet.errors import UsageError
from gauntlet.setup import frequency_hz
from protos.gauntlet.v1 import setup_pb2
from tests.gauntlet import canned
from tests.gauntlet.fake_client import FakeClient

CHANGE = setup_pb2.SetupChange(
    control="governor",
    target="/sys/x/scaling_governor",
    found="schedutil",
    wanted="performance",
    read_back="performance",
)


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


def test_bench_asks_for_what_was_given(lab: FakeClient, model: Path) -> None:
    options = (
        "--governor performance --min-clock 800MHz --max-clock 1.5GHz --power-mode MAXN --jetson-clocks --cores big"
    )
    assert run(["bench", str(model), *options.split()]) == 0
    assert lab.specs[0].measurement.setup == setup_pb2.DeviceSetup(
        governor="performance",
        min_frequency_hz=8e8,
        max_frequency_hz=1.5e9,
        power_mode="MAXN",
        jetson_clocks=True,
        cores="big",
    )


def test_nothing_is_asked_for_by_itself(lab: FakeClient, model: Path) -> None:
    assert run(["bench", str(model)]) == 0
    assert not lab.specs[0].measurement.HasField("setup")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--cores big --no-pin", "leave out one of the two"),
        ("--min-clock 2GHz --max-clock 1GHz", "make no sense"),
        ("--max-clock fast", "--max-clock: fast is no clock"),
        ("--max-clock 1500000", "is no clock"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str], options: str, words: str
) -> None:
    assert run(["bench", str(model), *options.split()]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert lab.specs == []


def test_clocks_are_read_with_their_unit() -> None:
    assert (frequency_hz("1.5GHz", "x"), frequency_hz("800 mhz", "x"), frequency_hz("", "x")) == (1.5e9, 8e8, 0.0)
    for text in ("nanGHz", "-1GHz", "0GHz", "1e999GHz", "GHz", "1.5"):
        with pytest.raises(UsageError):
            frequency_hz(text, "x")


def test_reports_say_what_was_set_and_found(lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = canned.succeeded()
    job.result.provenance.setup.CopyFrom(
        setup_pb2.SetupReport(asked=setup_pb2.DeviceSetup(governor="performance", cores="0-1"), changes=[CHANGE])
    )
    lab.outcomes["model.tflite"] = job
    assert run(["bench", str(model)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "set governor performance" in out
    assert "found and put back: schedutil" in out
    assert run(["bench", str(model), "--json"]) == 0
    [result] = json.loads(capsys.readouterr().out)["results"]
    assert result["provenance"]["setup"]["asked"]["governor"] == "performance"
    assert result["provenance"]["setup"]["changes"][0]["found"] == "schedutil"


def test_a_device_says_what_can_be_set_and_why_not_the_rest(
    lab: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.fleet[0].description.controls.extend(
        [
            setup_pb2.Control(name="governor", unavailable="no cpufreq"),
            setup_pb2.Control(name="cores", state="little 0-3, big 4-7", choices=["big", "little"]),
        ]
    )
    assert run(["devices", "show", "bench-1"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "governor unavailable: no cpufreq" in out
    assert "cores little 0-3, big 4-7 of big, little" in out
    assert run(["devices", "show", "bench-1", "--json"]) == 0
    assert '"unavailable": "no cpufreq"' in capsys.readouterr().out
