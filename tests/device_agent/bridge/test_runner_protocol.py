"""What a runner may answer, and what of it is believed: pure."""

from __future__ import annotations

import importlib.util
import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.bridge import runner
from device_agent.errors import MeasurementError
from protos.gauntlet.v1 import failure_pb2

EXAMPLE = Path(__file__).parents[3] / "examples/phone_runner/runner.py"
TENSOR = {"name": "x", "shape": [1, 32], "dtype": "int8", "scale": 0.1, "zero_point": 0}
GOOD: Dict[str, Any] = {
    "protocol": 1,
    "runtime": "litert",
    "version": "2",
    "delegates": ["xnnpack"],
    "formats": ["tflite"],
    "tasks": ["time"],
    "delegate": "xnnpack",
    "inputs": [TENSOR],
    "outputs": [TENSOR],
    "load_s": 0.001,
    "first_s": 0.001,
    "warmup": {"runs": 10, "s": 0.1, "settled": True},
    "calls_per_sample": 1,
    "samples_ns": [1000, 1100, 1000],
}


def read(result: Any) -> Tuple[runner.RunnerFacts, runner.ModelOnPhone, runner.Timed]:
    told = runner.read_result(json.dumps(result).encode())
    return runner.facts_of(told), runner.model_of(told), runner.timed_of(told)


def test_a_good_result_is_believed() -> None:
    facts, model, timed = read({**GOOD, "calls_per_sample": 2, "remarks": ["in a hurry"], "else": 1})
    assert facts.capabilities == ("latency", "processes")
    assert model.inputs[0].shape == (1, 32)
    assert model.remarks == ("in a hurry",)
    assert timed.samples.tolist() == [0.5e-6, 0.55e-6, 0.5e-6]
    assert (timed.warmup.runs, timed.warmup.settled) == (10, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"protocol": 2}, "it speaks protocol 2, this bridge speaks 1"),
        ({"protocol": None}, "it speaks protocol None"),
        ({"samples_ns": [1000, -5, 1000]}, "it tells samples from -5"),
        ({"samples_ns": [1000, math.nan]}, "its samples_ns are no numbers"),
        ({"samples_ns": ["many"]}, "its samples_ns are no numbers"),
        ({"samples_ns": []}, "it took no sample"),
        ({"samples_ns": 7}, "samples_ns = 7"),
        ({"load_s": -1.0}, "load_s = -1"),
        ({"load_s": math.nan}, "load_s = nan"),
        ({"first_s": math.inf}, "first_s = inf"),
        ({"first_s": 1e9}, "first_s = 1e+09"),
        ({"calls_per_sample": 0}, "calls_per_sample = 0"),
        ({"warmup": None}, "lacks warmup"),
        ({"warmup": {"runs": 1, "s": 1.0, "settled": 1}}, "settled = 1"),
        ({"inputs": [{**TENSOR, "shape": [1, -32]}]}, "a tensor of shape [1, -32]"),
        ({"inputs": ["x"]}, "where an object should be"),
        ({"version": 2}, "version = 2"),
        ({"delegates": [1]}, "delegates = [1]"),
        ({"version": "2" * 1001}, "version = '222"),
        ({"delegates": ["x" * 1001]}, "delegates = ['xxx"),
        ({"load_s": 10**400}, "load_s = inf"),
        ({"calls_per_sample": 10**400}, "calls_per_sample = 1000"),
        ({"warmup": {"runs": 2**63, "s": 1.0, "settled": True}}, "runs = 9223372036854775808"),
        ({"inputs": [{**TENSOR, "zero_point": -(2**63)}]}, "zero_point = -9223372036854775808"),
        ({"inputs": [{**TENSOR, "scale": 10**400}]}, "scale = inf"),
        ({"inputs": [{**TENSOR, "shape": [1, 1e300]}]}, "a tensor of shape [1, 1e+300]"),
        ({"inputs": [{**TENSOR, "shape": [1, 2**16, 2**16]}]}, "inputs of its model have more than 67108864 elements"),
        ({"outputs": [TENSOR] * 1001}, "its result tells of 1001 outputs"),
        ({"samples_ns": [123456789] * 2_000_000}, "its result has 22000"),
        ({"error": {"kind": "bad mood", "message": "not today"}}, "not today (bad mood)"),
        ({"error": "all is lost"}, "where an object should be"),
    ],
)
def test_a_result_that_cannot_be_true_is_the_runners_fault(changes: Dict[str, Any], words: str) -> None:
    with pytest.raises(MeasurementError) as caught:
        read({**GOOD, **changes})
    assert caught.value.kind == failure_pb2.FAILURE_KIND_RUNTIME_ABSENT
    assert caught.value.message.startswith("the phone's runner is of no use")
    assert words in caught.value.message
    assert "docs/runner.md" in caught.value.remedy


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Segmentation fault",
        json.dumps(GOOD)[:-20].encode(),
        b"[1, 2]",
        b"\xff\0",
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_what_is_no_json_object_is_no_result(content: bytes) -> None:
    with pytest.raises(MeasurementError, match="JSON"):
        runner.read_result(content)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(GOOD)), _JSON)
