"""A deployed model with faults in it, in its weights or in its feature maps: what to run, not how.

weights    pattern k ── draw ── patch a copy of the file ──▶ trial: the file, all samples

features   instrument the graph once: every map passes through an operator with a fault tensor as run-time input
           pattern k ──▶ trial: that file, all samples, and for each batch what its fault tensors hold

A trial is answered by whoever can run models (`trials` does on this machine, `bridge` on a phone), so that the faults
of a pattern are the same everywhere. An interpreter is built anew for each pattern of weights: delegates keep packed
copies of them, so that bytes written in place would have no effect. All of it runs on the runtime and delegate of the
specification, since int8 outputs are not bit-identical between kernels.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Generator, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from device_agent.measure.accuracy import Answers
from fault_injection.drawing import draw_features, draw_weights, showing
from fault_injection.errors import NoSuchTargetError, UnsupportedModelError
from fault_injection.models import Place
from fault_injection.plan import FaultPlan, Lifetime
from fault_injection.space import Faults, Site, digest, fingerprint_of_features, hits, part_of_batch
from fault_injection.tflite.features import Carrier, FeatureTensor, carrier_of, instrument, no_fault, select_features
from fault_injection.tflite.weights import contents, find_weights, inject

#: Faults of a pattern by its number, as a file has them.
Patterns = Mapping[int, Sequence[Faults]]

_LARGEST_BIAS = 127


class Edit(NamedTuple):
    """Elements of an input that hold something else than the rest of it.

    Attributes:
        place: of the input, counted as the file has them.
        elements: numbers through the flattened tensor, batch included.
        values: for each of them, as wide as the input's or wider.
    """

    place: int
    elements: NDArray[np.integer[Any]]
    values: NDArray[np.generic]


@dataclass(frozen=True)
class Trial:
    """A model's file, and what to run it with.

    Attributes:
        content: of the file. Trials that can share an interpreter share this object.
        batch: samples to a call.
        part: which samples; all if left out.
        best: how many of the best classes to name; 0: none but the prediction.
        idle: what fills the inputs that are none of the clean model's, by their places, in their types.
        edits: what these hold beside, for an inference with the samples from the first number on, as many as the
            second. Asked for in the order of the samples. None: the file is run as it is.
    """

    content: bytes
    batch: int
    part: slice = field(default_factory=lambda: slice(None))
    best: int = 0
    idle: Mapping[int, np.generic] = field(default_factory=dict)
    edits: Optional[Callable[[int, int], Sequence[Edit]]] = None


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


#: Asks for trials, one after another, is sent the answers, and returns what the faults did.
Breaking = Generator[Trial, Answers, Broken]


class FaultyModel(Protocol):
    """Breaks a model, pattern by pattern."""

    @property
    def sites(self) -> Sequence[Site]:
        """What the plan aims at."""

    def run(self, pattern: int) -> Breaking:
        """Put in the faults of a pattern and run all samples."""


def break_model(
    content: bytes, plan: FaultPlan, samples: int, batch: int, patterns: Optional[Patterns] = None
) -> FaultyModel:
    """Make a model ready to be broken.

    Args:
        content: of its file.
        plan: what to break.
        samples: how many there are.
        batch: samples to a call.
        patterns: to inject as they are, instead of drawing them.

    Raises:
        FaultError: the plan does not fit the model.
        MalformedModelError: the file cannot be read.
    """
    kind = _FaultyWeights if plan.place is Place.WEIGHTS else _FaultyFeatures
    return kind(content, plan, samples, batch, patterns)


def together(breakings: Sequence[Breaking]) -> Generator[List[Trial], List[Answers], List[Broken]]:
    """Several patterns side by side: each time the trials that all of them wait for, for whoever answers many at once.

    Returns:
        What each of them did.
    """
    waiting: Dict[int, Trial] = {}
    broken: Dict[int, Broken] = {}

    def go_on(number: int, answers: Optional[Answers]) -> None:
        waiting.pop(number, None)
        try:
            waiting[number] = breakings[number].send(answers) if answers is not None else next(breakings[number])
        except StopIteration as end:
            broken[number] = end.value

    for number in range(len(breakings)):
        go_on(number, None)
    while waiting:
        numbers = sorted(waiting)
        answers = yield [waiting[number] for number in numbers]
        for number, given in zip(numbers, answers):
            go_on(number, given)
    return [broken[number] for number in range(len(breakings))]


class _FaultyWeights:
    def __init__(self, content: bytes, plan: FaultPlan, samples: int, batch: int, patterns: Optional[Patterns]) -> None:
        self._content, self._plan, self._samples, self._batch = content, plan, samples, batch
        self._patterns = patterns
        self._weights = find_weights(content)
        self._bytes = contents(content, self._weights)
        self.sites = plan.select([weight.site for weight in self._weights])
        self._clean: Optional[Answers] = None
        if plan.lifetime is Lifetime.TRANSIENT and patterns is not None:
            raise UnsupportedModelError("transient faults of weights differ from sample to sample: no file holds them")

    def run(self, pattern: int) -> Breaking:
        """See `FaultyModel.run`."""
        if self._plan.lifetime is Lifetime.TRANSIENT:
            return (yield from self._run_transient(pattern))
        faults = self._faults(pattern)
        answers = yield Trial(inject(self._content, self._weights, faults), self._batch)
        if self._plan.lifetime is Lifetime.INTERMITTENT:
            if self._clean is None:
                self._clean = yield Trial(self._content, self._batch)
            answers = answers.where(showing(self._plan, pattern, range(self._samples)), self._clean)
        return Broken(answers, hits(faults), digest(faults))

    def _run_transient(self, pattern: int) -> Breaking:
        """Each sample has weights, and so an interpreter, of its own."""
        parts: List[Answers] = []
        count, first = 0, ""
        for sample in range(self._samples):
            faults = draw_weights(self._plan, self.sites, self._bytes, pattern, sample)
            first = first or digest(faults)
            count += hits(faults)
            content = inject(self._content, self._weights, faults)
            parts.append((yield Trial(content, 1, slice(sample, sample + 1))))
        return Broken(Answers.joined(parts), count, first)

    def _faults(self, pattern: int) -> Sequence[Faults]:
        if self._patterns is not None:
            return _written(self._patterns, pattern)
        return draw_weights(self._plan, self.sites, self._bytes, pattern)


class _FaultyFeatures:
    def __init__(self, content: bytes, plan: FaultPlan, samples: int, batch: int, patterns: Optional[Patterns]) -> None:
        self._plan, self._samples, self._batch, self._patterns = plan, samples, batch, patterns
        features = select_features(content, plan)
        self.sites = [feature.site for feature in features]
        self._carrier = carrier_of(plan)
        instrumented = instrument(content, features, self._carrier)
        self._content, self._inputs = instrumented.data, instrumented.inputs
        self._idle: Dict[int, np.generic] = {
            place: np.dtype(dtype).type(no_fault(feature, self._carrier))
            for feature in features
            for place, dtype in zip(self._inputs[feature.name], _types(feature, self._carrier))
        }

    def run(self, pattern: int) -> Breaking:
        """See `FaultyModel.run`."""
        count, fingerprint = 0, ""
        # The next batch's faults are drawn on another core while this one's are run.
        with ThreadPoolExecutor(1) as drawing:

            def draw(start: int) -> Future[Sequence[Faults]]:
                return drawing.submit(self._faults, pattern, range(start, min(start + self._batch, self._samples)))

            drawn = draw(0)
            drawn.result()  # what cannot be drawn is found out here, not by whoever runs the trial

            def edits(start: int, size: int) -> Sequence[Edit]:
                nonlocal count, drawn, fingerprint
                faults = drawn.result()
                if start + size < self._samples:
                    drawn = draw(start + size)
                if start == 0:
                    fingerprint = fingerprint_of_features(faults, self.sites)
                count += hits(faults)
                return self._edits(faults, showing(self._plan, pattern, range(start, start + size)))

            answers = yield Trial(self._content, self._batch, idle=self._idle, edits=edits)
        return Broken(answers, count, fingerprint)

    def _faults(self, pattern: int, numbers: range) -> Sequence[Faults]:
        if self._patterns is None:
            return draw_features(self._plan, self.sites, pattern, numbers)
        return part_of_batch(_written(self._patterns, pattern), self.sites, numbers.start, len(numbers))

    def _edits(self, faults: Sequence[Faults], shown: NDArray[np.bool_]) -> List[Edit]:
        sizes = {site.name: site.size for site in self.sites}
        edits: List[Edit] = []
        for group in faults:
            elements, operands = group.elements, group.operands
            if not shown.all():
                kept = shown[elements // sizes[group.site]]
                elements, operands = elements[kept], operands[kept]
            places = self._inputs[group.site]
            if self._carrier is Carrier.SET:
                edits.append(Edit(places[0], elements, np.ones(len(elements), bool)))
                edits.append(Edit(places[1], elements, operands))
                continue
            if self._carrier is Carrier.ADD:
                # An 8-bit bias holds no +128.
                operands = np.minimum(operands, _LARGEST_BIAS) + self._idle[places[0]].astype(np.int16)
            edits.append(Edit(places[0], elements, operands))
        return edits


def _types(feature: FeatureTensor, carrier: Carrier) -> Tuple[str, ...]:
    """Of a site's fault tensors, see `Carrier`."""
    if carrier is Carrier.SET:
        return "bool", feature.dtype
    return ("int32" if carrier is Carrier.FLIP and feature.dtype == "float32" else feature.dtype,)


def _written(patterns: Patterns, pattern: int) -> Sequence[Faults]:
    if pattern not in patterns:
        have = ", ".join(str(number) for number in sorted(patterns)[:5]) or "none"
        raise NoSuchTargetError(f"the file of faults has no pattern {pattern}; it has: {have}")
    return patterns[pattern]
