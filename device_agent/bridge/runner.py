"""What the bridge asks of a runner, and what a runner may answer: version 1 of the protocol in docs/runner.md.

A request and a result are JSON files; tensors are raw, little-endian, in the model's own types, one sample after
another. Whatever a runner writes is checked here, field by field: a phone's figures are worth no more than that.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from device_agent.errors import MeasurementError, one_line
from device_agent.measure.latency import WarmUp
from device_agent.measure.statistics import Samples
from device_agent.runtimes.base import Tensor
from protos.gauntlet.v1 import device_pb2, failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

PROTOCOL = 1
#: Tasks of the protocol, and the parts of a specification that each makes possible.
CAPABILITIES: Dict[str, Tuple[str, ...]] = {
    "time": ("latency", "processes"),
    "invoke": ("output_check", "accuracy", "faults"),
    "repeat": ("energy",),
}
_KINDS = {
    "invalid_model": failure_pb2.FAILURE_KIND_INVALID_MODEL,
    "unsupported_operation": failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION,
    "out_of_memory": failure_pb2.FAILURE_KIND_OUT_OF_MEMORY,
    "runtime_absent": failure_pb2.FAILURE_KIND_RUNTIME_ABSENT,
}
REMEDY = "give the bridge another --runner; docs/runner.md says what it has to answer"
_MOST_WORDS = 64
_MOST_SAMPLES = 1_000_000
#: Of a result: as many samples fit, and a bridge with 1 GiB can read it. Outputs and traces are files of their own.
_MOST_RESULT_BYTES = 16 * 1024**2
#: Characters of a text, tensors' names included.
_MOST_TEXT = 1000
#: Inputs or outputs of a model, and their elements: an image of 16 megapixels, and as much again for the rest.
_MOST_TENSORS, _MOST_ELEMENTS = 1000, 64 * 1024**2
#: Inferences of an energy window, half a minute of 3 µs each; more are no phone's.
_MOST_INFERENCES = 10_000_000
_MOST_WHOLE = 2**31 - 1
#: No load, inference or sample takes longer: a runner that says so counts in another unit.
_LONGEST_S = 3600.0

Json = Dict[str, Any]


@dataclass(frozen=True)
class Blob:
    """A file on the phone, or a part of one.

    Attributes:
        file: relative to the request's folder.
        offset: in bytes.
        size: in bytes; None: up to its end.
    """

    file: str
    offset: int = 0
    size: Optional[int] = None

    def to_json(self) -> Json:
        """As it stands in a request."""
        return (
            {"file": self.file} if self.size is None else {"file": self.file, "offset": self.offset, "bytes": self.size}
        )


@dataclass(frozen=True)
class Run:
    """Samples to run through a model.

    Attributes:
        model: its file.
        batch: samples to a call, wished for.
        first: number of the first sample.
        samples: how many.
        inputs: all samples, for each input of the clean model.
        fill: what fills further inputs, by their places; the others hold zeros.
        edits: what is written into inputs before each inference, see `edit_record`.
    """

    model: Blob
    batch: int
    first: int
    samples: int
    inputs: Sequence[Blob]
    fill: Mapping[int, np.generic]
    edits: Optional[Blob] = None

    def to_json(self) -> Json:
        """As it stands in a request."""
        told: Json = {
            "model": self.model.to_json(),
            "batch": self.batch,
            "first": self.first,
            "samples": self.samples,
            "inputs": [blob.to_json() for blob in self.inputs],
            "fill": {str(place): value.item() for place, value in self.fill.items()},
        }
        return told if self.edits is None else {**told, "edits": self.edits.to_json()}


def describe_request(model: Optional[Blob], threads: int = 1, delegate: str = "") -> Json:
    """What runs models there, and what a model looks like to it."""
    return {**_request("describe", threads, delegate), **({} if model is None else {"model": model.to_json()})}


def time_request(
    model: Blob, inputs: Sequence[Blob], threads: int, delegate: str, spec: pb.LatencySpec, least: int
) -> Json:
    """Load, first inference, warm-up and steady state.

    Args:
        model: its file.
        inputs: what it chews on, one call.
        threads: of the runtime.
        delegate: of the runtime; empty: its first.
        spec: how long.
        least: samples to take.
    """
    return {
        **_request("time", threads, delegate),
        "model": model.to_json(),
        "inputs": [blob.to_json() for blob in inputs],
        "warmup": {
            "min_runs": spec.warmup_min_runs,
            "min_s": spec.warmup_min_s,
            "max_s": spec.warmup_max_s,
            "tolerance": spec.warmup_tolerance,
        },
        "timing": {
            "min_samples": least,
            "max_samples": max(spec.max_samples or _MOST_SAMPLES, least),
            "min_s": spec.min_s,
            "max_s": max(spec.max_s, spec.min_s) if spec.max_s else _LONGEST_S,
            "min_sample_s": spec.min_sample_s,
        },
    }


def repeat_request(model: Blob, inputs: Sequence[Blob], threads: int, delegate: str, seconds: float) -> Json:
    """Inferences back to back."""
    told = {"model": model.to_json(), "inputs": [blob.to_json() for blob in inputs], "seconds": seconds}
    return {**_request("repeat", threads, delegate), **told}


def invoke_request(runs: Sequence[Run], threads: int, delegate: str, outputs: str) -> Json:
    """Samples, whose outputs go to a file."""
    return {**_request("invoke", threads, delegate), "runs": [run.to_json() for run in runs], "outputs": outputs}


def edit_record(call: int, place: int, elements: NDArray[np.integer[Any]], values: NDArray[np.generic]) -> bytes:
    """A piece of a file of edits.

    Args:
        call: number of the inference that it comes before, from 0 on in each run.
        place: of the input.
        elements: numbers through the flattened tensor.
        values: for each, in the tensor's type.
    """
    head = np.array([call, place, len(elements)], "<u4").tobytes()
    return head + elements.astype("<u4").tobytes() + little_endian(values)


def little_endian(values: NDArray[np.generic]) -> bytes:
    """The bytes of an array as a phone has them."""
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def _request(task: str, threads: int, delegate: str) -> Json:
    return {"protocol": PROTOCOL, "task": task, "threads": threads, "delegate": delegate}


# ------------------------------------------------------------------------------------------------------- results


@dataclass(frozen=True)
class RunnerFacts:
    """What a runner offers.

    Attributes:
        name: of its runtime, for example "litert".
        version: of that.
        delegates: the default first.
        formats: of models.
        capabilities: parts of a specification that it can carry out; energy is one only where the phone can be metered.
    """

    name: str
    version: str
    delegates: Tuple[str, ...]
    formats: Tuple[str, ...]
    capabilities: Tuple[str, ...]

    def to_message(self) -> device_pb2.Runtime:
        """The runtime as it travels."""
        return device_pb2.Runtime(name=self.name, version=self.version, delegates=self.delegates, formats=self.formats)


@dataclass(frozen=True)
class ModelOnPhone:
    """A model as a runner sees it: see `runtimes.base.Graph`.

    Attributes:
        inputs: in the file's order.
        outputs: likewise.
        delegate: what really runs it.
        remarks: what a reader of the figures should know.
    """

    inputs: Tuple[Tensor, ...]
    outputs: Tuple[Tensor, ...]
    delegate: str
    remarks: Tuple[str, ...]


@dataclass(frozen=True)
class Timed:
    """What timing gave.

    Attributes:
        load_s: reading the file and making it ready.
        first_s: the first inference.
        warmup: what it took to reach the steady state.
        calls_per_sample: how many calls each sample averages.
        samples: seconds a call, in the order taken.
    """

    load_s: float
    first_s: float
    warmup: WarmUp
    calls_per_sample: int
    samples: Samples


def read_result(content: bytes) -> Json:
    """A result whose protocol is ours and that tells no error.

    Raises:
        MeasurementError: what the runner says of the model; runtime absent where this is no result.
    """
    if len(content) > _MOST_RESULT_BYTES:
        raise broken(f"its result has {len(content)} bytes, more than {_MOST_RESULT_BYTES}")
    try:
        result = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise broken(f"its result is no JSON ({error})") from error
    if not isinstance(result, dict):
        raise broken("its result is no JSON object")
    if result.get("protocol") != PROTOCOL:
        raise broken(f"it speaks protocol {_short(result.get('protocol'))}, this bridge speaks {PROTOCOL}")
    told = result.get("error")
    if told is None:
        return result
    kind, message = _text(told, "kind"), one_line(_field(told, "message", str))
    if kind not in _KINDS:
        raise broken(f"{message} ({kind})")
    raise MeasurementError(_KINDS[kind], message)


def facts_of(result: Json) -> RunnerFacts:
    """What the runner offers."""
    return RunnerFacts(
        name=_text(result, "runtime"),
        version=_text(result, "version"),
        delegates=_texts(result, "delegates"),
        formats=_texts(result, "formats"),
        capabilities=tuple(part for task in _texts(result, "tasks") for part in CAPABILITIES.get(task, ())),
    )


def model_of(result: Json) -> ModelOnPhone:
    """The model that it ran."""
    remarks = _texts(result, "remarks") if "remarks" in result else ()
    return ModelOnPhone(_tensors(result, "inputs"), _tensors(result, "outputs"), _text(result, "delegate"), remarks)


def timed_of(result: Json) -> Timed:
    """What timing gave."""
    warmup = _field(result, "warmup", dict)
    nanoseconds = _numbers(result, "samples_ns")
    calls = _whole(result, "calls_per_sample", 1)
    if not len(nanoseconds):
        raise broken("it took no sample")
    if nanoseconds.min() <= 0 or nanoseconds.max() > _LONGEST_S * 1e9:
        raise broken(f"it tells samples from {nanoseconds.min():g} to {nanoseconds.max():g} ns")
    samples = nanoseconds / (1e9 * calls)
    seconds = _number(warmup, "s", _LONGEST_S)
    # What a call took then is of no use here; the samples tell.
    warm = WarmUp(_whole(warmup, "runs", 0), seconds, bool(_field(warmup, "settled", bool)), float(np.median(samples)))
    return Timed(_number(result, "load_s", _LONGEST_S), _number(result, "first_s", _LONGEST_S), warm, calls, samples)


def marks_of(result: Json) -> Tuple[Samples, Samples]:
    """Inferences back to back: seconds on the clock of /proc/uptime, and how many were over by then."""
    marks = _field(result, "marks", list)
    if not all(isinstance(mark, list) and len(mark) == 2 for mark in marks):
        raise broken("its marks are no pairs")
    at_s, runs = (_checked([mark[place] for mark in marks], "marks") for place in (0, 1))
    if len(at_s) < 2 or (np.diff(at_s) < 0).any() or (np.diff(runs) < 1).any() or runs[0] != 0 or at_s[0] == at_s[-1]:
        raise broken("its marks do not grow")
    if runs[-1] > _MOST_INFERENCES:
        raise broken(f"its marks tell of {runs[-1]:g} inferences, more than {_MOST_INFERENCES:g}")
    return at_s, runs


def batches_of(result: Json, runs: int) -> List[int]:
    """Samples to a call in each run."""
    told = _field(result, "runs", list)
    if len(told) != runs:
        raise broken(f"it tells of {len(told)} runs, {runs} were asked for")
    return [_whole(_object(run), "batch", 1) for run in told]


def broken(message: str) -> MeasurementError:
    """The runner does not keep to the protocol: nothing that another model would change."""
    return MeasurementError(
        failure_pb2.FAILURE_KIND_RUNTIME_ABSENT, f"the phone's runner is of no use: {message}", REMEDY
    )


def _tensors(result: Json, name: str) -> Tuple[Tensor, ...]:
    told = _field(result, name, list)
    if len(told) > _MOST_TENSORS:
        raise broken(f"its result tells of {len(told)} {name}")
    tensors = tuple(_tensor(_object(one)) for one in told)
    if sum(math.prod(tensor.shape) for tensor in tensors) > _MOST_ELEMENTS:
        raise broken(f"the {name} of its model have more than {_MOST_ELEMENTS} elements")
    return tensors


def _tensor(told: Json) -> Tensor:
    shape = _checked(_field(told, "shape", list), "shape")
    if len(shape) > _MOST_WORDS or (shape < 0).any() or (shape > _MOST_WHOLE).any() or (shape % 1).any():
        raise broken(f"a tensor of shape {_short(told['shape'])}")
    sizes = tuple(int(n) for n in shape)
    if told.get("scale") is None:
        return Tensor(_text(told, "name"), sizes, _text(told, "dtype"))
    scale = _number(told, "scale", sys.float_info.max)
    return Tensor(_text(told, "name"), sizes, _text(told, "dtype"), scale, _whole(told, "zero_point", None))


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise broken(f"{_short(value)} where an object should be")
    return value


def _field(told: object, name: str, kind: Union[type, Tuple[type, ...]]) -> Any:
    value = _object(told).get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise broken(f"its result says {name} = {_short(value)}" if value is not None else f"its result lacks {name}")
    return value


def _text(told: object, name: str) -> str:
    value: str = _field(told, name, str)
    if len(value) > _MOST_TEXT:
        raise broken(f"its result says {name} = {_short(value)}")
    return value


def _texts(told: Json, name: str) -> Tuple[str, ...]:
    values = _field(told, name, list)
    if len(values) > _MOST_WORDS or not all(isinstance(value, str) and len(value) <= _MOST_TEXT for value in values):
        raise broken(f"its result says {name} = {_short(values)}")
    return tuple(values)


def _number(told: Json, name: str, most: float) -> float:
    try:
        value = float(_field(told, name, (int, float)))
    except OverflowError:
        value = math.inf
    if not 0 <= value <= most:
        raise broken(f"its result says {name} = {value:g}")
    return value


def _whole(told: Json, name: str, least: Optional[int]) -> int:
    value: int = _field(told, name, int)
    if abs(value) > _MOST_WHOLE or (least is not None and value < least):
        raise broken(f"its result says {name} = {_short(value)}")
    return value


def _numbers(told: Json, name: str) -> Samples:
    return _checked(_field(told, name, list), name)


def _checked(values: List[Any], name: str) -> Samples:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise broken(f"its {name} are no numbers") from error
    if array.ndim != 1 or not np.isfinite(array).all():
        raise broken(f"its {name} are no numbers")
    return array


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
