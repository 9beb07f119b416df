"""Per-operator times of LiteRT, through the C API of its libLiteRt.so. Python's interpreter does not tell them.

The profiler is there but not documented, and a wrong guess about its structures reads foreign memory. So it is used
with the versions that it was tried with, in a worker of its own, and believed only where its events make sense:

    Invoke (the interpreter)                       start, elapsed
      operator ........ CONV_2D                    kernels of the interpreter
      operator ........ Convolution (NHWC) IGEMM   inside a delegate, which truncates to whole microseconds
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
from pathlib import Path
from typing import Any, Callable, List, NamedTuple, Sequence, Tuple

import numpy as np

from device_agent.runtimes.base import Inputs, Profile, ProfileUnavailable, Tensor
from device_agent.runtimes.profiles import Label, Run, typical

#: Major and minor numbers whose structures are known.
KNOWN_VERSIONS = ("2.3",)
_WARM_UP = 10
_RESOLUTION_S = 1e-6
_LARGEST_US = 600_000_000
_WHOLE = "Invoke"
_MAX_RANK = 8
_MAX_EVENTS = 1_000_000
_CPU_ACCELERATOR = 1
#: litert_cpu_options.h
_KERNELS = {"xnnpack": 0, "none": 2}
#: Options are TOML texts under a name (litert_runtime_options.cc, litert_cpu_options.cc).
_RUNTIME_OPTIONS, _CPU_OPTIONS = b"runtime_options_string", b"xnnpack"
#: tflite::Profiler::EventType
_PLAIN, _OPERATOR, _IN_DELEGATE = 1, 2, 8
#: litert_model_types.h
_TYPES = {1: "float32", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8", 10: "float16"}
_LOCK_TO_WRITE = 1


class _Layout(ctypes.Structure):
    # The first word holds the rank in seven bits, and whether there are strides.
    _fields_ = [  # as ctypes has it
        ("rank", ctypes.c_uint32),
        ("dimensions", ctypes.c_int32 * _MAX_RANK),
        ("strides", ctypes.c_uint32 * _MAX_RANK),
    ]


class _TensorType(ctypes.Structure):
    _fields_ = [("element", ctypes.c_int), ("layout", _Layout)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("tag", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory", ctypes.c_size_t * 6),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
        ("source", ctypes.c_int),
    ]


class Event(NamedTuple):
    """One entry of the profiler."""

    tag: str
    type: int
    elapsed_us: int


class _Buffer(NamedTuple):
    handle: ctypes.c_void_p
    tensor: Tensor


def profile(module: str, version: str, path: Path, threads: int, delegate: str, inputs: Inputs, count: int) -> Profile:
    """See `Runtime.profile`.

    Args:
        module: that carries the library.
        version: of the installed distribution.
        path: of the model.
        threads: at least 1.
        delegate: "xnnpack" or "none".
        inputs: what to run it with.
        count: of inferences.
    """
    if ".".join(version.split(".")[:2]) not in KNOWN_VERSIONS:
        known = ", ".join(KNOWN_VERSIONS)
        raise ProfileUnavailable(f"the profiler inside LiteRT {version} is not known (known versions: {known})")
    with contextlib.closing(_Session(_open(module), path, threads, delegate)) as session:
        session.fill(inputs)
        for _ in range(_WARM_UP):
            session.run()
        return summary([session.profiled_run() for _ in range(count)], delegate)


def summary(runs: Sequence[Sequence[Event]], delegate: str) -> Profile:
    """A typical one of profiled inferences.

    Args:
        runs: the events of each.
        delegate: that was asked for, the name of what runs inside one.

    Raises:
        ProfileUnavailable: the events make no sense.
    """
    found = []
    for events in runs:
        operators = [event for event in events if event.type in (_OPERATOR, _IN_DELEGATE)]
        wholes = [event for event in events if event.type == _PLAIN and event.tag == _WHOLE]
        if len(wholes) != 1 or any(event.elapsed_us > _LARGEST_US for event in (*wholes, *operators)):
            raise ProfileUnavailable("LiteRT's profiler tells of events that cannot be")
        labels = [Label(event.tag, "", delegate if event.type == _IN_DELEGATE else "none") for event in operators]
        found.append(Run(wholes[0].elapsed_us / 1e6, labels, [event.elapsed_us / 1e6 for event in operators]))
    return typical(found, "LiteRT's profiler", _RESOLUTION_S)


def _open(module: str) -> Any:
    spec = importlib.util.find_spec(module)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    try:
        return ctypes.CDLL(str(Path(folders[0]) / "libLiteRt.so"))
    except (IndexError, OSError) as error:
        raise ProfileUnavailable(f"LiteRT's library does not load: {error}") from error


class _Session:
    """A compiled model that profiles; every handle is destroyed by `close`, last one first."""

    def __init__(self, library: Any, path: Path, threads: int, delegate: str) -> None:
        self._library = library
        self._ends: List[Tuple[str, ctypes.c_void_p]] = []
        try:
            self._prepare(path, threads, delegate)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give everything back."""
        while self._ends:
            name, handle = self._ends.pop()
            getattr(self._library, name)(handle)

    def _prepare(self, path: Path, threads: int, delegate: str) -> None:
        self._environment = self._make("CreateEnvironment", "DestroyEnvironment", ctypes.c_int(0), None)
        model = self._make("CreateModelFromFile", "DestroyModel", self._environment, str(path).encode())
        options = self._make("CreateOptions", "DestroyOptions")
        self._call("SetOptionsHardwareAccelerators", options, ctypes.c_int(_CPU_ACCELERATOR))
        cpu = f"kernel_mode = {_KERNELS[delegate]}\nnum_threads = {threads}\n"
        for name, text in ((_RUNTIME_OPTIONS, b"enable_profiling = true\n"), (_CPU_OPTIONS, cpu.encode())):
            self._call("AddOpaqueOptions", options, self._opaque(name, text))
        self._compiled = self._make("CreateCompiledModel", "DestroyCompiledModel", self._environment, model, options)
        self._profiler = self._get("CompiledModelGetProfiler", self._compiled)
        signature = self._get("GetModelSignature", model, ctypes.c_size_t(0))
        self._inputs = self._buffers("Input", signature)
        self._outputs = self._buffers("Output", signature)
        self._arguments = (
            self._compiled,
            ctypes.c_size_t(0),
            ctypes.c_size_t(len(self._inputs)),
            (ctypes.c_void_p * len(self._inputs))(*(buffer.handle for buffer in self._inputs)),
            ctypes.c_size_t(len(self._outputs)),
            (ctypes.c_void_p * len(self._outputs))(*(buffer.handle for buffer in self._outputs)),
        )

    def fill(self, inputs: Inputs) -> None:
        """Write what the model is to run with."""
        for buffer, value in zip(self._inputs, inputs([buffer.tensor for buffer in self._inputs])):
            data = np.ascontiguousarray(value)
            address = ctypes.c_void_p()
            self._call("LockTensorBuffer", buffer.handle, ctypes.byref(address), ctypes.c_int(_LOCK_TO_WRITE))
            ctypes.memmove(address, data.ctypes.data, data.nbytes)
            self._call("UnlockTensorBuffer", buffer.handle)

    def run(self) -> None:
        """One inference."""
        self._call("RunCompiledModel", *self._arguments)

    def profiled_run(self) -> List[Event]:
        """One inference, and what the profiler saw of it."""
        self._call("StartProfiler", self._profiler)
        self.run()
        self._call("StopProfiler", self._profiler)
        number = ctypes.c_int()
        self._call("GetNumProfilerEvents", self._profiler, ctypes.byref(number))
        if not 0 < number.value <= _MAX_EVENTS:
            raise ProfileUnavailable(f"LiteRT's profiler tells of {number.value} events")
        events = (_Event * number.value)()
        self._call("GetProfilerEvents", self._profiler, number, events)
        copied = [Event((e.tag or b"").decode("utf-8", "replace"), e.type, e.elapsed_us) for e in events]
        self._call("ResetProfiler", self._profiler)
        return copied

    def _buffers(self, which: str, signature: ctypes.c_void_p) -> List[_Buffer]:
        count = ctypes.c_size_t()
        self._call(f"GetNumSignature{which}s", signature, ctypes.byref(count))
        buffers = []
        for index in range(count.value):
            tensor = self._get(f"GetSignature{which}TensorByIndex", signature, ctypes.c_size_t(index))
            kind = _TensorType()
            self._call("GetRankedTensorType", tensor, ctypes.byref(kind))
            described = _described(kind)
            needs = self._get(
                f"GetCompiledModel{which}BufferRequirements",
                self._compiled,
                ctypes.c_size_t(0),
                ctypes.c_size_t(index),
            )
            handle = self._make(
                "CreateManagedTensorBufferFromRequirements",
                "DestroyTensorBuffer",
                self._environment,
                ctypes.byref(kind),
                needs,
            )
            buffers.append(_Buffer(handle, described))
        return buffers

    def _opaque(self, name: bytes, text: bytes) -> ctypes.c_void_p:
        """Options own their text and free it, so that it must come from the C library's heap."""
        libc = ctypes.CDLL(None)
        libc.strdup.restype = ctypes.c_void_p
        free = ctypes.cast(libc.free, ctypes.c_void_p)
        return self._get("CreateOpaqueOptions", name, ctypes.c_void_p(libc.strdup(text)), free)

    def _make(self, name: str, end: str, *arguments: Any) -> ctypes.c_void_p:
        handle = self._get(name, *arguments)
        self._ends.append((f"LiteRt{end}", handle))
        return handle

    def _get(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._call(name, *arguments, ctypes.byref(handle))
        return handle

    def _call(self, name: str, *arguments: Any) -> None:
        try:
            function: Callable[..., int] = getattr(self._library, f"LiteRt{name}")
        except AttributeError as error:
            raise ProfileUnavailable(f"this LiteRT has no function LiteRt{name}") from error
        status = function(*arguments)
        if status:
            raise ProfileUnavailable(f"LiteRT's profiler cannot run this model: LiteRt{name} answers {status}")


def _described(kind: _TensorType) -> Tensor:
    rank = kind.layout.rank & 0x7F
    dtype = _TYPES.get(kind.element)
    if dtype is None or rank > _MAX_RANK:
        raise ProfileUnavailable(f"LiteRT's profiler takes no tensors of type {kind.element} and rank {rank}")
    for place in range(rank):
        # An unknown size; measured as 1, as everywhere.
        kind.layout.dimensions[place] = max(1, kind.layout.dimensions[place])
    shape = tuple(kind.layout.dimensions[:rank])
    quantised = np.dtype(dtype).itemsize < 4 and np.dtype(dtype).kind in "iu"
    return Tensor("", shape, dtype, *((1.0, 0) if quantised else ()))
