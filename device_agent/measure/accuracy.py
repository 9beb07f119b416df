"""How often the model is right on a labelled data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from device_agent.measure import statistics
from device_agent.measure.artifacts import write_artifact
from device_agent.measure.outputs import load_data
from device_agent.measure.tensors import BatchRunner, invalid_data, load_arrays, real_valued
from device_agent.runtimes.base import LoadedModel
from protos import figures
from protos.gauntlet.v1 import measurement_pb2 as pb

PREDICTIONS = "predictions/int32"


def measure_accuracy(model: LoadedModel, spec: pb.AccuracySpec, path: Path, output_dir: Path) -> pb.AccuracyResult:
    """Top-1 accuracy with Wilson's interval, and the predicted classes as a file.

    Args:
        model: its batch size may be changed.
        spec: batch size, confidence.
        path: data set with labels, see `protos.dataset`.
        output_dir: where the predictions go.

    Raises:
        MeasurementError: invalid data where the data set does not fit the model.
    """
    data = load_data(path, "data set")
    if data.labels is None:
        raise invalid_data("the data set has no labels, accuracy needs them")
    if len(model.outputs) != 1:
        raise invalid_data(f"accuracy needs one output of class scores, the model has {len(model.outputs)} outputs")
    runner = BatchRunner(model, load_arrays(data.inputs, model.inputs), int(spec.batch_size))
    predictions = np.empty(len(data), np.int32)
    finite = np.empty(len(data), bool)
    start = 0
    while start < len(data):
        count, outputs = runner(start)
        scores = real_valued(model.outputs[0], outputs[0]).reshape(count, -1)
        classes = scores.shape[1]
        if classes < 2:
            raise invalid_data("accuracy needs at least two class scores a sample, the model has one")
        if not start and int(data.labels.max()) >= classes:
            raise invalid_data(f"label {int(data.labels.max())} in the data set, the model has {classes} classes")
        finite[start : start + count] = np.isfinite(scores).all(axis=1)
        predictions[start : start + count] = scores.argmax(axis=1)
        start += count
    right = int(((predictions == data.labels) & finite).sum())
    interval = statistics.wilson_interval(right, len(data), spec.confidence)
    return pb.AccuracyResult(
        top1=figures.measured(right / len(data), len(data), interval),
        samples=len(data),
        non_finite=int((~finite).sum()),
        predictions=write_artifact(output_dir, predictions.astype("<i4"), PREDICTIONS, "predictions"),
    )
