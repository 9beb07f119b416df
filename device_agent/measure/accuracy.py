"""How often the model is right on a labelled data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Sequence

import numpy as np
from numpy.typing import NDArray

from device_agent.measure import statistics
from device_agent.measure.artifacts import write_artifact
from device_agent.measure.outputs import load_data
from device_agent.measure.tensors import Array, BatchRunner, invalid_data, load_arrays, real_valued
from device_agent.runtimes.base import Graph, LoadedModel, Tensor
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
    answers = LabelledSamples(model, path).classify(model, int(spec.batch_size))
    return summarise(answers, spec.confidence, output_dir)


def summarise(answers: Answers, confidence: float, output_dir: Path) -> pb.AccuracyResult:
    """The accuracy of what a model made of a whole data set.

    Args:
        answers: to all samples.
        confidence: of the interval, 0-1, exclusive.
        output_dir: where the predictions go.
    """
    samples = len(answers.predictions)
    interval = statistics.wilson_interval(answers.right, samples, confidence)
    return pb.AccuracyResult(
        top1=figures.measured(answers.right / samples, samples, interval),
        samples=samples,
        non_finite=answers.non_finite,
        predictions=write_artifact(output_dir, answers.predictions.astype("<i4"), PREDICTIONS, "predictions"),
    )


@dataclass(frozen=True)
class Answers:
    """What a model made of samples.

    Attributes:
        predictions: class of each sample, int32, shape (n,).
        correct: whether it is right, with finite scores, bool, shape (n,).
        finite: False where a sample gave NaN or infinity, bool, shape (n,).
        best: the best classes, best first, int32, shape (n, k); None unless asked for.
    """

    predictions: NDArray[np.int32]
    correct: NDArray[np.bool_]
    finite: NDArray[np.bool_]
    best: Optional[NDArray[np.int32]] = None

    @property
    def right(self) -> int:
        """How many are correct."""
        return int(self.correct.sum())

    @property
    def non_finite(self) -> int:
        """How many gave NaN or infinity; they count as wrong."""
        return int((~self.finite).sum())

    def where(self, condition: NDArray[np.bool_], other: Answers) -> Answers:
        """These where the condition holds, the other's elsewhere."""
        return Answers(
            np.where(condition, self.predictions, other.predictions),
            np.where(condition, self.correct, other.correct),
            np.where(condition, self.finite, other.finite),
        )

    @staticmethod
    def joined(parts: Sequence[Answers]) -> Answers:
        """Several, one after another."""
        best = [part.best for part in parts if part.best is not None]
        return Answers(
            np.concatenate([part.predictions for part in parts]),
            np.concatenate([part.correct for part in parts]),
            np.concatenate([part.finite for part in parts]),
            np.concatenate(best) if len(best) == len(parts) else None,
        )


class LabelledSamples:
    """A data set with labels, made fit for a model, and for others with equal inputs.

    Args:
        model: tells what inputs look like.
        path: data set, see `protos.dataset`.

    Attributes:
        inputs: one array for each input of the model, shape (n, …).

    Raises:
        MeasurementError: invalid data.
    """

    def __init__(self, model: Graph, path: Path) -> None:
        data = load_data(path, "data set")
        if data.labels is None:
            raise invalid_data("the data set has no labels, accuracy needs them")
        if len(model.outputs) != 1:
            raise invalid_data(f"accuracy needs one output of class scores, the model has {len(model.outputs)} outputs")
        self._labels = data.labels
        self._highest_label = int(data.labels.max())
        self.inputs = load_arrays(data.inputs, model.inputs)

    def __len__(self) -> int:
        return len(self._labels)

    def classify(
        self,
        model: LoadedModel,
        batch_size: int,
        part: slice = slice(None),
        best: int = 0,
        prepare: Optional[Callable[[int, int], None]] = None,
    ) -> Answers:
        """Run samples.

        Args:
            model: its batch size may be changed.
            batch_size: samples to a call, wished for.
            part: which of them; all if left out.
            best: how many of the best classes to name; 0: none but the prediction.
            prepare: called before each inference with the number of its first sample and how many there are.

        Raises:
            MeasurementError: invalid data where labels do not fit the model's classes.
        """
        length = len(self._labels[part])
        runner = BatchRunner(model, [array[part] for array in self.inputs], batch_size)
        tensor = model.outputs[0]
        judged: List[Answers] = []
        start = 0
        while start < length:
            if prepare is not None:
                prepare(start, min(runner.batch, length - start))
            count, outputs = runner(start)
            first = (part.start or 0) + start
            judged.append(self.judge(tensor, outputs[0], slice(first, first + count), best))
            start += count
        return Answers.joined(judged)

    def judge(self, tensor: Tensor, output: Array, part: slice = slice(None), best: int = 0) -> Answers:
        """Compare outputs with the labels.

        Args:
            tensor: the model's one output.
            output: of some samples, shape (n, …).
            part: which samples.
            best: as for `classify`.

        Raises:
            MeasurementError: invalid data where labels do not fit the model's classes.
        """
        labels = self._labels[part]
        scores = real_valued(tensor, output).reshape(len(labels), -1)
        self._check_classes(scores.shape[1])
        finite = np.asarray(np.isfinite(scores).all(axis=1))
        predictions = scores.argmax(axis=1).astype(np.int32)
        # Equal scores rank by the number of the class, as argmax has it.
        named = (-scores).argsort(axis=1, kind="stable")[:, :best].astype(np.int32) if best else None
        return Answers(predictions, (predictions == labels) & finite, finite, named)

    def _check_classes(self, classes: int) -> None:
        if classes < 2:
            raise invalid_data("accuracy needs at least two class scores a sample, the model has one")
        if self._highest_label >= classes:
            raise invalid_data(f"label {self._highest_label} in the data set, the model has {classes} classes")
