"""Range clipping in a deployed model: the protection that costs no memory, and the baseline for those that do.

Ranger (Chen, Li and Pattabiraman, DSN 2021) clips feature maps to the range that they have without faults. An int8 map
saturates at the ends of its scale in any case, which calibration has put near that range; clipping to the range that
was observed is what can be gained beyond that.

>>> ranges = RangeClipping.fit(observed)       # of the outputs that expose() adds
>>> protected = clip(data, ranges)
"""

from __future__ import annotations

from typing import List

import numpy as np

from fault_injection.errors import NoSuchTargetError
from fault_injection.protection import RangeClipping
from fault_injection.tflite import read_model, write_model
from fault_injection.tflite.features import FeatureTensor, numbers_of
from fault_injection.tflite.rewriting import Rewriting
from fault_injection.tflite.schema import BuiltinOperator, TensorType

_TYPES = {TensorType.INT8: np.int8, TensorType.UINT8: np.uint8, TensorType.FLOAT32: np.float32}


def expose(data: bytes) -> bytes:
    """The same model with all feature maps as outputs behind its own, in the order of `find_features`."""
    model = read_model(data)
    model.subgraphs[0].outputs.extend(index for index, _ in numbers_of(model))
    # They are outputs of the graph, not of a signature.
    return write_model(model)


def clip(data: bytes, ranges: RangeClipping) -> bytes:
    """The same model with feature maps clipped.

    Args:
        data: a ``.tflite`` file.
        ranges: real-valued bounds by name of the map. Stored bounds are rounded outwards, so that no clean value that
            they were fitted on changes.

    Raises:
        NoSuchTargetError: bounds of a map that the model has not got.
    """
    model = read_model(data)
    found = {feature.name: (index, feature) for index, feature in numbers_of(model)}
    rewriting = Rewriting(model)
    for name, (low, high) in ranges.bounds.items():
        if name not in found:
            raise NoSuchTargetError(f"the model has no feature map called {name!r}")
        index, feature = found[name]
        tensor = rewriting.graph.tensors[index]
        kind = _TYPES[TensorType(tensor.type)]
        bounds = _stored(feature, low, high)
        # Version 2 is the first with int8.
        version = 2 if tensor.type == TensorType.INT8 else 1
        above, inside = rewriting.tensor(tensor, f"{name}/above"), rewriting.tensor(tensor, f"{name}/clipped")
        least, most = (
            rewriting.constant(tensor, f"{name}/{word}", np.array([bound], kind))
            for word, bound in zip(("low", "high"), bounds)
        )
        made = [
            rewriting.operator(BuiltinOperator.MAXIMUM, [index, least], above, version=version),
            rewriting.operator(BuiltinOperator.MINIMUM, [above, most], inside, version=version),
        ]
        rewriting.follow(index, inside, made)
    rewriting.finish()
    return write_model(model)


def _stored(feature: FeatureTensor, low: float, high: float) -> List[float]:
    if feature.scale is None or feature.zero_point is None:
        return [low, high]
    limits = np.iinfo(feature.dtype)
    steps = np.array([np.floor(low / feature.scale + 1e-3), np.ceil(high / feature.scale - 1e-3)]) + feature.zero_point
    return [float(step) for step in np.clip(steps, limits.min, limits.max)]
