"""A text in the manner of MLPerf LoadGen's summary, for people who read those. Never a claim to be one.

The early-stopping estimate is LoadGen's: the percentile's upper bound at 99 % confidence, from order statistics
(MLPerf Inference Rules, appendix on early stopping). Of n sorted latencies the t-th highest is taken, t the largest
number with P(Binomial(n, 1 - rank) <= t) <= 0.01; the t - 1 above it are discarded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gauntlet.results_json import reason_of, why_missing
from gauntlet.scenarios_json import best_cell
from protos.figures import value_of
from protos.gauntlet.v1 import figure_pb2, job_pb2

_RANKS = (0.9, 0.95, 0.99)
_RULE = "=" * 64
_ALPHA = 0.01
_NOT_JUDGED = "Result is : not judged (Gauntlet makes no claim of MLPerf compliance)"


def summary(job: job_pb2.Job, samples_s: Sequence[float] | None) -> str:
    """The text of one measurement, scenario by scenario.

    Args:
        job: ended.
        samples_s: raw samples of its steady state, seconds; None where they were not kept.
    """
    spec = job.spec.measurement
    others = [name for name in ("multi_stream", "offline") if spec.HasField(name)]
    text = _single_stream(job, samples_s) if spec.HasField("latency") or not others else ""
    if "multi_stream" in others:
        text += _multi_stream(job)
    if "offline" in others:
        text += _offline(job)
    return text


def _single_stream(job: job_pb2.Job, samples_s: Sequence[float] | None) -> str:
    latency = job.result.latency
    # Of one series, as LoadGen's are: median and mean over several processes are none.
    first = latency.runs[0] if latency.runs else latency
    lines = [
        *_header(job, "SingleStream"),
        *([f"Series   : first of {len(latency.runs)} processes"] if latency.runs else []),
    ]
    if not job.result.HasField("latency"):
        return _text([*lines, f"No latency: {why_missing(job, 'latency')}"])
    lines += [
        *(f"{100 * e.rank:.1f}th percentile latency (ns) : {_ns(e.latency_s)}" for e in latency.percentiles),
        _NOT_JUDGED,
        "Early Stopping Result:",
        *_early_stopping(samples_s, latency.calls_per_sample),
        "",
        _RULE,
        "Additional Stats",
        _RULE,
        f"Samples                         : {first.median_s.estimate.samples}",
        f"Min latency (ns)                : {_ns(latency.min_s)}",
        f"Max latency (ns)                : {_ns(latency.max_s)}",
        f"Mean latency (ns)               : {_ns(first.mean_s)}",
        f"50.00 percentile latency (ns)   : {_ns(first.median_s)}",
        "",
        "Unlike LoadGen, queries repeat one input, and sampling stops by the interval of the median:",
        "no minimum duration or query count of MLPerf was kept.",
    ]
    return _text(lines)


def _header(job: job_pb2.Job, scenario: str) -> list[str]:
    provenance, model = job.result.provenance, job.spec.measurement.model
    what = "Throughput" if scenario == "Offline" else "Latency"
    return [
        _RULE,
        f"{what} summary in the manner of MLPerf LoadGen; not an MLPerf result",
        _RULE,
        f"SUT name : {provenance.device_id} (class {provenance.device_class})",
        f"Scenario : {scenario}",
        "Mode     : PerformanceOnly",
        f"Model    : {model.name} sha256 {model.digest}",
        f"Runtime  : {provenance.runtime} {provenance.runtime_version}, delegate {provenance.delegate or 'none'}, "
        f"threads {provenance.threads}",
        f"Job      : {job.job_id}",
    ]


def _multi_stream(job: job_pb2.Job) -> str:
    result, lines = job.result.multi_stream, _header(job, "MultiStream")
    if not job.result.HasField("multi_stream"):
        return _text([*lines, f"No latency: {why_missing(job, 'multi_stream')}"])
    return _text(
        [
            *lines,
            f"Samples per query : {result.samples_per_query}{'' if result.batched else ', in calls of their own'}",
            *(f"{100 * e.rank:.1f}th percentile latency (ns) : {_ns(e.latency_s)}" for e in result.percentiles),
            _NOT_JUDGED,
            f"Queries                         : {result.median_s.estimate.samples}",
            f"50.00 percentile latency (ns)   : {_ns(result.median_s)}",
        ]
    )


def _offline(job: job_pb2.Job) -> str:
    lines, best = _header(job, "Offline"), best_cell(job.result.offline)
    if best is None:
        cells = job.result.offline.cells
        reason = reason_of(cells[0].throughput_per_s) if cells else why_missing(job, "offline")
        return _text([*lines, f"No throughput: {reason}"])
    return _text(
        [
            *lines,
            f"Samples per second: {value_of(best.throughput_per_s):.6g}",
            _NOT_JUDGED,
            f"Best of {len(job.result.offline.cells)} pairs: batch {best.batch_size}, threads {best.threads}",
        ]
    )


def _text(lines: Sequence[str]) -> str:
    return "\n".join([*lines, "", ""])


def overlatency(count: int, rank: float) -> int:
    """The t of the rule: the t-th highest of `count` latencies bounds the percentile; 0: too few latencies.

    Args:
        count: latencies, at least 0.
        rank: of the percentile, 0-1.
    """
    share = 1 - rank
    total, t = 0.0, -1
    # P(Binomial(count, share) <= t + 1), summed up term by term.
    while t + 1 <= count:
        k = t + 1
        choose = math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        total += math.exp(choose + k * math.log(share) + (count - k) * math.log(rank))
        if total > _ALPHA:
            break
        t = k
    return max(0, t)


def _early_stopping(samples_s: Sequence[float] | None, calls: int) -> list[str]:
    if samples_s is None:
        return [" * The raw samples were not kept: no estimate."]
    if calls > 1:
        return [f" * Each sample is the mean of {calls} calls: no estimate for single queries."]
    ordered, lines = sorted(samples_s), []
    count = len(ordered)
    least = next(n for n in range(1, 10_000) if overlatency(n, _RANKS[0]))
    if count < least:
        return [f" * Processed {count} queries, at least {least} are needed: no estimate."]
    lines.append(f" * Processed at least {least} queries ({count}).")
    lines.append(f" * Would discard {overlatency(count, _RANKS[0]) - 1} highest latency queries.")
    for rank in _RANKS:
        t = overlatency(count, rank)
        text = f"{round(1e9 * ordered[count - t])}" if t else "not enough queries"
        lines.append(f" * Early stopping {100 * rank:.1f}th percentile estimate: {text}")
    return lines


def _ns(figure: figure_pb2.Figure) -> str:
    value = value_of(figure)
    return f"{1e9 * value:.0f}" if value is not None else f"n/a ({figure.unavailable or 'not reported'})"
