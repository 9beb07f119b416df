"""What a network computes for one image, seen while it runs: for networks of which nothing else is known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
_PRODUCTS = (_aten.mm, _aten.bmm, _aten.addmm, _aten.baddbmm)


@dataclass(frozen=True)
class Probe:
    """What was seen.

    Attributes:
        macs: multiplications of convolutions and matrix products.
        parameters: trainable ones.
        operators: how often each convolution and matrix product ran, by kind, shape and stride.
        output_shape: None if it is no single tensor.
    """

    macs: int
    parameters: int
    operators: Mapping[str, float]
    output_shape: tuple[int, ...] | None


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts calls below the level of modules, so that functions count as well."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0
        self.operators: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket is _aten.convolution:
            x, weight, _, stride, _, _, transposed, _, groups = args
            self._convolution(x, weight, stride, transposed, groups, result)
        elif func.overloadpacket in _PRODUCTS:
            first, second = args[-2:]
            self.operators[f"matmul {first.shape[-1]}>{second.shape[-1]} @{_cells(first.shape[:-1])}"] += 1
            self.macs += first.numel() * second.shape[-1]
        return result

    def _convolution(self, x: Tensor, weight: Tensor, stride: Any, transposed: bool, groups: int, y: Tensor) -> None:
        inputs, outputs, kernel = x.shape[1], y.shape[1], "x".join(map(str, weight.shape[2:]))
        kind = "depthwise" if groups == inputs > 1 else "conv" if groups == 1 else f"conv in {groups} groups "
        kind += kernel + (" transposed" if transposed else "")
        strides = "" if set(stride) == {1} else f" /{'x'.join(map(str, stride))}"
        self.operators[f"{kind} {inputs}>{outputs}{strides} @{_cells(y.shape[2:])}"] += 1
        self.macs += weight[0].numel() * (x if transposed else y).numel()


def probe(network: nn.Module, image: Tensor) -> Probe:
    """Run a network on an image.

    Args:
        network: put into evaluation mode.
        image: (1, C, H, W).
    """
    counting = _Counting()
    with torch.no_grad(), counting:
        output = network.eval()(image)
    return Probe(
        macs=counting.macs,
        parameters=sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        operators={key: float(count) for key, count in counting.operators.items()},
        output_shape=tuple(output.shape) if isinstance(output, Tensor) else None,
    )


def _cells(shape: Any) -> int:
    return math.prod(int(size) for size in shape)
