"""Whether a supernet ranks networks as training them one by one would.

::

    sample of the space ──▶ inherited weights ──▶ judged ─────────────────────┐
             └────────────▶ trained alone, seed by seed, in an executor ──▶ judged ──▶ statistics (`rank_quality`)

Both are judged on validation images, without faults and under fault conditions. Patterns of faults differ from one
training to the next and from those of inherited weights: equal ones would make equal luck look like agreement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from fault_injection.precision import student_t_quantile
from search.data import Data, Split
from search.errors import SearchError
from search.spaces import Architecture
from search.spaces.base import Space
from search.supernet.accuracy import FaultyAccuracy, evaluate, evaluate_under
from search.supernet.audit_plan import CLEAN, AuditPlan, quantity_of, sample_networks
from search.supernet.audit_training import train_sample
from search.supernet.errors import TrainingDivergedError
from search.supernet.rank_quality import AuditedSubnet, RankQuality, rank_quality
from search.supernet.standalone import DataSource
from search.timed_windows import outside_timed_windows


@dataclass(frozen=True)
class Effort:
    """What an audit took.

    Attributes:
        trainings: alone.
        epochs: of each.
        cpu_s: processor seconds of all of them, judging included.
        training_images: that they learned from.
        validation_images: that accuracies were counted on.
        fault_images: under each pattern; 0 without fault conditions.
        patterns: of faults; 0 without.
    """

    trainings: int
    epochs: int
    cpu_s: float
    training_images: int
    validation_images: int
    fault_images: int
    patterns: int


@dataclass(frozen=True)
class Audit:
    """How well inherited accuracy ranks.

    Attributes:
        subnets: the networks that were compared.
        rankings: without faults first, then under each condition.
        effort: what it took.
        asked: networks that were to be compared; the budget may have ended it before.
        missing: why a fault condition was left out, by condition.
        failed: why a network was left out, by the text of its architecture.
    """

    subnets: tuple[AuditedSubnet, ...]
    rankings: tuple[RankQuality, ...]
    effort: Effort
    asked: int
    missing: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def audit(
    space: Space,
    inherit: Callable[[Architecture], nn.Module],
    source: DataSource,
    plan: AuditPlan,
    *,
    workers: int = 0,
    memory: MutableMapping[str, Any] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Audit:
    """Train a random sample of networks alone, and compare.

    Args:
        space: of the supernet.
        inherit: makes a network with its inherited weights, ready to be judged; it sees to timed windows itself.
        source: of the images; networks are compared on the validation part.
        plan: what, and for what effort.
        workers: processes that train; 0: this one.
        memory: what earlier audits found, as plain data; grows with each training, and is looked into before it.
        progress: called with what is being done ("inherited" or "alone"), how often it was done, and how often it will
            be; may raise to break off.

    Raises:
        SearchError: the space holds fewer networks than asked for, or no network could be trained.
        DataError: the images cannot be read.
    """
    sample, data = sample_networks(space, plan.subnets, plan.seed), source.load()
    report = progress or (lambda stage, done, total: None)
    inherited = _judge_inherited(sample, inherit, data, plan, report)
    accuracies, conditions = inherited.accuracies, [c for c in plan.conditions if c not in inherited.missing]
    alone, diverged, cpu_s = train_sample(
        list(accuracies), space, source, data, plan, conditions, workers, memory, report
    )
    failed = inherited.failed | diverged
    subnets = [
        AuditedSubnet(
            architecture,
            space.macs(architecture),
            accuracies[architecture],
            {name: tuple(found[name] for found in trained) for name in accuracies[architecture]},
        )
        for architecture, trained in alone.items()
    ]
    if not subnets:
        raise _none_trained(failed)
    return Audit(
        subnets=tuple(subnets),
        rankings=tuple(rank_quality(subnets, name, error) for name, error in inherited.errors.items()),
        effort=Effort(
            trainings=len(subnets) * plan.seeds,
            epochs=plan.settings.epochs,
            cpu_s=cpu_s,
            training_images=len(data.train),
            validation_images=len(data.validation),
            fault_images=len(_images(data, plan)) if conditions else 0,
            patterns=plan.patterns if conditions else 0,
        ),
        asked=plan.subnets,
        missing=inherited.missing,
        failed={architecture.text: why for architecture, why in failed.items()},
    )


@dataclass(frozen=True)
class _Inherited:
    """What inherited weights come to.

    Attributes:
        accuracies: by network and quantity.
        errors: standard error of a single one, by quantity.
        missing: why a condition cannot strike.
        failed: why a network cannot be judged.
    """

    accuracies: dict[Architecture, dict[str, float]]
    errors: dict[str, float]
    missing: dict[str, str]
    failed: dict[Architecture, str]


def _judge_inherited(
    sample: Sequence[Architecture],
    inherit: Callable[[Architecture], nn.Module],
    data: Data,
    plan: AuditPlan,
    report: Callable[[str, int, int], None],
) -> _Inherited:
    found = dict[Architecture, dict[str, float]]()
    faulty: dict[str, list[FaultyAccuracy]] = {condition: [] for condition in plan.conditions}
    missing, failed = dict[str, str](), dict[Architecture, str]()
    images = _images(data, plan)
    torch.set_num_threads(plan.settings.threads)
    report("inherited", 0, len(sample))
    for done, architecture in enumerate(sample, 1):
        try:
            network = inherit(architecture)
        except TrainingDivergedError as error:  # where candidates are trained on for some steps
            failed[architecture] = str(error)
            continue
        with outside_timed_windows():
            found[architecture] = {CLEAN: evaluate(network, data.validation).value}
        for condition in list(faulty):
            try:
                with outside_timed_windows():
                    under = evaluate_under(network, images, condition, seed=plan.fault_seed, patterns=plan.patterns)
            except SearchError as error:
                missing[condition] = error.message
                del faulty[condition]
                continue
            faulty[condition].append(under)
            found[architecture][quantity_of(condition)] = under.mean
        report("inherited", done, len(sample))
    if not found:
        raise _none_trained(failed)
    errors = {CLEAN: _error_of_images(found, CLEAN, len(data.validation))}
    for condition, under_it in faulty.items():
        name = quantity_of(condition)
        errors[name] = math.hypot(_error_of_images(found, name, len(images)), _error_of_patterns(under_it))
    accuracies = {a: {name: by_name[name] for name in errors} for a, by_name in found.items()}
    return _Inherited(accuracies, errors, missing, failed)


def _images(data: Data, plan: AuditPlan) -> Split:
    """Those under each pattern of faults."""
    return data.validation if plan.images is None else data.validation.head(plan.images)


def _none_trained(failed: Mapping[Architecture, str]) -> SearchError:
    why = next(iter(failed.values()), "the budget does not suffice for one")
    return SearchError(f"no network of the audit could be trained: {why}", "audit others, or for longer")


def _error_of_images(found: dict[Architecture, dict[str, float]], name: str, images: int) -> float:
    mean = float(np.mean([by_name[name] for by_name in found.values()]))
    return math.sqrt(mean * (1 - mean) / images)


def _error_of_patterns(found: Sequence[FaultyAccuracy]) -> float:
    quantile = student_t_quantile(0.975, found[0].patterns - 1)
    return float(np.sqrt(np.mean([((one.high - one.low) / 2 / quantile) ** 2 for one in found])))
