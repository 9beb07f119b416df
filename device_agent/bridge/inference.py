"""Samples through a model on the phone: outputs come back raw and are judged here, by the code that judges all of them.

A call to the phone costs some tenths of a second, so that as many trials as its memory takes go along in one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Awaitable, Callable, Dict, List, Sequence, Tuple

import numpy as np

from device_agent.bridge import runner
from device_agent.bridge.calls import DATA
from device_agent.bridge.runner import Blob, ModelOnPhone, Run
from device_agent.measure.accuracy import Answers, LabelledSamples
from device_agent.measure.faulty import Edit, Trial
from device_agent.measure.tensors import Array, alike, invalid_data, numpy_type
from device_agent.runtimes.base import Tensor

#: Runs the samples of a call, and tells for each run how many went into an inference, and all outputs, raw.
Invoke = Callable[[Sequence[Run], bytes], Awaitable[Tuple[List[int], bytes]]]
#: Models and edits of a call, and outputs: a phone with 2 GiB has as much to spare for a moment.
_MOST_BYTES = 64 * 1024**2
_MOST_TRIALS = 32


@dataclass
class _Data:
    """What goes along with a call; equal pieces once."""

    content: bytearray = field(default_factory=bytearray)
    #: By their identity, which they keep for as long as they are here.
    known: Dict[int, Tuple[bytes, Blob]] = field(default_factory=dict)

    def add(self, piece: bytes) -> Blob:
        """Where it lies."""
        if id(piece) not in self.known:
            self.known[id(piece)] = piece, Blob(DATA, len(self.content), len(piece))
            self.content += piece
        return self.known[id(piece)][1]


class Samples:
    """Samples on the phone, and the model that they are for.

    Args:
        model: as the runner sees it.
        file: of the model, on the phone.
        arrays: one for each input, shape (n, …), as the model takes them.
        inputs: the same on the phone.
        invoke: runs them.
    """

    def __init__(
        self, model: ModelOnPhone, file: Blob, arrays: Sequence[Array], inputs: Sequence[Blob], invoke: Invoke
    ) -> None:
        self._model = model
        self._file = file
        self._length = len(arrays[0])
        self._inputs = inputs
        self._invoke = invoke

    async def run_all(self, wished: int) -> Tuple[int, List[Array]]:
        """Run all samples, several to a call where the model allows it: as `tensors.BatchRunner` settles it.

        Args:
            wished: samples to a call.

        Returns:
            How many it took, and each output, shape (n, …).
        """
        own = {tensor.shape[0] if tensor.shape else 0 for tensor in self._model.inputs}
        if len(own) != 1 or 0 in own:
            raise invalid_data("the inputs of this model have no common first dimension for samples")
        size, wished = own.pop(), max(1, min(wished, self._length))
        if size != 1 or wished == 1:
            return size, (await self._run([self._clean(size, self._length)]))[1][0]
        # A graph may accept a larger batch and still mix its samples up.
        runs = [self._clean(wished, self._length), self._clean(1, wished)]
        batches, (together, alone) = await self._run(runs)
        if batches[0] == 1:
            return 1, together
        same = batches[0] == wished and all(
            alike(a[place], b[place]) for a, b in zip(alone, together) for place in range(wished)
        )
        return (wished, together) if same else (1, (await self._run([self._clean(1, self._length)]))[1][0])

    async def answers(self, trials: Sequence[Trial], samples: LabelledSamples) -> List[Answers]:
        """What broken models make of the samples.

        Args:
            trials: see `faulty.Trial`.
            samples: with their labels.

        Raises:
            MeasurementError: what became of the runner instead.
        """
        answers: List[Answers] = []
        data, runs = _Data(), []
        for number, trial in enumerate(trials, 1):
            # Faults are drawn here, which takes a while: other phones are attended to meanwhile.
            runs.append(await asyncio.to_thread(self._broken, trial, data))
            if len(data.content) < _MOST_BYTES and number < len(trials):
                continue
            batches, outputs = await self._run(runs, bytes(data.content))
            if batches != [run.batch for run in runs]:
                raise runner.broken(f"it ran batches of {batches}, {[run.batch for run in runs]} were asked for")
            for asked, output in zip(trials[len(answers) :], outputs):
                tensor = self._model.outputs[0]
                answers.append(await asyncio.to_thread(samples.judge, tensor, output[0], asked.part, asked.best))
            data, runs = _Data(), []
        return answers

    def at_once(self, content: bytes) -> int:
        """How many patterns go along in a call."""
        outputs = sum(_sample_bytes(tensor) for tensor in self._model.outputs) * self._length
        return max(1, min(_MOST_TRIALS, _MOST_BYTES // (len(content) + outputs)))

    def _clean(self, batch: int, samples: int) -> Run:
        return Run(self._file, batch, 0, samples, self._inputs, {})

    def _broken(self, trial: Trial, data: _Data) -> Run:
        first, end, _ = trial.part.indices(self._length)
        model = data.add(trial.content)
        run = Run(model, trial.batch, first, end - first, self._inputs, trial.idle)
        if trial.edits is None:
            return run
        edits = data.add(_all_edits(trial, first, end))
        return Run(model, trial.batch, first, end - first, self._inputs, trial.idle, edits)

    async def _run(self, runs: Sequence[Run], data: bytes = b"") -> Tuple[List[int], List[List[Array]]]:
        """Batches and outputs of each run."""
        batches, content = await self._invoke(runs, data)
        outputs: List[List[Array]] = []
        at = 0
        for run in runs:
            outputs.append([])
            for tensor in self._model.outputs:
                size = _sample_bytes(tensor) * run.samples
                piece = content[at : at + size]
                if len(piece) < size:
                    raise runner.broken(f"its outputs hold {len(content)} bytes, which is too few")
                dtype = numpy_type(tensor).newbyteorder("<")
                outputs[-1].append(np.frombuffer(piece, dtype).reshape(run.samples, *tensor.shape[1:]))
                at += size
        if at != len(content):
            raise runner.broken(f"its outputs hold {len(content)} bytes, {at} were expected")
        return batches, outputs


def _sample_bytes(tensor: Tensor) -> int:
    return int(np.prod(tensor.shape[1:], dtype=np.int64)) * numpy_type(tensor).itemsize


def _all_edits(trial: Trial, first: int, end: int) -> bytes:
    """Those of all inferences: before the faults of a batch are written, those of the one before are taken out."""
    assert trial.edits is not None
    records: List[bytes] = []
    put_in: Sequence[Edit] = ()
    for call, start in enumerate(range(first, end, trial.batch)):
        edits = trial.edits(start - first, min(trial.batch, end - start))
        for edit in put_in:
            idle = np.full(len(edit.elements), trial.idle[edit.place])
            records.append(runner.edit_record(call, edit.place, edit.elements, idle))
        for edit in edits:
            values = edit.values.astype(trial.idle[edit.place].dtype)
            records.append(runner.edit_record(call, edit.place, edit.elements, values))
        put_in = edits
    return b"".join(records)
