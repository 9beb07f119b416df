"""Does a comparison call what is equal equal, and find what differs by 3 %, beside a busy neighbour?

Run: ``python -m benchmarks.comparison [--quick]``

    neighbour on the other core   ▇▇▇▇▇ ▇▇ ▇▇▇▇▇▇▇▇ ▇ ▇▇▇▇      bursts of 0.3 s on average, pauses of 0.1 s
    A/A, A/A, A/B, A/A, …         each a job through client, orchestrator, agent and fresh workers

A/A compares a model with itself: at most 10 of 100 may be called different. A/B compares it with one that has a 34th
layer after 33 equal ones: at least 16 of 20 must be called slower. What B truly takes is found by an independent loop,
`_bare_loop.py`, in ABBA pairs of fresh processes, without the neighbour.

Each comparison is shorter than `gauntlet compare` makes it: it warms up for 0.1 s and takes blocks for at most 0.4 s in
a process. The agent has the highest core, the neighbour the lowest; on one core there is nothing to be learnt.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import _stats
from benchmarks._lab import MODEL_TYPE, PROJECT, Lab, ended, result_of, unix_address
from benchmarks._report import Report, Row, Table, main
from device_agent.hostlock import HostLock
from orchestrator.client import SyncClient
from orchestrator.client.specs import comparison_spec, job_spec, measurement_spec
from protos.figures import value_of
from protos.gauntlet.v1 import artifact_pb2, measurement_pb2

MOST_WRONG = 0.10
LEAST_FOUND = 0.80
LOOP = Path(__file__).with_name("_bare_loop.py")
NEIGHBOUR = Path(__file__).with_name("_neighbour.py")
#: One A/B after so many A/A.
_EVERY = 5


def compare(
    client: SyncClient, a: artifact_pb2.ArtifactRef, b: artifact_pb2.ArtifactRef
) -> measurement_pb2.ComparisonResult:
    """One comparison, carried out."""
    asked = comparison_spec(b, warmup_min_s=0.1, warmup_max_s=0.5, max_s=0.4)
    spec = job_spec(measurement_spec(a, memory=False, energy=False, comparison=asked))
    [submitted] = client.submit([spec])
    result = result_of(list(client.watch([submitted.job_id]))[-1])
    return result.comparison


def true_ratios(a: Path, b: Path, core: int, pairs: int, seconds: float) -> list[float]:
    """B / A by the independent loop, pair by pair in ABBA order."""
    ratios = []
    for number in range(pairs):
        order = (a, b) if number % 2 == 0 else (b, a)
        taken = {path: bare(path, core, seconds) for path in order}
        ratios.append(taken[b] / taken[a])
    return ratios


def bare(path: Path, core: int, seconds: float) -> float:
    lock = HostLock()
    lock.acquire()
    try:
        command = [sys.executable, str(LOOP), str(path), "--seconds", str(seconds), "--core", str(core)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    finally:
        lock.release()
    return float(json.loads(done.stdout)["median_s"])


@contextmanager
def neighbour(core: int) -> Iterator[None]:
    with ended(subprocess.Popen([sys.executable, str(NEIGHBOUR), str(core)])):
        yield


def row(name: str, results: list[measurement_pb2.ComparisonResult], slower_wanted: bool) -> Row:
    """The line of the table for one kind of comparison."""
    ratios = [value_of(result.ratio) or 0 for result in results]
    kinds = measurement_pb2.ComparisonVerdict
    counts = {kind: sum(result.verdict == kind for result in results) for kind in kinds.values()}
    slower = counts[measurement_pb2.COMPARISON_VERDICT_SLOWER]
    called = slower + counts[measurement_pb2.COMPARISON_VERDICT_FASTER]
    met = slower >= LEAST_FOUND * len(results) if slower_wanted else called <= MOST_WRONG * len(results)
    return {
        "compared": name,
        "comparisons": len(results),
        "called slower": slower,
        "called faster": called - slower,
        "median ratio": _stats.median(ratios),
        "5–95 % of them": (_stats.quantile(ratios, 0.05), _stats.quantile(ratios, 0.95)),
        "processes": _stats.median([len(result.runs) for result in results]),
        "spread of processes": _stats.median([value_of(result.process_spread) or 0 for result in results]),
        "verdict": met,
    }


def run(quick: bool) -> Report:
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        return Report(skipped="one core: there is no place for a neighbour")
    equal: list[measurement_pb2.ComparisonResult] = []
    different: list[measurement_pb2.ComparisonResult] = []
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as temporary:
        place = Path(temporary)
        a, b = place / "a.tflite", place / "b.tflite"
        subprocess.run([sys.executable, "-m", "benchmarks._pair", str(a), str(b)], check=True, cwd=PROJECT)
        pairs, seconds = (2, 0.2) if quick else (12, 0.5)
        truth = true_ratios(a, b, cores[-1], pairs, seconds)
        with Lab(place, unix_address(place)) as lab, SyncClient(lab.address) as client, neighbour(cores[0]):
            refs = [client.put_file(path, MODEL_TYPE) for path in (a, b)]
            for number in range(1 if quick else 100):
                equal.append(compare(client, refs[0], refs[0]))
                if number % _EVERY == 0:
                    different.append(compare(client, refs[0], refs[1]))
    true, (low, high) = _stats.median(truth), _stats.median_interval(truth)
    table = Table(
        f"Verdicts beside a busy neighbour (targets: at most {MOST_WRONG:.0%} of A/A called different, "
        f"at least {LEAST_FOUND:.0%} of A/B called slower)",
        [row("A/A", equal, slower_wanted=False), row("A/B", different, slower_wanted=True)],
        [f"B / A by the independent loop, {pairs} pairs: {true:.4f} (95 %: {low:.4f} – {high:.4f})"],
    )
    return Report([table])


if __name__ == "__main__":
    main(run, __doc__)
