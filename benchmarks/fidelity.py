"""Is the reported latency true? Against an independent loop around `invoke()`.

Run: ``python -m benchmarks.fidelity [--quick]``

    pair 1      pair 2      pair 3      pair 4
    A   B       B   A       A   B       B   A          A: a job through client, orchestrator, agent, worker
    └ ABBA: a drift of the machine falls on both ┘     B: `_bare_loop.py`, a fresh process that knows only the runtime

Both measure one thread for about as long after about the same warm-up. *pinned*: the loop runs on the core that the
agent's provenance names; *free*: neither is held to a core. The loop holds the host's lock for timed windows, so that
no agent on this host disturbs either.

For models of 100 µs and more: the median over the pairs of reported / bare, with a bootstrap interval over pairs that
must lie inside 0.97–1.03. Shorter calls are batched on both sides (reported: samples of at least 100 µs; bare: as many
calls between two readings of the clock as take 300 µs), and the median of the differences must be at most 0.3 µs;
*clock each call* is the difference to a loop that reads the clock around every call, and so reports its own cost too.

Needs the real models: `$GAUNTLET_DATA`, or `shared/data` beside the checkout; skipped without them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import _stats
from benchmarks._lab import MODEL_TYPE, Lab, real_models, result_of, unix_address
from benchmarks._report import Report, Row, Table, main
from device_agent.hostlock import HostLock
from orchestrator.client import SyncClient
from orchestrator.client.specs import job_spec, latency_spec, measurement_spec
from protos.figures import value_of
from protos.gauntlet.v1 import artifact_pb2

MODELS = (
    "coral_mobilenet_v1_0.25_128_quant",
    "vww_96_int8",
    "pretrainedResnet",
    "pretrainedResnet_quant",
    "kws_ref_model_float32",
    "ad01_int8",
    "tflm_hello_world_int8",
)
FAST_S = 100e-6
BATCH_S = 300e-6
RATIO = (0.97, 1.03)
ERROR_S = 0.3e-6
LOOP = Path(__file__).with_name("_bare_loop.py")


@dataclass
class Pairs:
    """What both sides said about one model, pair by pair, in seconds."""

    model: str
    pinned: bool
    reported_s: list[float] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)
    each_call_s: list[float] = field(default_factory=list)

    @property
    def fast(self) -> bool:
        """Is it to be batched?"""
        return _stats.median(self.reported_s) < FAST_S

    def row(self) -> Row:
        """The line of the table."""
        ratios = [a / b for a, b in zip(self.reported_s, self.bare_s, strict=True)]
        differences_us = [(a - b) * 1e6 for a, b in zip(self.reported_s, self.bare_s, strict=True)]
        ratio, (low, high) = _stats.median(ratios), _stats.median_interval(ratios)
        difference_us = _stats.median(differences_us)
        row = {
            "model": self.model,
            "cores": "pinned" if self.pinned else "free",
            "pairs": len(ratios),
            "reported µs": _stats.median(self.reported_s) * 1e6,
            "bare µs": _stats.median(self.bare_s) * 1e6,
        }
        if self.fast:
            each_us = [(a - b) * 1e6 for a, b in zip(self.reported_s, self.each_call_s, strict=True)]
            return row | {
                "error µs": difference_us,
                "95 % interval": _stats.median_interval(differences_us),
                "clock each call": _stats.median(each_us),
                "verdict": abs(difference_us) <= ERROR_S * 1e6,
            }
        return row | {"ratio": ratio, "95 % interval": (low, high), "verdict": RATIO[0] <= low and high <= RATIO[1]}


class Bench:
    """Both ways to measure.

    Args:
        client: of the lab.
        seconds: of the timed part, on each side.
    """

    def __init__(self, client: SyncClient, seconds: float) -> None:
        self._client = client
        self._seconds = seconds

    def pairs(self, path: Path, count: int, pinned: bool) -> Pairs:
        """So many pairs, in ABBA order."""
        ref = self._client.put_file(path, MODEL_TYPE)
        pairs = Pairs(path.stem, pinned)
        first_s, cores = self._reported(ref, pinned)
        fast = first_s < FAST_S
        # Long batches would seldom run to their end undisturbed, and their mean holds each disturbance.
        batch = max(1, round(BATCH_S / first_s)) if fast else 1
        for number in range(count):
            # A B, B A, A B, …
            if number % 2 == 0:
                pairs.reported_s.append(self._reported(ref, pinned)[0])
            pairs.bare_s.append(self._bare(path, cores, batch))
            if fast:
                pairs.each_call_s.append(self._bare(path, cores, 1))
            if number % 2 == 1:
                pairs.reported_s.append(self._reported(ref, pinned)[0])
        return pairs

    def _reported(self, ref: artifact_pb2.ArtifactRef, pinned: bool) -> tuple[float, Sequence[int]]:
        latency = latency_spec(warmup_min_s=0.3, warmup_max_s=1.0, min_s=self._seconds, max_s=self._seconds, pin=pinned)
        spec = job_spec(measurement_spec(ref, latency=latency, memory=False, energy=False))
        [submitted] = self._client.submit([spec])
        job = list(self._client.watch([submitted.job_id]))[-1]
        result = result_of(job)
        median_s = value_of(result.latency.median_s)
        assert median_s is not None
        return median_s, list(result.provenance.cpus)

    def _bare(self, path: Path, cores: Sequence[int], batch: int) -> float:
        options = ["--seconds", str(self._seconds), "--batch", str(batch)]
        if cores:
            options += ["--core", *map(str, cores)]
        lock = HostLock()
        lock.acquire()
        try:
            command = [sys.executable, str(LOOP), str(path), *options]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        finally:
            lock.release()
        return float(json.loads(done.stdout)["median_s"])


def run(quick: bool) -> Report:
    folder = real_models()
    if folder is None:
        return Report(skipped="no real models; set GAUNTLET_DATA")
    paths = [folder / f"{name}.tflite" for name in MODELS]
    if quick:
        paths = [paths[3], paths[5]]
    found = [path for path in paths if path.is_file()]
    missing = [path.name for path in paths if not path.is_file()]
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as temporary:
        place = Path(temporary)
        with Lab(place, unix_address(place)) as lab, SyncClient(lab.address) as client:
            bench = Bench(client, seconds=0.1 if quick else 0.4)
            count = 2 if quick else 20
            measured = [bench.pairs(path, count, pinned) for pinned in (True, False) for path in found]
    notes = [f"absent: {', '.join(missing)}"] if missing else []
    slow = Table(
        f"Reported / independent loop, calls of {FAST_S * 1e6:g} µs and more (target: interval in 0.97–1.03)",
        [pairs.row() for pairs in measured if not pairs.fast],
        notes,
    )
    fast = Table(
        f"Reported − independent loop, calls below {FAST_S * 1e6:g} µs (target: at most {ERROR_S * 1e6:g} µs)",
        [pairs.row() for pairs in measured if pairs.fast],
    )
    return Report([slow, fast])


if __name__ == "__main__":
    main(run, __doc__)
