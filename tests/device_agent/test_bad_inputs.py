"""What a machine and a model may throw at a measurement, through a whole worker or a whole recording."""

from __future__ import annotations

from pathlib import Path
from typing import AsyncIterator, List, Optional

import numpy as np
import pytest
import pytest_asyncio

from device_agent.hoststate import HostReader
from device_agent.measure.conditions import PERIOD_S, Recorder
from device_agent.runtimes import discover
from device_agent.workers import PoolSettings, WorkerPool
from protos import figures
from protos.gauntlet.v1 import failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.boards import Clock, ManualTicker, tree
from tests.device_agent.conftest import SpecFor

CLOCK_FILE = "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"


@pytest_asyncio.fixture
async def pool(tmp_path: Path) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(PoolSettings(tmp_path / "workers", spare=False))
    await pool.start()
    yield pool
    await pool.close()


def recorded(root: Path, contents: List[Optional[str]]) -> pb.Series:
    """The series of a clock whose file holds these in turn; None: it is gone."""
    tree(root, {CLOCK_FILE: "3000000"})
    clock, tickers = Clock(), []

    def make_ticker(work: object, period_s: float) -> ManualTicker:
        tickers.append(ManualTicker(work, period_s))  # type: ignore[arg-type]
        return tickers[0]

    with Recorder(HostReader(root).probes(), clock, make_ticker) as recorder:  # type: ignore[arg-type]
        for content in contents:
            if content is None:
                (root / CLOCK_FILE).unlink()
            else:
                tree(root, {CLOCK_FILE: content})
            clock.now += PERIOD_S
            tickers[0].tick()
    [series] = recorder.result(root).series
    assert series.quantity == "frequency_hz"
    return series


def test_a_clock_that_changes_in_mid_run_shows_in_the_result(tmp_path: Path) -> None:
    series = recorded(tmp_path, ["3000000", "1200000", "1200000", "3600000", "2000000"])
    told = [figures.value_of(f) for f in (series.start, series.lowest, series.peak, series.end)]
    assert told == [3.0e9, 1.2e9, 3.6e9, 2.0e9]


@pytest.mark.parametrize("wrong", ["", "garbage", None], ids=["empty", "garbage", "gone"])
def test_a_clock_that_cannot_be_read_any_more_is_not_zero(tmp_path: Path, wrong: Optional[str]) -> None:
    series = recorded(tmp_path, ["2000000", wrong])
    assert figures.value_of(series.lowest) == 2.0e9
    assert series.lowest.estimate.samples == 2


async def test_a_model_that_fails_on_open_dimensions_is_at_fault_itself(
    pool: WorkerPool, tmp_path: Path, spec_for: SpecFor
) -> None:
    """Not an internal error, which would be tried again elsewhere."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, numbers = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", numbers, ["n", 3, "height", "width"])],
        [helper.make_tensor_value_info("y", numbers, None)],
        [onnx.numpy_helper.from_array(np.zeros((2, 3, 3, 3), np.float32), "w")],
    )
    path = tmp_path / "open.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), path)
    spec, paths = spec_for(path)
    timed = (await pool.measure(spec, paths)).failure
    spec.ClearField("latency")
    spec.memory.runs = 2
    peak = (await pool.measure(spec, paths)).failure
    for failure in (timed, peak):
        assert failure is not None
        assert failure.kind == failure_pb2.FAILURE_KIND_INVALID_MODEL
        assert failure.message.startswith("the model's first inference failed: ")
        assert "fixed input shapes" in failure.remedy


@pytest.mark.skipif(not discover(), reason="no model runtime is installed")
@pytest.mark.parametrize(
    ("runtime", "delegate", "words"),
    [("abacus", "", "it offers: "), ("", "cuda", "it offers: xnnpack"), ("torch", "", "it offers: ")],
    ids=["a runtime that it lacks", "a delegate that it lacks", "a runtime of another format"],
)
async def test_a_worker_refuses_what_its_device_has_not_got_and_says_what_it_has(
    pool: WorkerPool, models: Path, spec_for: SpecFor, runtime: str, delegate: str, words: str
) -> None:
    spec, paths = spec_for(models / "tflm_hello_world_int8.tflite")
    spec.runtime.name, spec.runtime.delegate = runtime, delegate
    failure = (await pool.measure(spec, paths)).failure
    assert failure is not None
    assert failure.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    assert words in failure.message
    assert "\n" not in failure.message
