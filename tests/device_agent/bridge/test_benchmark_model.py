"""What benchmark_model prints, in several builds and moods, and what becomes of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import List

import pytest

from device_agent.bridge.benchmark_model import is_benchmark_model, latency_of, parse_log
from device_agent.bridge.measuring import PhoneBench
from device_agent.bridge.phone import PhoneDevice
from device_agent.errors import MeasurementError
from protos import figures
from protos.gauntlet.v1 import failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.bridge.test_measuring import device, failure_of, handset, job
from tests.device_agent.test_measure_faults import Files, tiny

__all__ = ["device", "handset", "tiny"]  # fixtures

#: In the form that builds of 2021 print, with figures of our own.
OLD = """\
STARTING!
Log parameter values verbosely: [0]
Num threads: [4]
Graph: [model.tflite]
Loaded model model.tflite
The input model file size (MB): 0.09
Initialized session in 17.187ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=12 first=260000 curr=245000 min=244000 max=260000 avg=250000 std=5000

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=249042 curr=250889 min=247067 max=254474 avg=249684 std=1442

Inference timings in us: Init: 17187, First inference: 260000, Warmup (avg): 250000, Inference (avg): 249684
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE.
Memory footprint delta from the start of the tool (MB): init=4.21094 overall=46.0859
"""
#: Large numbers come with an exponent, a single inference without statistics.
SLOW = """\
count=1 curr=3512391
count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798
Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3.51239e+06, Inference (avg): 2.95034e+06
"""
#: Of a newer build, through the log of Android.
NEW = """\
I tflite  : count=3 first=220000 curr=205000 min=200000 max=220000 avg=208333 std=8498 p5=200000 median=205000 \
p95=220000
I tflite  : count=200 first=187533 curr=140990 min=140071 max=195121 avg=145528 std=13583 p5=140545 median=141253 \
p95=187533
I tflite  : Inference timings in us: Init: 92318, First inference: 220000, Warmup (avg): 208333, Inference (avg): 145528
"""


def test_statistics_are_told_and_what_is_not_told_is_unknown() -> None:
    latency = latency_of(parse_log(OLD))
    assert figures.value_of(latency.load_s) == pytest.approx(0.017187)
    assert figures.value_of(latency.first_inference_s) == pytest.approx(0.26)
    assert figures.value_of(latency.mean_s) == pytest.approx(0.249684)
    assert latency.mean_s.estimate.samples == 50
    assert not latency.mean_s.estimate.HasField("interval")
    assert figures.value_of(latency.min_s) == pytest.approx(0.247067)
    assert figures.value_of(latency.max_s) == pytest.approx(0.254474)
    assert (latency.warmup_runs, latency.warmup_s) == (12, pytest.approx(3.0))
    assert "tells the mean, not the median" in latency.median_s.unavailable
    assert "tells no samples" in latency.mad_s.unavailable
    assert all(p.latency_s.unavailable for p in latency.percentiles)
    assert not latency.HasField("raw_samples")
    assert not latency.warmup_settled


def test_numbers_may_have_exponents_and_a_single_warm_up_run_no_statistics() -> None:
    log = parse_log(SLOW)
    assert (log.mean_s, log.warmup_runs, log.warmup_s) == pytest.approx((2.95034, 1, 3.51239))


def test_a_newer_build_tells_the_median_and_a_percentile() -> None:
    latency = latency_of(parse_log(NEW))
    assert figures.value_of(latency.median_s) == pytest.approx(0.141253)
    told = {p.rank: p.latency_s for p in latency.percentiles}
    assert figures.value_of(told[0.95]) == pytest.approx(0.187533)
    assert told[0.9].unavailable
    few = latency_of(parse_log(NEW.replace("count=200", "count=20")))
    assert "insufficient: 20 samples" in few.percentiles[1].latency_s.unavailable


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it said nothing"),
        (OLD[: OLD.index("Inference timings")], "no line of timings"),
        (OLD.replace("249684", "249684".replace("6", ",")), "no line of timings"),
        (OLD.replace("Inference timings in us", "Inferenzzeiten in us"), "no line of timings"),
        (OLD.replace("count=", "Anzahl="), "lacks the statistics"),
        (OLD.replace("avg=249684", "avg=300000"), "contradicts itself"),
        (OLD.replace("min=247067", "min=260000"), "contradicts itself"),
        (OLD.replace("249684", "0"), "no times are"),
        (OLD.replace("249684", "1e999"), "no times are"),
        (OLD.replace("count=50", "count=0"), "no times are"),
        (OLD.replace("count=50", "count=99999999999"), "no times are"),
    ],
)
def test_a_log_that_is_cut_or_other_is_refused(text: str, words: str) -> None:
    with pytest.raises(MeasurementError, match=words) as caught:
        parse_log(text)
    assert caught.value.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT


@pytest.mark.parametrize(
    ("name", "expected"), [("benchmark_model", True), ("android_aarch64_benchmark_model", True), ("runner.py", False)]
)
def test_it_is_known_by_its_name(name: str, expected: bool) -> None:
    assert is_benchmark_model(Path("/tmp") / name) is expected


def tool(folder: Path, *lines: str) -> Path:
    """A stand-in that answers to --help."""
    path = folder / "android_aarch64_benchmark_model"
    body = "\n".join(lines)
    path.write_text(
        f'#!/bin/sh\n[ "$1" = --help ] && {{ echo "--graph=  string  graph file name"; exit 1; }}\n{body}\n'
    )
    return path


def latency_job(files: Files, **parts: object) -> tuple:  # type: ignore[type-arg]
    latency = pb.LatencySpec(
        warmup_min_runs=5, warmup_min_s=0.1, min_samples=30, min_s=0.5, max_s=4, confidence=0.95, half_width=0.01
    )
    return job(files[0], latency=(latency, "", None), **parts)


async def test_a_phone_with_it_measures_latency_and_nothing_else(
    device: PhoneDevice, tiny: Files, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    bench = await PhoneBench.make(
        device, tool(tmp_path, f'echo "$@" > {asked}', f"cat <<'EOF'\n{NEW}EOF"), tmp_path / "work"
    )
    assert [runtime.name for runtime in bench.runtimes] == ["benchmark_model"]
    assert list(bench.capabilities) == ["latency"]
    spec, paths = latency_job(tiny)
    outcome = await bench.measure(spec, paths)
    assert outcome.result is not None, outcome.failure
    assert figures.value_of(outcome.result.latency.median_s) == pytest.approx(0.141253)
    assert outcome.result.provenance.runtime == "benchmark_model"
    assert any("chose the inputs" in remark for remark in outcome.result.provenance.remarks)
    words: List[str] = shlex.split(asked.read_text())
    assert f"--graph=../{spec.model.digest}" in words
    assert {"--num_threads=1", "--use_xnnpack=true", "--num_runs=30", "--min_secs=0.5", "--warmup_min_secs=0.1"} <= {
        *words
    }
    outcome.discard()
    accuracy = pb.AccuracySpec(batch_size=1, confidence=0.95)
    failure = failure_of(await bench.measure(*latency_job(tiny, accuracy=(accuracy, "dataset", tiny[1]))))
    assert failure.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    assert failure.message == "benchmark_model cannot do accuracy"


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        (
            "echo \"ERROR: Didn't find op for builtin opcode 'CUSTOM'\" >&2; exit 1",
            failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION,
            "Didn't find op",
        ),
        ("echo 'Failed to load model x'; exit 1", failure_pb2.FAILURE_KIND_INVALID_MODEL, "Failed to load model x"),
        ("kill -ABRT $$", failure_pb2.FAILURE_KIND_CRASHED, "SIGABRT"),
        ("echo STARTING!", failure_pb2.FAILURE_KIND_RUNTIME_ABSENT, "no line of timings: STARTING!"),
    ],
)
async def test_it_may_fail(
    device: PhoneDevice, tiny: Files, tmp_path: Path, line: str, kind: failure_pb2.FailureKind, words: str
) -> None:
    bench = await PhoneBench.make(device, tool(tmp_path, line), tmp_path / "work")
    failure = failure_of(await bench.measure(*latency_job(tiny)))
    assert failure.kind == kind
    assert words in failure.message


async def test_a_program_of_that_name_that_is_another_is_refused(device: PhoneDevice, tmp_path: Path) -> None:
    other = tmp_path / "benchmark_model"
    other.write_text("#!/bin/sh\necho usage: something else\n")
    with pytest.raises(MeasurementError, match="knows no --graph"):
        await PhoneBench.make(device, other, tmp_path / "work")
