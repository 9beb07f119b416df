"""Faults in running torch networks, compared with dense arithmetic, and what is left when they are over."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from fault_injection.errors import FaultError, NoSuchTargetError
from fault_injection.models import parse
from fault_injection.plan import FaultPlan, Lifetime, Position, Scale
from fault_injection.pytorch import Injector, find_sites, inject, replay
from fault_injection.replay import FaultRecord
from fault_injection.space import Effect, Faults, digest
from tests.fault_injection.pytorch.networks import (
    Mixed,
    channels_first,
    channels_last,
    dense_features,
    images,
    network,
    weight_places,
)

FORMATS = [torch.contiguous_format, torch.channels_last]
BEFORE, AFTER = Position.BEFORE_ACTIVATION, Position.AFTER_ACTIVATION


def bits_of(module: nn.Module) -> list[bytes]:
    return [value.contiguous().numpy().tobytes() for value in module.state_dict().values()]


def run(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        result: Tensor = module(x)
    return result


class Broken(nn.Module):
    """`Mixed` with dense faults at the named places."""

    def __init__(self, module: Mixed, change: Any) -> None:
        super().__init__()
        self.module, self.change = module, change

    def forward(self, x: Tensor) -> Tensor:
        m, change = self.module, self.change
        x = change("first", AFTER, F.relu(change("first", BEFORE, m.norm(m.first(x)))))
        x = change("depthwise", AFTER, m.relu6(change("depthwise", BEFORE, m.depthwise(x))))
        y = change("grouped", AFTER, change("grouped", BEFORE, m.grouped(x)))
        x = F.relu(y + x)
        logits: Tensor = change("dense", AFTER, change("dense", BEFORE, m.dense(torch.flatten(x, 1))))
        return logits


@pytest.mark.parametrize("memory", FORMATS)
@pytest.mark.parametrize("position", [BEFORE, AFTER])
@pytest.mark.parametrize("scale", list(Scale))
@pytest.mark.parametrize(
    "text",
    [
        "iBF(p=0.02)",
        "iBF(p=0.1, per=value)",
        "MiBB(p_m=0.01)",
        "stuck(p=0.05, to=1)",
        "random(p=0.1)",
        "gauss(sigma=0.1)",
    ],
)
def test_faults_in_features_are_those_of_dense_arithmetic(
    text: str, scale: Scale, position: Position, memory: torch.memory_format
) -> None:
    module, batch = network(), images()
    plan = FaultPlan(parse(text), position=position, scale=scale, seed=5)
    sites = find_sites(module, images(16))
    module, batch = module.to(memory_format=memory), batch.contiguous(memory_format=memory)
    kept = batch.clone()
    with torch.no_grad(), inject(sites, plan, 3, samples=range(10, 15)) as injection:
        got = module(batch)
    assert torch.equal(batch, kept)
    faults = {group.site: group for group in injection.faults}
    assert len(faults) >= 3
    codings = {layer.link.feature: sites.feature_coding(layer, plan) for layer in sites.layers}

    def change(name: str, where: Position, values: Tensor) -> Tensor:
        if where is not position or name not in faults:
            return values
        limit = 128 if scale is Scale.POWER_OF_TWO else 127
        return dense_features(values, faults[name], float(codings[name].scale), codings[name].zero, limit)

    expected = run(Broken(module, change), batch)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)  # kernels differ with the layout of dense masks
    assert not torch.equal(got, run(module, batch))


@pytest.mark.parametrize("memory", FORMATS)
@pytest.mark.parametrize("scale", list(Scale))
@pytest.mark.parametrize(
    "text", ["iBF(p=0.02)", "adSAF(p=0.2)", "stuck(p=0.1, to=0)", "channel(p=0.3)", "drift(t=100)"]
)
def test_faults_in_weights_are_where_they_should_be_and_nowhere_else(
    text: str, scale: Scale, memory: torch.memory_format
) -> None:
    module = network().to(memory_format=memory)
    sites = find_sites(module, images())
    plan = FaultPlan(parse(text), scale=scale, seed=1)
    clean, before = {k: v.clone() for k, v in module.state_dict().items()}, bits_of(module)
    with torch.no_grad(), inject(sites, plan, 9) as injection:
        memory_now = sites.memories[scale]
        for group in injection.faults:
            weight = sites.weights[group.site]
            now, old = module.get_parameter(weight.parameter).detach(), clean[weight.parameter]
            hit = weight_places(sites, group)
            assert torch.equal(now[~hit], old[~hit])
            # In steps of its scale, what is there now is what the memory holds.
            scale_of = memory_now.coding(group.site).scale
            steps = (
                torch.as_tensor(scale_of).reshape(-1, *[1] * (now.dim() - 1))
                if not isinstance(scale_of, float)
                else scale_of
            )
            stored = (now / steps)[hit]
            assert torch.allclose(stored, stored.round(), atol=1e-3)
            assert stored.abs().max() <= 128
        assert sum(map(len, injection.faults)) == injection.hits or injection.hits > 0
    assert bits_of(module) == before


def test_flipping_twice_gives_the_stored_weights_back() -> None:
    module = network()
    sites, plan = find_sites(module, images()), FaultPlan(parse("iBF(p=0.05)"))
    injector = Injector(sites, plan)
    with torch.no_grad(), injector.inject(0) as first:
        broken = {g.site: sites.memories[plan.scale].contents[g.site].copy() for g in first.faults}
        with injector.inject(0):
            for group in first.faults:
                inner = sites.memories[plan.scale].contents[group.site]
                assert np.array_equal(inner[group.elements] ^ group.operands, broken[group.site][group.elements])


def test_words_are_flipped_bit_by_bit() -> None:
    module = network()
    sites, plan = find_sites(module, images()), FaultPlan(parse("iBF32(p=0.01)"))
    before = module.grouped.weight.detach().clone()
    with torch.no_grad(), inject(sites, plan, 2) as injection:
        after = module.grouped.weight.detach().clone()
    (group,) = [g for g in injection.faults if g.site == "grouped.weight"]
    changed = (
        (before.view(torch.int32) ^ after.view(torch.int32)).permute(0, 2, 3, 1).reshape(-1).numpy().view(np.uint32)
    )
    assert np.array_equal(np.flatnonzero(changed), group.elements)
    assert np.array_equal(changed[group.elements], group.operands)
    with torch.no_grad(), inject(sites, replace(plan, position=AFTER), 2):
        module(images())


@pytest.mark.parametrize("where", [Position.WEIGHTS, BEFORE, AFTER])
@pytest.mark.parametrize("gradients", [False, True])
def test_everything_is_as_before_when_the_network_fails(where: Position, gradients: bool) -> None:
    module = network()
    sites, before, clean = find_sites(module, images()), bits_of(module), run(module, images())
    plan = FaultPlan(parse("iBF(p=0.05)"), position=where)
    broken, failing = inject(sites, plan, 0), module.dense.register_forward_pre_hook(_fail)
    with torch.set_grad_enabled(gradients), failing, pytest.raises(RuntimeError, match="on purpose"), broken:
        module(images())
    assert bits_of(module) == before
    assert torch.equal(run(module, images()), clean)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    with torch.no_grad(), inject(sites, plan, 0):  # nobody is said to be at work still
        assert not torch.equal(module(images()), clean)


def test_weights_and_features_break_together() -> None:
    module, batch = network(), images()
    sites = find_sites(module, batch)
    weights, features = FaultPlan(parse("adSAF(p=0.1)")), FaultPlan(parse("MiBB(p_m=0.01)"))
    for gradients in (False, True):
        with torch.set_grad_enabled(gradients):
            with inject(sites, weights, 0), inject(sites, features, 0):
                one = module(batch)
            with inject(sites, features, 0), inject(sites, weights, 0):
                other = module(batch)
            with inject(sites, weights, 0):
                alone = module(batch)
        assert torch.equal(one, other)
        assert not torch.equal(one, alone)
    assert torch.equal(one.detach(), run_mixed(sites, weights, features, module, batch))


def run_mixed(sites: Any, weights: FaultPlan, features: FaultPlan, module: nn.Module, batch: Tensor) -> Tensor:
    with torch.no_grad(), inject(sites, weights, 0), inject(sites, features, 0):
        result: Tensor = module(batch)
    return result


def test_faults_upon_faults_need_the_same_memory() -> None:
    sites = find_sites(network(), images())
    plan = FaultPlan(parse("iBF(p=0.05)"))
    other = inject(sites, replace(plan, scale=Scale.POWER_OF_TWO), 0)
    with torch.no_grad(), inject(sites, plan, 0), pytest.raises(FaultError, match="same width and scale"), other:
        pass


def test_two_threads_break_two_networks_but_not_one() -> None:
    modules = [network(seed=seed) for seed in (0, 1)]
    registries = [find_sites(module, images()) for module in modules]
    plan = FaultPlan(parse("iBF(p=0.05)"), position=AFTER)
    with torch.no_grad():
        alone = []
        for module, sites in zip(modules, registries, strict=True):
            with inject(sites, plan, 4):
                alone.append(module(images()))
    inside, found, errors = threading.Barrier(2), [torch.empty(0)] * 2, []

    def work(index: int) -> None:
        with torch.no_grad(), inject(registries[index], plan, 4):
            inside.wait(10)
            found[index] = modules[index](images())
            try:
                with inject(registries[1 - index], plan, 4):
                    pass
            except FaultError as error:
                errors.append(str(error))
            inside.wait(10)

    threads = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert all(torch.equal(got, expected) for got, expected in zip(found, alone, strict=True))
    assert len(errors) == 2
    assert "another thread" in errors[0]


def test_batches_do_not_change_faults() -> None:
    module, batch = network(), images(6)
    sites, plan = find_sites(module, batch), FaultPlan(parse("iBF(p=0.02)"), position=AFTER)
    parts = []
    with torch.no_grad():
        with inject(sites, plan, 1, range(6)):
            whole = module(batch)
        for part in (range(2), range(2, 6)):
            with inject(sites, plan, 1, part):
                parts.append(module(batch[part.start : part.stop]))
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-5, atol=1e-5)


def test_a_second_pass_in_the_same_context_gets_the_same_faults() -> None:
    module, batch = network(), images()
    sites, plan = find_sites(module, batch), FaultPlan(parse("iBF(p=0.02)"), position=AFTER)
    with torch.no_grad(), inject(sites, plan, 1):
        first, second = module(batch), module(batch)
        with module.relu6.register_forward_pre_hook(_fail), pytest.raises(RuntimeError, match="on purpose"):
            module(batch)
        third = module(batch)
    assert torch.equal(first, second)
    assert torch.equal(first, third)


def _fail(module: nn.Module, args: Any) -> None:
    raise RuntimeError("on purpose")


def test_intermittent_faults_show_in_some_samples_only() -> None:
    module, batch = network(), images(12)
    sites = find_sites(module, batch)
    plan = FaultPlan(parse("iBF(p=0.05)"), position=AFTER, lifetime=Lifetime.INTERMITTENT, duty=0.5)
    clean = run(module, batch)
    with torch.no_grad(), inject(sites, plan, 1):
        differs = (module(batch) != clean).any(dim=1)
    assert 1 < int(differs.sum()) < 11


def test_values_that_are_no_numbers_are_counted_and_replaced() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False))
    sites = find_sites(module, images())
    batch = images()
    batch[0] = float("nan")
    plan = FaultPlan(parse("iBF(p=1)"), position=AFTER)
    with torch.no_grad(), inject(sites, plan, 0) as injection:
        out = module(batch)
    assert injection.non_finite == out[0].numel()
    assert out.isfinite().all()


def test_the_wrong_number_of_samples_and_another_way_are_refused() -> None:
    module = network()
    sites, plan = find_sites(module, images()), FaultPlan(parse("iBF(p=0.05)"), position=AFTER)
    with torch.no_grad():
        with inject(sites, plan, 0, range(3)), pytest.raises(FaultError, match="5 images, but numbers of 3 samples"):
            module(images())
        with inject(sites, plan, 0), pytest.raises(FaultError, match="find the sites of this way"):
            module.dense(torch.zeros(5, 192))
        with inject(sites, plan, 0), pytest.raises(FaultError, match="inputs of this size"):
            module(torch.zeros(5, 3, 4, 4))


@pytest.mark.parametrize("position", [Position.WEIGHTS, AFTER])
def test_what_a_file_of_faults_says_is_injected_again(position: Position) -> None:
    module, batch = network(), images()
    sites, plan = find_sites(module, batch), FaultPlan(parse("iBF(p=0.02)"), position=position, seed=7)
    with torch.no_grad(), inject(sites, plan, 5) as injection:
        expected = module(batch)
    samples = 0 if position is Position.WEIGHTS else len(batch)
    record = FaultRecord(plan, "none", tuple(sites.select(plan)), samples, {5: injection.faults})
    record = FaultRecord.from_bytes(record.to_bytes())
    with torch.no_grad():
        with replay(sites, record, 5) as again:
            assert torch.equal(module(batch), expected)
        assert digest(again.faults) == digest(injection.faults)
        if samples:
            with replay(sites, record, 5, range(2, 5)):
                torch.testing.assert_close(module(batch[2:5]), expected[2:5], rtol=1e-5, atol=1e-5)
            with pytest.raises(NoSuchTargetError, match="covers samples"), replay(sites, record, 5, range(2, 9)):
                pass
        with pytest.raises(NoSuchTargetError, match="no pattern 6"), replay(sites, record, 6):
            pass


def test_faults_outside_of_the_network_are_refused() -> None:
    sites, plan = find_sites(network(), images()), FaultPlan(parse("iBF(p=0.02)"))
    outside = Faults("dense.weight", Effect.FLIP, np.array([10**6]), np.array([1], np.uint8))
    with pytest.raises(NoSuchTargetError, match="outside"), Injector(sites, plan).inject(0, faults=[outside]):
        pass


def test_changed_weights_are_looked_at_again() -> None:
    module = network()
    sites, plan = find_sites(module, images()), FaultPlan(parse("adSAF(p=0.5)"))
    injector = Injector(sites, plan)
    with torch.no_grad():
        with injector.inject(0) as first:
            pass
        module.dense.weight.mul_(-3)
        with injector.inject(0) as second:
            pass
    assert digest(first.faults) != digest(second.faults)
    module.load_state_dict(network(seed=4).state_dict())
    fresh = network(seed=4)
    with torch.no_grad(), injector.inject(0) as third, inject(find_sites(fresh, images()), plan, 0) as expected:
        assert digest(third.faults) == digest(expected.faults)


def test_layout_helpers_are_each_others_inverse() -> None:
    assert torch.equal(channels_first(channels_last(images())), images())
