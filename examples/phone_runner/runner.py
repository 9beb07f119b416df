#!/usr/bin/env python3
"""The reference runner: runs TensorFlow Lite models with LiteRT, as the bridge's runner protocol (docs/runner.md) asks.

    runner.py --request request.json --result result.json

It needs Python ≥ 3.9 with numpy and ai-edge-litert (or tflite-runtime): a Linux board over adb, or an Android phone
with a Python that has them. For other phones it shows what a runner in C++ does. Files are named relative to the
request's folder. What goes wrong with a model stands in the result; the exit status is 0 then, too.
"""

# ruff: noqa: B905  # Python 3.9

from __future__ import annotations

import argparse
import gc
import importlib
import json
import math
import statistics
import struct
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

PROTOCOL = 1
TASKS = ("describe", "time", "invoke", "repeat")
DELEGATES = ("xnnpack", "none")
#: (runtime, module, distribution), best first.
LIBRARIES = (
    ("litert", "ai_edge_litert", "ai-edge-litert"),
    ("tflite-runtime", "tflite_runtime", "tflite-runtime"),
)
WARMUP_WINDOWS = 5
LEAST_WINDOW_SAMPLES = 5
WINDOW_GROWTH = 0.15
#: Inferences are counted at least this often while they repeat.
MARK_S = 0.05

Invoke = Callable[[], None]


class RefusedError(Exception):
    """The request cannot be carried out; `kind` is one of those that docs/runner.md lists."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Runs models for Gauntlet's bridge.")
    parser.add_argument("--request", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args(arguments)
    result: Dict[str, Any] = {"protocol": PROTOCOL}
    try:
        library, facts = find_library()
        result.update(facts, tasks=TASKS)
        request = json.loads(options.request.read_text(encoding="utf-8"))
        result.update(carry_out(Job(library, request, options.request.parent)))
    except RefusedError as refused:
        result["error"] = {"kind": refused.kind, "message": str(refused)}
    except MemoryError:
        result["error"] = {"kind": "out_of_memory", "message": "the runner could not allocate memory"}
    options.result.write_text(json.dumps(result), encoding="utf-8")


def find_library() -> Tuple[Any, Dict[str, Any]]:
    """The interpreter's module, and what it offers."""
    for name, module, distribution in LIBRARIES:
        try:
            library = importlib.import_module(f"{module}.interpreter")
        except ImportError:
            continue
        version = metadata.version(distribution)
        return library, {"runtime": name, "version": version, "delegates": DELEGATES, "formats": ["tflite"]}
    raise RefusedError("runtime_absent", "neither ai-edge-litert nor tflite-runtime is installed for this Python")


class Job:
    """A request, and the files it names."""

    def __init__(self, library: Any, request: Dict[str, Any], folder: Path) -> None:
        if request.get("protocol") != PROTOCOL:
            raise RefusedError("protocol", f"this runner speaks protocol {PROTOCOL}, not {request.get('protocol')}")
        self.request = request
        self.folder = folder
        self._library = library

    def read(self, place: Dict[str, Any]) -> bytes:
        """The bytes of a file, or of a part of one."""
        with (self.folder / place["file"]).open("rb") as file:
            file.seek(place.get("offset", 0))
            return file.read(place.get("bytes", -1))

    def load(self, place: Dict[str, Any], batch: int = 0) -> Any:
        """An interpreter that is ready to run; batch 0: as the file has it."""
        resolvers = self._library.OpResolverType
        plain = (self.request.get("delegate") or DELEGATES[0]) == "none"
        try:
            interpreter = self._library.Interpreter(
                model_content=self.read(place),
                num_threads=self.request["threads"],
                experimental_op_resolver_type=resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else resolvers.AUTO,
            )
            for details in interpreter.get_input_details():
                shape = [n if n > 0 else 1 for n in details["shape"]]
                wanted = [batch, *shape[1:]] if batch else shape
                if wanted != list(details["shape"]):
                    interpreter.resize_tensor_input(details["index"], wanted)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            unknown = any(words in str(error) for words in ("Didn't find op", "unresolved custom op"))
            raise RefusedError("unsupported_operation" if unknown else "invalid_model", str(error)) from error
        return interpreter

    def delegate(self, interpreter: Any) -> str:
        """What really runs the model: a delegate that took any operator shows as one."""
        ran = any(node["op_name"] == "DELEGATE" for node in interpreter._get_ops_details())
        return "xnnpack" if ran else "none"


def carry_out(job: Job) -> Dict[str, Any]:
    """Do what is asked."""
    tasks: Dict[str, Callable[[Job], Dict[str, Any]]] = {
        "describe": describe,
        "time": time_model,
        "invoke": invoke_all,
        "repeat": repeat,
    }
    task = job.request.get("task")
    if task not in tasks:
        raise RefusedError("protocol", f"this runner knows no task {task!r}")
    return tasks[task](job)


