"""Fit arrays to a model's inputs, and its outputs to real numbers."""

from __future__ import annotations

from typing import List, Mapping, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from device_agent.errors import MeasurementError
from device_agent.runtimes.base import LoadedModel, Tensor
from protos.gauntlet.v1 import failure_pb2

Array = NDArray[np.generic]
_SEED = 20_11


def fill_inputs(model: LoadedModel) -> None:
    """Give a model something to chew on while it is timed."""
    for index, value in enumerate(example_inputs(model.inputs)):
        model.set_input(index, value)


def example_inputs(tensors: Sequence[Tensor]) -> List[Array]:
    """An array for each input: seeded, finite, without denormals.

    Floats are uniform in 0-1 and quantised inputs take their whole range: zeros would let kernels that skip them look
    fast. Other integers are zero, the one index that every embedding has.
    """
    random = np.random.default_rng(_SEED)
    values: List[Array] = []
    for tensor in tensors:
        dtype = numpy_type(tensor)
        if dtype.kind == "f":
            value: Array = random.random(tensor.shape).astype(dtype)
        elif tensor.scale is not None and dtype.kind in "iu":
            limits = np.iinfo(dtype.name)
            value = random.integers(limits.min, limits.max, tensor.shape, dtype=dtype, endpoint=True)
        else:
            value = np.zeros(tensor.shape, dtype)
        values.append(value)
    return values


def numpy_type(tensor: Tensor) -> np.dtype[np.generic]:
    """NumPy type of a numeric tensor.

    Raises:
        MeasurementError: unsupported operation, for strings and resources.
    """
    try:
        dtype = np.dtype(tensor.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "fiub":
        raise MeasurementError(
            failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION,
            f"input {tensor.name!r} holds {tensor.dtype}; only numbers can be measured",
        )
    return dtype


def pair_inputs(tensors: Sequence[Tensor], arrays: Mapping[str, Array], what: str) -> List[Array]:
    """The data set's array for each tensor: by name, or the only one for the only one.

    Raises:
        MeasurementError: invalid data.
    """
    if len(tensors) == 1 and len(arrays) == 1:
        return [next(iter(arrays.values()))]
    missing = [tensor.name for tensor in tensors if tensor.name not in arrays]
    if missing:
        have = ", ".join(sorted(arrays)) or "none"
        raise invalid_data(f"no array for {what} {', '.join(missing)} of the model; the data set has: {have}")
    return [arrays[tensor.name] for tensor in tensors]


def fit_samples(tensor: Tensor, samples: Array) -> Array:
    """`samples`, shape (n, …), in the type and sample shape of an input, quantised where it is quantised.

    Dimensions of 1 may differ. Integers of the input's own type are passed as they are.

    Raises:
        MeasurementError: invalid data.
    """
    sample_shape, wanted = tuple(samples.shape[1:]), tensor.shape[1:]
    if tuple(n for n in sample_shape if n != 1) != tuple(n for n in wanted if n != 1):
        raise invalid_data(
            f"input {tensor.name!r} takes samples of shape {_shape(wanted)}, the data set holds {_shape(sample_shape)}",
            "the model has its dimensions in another order: transpose the samples"
            if sorted(sample_shape) == sorted(wanted)
            else "",
        )
    shaped = samples.reshape((len(samples), *wanted))
    dtype = numpy_type(tensor)
    if shaped.dtype == dtype:
        return shaped
    if shaped.dtype.kind == "f" and dtype.kind == "f":
        return shaped.astype(dtype)
    if shaped.dtype.kind == "f" and dtype.kind in "iu" and tensor.scale:
        limits = np.iinfo(dtype.name)
        steps = np.rint(shaped.astype(np.float64) / tensor.scale) + (tensor.zero_point or 0)
        clipped: Array = np.clip(steps, limits.min, limits.max).astype(dtype)
        return clipped
    raise invalid_data(f"input {tensor.name!r} takes {tensor.dtype}, the data set holds {shaped.dtype}")


def real_valued(tensor: Tensor, values: Array) -> NDArray[np.float64]:
    """Outputs as real numbers: dequantised where the tensor is quantised."""
    real = values.astype(np.float64)
    if tensor.scale is not None and values.dtype.kind in "iu":
        return (real - (tensor.zero_point or 0)) * tensor.scale
    return real


class BatchRunner:
    """Runs samples through a model, several to a call where the model allows it.

    Args:
        model: its batch size may be changed.
        inputs: one array for each input, shape (n, …), as `fit_samples` gives them.
        batch_size: wished for.

    Attributes:
        batch: samples to a call.
    """

    def __init__(self, model: LoadedModel, inputs: Sequence[Array], batch_size: int) -> None:
        self._model = model
        self._inputs = inputs
        self._length = len(inputs[0])
        # Asking a runtime for its tensors costs as much as a small inference.
        self._outputs = range(len(model.outputs))
        self.batch = self._settle(max(1, min(batch_size, self._length)))

    def __call__(self, start: int) -> Tuple[int, List[Array]]:
        """Run the samples from `start` on.

        Returns:
            How many they were, and each output for them, shape (n, …).
        """
        count = min(self.batch, self._length - start)
        for index, array in enumerate(self._inputs):
            chunk = array[start : start + count]
            if count < self.batch:
                chunk = np.concatenate([chunk, np.repeat(chunk[-1:], self.batch - count, axis=0)])
            self._model.set_input(index, np.ascontiguousarray(chunk))
        self._model.invoke()
        return count, [self._model.output(i)[:count] for i in self._outputs]

    def _settle(self, wished: int) -> int:
        own = {tensor.shape[0] if tensor.shape else 0 for tensor in self._model.inputs}
        if len(own) != 1 or 0 in own:
            raise invalid_data("the inputs of this model have no common first dimension for samples")
        size = own.pop()
        if size != 1 or wished == 1 or not self._model.resize_batch(wished):
            return size
        # A graph may accept a larger batch and still mix its samples up.
        self.batch = wished
        _, together = self(0)
        self._model.resize_batch(1)
        self.batch = 1
        for place in range(wished):
            _, alone = self(place)
            if not all(alike(a[0], b[place]) for a, b in zip(alone, together)):
                return 1
        self._model.resize_batch(wished)
        return wished


def invalid_data(message: str, remedy: str = "") -> MeasurementError:
    """A data set or reference that does not fit the model."""
    return MeasurementError(failure_pb2.FAILURE_KIND_INVALID_DATA, message, remedy)


def load_arrays(arrays: Mapping[str, Array], tensors: Sequence[Tensor]) -> List[Array]:
    """Arrays of a data set as the model's inputs take them."""
    return [fit_samples(t, a) for t, a in zip(tensors, pair_inputs(tensors, arrays, "input"))]


def alike(a: Array, b: Array) -> bool:
    """Are these the same outputs, but for how kernels for other batch sizes round?"""
    if a.dtype.kind in "iu":
        return bool(np.abs(a.astype(np.int64) - b.astype(np.int64)).max(initial=0) <= 2)
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True))


def _shape(shape: Sequence[int]) -> str:
    return "×".join(str(n) for n in shape) or "scalar"
