"""Columns of the scenarios multi-stream and offline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gauntlet.results.column import Column
from gauntlet.results.estimates import FigureGroup, percentile
from gauntlet.results_json import stop_reason_name
from gauntlet.scenarios_json import best_cell
from protos.figures import value_of
from protos.gauntlet.v1 import figure_pb2, job_pb2, measurement_pb2

_Result = measurement_pb2.MeasurementResult


def _queries(of: Callable[[measurement_pb2.MultiStreamResult], Any]) -> Callable[[job_pb2.Job], Any]:
    return lambda job: of(job.result.multi_stream) if job.result.HasField("multi_stream") else None


def _cells(of: Callable[[measurement_pb2.OfflineCell], Any]) -> Callable[[job_pb2.Job], Any]:
    return lambda job: [of(cell) for cell in job.result.offline.cells] or None


def _best(name: str) -> Callable[[job_pb2.Job], Any]:
    return lambda job: getattr(best_cell(job.result.offline), name, None)


def _best_figure(name: str) -> Callable[[_Result], figure_pb2.Figure | None]:
    def of(result: _Result) -> figure_pb2.Figure | None:
        # Where there is none, the first cell says why.
        cell = best_cell(result.offline) or next(iter(result.offline.cells), None)
        return getattr(cell, name) if cell is not None else None

    return of


SCENARIOS: tuple[Column | FigureGroup, ...] = (
    Column("multi_stream_samples_per_query", "int", "", "samples of a query", _queries(lambda q: q.samples_per_query)),
    Column(
        "multi_stream_batched", "bool", "", "one call a query; else several in a row", _queries(lambda q: q.batched)
    ),
    Column(
        "multi_stream_stop_reason",
        "string",
        "",
        "precise (the queries and seconds asked for are there), max samples or max time",
        _queries(lambda q: stop_reason_name(q.stop_reason)),
    ),
    Column(
        "multi_stream_raw_samples_digest",
        "string",
        "",
        "artifact of the queries' latencies",
        _queries(lambda q: q.raw_samples.digest or None),
    ),
    FigureGroup(
        "multi_stream_median_s", "s", "latency of a query, median", "multi_stream", lambda r: r.multi_stream.median_s
    ),
    *(
        FigureGroup(
            f"multi_stream_p{rank}_s",
            "s",
            f"{rank}th percentile of the queries",
            "multi_stream",
            percentile("multi_stream", rank / 100),
        )
        for rank in (90, 95, 99)
    ),
    FigureGroup(
        "offline_best_throughput",
        "1/s",
        "samples a second of the best pair of batch size and threads",
        "offline",
        _best_figure("throughput_per_s"),
    ),
    FigureGroup("offline_best_call_s", "s", "median call of the best pair", "offline", _best_figure("call_s")),
    Column("offline_best_batch_size", "int", "", "samples to a call of the best pair", _best("batch_size")),
    Column("offline_best_threads", "int", "", "threads of the best pair", _best("threads")),
    Column(
        "offline_batch_sizes",
        "ints",
        "",
        "samples to a call of each pair that was asked for",
        _cells(lambda cell: cell.batch_size),
    ),
    Column("offline_threads", "ints", "", "threads of each pair", _cells(lambda cell: cell.threads)),
    Column(
        "offline_throughputs",
        "floats",
        "1/s",
        "samples a second of each pair; null where there is no figure",
        _cells(lambda cell: value_of(cell.throughput_per_s)),
    ),
)
