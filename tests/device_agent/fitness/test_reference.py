"""The file that is shipped, and one check with nothing made up."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from device_agent.fitness.checker import Checker
from device_agent.fitness.history import History
from device_agent.fitness.reference import MODEL, Reference
from device_agent.host import describe_device
from device_agent.workers import PoolSettings, WorkerPool
from protos import figures
from protos.gauntlet.v1 import device_pb2
from protos.gauntlet.v1.fitness_pb2 import FITNESS_VERDICT_BASELINE

_PROJECT = Path(__file__).resolve().parents[3]
ONNX = device_pb2.Runtime(name="onnxruntime", version="1", delegates=["cpu"], formats=["onnx"])
PLAIN = device_pb2.Runtime(name="tflite-runtime", version="2.14", delegates=["none"], formats=["tflite"])


def test_the_file_is_small_and_is_what_its_script_writes() -> None:
    assert MODEL.stat().st_size <= 200_000
    pytest.importorskip("torch", reason="makes the model")
    path = _PROJECT / "tools" / "make_reference_model.py"
    spec = importlib.util.spec_from_file_location("make_reference_model", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(script)
    sys.path[:] = before
    assert script.reference_model() == MODEL.read_bytes()


def test_it_takes_the_first_runtime_for_the_format_and_a_delegate_that_is_there() -> None:
    spec = Reference([ONNX, PLAIN]).latency()
    assert (spec.runtime.name, spec.runtime.delegate, spec.runtime.threads) == ("tflite-runtime", "", 1)


def test_a_missing_file_is_unavailable_and_says_what_to_do(tmp_path: Path) -> None:
    reference = Reference([PLAIN], tmp_path / "gone.tflite")
    assert "install the agent again" in reference.unavailable


async def test_a_real_device_gets_a_baseline(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    pool = WorkerPool(PoolSettings(tmp_path / "work"))
    await pool.start()
    try:
        history = History(tmp_path / "fitness.json", "here")
        reference = Reference(describe_device("here", {}).runtimes)
        checker = Checker("here", reference, pool, history, lambda report: None)
        assert await checker.check("start") == FITNESS_VERDICT_BASELINE, history.known.last
    finally:
        await pool.close()
    assert history.known.last is not None
    level_s = figures.value_of(history.known.last.reference_s)
    assert level_s is not None
    # From a fast desktop to a slow board: long for its clock, short for its owner.
    assert 50e-6 < level_s < 0.1
    assert "litert" in history.known.key
    assert list((tmp_path / "work").glob("job-*")) == []
