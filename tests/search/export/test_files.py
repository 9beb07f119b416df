"""What is in the files, and what is refused."""

import hashlib
import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from fault_injection.tflite import read_model
from fault_injection.tflite.schema import BuiltinOperator, TensorType
from search.export import ExportError, UnsupportedModuleError, export_onnx, export_tflite, verify
from tests.search.export.networks import ResNet20, images, randomise

SHAPE = (1, 3, 9, 7)


def operators(exported):
    model = read_model(exported.data)
    return [model.operator_codes[operator.opcode_index].code for operator in model.subgraphs[0].operators]


def small_network():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU6())
    return randomise(nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)), seed=0)


def test_batch_norm_and_activation_cost_no_operator():
    assert operators(export_tflite(small_network(), (1, 3, 9, 9))) == [
        BuiltinOperator.CONV_2D,
        BuiltinOperator.MEAN,
        BuiltinOperator.FULLY_CONNECTED,
    ]


def test_padding_that_tflite_lacks_becomes_an_operator():
    assert operators(export_tflite(small_network(), (1, 3, 8, 8)))[0] == BuiltinOperator.PAD


def test_a_resnet_needs_no_operator_that_its_paper_does_not_draw():
    found = operators(export_tflite(ResNet20().eval(), (1, 3, 32, 32)))
    assert len([code for code in found if code == BuiltinOperator.CONV_2D]) == 19
    assert len([code for code in found if code == BuiltinOperator.ADD]) == 9
    assert BuiltinOperator.RELU not in found


def test_tensors_are_called_like_the_modules():
    model = read_model(export_tflite(ResNet20().eval(), (1, 3, 32, 32)).data)
    names = {tensor.name for tensor in model.subgraphs[0].tensors}
    assert {"layer2.0.conv1", "layer2.0.conv1.weight", "layer2.0.conv1.bias", "layer2.0.add", "input"} <= names
    assert len(names) == len(model.subgraphs[0].tensors)


def test_a_file_is_called_through_its_signature():
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    network, pixels = small_network(), images(1, (3, 9, 9))
    exported = export_tflite(network, (1, 3, 9, 9))
    runner = interpreter.Interpreter(model_content=exported.data).get_signature_runner("serving_default")
    output = runner(**{exported.input_name: pixels.numpy().transpose(0, 2, 3, 1)})[exported.output_name]
    np.testing.assert_allclose(output, network(pixels).detach().numpy(), atol=1e-5)
    assert output.shape == exported.output_shape
    assert exported.input_shape == (1, 9, 9, 3)


def test_an_int8_file_is_int8_from_end_to_end():
    exported = export_tflite(small_network(), (1, 3, 9, 9), calibration=images(4, (3, 9, 9)))
    (graph,) = read_model(exported.data).subgraphs
    types = {tensor.name: tensor.type for tensor in graph.tensors}
    assert {types[graph.tensors[i].name] for i in graph.inputs + graph.outputs} == {TensorType.INT8}
    assert types["0.0.weight"] == TensorType.INT8
    assert types["0.0.bias"] == TensorType.INT32
    weight = next(tensor for tensor in graph.tensors if tensor.name == "0.0.weight")
    assert len(weight.quantization.scale) == 4
    assert exported.precision == "int8"


def test_a_channel_without_weights_keeps_its_bias_in_int8():
    pytest.importorskip("ai_edge_litert")
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        network[0].weight[0] = 1e-20
        network[0].bias.copy_(torch.tensor([3.0, 1.0]))
    pixels = images(8, SHAPE[1:])
    agreement = verify(export_tflite(network, SHAPE, calibration=pixels), network, pixels)
    assert agreement.max_difference < 0.05


