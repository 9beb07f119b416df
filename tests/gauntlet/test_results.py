"""Finished measurements as tables: csv, json, parquet, DataFrame, and MLPerf's manner."""

from __future__ import annotations

import array
import builtins
import csv
import io
import json
import math
import os
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import gauntlet
import orchestrator.client
from device_agent.hoststate import HostReader
from device_agent.measure.conditions import probes_of
from device_agent.measure.memory import ResidentMemory
from device_agent.measure.meters import BOARD, Facts
from device_agent.measure.meters.power import PowerMeter
from gauntlet.cli.app import run
from gauntlet.errors import LabError, UsageError
from gauntlet.results import columns, mlperf, tables
from gauntlet.results.choice import parse_since
from protos.figures import measured
from protos.gauntlet.v1 import job_pb2, measurement_pb2
from tests.device_agent.boards import tree
from tests.gauntlet import canned, made_comparison, made_lists
from tests.gauntlet.fake_client import FakeClient

_PROJECT = Path(__file__).resolve().parents[2]
NASTY = 'naïve "model", 名前\r\n=1+1.tflite'


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient()
    monkeypatch.setenv("GAUNTLET_LAB", "fake:1")
    monkeypatch.setattr(orchestrator.client, "SyncClient", client)
    return client


def nasty() -> job_pb2.Job:
    """Everything that a format might stumble over."""
    job = canned.with_faults()
    job.job_id = "ff" * 16
    job.spec.campaign_id = "digits"
    job.spec.measurement.model.name = NASTY
    job.spec.measurement.fault_plan.seed = 2**64 - 1
    job.spec.device.labels["raum"] = "Büro, 1"
    job.result.provenance.remarks.append('says "hot"; a,b')
    job.result.latency.max_s.CopyFrom(measured(math.inf))
    job.result.latency.mad_s.CopyFrom(measured(math.nan))
    return job


def strict(text: str) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


# ------------------------------------------------------------------------------------------------ the schema


def test_the_schema_is_the_golden_one() -> None:
    """Columns are only added, at the end, and then here; anything else is a new schema version."""
    golden = json.loads((Path(__file__).parent / "results_schema_v1.json").read_text())
    assert columns.SCHEMA_VERSION == 1
    assert [[c["name"], c["type"], c["unit"]] for c in columns.schema()] == golden


def test_the_documentation_names_every_column() -> None:
    text = (_PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
    assert columns.markdown() in text, "put gauntlet.results.columns.markdown() into docs/results.md"


def test_names_are_unique_and_tell_their_unit() -> None:
    names = [column["name"] for column in columns.schema()]
    assert len(names) == len(set(names))
    for name, unit in ((c["name"], c["unit"]) for c in columns.schema()):
        wanted = {"_s": "s", "_j": "J", "_w": "W", "_hz": "Hz", "_bytes": "B", "_c": "°C"}
        for suffix, expected in wanted.items():
            if name.endswith(suffix):
                assert unit == expected, name


def test_every_figure_of_a_result_has_a_column() -> None:
    """A figure that is added to a measurement must come here, too."""
    job, expected = canned.succeeded(), set()
    for part in measurement_pb2.MeasurementResult.DESCRIPTOR.fields:
        for field in part.message_type.fields:
            if field.message_type is not None and field.message_type.name == "Figure":
                expected.add(value := 1000.5 + len(expected))
                getattr(getattr(job.result, part.name), field.name).CopyFrom(measured(value))
    assert len(expected) >= 28
    assert expected <= {value for value in columns.row(job).values() if isinstance(value, float)}


def test_a_row_has_every_column_of_the_right_type() -> None:
    kinds: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "time": (str,),
        "int": (int,),
        "uint": (int,),
        "float": (float, int),
        "bool": (bool,),
        "strings": (list,),
        "ints": (list,),
        "floats": (list,),
        "bools": (list,),
    }
    for job in (nasty(), made_lists.with_lists(), canned.succeeded(), canned.failed(canned.crash()), job_pb2.Job()):
        row = columns.row(job)
        assert list(row) == list(columns.types())
        for name, kind in columns.types().items():
            assert row[name] is None or isinstance(row[name], kinds[kind]), (name, row[name])


