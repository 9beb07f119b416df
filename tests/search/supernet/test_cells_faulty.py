"""Training cells under faults: only what the network uses is struck, of weights and of feature maps."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from fault_injection.models import parse
from fault_injection.plan import FaultPlan
from fault_injection.pytorch import Injector, find_sites
from search.spaces.ftt import FttSpace
from search.spaces.nb201 import Nb201Space
from search.supernet import FaultTraining, TrainSettings, make_supernet, train

NB201 = Nb201Space((1, 8, 8), 3, channels=2, cells=1)
FTT = FttSpace((1, 8, 8), 3, channels=2, cells=3, steps=2)
CASES = pytest.mark.parametrize(
    ("space", "sets"),
    [(NB201, None), (NB201, 2), (FTT, None), (FTT, 2)],
    ids=["nb201", "nb201-close", "ftt", "ftt-close"],
)
SHORT = TrainSettings(epochs=2, batch=40, method="single-path", learning_rate=0.1)


def drawn(space, supernet):
    """A network, and its supernet with all sets open."""
    if supernet.sets:
        supernet.draw(supernet.sets, np.random.default_rng(0))
    return space.sample(np.random.default_rng(8))


def same(one, two):
    found = two.state_dict()
    return all(torch.equal(value, found[name]) for name, value in one.state_dict().items())


@CASES
def test_weights_in_use_are_struck_and_neither_others_nor_the_gate(data, space, sets):
    supernet = make_supernet(space, sets=sets)
    architecture, images = drawn(space, supernet), data.train.images[:16]
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    supernet.zero_grad(set_to_none=True)
    supernet(images, architecture).square().sum().backward()
    used = {name for name, parameter in supernet.named_parameters() if parameter.grad is not None}
    sites = find_sites(supernet, images, forward=partial(supernet, architecture=architecture))
    injector = Injector(sites, FaultPlan(parse("adSAF(p=0.5)"), seed=1))
    with torch.no_grad(), injector.inject(0):
        struck = {name for name, value in supernet.state_dict().items() if not torch.equal(value, before[name])}
    assert struck
    assert not any(name.startswith("gate") for name in struck)
    assert struck <= used
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())
    alone = find_sites(supernet.subnet(architecture, images), images)
    assert sum(len(weight.places) for weight in sites.weights.values()) <= sum(
        len(weight.places) for weight in alone.weights.values()
    )


@CASES
def test_the_feature_maps_of_the_chosen_path_are_struck_and_no_others(data, space, sets):
    supernet = make_supernet(space, sets=sets)
    architecture, images = drawn(space, supernet), data.train.images[:16]
    sites = find_sites(supernet, images, forward=partial(supernet, architecture=architecture))
    alone = find_sites(supernet.subnet(architecture, images), images)
    assert sorted(layer.feature_shape for layer in sites.layers) == sorted(
        layer.feature_shape for layer in alone.layers
    )
    run = partial(supernet, architecture=architecture)
    injector = Injector(sites, FaultPlan(parse("MiBB(p_m=0.01)"), seed=1))
    with torch.no_grad():
        clean = run(images[:16])
        with injector.inject(0) as injection:
            faulty = run(images[:16])
        assert injection.hits > 0
        assert not torch.equal(faulty, clean)
        assert torch.equal(run(images[:16]), clean)


@CASES
@pytest.mark.parametrize("model", ["adSAF(p=0.1)", "MiBB(p_m=0.001)"])
def test_a_training_under_faults_is_resumed_to_the_bit_and_is_another_than_without(data, space, sets, model, tmp_path):
    settings = replace(SHORT, faults=FaultTraining(model))
    if sets:
        settings = replace(settings, method="close", stages=sets)
    straight, resumed, clean = (make_supernet(space, seed, sets=sets) for seed in (0, 5, 0))
    train(straight, data, settings)
    path, seen = tmp_path / "state", []
    train(
        make_supernet(space, sets=sets),
        data,
        settings,
        checkpoint=path,
        progress=seen.append,
        stop=lambda: len(seen) == 7,
    )
    train(resumed, data, settings, checkpoint=path)
    assert same(straight, resumed)
    train(clean, data, replace(settings, faults=None))
    assert not same(straight, clean)
