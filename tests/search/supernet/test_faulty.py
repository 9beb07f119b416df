"""Training under faults: what is struck, when, how it resumes, and that it helps."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from fault_injection.models import parse
from fault_injection.plan import FaultPlan, Position, Scale
from fault_injection.pytorch import Injector, find_sites
from fault_injection.pytorch import evaluate as evaluate_under_faults
from search.data import load_digits
from search.errors import SearchError
from search.spaces import MobileSpace
from search.supernet import (
    CheckpointError,
    FaultTraining,
    Supernet,
    TrainingDivergedError,
    TrainSettings,
    train,
    train_alone,
)
from search.supernet.faulty import TrainingLoss

STUCK = FaultTraining("adSAF(p=0.1)", clean_epochs=1, ramp_epochs=1)
BIASED = FaultTraining("MiBB(p_m=0.001)", alpha=0.5)
SHORT = TrainSettings(epochs=2, batch=40)


def same(one, two):
    found = two.state_dict()
    return all(torch.equal(value, found[name]) for name, value in one.state_dict().items())


def changed(one, two):
    found = two.state_dict()
    return sum(int((value != found[name]).sum()) for name, value in one.state_dict().items())


def drawn(space):
    """A network that leaves out some of everything."""
    rng = np.random.default_rng(0)
    networks = [space.sample(rng) for _ in range(20)]
    return min(networks, key=space.macs)


def test_weights_that_the_network_uses_are_struck_and_no_others_of_the_bank(data, space):
    supernet, architecture, before = Supernet(space), drawn(space), Supernet(space)
    images = data.train.images[:16]
    sites = find_sites(supernet, images, forward=partial(supernet, architecture=architecture))
    injector = Injector(sites, FaultPlan(parse("adSAF(p=0.5)"), seed=1))
    with torch.no_grad(), injector.inject(0):
        struck = changed(before, supernet)
        used = changed(before.subnet(architecture), supernet.subnet(architecture))
    assert used == struck > 50
    assert same(before, supernet)
    whole = sum(p.numel() for p in supernet.parameters() if p.dim() > 1)
    assert sum(len(weight.places) for weight in sites.weights.values()) < whole / 2


def test_a_stuck_weight_takes_the_extreme_of_the_weights_in_use(data):
    space = MobileSpace((1, 8, 8), 3, stem=4, widths=((8,),), depth=1, kernels=(3, 7), kinds=("c",))
    supernet, architecture = Supernet(space), space.smallest(np.random.default_rng(0))
    bank = supernet.plains["0_0"].conv
    with torch.no_grad():
        used = bank.part(4, 8, 3).clone()
        bank.weight.fill_(1000.0)  # around what a window of three uses
        bank.part(4, 8, 3).copy_(used)
        sites = find_sites(supernet, data.train.images[:16], forward=partial(supernet, architecture=architecture))
        plan = FaultPlan(parse("adSAF(p=1)"), targets=("plains.0_0.conv.weight",))
        with Injector(sites, plan).inject(0) as injection:
            assert injection.hits > 0
            assert bank.part(4, 8, 3).abs().max() < 3 * used.abs().max()
            assert int((bank.weight == 1000).sum()) == bank.weight.numel() - used.numel()


@pytest.mark.parametrize("faults", [STUCK, BIASED])
@pytest.mark.parametrize("method", ["sandwich", "single-path"])
def test_a_resumed_training_draws_the_same_faults(data, space, tmp_path, faults, method):
    settings, path = replace(SHORT, faults=faults, method=method), tmp_path / "state"
    straight, resumed, clean = Supernet(space), Supernet(space, seed=9), Supernet(space)
    train(straight, data, settings)
    seen = []
    torch.manual_seed(5)
    train(Supernet(space), data, settings, checkpoint=path, progress=seen.append, stop=lambda: len(seen) == 7)
    train(resumed, data, settings, checkpoint=path)
    assert same(straight, resumed)
    train(clean, data, replace(settings, faults=None))
    assert not same(straight, clean)


@pytest.mark.parametrize("other", [None, replace(STUCK, alpha=0.5), replace(STUCK, ramp_epochs=0), BIASED])
def test_a_checkpoint_of_other_faults_is_refused(data, space, tmp_path, other):
    path = tmp_path / "state"
    train(Supernet(space), data, replace(SHORT, faults=STUCK), checkpoint=path, stop=lambda: True)
    with pytest.raises(CheckpointError, match="another training: settings"):
        train(Supernet(space), data, replace(SHORT, faults=other), checkpoint=path)


def test_clean_epochs_are_those_of_a_clean_training(data, space):
    weights = []
    for faults in (None, STUCK):
        supernet, seen = Supernet(space), []
        train(
            supernet, data, replace(SHORT, faults=faults), progress=seen.append, stop=lambda seen=seen: len(seen) == 5
        )
        weights.append(supernet)
    assert same(*weights)


@pytest.mark.parametrize("faults", [STUCK, BIASED])
def test_training_alone_under_faults_repeats_and_keeps_clean_statistics(data, space, faults):
    architecture, settings = drawn(space), replace(SHORT, faults=faults)
    one, two = (train_alone(space, architecture, data, settings, seed=3) for _ in range(2))
    assert same(one, two)
    assert not same(one, train_alone(space, architecture, data, SHORT, seed=3))
    # One update of the running statistics in each step, that of the clean pass.
    assert {int(norm.num_batches_tracked) for norm in one.modules() if isinstance(norm, nn.BatchNorm2d)} == {10}


def test_the_loss_is_mixed_by_alpha(data, space):
    supernet, architecture = Supernet(space), drawn(space)
    images, labels = data.train.images[:40], data.train.labels[:40]
    run = partial(supernet, architecture=architecture)
    settings = replace(SHORT, faults=FaultTraining("adSAF(p=0.3)", alpha=0.25))
    losses = TrainingLoss(settings, 5)(supernet, images, labels, 0, run)
    assert losses.hits > 0
    assert losses.clean.item() == F.cross_entropy(run(images), labels).item()
    assert losses.faulty.item() != losses.clean.item()
    assert losses.total.item() == pytest.approx(0.75 * losses.clean.item() + 0.25 * losses.faulty.item(), rel=1e-5)


@pytest.mark.parametrize("position", ["before", "after"])
@pytest.mark.parametrize("scale", ["deployed", "power-of-two"])
def test_features_are_struck_where_and_in_the_steps_that_are_wanted(data, space, position, scale):
    supernet, architecture = Supernet(space), drawn(space)
    run, images, labels = partial(supernet, architecture=architecture), data.train.images[:40], data.train.labels[:40]
    settings = replace(SHORT, faults=replace(BIASED, position=position, scale=scale, alpha=1.0))
    losses = TrainingLoss(settings, 5)(supernet, images, labels, 3, run)
    sites = find_sites(supernet, images[:32], forward=run)
    plan = FaultPlan(parse(BIASED.model), Position(position), Scale(scale), seed=3_000_003)
    follow = scale == "power-of-two"  # the paper's steps are those of each batch
    with torch.no_grad(), Injector(sites, plan, follow_ranges=follow).inject(3) as injection:
        expected = F.cross_entropy(run(images), labels).item()
    assert losses.hits == injection.hits > 0
    assert losses.faulty.item() == pytest.approx(expected, rel=1e-5)
    assert losses.clean.item() != losses.faulty.item()


@pytest.mark.parametrize("faults", [STUCK, replace(BIASED, scale="power-of-two"), BIASED])
def test_sites_of_a_single_network_are_found_once_where_no_range_is_needed(data, space, monkeypatch, faults):
    searches, network = [], space.module(drawn(space)).train()
    plain, images, labels = find_sites, data.train.images[:40], data.train.labels[:40]
    monkeypatch.setattr(
        "search.supernet.faulty.find_sites", lambda *a, **k: searches.append(len(a[1])) or plain(*a, **k)
    )
    known, fresh = (TrainingLoss(replace(SHORT, faults=faults), 5, one_way=one_way) for one_way in (True, False))
    for step in range(5, 9):
        one, two = (loss(network, images, labels, step, network) for loss in (known, fresh))
        assert one.hits == two.hits > 0
        assert torch.equal(one.total, two.total)
    assert searches == ([32] * 8 if faults == BIASED else [2] * 5)


def test_a_loss_under_faults_that_is_not_finite_stops_the_training(data, space):
    floats = FaultTraining("iBF32(p=0.05)")
    with pytest.raises(TrainingDivergedError, match=r"step 1: the loss under faults of the largest network is"):
        train(Supernet(space), data, replace(SHORT, faults=floats))


def test_a_network_without_anything_to_strike_is_named_with_a_remedy(data):
    module = nn.Flatten()
    loss = TrainingLoss(replace(SHORT, faults=BIASED), 5)
    with pytest.raises(
        SearchError, match=r"training under MiBB\(p_m=0.001\): the network has nothing to break"
    ) as info:
        loss(module, data.train.images[:8], data.train.labels[:8], 0, module)
    assert info.value.remedy == "choose another fault model, or train without faults"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_supernet_trained_under_faults_keeps_more_under_them(seed):
    data = load_digits(0)
    space = MobileSpace(
        data.image_shape, data.classes, stem=8, widths=((8,), (12,)), depth=1, kernels=(3,), kinds=("c",)
    )
    settings, kept = TrainSettings(epochs=8, seed=seed, method="single-path"), []
    for faults in (None, FaultTraining("adSAF(p=0.04)", clean_epochs=1)):
        supernet = Supernet(space, seed=seed)
        train(supernet, data, replace(settings, faults=faults))
        network = supernet.subnet(space.largest(np.random.default_rng(0)), data.train.head(512).images)
        sites = find_sites(network, data.train.images[:32])
        plan, part = FaultPlan(parse("adSAF(p=0.04)"), seed=11), data.validation
        outcome = evaluate_under_faults(sites, plan, range(30), part.images, part.labels)
        kept.append(np.mean([pattern.accuracy for pattern in outcome.patterns]))
    assert kept[1] > kept[0] + 0.05
