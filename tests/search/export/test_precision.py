"""One file, several precisions: every layer in its numbers, borders where they meet, and nothing else changes."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import nn

from fault_injection.tflite import read_model
from fault_injection.tflite.schema import BuiltinOperator, TensorType
from search.export import ExportError, Precision, Scheme, export_tflite, outputs_of, verify
from tests.search.export.networks import ResNet20, images, randomise
from tests.search.export.test_layers import layers

pytest.importorskip("ai_edge_litert")

#: Largest difference from torch over the standard deviation of the outputs.
ERRORS = {Precision.INT8: 0.15, Precision.INT16X8: 0.08, Precision.FLOAT16: 0.005, Precision.FLOAT32: 1e-4}
INT8, INT16, F16, F32 = Precision
CHAIN = ("0", "2", "4", "7")


def chain():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    ).eval()


class Residual(nn.Module):
    """A branch beside a shortcut."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        x = self.first(x)
        return F.relu(x + self.second(x))


class Stage(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = Residual(), Residual()

    def forward(self, x):
        return self.b(self.a(x))


def operators(data):
    model = read_model(data)
    return [BuiltinOperator(model.operator_codes[o.opcode_index].code).name for o in model.subgraphs[0].operators]


def types(data):
    return {t.name: TensorType(t.type) for t in read_model(data).subgraphs[0].tensors}


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch says that it will be slow
@pytest.mark.parametrize("precision", [INT16, F16])
@pytest.mark.parametrize("layer", [pytest.param(layer, id=name) for name, layer in layers() if name != "hardswish"])
def test_every_operation_runs_in_every_precision(layer, precision):
    torch.manual_seed(3)
    network = layer.eval()
    pixels = images(4, (3, 12, 9))
    exported = export_tflite(network, (1, 3, 12, 9), calibration=pixels, precision=precision)
    assert exported.precision == precision
    assert verify(exported, network, pixels).relative_difference <= ERRORS[precision]


@pytest.mark.parametrize("mixture", list(itertools.product(Precision, repeat=2)), ids="-".join)
def test_any_two_precisions_meet(mixture):
    network, pixels = chain(), images(8, (3, 8, 8))
    given = dict(zip(CHAIN, (*mixture, *mixture), strict=True))
    exported = export_tflite(network, (1, 3, 8, 8), calibration=pixels, layers=given)
    assert exported.precision == (mixture[0] if len(set(mixture)) == 1 else "mixed")
    assert verify(exported, network, pixels).relative_difference <= max(ERRORS[one] for one in mixture)


def test_sixteen_bits_come_closer_than_eight():
    network = ResNet20()
    randomise(network, 0)
    pixels = images(8, (3, 16, 16))
    eight, sixteen, half = (
        verify(export_tflite(network, (1, 3, 16, 16), calibration=pixels, precision=p), network, pixels).max_difference
        for p in (INT8, INT16, F16)
    )
    assert half < sixteen < eight


def test_weights_of_half_the_bits_make_half_the_file():
    network = ResNet20()
    sizes = {
        p: export_tflite(network, (1, 3, 16, 16), calibration=images(2, (3, 16, 16)), precision=p).size_bytes
        for p in Precision
    }
    weights = sum(w.numel() for name, w in network.named_parameters() if "bn" not in name and name != "linear.bias")
    assert sizes[F32] - sizes[F16] == pytest.approx(2 * weights, rel=0.03)  # less what the widening takes
    assert sizes[F16] - sizes[INT8] == pytest.approx(weights, rel=0.10)  # scales are not free


def test_values_are_converted_at_borders_only():
    network, pixels = chain(), images(4, (3, 8, 8))

    def borders(*mixture):
        exported = export_tflite(
            network, (1, 3, 8, 8), calibration=pixels, layers=dict(zip(CHAIN, mixture, strict=True))
        )
        return [name for name in operators(exported.data) if name in ("QUANTIZE", "DEQUANTIZE")]

    assert borders(INT8, INT8, INT8, INT8) == borders(INT16, INT16, INT16, INT16) == []
    assert borders(F32, F32, INT8, INT8) == ["QUANTIZE"]
    assert borders(INT8, F32, F32, INT8) == ["DEQUANTIZE", "QUANTIZE"]
    assert borders(INT16, INT8, INT8, INT8) == ["QUANTIZE"]
    # tflite-runtime 2.14 cannot go from 8 bits to 16 at once.
    assert borders(INT8, INT8, INT8, INT16) == ["DEQUANTIZE", "QUANTIZE"]
    assert borders(F16, F32, F32, F32) == ["DEQUANTIZE"]  # of the weights


def test_a_value_is_converted_once_for_all_that_read_it():
    network, pixels = Residual().eval(), images(4, (3, 8, 8))
    exported = export_tflite(network, (1, 3, 8, 8), calibration=pixels, precision=INT8, layers={"first": F32})
    assert operators(exported.data).count("QUANTIZE") == 1


def test_a_sum_goes_on_as_the_branch_that_ran_last():
    network, pixels = Stage().eval(), images(4, (3, 8, 8))
    exported = export_tflite(network, (1, 3, 8, 8), calibration=pixels, layers={"a": F32, "b": INT8})
    kinds = types(exported.data)
    assert (kinds["a.add"], kinds["b.add"]) == (TensorType.FLOAT32, TensorType.INT8)
    swapped = export_tflite(network, (1, 3, 8, 8), calibration=pixels, precision=INT8, layers={"a.second": F32})
    assert types(swapped.data)["a.add"] is TensorType.FLOAT32


def test_the_longest_path_counts():
    network, pixels = Stage().eval(), images(4, (3, 8, 8))
    given = {"b": F32, "b.first": INT16}
    exported = export_tflite(network, (1, 3, 8, 8), calibration=pixels, precision=INT8, layers=given)
    kinds = types(exported.data)
    assert kinds["b.first"] is TensorType.INT16
    assert kinds["b.second"] is kinds["b.add"] is TensorType.FLOAT32
    assert kinds["a.first"] is TensorType.INT8


def test_weights_and_biases_have_the_types_that_the_specification_names():
    network, pixels = chain(), images(4, (3, 8, 8))
    for precision, weight, bias in [
        (INT8, TensorType.INT8, TensorType.INT32),
        (INT16, TensorType.INT8, TensorType.INT64),
        (F16, TensorType.FLOAT16, TensorType.FLOAT32),
    ]:
        found = types(export_tflite(network, (1, 3, 8, 8), calibration=pixels, precision=precision).data)
        assert (found["0.weight"], found["0.bias"]) == (weight, bias)
    model = read_model(export_tflite(network, (1, 3, 8, 8), calibration=pixels, precision=INT16).data)
    wide = [t.quantization for t in model.subgraphs[0].tensors if t.type == TensorType.INT16]
    assert wide
    assert not any(quantization.zero_point.any() for quantization in wide)


def test_a_constant_of_zeros_meets_other_numbers():
    from tests.search.export.networks import Cat, Zero

    network = nn.Sequential(nn.Conv2d(3, 3, 1), Cat(nn.Conv2d(3, 3, 1), Zero()), nn.Conv2d(6, 2, 1)).eval()
    pixels = images(4, (3, 8, 8))
    exported = export_tflite(network, (1, 3, 8, 8), calibration=pixels, precision=INT16, layers={"2": INT8})
    assert verify(exported, network, pixels).relative_difference <= ERRORS[INT8]


def test_floats_need_no_calibration():
    network, pixels = chain(), images(4, (3, 8, 8))
    exported = export_tflite(network, (1, 3, 8, 8), precision=F16)
    assert exported.precision == "float16"
    assert verify(exported, network, pixels).relative_difference <= ERRORS[F16]


# ------------------------------------------------------------------------------------------------------------ clipping


def test_weights_are_cut_to_a_share_of_the_layers_largest():
    network, pixels = chain(), images(4, (3, 8, 8))
    clipped = chain()
    with torch.no_grad():
        for layer in clipped:
            if hasattr(layer, "weight"):
                most = 0.6 * layer.weight.abs().max()
                layer.weight.clamp_(-most, most)
    for precision in (F32, INT8):
        one = export_tflite(network, (1, 3, 8, 8), calibration=pixels, precision=precision, clip=0.6)
        other = export_tflite(clipped, (1, 3, 8, 8), calibration=pixels, precision=precision)
        assert np.allclose(outputs_of(one, pixels), outputs_of(other, pixels), atol=1e-6)


def test_clipping_leaves_the_network_as_it_is():
    network, pixels = chain(), images(4, (3, 8, 8))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    export_tflite(network, (1, 3, 8, 8), calibration=pixels, clip=0.5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": INT16}, "pass typical images"),
        ({"layers": {"0": INT8}}, "pass typical images"),
        ({"layers": {"3.conv": F16}}, "nothing in the network is called '3.conv'; its layers are 0, 2, 4, 7"),
        ({"clip": 0.0}, "above 0 and at most 1"),
        ({"clip": 1.5}, "above 0 and at most 1"),
        ({"clip": float("nan")}, "above 0 and at most 1"),
        ({"calibration": images(2, (3, 8, 8)), "scheme": Scheme.POWER_OF_TWO, "precision": INT16}, "scheme of int8"),
        ({"calibration": images(2, (3, 8, 8)), "scheme": Scheme.POWER_OF_TWO, "layers": {"0": F32}}, "scheme of int8"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ExportError, match=message):
        export_tflite(chain(), (1, 3, 8, 8), **settings)


def test_hard_swish_of_sixteen_bits_is_refused_by_name():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Hardswish()).eval()
    pixels = images(4, (3, 8, 8))
    with pytest.raises(ExportError, match=r"^1: runtimes have no hard swish of 16 bits"):
        export_tflite(network, (1, 3, 8, 8), calibration=pixels, precision=INT16)
    mixed = export_tflite(network, (1, 3, 8, 8), calibration=pixels, precision=INT16, layers={"1": F32})
    assert verify(mixed, network, pixels).relative_difference <= ERRORS[INT16]


def test_weights_too_large_for_half_the_bits_are_refused():
    network = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        network.weight[0, 0] = 1e5
    with pytest.raises(ExportError, match="65504"):
        export_tflite(network, (1, 3, 8, 8), precision=F16)
