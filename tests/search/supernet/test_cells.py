"""Supernets of cells: every network of the space is in them, by itself the same to the last digits of a float."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from search.spaces.ftt import WEIGHT_OPERATIONS, FttSpace
from search.spaces.nb201 import Nb201Space
from search.supernet.base import has_supernet, make_supernet
from search.supernet.cells_ftt import FttSupernet
from search.supernet.cells_nb201 import Nb201Supernet

NB201 = Nb201Space((1, 8, 8), 3, channels=4, cells=1)
FTT = FttSpace((1, 8, 8), 3, channels=2, cells=5, steps=3, operations=WEIGHT_OPERATIONS)
SPACES = {"nb201": NB201, "ftt": FTT}
SUPERNETS = {(name, sets): make_supernet(space, 3, sets=sets) for name, space in SPACES.items() for sets in (None, 3)}
which = pytest.mark.parametrize("key", SUPERNETS, ids=str)
IMAGES = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
relaxed = settings(deadline=None, max_examples=8)


def batch_statistics(network):
    """As in training, but nothing is written."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.track_running_stats = False
            norm.running_mean = norm.running_var = None
    return network


def scrambled(supernet):
    """Weights of which no two are equal, BatchNorms' and a trained gate's included."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in supernet.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)
    if supernet.sets:
        supernet.open_sets.fill_(supernet.sets)
    return supernet


for _supernet in SUPERNETS.values():
    scrambled(_supernet)


def test_spaces_of_cells_have_supernets_of_their_own():
    assert isinstance(make_supernet(NB201), Nb201Supernet)
    assert isinstance(make_supernet(FTT), FttSupernet)
    assert has_supernet(NB201)
    assert has_supernet(FTT)


@which
@relaxed
@given(seed=st.integers(0, 2**32))
def test_a_subnet_by_itself_says_what_the_supernet_says(key, seed):
    space, supernet = SPACES[key[0]], SUPERNETS[key]
    architecture = space.sample(np.random.default_rng(seed))
    expected = supernet(IMAGES, architecture)
    network = supernet.subnet(architecture)
    torch.testing.assert_close(batch_statistics(network)(IMAGES), expected, rtol=1e-4, atol=1e-4)
    fresh = space.module(architecture)
    assert {k: v.shape for k, v in fresh.named_parameters()} == {k: v.shape for k, v in network.named_parameters()}


@pytest.mark.parametrize("sets", [None, 3])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nb201", "n-nn-nnn"),
        ("nb201", "s-nn-nsn"),
        ("nb201", "p-31-snn"),
        ("ftt", "AsAn-BnBn-AnAn_AsAn-BnBn-AnAn"),
        ("ftt", "AnAn-BsBn-CsBm3_AnAn-Bp5An-Dc1Cs"),
        ("ftt", "Ac3Ac3-CsCs-DsDd5_Ap3Ap3-CsCs-DsDs"),
    ],
)
def test_cells_with_dead_ends_copies_and_equal_edges_agree_too(name, text, sets):
    supernet, architecture = SUPERNETS[name, sets], SPACES[name].parse(text)
    expected = supernet(IMAGES, architecture)
    torch.testing.assert_close(batch_statistics(supernet.subnet(architecture))(IMAGES), expected, rtol=1e-4, atol=1e-4)


@which
def test_a_recalibrated_subnet_says_nearly_what_the_supernet_says_of_the_same_images(key):
    space, supernet = SPACES[key[0]], SUPERNETS[key]
    architecture = space.sample(np.random.default_rng(5))
    images = torch.randn(96, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    network = supernet.subnet(architecture, images)
    assert not network.training
    with torch.no_grad():  # running variances are those of a sample, the batch's those of the whole
        torch.testing.assert_close(network(images), supernet(images, architecture), rtol=0.05, atol=0.05)


@which
def test_all_spellings_of_a_network_use_the_same_weights(key):
    space, supernet = SPACES[key[0]], SUPERNETS[key]
    one, other = {
        "nb201": ("s-3p-113", "s-p3-113"),
        "ftt": ("BsAp3-AsBs-CsDs_AsBs-AsCs-AsDs", "AsBs-Ap3Bs-DsCs_BsAs-CsAs-DsAs"),
    }[key[0]]
    assert space.parse(one) == space.parse(other)
    spelled = [type(space.parse(text))(text) for text in (one, other)]
    first, second = (supernet(IMAGES, architecture) for architecture in spelled)
    assert torch.equal(first, second)


@which
def test_only_what_the_network_uses_gets_a_gradient(key):
    space, supernet = SPACES[key[0]], SUPERNETS[key]
    architecture = space.sample(np.random.default_rng(2))
    supernet.zero_grad(set_to_none=True)
    supernet(IMAGES, architecture).sum().backward()
    touched = sum(
        int((p.grad != 0).sum()) for n, p in supernet.named_parameters() if p.grad is not None and "gate" not in n
    )
    assert 0 < touched <= space.parameters(architecture)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_weights_follow_from_the_seed_alone(space):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one, two, other = (make_supernet(space, seed, sets=2) for seed in (4, 4, 5))
    assert torch.equal(torch.random.get_rng_state(), before)
    values, same = one.state_dict(), two.state_dict()
    assert all(torch.equal(value, same[name]) for name, value in values.items())
    differing = other.state_dict()
    assert any(not torch.equal(value, differing[name]) for name, value in values.items())
