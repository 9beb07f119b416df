"""Links from the layers of a network to the tensors of its file."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks._cifar_resnet import CifarResNet, load_resnet, lossless_train
from fault_injection.sites import CONV, DENSE, DEPTHWISE, SiteLink
from fault_injection.tflite import read_model
from search.export import Scheme, export_onnx, export_tflite
from tests.search.export.networks import images, randomise

SCHEMES = [None, *Scheme]


def tensors(exported):
    model = read_model(exported.data)
    return model, {tensor.name: tensor for tensor in model.subgraphs[0].tensors}


def stored(model, tensor, dtype):
    return np.frombuffer(bytes(model.buffers[tensor.buffer].data), dtype).reshape(tensor.shape)


def export(network, shape, scheme, pixels):
    if scheme is None:
        return export_tflite(network, shape)
    return export_tflite(network, shape, calibration=pixels, scheme=scheme)


def folded(conv, norm):
    """Weights with BatchNorm folded in, as the export computes them."""
    scale = 1 / np.sqrt(norm.running_var.numpy().astype(np.float64) + norm.eps) * norm.weight.detach().numpy()
    return conv.weight.detach().numpy() * scale.astype(np.float32)[:, None, None, None]


def assert_weights_are_linked(exported, site, weight):
    """The file's tensor is the layer's weight array in the file's order, to the bit."""
    model, named = tensors(exported)
    tensor = named[site.weight]
    if tensor.quantization is None:
        np.testing.assert_array_equal(stored(model, tensor, np.float32), site.in_file_order(weight))
        return
    scale = tensor.quantization.scale.reshape(-1, *(1,) * (weight.ndim - 1))
    integers = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
    np.testing.assert_array_equal(stored(model, tensor, np.int8), site.in_file_order(integers))


class Everything(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU6())
        self.depthwise = nn.Conv2d(4, 8, (3, 1), padding=(1, 0), groups=4)
        self.grouped = nn.Conv2d(8, 6, 3, 2, 1, groups=2)
        self.linear = nn.Linear(6 * 4 * 3, 5)

    def forward(self, x):
        x = self.grouped(torch.relu(self.depthwise(self.stem(x))))
        return self.linear(torch.flatten(x, 1))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_layer_has_a_link_in_order_of_execution(scheme):
    exported = export(randomise(Everything(), seed=0), (1, 3, 8, 6), scheme, images(4, (3, 8, 6)))
    relu6, relu = ("none", "none") if scheme is Scheme.POWER_OF_TWO else ("relu6", "relu")
    assert exported.sites == (
        SiteLink("stem.0", CONV, "stem.0.weight", "stem.0", relu6),
        SiteLink("depthwise", DEPTHWISE, "depthwise.weight", "depthwise", relu),
        SiteLink("grouped", CONV, "grouped.weight", "grouped", "none"),
        SiteLink("linear", DENSE, "linear.weight", "linear", "none", (6, 4, 3)),
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_are_those_of_the_network(scheme):
    network = randomise(Everything(), seed=0)
    exported = export(network, (1, 3, 8, 6), scheme, images(4, (3, 8, 6)))
    first, *others = exported.sites
    assert_weights_are_linked(exported, first, folded(network.stem[0], network.stem[1]))
    for site in others:
        assert_weights_are_linked(exported, site, network.get_submodule(site.path).weight.detach().numpy())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_features_are_what_the_operators_write(scheme):
    exported = export(randomise(CifarResNet(20), seed=0), (1, 3, 32, 32), scheme, images(2, (3, 32, 32)))
    (graph,) = read_model(exported.data).subgraphs
    assert len(exported.sites) == 20
    for site in exported.sites:
        (operator,) = (
            o for o in graph.operators if len(o.inputs) > 1 and site.weight == graph.tensors[o.inputs[1]].name
        )
        assert [graph.tensors[i].name for i in operator.outputs] == [site.feature]


def test_a_linear_behind_a_mean_reads_no_flattened_map():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    assert export_tflite(network, (1, 3, 8, 8)).sites[-1].flattened is None


def test_only_the_linear_right_behind_the_flattening_has_its_columns_moved():
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.ReLU(), nn.Linear(6, 2))
    exported = export_tflite(network, (1, 3, 4, 4), calibration=images(2, (3, 4, 4)), scheme=Scheme.POWER_OF_TWO)
    assert [site.flattened for site in exported.sites] == [(3, 4, 4), None]


def test_a_module_called_twice_has_a_link_for_each_call():
    conv = nn.Conv2d(3, 3, 3, padding=1)
    exported = export_tflite(nn.Sequential(conv, nn.ReLU(), conv), (1, 3, 8, 8))
    assert [(site.path, site.weight, site.feature) for site in exported.sites] == [
        ("0", "0.weight", "0"),
        ("0", "0:2.weight", "0:2"),
    ]
    for site in exported.sites:
        assert_weights_are_linked(exported, site, conv.weight.detach().numpy())


def test_a_layer_that_is_the_whole_network_has_no_path():
    conv = nn.Conv2d(3, 3, 1)
    (site,) = export_tflite(conv, (1, 3, 8, 8)).sites
    assert site.path == ""
    assert conv.get_submodule(site.path) is conv


def test_a_batch_norm_that_could_not_be_folded_is_a_layer():
    network = randomise(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)), seed=0)
    site = export_tflite(network, (1, 3, 8, 8)).sites[-1]
    assert (site.path, site.kind) == ("2", DEPTHWISE)


def test_an_onnx_file_has_no_links():
    pytest.importorskip("onnx")
    assert export_onnx(nn.Conv2d(3, 3, 1), (1, 3, 8, 8)).sites == ()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_of_a_trained_resnet(scheme, data):
    network = load_resnet(56, data)
    exported = export(network, (1, 3, 32, 32), scheme, lossless_train(data)[0][:16])
    for site in exported.sites:
        module = network.get_submodule(site.path)
        if isinstance(module, nn.Conv2d):
            norm = network.get_submodule(site.path.replace("conv", "bn"))
            assert_weights_are_linked(exported, site, folded(module, norm))
        else:
            assert_weights_are_linked(exported, site, module.weight.detach().numpy())
    assert [site.path for site in exported.sites] == [
        name for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
