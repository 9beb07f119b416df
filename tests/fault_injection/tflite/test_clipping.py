"""Range clipping put into models, on real kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

import numpy as np
import pytest

from fault_injection.errors import NoSuchTargetError
from fault_injection.protection import RangeClipping
from fault_injection.tflite.clipping import clip, expose
from fault_injection.tflite.features import find_features

interpreters = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
RESOLVERS = (
    interpreters.OpResolverType.AUTO,
    interpreters.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
)


def outputs(data: bytes, samples: np.ndarray, resolver: Any = RESOLVERS[0]) -> List[np.ndarray]:
    """All outputs for samples of the whole input's shape, shape (n, …) each."""
    interpreter = interpreters.Interpreter(model_content=data, num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    places = [details["index"] for details in interpreter.get_output_details()]
    found: List[List[np.ndarray]] = [[] for _ in places]
    for sample in samples:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sample)
        interpreter.invoke()
        for kept, place in zip(found, places):
            kept.append(interpreter.get_tensor(place))
    return [np.stack(kept) for kept in found]


def samples_for(data: bytes, count: int) -> np.ndarray:
    interpreter = interpreters.Interpreter(model_content=data)
    details = interpreter.get_input_details()[0]
    random = np.random.default_rng(3)
    if details["dtype"] == np.float32:
        return random.normal(0, 1, (count, *details["shape"])).astype(np.float32)
    limits = np.iinfo(details["dtype"])
    return random.integers(limits.min, limits.max + 1, (count, *details["shape"])).astype(details["dtype"])


def real(feature: Any, values: np.ndarray) -> np.ndarray:
    if feature.scale is None:
        return values
    return (values.astype(np.float64) - feature.zero_point) * feature.scale


@pytest.mark.parametrize("name", ["pretrainedResnet_quant", "kws_ref_model_float32", "vww_96_int8"])
@pytest.mark.parametrize("resolver", RESOLVERS)
def test_bounds_of_the_data_at_hand_change_no_bit(models: Path, name: str, resolver: Any) -> None:
    data = (models / f"{name}.tflite").read_bytes()
    features = find_features(data)
    samples = samples_for(data, 4)
    plain = outputs(data, samples, resolver)
    seen = outputs(expose(data), samples, resolver)
    own, maps = seen[: len(plain)], seen[len(plain) :]
    assert len(maps) == len(features)
    assert all((a == b).all() for a, b in zip(plain, own))
    ranges = RangeClipping.fit({f.name: real(f, values) for f, values in zip(features, maps)})
    clipped = clip(data, ranges)
    assert all((a == b).all() for a, b in zip(plain, outputs(clipped, samples, resolver)))


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_what_lies_beyond_the_bounds_is_cut(models: Path, resolver: Any) -> None:
    data = (models / "pretrainedResnet_quant.tflite").read_bytes()
    features = find_features(data)
    first = features[0]
    assert first.scale is not None
    assert first.zero_point is not None
    low, high = (40 - first.zero_point) * first.scale, (60 - first.zero_point) * first.scale
    clipped = clip(data, RangeClipping({first.name: (low - 60 * first.scale, high)}))
    samples = samples_for(data, 3)
    # The exposed map of the clipped file is still the operator's own; what follows reads the clipped one.
    before = outputs(expose(data), samples, resolver)
    after = outputs(expose(clipped), samples, resolver)
    assert (before[1] == after[1]).all()
    assert before[1].max() > 60
    assert (before[2] != after[2]).any()


def test_bounds_of_an_unknown_map_are_refused(models: Path) -> None:
    data = (models / "pretrainedResnet_quant.tflite").read_bytes()
    with pytest.raises(NoSuchTargetError, match="no feature map called 'nothing'"):
        clip(data, RangeClipping({"nothing": (0.0, 1.0)}))
