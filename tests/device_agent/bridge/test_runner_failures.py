"""Runners that crash, hang, lie or are cut off: one clear failure each, and whose fault it is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Dict

import pytest

from device_agent.bridge.phone import PhoneDevice
from device_agent.workers import Outcome
from protos.blame import Blame, blame
from protos.gauntlet.v1 import failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.bridge.phones import FakePhone, FakePhones
from tests.device_agent.bridge.test_measuring import SERIAL, bench_of, device, failure_of, handset, job
from tests.device_agent.bridge.test_runner_protocol import GOOD
from tests.device_agent.test_measure_faults import Files, plan, tiny

__all__ = ["device", "handset", "tiny"]  # fixtures

_LONG_S = 30.0
LATENCY = pb.LatencySpec(min_samples=3, max_samples=3, half_width=1.0, confidence=0.95, pinning=pb.PINNING_NONE)


async def ask(device: PhoneDevice, files: Files, folder: Path, script: str, timeout_s: float = 60.0) -> Outcome:
    """A latency, from a runner that is a few lines of shell."""
    runner = folder / "runner.sh"
    runner.write_text(f"#!/bin/sh\n{script}\n")
    spec, paths = job(files[0], latency=(LATENCY, "", None))
    spec.timeout_s = timeout_s
    return await bench_of(device, runner, folder).measure(spec, paths)


def answering(result: Any) -> str:
    text = result if isinstance(result, str) else json.dumps(result)
    return f"cat > result.json <<'EOF'\n{text}\nEOF"


async def test_a_runner_of_three_lines_will_do(device: PhoneDevice, tiny: Files, tmp_path: Path) -> None:
    outcome = await ask(device, tiny, tmp_path, answering(GOOD))
    assert outcome.result is not None, outcome.failure
    assert outcome.result.latency.median_s.estimate.value == pytest.approx(1e-6)
    assert outcome.result.latency.median_s.estimate.samples == 3
    assert "insufficient" in outcome.result.latency.percentiles[0].latency_s.unavailable


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        ("kill -SEGV $$", failure_pb2.FAILURE_KIND_CRASHED, "ended by SIGSEGV"),
        ("kill -KILL $$", failure_pb2.FAILURE_KIND_CRASHED, "ended by SIGKILL"),
        ("echo no such luck; exit 3", failure_pb2.FAILURE_KIND_CRASHED, "exit status 3: no such luck"),
        ("true", failure_pb2.FAILURE_KIND_RUNTIME_ABSENT, "wrote no result"),
        ("exec /nowhere/at/all", failure_pb2.FAILURE_KIND_RUNTIME_ABSENT, "cannot run the runner"),
    ],
)
async def test_a_runner_that_ends_badly(
    device: PhoneDevice, tiny: Files, tmp_path: Path, script: str, kind: failure_pb2.FailureKind, words: str
) -> None:
    failure = failure_of(await ask(device, tiny, tmp_path, script))
    assert failure.kind == kind
    assert words in failure.message
    assert "\n" not in failure.message


async def test_a_crash_is_the_models_fault_and_tells_the_signal_and_the_last_words(
    device: PhoneDevice, tiny: Files, tmp_path: Path
) -> None:
    failure = failure_of(await ask(device, tiny, tmp_path, "echo in operator 7 >&2; kill -SEGV $$"))
    assert (failure.signal, failure.last_step) == (11, "describe")
    assert failure.stderr_tail.startswith("in operator 7\n")
    assert blame(failure) is Blame.MODEL


async def test_a_runner_that_the_phone_killed_for_memory_ran_out_of_it(
    device: PhoneDevice, handset: FakePhone, tiny: Files, tmp_path: Path
) -> None:
    handset.write("bin/dmesg", '#!/bin/sh\necho "Out of memory: Killed process 99 ($(cat $FAKE_PHONE/name))"\n')
    handset.path("bin/dmesg").chmod(0o755)
    failure = failure_of(
        await ask(device, tiny, tmp_path, 'basename "$0" | cut -c1-15 > "$FAKE_PHONE/name"; kill -KILL $$')
    )
    assert failure.kind == failure_pb2.FAILURE_KIND_OUT_OF_MEMORY
    assert "Killed process 99" in failure.message


@pytest.mark.slow
@pytest.mark.parametrize("has_timeout", [True, False])
async def test_a_runner_that_hangs_is_killed_on_the_phone(
    phones: FakePhones,
    handset: FakePhone,
    device: PhoneDevice,
    tiny: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_timeout: bool,
) -> None:
    monkeypatch.setattr("device_agent.bridge.calls._GRACE_S", 20.0 if has_timeout else 0.0)
    if not has_timeout:
        handset.write("bin/timeout", '#!/bin/sh\nshift 3\nexec "$@"\n')
        handset.path("bin/timeout").chmod(0o755)
    failure = failure_of(await ask(device, tiny, tmp_path, "sleep 600 & sleep 601", timeout_s=3.0))
    assert failure.kind == failure_pb2.FAILURE_KIND_TIMED_OUT
    assert "it was killed" in failure.message
    assert phones.running(SERIAL) == 0


async def test_unplugging_in_mid_run_ends_the_job_at_once(
    phones: FakePhones, device: PhoneDevice, tiny: Files, tmp_path: Path
) -> None:
    running = asyncio.ensure_future(ask(device, tiny, tmp_path, "touch $FAKE_PHONE/running; sleep 600", 600.0))
    root = Path(phones.look(SERIAL)["root"])
    await asyncio.wait_for(_there(root / "running"), _LONG_S)
    phones.unplug(SERIAL)
    failure = failure_of(await asyncio.wait_for(running, _LONG_S))
    assert failure.kind == failure_pb2.FAILURE_KIND_DEVICE_LOST
    assert SERIAL in failure.message


async def test_cancelling_a_job_ends_it_on_the_phone(
    phones: FakePhones, device: PhoneDevice, tiny: Files, tmp_path: Path
) -> None:
    running = asyncio.ensure_future(ask(device, tiny, tmp_path, "touch $FAKE_PHONE/running; sleep 600", 600.0))
    root = Path(phones.look(SERIAL)["root"])
    await asyncio.wait_for(_there(root / "running"), _LONG_S)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert phones.running(SERIAL) == 0
    assert not (root / "data/local/tmp/gauntlet/call").exists()


async def _there(path: Path) -> None:
    while not path.exists():  # noqa: ASYNC110  # another process makes it
        await asyncio.sleep(0.02)


async def test_a_result_that_is_cut_off_is_the_runners_fault(device: PhoneDevice, tiny: Files, tmp_path: Path) -> None:
    failure = failure_of(await ask(device, tiny, tmp_path, answering(json.dumps(GOOD)[:-20])))
    assert failure.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    assert "its result is no JSON" in failure.message
    assert blame(failure) is Blame.DEVICE


async def test_what_a_runner_makes_without_end_is_not_fetched(
    device: PhoneDevice, tiny: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_agent.bridge.calls._MOST_BACK_BYTES", 1024**2)
    failure = failure_of(await ask(device, tiny, tmp_path, "head -c 3000000 /dev/zero > result.json"))
    assert failure.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    assert "it made 2 MiB, more than 1" in failure.message


async def test_what_the_runner_says_of_a_model_is_passed_on(device: PhoneDevice, tiny: Files, tmp_path: Path) -> None:
    told = {"protocol": 1, "error": {"kind": "invalid_model", "message": "of my\nown words"}}
    failure = failure_of(await ask(device, tiny, tmp_path, answering(told)))
    assert (failure.kind, failure.message) == (failure_pb2.FAILURE_KIND_INVALID_MODEL, "of my own words")


async def test_a_file_that_is_no_model_is_not_even_sent(
    device: PhoneDevice, handset: FakePhone, tmp_path: Path
) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(b"GIF89a, by and large")
    failure = failure_of(await ask(device, (model, model), tmp_path, answering(GOOD)))
    assert failure.kind == failure_pb2.FAILURE_KIND_INVALID_MODEL
    assert not handset.path("/data/local/tmp/gauntlet").exists()


async def test_a_push_that_is_damaged_once_is_repeated(
    phones: FakePhones, device: PhoneDevice, tiny: Files, tmp_path: Path
) -> None:
    phones.change(SERIAL, corrupt_pushes=1)
    outcome = await ask(device, tiny, tmp_path, answering(GOOD))
    assert outcome.result is not None, outcome.failure


async def test_a_push_that_is_damaged_twice_is_a_corrupt_artifact(
    phones: FakePhones, device: PhoneDevice, tiny: Files, tmp_path: Path
) -> None:
    phones.change(SERIAL, corrupt_pushes=100)
    failure = failure_of(await ask(device, tiny, tmp_path, answering(GOOD)))
    assert failure.kind == failure_pb2.FAILURE_KIND_CORRUPT_ARTIFACT
    assert "arrived damaged on 4A2B, twice" in failure.message


async def test_a_phone_without_room_is_full(
    phones: FakePhones, device: PhoneDevice, tiny: Files, tmp_path: Path
) -> None:
    phones.change(SERIAL, full=True)
    failure = failure_of(await ask(device, tiny, tmp_path, answering(GOOD)))
    assert failure.kind == failure_pb2.FAILURE_KIND_DISK_FULL
    assert "make room" in failure.remedy


async def test_what_a_phone_cannot_do_is_refused(device: PhoneDevice, tiny: Files, tmp_path: Path) -> None:
    spec, paths = job(tiny[0], memory=(pb.MemorySpec(runs=1), "", None))
    (tmp_path / "runner").write_text("#!/bin/sh\n")
    failure = failure_of(await bench_of(device, tmp_path / "runner", tmp_path).measure(spec, paths))
    assert failure.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    assert failure.message == "no memory on a phone behind a bridge"


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"delegate": "gpu"}, failure_pb2.FAILURE_KIND_RUNTIME_ABSENT, "has no delegate 'gpu'; it offers: xnnpack"),
        ({"name": "onnxruntime"}, failure_pb2.FAILURE_KIND_RUNTIME_ABSENT, "has not got runtime 'onnxruntime'"),
    ],
)
async def test_a_runtime_or_delegate_that_is_not_there_is_refused_before_anything_is_sent(
    device: PhoneDevice,
    handset: FakePhone,
    tiny: Files,
    tmp_path: Path,
    changes: Dict[str, str],
    kind: failure_pb2.FailureKind,
    words: str,
) -> None:
    spec, paths = job(tiny[0], latency=(LATENCY, "", None))
    spec.runtime.MergeFrom(pb.RuntimeSpec(**changes))
    (tmp_path / "runner").write_text("#!/bin/sh\n")
    failure = failure_of(await bench_of(device, tmp_path / "runner", tmp_path).measure(spec, paths))
    assert failure.kind == kind
    assert words in failure.message
    assert not handset.path("/data/local/tmp/gauntlet").exists()


async def test_faults_without_a_data_set_are_refused(device: PhoneDevice, tiny: Files, tmp_path: Path) -> None:
    (tmp_path / "runner").write_text(f"#!/bin/sh\n{answering(GOOD)}\n")
    spec, paths = job(tiny[0], fault_plan=(plan("iBF(p=0.1)"), "record", None))
    failure = failure_of(await bench_of(device, tmp_path / "runner", tmp_path).measure(spec, paths))
    assert failure.kind == failure_pb2.FAILURE_KIND_INVALID_DATA


async def test_an_unfit_phone_measures_nothing(
    handset: FakePhone, device: PhoneDevice, tiny: Files, tmp_path: Path
) -> None:
    handset.battery(level=12)
    failure = failure_of(await ask(device, tiny, tmp_path, answering(GOOD)))
    assert failure.kind == failure_pb2.FAILURE_KIND_DEVICE_UNFIT
    assert blame(failure) is Blame.DEVICE
