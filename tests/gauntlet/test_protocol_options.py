"""The protocol from the user's side: shown, read from a file, set by flags; and the same numbers in the handbook."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import gauntlet
import orchestrator.client
from gauntlet.cli.app import run
from gauntlet.errors import UsageError
from gauntlet.protocol import BENCH_OPTIONS, COMPARE_OPTIONS, yaml_text
from orchestrator.protocol import DEFAULT, unit_of
from orchestrator.protocol_files import all_names, flat, resolve, text_of
from protos.gauntlet.v1 import measurement_pb2, setup_pb2
from tests.gauntlet.fake_client import FakeClient

HANDBOOK = Path(__file__).resolve().parents[2] / "docs" / "measuring.md"


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


@pytest.fixture
def careful(tmp_path: Path) -> Path:
    path = tmp_path / "careful.yaml"
    path.write_text("latency: {warmup_min_s: 2s, max_s: 30, half_width: 0.5%}\nenergy:\n  window_s: 8\n")
    return path


def bench(lab: FakeClient, model: Path, words: str) -> measurement_pb2.MeasurementSpec:
    assert run(["bench", str(model), *words.split()]) == 0
    return lab.specs[-1].measurement


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run([*words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 2
    return err


@pytest.mark.parametrize("command", ["bench", "compare"])
def test_the_whole_protocol_is_shown_and_no_lab_is_needed(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(orchestrator.client, "SyncClient", None)
    assert run([command, "--show-protocol"]) == 0
    shown = capsys.readouterr().out
    for name in all_names():
        part, _, key = name.partition(".")
        [line] = [line for line in shown.partition(f"\n{part}:")[2].splitlines() if f" {key}: " in line][:1]
        assert str(type(getattr(DEFAULT, part)).model_fields[key].description) in line
        assert unit_of(getattr(DEFAULT, part), key).name in line
    assert resolve(flat(yaml.safe_load(shown), "shown")) == DEFAULT


def test_what_is_shown_heeds_the_other_options(careful: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--show-protocol", "--protocol", str(careful), "--runs", "50", "--set", "memory.runs=9"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["latency"]["max_s"], shown["latency"]["max_samples"], shown["memory"]["runs"]) == (30, 50, 9)
    assert run(["bench", "--show-protocol", "--json", "--seconds", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol"]["latency"]["max_s"] == 3


@given(st.dictionaries(st.sampled_from(["latency.min_s", "energy.window_s"]), st.floats(0.1, 5)), st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_is_shown_says_the_same_again(asked: dict[str, float], pin: bool) -> None:
    protocol = resolve({**asked, "latency.pin": pin, "offline.batch_sizes": [1, 3]})
    again = resolve(flat(yaml.safe_load(yaml_text(protocol)), "shown"))
    assert again == protocol


def test_a_file_is_followed_and_the_rest_stays(lab: FakeClient, model: Path, careful: Path) -> None:
    spec = bench(lab, model, f"--protocol {careful}")
    assert (spec.latency.warmup_min_s, spec.latency.max_s, spec.latency.half_width) == (2, 30, 0.005)
    assert spec.energy.window_s == 8
    assert spec.latency.min_samples == DEFAULT.latency.min_samples
    assert spec.timeout_s == DEFAULT.job.timeout_s


def test_flags_and_set_count_more_than_the_file(lab: FakeClient, model: Path, careful: Path) -> None:
    words = f"--protocol {careful} --seconds 500ms --set latency.warmup_min_s=1 --set energy.window_s=10s"
    spec = bench(lab, model, words + " --set memory.runs=7 --set throttle.repeats=0 --set job.max_attempts=1 --profile")
    assert (spec.latency.max_s, spec.latency.warmup_min_s, spec.latency.half_width) == (0.5, 1, 0.005)
    assert (spec.energy.window_s, spec.memory.runs, spec.throttle.repeats) == (10, 7, 0)
    assert spec.profile.inferences == DEFAULT.profile.inferences
    assert lab.specs[-1].max_attempts == 1


def test_every_number_used_is_in_the_json(lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--json --profile --scenario single-stream --scenario multi-stream --scenario offline --processes 3"
    assert run(["bench", str(model), *words.split(), "--set", "energy.window_s=3"]) == 0
    asked = json.loads(capsys.readouterr().out)["results"][0]["specification"]
    used = set(DEFAULT.model_fields_set | set(type(DEFAULT).model_fields)) - {"comparison", "output_check", "job"}
    for part in used - {"accuracy"}:
        expected = {name for name in type(getattr(DEFAULT, part)).model_fields if name != "pin"}
        assert expected <= set(asked[part]), part
    assert asked["energy"]["window_s"] == 3
    assert asked["latency"]["processes"] == 3
    assert asked["accuracy"] is None


def test_scenarios_and_processes(lab: FakeClient, model: Path) -> None:
    plain = bench(lab, model, "")
    assert plain.HasField("latency")
    assert not plain.HasField("offline")
    assert not plain.HasField("multi_stream")
    offline = bench(lab, model, "--scenario offline --batch-sizes 1,4,16 --offline-threads 1,2")
    assert (list(offline.offline.batch_sizes), list(offline.offline.threads)) == ([1, 4, 16], [1, 2])
    assert not offline.HasField("latency")
    several = bench(lab, model, "--scenario multi-stream --scenario single-stream --streams 4 --processes 6")
    assert several.multi_stream.samples_per_query == 4
    assert (several.latency.processes, several.latency.max_processes) == (6, 15)


def test_what_takes_longer_has_longer_unless_a_limit_is_given(lab: FakeClient, model: Path) -> None:
    assert bench(lab, model, "--scenario offline").timeout_s > DEFAULT.job.timeout_s
    assert bench(lab, model, "--processes 6").timeout_s > DEFAULT.job.timeout_s
    assert bench(lab, model, "--processes 6 --timeout 60").timeout_s == 60
    assert bench(lab, model, "--processes 100 --seconds 1000").timeout_s == 3600


def test_python_takes_the_same(lab: FakeClient, model: Path, careful: Path) -> None:
    with gauntlet.Lab("fake:1") as opened:
        opened.bench(model, protocol=careful, processes=6, scenarios=["single-stream", "offline"], batch_sizes=[2])
        [first] = [job.measurement for job in lab.specs]
        opened.bench(model, protocol={"latency": {"max_s": 3, "min_s": "20ms"}}, max_s=4, pin=False)
    [second] = [job.measurement for job in lab.specs]
    assert (first.latency.warmup_min_s, first.latency.processes, list(first.offline.batch_sizes)) == (2, 6, [2])
    assert (second.latency.max_s, second.latency.min_s) == (4, 0.02)
    assert second.latency.pinning == measurement_pb2.PINNING_NONE


def test_python_names_what_is_wrong(lab: FakeClient, model: Path) -> None:
    wrong: list[tuple[gauntlet.BenchOptions, str]] = [
        ({"protocol": {"latency": {"maxs": 1}}}, "no setting latency.maxs"),
        ({"protocol": "absent.yaml"}, "absent.yaml cannot be read"),
        ({"protocol": 5}, "protocol holds no settings"),  # type: ignore[typeddict-item]
        ({"max_s": -1}, "max_s must be at least"),
        ({"processes": 0}, "processes must be at least 1"),
        ({"scenarios": ["server"]}, "no scenario server"),
    ]
    with gauntlet.Lab("fake:1") as opened:
        for options, message in wrong:
            with pytest.raises(UsageError, match=message):
                opened.bench(model, **options)
    assert not lab.specs


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        ("--protocol absent.yaml", "absent.yaml cannot be read", "name a protocol file"),
        ("--set latency.max_s", "--set: latency.max_s gives no value", "--set latency.max_s=5"),
        ("--set =5", "gives no value", "--set latency"),
        ("--set latency.max_s=", "gives no value", "--set latency"),
        ("--set latency.max_s=[", "--set is no YAML", "--show-protocol"),
        ("--set latency.maxs=5", "no setting latency.maxs", "did you mean latency.max_s?"),
        ("--set latency.max_s=-5", "--set latency.max_s must be at least 0.001, not -5", "500ms"),
        ("--set latency.max_s=.nan", "--set latency.max_s must be", "500ms"),
        ("--set latency.max_s=5 --seconds 5", "--seconds and --set latency.max_s both give latency.max_s", "leave one"),
        ("--set memory.runs=5 --set memory.runs=6", "both give memory.runs", "leave one"),
        ("--set latency.min_s=5 --seconds 2", "--set latency.min_s (5) is greater than --seconds (2)", "change one"),
        ("--runs 0", "--runs must be at least 1, not 0", "whole number"),
        ("--tolerance lots", "--tolerance: lots is no number", "standard deviations"),
        ("--batch-sizes 1,x --scenario offline", "--batch-sizes: 1,x is no list", "1,4,16"),
        ("--scenario server", "there is no scenario server", "single-stream, multi-stream, offline"),
        ("--streams 8", "--streams belongs to the multi-stream scenario", "add --scenario multi-stream"),
        ("--batch-sizes 1,2", "--batch-sizes belongs to the offline scenario", "add --scenario offline"),
        ("--scenario offline --runs 50", "--runs belongs to the single-stream", "add --scenario single-stream"),
        ("--cores big --set latency.pin=false", "cores are chosen", "leave out one"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(
    lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str], words: str, message: str, remedy: str
) -> None:
    err = refusal(capsys, "bench", str(model), *words.split())
    assert message in err.splitlines()[0]
    assert remedy in err.splitlines()[1]
    assert not lab.specs


def test_a_mistake_in_a_file_names_the_file(
    lab: FakeClient, model: Path, careful: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    careful.write_text("energy: {window_s: long}")
    assert f"{careful}: energy.window_s: long is no duration" in refusal(
        capsys, "bench", str(model), "--protocol", str(careful)
    )


def test_compare_takes_protocol_and_set_up(lab: FakeClient, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("comparison: {min_blocks: 30, warmup_min_s: 10ms}\nthrottle: {repeats: 1}\n")
    words = f"--protocol {path} --set comparison.min_blocks=40 --max-processes 9 --governor performance --cores 0-1"
    run(["compare", str(model), str(model), *words.split(), "--power-mode", "2", "--max-clock", "1GHz"])
    asked = lab.specs[-1].measurement
    assert (asked.comparison.min_blocks, asked.comparison.warmup_min_s, asked.comparison.max_processes) == (40, 0.01, 9)
    assert asked.throttle.repeats == 1
    assert asked.setup == setup_pb2.DeviceSetup(
        governor="performance", cores="0-1", power_mode="2", max_frequency_hz=1e9
    )
    assert asked.timeout_s == DEFAULT.comparison.timeout_s


def test_compare_refuses_cores_without_pinning(
    lab: FakeClient, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "cores are chosen" in refusal(capsys, "compare", str(model), str(model), "--cores", "big", "--no-pin")


@pytest.mark.parametrize(("command", "table"), [("bench", BENCH_OPTIONS), ("compare", COMPARE_OPTIONS)])
def test_help_shows_the_defaults_of_the_protocol(
    command: str,
    table: dict[str, tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run([command, "--help"]) == 0
    shown = capsys.readouterr().out
    for path, flag in table.values():
        if not flag:
            continue
        part, _, key = path.partition(".")
        value = getattr(getattr(DEFAULT, part), key)
        words = {"half_width": f"{100 * value:g}%" if key == "half_width" else "", "pin": "pin"}.get(key)
        [line] = [line for line in shown.splitlines() if line.startswith(f"│ {flag} ")]
        assert f"[default: {words or text_of(value).strip('[]')}]" in line


def handbook_table() -> str:
    """The table of all settings, as docs/measuring.md has it."""
    flags = {path: f"`{flag}`" for path, flag in BENCH_OPTIONS.values() if flag}
    flags |= {path: f"`{flag}` of `gauntlet compare`" for path, flag in COMPARE_OPTIONS.values() if flag}
    rows = ["| setting | default | unit | what | flag of `gauntlet bench` |", "| --- | --- | --- | --- | --- |"]
    for name in all_names():
        part, _, key = name.partition(".")
        body = getattr(DEFAULT, part)
        described = type(body).model_fields[key].description
        cells = (f"`{name}`", text_of(getattr(body, key)), unit_of(body, key).name, described, flags.get(name, ""))
        rows.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def test_the_handbooks_table_is_the_protocol() -> None:
    assert handbook_table() in HANDBOOK.read_text(), (
        f"docs/measuring.md, section Defaults, must hold:\n{handbook_table()}"
    )
