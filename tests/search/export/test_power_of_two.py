"""Int8 files in the fixed point of FTT-NAS."""

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from benchmarks._cifar_resnet import CifarResNet, load_resnet, lossless_test, lossless_train
from fault_injection.tflite import read_model
from fault_injection.tflite.schema import Activation, BuiltinOperator, TensorType
from search.export import ExportError, Scheme, export_tflite, verify
from search.export.quantize import Affine, integer_weights, power_of_two_step
from tests.search.export.networks import Cat, images, networks, randomise
from tests.search.export.test_random_networks import scales_that_differ

interpreter = pytest.importorskip("ai_edge_litert.interpreter")


def export(network, shape, calibration):
    return export_tflite(network, (1, *shape), calibration=calibration, scheme=Scheme.POWER_OF_TWO)


def steps(exported):
    """Scales of all quantized tensors by name."""
    found = {}
    for tensor in read_model(exported.data).subgraphs[0].tensors:
        if tensor.type != TensorType.INT32 or tensor.name.endswith(".bias"):
            (found[tensor.name],) = tensor.quantization.scale.tolist()  # one for the whole tensor
            assert tensor.quantization.zero_point.tolist() == [0]
    return found


def output_name(exported):
    (graph,) = read_model(exported.data).subgraphs
    return graph.tensors[graph.outputs[0]].name


def run(exported, pixels, *, delegate):
    """Stored outputs, image by image, with XNNPACK or with the kernels that come with LiteRT."""
    kernels = interpreter.OpResolverType
    runner = interpreter.Interpreter(
        model_content=exported.data,
        num_threads=1,
        experimental_op_resolver_type=kernels.AUTO if delegate else kernels.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    runner.allocate_tensors()
    (source,), (target,) = runner.get_input_details(), runner.get_output_details()
    scale, zero_point = source["quantization"]
    stored = np.clip(np.rint(pixels.numpy().transpose(0, 2, 3, 1) / scale) + zero_point, -128, 127).astype(np.int8)
    outputs = []
    for image in stored:
        runner.set_tensor(source["index"], image[None])
        runner.invoke()
        outputs.append(runner.get_tensor(target["index"])[0])
    return np.array(outputs)


@given(st.floats(1e-30, 1e30))
def test_a_step_is_the_least_power_of_two_with_which_the_peak_is_128_steps_at_most(peak):
    step = power_of_two_step(peak)
    assert math.frexp(step)[0] == 0.5
    assert 64 * step < peak <= 128 * step


@pytest.mark.parametrize(("peak", "step"), [(4.0, 2**-5), (4.001, 2**-4), (3.9, 2**-5), (1.0, 2**-7), (0.0, 2**-7)])
def test_a_step_is_that_of_the_formula(peak, step):
    assert power_of_two_step(peak) == step


def test_the_greater_side_sets_the_step():
    assert Affine.fixed_point(-5.0, 1.0) == Affine.fixed_point(-1.0, 5.0) == Affine(2.0**-4, 0)


def test_weights_keep_to_127_and_biases_to_the_product_of_the_steps():
    weight, bias = np.array([[1.0, -1.0, 0.3], [0.01, 0.5, 0.0]], np.float32), np.array([0.5, -2.0], np.float32)
    made = integer_weights(weight, bias, 2.0**-3, per_channel=True, scheme=Scheme.POWER_OF_TWO)
    assert made.scale.tolist() == [2.0**-7]
    assert made.weight.tolist() == [[127, -127, 38], [1, 64, 0]]
    assert made.bias_scale.tolist() == [2.0**-10]
    assert made.bias.tolist() == [512, -2048]


def test_a_bias_that_overflows_makes_the_step_greater():
    weight, bias = np.full((2, 3), 1e-20, np.float32), np.array([3.0, -8.0], np.float32)
    made = integer_weights(weight, bias, 2.0**-7, per_channel=True, scheme=Scheme.POWER_OF_TWO)
    assert math.frexp(made.scale[0])[0] == 0.5
    np.testing.assert_allclose(made.bias * made.bias_scale.astype(np.float64), bias)


def test_every_step_is_a_power_of_two_and_every_zero_point_0():
    network, pixels = randomise(CifarResNet(20), seed=0), images(4, (3, 32, 32))
    found = steps(export(network, (3, 32, 32), pixels))
    assert all(math.frexp(step)[0] == 0.5 for step in found.values())
    assert found["input"] == power_of_two_step(float(pixels.abs().max()))
    weight = (
        network.conv1.weight
        * (network.bn1.weight / torch.sqrt(network.bn1.running_var + network.bn1.eps))[:, None, None, None]
    )
    assert found["conv1.weight"] == power_of_two_step(weight.abs().max().item())
    assert found["conv1.bias"] == found["input"] * found["conv1.weight"]
    assert found["conv1"] == found["relu"]
    with torch.inference_mode():
        assert found["conv1"] == power_of_two_step(float(network.bn1(network.conv1(pixels)).abs().max()))


def test_no_operator_but_a_rectifier_has_a_fused_activation():
    exported = export(randomise(CifarResNet(20), seed=0), (3, 32, 32), images(2, (3, 32, 32)))
    model = read_model(exported.data)
    (graph,) = model.subgraphs
    rectified = []
    for operator in graph.operators:
        code = model.operator_codes[operator.opcode_index].code
        fused = getattr(operator.builtin_options, "fused_activation_function", Activation.NONE)
        if code == BuiltinOperator.MAX_POOL_2D and fused == Activation.RELU:
            rectified.append(graph.tensors[operator.inputs[0]].name)
        else:
            assert fused == Activation.NONE
    assert len(rectified) == 19
    assert {"conv1", "layer1.0.conv1", "layer1.0.add"} <= set(rectified)


class Activated(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.conv, self.conv2, self.activation = nn.Conv2d(3, 6, 3, 1, 1), nn.Conv2d(3, 6, 1), activation
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))

    def forward(self, x):
        return self.head(self.activation(self.conv(x) + self.activation(self.conv2(x))))


