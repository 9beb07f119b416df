"""How often a model is right while it is broken, pattern by pattern.

pattern k:  put faults in ── run all samples ── compare with labels and with what the clean model says
looks at planned numbers of patterns: is the mean accuracy known as precisely as asked? Is there time left?
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Generator, List, Optional

import numpy as np

from device_agent.measure.accuracy import Answers, LabelledSamples
from device_agent.measure.artifacts import write_artifact
from device_agent.measure.faultplan import read_plan, read_precision, refused
from device_agent.measure.faulty import Patterns, Trial, break_model, together
from device_agent.measure.statistics import as_message
from device_agent.measure.tensors import invalid_data
from device_agent.measure.trials import Load, LocalTrials, drive
from device_agent.runtimes.base import LoadedModel
from fault_injection.errors import FaultError
from fault_injection.plan import FaultPlan
from fault_injection.replay import FaultRecord
from fault_injection.statistics import mean_over_patterns
from fault_injection.tflite import MalformedModelError
from protos import figures
from protos.contract import digest_of_bytes
from protos.gauntlet.v1 import fault_pb2, figure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

RIGHT_PATTERNS = "patterns/uint32"
_TOP = 5


def measure_faults(
    clean: LoadedModel,
    load: Load,
    content: bytes,
    message: fault_pb2.FaultPlan,
    clean_accuracy: figure_pb2.Figure,
    path: Path,
    output_dir: Path,
    record: Optional[Path] = None,
) -> pb.FaultResult:
    """Accuracy over fault patterns on this machine: see `fault_steps`.

    Args:
        clean: the model without faults, at the batch size that its accuracy was measured with.
        load: builds models from the content of a file.
        content: of the model's file.
        message: what to break, and how precisely to know the outcome.
        clean_accuracy: of the same samples without faults.
        path: data set with labels, see `protos.dataset`.
        output_dir: where files for the client go.
        record: file of faults, if the plan replays one.

    Raises:
        MeasurementError: as `fault_steps`, and what `load` raises.
    """
    samples = LabelledSamples(clean, path)
    batch = clean.inputs[0].shape[0]
    steps = fault_steps(content, message, clean_accuracy, len(samples), batch, output_dir, record)
    return drive(steps, LocalTrials(samples, load))


def fault_steps(
    content: bytes,
    message: fault_pb2.FaultPlan,
    clean_accuracy: figure_pb2.Figure,
    samples: int,
    batch: int,
    output_dir: Path,
    record: Optional[Path] = None,
    at_once: int = 1,
) -> Generator[List[Trial], List[Answers], pb.FaultResult]:
    """Accuracy over fault patterns, with Student's interval of the mean: the pattern is the statistical unit.

    Asks for trials and is sent their answers; runs no model itself.

    Args:
        content: of the model's file.
        message: what to break, and how precisely to know the outcome.
        clean_accuracy: of the same samples without faults.
        samples: how many there are.
        batch: samples to a call, as for the clean accuracy.
        output_dir: where files for the client go.
        record: file of faults, if the plan replays one.
        at_once: patterns whose trials are asked for side by side, at most.

    Raises:
        MeasurementError: invalid data where the plan or the data set makes no sense for this model, unsupported
            operation where this agent or the model cannot have such faults.
    """
    plan, precision = read_plan(message), read_precision(message)
    try:
        patterns = _patterns(record, plan, content, samples)
        faulty = break_model(content, plan, samples, batch, patterns)
        (golden,) = yield [Trial(content, batch, best=_TOP)]
        tally = _Tally(golden, pb.FaultResult(first_pattern=message.first_pattern, samples=samples))
        tally.result.sites.extend(site.name for site in faulty.sites)
        begun_s = time.monotonic()
        look = precision.next_look(0)
        stop = pb.PATTERN_STOP_CAP
        while tally.patterns < precision.most:
            # Never beyond a look: it may be the last.
            numbers = range(
                tally.patterns, min(tally.patterns + at_once, max(look, tally.patterns + 1), precision.most)
            )
            for broken in (yield from together([faulty.run(message.first_pattern + number) for number in numbers])):
                tally.add(broken.answers, broken.faults, broken.digest)
            if message.budget_s and time.monotonic() - begun_s >= message.budget_s:
                stop = pb.PATTERN_STOP_BUDGET
                break
            if tally.patterns == look:
                if precision.reached(tally.result.pattern_accuracies):
                    stop = pb.PATTERN_STOP_PRECISE
                    break
                look = precision.next_look(look)
    except (FaultError, MalformedModelError) as error:
        raise refused(error) from error
    return tally.finish(stop, message.confidence, clean_accuracy, output_dir)


def _patterns(record: Optional[Path], plan: FaultPlan, content: bytes, samples: int) -> Optional[Patterns]:
    if record is None:
        return None
    written = FaultRecord.from_bytes(record.read_bytes())
    if written.model_digest != digest_of_bytes(content):
        raise invalid_data("the file of faults belongs to another model", "give the model that its campaign broke")
    if written.plan.place is not plan.place or written.plan.lifetime is not plan.lifetime:
        raise invalid_data("the file of faults was drawn by another plan")
    if written.samples not in (0, samples):
        raise invalid_data(
            f"the file of faults covers {written.samples} samples, the data set has {samples}",
            "give the data set of its campaign",
        )
    return written.patterns


class _Tally:
    """Counts answers, pattern by pattern."""

    def __init__(self, golden: Answers, result: pb.FaultResult) -> None:
        assert golden.best is not None
        self._golden = golden
        self.result = result
        self._right_patterns = np.zeros(len(golden.predictions), "<u4")
        self._has_top = golden.best.shape[1] == _TOP and golden.best.max() >= _TOP
        self._top = golden.best

    @property
    def patterns(self) -> int:
        return len(self.result.pattern_accuracies)

    def add(self, answers: Answers, faults: int, digest: str) -> None:
        result, golden = self.result, self._golden
        changed = (answers.predictions != golden.predictions) | ~answers.finite
        self._right_patterns += answers.correct
        result.pattern_accuracies.append(answers.right / len(changed))
        result.fault_counts.append(faults)
        result.changed.append(int(changed.sum()))
        result.critical.append(int((golden.correct & ~answers.correct).sum()))
        if self._has_top:
            outside = (answers.predictions[:, None] != self._top).all(axis=1) | ~answers.finite
            result.outside_top5.append(int(outside.sum()))
        result.non_finite_samples.append(answers.non_finite)
        result.digests.append(digest)

    def finish(
        self, stop: pb.PatternStop, confidence: float, clean_accuracy: figure_pb2.Figure, output_dir: Path
    ) -> pb.FaultResult:
        result = self.result
        pairs = len(self._right_patterns) * self.patterns
        accuracy = mean_over_patterns(list(result.pattern_accuracies), confidence)
        interval = as_message(accuracy.interval)
        result.accuracy.CopyFrom(figures.measured(accuracy.value, self.patterns, interval))
        result.stop = stop
        result.non_finite.CopyFrom(figures.measured(sum(result.non_finite_samples) / pairs, pairs))
        result.clean_accuracy.CopyFrom(clean_accuracy)
        ref = write_artifact(output_dir, self._right_patterns, RIGHT_PATTERNS, "patterns right")
        result.right_patterns.CopyFrom(ref)
        return result
