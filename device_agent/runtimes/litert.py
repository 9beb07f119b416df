"""TensorFlow Lite models on LiteRT (`ai-edge-litert`), or on its predecessor `tflite-runtime` where it has no wheel.

Both offer one `Interpreter` class. XNNPACK is their default delegate; it is turned off by the operator resolver
BUILTIN_WITHOUT_DEFAULT_DELEGATES. Whether it really runs is read from the prepared graph, not from what was asked.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from device_agent.errors import MeasurementError
from device_agent.runtimes import litert_profile
from device_agent.runtimes.base import (
    FIXED_SHAPES,
    LARGER_MEMORY,
    Inputs,
    LoadedModel,
    Profile,
    ProfileUnavailable,
    Runtime,
    Tensor,
    installed_version,
)
from device_agent.runtimes.flatbuffer import BrokenFileError, check_model
from protos.gauntlet.v1 import failure_pb2 as pb

#: (name, module, distribution), best first.
_LIBRARIES = (
    ("litert", "ai_edge_litert", "ai-edge-litert"),
    ("tflite-runtime", "tflite_runtime", "tflite-runtime"),
)
_IDENTIFIER = b"TFL3"
_UNKNOWN_OPERATION = re.compile(
    r"Didn't find op for builtin opcode|unresolved custom op|Op builtin_code out of range|Select TensorFlow op", re.I
)
#: A full stop with the next sentence right behind it, or a line break.
_END_OF_COMPLAINT = re.compile(r"(?<=[a-z0-9)]\.)(?=[A-Z])|\n")
_DELEGATE_NODE = "DELEGATE"
_FIRST_VERIFYING = [2, 3]


def find() -> Optional[Runtime]:
    """The better of the two libraries, or None."""
    for name, module, distribution in _LIBRARIES:
        if importlib.util.find_spec(module) is None:
            continue
        return LiteRt(name, installed_version(distribution), module)
    return None


def check_file(path: Path, whole: bool = True) -> None:
    """Refuse a file that is no model.

    Args:
        path: of the file.
        whole: look at all of it, for a runtime that crashes on a file that is cut.

    Raises:
        MeasurementError: invalid model.
    """
    try:
        with path.open("rb") as file:
            _check_identifier(file.read(8))
            if whole:
                file.seek(0)
                check_model(file.read())
    except OSError as error:
        raise MeasurementError(pb.FAILURE_KIND_INVALID_MODEL, f"cannot read the model: {error.strerror}") from error
    except BrokenFileError as error:
        raise MeasurementError(pb.FAILURE_KIND_INVALID_MODEL, f"the model is cut or damaged: {error}") from error


class LiteRt:
    """See `Runtime`."""

    delegates: Tuple[str, ...] = ("xnnpack", "none")
    formats: Tuple[str, ...] = ("tflite",)

    def __init__(self, name: str, version: str, module: str) -> None:
        self.name = name
        self.version = version
        self._module = module

    def preload(self) -> None:
        """See `Runtime.preload`."""
        self._library()

    def check(self, path: Path) -> None:
        """See `Runtime.check`."""
        check_file(path, whole=not _verifies_files(self.name, self.version))

    def load(self, source: Union[Path, bytes], threads: int, delegate: str, batch: Optional[int] = None) -> LoadedModel:
        """See `Runtime.load`."""
        delegate = self._asked(delegate)
        library = self._library()
        resolvers = library.OpResolverType
        resolver = resolvers.AUTO if delegate == "xnnpack" else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        remarks: List[str] = []
        try:
            given = {"model_content": source} if isinstance(source, bytes) else {"model_path": str(source)}
            interpreter = library.Interpreter(**given, num_threads=threads, experimental_op_resolver_type=resolver)
            remarks = _resolve_dimensions(interpreter)
            if batch is not None:
                _resize_batch(interpreter, batch)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise _rejected(error, open_shapes=bool(remarks)) from error
        return _Model(interpreter, delegate, remarks)

    def profile(self, source: Path, threads: int, delegate: str, inputs: Inputs, inferences: int) -> Profile:
        """See `Runtime.profile`."""
        if self.name != "litert":
            raise ProfileUnavailable(f"{self.name} does not tell the times of operators; ai-edge-litert 2.3 does")
        asked = self._asked(delegate)
        # Refuses what cannot be run, in the interpreter's clear words.
        self.load(source, threads, asked)
        return litert_profile.profile(self._module, self.version, source, threads, asked, inputs, inferences)

    def _asked(self, delegate: str) -> str:
        asked = delegate or self.delegates[0]
        if asked not in self.delegates:
            offered = ", ".join(self.delegates)
            raise MeasurementError(
                pb.FAILURE_KIND_RUNTIME_ABSENT, f"{self.name} has no delegate {asked!r}; it offers: {offered}"
            )
        return asked

    def _library(self) -> Any:
        try:
            return importlib.import_module(f"{self._module}.interpreter")
        except (ImportError, OSError) as error:
            raise MeasurementError(
                pb.FAILURE_KIND_RUNTIME_ABSENT,
                f"{self.name} {self.version} is installed but does not load: {error}",
                "reinstall it for this Python; tflite-runtime needs numpy<2",
            ) from error


class _Model:
    """See `LoadedModel`."""

    def __init__(self, interpreter: Any, asked: str, remarks: Sequence[str]) -> None:
        self._interpreter = interpreter
        self._inputs = interpreter.get_input_details()
        self._outputs = interpreter.get_output_details()
        self.invoke: Callable[[], None] = interpreter.invoke
        self._asked = asked
        self._shape_remarks = remarks

    @property
    def delegate(self) -> str:
        return self._ran[0]

    @property
    def remarks(self) -> Sequence[str]:
        return [*self._shape_remarks, *self._ran[1]]

    @cached_property
    def _ran(self) -> Tuple[str, List[str]]:
        # Not part of loading, which is timed.
        return _delegate_that_runs(self._interpreter, self._asked)

    @property
    def inputs(self) -> Tuple[Tensor, ...]:
        return tuple(_tensor(details) for details in self._interpreter.get_input_details())

    @property
    def outputs(self) -> Tuple[Tensor, ...]:
        return tuple(_tensor(details) for details in self._interpreter.get_output_details())

    def set_input(self, index: int, value: NDArray[np.generic]) -> None:
        self._interpreter.set_tensor(self._inputs[index]["index"], value)

    def fill_input(self, index: int, value: float) -> None:
        self._view(index)[:] = value

    def edit_input(self, index: int, elements: NDArray[np.integer[Any]], values: NDArray[np.generic]) -> None:
        self._view(index)[elements] = values

    def _view(self, index: int) -> NDArray[np.generic]:
        # Not to be kept: the interpreter refuses to run while somebody holds its memory.
        view: NDArray[np.generic] = self._interpreter.tensor(self._inputs[index]["index"])().reshape(-1)
        return view

    def output(self, index: int) -> NDArray[np.generic]:
        array: NDArray[np.generic] = self._interpreter.get_tensor(self._outputs[index]["index"])
        return array

    def resize_batch(self, size: int) -> bool:
        before = [tuple(int(n) for n in details["shape"]) for details in self._interpreter.get_input_details()]
        if any(not shape for shape in before):
            return False
        try:
            self._reshape([(size, *shape[1:]) for shape in before])
            # Shapes that a constant of the graph fixes (a reshape to [1, 10]) fail here or in the first inference.
            self._interpreter.invoke()
            if all(self.output(i).shape[:1] == (size,) for i in range(len(self._outputs))):
                return True
        except (ValueError, RuntimeError):
            pass
        self._reshape(before)
        return False

    def _reshape(self, shapes: Sequence[Tuple[int, ...]]) -> None:
        for details, shape in zip(self._inputs, shapes):
            self._interpreter.resize_tensor_input(details["index"], shape)
        self._interpreter.allocate_tensors()


def _check_identifier(head: bytes) -> None:
    if not head:
        raise MeasurementError(pb.FAILURE_KIND_INVALID_MODEL, "the model file is empty")
    if head[4:] != _IDENTIFIER:
        raise MeasurementError(
            pb.FAILURE_KIND_INVALID_MODEL,
            f"not a TensorFlow Lite model: bytes 4-7 are {head[4:]!r} instead of {_IDENTIFIER!r}",
            "send a .tflite file, whole and uncompressed",
        )


def _verifies_files(name: str, version: str) -> bool:
    """Does the library check a file's offsets itself? LiteRT 2.3 does, 2.1 and tflite-runtime crash on a cut file."""
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    return name == "litert" and numbers >= _FIRST_VERIFYING