NETWORKS = {
    "relu": lambda: Activated(nn.ReLU()),
    "relu6": lambda: Activated(nn.ReLU6()),
    "hardswish": lambda: Activated(nn.Hardswish()),
    "concatenation": lambda: nn.Sequential(
        Cat(nn.Conv2d(3, 3, 1), nn.Sequential(nn.Conv2d(3, 3, 3, 1, 1, groups=3), nn.ReLU()), nn.MaxPool2d(3, 1, 1)),
        nn.Conv2d(9, 4, 1),
    ),
    "average that leaves out borders": lambda: nn.Sequential(
        nn.Conv2d(3, 3, 1), nn.AvgPool2d(3, 2, 1, count_include_pad=False)
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_nearly_the_same_with_and_without_xnnpack(name):
    torch.manual_seed(1)
    network, pixels = NETWORKS[name]().eval(), images(16, (3, 8, 8))
    exported = export(network, (3, 8, 8), pixels)
    assert all(math.frexp(step)[0] == 0.5 for step in steps(exported).values())
    with torch.inference_mode():
        expected = network(pixels).numpy()
    if expected.ndim == 4:
        expected = expected.transpose(0, 2, 3, 1)
    scale = steps(exported)[output_name(exported)]
    for delegate in (True, False):
        difference = run(exported, pixels, delegate=delegate) * scale - expected
        assert np.abs(difference).max() < 0.3 * expected.std()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(networks())
def test_random_networks_have_powers_of_two_and_shared_scales(case):
    network, shape = case
    pixels = images(8, shape)
    exported = export(network, shape, pixels)
    assert all(math.frexp(step)[0] == 0.5 for step in steps(exported).values())
    assert not scales_that_differ(exported.data)
    agreement = verify(exported, network, pixels)
    assume(agreement.logit_std > 0.1)
    assert agreement.relative_difference < 1


def test_means_over_borders_keep_their_factors():
    """A corner's factor is 4: 128 steps of its power of two, which int8 does not hold."""
    torch.manual_seed(0)
    pool = nn.AvgPool2d(2, 1, 1, count_include_pad=False)
    network, pixels = nn.Sequential(pool, nn.Flatten(), nn.Linear(36, 7)).eval(), images(8, (1, 5, 5))
    assert verify(export(network, (1, 5, 5), pixels), network, pixels).relative_difference < 0.2


def test_ties_of_sums_do_not_pull_the_shortcut_upwards():
    layers = [nn.Conv2d(4, 4, 3, 1, 1) for _ in range(12)]
    torch.manual_seed(0)

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(layers)

        def forward(self, x):
            for layer in self.layers:
                x = torch.relu(x + layer(x))
            return x

    with torch.no_grad():
        for layer in layers:
            layer.weight.normal_(0, 0.08)
            layer.bias.zero_()
    network, pixels = Residual().eval(), images(8, (4, 8, 8)).abs()
    exported = export(network, (4, 8, 8), pixels)
    scale = steps(exported)[output_name(exported)]
    with torch.inference_mode():
        expected = network(pixels).numpy().transpose(0, 2, 3, 1)
    bias = run(exported, pixels, delegate=True).mean() - expected.mean() / scale
    assert abs(bias) < 0.25  # of a step; one without the shifts


def test_a_scheme_needs_calibration_images():
    with pytest.raises(ExportError, match=r"POWER_OF_TWO is a scheme of int8 files.*pass `calibration`"):
        export_tflite(nn.Conv2d(3, 3, 1), (1, 3, 8, 8), scheme=Scheme.POWER_OF_TWO)


def test_files_for_devices_stay_as_they_are():
    network, pixels = randomise(Activated(nn.ReLU()), seed=0), images(4, (3, 8, 8))
    default = export_tflite(network, (1, 3, 8, 8), calibration=pixels)
    assert default.digest == export_tflite(network, (1, 3, 8, 8), calibration=pixels, scheme=Scheme.DEPLOYED).digest
    assert default.digest != export(network, (3, 8, 8), pixels).digest


def test_a_trained_resnet_keeps_its_accuracy(data):
    network = load_resnet(20, data)
    pixels, labels = (part[:300] for part in lossless_test(data))
    calibration = lossless_train(data)[0][:64]
    exported = export(network, (3, 32, 32), calibration)
    with torch.inference_mode():
        clean = float((network(pixels).argmax(1) == labels).float().mean())
    for delegate in (True, False):
        correct = run(exported, pixels, delegate=delegate).argmax(1) == labels.numpy()
        assert correct.mean() > clean - 0.02