def test_a_row_tells_values_intervals_and_reasons() -> None:
    row = columns.row(canned.succeeded())
    assert row["latency_median_s"] == pytest.approx(431.2e-6)
    assert (row["latency_median_s_low"], row["latency_median_s_high"]) == pytest.approx((430.1e-6, 432.7e-6))
    assert (row["latency_median_s_confidence"], row["latency_median_s_samples"]) == (0.95, 2311)
    assert (row["latency_median_s_method"], row["latency_median_s_origin"]) == ("order statistics", "measured")
    assert row["latency_median_s_missing"] is None
    assert row["latency_p99_s"] is None
    assert row["latency_p99_s_missing"] == "insufficient: 500 samples, 662 needed"
    assert row["energy_j_missing"] == canned.NO_RAPL
    assert row["energy_idle_power_w_missing"] == "not reported"
    assert row["accuracy_top1_missing"] == "not asked for"
    assert row["host_before_temperature_c_missing"] == "no thermal zones in this container"
    assert row["governor_missing"] == "no cpufreq in this container"
    assert (row["device_id"], row["cpus"], row["host_shared"]) == ("bench-1", [1], True)


def test_what_is_not_finite_is_missing_with_the_reason() -> None:
    row = columns.row(nasty())
    assert row["latency_max_s"] is None
    assert row["latency_max_s_missing"] == "the device reported inf"
    assert row["latency_mad_s_missing"] == "the device reported nan"


def test_figures_of_a_failed_job_say_why_they_are_missing() -> None:
    row = columns.row(canned.failed(canned.crash()))
    assert (row["state"], row["failure_kind"]) == ("failed", "crashed")
    assert row["latency_median_s_missing"] == "the job ended with: crashed"
    assert row["host_after_frequency_hz_missing"] == "the job ended with: crashed"


def test_rails_are_told_beside_each_other() -> None:
    row = columns.row(made_lists.with_lists())
    assert row["energy_rails"] == ["VDD_IN", "VDD_CPU_GPU_CV"]
    assert row["energy_rails_energy_j"] == [0.0021, 0.0012]
    assert row["energy_rails_counted"] == [True, False]
    assert (row["energy_idle_before_w"], row["energy_idle_after_w"], row["energy_batches"]) == (1.7, 1.9, 20)
    without = columns.row(canned.succeeded())
    assert without["energy_rails"] is None
    assert without["energy_idle_before_w"] is None, "missing, not 0 W"


def test_series_have_an_entry_for_each_source_and_what_could_not_be_read_is_null() -> None:
    row = columns.row(made_lists.with_lists())
    assert row["conditions_temperature_sources"] == ["x86_pkg_temp", "acpitz"]
    assert row["conditions_temperature_start_c"] == [41.0, None]
    assert row["conditions_temperature_peak_c"] == [63.5, None]
    clock = [row[f"conditions_frequency_{point}_hz"] for point in ("start", "lowest", "peak", "end")]
    assert clock == [[3.0e9], [1.2e9], [3.0e9], [1.2e9]], "a clock that fell in mid-run shows"
    assert row["conditions_power_peak_w"] == [5.2]
    assert row["conditions_resident_end_bytes"] == [52e6]
    assert (row["conditions_throttle_count_start"], row["conditions_throttle_count_end"]) == ([7.0], [9.0])
    assert row["conditions_cooling_state_peak"] == [2.0]
    assert row["conditions_samples_digest"] == "ef" * 32
    assert row["conditions_missing"] is None


def test_a_machine_that_was_not_watched_says_why() -> None:
    assert columns.row(canned.succeeded())["conditions_missing"] == "the device did not report it"
    assert columns.row(canned.failed(canned.crash()))["conditions_missing"] == "the job ended with: crashed"
    untimed = canned.succeeded()
    untimed.spec.measurement.ClearField("latency")
    untimed.spec.measurement.ClearField("energy")
    assert columns.row(untimed)["conditions_missing"] == "only watched in timed windows"
    assert columns.row(untimed)["conditions_frequency_start_hz"] is None


