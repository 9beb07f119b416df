"""Subnets are what the supernet computes, with weights of their own, and can be shipped."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from search.data import load_digits
from search.export import export_tflite, verify
from search.spaces import MobileSpace
from search.supernet import Supernet, evaluate, recalibrate

SPACE = MobileSpace((2, 8, 8), 3, stem=4, widths=((4, 8), (8, 12)), depth=2, expansions=(1, 2))


def random_supernet():
    """With scales and shifts other than those that training begins with."""
    supernet = Supernet(SPACE)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for name, parameter in supernet.named_parameters():
            if name.endswith(("scale", "shift")):
                parameter.uniform_(0.5, 1.5)
    return supernet


SUPERNET = random_supernet()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_a_subnet_computes_what_the_supernet_does(seed):
    rng = np.random.default_rng(seed)
    architecture = SPACE.sample(rng)
    images = torch.from_numpy(rng.normal(size=(16, 2, 8, 8)).astype(np.float32))
    subnet = SUPERNET.subnet(architecture).train()  # statistics of the batch, as in the supernet
    torch.testing.assert_close(subnet(images), SUPERNET(images, architecture), rtol=1e-4, atol=1e-4)


def test_every_weight_is_used_by_some_network():
    rng = np.random.default_rng(0)
    supernet = random_supernet()
    images = torch.randn(8, 2, 8, 8)
    for _ in range(10):
        supernet(images, SPACE.largest(rng)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in supernet.parameters())


def test_a_subnets_weights_are_its_own():
    architecture = SPACE.sample(np.random.default_rng(0))
    before = {name: value.clone() for name, value in SUPERNET.state_dict().items()}
    subnet = SUPERNET.subnet(architecture)
    with torch.no_grad():
        for parameter in subnet.parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], value) for name, value in SUPERNET.state_dict().items())


def test_the_seed_decides_the_weights_and_torchs_generator_is_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, same, other = Supernet(SPACE, 1), Supernet(SPACE, 1), Supernet(SPACE, 2)
    one.subnet(SPACE.sample(np.random.default_rng(0)))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one.stem.weight, same.stem.weight)
    assert not torch.equal(one.stem.weight, other.stem.weight)


def test_recalibration_measures_the_images_however_they_are_batched():
    images = torch.randn(600, 2, 8, 8) * 3 + 1
    norm = nn.BatchNorm2d(2)
    recalibrate(norm, images)
    torch.testing.assert_close(norm.running_mean, images.mean((0, 2, 3)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.running_var, images.var((0, 2, 3)), rtol=1e-2, atol=1e-2)
    assert not norm.training
    assert norm.momentum == 0.1


def test_recalibration_is_repeatable():
    architecture, images = SPACE.sample(np.random.default_rng(1)), torch.randn(64, 2, 8, 8)
    one, two = (SUPERNET.subnet(architecture, images).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_evaluation_does_not_depend_on_batches(data, space):
    network = Supernet(space).subnet(space.sample(np.random.default_rng(0)), data.train.images)
    assert evaluate(network, data.validation, 7) == evaluate(network, data.validation, 1000)


def test_an_exported_subnet_agrees_with_torch():
    pytest.importorskip("ai_edge_litert")
    digits = load_digits()
    space = MobileSpace(digits.image_shape, digits.classes)
    images = digits.train.head(128).images
    subnet = Supernet(space).subnet(space.sample(np.random.default_rng(0)), images)
    found = verify(export_tflite(subnet, (1, 1, 16, 16)), subnet, images[:32])
    assert found.relative_difference <= 1e-4
