"""Sites of torch networks: which there are, and how they are called."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor, nn

from fault_injection.errors import UnsupportedModelError
from fault_injection.models import parse
from fault_injection.plan import FaultPlan, Position, Scale
from fault_injection.pytorch import find_sites, fold_batch_norm
from tests.fault_injection.pytorch.networks import Mixed, images, network

BYTES, WORDS = FaultPlan(parse("iBF(p=1e-3)")), FaultPlan(parse("iBF32(p=1e-3)"))
BEFORE = FaultPlan(parse("MiBB(p_m=1e-3)"), position=Position.BEFORE_ACTIVATION)
AFTER = FaultPlan(parse("MiBB(p_m=1e-3)"))


def test_weights_are_in_the_order_of_the_file() -> None:
    sites = find_sites(network(), images()).select(BYTES)
    assert [(s.name, s.operator, s.shape, s.channel_axis) for s in sites] == [
        ("first.weight", "CONV_2D", (8, 3, 3, 3), 0),
        ("depthwise.weight", "DEPTHWISE_CONV_2D", (1, 3, 3, 16), 3),
        ("grouped.weight", "CONV_2D", (16, 3, 1, 8), 0),
        ("dense.weight", "FULLY_CONNECTED", (7, 192), 0),
    ]


def test_features_know_their_shape_and_multiply_accumulates() -> None:
    sites = find_sites(network(), images()).select(AFTER)
    assert [(s.name, s.shape, s.macs) for s in sites] == [
        ("first", (8, 6, 8), 27),
        ("depthwise", (4, 3, 16), 9),
        ("grouped", (4, 3, 16), 24),
        ("dense", (7,), 192),
    ]


def test_what_directly_follows_is_found_be_it_a_module_or_a_function() -> None:
    sites = find_sites(network(), images())
    stages = {layer.link.feature: [stage.made_by for stage in layer.stages] for layer in sites.layers}
    assert stages == {
        "first": ["layer", "norm", "relu"],
        "depthwise": ["layer", "relu6"],
        "grouped": ["layer"],  # the ReLU is behind a sum
        "dense": ["layer"],
    }
    assert [layer.stage(Position.BEFORE_ACTIVATION) for layer in sites.layers] == [1, 0, 0, 0]
    assert [layer.stage(Position.AFTER_ACTIVATION) for layer in sites.layers] == [2, 1, 0, 0]


def test_a_value_that_something_else_reads_too_has_no_activation_of_its_own() -> None:
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            return F.relu(y) + y

    (layer,) = find_sites(Forked(), images()).layers
    assert [stage.made_by for stage in layer.stages] == ["layer"]


def test_a_layer_that_runs_twice_has_one_weight_site_and_two_feature_sites() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(F.relu(self.conv(x)))

    sites = find_sites(Twice(), images())
    assert [site.name for site in sites.select(BYTES)] == ["conv.weight"]
    assert [site.name for site in sites.select(AFTER)] == ["conv", "conv:2"]


def test_finding_leaves_the_network_and_random_numbers_alone() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    find_sites(module, images())
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert module.training


def test_scales_follow_the_ranges_that_were_seen() -> None:
    module, batch = network(), images(32)
    sites = find_sites(module, batch)
    with torch.no_grad():
        before = module.norm(module.first(batch))
    first = sites.layers[0]
    step = sites.feature_coding(first, FaultPlan(BEFORE.model, BEFORE.position, Scale.POWER_OF_TWO)).scale
    assert step == 2.0 ** (torch.ceil(torch.log2(before.abs().max())).item() - 7)
    after = sites.feature_coding(first, AFTER)
    assert after.zero == -128  # a ReLU leaves nothing below 0
    assert after.scale == pytest.approx(before.max().item() / 255)


def test_floating_point_words_are_sites_too() -> None:
    sites = find_sites(network(), images())
    assert {site.bits for site in sites.select(WORDS)} == {32}


def test_a_network_without_layers_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="nothing to break"):
        find_sites(nn.ReLU(), images())


def test_a_network_that_is_one_layer_has_sites() -> None:
    (site,) = find_sites(nn.Conv2d(3, 4, 1), images()).select(BYTES)
    assert site.name == "weight"


def test_folding_keeps_class_paths_and_outputs() -> None:
    module, batch = network(), images()
    folded = fold_batch_norm(module)
    assert type(folded) is Mixed
    assert isinstance(module.norm, nn.BatchNorm2d)  # the original is as it was
    assert isinstance(folded.norm, nn.Identity)
    assert find_sites(folded, batch).select(BYTES)[0].name == "first.weight"
    with torch.no_grad():
        torch.testing.assert_close(folded(batch), module(batch), rtol=1e-5, atol=1e-5)


def test_folding_names_what_it_cannot_trace() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UnsupportedModelError, match="Branching cannot be traced"):
        fold_batch_norm(Branching())