def test_every_quantity_that_can_be_watched_has_columns(tmp_path: Path) -> None:
    """One that is added to the probes must come here, too."""
    cpu = "sys/devices/system/cpu/cpu0"
    files = {
        "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp",
        "sys/class/thermal/thermal_zone0/temp": "41000",
        "sys/class/thermal/cooling_device0/type": "Processor",
        "sys/class/thermal/cooling_device0/cur_state": "0",
        f"{cpu}/cpufreq/scaling_cur_freq": "3000000",
        f"{cpu}/cpufreq/scaling_max_freq": "3200000",
        f"{cpu}/thermal_throttle/core_throttle_count": "0",
    }
    meter = PowerMeter(Facts("supply", BOARD, ("supply",)), lambda: {"supply": 4.0}, 1.0)
    probes = HostReader(tree(tmp_path, files)).probes() + probes_of(ResidentMemory(), meter)
    assert len(probes) == 7
    job = canned.succeeded()
    job.result.conditions.series.extend(made_lists.series(p.quantity, p.source, 1, 1, 2, 2) for p in probes)
    told = [name for name, value in columns.row(job).items() if name.startswith("conditions_") and value == [2.0]]
    assert len(told) == 2 * len(probes), "peak and end of each"


def test_an_unfit_device_and_its_preflight_have_columns() -> None:
    job = canned.succeeded()
    row = columns.row(job)
    assert (row["unfit"], row["throttling_before"]) == ([], [])
    assert row["host_before_rated_frequency_hz"] is None
    assert row["host_before_rated_frequency_hz_missing"]
    told = job.result.provenance
    told.unfit.append("the device slowed down in each of 3 windows: the processor was throttled for heat (2 events)")
    told.before.throttling.append("clock limited to 1.20 of 1.80 GHz")
    told.before.frequency_limit_hz.CopyFrom(measured(1.2e9))
    told.before.rated_frequency_hz.CopyFrom(measured(1.8e9))
    row = columns.row(job)
    assert row["unfit"] == list(told.unfit)
    assert row["throttling_before"] == ["clock limited to 1.20 of 1.80 GHz"]
    assert (row["host_before_frequency_limit_hz"], row["host_before_rated_frequency_hz"]) == (1.2e9, 1.8e9)
    assert columns.row(canned.failed(canned.crash()))["unfit"] is None


def test_operators_are_told_in_order_and_without_a_profile_there_are_none() -> None:
    row = columns.row(made_lists.with_lists())
    assert row["profile_operator_types"][:2] == ["Convolution (NHWC, QC8) IGEMM", "DEPTHWISE_CONV_2D"]
    assert row["profile_operator_names"] == ["layer0/conv", None, "layer2/conv"]
    assert row["profile_operator_delegates"] == ["xnnpack", "xnnpack", "none"]
    assert row["profile_operator_shares"] == [0.45, 0.225, 0.0], "0 is a share like any other"
    assert row["profile_operator_times_s"] == pytest.approx([share * 862.4e-6 for share in (0.45, 0.225, 0)])
    assert (row["profile_source"], row["profile_resolution_s"]) == ("LiteRT's profiler", 1e-6)
    assert row["profile_whole_s"] == pytest.approx(862.4e-6)
    refused = canned.succeeded()
    refused.result.profile.unavailable = "tflite-runtime does not tell"
    assert columns.row(refused)["profile_operator_times_s"] is None
    assert columns.row(refused)["profile_resolution_s"] is None


def test_a_comparison_names_the_other_model_and_its_processes() -> None:
    row = columns.row(made_lists.with_lists())
    assert (row["comparison_model_name"], row["comparison_model_digest"]) == ("new.tflite", "cd" * 32)
    assert (row["comparison_verdict"], row["comparison_processes"]) == ("faster", 6)
    assert (row["comparison_ratio"], row["comparison_ratio_low"], row["comparison_ratio_high"]) == pytest.approx(
        (0.969, 0.965, 0.973)
    )
    assert row["comparison_process_spread"] == 0.0024
    assert row["comparison_noise_floor_missing"] == made_comparison.NO_FLOOR
    assert row["comparison_process_ratios"][:3] == pytest.approx([0.966, 0.971, 0.969])
    assert len(row["comparison_segments_digests"]) == 6
    alone = columns.row(canned.succeeded())
    assert (alone["comparison_processes"], alone["comparison_process_ratios"]) == (None, None)


