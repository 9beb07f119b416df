"""Fault plans as they travel."""

from __future__ import annotations

import numpy as np

from fault_injection.campaign import Outcomes
from fault_injection.plan import FaultPlan, Lifetime, Position, Scale
from gauntlet.errors import LabError
from protos import figures
from protos.gauntlet.v1 import artifact_pb2, fault_pb2, measurement_pb2
from protos.inflate import inflate

_POSITIONS = {
    Position.WEIGHTS: fault_pb2.FAULT_SITE_WEIGHTS,
    Position.BEFORE_ACTIVATION: fault_pb2.FAULT_SITE_BEFORE_ACTIVATION,
    Position.AFTER_ACTIVATION: fault_pb2.FAULT_SITE_AFTER_ACTIVATION,
}
_SCALES = {
    Scale.DEPLOYED: fault_pb2.FAULT_SCALE_DEPLOYED,
    Scale.POWER_OF_TWO: fault_pb2.FAULT_SCALE_POWER_OF_TWO,
}
_LIFETIMES = {
    Lifetime.TRANSIENT: fault_pb2.FAULT_LIFETIME_TRANSIENT,
    Lifetime.PERMANENT: fault_pb2.FAULT_LIFETIME_PERMANENT,
    Lifetime.INTERMITTENT: fault_pb2.FAULT_LIFETIME_INTERMITTENT,
}
#: A device works no longer than about this on one job, so that a lost one costs little.
BUDGET_S = 20.0
#: A single pattern of a slow model may take longer.
_TIMEOUT_S = 900.0


def to_message(
    plan: FaultPlan, first_pattern: int, patterns: int, record: artifact_pb2.ArtifactRef | None = None
) -> fault_pb2.FaultPlan:
    """A run of patterns, as many as a job's time allows.

    Args:
        plan: what to break.
        first_pattern: its number.
        patterns: at most so many.
        record: inject what this file of faults says instead of drawing.
    """
    assert plan.position is not None
    assert plan.lifetime is not None
    message = fault_pb2.FaultPlan(
        fault_model=str(plan.model),
        site=_POSITIONS[plan.position],
        scale=_SCALES[plan.scale],
        targets=plan.targets,
        operations=plan.operations,
        lifetime=_LIFETIMES[plan.lifetime],
        duty=plan.duty,
        protected_bits=plan.protected,
        seed=plan.seed,
        half_width=0.0,
        confidence=0.95,
        min_patterns=patterns,
        max_patterns=patterns,
        first_pattern=first_pattern,
        budget_s=BUDGET_S,
        record=record,
    )
    if plan.bits is not None:
        message.lowest_bit, message.highest_bit = plan.bits
    return message


def specification(
    model: artifact_pb2.ArtifactRef,
    data: artifact_pb2.ArtifactRef,
    plan: fault_pb2.FaultPlan,
    *,
    runtime: str,
    threads: int,
    delegate: str,
    batch: int,
) -> measurement_pb2.MeasurementSpec:
    """Accuracy without faults and under those of a plan, and nothing else."""
    from orchestrator.client import specs

    return specs.measurement_spec(
        model,
        runtime=runtime,
        threads=threads,
        delegate=delegate,
        memory=False,
        energy=False,
        accuracy=specs.accuracy_spec(data, batch),
        fault_plan=plan,
        timeout_s=_TIMEOUT_S,
    )


def outcomes_of(result: measurement_pb2.FaultResult, right_patterns: bytes) -> Outcomes:
    """What a device reported.

    Args:
        result: of its patterns.
        right_patterns: content of the artifact of that name.

    Raises:
        LabError: the parts do not fit together.
    """
    clean = figures.value_of(result.clean_accuracy)
    try:
        counts = np.frombuffer(inflate(right_patterns, 4 * result.samples), "<u4").astype(np.int64)
    except ValueError as error:
        raise LabError(f"a device sent counts that do not read: {error}") from error
    patterns = len(result.pattern_accuracies)
    lists = (result.fault_counts, result.changed, result.critical, result.non_finite_samples, result.digests)
    if clean is None or len(counts) != result.samples or any(len(entry) != patterns for entry in lists):
        raise LabError("a device sent a result of faults whose parts do not fit together", "is its agent up to date?")
    return Outcomes(
        samples=result.samples,
        clean_accuracy=clean,
        accuracies=list(result.pattern_accuracies),
        faults=list(result.fault_counts),
        changed=list(result.changed),
        critical=list(result.critical),
        outside_top5=list(result.outside_top5) if len(result.outside_top5) == patterns else None,
        non_finite=list(result.non_finite_samples),
        digests=list(result.digests),
        right_patterns=counts,
    )
