"""Compare a model's outputs on this device with the host's, before anything is timed."""

from __future__ import annotations

from pathlib import Path
from typing import List, Sequence

import numpy as np

from device_agent.errors import MeasurementError
from device_agent.measure.tensors import Array, BatchRunner, invalid_data, load_arrays, pair_inputs, real_valued
from device_agent.runtimes.base import Graph, LoadedModel
from protos import dataset, figures
from protos.gauntlet.v1 import failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

#: Samples to a call, where the model allows it.
BATCH = 16


def check_outputs(model: LoadedModel, spec: pb.OutputCheckSpec, path: Path) -> pb.OutputCheckResult:
    """Run the reference inputs and compare.

    Args:
        model: freshly loaded.
        spec: the tolerance, in standard deviations of each reference output.
        path: reference file, see `protos.dataset`.

    Raises:
        MeasurementError: wrong output, or invalid data where the reference does not fit the model.
    """
    reference = load_reference(path)
    runner = BatchRunner(model, load_arrays(reference.inputs, model.inputs), BATCH)
    got: List[List[Array]] = []
    start = 0
    while start < len(reference):
        count, outputs = runner(start)
        got.append(outputs)
        start += count
    return compare_outputs(model, [np.concatenate(parts) for parts in zip(*got)], reference, spec.tolerance)


def load_reference(path: Path) -> dataset.DataSet:
    """Read inputs with the outputs that they are to have.

    Raises:
        MeasurementError: invalid data.
    """
    reference = load_data(path, "reference")
    if not reference.outputs:
        raise invalid_data("the reference holds no outputs")
    return reference


def compare_outputs(
    model: Graph, got: Sequence[Array], reference: dataset.DataSet, tolerance: float
) -> pb.OutputCheckResult:
    """Compare what a model made of the reference inputs.

    Args:
        model: what ran.
        got: each of its outputs, shape (n, …).
        reference: inputs and outputs of all samples.
        tolerance: in standard deviations of each reference output.

    Raises:
        MeasurementError: wrong output, or invalid data where the reference does not fit the model.
    """
    wanted = [array.astype(np.float64) for array in pair_inputs(model.outputs, reference.outputs, "output")]
    worst, worst_sample, worst_name = 0.0, 0, ""
    agreement = figures.unavailable("the model has no single vector of class scores")
    for index, tensor in enumerate(model.outputs):
        values = real_valued(tensor, got[index])
        expected = wanted[index]
        if values.size != expected.size:
            raise invalid_data(
                f"output {tensor.name!r} has {values[0].size} values a sample, the reference {expected[0].size}"
            )
        values, expected = values.reshape(len(reference), -1), expected.reshape(len(reference), -1)
        spread = float(expected.std()) or float(np.abs(expected).max()) or 1.0
        # NaN and infinity are as different as can be.
        difference = np.nan_to_num(np.abs(values - expected) / spread, nan=np.inf, posinf=np.inf).max(axis=1)
        sample = int(difference.argmax())
        if not worst_name or difference[sample] > worst:
            worst, worst_sample, worst_name = float(difference[sample]), sample, tensor.name
        if len(model.outputs) == 1 and values.shape[1] > 1:
            agree = float((values.argmax(axis=1) == expected.argmax(axis=1)).mean())
            agreement = figures.measured(agree, len(reference))
    if worst > tolerance:
        raise MeasurementError(
            failure_pb2.FAILURE_KIND_WRONG_OUTPUT,
            f"output {worst_name!r} of sample {worst_sample} differs from the reference by {worst:.3g} standard "
            f"deviations, more than {tolerance:.3g}",
            "compare with delegate 'none', or raise the tolerance for a quantised model",
        )
    return pb.OutputCheckResult(max_difference=figures.measured(worst, len(reference)), top1_agreement=agreement)


def load_data(path: Path, what: str) -> dataset.DataSet:
    """Read a data-set artifact.

    Raises:
        MeasurementError: invalid data.
    """
    try:
        return dataset.load(path)
    except dataset.DataSetError as error:
        raise invalid_data(f"{what}: {error}") from error
