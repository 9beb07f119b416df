"""What the processes of a comparison say together. Pure: no clock, no model.

The process is the statistical unit (Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013): where a
process lies in memory shifts the ratio of two models for as long as it lives. Of a model compared with itself, medians
of single processes were spread by 0.3-0.4 % (two models of 50-80 µs, 60 blocks each), and single ones lay 1-6 % off,
while the intervals within the processes were a tenth to a third of a percent wide.

                     s of the first n0 processes
    ├── n0 ──────────┤→ n = max(n0, ⌈(t s / d)²⌉), at most the cap
    ├── n ──────────────────────────────────┤→ mean ± t s / √n          t: n0 - 1 degrees of freedom

This is Stein's two-stage rule ("A two-sample test for a linear hypothesis whose power is independent of the variance",
Ann. Math. Stat. 16, 1945): s is that of the first stage to the end and independent of the mean, so that stopping early
costs no coverage, whatever n it leads to, the cap included. Simulated over normal, heavy-tailed and contaminated
processes, a model differed from itself in 3-6 % of the comparisons (tests/device_agent/test_measure_comparison.py).
"""

from __future__ import annotations

import math
from typing import Optional, Sequence

import numpy as np

from device_agent.measure import statistics
from fault_injection.precision import student_t_quantile
from protos import figures
from protos.gauntlet.v1 import figure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

UNKNOWN_FLOOR = "not given; comparing a model with itself on this device finds it"


def processes_needed(log_ratios: Sequence[float], spec: pb.ComparisonSpec) -> int:
    """How many processes there are to be, by Stein's rule.

    Args:
        log_ratios: of the first stage.
        spec: the wanted half-width, the confidence and the cap.
    """
    first = len(log_ratios)
    wanted = (_half_width_of_one(log_ratios, spec.confidence) / spec.half_width) ** 2
    return max(first, math.ceil(min(wanted, max(int(spec.max_processes), first))))


def conclude(runs: Sequence[pb.ComparisonRun], spec: pb.ComparisonSpec, same_model: bool) -> pb.ComparisonResult:
    """Join the processes.

    Args:
        runs: at least the first stage, in the order taken.
        spec: what was asked.
        same_model: is A compared with itself? The result is its noise floor then.
    """
    logs = [math.log(run.ratio.estimate.value) for run in runs]
    first = logs[: max(2, int(spec.processes))]
    mean = math.fsum(logs) / len(logs)
    reach = _half_width_of_one(first, spec.confidence) / math.sqrt(len(logs))
    interval = figure_pb2.Interval(
        low=math.exp(mean - reach),
        high=math.exp(mean + reach),
        confidence=spec.confidence,
        method="Student's t over processes (Stein)",
    )
    floor = spec.noise_floor if spec.HasField("noise_floor") else None
    result = pb.ComparisonResult(
        ratio=figures.measured(math.exp(mean), len(runs), interval),
        verdict=judge(mean, reach, floor),
        noise_floor=figures.unavailable(UNKNOWN_FLOOR) if floor is None else figures.measured(floor),
        process_spread=figures.measured(float(np.std(logs, ddof=1)), len(runs)),
        median_a_s=_median([run.median_a_s for run in runs]),
        median_b_s=_median([run.median_b_s for run in runs]),
        runs=runs,
    )
    if same_model:
        result.measured_noise_floor.CopyFrom(figures.measured(math.expm1(abs(mean) + reach), len(runs)))
    return result


def judge(log_ratio: float, half_width: float, noise_floor: Optional[float]) -> pb.ComparisonVerdict:
    """Is B faster or slower than A, or can nobody tell?

    Args:
        log_ratio: of B over A.
        half_width: of its interval.
        noise_floor: a share of 1, or None.
    """
    if abs(log_ratio) <= max(half_width, math.log1p(noise_floor or 0.0)):
        return pb.COMPARISON_VERDICT_INDISTINGUISHABLE
    return pb.COMPARISON_VERDICT_FASTER if log_ratio < 0 else pb.COMPARISON_VERDICT_SLOWER


def _half_width_of_one(log_ratios: Sequence[float], confidence: float) -> float:
    spread = float(np.std(np.asarray(log_ratios), ddof=1))
    return student_t_quantile(0.5 + confidence / 2, len(log_ratios) - 1) * spread


def _median(values: Sequence[float]) -> figure_pb2.Figure:
    return figures.measured(statistics.median(np.sort(np.array(values, np.float64))), len(values))
