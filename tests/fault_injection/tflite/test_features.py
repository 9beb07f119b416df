"""Feature maps found in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fault_injection.errors import UnsupportedModelError
from fault_injection.tflite import MalformedModelError
from fault_injection.tflite import schema as s
from fault_injection.tflite.features import FeatureTensor, find_features
from tests.fault_injection.tflite.tiny import B, Tiny


@pytest.mark.parametrize(
    ("name", "dtype", "count", "values", "macs"),
    [
        ("ad01_int8", "int8", 10, 1_672, 264_192),
        ("coral_mobilenet_v1_0.25_128_quant", "uint8", 28, 412_649, 13_570_304),
        ("kws_ref_model", "int8", 10, 72_012, 2_656_768),
        ("kws_ref_model_float32", "float32", 10, 72_012, 2_656_768),
        ("pretrainedResnet", "float32", 10, 86_026, 12_501_632),
        ("pretrainedResnet_quant", "int8", 10, 86_026, 12_501_632),
        ("tflm_hello_world_int8", "int8", 3, 33, 288),
        ("tflm_person_detect", "int8", 28, 231_554, 7_157_888),
        ("vww_96_float", "float32", 28, 231_554, 7_489_664),
        ("vww_96_int8", "int8", 28, 231_554, 7_489_664),
    ],
)
def test_real_models(models: Path, name: str, dtype: str, count: int, values: int, macs: int) -> None:
    """The multiply-accumulates are those that MLPerf Tiny's papers give: 12.5 M, 2.7 M, 7.5 M, 0.26 M."""
    features = find_features((models / f"{name}.tflite").read_bytes())
    assert {feature.dtype for feature in features} == {dtype}
    assert len(features) == count
    assert sum(feature.site.size for feature in features) == values
    assert sum(feature.site.size * feature.macs for feature in features) == macs


def test_what_is_known_of_a_real_feature_map(models: Path) -> None:
    first, *_, last = find_features((models / "pretrainedResnet_quant.tflite").read_bytes())
    assert first.name.startswith("model/activation/Relu")
    assert (first.operator, first.shape, first.site.size) == ("CONV_2D", (32, 32, 16), 16384)
    assert (first.activation, first.macs) == ("relu", 27)
    assert first.scale == pytest.approx(0.03939355)
    assert first.zero_point == -128
    assert (last.operator, last.shape, last.activation, last.macs) == ("FULLY_CONNECTED", (10,), "none", 64)


def several(dtype: type = np.int8, scale: object = 0.5, shape: tuple[int, ...] = (1, 4, 4, 8)) -> Tiny:
    """Grouped convolution, depthwise with two outputs per channel, dense: the maps are tensors 1, 2 and 3."""
    tiny = Tiny()
    quantised: dict[str, object] = {"dtype": dtype, "scale": scale, "zero_point": 3}
    tiny.tensor((1, 4, 4, 6), **quantised)  # type: ignore[arg-type]
    tiny.tensor(shape, **quantised, name="maps")  # type: ignore[arg-type]
    tiny.tensor((1, 4, 4, 16), **quantised, name="maps")  # type: ignore[arg-type]
    tiny.tensor((1, 10), **quantised, name="")  # type: ignore[arg-type]
    weights = [tiny.constant(np.zeros(size, np.int8)) for size in ((8, 3, 5, 2), (1, 3, 3, 16), (10, 256))]
    tiny.operator(B.CONV_2D, [0, weights[0]], 1, s.Conv2DOptions(fused_activation_function=3))
    tiny.operator(B.DEPTHWISE_CONV_2D, [1, weights[1]], 2, s.DepthwiseConv2DOptions(fused_activation_function=9))
    tiny.operator(B.FULLY_CONNECTED, [2, weights[2]], 3, None)
    return tiny


def test_groups_names_and_activations() -> None:
    assert find_features(several().data([0], [3])) == [
        FeatureTensor("maps#0.1", "CONV_2D", (4, 4, 8), "int8", 0.5, 3, "relu6", 30),
        FeatureTensor("maps#0.2", "DEPTHWISE_CONV_2D", (4, 4, 16), "int8", 0.5, 3, "number 9", 9),
        FeatureTensor("#0.3", "FULLY_CONNECTED", (10,), "int8", 0.5, 3, "none", 256),
    ]


@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, None), (np.float32, 1), (np.int8, None), (np.int8, [1, 2])])
def test_no_single_scale(dtype: type, scale: object) -> None:
    feature = find_features(several(dtype, scale).data([0], [3]))[0]
    assert (feature.scale, feature.zero_point) == (None, None)


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_other_types_are_refused(dtype: type) -> None:
    message = rf"^faults in features need int8, uint8 or float32; 'maps#0\.1' is {np.dtype(dtype).name}$"
    with pytest.raises(UnsupportedModelError, match=message):
        find_features(several(dtype).data([0], [3]))


def test_maps_of_other_types_are_left_out_where_there_are_better_ones() -> None:
    tiny = several()
    tiny.graph.tensors[3].type = s.TensorType.INT32
    assert [feature.name for feature in find_features(tiny.data([0], [3]))] == ["maps#0.1", "maps#0.2"]


@pytest.mark.parametrize("shape", [(), (8,), (1, 0, 4, 8), (1, -1, 4, 8)])
def test_maps_of_unknown_size_are_left_out(shape: tuple[int, ...]) -> None:
    assert len(find_features(several(shape=shape).data([0], [3]))) == 2
    tiny = several(shape=shape)
    del tiny.graph.operators[1:]
    with pytest.raises(UnsupportedModelError, match=r"'maps#0\.1' has a size that is not known before run time: \["):
        find_features(tiny.data([0], [1]))


def test_a_size_that_is_fixed_at_run_time_is_seen_in_the_signature() -> None:
    tiny = several()
    tiny.graph.tensors[1].shape_signature = [-1, 4, -1, 8]
    tiny.graph.tensors[2].shape_signature = [-1, 4, 4, 16]
    assert [feature.name for feature in find_features(tiny.data([0], [3]))] == ["maps#0.2", "#0.3"]


def test_maps_whose_first_dimension_is_not_the_batch_are_left_out() -> None:
    tiny = several(shape=(49, 8))
    assert len(find_features(tiny.data([0], [3]))) == 2
    del tiny.graph.operators[1:]
    with pytest.raises(UnsupportedModelError, match=r"first dimension of the feature map .* is not the batch"):
        find_features(tiny.data([0], [1]))


def test_a_model_without_feature_maps_says_so() -> None:
    tiny = several()
    tiny.graph.operators = []
    with pytest.raises(UnsupportedModelError, match="no convolution or fully connected layer"):
        find_features(tiny.data([0], [0]))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(MalformedModelError):
        find_features(b"no model")