def describe(job: Job) -> Dict[str, Any]:
    """The runtime alone, or a model, too."""
    return facts_of(job, job.load(job.request["model"])) if "model" in job.request else {}


def facts_of(job: Job, interpreter: Any) -> Dict[str, Any]:
    """What goes in and comes out, and what runs it."""
    return {
        "delegate": job.delegate(interpreter),
        "inputs": [tensor(details) for details in interpreter.get_input_details()],
        "outputs": [tensor(details) for details in interpreter.get_output_details()],
    }


def tensor(details: Dict[str, Any]) -> Dict[str, Any]:
    """One input or output."""
    told = {
        "name": details["name"],
        "shape": [int(n) for n in details["shape"]],
        "dtype": np.dtype(details["dtype"]).name,
    }
    scales, zeros = details["quantization_parameters"]["scales"], details["quantization_parameters"]["zero_points"]
    if len(scales) == 1:
        told.update(scale=float(scales[0]), zero_point=int(zeros[0]))
    return told


# ------------------------------------------------------------------------------------------------------- timing


def time_model(job: Job) -> Dict[str, Any]:
    """Load, first inference, warm-up, and samples."""
    warmup, timing = job.request["warmup"], job.request["timing"]
    begin = time.perf_counter_ns()
    interpreter = job.load(job.request["model"])
    load_s = (time.perf_counter_ns() - begin) / 1e9
    fill_inputs(job, interpreter)
    invoke = interpreter.invoke
    begin = time.perf_counter_ns()
    guarded(invoke)()
    first_s = (time.perf_counter_ns() - begin) / 1e9
    facts = facts_of(job, interpreter)
    gc.disable()
    runs, warm_s, settled, call_s = warm_up(invoke, warmup, timing["min_sample_s"])
    calls = calls_per_sample(call_s, timing["min_sample_s"])
    least, most = timing["min_samples"], timing["max_samples"]
    least_end = time.perf_counter_ns() + int(timing["min_s"] * 1e9)
    cap = time.perf_counter_ns() + int(timing["max_s"] * 1e9)
    samples: List[int] = []
    while len(samples) < most:
        enough = least_end if len(samples) >= least else cap
        if time.perf_counter_ns() >= enough and samples:
            break
        # A tenth of what is there: few returns to this loop, and no long overshoot.
        count = least - len(samples) if len(samples) < least else max(1, len(samples) // 10)
        samples += collect(invoke, calls, min(count, most - len(samples)), enough)
    return {
        **facts,
        "load_s": load_s,
        "first_s": first_s,
        "warmup": {"runs": runs, "s": warm_s, "settled": settled},
        "calls_per_sample": calls,
        "samples_ns": samples,
    }


def fill_inputs(job: Job, interpreter: Any) -> None:
    """With what the request brings."""
    for details, place in zip(interpreter.get_input_details(), job.request["inputs"]):
        value = np.frombuffer(job.read(place), details["dtype"]).reshape(details["shape"])
        interpreter.set_tensor(details["index"], value)


def guarded(invoke: Invoke) -> Invoke:
    """For an inference that may fail: with a model whose graph is not sound, it is the first one."""

    def run() -> None:
        try:
            invoke()
        except (ValueError, RuntimeError) as error:
            raise RefusedError("invalid_model", f"the first inference failed: {error}") from error

    return run


def warm_up(invoke: Invoke, asked: Dict[str, Any], min_sample_s: float) -> Tuple[int, float, bool, float]:
    """Until the medians of two windows agree: runs, seconds, whether they did, and the last median."""
    begin = time.perf_counter_ns()
    least, cap = begin + int(asked["min_s"] * 1e9), begin + int(max(asked["max_s"], asked["min_s"]) * 1e9)
    window_ns = max(int(asked["min_s"] * 1e9) // WARMUP_WINDOWS, 1)
    runs, calls, previous_s = 0, 1, math.inf
    while True:
        now = time.perf_counter_ns()
        # Windows grow with the time spent, or else a slow drift would look like agreement.
        end = min(now + max(window_ns, int((now - begin) * WINDOW_GROWTH)), cap)
        samples: List[int] = []
        while len(samples) < LEAST_WINDOW_SAMPLES or time.perf_counter_ns() < end:
            samples += collect(invoke, calls, LEAST_WINDOW_SAMPLES, cap)
            if time.perf_counter_ns() >= cap:
                break
        runs += len(samples) * calls
        call_s = statistics.median(samples) / calls / 1e9
        calls = calls_per_sample(call_s, min_sample_s)
        now = time.perf_counter_ns()
        settled = abs(call_s - previous_s) <= asked["tolerance"] * min(call_s, previous_s)
        if now >= cap or (settled and runs >= asked["min_runs"] and now >= least):
            return runs, (now - begin) / 1e9, settled, call_s
        previous_s = call_s


def calls_per_sample(call_s: float, min_sample_s: float) -> int:
    """Calls that make a sample long enough for the clock."""
    return max(1, min(1_000_000, math.ceil(min_sample_s / max(call_s, 1e-9))))


def collect(invoke: Invoke, calls: int, count: int, end_ns: int) -> List[int]:
    """Up to `count` samples of so many calls, at least one; ends early at `end_ns`."""
    clock, samples = time.perf_counter_ns, []
    for _ in range(count):
        begin = clock()
        for _ in range(calls):
            invoke()
        end = clock()
        samples.append(end - begin)
        if end >= end_ns:
            break
    return samples


def repeat(job: Job) -> Dict[str, Any]:
    """Inferences back to back for some time, on the clock that goes on while the phone sleeps, as /proc/uptime does."""
    interpreter = job.load(job.request["model"])
    fill_inputs(job, interpreter)
    invoke = interpreter.invoke
    guarded(invoke)()

    def now() -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    begin_s = at_s = marked_s = now()
    marks: List[Tuple[float, int]] = [(begin_s, 0)]
    runs, end_s = 0, begin_s + job.request["seconds"]
    while at_s < end_s:
        invoke()
        runs += 1
        at_s = now()
        if at_s - marked_s >= MARK_S or at_s >= end_s:
            marks.append((at_s, runs))
            marked_s = at_s
    return {**facts_of(job, interpreter), "marks": marks}


# ------------------------------------------------------------------------------------------------------- inference


def invoke_all(job: Job) -> Dict[str, Any]:
    """Run samples; outputs go to one file, run after run, output after output, sample after sample."""
    told: List[Dict[str, Any]] = []
    kept: Tuple[str, Any] = ("", None)
    with (job.folder / job.request["outputs"]).open("wb") as file:
        for run in job.request["runs"]:
            # One interpreter for runs in a row that differ in their samples or edits alone.
            key = json.dumps([run["model"], run["batch"]], sort_keys=True)
            interpreter = kept[1] if kept[0] == key else load_for(job, run)
            kept = (key, interpreter)
            for output in run_samples(job, run, interpreter):
                file.write(output)
            told.append({"batch": int(interpreter.get_input_details()[0]["shape"][0])})
    return {**facts_of(job, interpreter), "runs": told}


def load_for(job: Job, run: Dict[str, Any]) -> Any:
    """The model at the batch that is asked for, or else as the file has it."""
    try:
        interpreter = job.load(run["model"], run["batch"])
        interpreter.invoke()
        outputs = [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]
        if all(output.shape[:1] == (run["batch"],) for output in outputs):
            return interpreter
    except (RefusedError, ValueError, RuntimeError):
        pass  # a graph that has its shapes fixed
    return job.load(run["model"])


def run_samples(job: Job, run: Dict[str, Any], interpreter: Any) -> List[bytes]:
    """Each output for all samples."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    for details in inputs[len(run["inputs"]) :]:
        interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
    for place, value in run["fill"].items():
        view(interpreter, inputs[int(place)])[:] = value
    batch, first, samples = int(inputs[0]["shape"][0]), run["first"], run["samples"]
    arrays = []
    for details, place in zip(inputs, run["inputs"]):
        array = np.frombuffer(job.read(place), details["dtype"]).reshape(-1, *details["shape"][1:])
        arrays.append(array[first : first + samples])
    edits = read_edits(job.read(run["edits"]), inputs) if "edits" in run else {}
    collected: List[List[bytes]] = [[] for _ in outputs]
    for call, start in enumerate(range(0, samples, batch)):
        count = min(batch, samples - start)
        for details, array in zip(inputs, arrays):
            chunk = array[start : start + count]
            if count < batch:  # the last samples fill the batch up; their outputs are dropped
                chunk = np.concatenate([chunk, np.repeat(chunk[-1:], batch - count, axis=0)])
            interpreter.set_tensor(details["index"], chunk)
        for place, elements, values in edits.get(call, ()):
            view(interpreter, inputs[place])[elements] = values
        guarded(interpreter.invoke)()
        for parts, details in zip(collected, outputs):
            parts.append(interpreter.get_tensor(details["index"])[:count].tobytes())
    return [b"".join(parts) for parts in collected]


def read_edits(content: bytes, inputs: Sequence[Dict[str, Any]]) -> Dict[int, List[Tuple[int, Any, Any]]]:
    """What is written into inputs before each inference: of the inference's number, (input, elements, values)."""
    edits: Dict[int, List[Tuple[int, Any, Any]]] = {}
    at = 0
    while at < len(content):
        call, place, count = struct.unpack_from("<III", content, at)
        dtype = np.dtype(inputs[place]["dtype"])
        elements = np.frombuffer(content, "<u4", count, at + 12)
        values = np.frombuffer(content, dtype, count, at + 12 + 4 * count)
        edits.setdefault(call, []).append((place, elements, values))
        at += 12 + 4 * count + count * dtype.itemsize
    return edits


def view(interpreter: Any, details: Dict[str, Any]) -> Any:
    """The memory of an input; not to be kept over an inference."""
    return interpreter.tensor(details["index"])().reshape(-1)


if __name__ == "__main__":
    main()
