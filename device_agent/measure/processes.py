"""What several processes say together, and how many of them it takes. Pure: no clock, no model.

The process is the statistical unit (Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013): where a
process lies in memory makes a model faster or slower for as long as it lives, and the interval within one process knows
nothing of that.

                     s of the first n0 processes
    ├── n0 ──────────┤→ n = max(n0, ⌈(t s / d)²⌉), at most the cap
    ├── n ──────────────────────────────────┤→ mean ± t s / √n          t: n0 - 1 degrees of freedom

This is Stein's two-stage rule ("A two-sample test for a linear hypothesis whose power is independent of the variance",
Ann. Math. Stat. 16, 1945): s is that of the first stage to the end and independent of the mean, so that stopping early
costs no coverage, whatever n it leads to, the cap included.
"""

from __future__ import annotations

import math
from typing import Sequence, Tuple, Union

import numpy as np

from fault_injection.precision import mean_and_half_width, student_t_quantile
from protos import figures
from protos.gauntlet.v1 import figure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

#: Says how many processes there are at first and at most, and how precise they are to be.
Asked = Union[pb.ComparisonSpec, pb.LatencySpec]

_MEANS = ("load_s", "first_inference_s", "mean_s")
#: An interval by all processes that is this many times as wide contradicts the one by the first stage.
_OUTGROWN = 2.0


def first_stage(asked: Asked) -> int:
    """Processes before the rule is applied: two at least, since one has no spread."""
    return max(2, int(asked.processes))


def processes_needed(logs: Sequence[float], asked: Asked) -> int:
    """How many processes there are to be, by Stein's rule.

    Args:
        logs: logarithm of each process's figure, of the first stage.
        asked: the wanted half-width, the confidence and the cap.
    """
    first = len(logs)
    wanted = (_half_width_of_one(logs, asked.confidence) / asked.half_width) ** 2
    return max(first, math.ceil(min(wanted, max(int(asked.max_processes), first))))


def mean_and_reach(logs: Sequence[float], asked: Asked) -> Tuple[float, float]:
    """Mean over all processes and the half-width of its interval, by Stein's rule.

    Args:
        logs: logarithm of each process's figure, in the order taken, at least the first stage.
        asked: the first stage and the confidence.
    """
    mean = math.fsum(logs) / len(logs)
    return mean, _half_width_of_one(logs[: first_stage(asked)], asked.confidence) / math.sqrt(len(logs))


def outgrown(logs: Sequence[float], asked: Asked) -> str:
    """What to remark where the processes after the first stage lie much farther apart than it let expect.

    Over many measurements Stein's intervals hold the mean as often as they say. A single one may rest on a first stage
    that happened to agree, and then hold none of the processes.

    Args:
        logs: logarithm of each process's figure, in the order taken, at least the first stage.
        asked: the first stage and the confidence.

    Returns:
        A sentence; empty where they agree.
    """
    first = first_stage(asked)
    _, reach = mean_and_reach(logs, asked)
    by_all = _half_width_of_one(logs, asked.confidence) / math.sqrt(len(logs))
    if len(logs) == first or by_all <= _OUTGROWN * reach:
        return ""
    return (
        f"the interval rests on the first {first} processes, and later ones lie farther apart: by all {len(logs)} it "
        f"would be ±{100 * math.expm1(by_all):.2g} %; measure again, beginning with more processes"
    )


def geometric_mean(logs: Sequence[float], asked: Asked) -> figure_pb2.Figure:
    """The same as a figure, back from the logarithms."""
    mean, reach = mean_and_reach(logs, asked)
    interval = figure_pb2.Interval(
        low=math.exp(mean - reach),
        high=math.exp(mean + reach),
        confidence=asked.confidence,
        method="Student's t over processes (Stein)",
    )
    return figures.measured(math.exp(mean), len(logs), interval)


def spread(logs: Sequence[float]) -> figure_pb2.Figure:
    """Standard deviation between processes."""
    return figures.measured(float(np.std(logs, ddof=1)), len(logs))


def join_latencies(latencies: Sequence[pb.LatencyResult], asked: pb.LatencySpec) -> pb.LatencyResult:
    """One result of several processes, as `LatencyResult.runs` says.

    Args:
        latencies: of each process, in the order taken, at least the first stage.
        asked: what was asked.
    """
    logs = [math.log(latency.median_s.estimate.value) for latency in latencies]
    whole = pb.LatencyResult()
    whole.CopyFrom(latencies[0])
    whole.median_s.CopyFrom(geometric_mean(logs, asked))
    for name in _MEANS:
        values = [getattr(latency, name).estimate.value for latency in latencies]
        getattr(whole, name).CopyFrom(_mean(values, asked.confidence))
    whole.process_spread.CopyFrom(spread(logs))
    whole.runs.extend(
        pb.LatencyRun(
            load_s=latency.load_s,
            first_inference_s=latency.first_inference_s,
            median_s=latency.median_s,
            mean_s=latency.mean_s,
            stop_reason=latency.stop_reason,
            warmup_settled=latency.warmup_settled,
            raw_samples=latency.raw_samples,
        )
        for latency in latencies
    )
    return whole


def _mean(values: Sequence[float], confidence: float) -> figure_pb2.Figure:
    mean, reach = mean_and_half_width(values, confidence)
    # Few and unlike ones reach below 0, where no duration is.
    interval = figure_pb2.Interval(
        low=max(0.0, mean - reach), high=mean + reach, confidence=confidence, method="Student's t over processes"
    )
    return figures.measured(mean, len(values), interval)


def _half_width_of_one(logs: Sequence[float], confidence: float) -> float:
    deviation = float(np.std(np.asarray(logs), ddof=1))
    return student_t_quantile(0.5 + confidence / 2, len(logs) - 1) * deviation