def _rejected(error: Exception, open_shapes: bool) -> MeasurementError:
    words = _first_words(str(error))
    if _UNKNOWN_OPERATION.search(str(error)):
        return MeasurementError(pb.FAILURE_KIND_UNSUPPORTED_OPERATION, words)
    if not words.strip():
        # The one refusal without words: the arena of the tensors could not be allocated.
        return MeasurementError(
            pb.FAILURE_KIND_OUT_OF_MEMORY,
            "the runtime could not allocate the model's tensors",
            LARGER_MEMORY,
        )
    if "BytesRequired" in words:
        # What it says of a dimension of -1, which the format keeps for the shape's signature.
        words = f"the size of a tensor is negative, or beyond all bounds ({words})"
        open_shapes = True
    return MeasurementError(pb.FAILURE_KIND_INVALID_MODEL, words, FIXED_SHAPES if open_shapes else "")


def _first_words(text: str) -> str:
    """The first complaint of several: the library glues them together, often one for each tensor of the file."""
    complaints = [c.strip() for c in _END_OF_COMPLAINT.split(text) if c.strip()]
    more = f" (and {len(complaints) - 1} more complaints)" if len(complaints) > 1 else ""
    return complaints[0].rstrip(".") + more if complaints else ""


def _resolve_dimensions(interpreter: Any) -> List[str]:
    """Set unknown dimensions to 1. The batch of a Keras export is unknown by habit and not worth a remark."""
    remarks = []
    for details in interpreter.get_input_details():
        shape = [int(n) for n in details["shape"]]
        signature = [int(n) for n in details.get("shape_signature", shape)]
        resolved = [n if n > 0 else 1 for n in shape]
        if resolved != shape:
            interpreter.resize_tensor_input(details["index"], resolved)
        if resolved != shape or any(n <= 0 for n in signature[1:]):
            remarks.append(f"input {details['name']!r} has dynamic shape {signature}: measured as {resolved}")
    return remarks


