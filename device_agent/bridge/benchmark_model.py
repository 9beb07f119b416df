"""TensorFlow Lite's `benchmark_model` as a runner: latency, from what it prints.

It prints statistics, not samples; newer builds print the median and two percentiles, too. What it does not tell stays
unknown here. It runs on inputs of its own and shows no outputs: no output check, no accuracy, no faults with it.

Its options are those of tensorflow/lite/tools/benchmark/README.md in TensorFlow 2.16; its log is as users published it.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from device_agent.bridge import runner
from device_agent.bridge.adb import Phone
from device_agent.bridge.calls import Caller, Ran
from device_agent.bridge.job import Hands, Job
from device_agent.bridge.runner import RunnerFacts
from device_agent.bridge.store import PhoneStore
from device_agent.errors import MeasurementError, one_line
from device_agent.measure import statistics
from device_agent.measure.latency import PERCENTILES
from device_agent.runtimes import litert
from protos import figures
from protos.gauntlet.v1 import failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

NAME = "benchmark_model"
_DESCRIBE_S = 30.0
_LOG = "log"
_DELEGATES = ("xnnpack", "none")
_NUMBER = r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_SUMMARY = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}\s*$",
    re.MULTILINE,
)
_COUNT = re.compile(r"\bcount=\d+ .*")
_PAIR = re.compile(rf"\b(\w+)={_NUMBER}(?=\s|$)")
_UNKNOWN_OPERATION = re.compile(r"Didn't find op|unresolved custom op|Op builtin_code out of range", re.I)
#: Counts, and times in µs: what is more was not measured in one job.
_MOST = 2.0**31
#: The summary repeats the mean with six digits.
_SAME = 1e-4


@dataclass(frozen=True)
class Log:
    """What it printed, in seconds.

    Attributes:
        init_s: model and interpreter.
        first_s: the first inference.
        warmup_s: of all inferences before the timed ones.
        warmup_runs: how many these were.
        runs: timed inferences.
        mean_s: over them.
        least_s: likewise.
        most_s: likewise.
        median_s: likewise; None: an older build, which does not tell.
        p95_s: likewise.
    """

    init_s: float
    first_s: float
    warmup_s: float
    warmup_runs: int
    runs: int
    mean_s: float
    least_s: float
    most_s: float
    median_s: Optional[float]
    p95_s: Optional[float]


def is_benchmark_model(program: Path) -> bool:
    """Is it this tool, by its name?"""
    return NAME in program.name


def parse_log(text: str) -> Log:
    """Read what it printed.

    Raises:
        MeasurementError: no figures, or none that make sense.
    """
    summary = _SUMMARY.search(text)
    if summary is None:
        raise runner.broken(f"its log has no line of timings: {_last_line(text)}")
    lines = [
        {key: float(value) for key, value in _PAIR.findall(line)} for line in _COUNT.findall(text[: summary.start()])
    ]
    init, first, warm, mean = (float(number) for number in summary.groups())
    if len(lines) < 2:
        raise runner.broken("its log lacks the statistics in front of its timings")
    warmup, timed = lines[-2], lines[-1]
    # A single inference has nothing but its time.
    least, most = timed.get("min", mean), timed.get("max", mean)
    runs = timed["count"]
    told = [init, first, warm, mean, least, most, *timed.values(), *warmup.values()]
    if max(told) > _MOST or runs < 1 or mean <= 0:
        raise runner.broken("its log holds numbers that no times are")
    if not least * (1 - _SAME) <= mean <= most * (1 + _SAME) or abs(timed.get("avg", mean) - mean) > _SAME * mean:
        raise runner.broken(f"its log contradicts itself: mean {mean:g}, from {least:g} to {most:g} µs")
    return Log(
        init_s=init / 1e6,
        first_s=first / 1e6,
        warmup_s=warm * warmup["count"] / 1e6,
        warmup_runs=int(warmup["count"]),
        runs=int(runs),
        mean_s=mean / 1e6,
        least_s=least / 1e6,
        most_s=most / 1e6,
        median_s=timed["median"] / 1e6 if "median" in timed else None,
        p95_s=timed["p95"] / 1e6 if "p95" in timed else None,
    )


def latency_of(log: Log) -> pb.LatencyResult:
    """The figures that it allows."""
    no_samples = f"{NAME} tells no samples"
    median = figures.unavailable(f"{NAME} of this build tells the mean, not the median")
    if log.median_s is not None:
        median = figures.measured(log.median_s, log.runs)
    return pb.LatencyResult(
        load_s=figures.measured(log.init_s),
        first_inference_s=figures.measured(log.first_s),
        median_s=median,
        mean_s=figures.measured(log.mean_s, log.runs),
        min_s=figures.measured(log.least_s, log.runs),
        max_s=figures.measured(log.most_s, log.runs),
        mad_s=figures.unavailable(no_samples),
        percentiles=[_percentile(rank, log) for rank in PERCENTILES],
        warmup_runs=log.warmup_runs,
        warmup_s=log.warmup_s,
        calls_per_sample=1,
    )


class BenchmarkModel:
    """The tool on a phone: see `measuring.Program`.

    Args:
        phone: where it runs.
        store: of its files.
        program: the tool's file here, built for the phone.
    """

    def __init__(self, phone: Phone, store: PhoneStore, program: Path) -> None:
        self._caller = Caller(phone, store, program)

    @property
    def name(self) -> str:
        """For the provenance."""
        return f"{NAME} {self._caller.digest[:12]}"

    async def describe(self) -> RunnerFacts:
        """See `measuring.Program`."""
        ran = await self._caller.run(["--help"], {}, _DESCRIBE_S, Hands(), [_LOG])
        await self._caller.tidy()
        if "--graph" not in _said(ran):
            if ran.status:
                raise await self._caller.failure(ran, "describe")
            raise runner.broken("it is called benchmark_model and knows no --graph")
        return self._facts()

    async def carry_out(self, job: Job) -> None:
        """See `measuring.Program`."""
        spec, told = job.spec, job.result.provenance
        refused = [part for part in ("output_check", "accuracy", "energy", "fault_plan") if spec.HasField(part)]
        if refused:
            raise MeasurementError(
                failure_pb2.FAILURE_KIND_RUNTIME_ABSENT, f"{NAME} cannot do {', '.join(refused)}", runner.REMEDY
            )
        facts = self._facts()
        delegate = spec.runtime.delegate or _DELEGATES[0]
        told.runtime, told.runtime_version, told.delegate = facts.name, facts.version, delegate
        job.remark(
            f"{NAME} chose the inputs, and says neither which operators its delegate took nor whether it settled"
        )
        job.step("check")
        litert.check_file(job.path(spec.model))
        if spec.HasField("latency"):
            job.step("timing")
            try:
                log = await job.window(lambda: self._time(job, delegate), lambda _: None)
            finally:
                await asyncio.shield(self._caller.tidy())
            job.result.latency.CopyFrom(latency_of(log))

    async def _time(self, job: Job, delegate: str) -> Log:
        spec = job.spec.latency
        words = [
            f"--graph=../{job.spec.model.digest}",
            f"--num_threads={job.threads}",
            f"--use_xnnpack={'true' if delegate == 'xnnpack' else 'false'}",
            f"--warmup_runs={max(spec.warmup_min_runs, 1)}",
            f"--warmup_min_secs={spec.warmup_min_s:g}",
            f"--num_runs={max(spec.min_samples, 1)}",
            f"--min_secs={spec.min_s:g}",
            f"--max_secs={max(spec.max_s, spec.min_s):g}",
        ]
        files = {job.spec.model.digest: job.path(job.spec.model)}
        ran = await self._caller.run(words, files, job.left_s(), job.hands, [_LOG])
        said = _said(ran)
        if ran.status == 1:
            kind = failure_pb2.FAILURE_KIND_INVALID_MODEL
            if _UNKNOWN_OPERATION.search(said):
                kind = failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION
            raise MeasurementError(kind, f"{NAME}: {_last_line(said)}")
        if ran.status:
            raise await self._caller.failure(ran, "time")
        return parse_log(said)

    def _facts(self) -> RunnerFacts:
        # What is inside it, it does not tell: its figures are compared with none but its own.
        return RunnerFacts(NAME, self._caller.digest[:12], _DELEGATES, ("tflite",), ("latency",))


def _percentile(rank: float, log: Log) -> pb.Percentile:
    least = statistics.least_samples(rank)
    figure = figures.unavailable(f"{NAME} does not tell it")
    if rank == 0.95 and log.p95_s is not None:
        figure = figures.measured(log.p95_s, log.runs)
        if log.runs < least:
            figure = figures.unavailable(f"insufficient: {log.runs} samples, {least} needed")
    return pb.Percentile(rank=rank, latency_s=figure)


def _said(ran: Ran) -> str:
    return ran.files.get(_LOG, b"").decode(errors="replace")


def _last_line(text: str) -> str:
    """The last complaint, else the last line."""
    lines: List[str] = [line.strip() for line in text.splitlines() if line.strip()]
    complaints = [line for line in lines if re.search(r"error|fail", line, re.I)]
    return one_line((complaints or lines or ["it said nothing"])[-1])
