"""A deployed model with faults in it: in its weights, or in its feature maps.

weights    pattern k ── draw ── patch a copy of the file ── build an interpreter ── all samples

features   instrument the graph once: every map passes through an operator with a fault tensor as run-time input
           pattern k ── for each batch: draw ── write to the fault tensors ── infer ── take them out again
                                          └── the next batch's, on another core, while this one infers

An interpreter is built anew for each pattern of weights: delegates keep packed copies of them, so that bytes written in
place would have no effect. All of it runs on the runtime and delegate of the specification, since int8 outputs are not
bit-identical between kernels.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable, List, Mapping, Optional, Protocol, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from device_agent.measure.accuracy import Answers, LabelledSamples
from device_agent.runtimes.base import LoadedModel
from fault_injection.drawing import draw_features, draw_weights, showing
from fault_injection.errors import NoSuchTargetError, UnsupportedModelError
from fault_injection.models import Place
from fault_injection.plan import FaultPlan, Lifetime
from fault_injection.space import Faults, Site, digest, fingerprint_of_features, hits, part_of_batch
from fault_injection.tflite.features import Carrier, carrier_of, instrument, no_fault, select_features
from fault_injection.tflite.weights import contents, find_weights, inject

#: Builds a model from the content of its file, for batches of a given size.
Load = Callable[[bytes, int], LoadedModel]
#: Faults of a pattern by its number, as a file has them.
Patterns = Mapping[int, Sequence[Faults]]

_LARGEST_BIAS = 127


@dataclass(frozen=True)
class Broken:
    """What a pattern did.

    Attributes:
        answers: of the faulty model.
        faults: how many were put in.
        digest: fingerprint of them.
    """

    answers: Answers
    faults: int
    digest: str


class FaultyModel(Protocol):
    """Breaks a model, pattern by pattern."""

    @property
    def sites(self) -> Sequence[Site]:
        """What the plan aims at."""

    def run(self, pattern: int) -> Broken:
        """Put in the faults of a pattern and run all samples."""


def break_model(
    content: bytes, plan: FaultPlan, samples: LabelledSamples, load: Load, batch: int, patterns: Optional[Patterns]
) -> FaultyModel:
    """Make a model ready to be broken.

    Args:
        content: of its file.
        plan: what to break.
        samples: to run.
        load: builds interpreters.
        batch: samples to a call.
        patterns: to inject as they are, instead of drawing them.

    Raises:
        FaultError: the plan does not fit the model.
        MalformedModelError: the file cannot be read.
    """
    kind = _FaultyWeights if plan.place is Place.WEIGHTS else _FaultyFeatures
    return kind(content, plan, samples, load, batch, patterns)


class _FaultyWeights:
    def __init__(
        self,
        content: bytes,
        plan: FaultPlan,
        samples: LabelledSamples,
        load: Load,
        batch: int,
        patterns: Optional[Patterns],
    ) -> None:
        self._content, self._plan, self._samples, self._load, self._batch = content, plan, samples, load, batch
        self._patterns = patterns
        self._weights = find_weights(content)
        self._bytes = contents(content, self._weights)
        self.sites = plan.select([weight.site for weight in self._weights])
        self._clean: Optional[Answers] = None
        if plan.lifetime is Lifetime.TRANSIENT and patterns is not None:
            raise UnsupportedModelError("transient faults of weights differ from sample to sample: no file holds them")

    def run(self, pattern: int) -> Broken:
        """See `FaultyModel.run`."""
        if self._plan.lifetime is Lifetime.TRANSIENT:
            return self._run_transient(pattern)
        faults = self._faults(pattern)
        answers = self._answers(faults, self._batch)
        if self._plan.lifetime is Lifetime.INTERMITTENT:
            if self._clean is None:
                self._clean = self._answers([], self._batch)
            answers = answers.where(showing(self._plan, pattern, range(len(self._samples))), self._clean)
        return Broken(answers, hits(faults), digest(faults))

    def _run_transient(self, pattern: int) -> Broken:
        """Each sample has weights, and so an interpreter, of its own."""
        parts: List[Answers] = []
        count, first = 0, ""
        for sample in range(len(self._samples)):
            faults = draw_weights(self._plan, self.sites, self._bytes, pattern, sample)
            first = first or digest(faults)
            count += hits(faults)
            model = self._load(inject(self._content, self._weights, faults), 1)
            parts.append(self._samples.classify(model, 1, slice(sample, sample + 1)))
        return Broken(Answers.joined(parts), count, first)

    def _faults(self, pattern: int) -> Sequence[Faults]:
        if self._patterns is not None:
            return _written(self._patterns, pattern)
        return draw_weights(self._plan, self.sites, self._bytes, pattern)

    def _answers(self, faults: Sequence[Faults], batch: int) -> Answers:
        model = self._load(inject(self._content, self._weights, faults), batch)
        return self._samples.classify(model, batch)


class _FaultyFeatures:
    def __init__(
        self,
        content: bytes,
        plan: FaultPlan,
        samples: LabelledSamples,
        load: Load,
        batch: int,
        patterns: Optional[Patterns],
    ) -> None:
        self._plan, self._samples, self._batch, self._patterns = plan, samples, batch, patterns
        self._features = select_features(content, plan)
        self.sites = [feature.site for feature in self._features]
        self._carrier = carrier_of(plan)
        instrumented = instrument(content, self._features, self._carrier)
        self._inputs = instrumented.inputs
        self._model = load(instrumented.data, batch)
        self._idle = {f.name: no_fault(f, self._carrier) for f in self._features}
        for feature in self._features:
            for place in self._inputs[feature.name]:
                self._model.fill_input(place, self._idle[feature.name])
        self._written: List[Tuple[str, NDArray[np.int64]]] = []

    def run(self, pattern: int) -> Broken:
        """See `FaultyModel.run`."""
        count, fingerprint = 0, ""
        total = len(self._samples)
        with ThreadPoolExecutor(1) as drawing:

            def draw(start: int) -> Future[Sequence[Faults]]:
                return drawing.submit(self._faults, pattern, range(start, min(start + self._batch, total)))

            drawn = draw(0)

            def prepare(start: int, size: int) -> None:
                nonlocal count, drawn, fingerprint
                faults = drawn.result()
                if start + size < total:
                    drawn = draw(start + size)
                if start == 0:
                    fingerprint = fingerprint_of_features(faults, self.sites)
                count += hits(faults)
                self._take_out()
                self._put_in(faults, showing(self._plan, pattern, range(start, start + size)))

            answers = self._samples.classify(self._model, self._batch, prepare=prepare)
        self._take_out()
        return Broken(answers, count, fingerprint)

    def _faults(self, pattern: int, numbers: range) -> Sequence[Faults]:
        if self._patterns is None:
            return draw_features(self._plan, self.sites, pattern, numbers)
        return part_of_batch(_written(self._patterns, pattern), self.sites, numbers.start, len(numbers))

    def _put_in(self, faults: Sequence[Faults], shown: NDArray[np.bool_]) -> None:
        sizes = {site.name: site.size for site in self.sites}
        for group in faults:
            elements, operands = group.elements, group.operands
            if not shown.all():
                kept = shown[elements // sizes[group.site]]
                elements, operands = elements[kept], operands[kept]
            places = self._inputs[group.site]
            if self._carrier is Carrier.SET:
                self._model.edit_input(places[0], elements, np.ones(len(elements), bool))
                self._model.edit_input(places[1], elements, operands)
            else:
                if self._carrier is Carrier.ADD:
                    # An 8-bit bias holds no +128.
                    operands = np.minimum(operands, _LARGEST_BIAS) + np.int16(self._idle[group.site])
                self._model.edit_input(places[0], elements, operands)
            self._written.append((group.site, elements))

    def _take_out(self) -> None:
        for name, elements in self._written:
            idle = np.full(len(elements), self._idle[name], np.int16)
            self._model.edit_input(self._inputs[name][0], elements, idle)
        self._written.clear()


def _written(patterns: Patterns, pattern: int) -> Sequence[Faults]:
    if pattern not in patterns:
        have = ", ".join(str(number) for number in sorted(patterns)[:5]) or "none"
        raise NoSuchTargetError(f"the file of faults has no pattern {pattern}; it has: {have}")
    return patterns[pattern]
