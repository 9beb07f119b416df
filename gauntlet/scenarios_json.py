"""Multi-stream and offline as JSON for programs, see `gauntlet.results_json`."""

from __future__ import annotations

from gauntlet.results_json import Document, artifact_document, figure_document, stop_reason_name, why_missing
from protos.figures import value_of
from protos.gauntlet.v1 import job_pb2, measurement_pb2

_QUERIES_ASKED = ("samples_per_query", "min_queries", "max_queries", "min_s", "max_s")


def multi_stream_document(job: job_pb2.Job) -> Document:
    """The queries that a job was asked for; of one without a result, the figures say why they are missing."""
    asked, result = job.spec.measurement.multi_stream, job.result.multi_stream
    specification = {name: getattr(asked, name) for name in _QUERIES_ASKED}
    if not job.result.HasField("multi_stream"):
        missing = {"unavailable": why_missing(job, "multi_stream"), "origin": "measured"}
        return {
            "specification": specification,
            "batched": None,
            "median_s": missing,
            "percentiles": [],
            "stop_reason": None,
            "raw_samples": None,
        }
    return {
        "specification": specification,
        "batched": result.batched,
        "median_s": figure_document(result.median_s),
        "percentiles": [
            {"rank": entry.rank, "latency_s": figure_document(entry.latency_s)} for entry in result.percentiles
        ],
        "stop_reason": stop_reason_name(result.stop_reason),
        "raw_samples": artifact_document(result.raw_samples) if result.raw_samples.digest else None,
    }


def offline_document(job: job_pb2.Job) -> Document:
    """Throughput of each pair of batch size and threads that a job was asked for, and which is best."""
    asked = job.spec.measurement.offline
    best = best_cell(job.result.offline)
    return {
        "specification": {
            "batch_sizes": list(asked.batch_sizes),
            "threads": list(asked.threads),
            "min_s": asked.min_s,
            "max_s": asked.max_s,
            "half_width": asked.half_width,
        },
        "cells": [_cell(cell) for cell in job.result.offline.cells],
        "best": {"batch_size": best.batch_size, "threads": best.threads} if best is not None else None,
        "unavailable": None if job.result.HasField("offline") else why_missing(job, "offline"),
    }


def best_cell(result: measurement_pb2.OfflineResult) -> measurement_pb2.OfflineCell | None:
    """The one with the highest throughput; None where there is none."""
    there = [cell for cell in result.cells if cell.throughput_per_s.HasField("estimate")]
    return max(there, key=lambda cell: value_of(cell.throughput_per_s) or 0.0, default=None)


def _cell(cell: measurement_pb2.OfflineCell) -> Document:
    there = cell.throughput_per_s.HasField("estimate")
    return {
        "batch_size": cell.batch_size,
        "threads": cell.threads,
        "throughput_per_s": figure_document(cell.throughput_per_s),
        "call_s": figure_document(cell.call_s),
        "stop_reason": stop_reason_name(cell.stop_reason) if there else None,
    }