def test_any_value_anywhere_is_believed_or_refused(name: str, value: Any) -> None:
    try:
        _, _, timed = read({**GOOD, name: value})
    except MeasurementError:
        return
    assert math.isfinite(timed.load_s)
    assert (timed.samples > 0).all()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("invalid_model", failure_pb2.FAILURE_KIND_INVALID_MODEL),
        ("unsupported_operation", failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION),
        ("out_of_memory", failure_pb2.FAILURE_KIND_OUT_OF_MEMORY),
        ("runtime_absent", failure_pb2.FAILURE_KIND_RUNTIME_ABSENT),
    ],
)
def test_what_it_says_of_a_model_is_passed_on(kind: str, expected: failure_pb2.FailureKind) -> None:
    with pytest.raises(MeasurementError, match="of my own words") as caught:
        read({**GOOD, "error": {"kind": kind, "message": "of my\nown words"}})
    assert caught.value.kind == expected


@pytest.mark.parametrize(
    "marks",
    [
        [],
        [[0.0, 0], [1.0, 1e9]],
        [[1.0, 0]],
        [[1.0, 0], [1.0, 5]],
        [[2.0, 0], [1.0, 5]],
        [[1.0, 1], [2.0, 5]],
        [[1.0, 0], [2.0, 0]],
        [1, 2],
        "x",
    ],
)
def test_marks_that_do_not_grow_are_none(marks: Any) -> None:
    with pytest.raises(MeasurementError, match="marks"):
        runner.marks_of({"marks": marks})


def test_marks_are_times_and_counts() -> None:
    at_s, runs = runner.marks_of({"marks": [[1.5, 0], [2.0, 10], [2.5, 19]]})
    assert (at_s.tolist(), runs.tolist()) == ([1.5, 2.0, 2.5], [0, 10, 19])


@pytest.mark.parametrize("runs", [[], [{"batch": 1}, {"batch": 1}], [{"batch": 0}], [1], [{}]])
def test_batches_that_do_not_fit_the_runs_are_refused(runs: List[Any]) -> None:
    with pytest.raises(MeasurementError):
        runner.batches_of({"runs": runs}, 1)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 1), st.lists(st.tuples(st.integers(0, 999), st.integers(-128, 127)))
        ),
        max_size=5,
    )
)
def test_the_reference_runner_reads_the_edits_that_are_written(records: List[Any]) -> None:
    content = b"".join(
        runner.edit_record(
            call, place, np.array([e for e, _ in pairs], np.int64), np.array([v for _, v in pairs], dtype)
        )
        for call, place, pairs in records
        for dtype in [(np.int8, np.int16)[place]]
    )
    read_edits = _example().read_edits(content, [{"dtype": np.int8}, {"dtype": np.int16}])
    told = [
        (call, place, list(zip(elements.tolist(), values.tolist())))
        for call, edits in read_edits.items()
        for place, elements, values in edits
    ]
    assert sorted(told) == sorted(records)


@lru_cache(maxsize=1)
def _example() -> Any:
    spec = importlib.util.spec_from_file_location("phone_runner", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
