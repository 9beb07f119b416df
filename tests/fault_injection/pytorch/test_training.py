"""Gradients through faults, compared with dense masks, and training that goes on where it ended."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from fault_injection.models import parse
from fault_injection.plan import FaultPlan, Position, Scale
from fault_injection.pytorch import FaultTolerantLoss, Injector, find_sites, inject
from search.spaces import MobileSpace
from search.supernet.elastic import Supernet
from tests.fault_injection.pytorch.networks import dense_features, dense_mask, images, network, weight_places

LABELS = torch.tensor([0, 1, 2, 3, 4])
WEIGHTS = FaultPlan(parse("adSAF(p=0.2)"), seed=2)
FEATURES = FaultPlan(parse("MiBB(p_m=0.02)"), position=Position.BEFORE_ACTIVATION, scale=Scale.POWER_OF_TWO, seed=2)


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


class Hit(torch.autograd.Function):
    """The dense reference: values under a mask are replaced, and their gradient is zero."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, mask: Tensor, faulty: Tensor) -> Tensor:
        ctx.save_for_backward(mask)
        return torch.where(mask, faulty, values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return torch.where(ctx.saved_tensors[0], torch.zeros(()), gradients[0]), None, None


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_gradients_through_faulty_features_are_those_of_dense_masks(memory: torch.memory_format) -> None:
    module, batch = network().train().to(memory_format=memory), images()
    sites, reference = find_sites(module, batch), copy.deepcopy(module)
    with inject(sites, FEATURES, 3) as injection:
        F.cross_entropy(module(batch), LABELS).backward()
    faults = {group.site: group for group in injection.faults}
    codings = {layer.link.feature: sites.feature_coding(layer, FEATURES) for layer in sites.layers}

    def hit(name: str, values: Tensor) -> Tensor:
        scale = codings[name].scale
        assert isinstance(scale, float)
        faulty = dense_features(values.detach(), faults[name], scale, 0, 128)
        return Hit.apply(values, dense_mask(faults[name], values), faulty)

    m = reference
    x = F.relu(hit("first", m.norm(m.first(batch))))
    x = m.relu6(hit("depthwise", m.depthwise(x)))
    x = F.relu(hit("grouped", m.grouped(x)) + x)
    F.cross_entropy(hit("dense", m.dense(torch.flatten(x, 1))), LABELS).backward()
    for name, gradient in gradients(reference).items():
        torch.testing.assert_close(gradients(module)[name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_gradients_through_faulty_weights_are_those_of_dense_masks(memory: torch.memory_format) -> None:
    module, batch = network().to(memory_format=memory), images()
    sites, reference = find_sites(module, batch), copy.deepcopy(module)
    with torch.no_grad(), inject(sites, WEIGHTS, 3) as injection:
        reference.load_state_dict(module.state_dict())  # with the faults in it
    with inject(sites, WEIGHTS, 3):
        F.cross_entropy(module(batch), LABELS).backward()
    F.cross_entropy(reference(batch), LABELS).backward()
    expected = gradients(reference)
    for group in injection.faults:
        expected[sites.weights[group.site].parameter][weight_places(sites, group)] = 0
    assert sum(len(group) for group in injection.faults) > 50
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients(module)[name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("plan", [WEIGHTS, FEATURES])
def test_the_loss_mixes_both_passes_and_each_gives_its_gradient(plan: FaultPlan) -> None:
    module, batch = network().train(), images()
    sites, alpha = find_sites(module, batch), 0.3
    losses = FaultTolerantLoss(sites, plan, alpha)(batch, LABELS, step=4)
    losses.total.backward()
    got = gradients(module)
    clean_only, faulty_only = [], []
    for kept, wanted in ((clean_only, 0.0), (faulty_only, 1.0)):
        module.zero_grad()
        FaultTolerantLoss(sites, plan, wanted)(batch, LABELS, step=4).total.backward()
        kept.append(gradients(module))
    assert losses.total.item() == pytest.approx(0.7 * losses.clean.item() + 0.3 * losses.faulty.item(), rel=1e-5)
    assert losses.hits > 0
    assert losses.clean.item() != losses.faulty.item()
    for name, gradient in got.items():
        expected = 0.7 * clean_only[0][name] + 0.3 * faulty_only[0][name]
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("plan", [WEIGHTS, FEATURES])
def test_running_statistics_follow_the_clean_pass_alone(plan: FaultPlan) -> None:
    module, batch = network().train(), images()
    sites, reference = find_sites(module, batch), copy.deepcopy(module)
    FaultTolerantLoss(sites, plan, 0.5)(batch, LABELS, step=0).total.backward()
    reference(batch)
    for (name, got), expected in zip(module.named_buffers(), reference.buffers(), strict=True):
        assert torch.equal(got, expected), name


@pytest.mark.parametrize("plan", [WEIGHTS, FEATURES])
def test_a_training_that_is_resumed_goes_on_exactly(plan: FaultPlan) -> None:
    def train(module: nn.Module, steps: range) -> list[float]:
        loss = FaultTolerantLoss(find_sites(module, images()), plan, 0.5)
        optimizer = torch.optim.SGD(module.parameters(), 0.05)
        found = []
        for step in steps:
            optimizer.zero_grad()
            losses = loss(images(seed=step), LABELS, step)
            losses.total.backward()
            optimizer.step()
            found.append(losses.total.item())
        return found

    whole, parts = network().train(), network().train()
    expected = train(whole, range(6))
    got = train(parts, range(3))
    resumed = network(seed=9).train()
    resumed.load_state_dict(parts.state_dict())
    assert got + train(resumed, range(3, 6)) == expected
    assert len(set(expected)) == 6


def test_scales_follow_the_batch_where_powers_of_two_are_trained_with() -> None:
    module, plan = network(), replace(FEATURES, targets=("first",))
    stale, fresh = (find_sites(module, images() * factor) for factor in (1e-3, 1))
    outputs = []
    for injector in (Injector(stale, plan, follow_ranges=True), Injector(fresh, plan), Injector(stale, plan)):
        with torch.no_grad(), injector.inject(0):
            outputs.append(module(images()))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_alpha_is_a_share() -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        FaultTolerantLoss(find_sites(network(), images()), WEIGHTS, 1.5)


@pytest.mark.parametrize("plan", [WEIGHTS, FEATURES])
def test_an_elastic_network_is_broken_where_its_architecture_goes(plan: FaultPlan) -> None:
    space = MobileSpace((3, 8, 8), 5)
    supernet = Supernet(space, seed=0)
    architecture = space.sample(np.random.default_rng(0))
    batch = torch.randn(6, *space.image_shape, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6) % space.classes

    def forward(x: Tensor) -> Tensor:
        return supernet(x, architecture)

    sites = find_sites(supernet, batch, forward=forward)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    losses = FaultTolerantLoss(sites, plan, 0.5)(batch, labels, 1, forward)
    losses.total.backward()
    assert losses.hits > 0
    assert losses.faulty.item() != losses.clean.item()
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())
    assert all(torch.isfinite(p.grad).all() for p in supernet.parameters() if p.grad is not None)
    # Faults in place and faults that autograd knows about are the same.
    with torch.no_grad(), Injector(sites, plan, follow_ranges=plan is FEATURES).inject(1):
        again = F.cross_entropy(forward(batch), labels)
    assert again.item() == pytest.approx(losses.faulty.item(), rel=1e-4)
