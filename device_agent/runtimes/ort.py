"""ONNX models on ONNX Runtime. Its execution providers are what other runtimes call delegates.

Inputs and outputs are bound once, in host memory, so that `invoke` is one call. On a GPU it includes the copies to the
device and back: what a caller waits for.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from device_agent.errors import MeasurementError
from device_agent.runtimes import ort_profile
from device_agent.runtimes.accelerators import has_nvidia_gpu
from device_agent.runtimes.base import (
    LARGER_MEMORY,
    Inputs,
    LoadedModel,
    Profile,
    ProfileUnavailable,
    Runtime,
    Tensor,
    installed_version,
    ran_out_of_memory,
)
from device_agent.runtimes.onnx_file import BrokenOnnxError, Quantisation, check_model, quantisations, unranked_inputs
from protos.gauntlet.v1 import failure_pb2 as pb

_MODULE = "onnxruntime"
#: Each build of it is a distribution of its own.
_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-qnn", "onnxruntime-openvino")
CPU = "cpu"
_PROVIDERS = {
    CPU: "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "nnapi": "NnapiExecutionProvider",
}
#: Providers that come as a library beside the main one, and so are seen without loading it.
_LIBRARIES = {"cuda": "libonnxruntime_providers_cuda.so", "tensorrt": "libonnxruntime_providers_tensorrt.so"}
#: A provider hands what it cannot run to the next.
_BEHIND = {"tensorrt": ("cuda",)}
_TYPES = {"float": "float32", "double": "float64"}
_TYPE = re.compile(r"tensor\((\w+)\)")
_UNKNOWN_OPERATION = re.compile(
    r"No Op registered|not a registered function/op|NOT_IMPLEMENTED|Could not find an implementation|"
    r"is under development|Opset \d+ is|only \*guarantees\* support",
    re.I,
)
_PREAMBLE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")
_SOURCE_LOCATION = re.compile(r"^\S+\.(?:h|cc):\d+ .*?\) (?=[A-Z])", re.S)
#: Warnings of the library are for its users, not for the tail of a worker's standard error.
_ERRORS_ONLY = 3


def find() -> Optional[Runtime]:
    """ONNX Runtime, or None."""
    spec = importlib.util.find_spec(_MODULE)
    if spec is None:
        return None
    libraries = [Path(folder) / "capi" for folder in spec.submodule_search_locations or ()]
    delegates = [CPU]
    if has_nvidia_gpu():
        delegates += [n for n, file in _LIBRARIES.items() if any((folder / file).exists() for folder in libraries)]
    return OnnxRuntime(installed_version(*_DISTRIBUTIONS), tuple(delegates))


class OnnxRuntime:
    """See `Runtime`.

    Args:
        version: of the installed distribution.
        delegates: offered here, the default first.
    """

    name = "onnxruntime"
    formats: Tuple[str, ...] = ("onnx",)

    def __init__(self, version: str, delegates: Tuple[str, ...] = (CPU,)) -> None:
        self.version = version
        self.delegates = delegates

    def preload(self) -> None:
        """See `Runtime.preload`."""
        self._library()

    def check(self, path: Path) -> None:
        """See `Runtime.check`."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _invalid(f"cannot read the model: {error.strerror}") from error
        if not data:
            raise _invalid("the model file is empty")
        try:
            check_model(data)
        except BrokenOnnxError as error:
            raise _invalid(f"not an ONNX model: {error}", "send an .onnx file, whole and uncompressed") from error

    def load(self, source: Union[Path, bytes], threads: int, delegate: str, batch: Optional[int] = None) -> LoadedModel:
        """See `Runtime.load`."""
        session, asked = self._session(source, threads, delegate)
        return self._model(session, source, asked, batch)

    def profile(self, source: Path, threads: int, delegate: str, inputs: Inputs, inferences: int) -> Profile:
        """See `Runtime.profile`."""
        if self._asked(delegate) in _LIBRARIES:
            raise ProfileUnavailable("ONNX Runtime's profiler sees how operators are sent to a GPU, not how they run")
        with ort_profile.folder() as prefix:
            session, asked = self._session(source, threads, delegate, prefix)
            model = self._model(session, source, asked, None)
            for index, value in enumerate(inputs(model.inputs)):
                model.set_input(index, value)
            names = {provider: name for name, provider in _PROVIDERS.items()}
            return ort_profile.read(session, model.invoke, inferences, names)

    def _session(
        self, source: Union[Path, bytes], threads: int, delegate: str, profile_prefix: str = ""
    ) -> Tuple[Any, str]:
        asked = self._asked(delegate)
        library = self._library()
        available = set(library.get_available_providers())
        if _PROVIDERS[asked] not in available:
            offered = ", ".join(sorted(name for name, provider in _PROVIDERS.items() if provider in available))
            raise _absent(f"{self.name} {self.version} has no delegate {asked!r} in this build; it offers: {offered}")
        wanted = [asked, *_BEHIND.get(asked, ()), CPU]
        options = library.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        # Since 1.24: which provider got which node.
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        if profile_prefix:
            options.enable_profiling = True
            options.profile_file_prefix = profile_prefix
        try:
            session = library.InferenceSession(
                source if isinstance(source, bytes) else str(source),
                options,
                providers=list(dict.fromkeys(_PROVIDERS[name] for name in wanted if _PROVIDERS[name] in available)),
            )
        except Exception as error:  # the library's errors share no base class but this one
            raise _rejected(error) from error
        if _PROVIDERS[asked] not in session.get_providers():
            raise _absent(
                f"{_PROVIDERS[asked]} is installed but does not start on this device",
                "its libraries must be found and fit the driver; an agent with --worker-memory-mb leaves CUDA too "
                "little address space",
            )
        return session, asked

    def _model(self, session: Any, source: Union[Path, bytes], asked: str, batch: Optional[int]) -> LoadedModel:
        _check_ranks(session, source)
        quantised = _quantised(session, source)
        try:
            return _Model(self._library(), session, asked, quantised, batch)
        except MemoryError as error:
            raise _rejected(error) from error

    def _asked(self, delegate: str) -> str:
        """The provider that is meant; those of unusual builds are known once the library is loaded."""
        asked = CPU if delegate == "none" else delegate or self.delegates[0]
        if asked not in _PROVIDERS:
            raise _absent(f"{self.name} has no delegate {asked!r}; it offers: {', '.join(self.delegates)}")
        return asked

    def _library(self) -> Any:
        try:
            return importlib.import_module(_MODULE)
        except (ImportError, OSError) as error:
            raise _absent(
                f"{self.name} {self.version} is installed but does not load: {error}", "reinstall it for this Python"
            ) from error