def test_lists_keep_what_is_not_finite_out() -> None:
    job = made_lists.with_lists()
    job.result.energy.rails[1].energy_j = math.inf
    job.result.energy.idle_before_w = math.nan
    row = columns.row(job)
    assert row["energy_rails_energy_j"] == [0.0021, None]
    assert row["energy_idle_before_w"] is None
    assert strict(json.dumps(row))


# ------------------------------------------------------------------------------------------------ formats


def test_json_is_one_strict_document(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    lab.history = [nasty(), made_lists.with_lists()]
    assert run(["results"]) == 0
    document = strict(capsys.readouterr().out)
    assert (document["schema"], document["schema_version"]) == ("gauntlet.results", 1)
    assert document["columns"] == columns.schema()
    assert [row["job_id"] for row in document["rows"]] == ["ff" * 16, canned.JOB_ID]
    assert document["rows"] == [columns.row(nasty()), columns.row(made_lists.with_lists())]
    assert document["rows"][0]["fault_seed"] == 2**64 - 1


def test_csv_quotes_what_needs_it(lab: FakeClient, tmp_path: Path) -> None:
    lab.history = [nasty(), canned.succeeded()]
    out = tmp_path / "Ergebnisse.csv"
    assert run(["results", "--format", "csv", "--out", str(out)]) == 0
    with out.open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first) == list(columns.types())
    assert first["model_name"] == NASTY
    assert json.loads(first["remarks"])[-1] == 'says "hot"; a,b'
    assert json.loads(first["asked_labels"]) == ["raum=Büro, 1"]
    assert first["latency_max_s"] == ""
    assert first["schema_version"] == "1"
    assert first["host_shared"] == "true"
    assert float(second["latency_median_s"]) == canned.latency().median_s.estimate.value
    assert second["energy_j"] == ""
    assert second["fault_seed"] == ""


def test_lists_in_csv_are_json(lab: FakeClient, tmp_path: Path) -> None:
    lab.history = [made_lists.with_lists(), canned.succeeded()]
    out = tmp_path / "x.csv"
    assert run(["results", "--format", "csv", "--out", str(out)]) == 0
    with out.open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert json.loads(first["energy_rails_counted"]) == [True, False]
    assert json.loads(first["conditions_temperature_peak_c"]) == [63.5, None]
    assert json.loads(first["profile_operator_names"]) == ["layer0/conv", None, "layer2/conv"]
    assert second["conditions_temperature_peak_c"] == ""


