"""Does a model measured again get the same latency? With Gauntlet's protocol, and with a naive loop, side by side.

Run: ``python -m benchmarks.repeatability [--quick]``

    neighbour on the lowest core   ▇▇▇▇▇ ▇▇ ▇▇▇▇▇▇▇▇ ▇ ▇▇▇▇      bursts of 0.3 s on average, pauses of 0.1 s
    round 1    model 1: P N    model 2: P N    …      P: `lab.bench(model)`, all defaults, in an embedded lab of its
    round 2    model 1: N P    model 2: N P    …         own, started and ended for it: a new worker
      ⋮                                               N: `_naive_loop.py`: load, one call, the mean of fifty, not pinned

Each is a measurement as a person takes one today and another one tomorrow; what differs between the rounds is all that
nobody controls: the process's place in memory, the neighbour, the machine's mood. The spread of a model is the
coefficient of variation (standard deviation over mean) of its rounds; pooled over the models it is the root of the mean
of their squares. Intervals are those of normally distributed values: chi-square for a coefficient, F for the ratio of
two. Neither medians nor naive means quite are, so read them as a guide.

Needs the real models: `$GAUNTLET_DATA`, or `shared/data` beside the checkout; skipped without them, and on one core.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scipy import stats

import gauntlet
from benchmarks._lab import ended, real_models
from benchmarks._report import Report, Row, Table, main

#: MLPerf Tiny's four tasks; image classification and keywords in float32, too.
MODELS = (
    "vww_96_int8",
    "pretrainedResnet_quant",
    "pretrainedResnet",
    "kws_ref_model",
    "kws_ref_model_float32",
    "ad01_int8",
)
ROUNDS = 10
CONFIDENCE = 0.95
LOOP = Path(__file__).with_name("_naive_loop.py")
NEIGHBOUR = Path(__file__).with_name("_neighbour.py")


def with_protocol(path: Path) -> float:
    """Median of the steady state in seconds, as `gauntlet bench` reports it."""
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as folder, gauntlet.Lab(folder=folder) as lab:
        latency_s = lab.bench(path).latency_s
    assert latency_s is not None
    return latency_s


def naively(path: Path) -> float:
    """Mean in seconds, in a process of its own."""
    done = subprocess.run([sys.executable, str(LOOP), str(path)], check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["mean_s"])


def variation(values: Sequence[float]) -> float:
    """Coefficient of variation: standard deviation over mean."""
    return statistics.stdev(values) / statistics.fmean(values)


def pooled(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Coefficient of variation over models measured equally often, and its degrees of freedom."""
    squares = [variation(values) ** 2 for values in groups]
    return math.sqrt(statistics.fmean(squares)), sum(len(values) - 1 for values in groups)


def variation_interval(value: float, freedom: int) -> tuple[float, float]:
    """Interval of a coefficient of variation that is small: that of a standard deviation, by chi-square."""
    tail = (1 - CONFIDENCE) / 2
    low, high = (math.sqrt(freedom / stats.chi2.ppf(rank, freedom)) for rank in (1 - tail, tail))
    return value * low, value * high


def ratio_interval(ratio: float, freedom: int) -> tuple[float, float]:
    """Interval of a ratio of two standard deviations with so many degrees of freedom each, by F."""
    reach = math.sqrt(stats.f.ppf((1 + CONFIDENCE) / 2, freedom, freedom))
    return ratio / reach, ratio * reach


def row(path: Path, protocol: Sequence[float], naive: Sequence[float]) -> Row:
    """The line of the table for one model."""
    return {
        "model": path.stem,
        "protocol µs": 1e6 * statistics.fmean(protocol),
        "naive µs": 1e6 * statistics.fmean(naive),
        "protocol CV %": 100 * variation(protocol),
        "naive CV %": 100 * variation(naive),
        "naive / protocol": variation(naive) / variation(protocol),
    }


def summary(protocol: Sequence[Sequence[float]], naive: Sequence[Sequence[float]]) -> list[Row]:
    """All models together."""
    ways = {"protocol": pooled(protocol), "naive": pooled(naive)}
    rows: list[Row] = []
    for name, (value, freedom) in ways.items():
        low, high = variation_interval(value, freedom)
        rows.append({"all models, pooled": f"{name}, CV %", "value": 100 * value, "95 %": (100 * low, 100 * high)})
    ratio, freedom = ways["naive"][0] / ways["protocol"][0], ways["protocol"][1]
    return [*rows, {"all models, pooled": "naive / protocol", "value": ratio, "95 %": ratio_interval(ratio, freedom)}]


def run(quick: bool) -> Report:
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        return Report(skipped="one core: there is no place for a neighbour")
    folder = real_models()
    if folder is None:
        return Report(skipped="no real models; set GAUNTLET_DATA")
    paths = [path for name in MODELS if (path := folder / f"{name}.tflite").is_file()]
    if quick:
        paths = paths[1:2]
    reported: dict[Path, list[float]] = {path: [] for path in paths}
    naive: dict[Path, list[float]] = {path: [] for path in paths}
    with ended(subprocess.Popen([sys.executable, str(NEIGHBOUR), str(cores[0])])):
        for number in range(2 if quick else ROUNDS):
            for path in paths:
                ways = [(with_protocol, reported), (naively, naive)]
                for measure, values in ways if number % 2 == 0 else reversed(ways):
                    values[path].append(measure(path))
    title = f"Spread of {len(reported[paths[0]])} measurements of a model beside a busy neighbour"
    each = Table(title, [row(path, reported[path], naive[path]) for path in paths])
    together = summary(list(reported.values()), list(naive.values()))
    return Report([each, Table("The same over all models", together)])


if __name__ == "__main__":
    main(run, __doc__)
