"""Torch's exported programs (`torch.export.save`, `.pt2`), on hosts that have torch.

`torch.export.load` cannot be made safe. It falls back to full unpickling for the sample inputs, unpickles constants,
hands symbolic sizes to sympy's `eval`, and compiles guards from text (torch/_export/serde/serialize.py and
torch/export/_unlift.py, torch 2.13). Whoever can submit a job could run code on the device, so that an agent offers
this runtime only when it was told to trust those who submit.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
import re
import zipfile
from pathlib import Path
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from device_agent.errors import MeasurementError
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
from device_agent.runtimes.profiles import Label, Run, typical
from protos.gauntlet.v1 import failure_pb2 as pb

CPU, CUDA = "cpu", "cuda"
_MODULE = "torch"
#: What loading a program imports; without it the first one would be charged for seconds of imports.
_PARTS = ("torch", "torch.export", "torch.export.pt2_archive._package", "torch._export.serde.serialize")
_CUDA_BUILD = re.compile(r"^cuda\s*(?::[^=]*)?=\s*['\"]", re.MULTILINE)
_UNKNOWN_OPERATION = re.compile(r"failed to resolve (\S+) to an operator")
_WARM_UP = 10
_NAMESPACE = "aten::"
_MARK = "gauntlet: one inference"


def find(allow_pt2: bool) -> Optional[Runtime]:
    """Torch, or None where it is not installed or its files are not trusted."""
    spec = importlib.util.find_spec(_MODULE) if allow_pt2 else None
    if spec is None:
        return None
    delegates = [CPU]
    if has_nvidia_gpu() and any(_is_cuda_build(Path(folder)) for folder in spec.submodule_search_locations or ()):
        delegates.append(CUDA)
    return TorchExport(installed_version(_MODULE), tuple(delegates))


class TorchExport:
    """See `Runtime`.

    Args:
        version: of the installed distribution.
        delegates: offered here, the default first.
    """

    name = "torch"
    formats: Tuple[str, ...] = ("pt2",)

    def __init__(self, version: str, delegates: Tuple[str, ...] = (CPU,)) -> None:
        self.version = version
        self.delegates = delegates

    def preload(self) -> None:
        """See `Runtime.preload`."""
        self._library()
        for part in _PARTS:
            # Private parts move; the program that is loaded first pays for them then.
            with contextlib.suppress(ImportError):
                importlib.import_module(part)

    def check(self, path: Path) -> None:
        """See `Runtime.check`."""
        try:
            with path.open("rb") as file:
                if not file.read(1):
                    raise _invalid("the model file is empty")
                with zipfile.ZipFile(file) as archive:
                    names = archive.namelist()
        except OSError as error:
            raise _invalid(f"cannot read the model: {error.strerror}") from error
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise _invalid(f"not an exported program: {error}", "write it with torch.export.save") from error
        if not any(re.search(r"(^|/)models/[^/]+\.json$", name) for name in names):
            raise _invalid("not an exported program: the archive holds no models/*.json", "use torch.export.save")

    def load(self, source: Union[Path, bytes], threads: int, delegate: str, batch: Optional[int] = None) -> LoadedModel:
        """See `Runtime.load`."""
        device = self._asked(delegate)
        torch = self._library()
        torch.set_num_threads(threads)
        if device == CUDA and not torch.cuda.is_available():
            raise _absent(
                "torch finds no GPU that it can use here",
                "see nvidia-smi; an agent with --worker-memory-mb leaves CUDA too little address space",
            )
        with _cause_of_failure() as cause:
            try:
                program = torch.export.load(io.BytesIO(source) if isinstance(source, bytes) else str(source))
                return _Model(torch, program, device, batch)
            except MeasurementError:
                raise
            except Exception as error:  # whatever a file of foreign make brings about is the file's fault
                raise _rejected(cause.error or error) from error

    def profile(self, source: Path, threads: int, delegate: str, inputs: Inputs, inferences: int) -> Profile:
        """See `Runtime.profile`."""
        if self._asked(delegate) == CUDA:
            raise ProfileUnavailable("on a GPU torch's operators return before they have run; only the CPU is profiled")
        model = self.load(source, threads, delegate)
        for index, value in enumerate(inputs(model.inputs)):
            model.set_input(index, value)
        profiler = importlib.import_module("torch.profiler")

        def record(count: int) -> List[Any]:
            with profiler.profile(activities=[profiler.ProfilerActivity.CPU]) as recorded:
                for _ in range(count):
                    with profiler.record_function(_MARK):
                        model.invoke()
            return [event for event in recorded.events() if event.name == _MARK]

        record(_WARM_UP)  # the first operators seen pay for the profiler's own start
        return _summary(record(inferences))

    def _asked(self, delegate: str) -> str:
        asked = CPU if delegate == "none" else delegate or self.delegates[0]
        if asked not in self.delegates:
            raise _absent(f"{self.name} has no delegate {asked!r} here; it offers: {', '.join(self.delegates)}")
        return asked

    def _library(self) -> Any:
        try:
            return importlib.import_module(_MODULE)
        except (ImportError, OSError) as error:
            raise _absent(
                f"{self.name} {self.version} is installed but does not load: {error}", "reinstall it for this Python"
            ) from error


class _Entry(NamedTuple):
    """An input as the program declares it: its shape (None: any size), and the least size of each dimension."""

    name: str
    shape: Tuple[Optional[int], ...]
    least: Tuple[int, ...]
    dtype: Any


class _Model:
    """See `LoadedModel`."""

    def __init__(self, torch: Any, program: Any, device: str, batch: Optional[int]) -> None:
        self._torch = torch
        self._device = device
        self._entries = _entries(torch, program)
        try:
            # Guards compare shapes at each call; ours are right by construction.
            module = program.module(check_guards=False)
        except TypeError:
            module = program.module()
        self._module = module.to(device)
        self._made: Sequence[Any] = ()
        self._resize(batch)
        self.invoke: Callable[[], None] = self._invoker()

    @property
    def delegate(self) -> str:
        return self._device

    @property
    def remarks(self) -> Sequence[str]:
        return [
            f"input {entry.name!r} has dynamic shape [{', '.join('?' if n is None else str(n) for n in entry.shape)}]: "
            f"measured as {list(tensor.shape)}"
            for entry, tensor in zip(self._entries, self._tensors)
            if None in entry.shape[1:] or (entry.shape[:1] == (None,) and entry.least[0] > 1)
        ]

    @property
    def inputs(self) -> Tuple[Tensor, ...]:
        return tuple(self._describe(entry.name, tensor) for entry, tensor in zip(self._entries, self._tensors))

    @property
    def outputs(self) -> Tuple[Tensor, ...]:
        if not self._made:
            self.invoke()
        return tuple(self._describe(f"output_{index}", tensor) for index, tensor in enumerate(self._made))

    def _describe(self, name: str, tensor: Any) -> Tensor:
        return Tensor(name, tuple(tensor.shape), str(tensor.dtype).rpartition(".")[2])

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
        array: NDArray[np.generic] = self._made[index].detach().cpu().numpy().copy()
        return array

    def resize_batch(self, size: int) -> bool:
        if any(not entry.shape or entry.shape[0] is not None for entry in self._entries):
            return all(tensor.shape[:1] == (size,) for tensor in self._tensors)
        before = self._tensors[0].shape[0]
        if any(size < entry.least[0] for entry in self._entries):
            return False
        self._resize(size)
        try:
            self.invoke()
            if all(tensor.shape[:1] == (size,) for tensor in self._made):
                return True
        except Exception:  # noqa: S110  # a graph may fix the batch behind its inputs: any refusal means no
            pass
        self._resize(before)
        return False

    def _resize(self, batch: Optional[int]) -> None:
        self._tensors = []
        for entry in self._entries:
            shape = list(entry.least)
            if batch is not None and entry.shape[:1] == (None,):
                shape[0] = batch
            self._tensors.append(self._torch.zeros(shape, dtype=entry.dtype))
        # They share their memory with the tensors: what is written to them is what runs.
        self._arrays = [tensor.numpy() for tensor in self._tensors]
        self._made = ()

    def _invoker(self) -> Callable[[], None]:
        module, flatten = self._module, self._torch.utils._pytree.tree_leaves
        is_tensor, no_gradients = self._torch.is_tensor, self._torch.inference_mode
        on_gpu = self._device == CUDA

        def invoke() -> None:
            with no_gradients():
                if on_gpu:
                    # Copying back waits for the GPU: the time is what a caller waits.
                    made = flatten(module(*[tensor.to(CUDA, non_blocking=True) for tensor in self._tensors]))
                    self._made = [tensor.cpu() for tensor in made if is_tensor(tensor)]
                else:
                    self._made = [tensor for tensor in flatten(module(*self._tensors)) if is_tensor(tensor)]

        return invoke


class _Cause(logging.Handler):
    error: Optional[BaseException] = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and self.error is None:
            self.error = record.exc_info[1]


@contextlib.contextmanager
def _cause_of_failure() -> Iterator[_Cause]:
    """`torch.export.load` logs what went wrong, and raises that something did."""
    logger, cause = logging.getLogger("torch.export"), _Cause()
    logger.addHandler(cause)
    try:
        yield cause
    finally:
        logger.removeHandler(cause)


def _entries(torch: Any, program: Any) -> List[_Entry]:
    """The program's inputs.

    Raises:
        MeasurementError: unsupported operation, for inputs that are no tensors.
    """
    wanted = list(program.graph_signature.user_inputs)
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    entries = []
    for name in wanted:
        value: Any = values.get(name)
        if not torch.is_tensor(value):
            raise MeasurementError(
                pb.FAILURE_KIND_UNSUPPORTED_OPERATION,
                f"input {name!r} is a {type(value).__name__}; only tensors of numbers can be measured",
            )
        try:
            torch.zeros((), dtype=value.dtype).numpy()
        except TypeError:
            raise MeasurementError(
                pb.FAILURE_KIND_UNSUPPORTED_OPERATION,
                f"input {name!r} holds {value.dtype}, which NumPy does not know",
            ) from None
        shape = tuple(int(n) if isinstance(n, int) else None for n in value.shape)
        least = tuple(_least(program, n) for n in value.shape)
        entries.append(_Entry(str(name), shape, least, value.dtype))
    return entries


def _least(program: Any, size: Any) -> int:
    """The smallest that a dimension may be: a fixed one's size, or the least that was exported for."""
    if isinstance(size, int):
        return size
    bounds, expression = program.range_constraints, size.node.expr
    lowest = {symbol: int(bounds[symbol].lower) for symbol in expression.free_symbols if symbol in bounds}
    # 2 is what torch writes where nothing was said: its compiler specialises 0 and 1.
    lowest = {symbol: low if low > 2 else 1 for symbol, low in lowest.items()}
    return max(1, int(expression.subs(lowest)))


