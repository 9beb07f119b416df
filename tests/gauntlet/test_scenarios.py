"""Multi-stream and offline as the terminal, JSON and the table of results show them."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from gauntlet.render import bench
from gauntlet.results import columns, mlperf
from gauntlet.results_json import job_document
from orchestrator.client.specs import multi_stream_spec, offline_spec
from protos.figures import measured, unavailable
from protos.gauntlet.v1 import job_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.gauntlet import canned

NO_RESIZE = "the model takes 1 sample a call and cannot be resized"
NO_CORES = "the device has 2 cores"


def job(batched: bool = True) -> job_pb2.Job:
    made = canned.succeeded()
    made.spec.measurement.multi_stream.CopyFrom(multi_stream_spec())
    made.spec.measurement.offline.CopyFrom(offline_spec(batch_sizes=(1, 16), threads=(1, 2, 3)))
    made.result.multi_stream.CopyFrom(
        pb.MultiStreamResult(
            samples_per_query=8,
            batched=batched,
            median_s=measured(0.004, 700, canned.interval(0.0039, 0.0041)),
            percentiles=[
                pb.Percentile(rank=0.9, latency_s=measured(0.005, 700)),
                pb.Percentile(rank=0.99, latency_s=measured(0.0064, 700)),
            ],
            stop_reason=pb.STOP_REASON_PRECISE,
        )
    )
    made.result.multi_stream.raw_samples.digest = "ef" * 32
    cells = made.result.offline.cells
    for threads, size, value in ((1, 1, 2000.0), (1, 16, 2500.0), (2, 1, 3000.0), (2, 16, 5000.0)):
        half = 0.008 * value
        cells.add(
            threads=threads,
            batch_size=size,
            throughput_per_s=measured(value, 1000, canned.interval(value - half, value + half)),
            call_s=measured(size / value, 1000),
            stop_reason=pb.STOP_REASON_PRECISE,
        )
    cells[0].stop_reason = pb.STOP_REASON_MAX_TIME
    for size in (1, 16):
        cells.add(threads=3, batch_size=size, throughput_per_s=unavailable(NO_CORES), call_s=unavailable(NO_CORES))
    return made


def shown(made: job_pb2.Job, width: int = 100) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, legacy_windows=False).print(bench.report(made, None, width))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    return lines


def line(lines: list[str], *words: str) -> str:
    found = [entry for entry in lines if all(word in entry for word in words)]
    assert len(found) == 1, (words, lines)
    return found[0]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_report_shows_each_query_and_each_pair_of_batch_and_threads(width: int) -> None:
    lines = shown(job(), width)
    queries = lines[lines.index("Multi-stream") : lines.index("Offline")]
    assert "500.0 µs a sample" in line(queries, "4.000 ms")
    assert "800.0 µs a sample" in line(queries, "p99", "6.400 ms")
    assert line(queries, "700 queries of 8 samples, one call of 8 samples.")
    table = lines[lines.index("Offline") : lines.index("Other figures")]
    assert line(table, "batch", "1 thread", "2 threads")
    best = line(table, " 16 ", "2,500 /s", "5,000 /s", "±0.8 %", "best")
    other = line(table, " 1 ", "2,000 /s", "3,000 /s")
    assert "best" not in other
    # The bars are in proportion.
    assert best.count("█") > 1.3 * other.count("█") > 0
    text = " ".join(" ".join(table).split())
    assert "1 of 4 stopped there, with a wider interval" in text
    assert f"Not measured: batch 1, 16 with 3 threads: {NO_CORES}." in text


def test_a_model_that_cannot_be_resized_is_said_to_be_called_in_a_row() -> None:
    made = job(batched=False)
    for cell in made.result.offline.cells:
        cell.throughput_per_s.CopyFrom(unavailable(NO_RESIZE))
    lines = shown(made)
    assert line(lines, "700 queries of 8 samples, calls in a row: the model cannot be resized.")
    text = " ".join(" ".join(lines).split())
    assert f"Not measured: batch 1, 16 with 1, 2, 3 threads: {NO_RESIZE}." in text
    assert "/s" not in " ".join(lines[lines.index("Offline") :])


def test_json_tells_what_was_asked_every_pair_and_the_best() -> None:
    document = json.loads(json.dumps(job_document(job()), allow_nan=False))
    queries, offline = document["multi_stream"], document["offline"]
    assert queries["specification"]["min_queries"] == 662
    assert (queries["batched"], queries["stop_reason"]) == (True, "precise")
    assert queries["median_s"]["interval"]["high"] == 0.0041
    assert queries["percentiles"][1]["latency_s"]["value"] == 0.0064
    assert queries["raw_samples"]["digest"] == "ef" * 32
    assert offline["specification"]["threads"] == [1, 2, 3]
    assert offline["best"] == {"batch_size": 16, "threads": 2}
    assert [cell["throughput_per_s"].get("value") for cell in offline["cells"]] == [2000, 2500, 3000, 5000, None, None]
    assert offline["cells"][4] == {
        "batch_size": 1,
        "threads": 3,
        "throughput_per_s": {"unavailable": NO_CORES, "origin": "measured"},
        "call_s": {"unavailable": NO_CORES, "origin": "measured"},
        "stop_reason": None,
    }


def test_json_of_a_job_without_them() -> None:
    document = job_document(canned.succeeded())
    assert document["multi_stream"] is document["offline"] is None
    made = job()
    made.ClearField("result")
    document = job_document(made)
    assert document["multi_stream"]["median_s"]["unavailable"] == "not measured yet"
    assert (document["offline"]["unavailable"], document["offline"]["best"]) == ("not measured yet", None)


def test_the_table_of_results_has_the_queries_and_the_best_pair() -> None:
    row = columns.row(job())
    assert (row["multi_stream_median_s"], row["multi_stream_p99_s"], row["multi_stream_p99_s_samples"]) == (
        0.004,
        0.0064,
        700,
    )
    assert row["multi_stream_p95_s"] is None
    assert row["multi_stream_p95_s_missing"] == "not reported"
    assert (row["offline_best_throughput"], row["offline_best_batch_size"], row["offline_best_threads"]) == (
        5000,
        16,
        2,
    )
    assert row["offline_threads"] == [1, 1, 2, 2, 3, 3]
    assert row["offline_throughputs"] == [2000, 2500, 3000, 5000, None, None]

    nothing = job()
    del nothing.result.offline.cells[:4]
    row = columns.row(nothing)
    assert (row["offline_best_throughput"], row["offline_best_throughput_missing"]) == (None, NO_CORES)
    assert row["offline_best_batch_size"] is None
    row = columns.row(canned.succeeded())
    assert row["multi_stream_median_s_missing"] == row["offline_best_throughput_missing"] == "not asked for"


def test_the_summary_in_the_manner_of_mlperf_names_each_scenario() -> None:
    made = job()
    text = mlperf.summary(made, None)
    assert [entry.split(" : ")[1] for entry in text.splitlines() if entry.startswith("Scenario")] == [
        "SingleStream",
        "MultiStream",
        "Offline",
    ]
    assert "99.0th percentile latency (ns) : 6400000" in text
    assert "Samples per second: 5000" in text
    assert "Best of 6 pairs: batch 16, threads 2" in text
    assert text.count("not an MLPerf result") == text.count("makes no claim of MLPerf compliance") == 3

    made.spec.measurement.ClearField("latency")
    del made.result.offline.cells[:4]
    made.result.ClearField("multi_stream")
    text = mlperf.summary(made, None)
    assert "SingleStream" not in text
    assert "No latency: the device did not report it" in text
    assert f"No throughput: {NO_CORES}" in text
