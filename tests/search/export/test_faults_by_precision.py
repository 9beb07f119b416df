"""What faults find in files of each precision: what they can strike, and why not where they cannot."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fault_injection.drawing import draw_weights
from fault_injection.errors import UnsupportedModelError
from fault_injection.models import parse
from fault_injection.plan import FaultPlan
from fault_injection.tflite.features import find_features
from fault_injection.tflite.weights import contents, find_weights, inject
from search.export import ExportedModel, Precision, export_tflite, outputs_of
from tests.search.export.networks import images

pytest.importorskip("ai_edge_litert")

PIXELS = images(8, (3, 8, 8))


def exported(precision: Precision, clip: float = 1.0, **layers: Precision) -> ExportedModel:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    given = {path.removeprefix("of_"): chosen for path, chosen in layers.items()}
    return export_tflite(network, (1, 3, 8, 8), calibration=PIXELS, precision=precision, layers=given, clip=clip)


def broken(model: ExportedModel, condition: str) -> bytes:
    plan, weights = FaultPlan(parse(condition), seed=3), find_weights(model.data)
    sites = plan.select([weight.site for weight in weights])
    return inject(model.data, weights, draw_weights(plan, sites, contents(model.data, weights), pattern=1))


@pytest.mark.parametrize(
    ("precision", "condition"),
    [
        (Precision.INT8, "iBF(p=0.05)"),
        (Precision.INT16X8, "iBF(p=0.05)"),
        (Precision.INT16X8, "adSAF(p=0.1)"),
        (Precision.FLOAT32, "iBF32(p=0.001)"),
    ],
)
def test_weights_are_struck_where_they_have_the_bits(precision: Precision, condition: str) -> None:
    model = exported(precision)
    data = broken(model, condition)
    assert len(data) == len(model.data)
    faulty = ExportedModel(data, "tflite", precision, "input", "output", model.input_shape, model.output_shape)
    assert not np.array_equal(outputs_of(faulty, PIXELS), outputs_of(model, PIXELS))


def test_eight_bit_weights_beside_sixteen_bit_values_are_those_of_int8() -> None:
    """The same faults strike the same bytes, so that both can be compared pattern by pattern."""
    eight, sixteen = (
        {weight.name: (weight.site.shape, bytes(contents(model.data, [weight])[weight.name])) for weight in found}
        for model in (exported(Precision.INT8), exported(Precision.INT16X8))
        for found in [find_weights(model.data)]
    )
    assert eight == sixteen


def test_weights_of_half_the_bits_are_refused_by_what_they_are() -> None:
    with pytest.raises(UnsupportedModelError, match="those of this model are float16: export it as int8"):
        find_weights(exported(Precision.FLOAT16).data)
    mixed = exported(Precision.FLOAT16, of_2=Precision.INT8)
    assert [weight.name for weight in find_weights(mixed.data)] == ["2.weight"]


def test_feature_maps_of_sixteen_bits_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedModelError, match="faults in features need int8, uint8 or float32; '0' is int16"):
        find_features(exported(Precision.INT16X8).data)


def test_clipping_shrinks_what_a_stuck_cell_stands_for() -> None:
    """A cell that is stuck at one is its channel's largest weight: with clipping at most a share of the layer's."""

    def largest(clip: float) -> float:
        from fault_injection.tflite import read_model

        tensors = read_model(exported(Precision.INT8, clip).data).subgraphs[0].tensors
        scale = next(tensor.quantization.scale for tensor in tensors if tensor.name == "0.weight")
        return float(127 * scale.max())

    assert largest(0.5) == pytest.approx(0.5 * largest(1.0), rel=1e-5)