def test_parquet_round_trip(lab: FakeClient, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    lab.history = [nasty(), canned.succeeded(), made_lists.with_lists()]
    out = tmp_path / "results.parquet"
    assert run(["results", "--format", "parquet", "--out", str(out)]) == 0
    table = pq.read_table(out)
    assert table.schema.metadata[b"gauntlet.results.schema_version"] == b"1"
    assert table.schema.field("latency_median_s").metadata[b"unit"] == b"s"
    for read, job in zip(table.to_pylist(), lab.history, strict=True):
        for name, value in columns.row(job).items():
            if columns.types()[name] == "time" and value:
                assert read[name] == datetime.fromisoformat(value)
            else:
                assert read[name] == value, name


def test_parquet_of_many_rows_comes_in_groups(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    row = columns.row(canned.succeeded())
    assert tables.write_parquet(({**row, "attempts": number} for number in range(2500)), tmp_path / "x") == 2500
    file = pq.ParquetFile(tmp_path / "x")
    assert file.metadata.num_row_groups == 3
    assert file.read(["attempts"])["attempts"].to_pylist() == list(range(2500))


def test_rows_are_written_as_they_come() -> None:
    """The second is not fetched before the first is written."""
    row, out = columns.row(canned.succeeded()), io.StringIO()

    def rows() -> Iterator[columns.Row]:
        yield row
        assert canned.JOB_ID in out.getvalue()
        yield row

    assert tables.write_csv(rows(), out) == 2
    out.truncate(0)
    assert tables.write_json(rows(), out) == 2


@pytest.mark.parametrize("form", ["json", "csv", "parquet", "mlperf"])
def test_no_measurement_is_an_empty_table(
    lab: FakeClient, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    lab.history = []
    out = tmp_path / "out"
    assert run(["results", "--format", form, "--out", str(out)]) == 0
    assert "0 measurements" in capsys.readouterr().err
    if form == "json":
        assert strict(out.read_text())["rows"] == []
    elif form == "csv":
        assert out.read_text().splitlines() == [",".join(columns.types())]
    elif form == "mlperf":
        assert out.read_text() == ""
    else:
        pq = pytest.importorskip("pyarrow.parquet")
        table = pq.read_table(out)
        assert (table.num_rows, table.column_names) == (0, list(columns.types()))


def test_a_data_frame_knows_types_and_the_missing(lab: FakeClient) -> None:
    pd = pytest.importorskip("pandas")
    lab.history = [nasty(), canned.succeeded()]
    with gauntlet.Lab() as opened:
        frame = opened.results()
    assert list(frame.columns) == list(columns.types())
    assert frame.attrs["schema_version"] == 1
    assert frame["latency_median_s"].dtype == "float64"
    assert frame["fault_seed"].iloc[0] == 2**64 - 1
    assert pd.isna(frame["fault_seed"].iloc[1])
    assert frame["finished_at"].iloc[0] == datetime(2026, 11, 20, 12, 0, 4, tzinfo=UTC)
    assert math.isnan(frame["energy_j"].iloc[1])
    assert frame["energy_j_missing"].iloc[1] == canned.NO_RAPL
    assert frame["cpus"].iloc[0] == [1]
    assert frame["energy_rails"].iloc[1] is None


def test_lists_in_a_data_frame_are_lists(lab: FakeClient) -> None:
    pytest.importorskip("pandas")
    lab.history = [made_lists.with_lists()]
    with gauntlet.Lab() as opened:
        [row] = opened.results().to_dict("records")
    for name in ("energy_rails_counted", "conditions_temperature_end_c", "profile_operator_times_s"):
        assert row[name] == columns.row(made_lists.with_lists())[name]


def test_an_empty_data_frame_has_the_same_columns_and_types(lab: FakeClient) -> None:
    pytest.importorskip("pandas")
    with gauntlet.Lab() as opened:
        full = opened.results()
        lab.history = []
        empty = opened.results()
    assert len(empty) == 0
    assert [str(kind) for kind in empty.dtypes] == [str(kind) for kind in full.dtypes]


def test_without_pandas_the_remedy_is_named(lab: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with gauntlet.Lab() as opened, pytest.raises(UsageError, match="pandas is not installed"):
        opened.results()


# ------------------------------------------------------------------------------------------------ which ones


def test_only_those_with_a_result_unless_asked(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["results"]) == 0
    assert len(strict(capsys.readouterr().out)["rows"]) == 1
    assert run(["results", "--failed"]) == 0
    assert len(strict(capsys.readouterr().out)["rows"]) == 2


def test_jobs_by_the_beginning_of_their_id(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    lab.history = [canned.succeeded()]
    assert run(["results", canned.JOB_ID[:6]]) == 0
    [row] = strict(capsys.readouterr().out)["rows"]
    assert row["job_id"] == canned.JOB_ID


def test_an_unknown_job_is_exit_2(lab: FakeClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x.json"
    assert run(["results", "beef", "--out", str(out)]) == 2
    assert "no job 'beef'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_runs_is_exit_2(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    lab.history = [canned.running()]
    assert run(["results", canned.JOB_ID]) == 2
    assert "is running" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "parquet"], "name a file with --out"),
        (["--since", "yesterday"], "is no time"),
        (["--out", "/nowhere/x.json"], "there is no directory /nowhere"),
        (["--out", "."], "is a directory"),
        (["abc", "--since", "1d"], "not both"),
        (["--format", "xml"], "xml"),
    ],
)
def test_wrong_use_is_exit_2(
    lab: FakeClient, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run(["results", *arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""


def test_a_folder_that_may_not_be_written_is_refused_first(
    lab: FakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    assert run(["results", "--out", str(tmp_path / "x")]) == 2
    assert "may not be written" in capsys.readouterr().err


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    out.write_text("old")

    def full(file: Any) -> int:
        file.write("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(LabError, match="No space left"):
        tables.write_text(full, out)
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_since_is_a_time_or_an_age() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert parse_since("24h", now) == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert parse_since("90m", now) == datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
    assert parse_since("2026-11-20", now) == datetime(2026, 11, 20, tzinfo=UTC)
    assert parse_since("2026-11-20T12:00+01:00", now) == datetime(2026, 11, 20, 11, tzinfo=UTC)
    for text in ("", "24", "h", "-1d", "now", "9999999w", "99999999999999999999d"):
        with pytest.raises(UsageError):
            parse_since(text, now)


# ------------------------------------------------------------------------------------------------ MLPerf's manner


@pytest.mark.parametrize(("count", "discarded"), [(64, 0), (2048, 172), (2116, 178), (2145, 181), (7469, 685)])
def test_the_early_stopping_rule_is_loadgens(count: int, discarded: int) -> None:
    """Numbers from summaries that LoadGen wrote for single stream: "Would discard … highest latency queries"."""
    assert mlperf.overlatency(count, 0.9) - 1 == discarded


@pytest.mark.parametrize(("rank", "least"), [(0.9, 64), (0.95, 130), (0.99, 662)])
def test_the_least_counts_are_mlperfs(rank: float, least: int) -> None:
    assert mlperf.overlatency(least, rank) == 1
    assert mlperf.overlatency(least - 1, rank) == 0


def samples(values: list[float]) -> bytes:
    return zlib.compress(array.array("d", values).tobytes())


def test_mlperf_text_of_a_single_stream(lab: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    lab.history = [canned.succeeded()]
    lab.artifacts["cd" * 32] = samples([1e-3 + 1e-6 * number for number in range(2048)])
    assert run(["results", "--format", "mlperf"]) == 0
    text = capsys.readouterr().out
    assert "not an MLPerf result" in text
    assert "Scenario : SingleStream" in text
    assert "90.0th percentile latency (ns) : 450400" in text
    assert "99.0th percentile latency (ns) : n/a (insufficient: 500 samples, 662 needed)" in text
    assert " * Processed at least 64 queries (2048)." in text
    assert " * Would discard 172 highest latency queries." in text
    assert f" * Early stopping 90.0th percentile estimate: {1_000_000 + 1000 * (2048 - 173)}" in text
    assert "VALID" not in text
    assert "no claim of MLPerf compliance" in text


def test_mlperf_text_says_why_there_is_no_estimate() -> None:
    job = canned.succeeded()
    assert "raw samples were not kept" in mlperf.summary(job, None)
    assert "Processed 63 queries, at least 64 are needed" in mlperf.summary(job, [1e-3] * 63)
    assert "99.0th percentile estimate: not enough queries" in mlperf.summary(job, [1e-3] * 100)
    job.result.latency.calls_per_sample = 8
    assert "mean of 8 calls: no estimate for single queries" in mlperf.summary(job, [1e-3] * 2048)
    job.result.ClearField("latency")
    assert "No latency: the device did not report it" in mlperf.summary(job, None)


# ------------------------------------------------------------------------------------------------ set-up


def test_a_set_up_is_told_as_asked_and_as_found() -> None:
    job = canned.succeeded()
    assert columns.row(job)["setup_asked"] is None
    job.spec.measurement.setup.governor = "performance"
    change = job.result.provenance.setup.changes.add()
    change.target, change.found, change.read_back = "/sys/x/scaling_governor", "schedutil", "performance"
    row = columns.row(job)
    assert json.loads(row["setup_asked"]) == {"governor": "performance"}
    assert row["setup_changes"] == ["/sys/x/scaling_governor: schedutil -> performance"]
