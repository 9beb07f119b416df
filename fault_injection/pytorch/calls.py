"""Which calls of torch functions a layer is made of, and a record of them in one forward pass.

Layers are recognised by the function that computes (``conv2d``, ``linear``) and by the parameter that it is given, not
by their class: so modules, functional style, and the sliced weights of elastic networks are all seen. What follows a
layer directly, normalisation and activation, is followed from tensor to tensor::

    conv2d(x, p) ──► stage 0 ──batch_norm──► stage 1 ──relu──► stage 2 ──► anything else
                                             before activation  after activation

A stage counts only if nothing else reads the one before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import Tensor
from torch.overrides import TorchFunctionMode

Function = Callable[..., Any]

LAYERS = frozenset({torch.conv2d, F.linear})
NORMS = frozenset({F.batch_norm, torch.batch_norm})
ACTIVATIONS: Mapping[Function, str] = {
    F.relu: "relu",
    torch.relu: "relu",
    torch.relu_: "relu",
    Tensor.relu: "relu",
    Tensor.relu_: "relu",
    F.relu6: "relu6",
    F.hardtanh: "relu6",  # nn.ReLU6 is one; other limits are refused below
}
_FLATTENING = frozenset({torch.flatten, Tensor.flatten, Tensor.view, Tensor.reshape, torch.reshape})
_RELU6 = (0.0, 6.0)


def argument(name: str, place: int, args: Sequence[Any], kwargs: Mapping[str, Any], default: Any = None) -> Any:
    """An argument of a call, wherever it stands."""
    return args[place] if len(args) > place else kwargs.get(name, default)


def activation_of(func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Optional[str]:
    """Which activation this call is, if one that an integer kernel can fuse."""
    kind = ACTIVATIONS.get(func)
    if func is F.hardtanh:
        limits = argument("min_val", 1, args, kwargs, -1.0), argument("max_val", 2, args, kwargs, 1.0)
        return kind if limits == _RELU6 else None
    return kind


@dataclass(frozen=True)
class Range:
    """Extremes of a tensor; what is no number is left out."""

    low: float
    high: float

    @property
    def peak(self) -> float:
        """The largest magnitude."""
        return max(-self.low, self.high)


def range_of(values: Tensor) -> Range:
    """See :class:`Range`."""
    finite = values.detach().float().nan_to_num(0.0, 0.0, 0.0)
    if not finite.numel():
        return Range(0.0, 0.0)
    low, high = torch.aminmax(finite)
    return Range(float(low), float(high))


@dataclass
class Stage:
    """A value on the way through a layer.

    Attributes:
        made_by: "layer", "norm" or the name of an activation.
        range: of its values.
    """

    made_by: str
    range: Range


@dataclass
class Call:
    """One call of a layer.

    Attributes:
        weight: as given to the function, perhaps a part of a parameter.
        groups: of a convolution; 1 of a dense layer.
        output: shape, batch included.
        stages: what it hands on, and what directly follows.
        flattened: (C, H, W) of the map whose flattening a dense layer reads, if that is directly before it.
    """

    weight: Tensor
    groups: int
    output: Tuple[int, ...]
    stages: List[Stage]
    flattened: Optional[Tuple[int, int, int]] = None

    @property
    def macs(self) -> int:
        """Multiply-accumulates behind each value."""
        return math.prod(self.weight.shape[1:])


@dataclass
class _Followed:
    """A value that somebody may read: by how many calls, and whether the first of them is a stage of the same layer."""

    value: Tensor  # kept, so that no other tensor gets its id
    call: Call
    uses: int = 0
    next: Optional[Tensor] = None
    stage: Optional[Stage] = None


@dataclass
class Recorder(TorchFunctionMode):
    """Active as a context manager during a forward pass, it notes the calls of layers.

    Attributes:
        calls: in the order of execution.
    """

    calls: List[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._followed: Dict[int, _Followed] = {}
        self._order: List[_Followed] = []
        self._flat: Dict[int, Tuple[Tensor, Tuple[int, int, int]]] = {}

    def __torch_function__(
        self, func: Function, types: Sequence[type], args: Tuple[Any, ...] = (), kwargs: Optional[Dict[str, Any]] = None
    ) -> Any:
        """Run the function and note what it was."""
        kwargs = kwargs or {}
        read = [self._followed[id(t)] for t in _tensors((args, kwargs)) if id(t) in self._followed]
        result = func(*args, **kwargs)
        if func in LAYERS:
            self._layer(func, args, kwargs, result)
        elif func in _FLATTENING and isinstance(args[0], Tensor) and args[0].dim() == 4 and result.dim() == 2:
            _, channels, height, width = args[0].shape
            self._flat[id(result)] = (result, (channels, height, width))
        if any(True for _ in _tensors(result)):  # questions about shapes are no use of a value
            for followed in read:
                followed.uses += 1
            if len(read) == 1 and isinstance(result, Tensor) and args and args[0] is read[0].value:
                self._stage(read[0], func, args, kwargs, result)
        return result

    def _layer(self, func: Function, args: Tuple[Any, ...], kwargs: Dict[str, Any], result: Tensor) -> None:
        source, weight = argument("input", 0, args, kwargs), argument("weight", 1, args, kwargs)
        groups = argument("groups", 6, args, kwargs, 1) if func is torch.conv2d else 1
        call = Call(weight, groups, tuple(result.shape), [Stage("layer", range_of(result))])
        if id(source) in self._flat and func is F.linear:
            call.flattened = self._flat[id(source)][1]
        self.calls.append(call)
        self._follow(_Followed(result, call))

    def _stage(
        self, before: _Followed, func: Function, args: Tuple[Any, ...], kwargs: Dict[str, Any], result: Tensor
    ) -> None:
        kind = "norm" if func in NORMS else activation_of(func, args, kwargs)
        if kind is None or (kind == "norm" and before.stage is not None):
            return
        if before.stage is not None and before.stage.made_by != "norm":
            return  # of two activations the first counts
        before.next = result
        self._follow(_Followed(result, before.call, stage=Stage(kind, range_of(result))))

    def _follow(self, followed: _Followed) -> None:
        self._followed[id(followed.value)] = followed
        self._order.append(followed)

    def finish(self) -> List[Call]:
        """Put the stages together, now that all readers are known; gives the calls."""
        alone: Dict[int, bool] = {}
        for followed in self._order:
            call = id(followed.call)
            if followed.stage is not None and alone[call]:
                followed.call.stages.append(followed.stage)
            alone[call] = alone.get(call, True) and followed.uses == 1
        self._followed.clear()
        self._order.clear()
        self._flat.clear()
        return self.calls


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
