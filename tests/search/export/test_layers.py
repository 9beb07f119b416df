"""Each operation on its own, at sizes where TFLite's padding fits and where it does not."""

import importlib.util

import pytest
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import nn

from search.export import export_onnx, export_tflite, verify
from tests.search.export.networks import Cat, Sum, Zero, images, randomise

pytest.importorskip("ai_edge_litert")
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch says that it will be slow
SIZES = [(12, 9), (9, 12)]


class BatchNormBesideUse(nn.Module):
    """A convolution whose result is read before BatchNorm too, so that nothing may be folded."""

    def __init__(self, activation):
        super().__init__()
        self.conv, self.bn, self.activation = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), activation

    def forward(self, x):
        x = self.conv(x)
        return self.activation(self.bn(x)) + x


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def layers():
    for kernel, stride, padding in [
        (3, 1, 1),
        (3, 2, 1),
        (2, 2, 1),
        (5, 2, 2),
        (3, 2, 0),
        (4, 3, 2),
        ((1, 3), 1, (0, 1)),
    ]:
        window = f"{kernel} stride {stride} padding {padding}"
        yield f"convolution {window}", nn.Conv2d(3, 4, kernel, stride, padding)
        yield f"depthwise {window}", nn.Conv2d(3, 6, kernel, stride, padding, groups=3)
        yield f"maximum {window}", nn.MaxPool2d(kernel, stride, padding)
        yield f"maximum after relu {window}", nn.Sequential(nn.ReLU(), nn.MaxPool2d(kernel, stride, padding))
        yield f"average with border {window}", nn.AvgPool2d(kernel, stride, padding)
        yield f"average without border {window}", nn.AvgPool2d(kernel, stride, padding, count_include_pad=False)
    yield "dilated", nn.Conv2d(3, 4, 3, padding=2, dilation=2)
    yield "dilated with stride", nn.Conv2d(3, 4, 3, 2, 2, dilation=2)
    yield "dilated depthwise", nn.Conv2d(3, 3, 3, padding=2, dilation=2, groups=3)
    yield "grouped", nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 3, padding=1, groups=4))
    yield "same, even kernel", nn.Conv2d(3, 4, 4, padding="same")
    yield "valid", nn.Conv2d(3, 4, 3, padding="valid", bias=False)
    yield "hardswish", nn.Sequential(nn.Conv2d(3, 4, 1), nn.Hardswish())
    yield "activations of one value", Sum(nn.ReLU(), nn.ReLU6(), nn.Identity())
    yield "concatenation", Cat(nn.Conv2d(3, 4, 1), nn.MaxPool2d(3, 1, 1), nn.Identity())
    yield "zero in a sum", Sum(nn.Conv2d(3, 3, 1), Zero(), nn.Identity())
    yield "zero in a concatenation", nn.Sequential(Cat(nn.Conv2d(3, 4, 1), Zero()), nn.Conv2d(7, 3, 1))
    yield (
        "zero into a convolution",
        nn.Sequential(Sum(Zero(), Zero()), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1)),
    )
    yield "batch norm alone", nn.BatchNorm2d(3)
    yield "batch norm after relu", nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))
    yield "batch norm beside another use", BatchNormBesideUse(nn.ReLU())
    yield "batch norm in a dead branch's neighbour", Sum(nn.Sequential(nn.Conv2d(3, 3, 1), Zero()), nn.BatchNorm2d(3))
    yield "mean", nn.AdaptiveAvgPool2d(1)
    yield "mean, then convolution", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 5, 1), nn.Flatten())
    yield "mean as a method", Calls(lambda x: x.mean((-2, -1)))
    yield "flatten and linear", nn.Sequential(nn.MaxPool2d(3), nn.Flatten(), nn.Linear(36, 7), nn.ReLU())
    yield "padding", nn.ZeroPad2d((1, 0, 2, 1))
    yield "padding of channels", Calls(lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)))
    yield "every second cell", Calls(lambda x: x[:, :, ::2, ::3])
    yield "one module twice", Calls(nn.Sequential(*[nn.Conv2d(3, 3, 3, padding=1)] * 2))


CASES = [pytest.param(layer, id=name) for name, layer in layers()]


@pytest.mark.parametrize("layer", CASES)
@pytest.mark.parametrize("size", SIZES)
def test_a_layer_is_the_same_in_float32(layer, size):
    shape = (3, *size)
    network, pixels = randomise(layer, seed=3), images(4, shape)
    assert verify(export_tflite(network, (1, *shape)), network, pixels).relative_difference < 1e-5


@pytest.mark.parametrize("layer", CASES)
@pytest.mark.parametrize("size", SIZES)
def test_a_layer_is_nearly_the_same_in_int8(layer, size):
    shape = (3, *size)
    network, pixels = randomise(layer, seed=3), images(16, shape)
    exported = export_tflite(network, (1, *shape), calibration=pixels)
    # An average has the step of its input, however little it varies itself; 0.15 is two or three steps elsewhere.
    tolerance = 0.3 if any(isinstance(part, nn.AvgPool2d) for part in network.modules()) else 0.15
    assert verify(exported, network, pixels).relative_difference < tolerance


@pytest.mark.skipif(
    not (importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime")),
    reason="onnx and onnxruntime are not installed",
)
@pytest.mark.parametrize("layer", CASES)
def test_a_layer_is_the_same_in_onnx(layer):
    shape = (3, *SIZES[0])
    network, pixels = randomise(layer, seed=3), images(4, shape)
    assert verify(export_onnx(network, (1, *shape)), network, pixels).relative_difference < 1e-5


def test_an_operation_on_zeros_alone_gives_zeros():
    network = nn.Sequential(Zero(), nn.ReLU(), nn.MaxPool2d(3, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    pixels = images(2, (3, 8, 8))
    for calibration in (None, pixels):
        agreement = verify(export_tflite(network, (1, 3, 8, 8), calibration=calibration), network, pixels)
        assert agreement.max_difference == 0
        assert agreement.relative_difference == 0