class _Model:
    """See `LoadedModel`."""

    def __init__(
        self, library: Any, session: Any, asked: str, quantised: Mapping[str, Quantisation], batch: Optional[int]
    ) -> None:
        self._library = library
        self._session = session
        self._asked = asked
        self._quantised = quantised
        self._declared = [(entry, _dtype(entry)) for entry in session.get_inputs()]
        self._results = [(entry, _dtype(entry, "output")) for entry in session.get_outputs()]
        self._arrays: List[NDArray[np.generic]] = []
        self._batch = batch or 1
        self.invoke: Callable[[], None]
        self._bind(self._batch)

    @property
    def delegate(self) -> str:
        return self._ran()[0]

    @property
    def remarks(self) -> Sequence[str]:
        shapes = []
        for (entry, _), array in zip(self._declared, self._arrays):
            if any(not isinstance(n, int) for n in entry.shape[1:]):
                given = ", ".join("?" if n is None else str(n) for n in entry.shape)
                shapes.append(f"input {entry.name!r} has dynamic shape [{given}]: measured as {list(array.shape)}")
        return [*shapes, *self._ran()[1]]

    def _ran(self) -> Tuple[str, List[str]]:
        if self._asked == CPU:
            return CPU, []
        told = getattr(self._session, "get_provider_graph_assignment_info", None)
        if told is None:
            return self._asked, ["this version of ONNX Runtime does not tell which provider runs which operator"]
        counts: Dict[str, int] = {}
        left: Set[str] = set()
        for subgraph in told():
            nodes = subgraph.get_nodes()
            counts[subgraph.ep_name] = counts.get(subgraph.ep_name, 0) + len(nodes)
            if subgraph.ep_name == _PROVIDERS[CPU]:
                left.update(node.op_type for node in nodes)
        return provider_that_runs(self._asked, counts, left)

    @property
    def inputs(self) -> Tuple[Tensor, ...]:
        return tuple(
            self._tensor(entry.name, array.shape, dtype) for (entry, dtype), array in zip(self._declared, self._arrays)
        )

    @property
    def outputs(self) -> Tuple[Tensor, ...]:
        made = self._values()
        tensors = []
        for index, (entry, dtype) in enumerate(self._results):
            shape = made[index].shape() if index < len(made) else _resolved(entry.shape, self._batch)
            tensors.append(self._tensor(entry.name, tuple(int(n) for n in shape), dtype))
        return tuple(tensors)

    def _values(self) -> Sequence[Any]:
        values: Sequence[Any] = self._binding.get_outputs()
        return [value for value in values if value.has_value()]

    def _tensor(self, name: str, shape: Sequence[int], dtype: str) -> Tensor:
        found = self._quantised.get(name)
        if found is None or np.dtype(dtype).kind not in "iu":
            return Tensor(name, tuple(shape), dtype)
        return Tensor(name, tuple(shape), dtype, found.scale, found.zero_point)

    def set_input(self, index: int, value: NDArray[np.generic]) -> None:
        array = self._arrays[index]
        if value.shape != array.shape or value.dtype != array.dtype:
            raise ValueError(f"input {index} takes {array.dtype} {array.shape}, not {value.dtype} {value.shape}")
        array[...] = value

    def fill_input(self, index: int, value: float) -> None:
        self._arrays[index].fill(value)

    def edit_input(self, index: int, elements: NDArray[np.integer[Any]], values: NDArray[np.generic]) -> None:
        self._arrays[index].reshape(-1)[elements] = values

    def output(self, index: int) -> NDArray[np.generic]:
        array: NDArray[np.generic] = self._values()[index].numpy()
        return array.copy()

    def resize_batch(self, size: int) -> bool:
        if any(not entry.shape or isinstance(entry.shape[0], int) for entry, _ in self._declared):
            return all(array.shape[:1] == (size,) for array in self._arrays)
        before = self._batch
        self._bind(size)
        try:
            self.invoke()
            if all(value.shape()[:1] == [size] for value in self._values()):
                return True
        except Exception:  # noqa: S110  # a graph may fix the batch behind its inputs: any refusal means no
            pass
        self._bind(before)
        return False

    def _bind(self, batch: int) -> None:
        """Give the session arrays of ours to read from: what is written to them is what it runs."""
        self._batch = batch
        self._arrays = [np.zeros(_resolved(entry.shape, batch), dtype) for entry, dtype in self._declared]
        self._binding = self._session.io_binding()
        self._held = [self._library.OrtValue.ortvalue_from_numpy(array) for array in self._arrays]
        for (entry, _), value in zip(self._declared, self._held):
            self._binding.bind_ortvalue_input(entry.name, value)
        for entry, _ in self._results:
            self._binding.bind_output(entry.name, "cpu")
        run: Callable[..., None] = self._session._sess.run_with_iobinding
        self.invoke = functools.partial(run, self._binding._iobinding, None)


