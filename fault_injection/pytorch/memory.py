"""The memory that weights of a torch network would be stored in, and who may break it at the moment."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Tuple, Union

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fault_injection.errors import FaultError, UnsupportedModelError
from fault_injection.plan import Scale
from fault_injection.pytorch.coding import Affine, FloatArray, affine_of_weights, stored_bytes
from fault_injection.pytorch.layout import read
from fault_injection.pytorch.sites import TorchSites, WeightPlace
from fault_injection.sites import DENSE
from fault_injection.space import Site

_MOST_OFF = 1
_lock = threading.Lock()
#: Who breaks a parameter: thread, registry of sites, how often.
_owners: Dict[int, Tuple[int, int, int]] = {}


@contextmanager
def claimed(sites: TorchSites) -> Iterator[None]:
    """Keep other threads from breaking the same parameters meanwhile; the same thread may break them further.

    Raises:
        FaultError: another thread, or another registry of sites, breaks them already.
    """
    keys = [id(parameter) for parameter in sites.parameters().values()]
    me = (threading.get_ident(), id(sites))
    with _lock:
        if any(_owners.get(key, (*me, 0))[:2] != me for key in keys):
            raise FaultError(
                "faults are being injected into this network already, by another thread or through other sites: give "
                "each thread a copy of its own"
            )
        for key in keys:
            _owners[key] = (*me, _owners.get(key, (*me, 0))[2] + 1)
    try:
        yield
    finally:
        with _lock:
            for key in keys:
                depth = _owners[key][2] - 1
                if depth:
                    _owners[key] = (*me, depth)
                else:
                    del _owners[key]


class WeightMemory:
    """What a memory of 8-bit numbers holds for the weights.

    Args:
        sites: of the network.
        scale: in which steps; a deployed file has its own.

    Attributes:
        contents: stored bytes in the file's order by name of the site; faults may be written into them.
    """

    def __init__(self, sites: TorchSites, scale: Scale) -> None:
        self._sites, self._scale = sites, scale
        self.contents: Dict[str, NDArray[np.uint8]] = {}
        self._codings: Dict[str, Affine] = {}
        self._known: Dict[str, Tuple[int, int]] = {}

    def refresh(self, parameters: Dict[str, Tensor]) -> None:
        """Look again at weights that have changed since.

        Raises:
            UnsupportedModelError: they are not those of the deployed file.
        """
        for weight in self._sites.weights.values():
            parameter = parameters[weight.parameter]
            state = (parameter.data_ptr(), parameter._version)
            if self._known.get(weight.name) != state:
                self._load(weight, parameter)
                self._known[weight.name] = state

    def keep(self, parameters: Dict[str, Tensor], names: List[str]) -> None:
        """What has changed since was a fault, and the contents have it."""
        for name in names:
            parameter = parameters[self._sites.weights[name].parameter]
            self._known[name] = (parameter.data_ptr(), parameter._version)

    def coding(self, name: str) -> Affine:
        """How the weights of a site are stored."""
        return self._codings[name]

    def steps(self, site: Site, elements: NDArray[Any]) -> Union[float, FloatArray]:
        """The scale of each of some elements, or one for all."""
        scale = self._codings[site.name].scale
        if isinstance(scale, float):
            return scale
        channels = elements // (site.size // site.channels) if site.channel_axis == 0 else elements % site.channels
        steps: FloatArray = scale.take(channels)
        return steps

    def _load(self, weight: WeightPlace, parameter: Tensor) -> None:
        values = read(parameter, weight.places).reshape(weight.shape)
        file, axis = weight.layer.file, weight.channel_axis
        if file is not None:
            coding = file[0].affine(self._scale)
        else:
            per_channel = weight.layer.link.kind != DENSE
            coding = affine_of_weights(np.moveaxis(values, axis, 0), per_channel, self._scale)
        steps = coding.scale
        if not isinstance(steps, float):
            steps = steps.reshape([-1 if dimension == axis else 1 for dimension in range(values.ndim)])
        stored = stored_bytes(values, steps, coding).reshape(-1)
        if file is not None:
            assert file[0].content is not None
            _check_same(weight.name, stored, file[0].content, coding)
            stored = file[0].content.copy()
        self.contents[weight.name], self._codings[weight.name] = stored, coding


def _check_same(name: str, here: NDArray[np.uint8], there: NDArray[np.uint8], coding: Affine) -> None:
    word = np.int8 if coding.signed else np.uint8
    # Rounding may fall the other way where BatchNorm was folded in another precision.
    off = np.abs(here.view(word).astype(np.int16) - there.view(word)).max(initial=0)
    if off > _MOST_OFF:
        raise UnsupportedModelError(
            f"the weights {name!r} are {off} steps off those of the file: BatchNorm must be folded (fold_batch_norm), "
            "and the weights those that were exported"
        )