def test_a_relu_in_place_changes_what_is_read_later():
    pytest.importorskip("ai_edge_litert")

    class PreActivation(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu, self.conv = nn.ReLU(inplace=True), nn.Conv2d(3, 3, 1)

        def forward(self, x):
            x = self.conv(x)
            return self.conv(self.relu(x)) + x

    network, pixels = PreActivation(), images(4, SHAPE[1:])
    assert verify(export_tflite(network, SHAPE), network, pixels).relative_difference < 1e-5


def test_a_file_may_take_several_images_at_a_time():
    pytest.importorskip("ai_edge_litert")
    network, pixels = small_network(), images(8, (3, 9, 9))
    exported = export_tflite(network, (4, 3, 9, 9), calibration=pixels)
    assert exported.output_shape == (4, 5)
    assert verify(exported, network, pixels).relative_difference < 0.2
    with pytest.raises(ValueError, match="multiple of 4"):
        verify(exported, network, pixels[:3])


def test_a_file_is_named_by_its_content_and_written_whole(tmp_path):
    path = tmp_path / "network.tflite"
    exported = export_tflite(small_network(), (1, 3, 9, 9), path=path)
    assert path.read_bytes() == exported.data
    assert exported.digest == hashlib.sha256(exported.data).hexdigest()
    assert exported.size_bytes == path.stat().st_size
    assert list(tmp_path.iterdir()) == [path]
    assert export_tflite(small_network(), (1, 3, 9, 9)).digest == exported.digest


@pytest.mark.skipif(not importlib.util.find_spec("onnx"), reason="onnx is not installed")
def test_an_onnx_file_is_valid():
    import onnx

    exported = export_onnx(ResNet20().eval(), (1, 3, 32, 32))
    onnx.checker.check_model(onnx.load_from_string(exported.data), full_check=True)
    assert exported.input_shape == (1, 3, 32, 32)


class Inside(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.stages = nn.ModuleList([nn.Identity(), nn.Sequential(nn.Identity(), block)])

    def forward(self, x):
        for stage in self.stages:
            x = stage(x)
        return x


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.function(self, x)


@pytest.mark.parametrize(
    ("block", "what", "instead"),
    [
        (nn.SiLU(), "SiLU", "ReLU"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), "padding_mode='reflect'", "zero padding"),
        (nn.ConvTranspose2d(3, 3, 3), "ConvTranspose2d", "supported are"),
        (nn.AdaptiveAvgPool2d(3), "AdaptiveAvgPool2d to 3", "pool to 1"),
        (nn.MaxPool2d(2, 2, ceil_mode=True), "ceil_mode", "ceil_mode=False"),
        (nn.AvgPool2d(2, divisor_override=3), "divisor_override", "plain"),
        (nn.BatchNorm2d(3, track_running_stats=False), "without running statistics", "track_running_stats"),
        (nn.Linear(7, 7), "matrix product", "flatten"),
        (Calls(lambda m, x: x.sigmoid()), ".sigmoid()", "ReLU"),
        (Calls(lambda m, x: x * m.scale), "bare parameter", "supported are"),
        (Calls(lambda m, x: x * torch.relu(x)), "product of two tensors", "gates"),
        (Calls(lambda m, x: x.mean((1, 2))), "mean over dimensions", "height and width"),
        (Calls(lambda m, x: x if x.sum() > 0 else -x), "cannot be traced", "constructor"),
        (Calls(lambda m, x: x[0]), "indexing", "::s"),
        (Calls(lambda m, x: x.transpose(1, 2)), ".transpose()", "supported are"),
        (Calls(lambda m, x: torch.mean(x, (2, 3), dtype=torch.float64)), "use of mean()", "supported are"),
        (Calls(lambda m, x: x.flatten(2)), "flatten from dimension 2", "flatten(x, 1)"),
        (Calls(lambda m, x: torch.cat([x, x], 2)), "dimension 2", "channels"),
        (Calls(lambda m, x: x + 1.0), "adding the number", "bias"),
        (Calls(lambda m, x: x + x.mean((2, 3), keepdim=True)), "a sum of shapes", "one shape"),
    ],
)
def test_what_cannot_be_exported_is_named_with_its_place_and_a_way_out(block, what, instead):
    with pytest.raises(UnsupportedModuleError) as caught:
        export_tflite(Inside(block), SHAPE)
    assert "stages.1.1" in str(caught.value)
    assert caught.value.path == "stages.1.1"
    assert what in str(caught.value)
    assert instead in str(caught.value)


def test_a_second_output_is_refused():
    with pytest.raises(UnsupportedModuleError, match="one tensor"):
        export_tflite(Calls(lambda m, x: (x, x)), SHAPE)


def test_flattening_maps_for_anything_but_a_linear_is_refused():
    with pytest.raises(UnsupportedModuleError, match="pool to 1×1"):
        export_tflite(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Flatten()), SHAPE)


def test_weights_that_are_not_finite_are_refused():
    network = small_network()
    network[0][1].running_var[1] = float("nan")
    with pytest.raises(ExportError, match=r"0\.0: its weight holds NaN"):
        export_tflite(network, (1, 3, 9, 9))


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (images(2, (3, 8, 9)), "calibration images must be"),
        (images(2, (3, 9, 9))[:0], "calibration images must be"),
        (images(2, (3, 9, 9)) / 0, "NaN or infinity"),
    ],
)
def test_calibration_images_that_do_not_fit_are_refused(calibration, message):
    with pytest.raises(ExportError, match=message):
        export_tflite(small_network(), (1, 3, 9, 9), calibration=calibration)


@pytest.mark.parametrize("shape", [(3, 9, 9), (1, 3, 0, 9), (1, 4, 9, 9), (1, 3, 1, 1)])
def test_input_shapes_that_do_not_fit_are_refused(shape):
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.MaxPool2d(3))
    with pytest.raises(ExportError):
        export_tflite(network, shape)
