"""Weights and feature maps of a deployed file, as the sites and scales that torch's half shares with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from fault_injection.errors import UnsupportedModelError
from fault_injection.plan import Scale
from fault_injection.pytorch.coding import Affine, FloatArray
from fault_injection.sites import SiteLink
from fault_injection.space import Site
from fault_injection.tflite import read_model
from fault_injection.tflite.features import find_features
from fault_injection.tflite.sites import SiteNames
from fault_injection.tflite.weights import contents, find_weights


@dataclass(frozen=True, eq=False)
class DeployedTensor:
    """A tensor of the file.

    Attributes:
        site: as the device's half has it.
        number: its place among its kind, in the file's order.
        scale: one, or one for each output channel; empty for floating point.
        content: stored bytes of weights, flattened; None for a feature map.
    """

    site: Site
    number: int
    scale: FloatArray
    content: Optional[NDArray[np.uint8]] = None

    def affine(self, scale: Scale) -> Affine:
        """How it is stored.

        Raises:
            UnsupportedModelError: not at the scale that is asked for.
        """
        if not len(self.scale):
            raise UnsupportedModelError(f"{self.site.name!r} has no scale of its own: export the model as int8")
        if scale is Scale.POWER_OF_TWO and (
            self.site.zero or any(math.frexp(float(step))[0] != 0.5 for step in self.scale)
        ):
            raise UnsupportedModelError(
                f"the scale of {self.site.name!r} is no power of two around 0: export with power-of-two scales, or "
                "take the deployed scale"
            )
        return Affine(
            self.scale if len(self.scale) > 1 else float(self.scale[0]), self.site.zero, signed=self.site.signed
        )


class DeployedFile:
    """A ``.tflite`` file.

    Args:
        data: its bytes.

    Raises:
        MalformedModelError: it cannot be read.
        UnsupportedModelError: it holds nothing that can be hit.
    """

    def __init__(self, data: bytes) -> None:
        model = read_model(data)
        names = SiteNames(model)
        scales: Dict[str, FloatArray] = {}
        for graph_number, graph in enumerate(model.subgraphs):
            for index, tensor in enumerate(graph.tensors):
                if tensor.quantization is not None and tensor.quantization.scale is not None:
                    scales[names(graph_number, index)] = np.asarray(tensor.quantization.scale, np.float32)
        none = np.empty(0, np.float32)
        found = find_weights(data)
        stored = contents(data, found)
        self.weights = {
            weight.name: DeployedTensor(weight.site, number, scales.get(weight.name, none), stored[weight.name])
            for number, weight in enumerate(found)
        }
        self.features = {
            feature.name: DeployedTensor(feature.site, number, scales.get(feature.name, none))
            for number, feature in enumerate(find_features(data))
        }

    def of(self, link: SiteLink) -> Tuple[DeployedTensor, DeployedTensor]:
        """Weights and feature map of a layer.

        Raises:
            UnsupportedModelError: the file has no such tensor.
        """
        for name, kind in ((link.weight, self.weights), (link.feature, self.features)):
            if name not in kind:
                raise UnsupportedModelError(f"the file has no tensor {name!r} of layer {link.path!r}: another file?")
        return self.weights[link.weight], self.features[link.feature]
