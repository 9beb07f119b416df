"""What the processes of a comparison say together. Pure: no clock, no model.

Of a model compared with itself, medians of single processes were spread by 0.3-0.4 % (two models of 50-80 µs, 60 blocks
each), and single ones lay 1-6 % off, while the intervals within the processes were a tenth to a third of a percent
wide: see `processes` for what follows. Simulated over normal, heavy-tailed and contaminated processes, a model differed
from itself in 3-6 % of the comparisons (tests/device_agent/test_measure_comparison.py).
"""

from __future__ import annotations

import math
from typing import Optional, Sequence

import numpy as np

from device_agent.measure import processes, statistics
from protos import figures
from protos.gauntlet.v1 import figure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

UNKNOWN_FLOOR = "not given; comparing a model with itself on this device finds it"


def conclude(runs: Sequence[pb.ComparisonRun], spec: pb.ComparisonSpec, same_model: bool) -> pb.ComparisonResult:
    """Join the processes.

    Args:
        runs: at least the first stage, in the order taken.
        spec: what was asked.
        same_model: is A compared with itself? The result is its noise floor then.
    """
    logs = [math.log(run.ratio.estimate.value) for run in runs]
    mean, reach = processes.mean_and_reach(logs, spec)
    floor = spec.noise_floor if spec.HasField("noise_floor") else None
    result = pb.ComparisonResult(
        ratio=processes.geometric_mean(logs, spec),
        verdict=judge(mean, reach, floor),
        noise_floor=figures.unavailable(UNKNOWN_FLOOR) if floor is None else figures.measured(floor),
        process_spread=processes.spread(logs),
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


def _median(values: Sequence[float]) -> figure_pb2.Figure:
    return figures.measured(statistics.median(np.sort(np.array(values, np.float64))), len(values))
