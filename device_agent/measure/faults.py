"""How often a model is right while its weights are broken.

    pattern k:  draw faults ── patch a copy of the file ── build an interpreter ── all samples
                (seed, k, tensor)                                                      │
    looks at planned numbers of patterns: is the mean known as precisely as asked? ◄───┘

The interpreter is built anew for each pattern: delegates keep packed copies of the weights, so that bytes written in
place would have no effect. It runs on the runtime and delegate of the specification, since int8 outputs are not
bit-identical between kernels; XNNPACK's samples, run several times as fast, outweigh its slower start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, List, Tuple

from device_agent.errors import MeasurementError
from device_agent.measure.accuracy import LabelledSamples
from device_agent.measure.tensors import invalid_data
from device_agent.runtimes.base import LoadedModel
from fault_injection.errors import FaultError, InvalidFaultModelError, NoSuchTargetError
from fault_injection.models import IndependentBitFlips, parse
from fault_injection.precision import Precision, mean_and_half_width
from fault_injection.tflite import MalformedModelError
from fault_injection.tflite.weights import WeightTensor, draw, find_weights, inject, select
from protos import figures
from protos.gauntlet.v1 import failure_pb2, fault_pb2, figure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

#: Builds a model from the content of its file, for batches of a given size.
Load = Callable[[bytes, int], LoadedModel]


def measure_faults(
    clean: LoadedModel,
    load: Load,
    content: bytes,
    plan: fault_pb2.FaultPlan,
    clean_accuracy: figure_pb2.Figure,
    path: Path,
) -> pb.FaultResult:
    """Mean accuracy over fault patterns, with Student's interval: the pattern is the statistical unit.

    Args:
        clean: the model without faults, at the batch size that its accuracy was measured with.
        load: used once for each pattern.
        content: of the model's file.
        plan: what to break, and how precisely to know the outcome.
        clean_accuracy: of the same samples without faults.
        path: data set with labels, see `protos.dataset`.

    Raises:
        MeasurementError: invalid data where the plan or the data set makes no sense for this model, unsupported
            operation where this agent or the model cannot have such faults.
    """
    precision = _precision(plan)
    fault_model, weights = _understand(plan, content)
    samples = LabelledSamples(clean, path)
    batch = clean.inputs[0].shape[0]
    accuracies: List[float] = []
    counts: List[int] = []
    non_finite = 0
    look = precision.next_look(0)
    stop = pb.PATTERN_STOP_CAP
    while len(accuracies) < precision.most:
        flips = draw(weights, fault_model, plan.seed, plan.first_pattern + len(accuracies))
        answers = samples.classify(load(inject(content, weights, flips), batch), batch)
        accuracies.append(answers.right / len(samples))
        counts.append(sum(map(len, flips)))
        non_finite += answers.non_finite
        if len(accuracies) == look:
            if precision.reached(accuracies):
                stop = pb.PATTERN_STOP_PRECISE
                break
            look = precision.next_look(look)
    pairs = len(samples) * len(accuracies)
    return pb.FaultResult(
        accuracy=_mean(accuracies, plan.confidence),
        pattern_accuracies=accuracies,
        fault_counts=counts,
        stop=stop,
        non_finite=figures.measured(non_finite / pairs, pairs),
        clean_accuracy=clean_accuracy,
    )


def _precision(plan: fault_pb2.FaultPlan) -> Precision:
    if not 0 < plan.confidence < 1:
        raise invalid_data(f"fault_plan.confidence must lie between 0 and 1, not {plan.confidence:g}")
    if not 2 <= plan.min_patterns <= plan.max_patterns:
        least, most = plan.min_patterns, plan.max_patterns
        raise invalid_data(f"a fault plan needs 2 <= min_patterns <= max_patterns, not {least} and {most}")
    return Precision(plan.half_width, plan.confidence, plan.min_patterns, plan.max_patterns)


def _understand(plan: fault_pb2.FaultPlan, content: bytes) -> Tuple[IndependentBitFlips, List[WeightTensor]]:
    if plan.site != fault_pb2.FAULT_SITE_WEIGHTS:
        raise _unsupported(
            f"this agent injects faults into weights only, not at {_word(fault_pb2.FaultSite, plan.site)}"
        )
    if plan.scale not in (fault_pb2.FAULT_SCALE_UNSPECIFIED, fault_pb2.FAULT_SCALE_DEPLOYED):
        raise _unsupported(f"this agent knows the deployed scale only, not {_word(fault_pb2.FaultScale, plan.scale)}")
    try:
        fault_model = parse(plan.fault_model)
        weights = select(find_weights(content), plan.targets)
    except (InvalidFaultModelError, NoSuchTargetError) as error:
        raise invalid_data(f"fault plan: {error}") from error
    except (FaultError, MalformedModelError) as error:
        raise _unsupported(f"fault plan: {error}") from error
    if not isinstance(fault_model, IndependentBitFlips):
        raise _unsupported(f"this agent cannot break weights by {fault_model.name}")
    return fault_model, weights


def _mean(accuracies: List[float], confidence: float) -> figure_pb2.Figure:
    mean, half_width = mean_and_half_width(accuracies, confidence)
    low, high = max(0.0, mean - half_width), min(1.0, mean + half_width)
    interval = figure_pb2.Interval(low=low, high=high, confidence=confidence, method="Student's t over patterns")
    return figures.measured(mean, len(accuracies), interval)


def _unsupported(message: str) -> MeasurementError:
    return MeasurementError(failure_pb2.FAILURE_KIND_UNSUPPORTED_OPERATION, message)


def _word(enum: Any, number: int) -> str:
    name: str = enum.Name(number) if number in enum.values() else str(number)
    return name.lower().replace("_", " ")
