"""What every runtime offers. One contract test (`tests/device_agent/test_runtime_contract.py`) holds for all."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Protocol, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from device_agent.errors import MeasurementError
from protos.gauntlet.v1 import failure_pb2, measurement_pb2

_OUT_OF_MEMORY = re.compile(
    r"failed to allocate memory|can't allocate memory|bad_alloc|out of memory|not enough memory|BFCArena|"
    r"DefaultCPUAllocator",
    re.I,
)
LARGER_MEMORY = "use a smaller model or input, or give the agent a larger --worker-memory-mb"
FIXED_SHAPES = "export the model with fixed input shapes; what the file leaves open is measured as small as it may be"


def installed_version(*distributions: str) -> str:
    """Version of the first of these distributions that is installed, or "unknown"."""
    for distribution in distributions:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    return "unknown"


def ran_out_of_memory(error: BaseException) -> bool:
    """Is it a lack of memory that a library complains about?"""
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model.

    Attributes:
        name: as the file names it.
        shape: with every dimension resolved.
        dtype: NumPy's name.
        scale: of per-tensor affine quantisation, real = scale * (value - zero_point); None for others.
        zero_point: set when scale is.
    """

    name: str
    shape: Tuple[int, ...]
    dtype: str
    scale: Optional[float] = None
    zero_point: Optional[int] = None

    def to_message(self) -> measurement_pb2.TensorFacts:
        """The tensor as it travels."""
        return measurement_pb2.TensorFacts(
            name=self.name, shape=self.shape, dtype=self.dtype, scale=self.scale, zero_point=self.zero_point
        )


#: Makes one array for each tensor, to run a model with.
Inputs = Callable[[Sequence[Tensor]], Sequence[NDArray[np.generic]]]


@dataclass(frozen=True)
class Operator:
    """What one operator of a prepared graph costs.

    Attributes:
        kind: in the runtime's words, for example "CONV_2D" or "Convolution (NHWC, QC8) IGEMM".
        name: of the node, where the runtime tells it; else empty.
        delegate: that ran it, as in `Runtime.delegates`.
        time_s: in a typical inference.
    """

    kind: str
    name: str
    delegate: str
    time_s: float


@dataclass(frozen=True)
class Profile:
    """Where the time of an inference goes.

    Attributes:
        operators: in the order in which they ran.
        whole_s: duration of that inference, on the clock that timed the operators.
        source: whose clock that is.
        resolution_s: of that clock; an operator may read this much too short.
    """

    operators: Sequence[Operator]
    whole_s: float
    source: str
    resolution_s: float


class ProfileUnavailable(Exception):  # noqa: N818  # an answer, not an error
    """This runtime cannot tell operators apart here; the message says why."""


class Graph(Protocol):
    """What goes into a model and comes out of it, wherever it runs."""

    @property
    def inputs(self) -> Tuple[Tensor, ...]:
        """In the file's order."""

    @property
    def outputs(self) -> Tuple[Tensor, ...]:
        """In the file's order; shapes that depend on the data are right after an inference."""


class LoadedModel(Graph, Protocol):
    """A model that is ready to run. It owns its threads and buffers until it is dropped."""

    @property
    def delegate(self) -> str:
        """What really runs the graph, as in `Runtime.delegates`: the one asked for when it took any part of it."""

    @property
    def remarks(self) -> Sequence[str]:
        """What a reader of the figures should know about how the model was loaded."""

    def set_input(self, index: int, value: NDArray[np.generic]) -> None:
        """Copy `value`, of the input's shape and type, into input number `index`."""

    def fill_input(self, index: int, value: float) -> None:
        """Set every element of input number `index` to a value."""

    def edit_input(self, index: int, elements: NDArray[np.integer[Any]], values: NDArray[np.generic]) -> None:
        """Set some elements of input number `index`, counted through the flattened tensor; the others stay.

        Inputs keep what they hold over an inference.
        """

    def invoke(self) -> None:
        """One inference. Bound once and called in the timed loop, so it adds nothing of its own."""

    def output(self, index: int) -> NDArray[np.generic]:
        """A copy of output number `index`."""

    def resize_batch(self, size: int) -> bool:
        """Make the first dimension of every input `size`; False, and all as before, where the model forbids it."""


@contextlib.contextmanager
def first_inference(model: LoadedModel) -> Iterator[None]:
    """Around the first inference of a model: one that fails there would fail on every device.

    Raises:
        MeasurementError: invalid model or out of memory, with the runtime's own words.
    """
    try:
        yield
    except (MeasurementError, OSError):
        raise
    except Exception as error:  # each library has errors of its own
        if ran_out_of_memory(error):
            kind, remedy = failure_pb2.FAILURE_KIND_OUT_OF_MEMORY, LARGER_MEMORY
        else:
            kind = failure_pb2.FAILURE_KIND_INVALID_MODEL
            remedy = FIXED_SHAPES if any("dynamic shape" in remark for remark in model.remarks) else ""
        words = " ".join(str(error).split())
        raise MeasurementError(kind, f"the model's first inference failed: {words}", remedy) from error


class Runtime(Protocol):
    """A library that runs models. Constructing one is cheap; `preload` and `load` touch native code."""

    @property
    def name(self) -> str:
        """For example "litert"."""

    @property
    def version(self) -> str:
        """Of the installed distribution."""

    @property
    def delegates(self) -> Tuple[str, ...]:
        """What this device offers, the default first; `load` takes "none" as well, for the runtime's plain kernels."""

    @property
    def formats(self) -> Tuple[str, ...]:
        """Model formats, for example "tflite"."""

    def preload(self) -> None:
        """Import the native library, so that no measurement pays for it.

        Raises:
            MeasurementError: runtime absent, with the loader's words.
        """

    def check(self, path: Path) -> None:
        """Refuse a file that is no model before native code reads it; not part of loading, which is timed.

        Raises:
            MeasurementError: invalid model.
        """

    def load(self, source: Union[Path, bytes], threads: int, delegate: str, batch: Optional[int] = None) -> LoadedModel:
        """Read a model and make it ready to run.

        Args:
            source: the file, or its content; checked.
            threads: at least 1.
            delegate: one of `delegates`, or empty for the default.
            batch: first dimension of every input, which `resize_batch` has found this graph to allow; None: the file's.

        Raises:
            MeasurementError: invalid model, unsupported operation or runtime absent, with the runtime's own words.
        """

    def profile(self, source: Path, threads: int, delegate: str, inputs: Inputs, inferences: int) -> Profile:
        """Time each operator, in a copy of the model of its own.

        Args:
            source: the file; checked.
            threads: at least 1.
            delegate: as for `load`.
            inputs: what to run it with.
            inferences: to find a typical one among, after some to warm up.

        Raises:
            ProfileUnavailable: it cannot, and why.
            MeasurementError: as `load`.
        """