def provider_that_runs(asked: str, counts: Mapping[str, int], left: set[str]) -> Tuple[str, List[str]]:
    """What to call the provider that runs a graph, and what to remark.

    Args:
        asked: for.
        counts: operators by the library's name of the provider.
        left: kinds of the operators that the processor runs.
    """
    names = {provider: name for name, provider in _PROVIDERS.items()}
    taken, total = counts.get(_PROVIDERS[asked], 0), sum(counts.values())
    if not taken:
        others = {names.get(provider, provider): count for provider, count in counts.items()}
        ran = max(others, key=lambda name: others[name]) if others else CPU
        return ran, [f"{asked} was asked for but took no operator of this graph"]
    if taken == total:
        return asked, []
    rest = ", ".join(f"{count} on {names.get(p, p)}" for p, count in counts.items() if p != _PROVIDERS[asked])
    kinds = f" ({', '.join(sorted(left))})" if left else ""
    return asked, [f"{asked} runs {taken} of {total} operators, {rest}{kinds}"]


def _resolved(shape: Sequence[Any], batch: int) -> Tuple[int, ...]:
    """Unknown dimensions become 1, an unknown first one the batch."""
    return tuple(n if isinstance(n, int) and n > 0 else (1 if place else batch) for place, n in enumerate(shape))


def _dtype(entry: Any, what: str = "input") -> str:
    match = _TYPE.fullmatch(entry.type)
    name = _TYPES.get(match.group(1), match.group(1)) if match else entry.type
    try:
        return str(np.dtype(name))
    except TypeError:
        raise MeasurementError(
            pb.FAILURE_KIND_UNSUPPORTED_OPERATION,
            f"{what} {entry.name!r} holds {entry.type}; only tensors of numbers can be measured",
        ) from None


def _check_ranks(session: Any, source: Union[Path, bytes]) -> None:
    """Refuse inputs of which not even the number of dimensions is known; to the library they look like scalars.

    Raises:
        MeasurementError: unsupported operation.
    """
    if all(entry.shape for entry in session.get_inputs()):
        return
    if unknown := unranked_inputs(source if isinstance(source, bytes) else source.read_bytes()):
        raise MeasurementError(
            pb.FAILURE_KIND_UNSUPPORTED_OPERATION,
            f"the file tells no shape for input {', '.join(map(repr, unknown))}, not even how many dimensions it has",
            "export the model with input shapes",
        )


def _quantised(session: Any, source: Union[Path, bytes]) -> Mapping[str, Quantisation]:
    """Read the file again only where integers go in or come out."""
    if not any("int8" in entry.type or "int16" in entry.type for entry in session.get_inputs() + session.get_outputs()):
        return {}
    return quantisations(source if isinstance(source, bytes) else source.read_bytes())


def _rejected(error: Exception) -> MeasurementError:
    words = _SOURCE_LOCATION.sub("", _PREAMBLE.sub("", str(error)))
    if ran_out_of_memory(error):
        words = words or "the runtime could not allocate the model's tensors"
        return MeasurementError(pb.FAILURE_KIND_OUT_OF_MEMORY, words, LARGER_MEMORY)
    if _UNKNOWN_OPERATION.search(str(error)):
        return MeasurementError(pb.FAILURE_KIND_UNSUPPORTED_OPERATION, words)
    return _invalid(words)


def _invalid(message: str, remedy: str = "") -> MeasurementError:
    return MeasurementError(pb.FAILURE_KIND_INVALID_MODEL, message, remedy)


def _absent(message: str, remedy: str = "") -> MeasurementError:
    return MeasurementError(pb.FAILURE_KIND_RUNTIME_ABSENT, message, remedy)
