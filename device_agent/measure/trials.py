"""Answers trials of a faulty model on this machine."""

from __future__ import annotations

from typing import Callable, Generator, List, Optional, Sequence, Tuple, TypeVar

import numpy as np

from device_agent.measure.accuracy import Answers, LabelledSamples
from device_agent.measure.faulty import Edit, Trial
from device_agent.runtimes.base import LoadedModel

#: Builds a model from the content of its file, for batches of a given size.
Load = Callable[[bytes, int], LoadedModel]
Returned = TypeVar("Returned")


class LocalTrials:
    """Runs trials one by one.

    Args:
        samples: that the trials are about.
        load: builds interpreters.
    """

    def __init__(self, samples: LabelledSamples, load: Load) -> None:
        self._samples = samples
        self._load = load
        self._kept: Optional[Tuple[Trial, LoadedModel]] = None

    def __call__(self, trial: Trial) -> Answers:
        """What the model makes of the samples."""
        if trial.edits is None:
            model = self._load(trial.content, trial.batch)
            return self._samples.classify(model, trial.batch, trial.part, trial.best)
        model, asked = self._ready(trial), trial.edits
        put_in: Sequence[Edit] = ()

        def prepare(start: int, size: int) -> None:
            nonlocal put_in
            edits = asked(start, size)
            _take_out(model, trial, put_in)
            put_in = edits
            for edit in edits:
                model.edit_input(*edit)

        try:
            return self._samples.classify(model, trial.batch, trial.part, trial.best, prepare)
        finally:
            _take_out(model, trial, put_in)

    def _ready(self, trial: Trial) -> LoadedModel:
        """An interpreter whose fault tensors hold no fault: the one before, if it has the same file."""
        if self._kept is not None and self._kept[0].content is trial.content:
            return self._kept[1]
        model = self._load(trial.content, trial.batch)
        for place, value in trial.idle.items():
            model.fill_input(place, value.item())
        self._kept = (trial, model)
        return model


def drive(asking: Generator[List[Trial], List[Answers], Returned], trials: Callable[[Trial], Answers]) -> Returned:
    """Answer all that is asked for, and return what comes of it."""
    answers: Optional[List[Answers]] = None
    while True:
        try:
            # What has not begun takes no answer yet.
            asked = asking.send(answers) if answers is not None else next(asking)
        except StopIteration as end:
            returned: Returned = end.value
            return returned
        answers = [trials(trial) for trial in asked]


def _take_out(model: LoadedModel, trial: Trial, put_in: Sequence[Edit]) -> None:
    for edit in put_in:
        model.edit_input(edit.place, edit.elements, np.full(len(edit.elements), trial.idle[edit.place]))
