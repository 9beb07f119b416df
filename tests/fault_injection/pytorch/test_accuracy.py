"""Accuracy of torch networks under faults."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fault_injection.errors import FaultError
from fault_injection.models import parse
from fault_injection.plan import FaultPlan, Lifetime, Position
from fault_injection.pytorch import evaluate, find_sites, inject
from fault_injection.replay import FaultRecord
from tests.fault_injection.pytorch.networks import images, network

COUNT = 23
WEIGHTS, FEATURES = FaultPlan(parse("iBF(p=0.01)")), FaultPlan(parse("iBF(p=0.01)"), position=Position.AFTER_ACTIVATION)
PLANS = [
    WEIGHTS,
    FEATURES,
    replace(WEIGHTS, lifetime=Lifetime.TRANSIENT),
    replace(WEIGHTS, lifetime=Lifetime.INTERMITTENT, duty=0.4),
    replace(FEATURES, lifetime=Lifetime.PERMANENT),
    replace(FEATURES, lifetime=Lifetime.INTERMITTENT, duty=0.4),
]


def labels_of(module: nn.Module, batch: Tensor) -> Tensor:
    with torch.no_grad():
        labels = module(batch).argmax(1)
    labels[::4] = (labels[::4] + 1) % 7  # some that the clean network has wrong
    return labels


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.place.value}-{plan.lifetime.value}")
def test_batches_change_nothing(plan: FaultPlan) -> None:
    module, batch = network(), images(COUNT)
    sites, labels = find_sites(module, batch), labels_of(module, batch)
    results = [evaluate(sites, plan, [0, 7], batch, labels, size) for size in (5, 23)]
    assert np.array_equal(results[0].clean, results[1].clean)
    for one, other in zip(results[0].patterns, results[1].patterns, strict=True):
        assert one.faults == other.faults > 0
        assert one.digest == other.digest
        assert np.array_equal(one.right, other.right)
        assert (one.changed, one.critical, one.outside_top5) == (other.changed, other.critical, other.outside_top5)
    assert results[0].patterns[0].digest != results[0].patterns[1].digest


@pytest.mark.parametrize("plan", [WEIGHTS, FEATURES], ids=["weights", "features"])
def test_counts_are_those_of_a_run_by_hand(plan: FaultPlan) -> None:
    module, batch = network(), images(COUNT)
    sites, labels = find_sites(module, batch), labels_of(module, batch)
    result = evaluate(sites, plan, [3], batch, labels, 8)
    with torch.no_grad():
        clean = module(batch)
        with inject(sites, plan, 3, range(COUNT)) as injection:
            faulty = module(batch)
    (outcome,) = result.patterns
    golden, answers = clean.argmax(1), faulty.argmax(1)
    assert outcome.faults == injection.hits
    assert np.array_equal(result.clean, (golden == labels).numpy())
    assert np.array_equal(outcome.right, (answers == labels).numpy())
    assert outcome.changed == int((answers != golden).sum()) > 0
    assert outcome.critical == int(((golden == labels) & (answers != labels)).sum()) > 0
    best = clean.topk(5).indices
    assert outcome.outside_top5 == int((best != answers[:, None]).all(1).sum())
    assert outcome.accuracy == pytest.approx(float((answers == labels).float().mean()))
    assert np.array_equal(result.right_patterns, outcome.right.astype(int))


def test_scores_that_are_no_numbers_are_wrong() -> None:
    module, batch = network(), images(COUNT)
    sites, labels = find_sites(module, batch), labels_of(module, batch)
    plan = FaultPlan(parse("iBF32(p=0.2)"), bits=(23, 30))
    (outcome,) = evaluate(sites, plan, [0], batch, labels).patterns
    assert outcome.non_finite > 0
    assert outcome.right.sum() <= COUNT - outcome.non_finite


@pytest.mark.parametrize("plan", [WEIGHTS, FEATURES], ids=["weights", "features"])
def test_a_file_of_faults_gives_the_same_again(plan: FaultPlan) -> None:
    module, batch = network(), images(COUNT)
    sites, labels = find_sites(module, batch), labels_of(module, batch)
    expected = evaluate(sites, plan, [3], batch, labels, 8)
    with torch.no_grad(), inject(sites, plan, 3, range(COUNT)) as injection:
        module(batch)
    samples = COUNT if plan is FEATURES else 0
    record = FaultRecord(plan, "none", tuple(sites.select(plan)), samples, {3: injection.faults})
    got = evaluate(sites, plan, [3], batch, labels, 8, record=record)
    assert np.array_equal(got.patterns[0].right, expected.patterns[0].right)
    assert got.patterns[0].digest == expected.patterns[0].digest
    with pytest.raises(FaultError, match="another plan"):
        evaluate(sites, replace(plan, seed=1), [3], batch, labels, record=record)


def test_labels_must_fit() -> None:
    module = network()
    with pytest.raises(FaultError, match="5 images and 4 labels"):
        evaluate(find_sites(module, images()), WEIGHTS, [0], images(), torch.zeros(4, dtype=torch.int64))
