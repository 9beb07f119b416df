"""The same plan and pattern break the same bits in torch and in the file that was made of the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fault_injection.drawing import draw_features, draw_weights
from fault_injection.errors import FaultError, UnsupportedModelError
from fault_injection.models import parse
from fault_injection.plan import FaultPlan, Position, Scale
from fault_injection.pytorch import TorchSites, find_sites, fold_batch_norm, inject
from fault_injection.space import Site, digest
from fault_injection.tflite import read_model
from fault_injection.tflite.features import find_features
from fault_injection.tflite.weights import contents, find_weights
from fault_injection.tflite.weights import inject as inject_file
from search.export import ExportedModel, Scheme, export_tflite
from tests.fault_injection.pytorch.networks import IMAGES, channels_last, images, network

SCHEMES = {Scheme.DEPLOYED: Scale.DEPLOYED, Scheme.POWER_OF_TWO: Scale.POWER_OF_TWO}


def export(module: nn.Module, scheme: Scheme = Scheme.DEPLOYED) -> ExportedModel:
    return export_tflite(module, (1, *IMAGES[1:]), calibration=images(32), scheme=scheme)


def sites_of(module: nn.Module, file: ExportedModel) -> TorchSites:
    return find_sites(module, images(32), links=file.sites, deployed=file.data)


def device_sites(file: ExportedModel, plan: FaultPlan) -> list[Site]:
    """The sites as the device's half finds them."""
    if plan.position is Position.WEIGHTS:
        return plan.select([weight.site for weight in find_weights(file.data)])
    return plan.select([feature.site for feature in find_features(file.data)])


@pytest.mark.parametrize("scheme", list(SCHEMES))
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("text", ["iBF(p=0.02)", "adSAF(p=0.3)", "SEU", "channel(p=0.3, to=max)"])
def test_weights_break_bit_for_bit_as_in_the_file(text: str, scheme: Scheme, memory: torch.memory_format) -> None:
    module = fold_batch_norm(network())
    file = export(module, scheme)
    sites = sites_of(module.to(memory_format=memory), file)
    plan = FaultPlan(parse(text), scale=SCHEMES[scheme], seed=3)
    found = find_weights(file.data)
    drawn = draw_weights(plan, device_sites(file, plan), contents(file.data, found), pattern=5)
    clean = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.no_grad(), inject(sites, plan, 5) as injection:
        assert digest(injection.faults) == digest(drawn)
        broken = inject_file(file.data, found, drawn)
        stored = contents(broken, find_weights(broken))
        tensors = {tensor.name: tensor for tensor in read_model(broken).subgraphs[0].tensors}
        links = {link.weight: link for link in file.sites}
        for group in drawn:
            link = links[group.site]
            now, before = (
                np.ascontiguousarray(link.in_file_order(values.detach().numpy()))
                for values in (module.get_parameter(f"{link.path}.weight"), clean[f"{link.path}.weight"])
            )
            quantization = tensors[group.site].quantization
            assert quantization is not None
            shape = [1] * now.ndim
            shape[3 if link.kind == "depthwise" else 0] = -1
            reals = stored[group.site].view(np.int8).reshape(now.shape) * np.array(quantization.scale).reshape(shape)
            np.testing.assert_allclose(now.flat[group.elements], reals.flat[group.elements], rtol=1e-6)
            others = np.delete(np.arange(now.size), group.elements)
            assert np.array_equal(now.flat[others], before.flat[others])


@pytest.mark.parametrize("scheme", list(SCHEMES))
@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("text", ["iBF(p=0.02)", "MiBB(p_m=0.02)", "channel(p=0.2)", "SEU"])
def test_features_break_where_and_as_in_the_file(text: str, folded: bool, scheme: Scheme) -> None:
    module = network()
    file = export(module, scheme)
    module = fold_batch_norm(module) if folded else module
    sites = sites_of(module, file)
    plan = FaultPlan(parse(text), position=Position.AFTER_ACTIVATION, scale=SCHEMES[scheme])
    with torch.no_grad(), inject(sites, plan, 5, range(20, 25)) as injection:
        module(images())
    drawn = draw_features(plan, device_sites(file, plan), 5, range(20, 25))
    assert digest(injection.faults) == digest(drawn)
    assert len(drawn) > 1 or text == "SEU"


def test_a_fault_after_a_fused_activation_lies_behind_it() -> None:
    module = fold_batch_norm(network())
    file = export(module)
    sites = sites_of(module, file)
    plan = FaultPlan(parse("stuck(p=1, to=1)"), position=Position.AFTER_ACTIVATION, targets=("first",), bits=(0, 6))
    seen = {}
    module.depthwise.register_forward_pre_hook(lambda _, inputs: seen.update(map=inputs[0].clone()))
    with torch.no_grad(), inject(sites, plan, 0):
        module(images())
    first = next(layer for layer in sites.layers if layer.link.path == "first")
    coding = sites.feature_coding(first, plan)
    stored = channels_last(seen["map"]).numpy() / coding.scale + coding.zero
    assert set(np.unique(stored.round())) <= {-1.0, 127.0}


def test_before_a_fused_activation_there_is_nothing() -> None:
    module = fold_batch_norm(network())
    plan = FaultPlan(parse("iBF(p=0.1)"), position=Position.BEFORE_ACTIVATION)
    with pytest.raises(UnsupportedModelError, match="has relu fused"):
        sites_of(module, export(module)).select(plan)
    assert sites_of(module, export(module, Scheme.POWER_OF_TWO)).select(plan)


def test_powers_of_two_must_be_in_the_file() -> None:
    module = fold_batch_norm(network())
    plan = FaultPlan(parse("MiBB(p_m=0.1)"), scale=Scale.POWER_OF_TWO)
    sites = sites_of(module, export(module))
    with pytest.raises(UnsupportedModelError, match="no power of two"), inject(sites, plan, 0):
        pass


def test_files_of_other_networks_are_refused() -> None:
    module, other = (
        fold_batch_norm(network()),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(192, 7)).eval(),
    )
    file = export(module)
    with pytest.raises(UnsupportedModelError, match="in the file less often"):
        sites_of(other, file)
    plan = FaultPlan(parse("iBF(p=0.1)"))
    unfolded = inject(sites_of(network(), file), plan, 0)
    with pytest.raises(UnsupportedModelError, match="steps off those of the file"), unfolded:
        pass
    with pytest.raises(FaultError, match="go together"):
        find_sites(module, images(), links=file.sites)


def test_a_float_file_has_words() -> None:
    module = fold_batch_norm(network())
    file = export_tflite(module, (1, *IMAGES[1:]))
    sites = find_sites(module, images(), links=file.sites, deployed=file.data)
    plan = FaultPlan(parse("iBF32(p=0.01)"))
    with torch.no_grad(), inject(sites, plan, 5) as injection:
        pass
    assert digest(injection.faults) == digest(draw_weights(plan, device_sites(file, plan), {}, 5))
    with pytest.raises(UnsupportedModelError, match="needs 8-bit values"):
        sites.select(replace(plan, model=parse("iBF(p=0.01)")))
