import copy
import importlib.util

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from torch import nn

from fault_injection.tflite import read_model
from fault_injection.tflite.schema import BuiltinOperator
from search.export import export_onnx, export_tflite, verify
from tests.search.export.networks import Cat, images, networks

pytest.importorskip("ai_edge_litert")
needs_onnx = pytest.mark.skipif(
    not (importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime")),
    reason="onnx and onnxruntime are not installed",
)
quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TOLERANCE = 1e-4


@quickly
@given(networks())
def test_a_float32_file_computes_what_the_network_computes(case):
    network, shape = case
    agreement = verify(export_tflite(network, (1, *shape)), network, images(4, shape))
    assume(agreement.logit_std > 1e-3)
    assert agreement.relative_difference <= TOLERANCE


@needs_onnx
@settings(quickly, max_examples=30)
@given(networks())
def test_an_onnx_file_computes_what_the_network_computes(case):
    network, shape = case
    agreement = verify(export_onnx(network, (1, *shape)), network, images(4, shape))
    assume(agreement.logit_std > 1e-3)
    assert agreement.relative_difference <= TOLERANCE


@settings(quickly, max_examples=40)
@given(networks())
def test_an_int8_file_stays_near_the_network_on_its_calibration_images(case):
    network, shape = case
    pixels = images(16, shape)
    exported = export_tflite(network, (1, *shape), calibration=pixels)
    agreement = verify(exported, network, pixels)
    assume(agreement.logit_std > 0.05)
    assert agreement.relative_difference < 0.5


MOVES_NUMBERS = {
    BuiltinOperator.CONCATENATION,
    BuiltinOperator.MAX_POOL_2D,
    BuiltinOperator.AVERAGE_POOL_2D,
    BuiltinOperator.PAD,
    BuiltinOperator.PADV2,
    BuiltinOperator.RESHAPE,
}


def scales_that_differ(data):
    """Operators that move stored numbers from one scale to another, which is wrong."""
    model = read_model(data)
    (graph,) = model.subgraphs
    wrong = []
    for operator in graph.operators:
        if model.operator_codes[operator.opcode_index].code in MOVES_NUMBERS:
            tensors = [graph.tensors[i] for i in operator.inputs + operator.outputs]
            found = {
                (float(t.quantization.scale[0]), int(t.quantization.zero_point[0])) for t in tensors if t.quantization
            }
            if len(found) != 1:
                wrong.append((operator, found))
    return wrong


@settings(quickly, max_examples=25)
@given(networks())
def test_operators_that_move_numbers_have_one_scale(case):
    network, shape = case
    assert not scales_that_differ(export_tflite(network, (1, *shape), calibration=images(2, shape)).data)


def test_a_scale_is_shared_through_chains_of_concatenations_and_pools():
    inner = Cat(nn.Conv2d(2, 3, 1), nn.MaxPool2d(3, 1, 1))
    outer = Cat(inner, nn.Sequential(nn.Conv2d(2, 2, 1), nn.AvgPool2d(3, 1, 1)), nn.Identity())
    network = nn.Sequential(outer, nn.MaxPool2d(2)).eval()
    exported = export_tflite(network, (1, 2, 9, 9), calibration=images(8, (2, 9, 9)))
    assert not scales_that_differ(exported.data)


@quickly
@given(networks())
def test_an_export_leaves_the_network_as_it_is(case):
    network, shape = case
    network.train()
    before = copy.deepcopy(network.state_dict())
    export_tflite(network, (1, *shape), calibration=images(2, shape))
    assert all(part.training for part in network.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