def _resize_batch(interpreter: Any, size: int) -> None:
    for details in interpreter.get_input_details():
        interpreter.resize_tensor_input(details["index"], [size, *(int(n) for n in details["shape"][1:])])


def _tensor(details: Dict[str, Any]) -> Tensor:
    quantisation = details["quantization_parameters"]
    shape = tuple(int(n) for n in details["shape"])
    dtype = np.dtype(details["dtype"]).name
    if len(quantisation["scales"]) != 1:
        return Tensor(details["name"], shape, dtype)
    return Tensor(details["name"], shape, dtype, float(quantisation["scales"][0]), int(quantisation["zero_points"][0]))


def _delegate_that_runs(interpreter: Any, asked: str) -> Tuple[str, List[str]]:
    """Read from the prepared graph which operators a delegate took.

    A delegate adds nodes called DELEGATE to the graph; the nodes that one replaces stay listed, unused. They are those
    between its outputs and its inputs.
    """
    try:
        nodes = interpreter._get_ops_details()
    except AttributeError:
        return asked, ["this runtime does not tell which delegate ran: the one asked for is named"]
    delegates = [node for node in nodes if node["op_name"] == _DELEGATE_NODE]
    originals = [node for node in nodes if node["op_name"] != _DELEGATE_NODE]
    if not delegates:
        return "none", ["XNNPACK was asked for but took no operator of this graph"] if asked == "xnnpack" else []
    producers = {int(tensor): number for number, node in enumerate(originals) for tensor in node["outputs"]}
    taken: Set[int] = set()
    for node in delegates:
        border = {int(tensor) for tensor in node["inputs"]}
        pending = [int(tensor) for tensor in node["outputs"]]
        while pending:
            tensor = pending.pop()
            number = producers.get(tensor)
            if tensor in border or number is None or number in taken:
                continue
            taken.add(number)
            pending.extend(int(t) for t in originals[number]["inputs"])
    left = sorted({node["op_name"] for number, node in enumerate(originals) if number not in taken})
    if not left:
        return "xnnpack", []
    return "xnnpack", [
        f"XNNPACK runs {len(taken)} of {len(originals)} operators; built-in kernels run {', '.join(left)}"
    ]