def _summary(marks: Sequence[Any]) -> Profile:
    """A typical one of marked inferences; their children are the operators of the graph."""
    runs = []
    for mark in marks:
        operators = [child for child in mark.cpu_children if child.name.startswith(_NAMESPACE)]
        labels = [Label(operator.name[len(_NAMESPACE) :], "", CPU) for operator in operators]
        times_s = [operator.time_range.elapsed_us() / 1e6 for operator in operators]
        runs.append(Run(mark.time_range.elapsed_us() / 1e6, labels, times_s))
    return typical(runs, "torch's profiler", resolution_s=1e-9)


def _is_cuda_build(folder: Path) -> bool:
    """Read from torch/version.py, a generated file of plain assignments, without importing torch."""
    try:
        return bool(_CUDA_BUILD.search((folder / "version.py").read_text(encoding="utf-8")))
    except OSError:
        return False


def _rejected(error: BaseException) -> MeasurementError:
    words = f"{type(error).__name__}: {error}"
    if ran_out_of_memory(error):
        return MeasurementError(pb.FAILURE_KIND_OUT_OF_MEMORY, words, LARGER_MEMORY)
    unknown = _UNKNOWN_OPERATION.search(words)
    if unknown:
        return MeasurementError(
            pb.FAILURE_KIND_UNSUPPORTED_OPERATION, f"this torch does not know the operator {unknown.group(1)}"
        )
    return _invalid(words)


def _invalid(message: str, remedy: str = "") -> MeasurementError:
    return MeasurementError(pb.FAILURE_KIND_INVALID_MODEL, message, remedy)


def _absent(message: str, remedy: str = "") -> MeasurementError:
    return MeasurementError(pb.FAILURE_KIND_RUNTIME_ABSENT, message, remedy)
