"""What can be hit in a torch network: its weights and feature maps, as sites that a deployed file has too.

See :func:`~fault_injection.pytorch.finding.find_sites`, which makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

from numpy.typing import NDArray
from torch import Tensor, nn

from fault_injection.errors import UnsupportedModelError
from fault_injection.models import Place
from fault_injection.plan import FaultPlan, Position, Scale
from fault_injection.pytorch.calls import Stage
from fault_injection.pytorch.coding import Affine, affine_of_features
from fault_injection.pytorch.deployed import DeployedTensor
from fault_injection.sites import CONV, DENSE, DEPTHWISE, SiteLink
from fault_injection.space import Site

if TYPE_CHECKING:
    from fault_injection.pytorch.memory import WeightMemory

_OPERATORS = {CONV: "CONV_2D", DEPTHWISE: "DEPTHWISE_CONV_2D", DENSE: "FULLY_CONNECTED"}
_CHANNEL_AXES = {CONV: 0, DEPTHWISE: 3, DENSE: 0}
_BYTE = 8


@dataclass(frozen=True, eq=False)
class Layer:
    """One call of a layer in a forward pass.

    Attributes:
        parameter: name of what holds its weights.
        link: names, order of its weights, and what is fused.
        feature_shape: of a sample, in the file's order.
        macs: behind each value of the feature map.
        stages: what it hands on, and what directly follows, see `calls`.
        file: its weights and feature map in the deployed file, if there is one.
    """

    parameter: str
    link: SiteLink
    feature_shape: Tuple[int, ...]
    macs: int
    stages: Tuple[Stage, ...]
    file: Optional[Tuple[DeployedTensor, DeployedTensor]] = None

    def stage(self, position: Optional[Position]) -> int:
        """Which of the stages a plan's position is.

        Raises:
            UnsupportedModelError: it is none: the file has fused what torch has apart, or the reverse.
        """
        last_sum = 1 if len(self.stages) > 1 and self.stages[1].made_by == "norm" else 0
        if self.file is None:
            return last_sum if position is Position.BEFORE_ACTIVATION else len(self.stages) - 1
        fused = self.link.fused_activation
        if fused == "none":
            return last_sum
        if position is Position.BEFORE_ACTIVATION:
            raise UnsupportedModelError(
                f"faults before the activation need it unfused, {self.link.feature!r} has {fused} fused: "
                "export with power-of-two scales, which leaves activations apart, or take faults after it"
            )
        if len(self.stages) - 1 == last_sum:
            raise UnsupportedModelError(
                f"the file has {fused} fused into {self.link.feature!r}, but in torch no such activation directly "
                "follows: is it the file of another network?"
            )
        return last_sum + 1


@dataclass(frozen=True, eq=False)
class WeightPlace:
    """Weights in memory.

    Attributes:
        layer: the first call that uses them.
        shape: in the file's order.
        places: by element in that order the place in the parameter's memory, shape (size,).
    """

    layer: Layer
    shape: Tuple[int, ...]
    places: NDArray[Any]

    @property
    def name(self) -> str:
        """Of the site."""
        return self.layer.link.weight

    @property
    def parameter(self) -> str:
        """Name of what holds them."""
        return self.layer.parameter

    @property
    def channel_axis(self) -> int:
        """Which dimension of the shape counts output channels."""
        return _CHANNEL_AXES[self.layer.link.kind]


class TorchSites:
    """The sites of a network.

    They stay good when values of weights change: what depends on those is looked at again.

    Args:
        module: the network.
        layers: in the order of execution; a layer that is called twice is there twice.
        weights: of the layers, each parameter once.

    Attributes:
        memories: what a memory would hold for the weights, by the steps in which it does.
        active: memories that are being broken, the innermost last; None stands for floating-point words.
        substitutes: faulty copies of parameters that layers are given instead, by the parameters' names.
    """

    def __init__(self, module: nn.Module, layers: Sequence[Layer], weights: Sequence[WeightPlace]) -> None:
        self.module = module
        self.layers = tuple(layers)
        self.weights = {weight.name: weight for weight in weights}
        self.memories: Dict[Scale, WeightMemory] = {}
        self.active: List[Optional[WeightMemory]] = []
        self.substitutes: Dict[str, Tensor] = {}
        self._owners: Dict[int, str] = {}
        # Where each parameter hangs: it may be exchanged for another, and walking its path takes longer than a fault.
        self._slots = []
        for name in dict.fromkeys(weight.parameter for weight in self.weights.values()):
            path, _, leaf = name.rpartition(".")
            self._slots.append((name, module.get_submodule(path)._parameters, leaf))

    def parameters(self) -> Dict[str, Tensor]:
        """The parameters that hold weights, as they are now."""
        parameters: Dict[str, Tensor] = {}
        for name, slot, leaf in self._slots:
            parameter = slot[leaf]
            assert parameter is not None
            parameters[name] = parameter
        return parameters

    def look_up(self) -> None:
        """Learn where the parameters lie now; call it before :meth:`owner_of`."""
        self._owners = {_address(parameter): name for name, parameter in self.parameters().items()}
        self._owners.update((_address(copy), name) for name, copy in self.substitutes.items())

    def owner_of(self, weights: Tensor) -> Optional[str]:
        """Name of the parameter in whose memory, or faulty copy, these weights lie."""
        return self._owners.get(_address(weights))

    def substitute(self, copies: Mapping[str, Optional[Tensor]]) -> None:
        """From now on, give layers these copies of parameters, by name; where there is None, the parameter itself."""
        for name, copy in copies.items():
            self.substitutes.pop(name, None)
            if copy is not None:
                self.substitutes[name] = copy
        self.look_up()

    def substitute_for(self, weights: Tensor) -> Optional[Tensor]:
        """The same part of the faulty copy of a parameter; None if there is no copy, or it is in use already."""
        name = self.owner_of(weights)
        copy = None if name is None else self.substitutes.get(name)
        if copy is None or _address(copy) == _address(weights):
            return None
        if copy.shape == weights.shape:
            return copy
        return copy.as_strided(weights.shape, weights.stride(), weights.storage_offset())

    def select(self, plan: FaultPlan) -> List[Site]:
        """The sites that a plan aims at, in the order in which faults are drawn.

        Raises:
            UnsupportedModelError: the network has not got the values, position or scale that the plan needs.
            NoSuchTargetError: see :meth:`FaultPlan.select`.
        """
        if plan.place is Place.WEIGHTS:
            weights = sorted(self.weights.values(), key=lambda weight: _number(weight.layer, 0))
            return plan.select([_weight_site(weight, plan.model.dtype_bits) for weight in weights])
        layers = sorted(self.layers, key=lambda layer: _number(layer, 1))
        return plan.select([self._feature_site(layer, plan) for layer in layers])

    def feature_coding(self, layer: Layer, plan: FaultPlan) -> Affine:
        """How the feature map of a layer is stored as 8-bit integers; raises like :meth:`select`."""
        if layer.file is not None:
            return layer.file[1].affine(plan.scale)
        return affine_of_features(layer.stages[layer.stage(plan.position)].range, plan.scale)

    def _feature_site(self, layer: Layer, plan: FaultPlan) -> Site:
        layer.stage(plan.position)
        if layer.file is not None:
            return layer.file[1].site
        bits, shape = plan.model.dtype_bits, layer.feature_shape
        operator = _OPERATORS[layer.link.kind]
        site = Site(layer.link.feature, operator, shape, channel_axis=len(shape) - 1, macs=layer.macs, bits=bits)
        return replace(site, zero=self.feature_coding(layer, plan).zero) if bits == _BYTE else site


def _weight_site(weight: WeightPlace, bits: int) -> Site:
    if weight.layer.file is not None:
        return weight.layer.file[0].site
    return Site(weight.name, _OPERATORS[weight.layer.link.kind], weight.shape, weight.channel_axis, bits=bits)


def _number(layer: Layer, which: int) -> int:
    """A file has an order of its own; without one the order of execution counts."""
    return 0 if layer.file is None else layer.file[which].number


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
